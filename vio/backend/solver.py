"""Gauss-Newton on the window and the calibration: inertial factors, prior and eliminated landmarks in one compressed system with a border.

The border of k rows, what is estimated of the calibration, is dense and eliminated last: with the factor of the states' H, Z = H^-1 C and
S = D - C^T Z solve

    [H  C] [x]     [g]
    [C' D] [y] = - [e].

Nothing of the sparse solver changes, and the states' covariance grows by Z S^-1 Z^T, what the calibration leaves open. Where nothing of it is
estimated, k is 0.
"""

from typing import NamedTuple

import numpy as np

from vio.backend import landmarks
from vio.backend.dense import bordered, quadratic, solve
from vio.backend.factors import Factors, imu_cost, imu_normal
from vio.backend.guard import is_finite
from vio.backend.landmarks import new_scratch
from vio.backend.linear_system import add_dense, factorise, layout, mantissa_bits, prior_rows, substitute
from vio.backend.online_calibration import OnlineCalibration
from vio.backend.prior import Prior
from vio.backend.rest import rest_cost, rest_normal
from vio.backend.unknowns import columns, known_offset, mount, move, seen_from
from vio.backend.views import relate
from vio.backend.window import Rig, Window, relinearise
from vio.config import BackEndConfig
from vio.events import Event
from vio.kernels import leaf, njit
from vio.lie import apply, apply_t, matmul, matmul_t, orthonormalised, so3_exp


class System(NamedTuple):
    """The system of n keyframes, in the storage of `linear_system` blocks (slots, 3, 3) and gradient (15 n,), blocks its factor in the end.

    H (6 n, 6 n), g (6 n,): the share of the reprojections alone, of H the blocks on and below the diagonal. The border of k rows: C^T
    (k, 15 n), Z^T = (H^-1 C)^T, S (k, k) the calibration's information with the states free, e (k,) its gradient, X (6 n, k).
    """

    blocks: np.ndarray
    gradient: np.ndarray
    H: np.ndarray
    g: np.ndarray
    C: np.ndarray
    Z: np.ndarray
    S: np.ndarray
    e: np.ndarray
    X: np.ndarray


def new_system(n: int, k: int) -> System:
    """Allocate one."""
    shapes = ((layout(n).slots, 3, 3), 15 * n, (6 * n, 6 * n), 6 * n, (k, 15 * n), (k, 15 * n), (k, k), k, (6 * n, k))
    return System(*map(np.zeros, shapes))


@njit
def quadratic_cost(prior, d):
    """Cost of the prior at the tangent d from its linearisation point."""
    linear = 0.0
    for k in range(d.shape[0]):
        linear += prior.b[k] * d[k]
    return 0.5 * quadratic(prior.H, d) + linear


@njit(nogil=True)
def total_cost(w, rig, c, f, prior, m, n, cauchy, s):
    """The objective at the current estimates: prior of m keyframes, n - 1 inertial factors, rests, robust reprojections. Renews `s.now`."""
    R, p = seen_from(w, c, n)
    relate(R, p, rig, n, s.now)
    total = quadratic_cost(prior, known_offset(w, m, c)) + landmarks.cost(w, rig, s.now, n, cauchy)
    for i in range(n - 1):
        total += imu_cost(w, f, i)
    for i in range(n):
        if w.rest[i, 0] > 0.0:
            total += rest_cost(w, i)
    return total


@njit
def look(w, rig, c, n, views):
    """Bring the rig and the views of n keyframes to the current estimates."""
    mount(c, rig)
    R, p = seen_from(w, c, n)
    relate(R, p, rig, n, views)


@njit
def build(w, rig, c, f, prior, m, n, cauchy, lam, at, system, s, counts):
    """Linearise every factor into a `System` of zeros, but for C, Z and S; m keyframes are in the prior. `s.now` is to be current."""
    relate(w.R_lin, w.p_lin, rig, n, s.lin)
    landmarks.linearise(w, rig, n, cauchy, lam, -1, system.H, system.g, s, counts)
    add_dense(system.blocks, system.gradient, at.slot, at.position[:, :2].ravel(), system.H, system.g)
    for i in range(n - 1):
        H, g = imu_normal(w, f, i)
        add_dense(system.blocks, system.gradient, at.slot, at.position[i : i + 2].ravel(), H, g)
    counts[Event.IMU_FACTOR] += n - 1
    for i in range(n):
        if w.rest[i, 0] > 0.0:
            H, g = rest_normal(w, i)
            add_dense(system.blocks, system.gradient, at.slot, at.position[i], H, g)
    pull, states = prior.b + apply(prior.H, known_offset(w, m, c)), prior_rows(at.position, m)
    add_dense(system.blocks, system.gradient, at.slot, states, prior.H, pull)
    system.e[:] = pull[3 * states.shape[0] :]


