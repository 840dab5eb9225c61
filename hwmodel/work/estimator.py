"""Floating-point work of inertial front end and back end, per event, in the closed forms of 3x3 block algebra.

A block product accumulates from zero, so a x b x c costs as many multiplications as additions. Exponential, logarithm and Jacobians
of rotations are short series, for angles between samples or steps are small. A 3x3 triangle goes through the same block unit as a full block.
"""

from typing import NamedTuple

from hwmodel.operations import Work
from hwmodel.structure import marginal_size, prior_size
from hwmodel.widths import FLOAT, solver_bits
from vio.config import Config


class Flops(NamedTuple):
    """Additions, multiplications, divisions and roots."""

    add: float = 0
    mul: float = 0
    div: float = 0

    def plus(self, *others: "Flops") -> "Flops":
        """Sum."""
        return Flops(*(sum(column) for column in zip(self, *others)))

    def times(self, n: float) -> "Flops":
        """n times over."""
        return Flops(self.add * n, self.mul * n, self.div * n)


def macs(n: float) -> Flops:
    """n multiply-accumulates."""
    return Flops(n, n)


EXP = Flops(18, 23)  # R = I + a [phi] + b (phi phi^T - |phi|^2 I), a and b to the fourth power of the angle
RIGHT_JACOBIAN = EXP  # I - b [phi] + c (phi phi^T - |phi|^2 I), its inverse alike
LOG = Flops(7, 12)  # (R - R^T) / 2 times asin(s) / s to the fourth power
PRODUCT = macs(27)  # of two 3x3 blocks
APPLY = macs(9)  # of a block and a vector
SKEW_PRODUCT = Flops(9, 18)  # of a block and [v]
SEEN = Flops(9, 9)  # y = A (x0, x1, 1) + rho b
SQUARE = Flops(1, 2)  # squared residual; the logarithm of Cauchy's cost is not charged
WEIGHT = Flops(1, 1, 1)  # 1 / (1 + squared / c^2) of Cauchy's loss


def _work(flops: Flops) -> Work:
    return Work().floating(FLOAT, *flops)


def _solver_work(config: Config, flops: Flops) -> Work:
    """In the arithmetic of `backend.arithmetic`: factorisation and substitution alone."""
    return Work().floating(solver_bits(config), *flops)


def imu_sample(config: Config) -> Work:
    """One step of the preintegration: motion, F P F^T + G Q G^T on the lower blocks, bias Jacobian."""
    motion = Flops(6, 6).plus(EXP.times(2), RIGHT_JACOBIAN.times(2), PRODUCT.times(2), APPLY.times(2), Flops(9, 9), Flops(1, 2, 2))
    levers = SKEW_PRODUCT.times(2).plus(PRODUCT, Flops(0, 9), Flops(0, 18), Flops(0, 9 * 5))
    left = PRODUCT.times(9).plus(Flops(27 * 3, 27))  # F P, three block rows
    right = PRODUCT.times(6).plus(Flops(9 * 5, 9))  # (F P) F^T, six blocks of the triangle
    noise = PRODUCT.times(6).plus(Flops(0, 27), Flops(9 * 6, 0), Flops(9, 5))
    bias = PRODUCT.times(3).plus(Flops(27 + 9 + 18, 9), Flops(18 + 9, 9))
    work = _work(motion.plus(levers, left, right, noise, bias))
    return work.read("imu_fifo", 2).write("imu_fifo").read("preintegration", 24 + 45 + 45).write("preintegration", 24 + 45 + 45)


def _inertial_residual() -> Flops:
    """Residual of an inertial factor with its first-order bias correction."""
    corrected = Flops(6, 0).plus(macs(45), Flops(6, 0), EXP, PRODUCT)
    return corrected.plus(Flops(10 + 7, 3 + 3), APPLY.times(2), PRODUCT.times(2), LOG)


def _inertial_jacobian() -> Flops:
    """Its 14 non-zero blocks, at the linearisation points."""
    turn = RIGHT_JACOBIAN.times(2).plus(PRODUCT.times(2), EXP, PRODUCT.times(3), APPLY, Flops(0, 9))
    return _inertial_residual().plus(turn)


_JACOBIAN_BLOCKS = (1, 3, 2, 3, 2, 1, 1, 1)  # non-zero blocks by column: p, theta, v, b_g, b_a of the older state, p, theta, v of the newer


def imu_factor(config: Config) -> Work:
    """J^T W J and J^T W r of one inertial factor over the non-zero blocks of J, the bias walk, and the cost of a step."""
    blocks = sum(_JACOBIAN_BLOCKS)
    pairs = sum(k * (a + 1) for a, k in enumerate(_JACOBIAN_BLOCKS))
    normal = PRODUCT.times(3 * blocks).plus(PRODUCT.times(pairs), macs(81), APPLY.times(blocks), Flops(6 + 18 + 12, 6))
    cost = _inertial_residual().plus(macs(90), Flops(12, 12))
    work = _work(_inertial_residual().plus(_inertial_jacobian(), normal, cost))
    return work.read("inertial_factors", 3 * 116).read("states", 6 * 21).read("linear_system", 36 * 9).write("linear_system", 36 * 9)


def _residual() -> Flops:
    """Whitened residual of one observation: one reciprocal, two products with it, the left camera's share taken off, two with the scale.

    The share, here and in the Jacobians, is that of the right camera's observations and charged to all of them.
    """
    return SEEN.plus(Flops(2, 4, 1), Flops(4, 4))


def _jacobian() -> Flops:
    """J_h (2, 6) and J_l (2, 3) of one observation: the ray in the host's body, two rows, and the left camera's share of them."""
    return SEEN.plus(Flops(9, 9 + 1, 1), Flops(15, 31).times(2), Flops(0, 4, 1), Flops(36, 36))


def reprojection(config: Config) -> Work:
    """One observation linearised: residual, weight, Jacobians, landmark block, pair block (its triangle) and landmark-pose block."""
    landmark = Flops(0, 6).plus(macs(6), macs(12))
    pair = Flops(0, 12).plus(macs(12), macs(42), macs(36), Flops(36, 0))
    work = _work(_residual().plus(SQUARE, WEIGHT, _jacobian(), landmark, pair))
    return work.read("observations").read("states", 42).read("landmark_scratch", 54).write("landmark_scratch", 54)


def observation_replayed(config: Config) -> Work:
    """One observation when the landmarks move: its Jacobians once more (W is not kept), their share of the step, and the new cost."""
    share = macs(12).plus(Flops(0, 2), macs(6))
    cost = _residual().plus(SQUARE, macs(1))
    return _work(_jacobian().plus(share, cost)).read("observations", 2).read("states", 42)


def landmark_eliminated(config: Config) -> Work:
    """A 3x3 landmark block inverted by cofactors and one reciprocal; later its step and its limits."""
    work = _work(Flops(8, 24, 1).plus(APPLY, Flops(3, 0)))
    return work.compare(FLOAT, 4).read("landmarks", 2).write("landmarks").read("landmark_scratch", 12).write("landmark_scratch", 12)


def schur_row(config: Config) -> Work:
    """One keyframe that sees the landmark: its block turned into the keyframe's tangent, times the inverse, and the gradient."""
    turned, K, gradient = macs(3 * 3 * 6), macs(6 * 3 * 3), macs(18)
    work = _work(turned.plus(K, gradient))
    return work.read("landmark_scratch", 18).write("landmark_scratch", 18).read("right_side", 6).write("right_side", 6)


def schur_block(config: Config) -> Work:
    """A 6x6 block of the pose system minus K W^T."""
    return _work(macs(6 * 6 * 3)).read("landmark_scratch", 36).read("linear_system", 36).write("linear_system", 36)


def cholesky_column(config: Config) -> Work:
    """A diagonal 3x3 block factorised and its triangle inverted: three roots, three reciprocals."""
    return _solver_work(config, macs(6).plus(Flops(0, 8, 6))).read("linear_system", 6).write("linear_system", 6)


def cholesky_solve(config: Config) -> Work:
    """A block below it times the inverse of the triangle."""
    return _solver_work(config, PRODUCT).read("linear_system", 9 + 6).write("linear_system", 9)