@njit
def add_border(w, c, prior, m, n, lam, at, mantissa, system, counts):
    """The border of a system whose states' share is built and factorised."""
    k = system.e.shape[0]
    if k == 0:
        return
    system.X[:] = columns(w, c, n)
    H, g = bordered(system.H, system.g, system.X)
    known, C = prior_rows(at.position, m), system.C
    own = 3 * known.shape[0]
    for a in range(k):
        for i in range(6 * n):
            C[a, 3 * at.position[i // 6, i // 3 % 2] + i % 3] = H[6 * n + a, i]
        for i in range(own):
            C[a, 3 * known[i // 3] + i % 3] += prior.H[own + a, i]
        system.e[a] = g[6 * n + a] + system.e[a]
    Z = C.T.copy()
    substitute(system.blocks, at.slot, at.rows, at.row_begin, Z, mantissa, counts)
    system.Z[:] = Z.T
    for a in range(k):
        for b in range(k):
            D, total = H[6 * n + a, 6 * n + b] + prior.H[own + a, own + b], 0.0
            for i in range(15 * n):
                total += C[a, i] * system.Z[b, i]
            system.S[a, b] = (D * (1.0 + lam) if a == b else D) - total


@njit(nogil=True)
def assemble(w, rig, c, f, prior, m, n, cauchy, lam, at, mantissa, system, s, counts):
    """Build and factorise a `System` of zeros; False if it is not positive definite."""
    build(w, rig, c, f, prior, m, n, cauchy, lam, at, system, s, counts)
    raise_diagonal(system.blocks, at.slot, lam)
    if not factorise(system.blocks, at.slot, at.rows, at.row_begin, mantissa, counts):
        return False
    add_border(w, c, prior, m, n, lam, at, mantissa, system, counts)
    return True


@njit
def apply_step(w, n, position, x, dx):
    """Move the states by the solution x (15 n,) of H x = -g and keep the pose steps in dx (6 n,)."""
    turn = np.empty(3)
    for i in range(n):
        for k in range(3):
            turn[k] = x[3 * position[i, 1] + k]
            dx[6 * i + k], dx[6 * i + 3 + k] = x[3 * position[i, 0] + k], turn[k]
            w.p[i, k] += x[3 * position[i, 0] + k]
            w.v[i, k] += x[3 * position[i, 2] + k]
            w.bg[i, k] += x[3 * position[i, 3] + k]
            w.ba[i, k] += x[3 * position[i, 4] + k]
        turned = orthonormalised(matmul(w.R[i], so3_exp(turn)))
        for k in range(3):
            for j in range(3):
                w.R[i, k, j] = turned[k, j]


@leaf
def raise_diagonal(blocks, slot, lam):
    """Levenberg's damping: multiply the diagonal of the compressed system by 1 + lam."""
    for k in range(slot.shape[0]):
        for i in range(3):
            blocks[slot[k, k], i, i] *= 1.0 + lam


@njit
def border_step(system, x, free):
    """Step y (k,) of the calibration with the states' own x (15 n,), rows from `free` on; and by how much the first row would move, were it free."""
    k = system.e.shape[0]
    left = -(system.e + apply(system.C, x))
    whole, y = solve(system.S, left.reshape(k, 1)), np.zeros(k)
    rows = solve(system.S[free:, free:].copy(), left[free:].copy().reshape(k - free, 1)) if free > 0 else whole
    y[free:] = rows[:, 0]
    return y, whole[0, 0] if k > 0 else 0.0


@njit(nogil=True)
def take_step(w, rig, c, n, free, max_inverse_depth, at, mantissa, system, s, counts):
    """Move states, landmarks and the calibration's rows from `free` on by the solution.

    Returns by how much the calibration's first row would move, were it free, and whether a bound of the calibration was hit.
    """
    x, dx = -system.gradient, np.empty(6 * n)
    substitute(system.blocks, at.slot, at.rows, at.row_begin, x.reshape(15 * n, 1), mantissa, counts)
    y, wanted = border_step(system, x, free)
    apply_step(w, n, at.position, x - apply_t(system.Z, y), dx)
    is_at_bound = move(c, rig, y)
    landmarks.back_substitute(w, n, dx + apply(system.X, y), s, max_inverse_depth)
    return wanted, is_at_bound


@njit(nogil=True)
def newest_covariance(n, free, at, mantissa, system, counts):
    """Covariance (15, 15) of the newest keyframe: the columns of the inverse that belong to it, and what the calibration's rows from `free` on
    leave open."""
    columns, out, own = np.zeros((15 * n, 15)), np.empty((15, 15)), np.empty((system.e.shape[0] - free, 15))
    for i in range(15):
        columns[3 * at.position[n - 1, i // 3] + i % 3, i] = 1.0
    substitute(system.blocks, at.slot, at.rows, at.row_begin, columns, mantissa, counts)
    for i in range(15):
        row = 3 * at.position[n - 1, i // 3] + i % 3
        for j in range(15):
            out[j, i] = columns[row, j]
        for a in range(own.shape[0]):
            own[a, i] = system.Z[free + a, row]
    out = 0.5 * (out + out.T) + matmul_t(own, solve(system.S[free:, free:].copy(), own))
    return 0.5 * (out + out.T)


class Solver:
    """Gauss-Newton over one window. A step is three compiled calls, each without Python's lock: cost, system, step."""

    def __init__(self, keyframes: int, rows: int, arithmetic: str, online: OnlineCalibration) -> None:
        """Allocate the scratch memory for windows of up to `keyframes` keyframes and `rows` landmarks; arithmetic as in the configuration.

        online: what is estimated of the calibration, and moved by each step.
        """
        self.scratch, self._mantissa, self._online = new_scratch(keyframes, rows), mantissa_bits(arithmetic), online
        self._undamped: System | None = None  # the last system without damping of `optimise`
        self._wanted = 0.0  # step of the first calibration row, were it free

    def view(self, w: Window, rig: Rig, n: int) -> None:
        """Bring rig and `scratch.now` to the current estimates."""
        look(w, rig, self._online.unknowns, n, self.scratch.now)

    def _assembled(self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, lam: float, counts: np.ndarray) -> System | None:
        """The factorised system; None if it is not positive definite."""
        system = new_system(n, self._online.size)
        c, at = self._online.unknowns, layout(n)
        if not assemble(w, rig, c, f, prior, m, n, cauchy, lam, at, self._mantissa, system, self.scratch, counts):
            return None
        self._undamped = system if lam == 0.0 else self._undamped
        return system

    def _step(self, system: System, w: Window, rig: Rig, n: int, max_inverse_depth: float, counts: np.ndarray) -> None:
        """Move states, landmarks and calibration by the solution."""
        online = self._online
        self._wanted, online.out_of_bounds = take_step(
            w, rig, online.unknowns, n, online.free.start, max_inverse_depth, layout(n), self._mantissa, system, self.scratch, counts
        )

    def optimise(self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, config: BackEndConfig, counts: np.ndarray) -> bool:
        """Gauss-Newton steps until |cost change| / cost < cost_tolerance or `iterations` is reached; m keyframes are in the prior.

        A step that raises the cost is undone and retried with damping. Returns whether at least one system could be solved. Where the
        calibrated clock has just lost its credit, once more with the offset free, before anything is rejected.
        """
        self._undamped = None
        solved, believed = self._descend(w, rig, f, prior, m, n, config, counts), not self._online.follows
        if self._undamped is not None:
            S_inv = solve(self._undamped.S, np.eye(self._online.size))
            if is_finite(S_inv):
                self._online.judge(self._wanted, 0.5 * (S_inv + S_inv.T))
        if believed and self._online.follows:
            self._undamped = None
            return self._descend(w, rig, f, prior, m, n, config, counts)
        return solved

    def _descend(self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, config: BackEndConfig, counts: np.ndarray) -> bool:
        """The steps of `optimise`."""
        here = (w, rig, self._online.unknowns, f, prior, m, n, config.cauchy, self.scratch)
        estimates = (w.R, w.p, w.v, w.bg, w.ba, w.point, *self._online.estimates)
        cost, lam, solved = total_cost(*here), 0.0, False
        for _ in range(config.iterations):
            relinearise(w, n)
            counts[Event.GAUSS_NEWTON_ITERATION] += 1
            system = self._assembled(w, rig, f, prior, m, n, config.cauchy, lam, counts)
            if system is None:
                lam = max(10.0 * lam, 1e-6)
                continue
            solved = True
            keep = [a.copy() for a in estimates]
            self._step(system, w, rig, n, 1.0 / config.min_depth, counts)
            after = total_cost(*here)
            if not after <= cost * (1.0 + 1e-9) + 1e-12:  # also catches a cost that is not a number
                for a, old in zip(estimates, keep, strict=True):
                    a[:] = old
                self.view(w, rig, n)
                lam = max(10.0 * lam, 1e-4)
                continue
            change, cost, lam = cost - after, after, 0.1 * lam if lam > 1e-6 else 0.0
            if change <= config.cost_tolerance * cost:
                break
        return solved

    def newest_covariance(self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, counts: np.ndarray) -> np.ndarray:
        """Covariance (15, 15) of the newest keyframe; zeros if there is none.

        Takes the factor of the last step of `optimise`, which is linearised one step earlier, unless that was damped.
        """
        if self._undamped is None and self._assembled(w, rig, f, prior, m, n, cauchy, 0.0, counts) is None:
            return np.zeros((15, 15))
        return newest_covariance(n, self._online.free.start, layout(n), self._mantissa, self._undamped, counts)