def cholesky_block(config: Config) -> Work:
    """Z -= X Y^T; X stays in the unit while its column passes."""
    return _solver_work(config, PRODUCT).read("linear_system", 18).write("linear_system", 9)


def substitution_block(config: Config) -> Work:
    """A block times a part of the right-hand side."""
    return _solver_work(config, APPLY).read("linear_system", 9).read("right_side", 6).write("right_side", 3)


def views(n: int) -> Flops:
    """Relations of n keyframes and two cameras at one set of poses: y = A (x0, x1, 1) + rho b for every host and target."""
    pairs = n * (n + 1) // 2
    own = PRODUCT.times(3).plus(APPLY, Flops(3, 0))  # of a keyframe: two cameras from W, its camera in W, its lever
    pair = Flops(3, 0).plus(PRODUCT.plus(APPLY, Flops(3, 0)).times(2))
    return own.times(n).plus(pair.times(pairs))


PAIR = Flops(3, 0).plus(SKEW_PRODUCT, PRODUCT)  # how a target's tangent follows from the host's
SPREAD = macs(3 * 6 * 6 + 6 * 6 + 3 * 6).plus(Flops(21 + 36 + 21 + 12, 0))  # a pair's 6x6 block into host and target, lower triangles


def prior_added(k: int) -> Flops:
    """H d and its vector added to the system, triangle and all, and the cost b^T d + d^T H d / 2 afterwards."""
    return macs(2 * k * k + 2 * k).plus(Flops(k * (k + 1) // 2 + 2 * k, 0))


MOVED = EXP.plus(PRODUCT, PRODUCT.times(2), Flops(3, 9), Flops(12, 0))  # R exp, one Newton step R (3 I - R^T R) / 2 to orthogonality, the vectors


def gauss_newton_iteration(config: Config) -> Work:
    """What a step costs besides its factors: views at estimates, before and after, and at linearisation points; pairs; prior; states moved."""
    n, k = config.backend.window + 1, prior_size(config.backend.window)
    pairs = n * (n - 1) // 2
    work = _work(views(n).times(3).plus(PAIR.times(pairs), SPREAD.times(pairs), prior_added(k), MOVED.times(n)))
    return work.read("prior", k * (k + 1)).read("states", 42 * n).write("states", 42 * n).read("host_views", 93 * pairs).write("host_views", 93 * pairs)


def marginalization(config: Config) -> Work:
    """Fifteen pivots out of a dense triangle, one reciprocal each, in the shared scratch."""
    size = marginal_size(config.backend.window)
    total = Flops()
    for p in range(15):
        m = size - p - 1
        total = total.plus(macs(m * (m + 1) // 2 + m), Flops(0, m, 1))
    touched = sum((size - p - 1) * (size - p) // 2 for p in range(15))
    prior = prior_size(config.backend.window)
    return _work(total).read("linear_system", touched).write("linear_system", touched).write("prior", prior * (prior + 1) // 2 + prior)


def frame_residual(config: Config) -> Work:
    """One known point in the refinement of a frame: residual, weight, Jacobian (2, 6), normal equations on the triangle."""
    place = Flops(3, 0).plus(APPLY, APPLY, Flops(3, 0), Flops(2, 5, 1))
    rows = Flops(3, 6).plus(APPLY, Flops(3, 6)).times(2)
    normal = Flops(0, 12).plus(macs(12), macs(42))
    return _work(place.plus(rows, SQUARE, WEIGHT, normal)).read("frame_landmarks").read("feature_table")


def frame_refined(config: Config) -> Work:
    """What a frame's refinement costs besides its points, `backend.frame_iterations` steps: inertial factor, 9x9 solve, attitude."""
    solve = macs(sum(j * (9 - j) for j in range(9)) + 81).plus(Flops(0, 36 + 18, 18))
    step = _inertial_residual().plus(_inertial_jacobian(), macs(9 * 9 * 9 + 9 * 9 * 5 + 81 + 81), solve, EXP, PRODUCT.times(3))
    return _work(step.times(config.backend.frame_iterations)).read("preintegration", 114 * config.backend.frame_iterations)
