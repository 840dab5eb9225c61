"""Gauss-Newton on the window: inertial factors, prior and eliminated landmarks in one compressed system."""

from typing import NamedTuple

import numpy as np

from vio.backend import landmarks
from vio.backend.landmarks import new_scratch
from vio.backend.linear_system import Layout, add_dense, add_pairs, factorise, layout, mantissa_bits, prior_rows, scalar_rows, substitute, substitute_each
from vio.backend.preintegration import Preintegrated
from vio.backend.residuals import imu_jacobian, imu_residual
from vio.backend.rest import rest_cost, rest_normal
from vio.backend.views import relate
from vio.backend.window import Rig, Window, relinearise
from vio.config import BackEndConfig
from vio.events import Event
from vio.kernels import leaf, njit
from vio.lie import apply, apply_t, matmul, matmul_t, orthonormalised, so3_exp, so3_log


class Prior(NamedTuple):
    """What is known from the marginalised past: 1/2 d^T H d + b^T d, with d the tangent from the linearisation point.

    H (k, k), b (k,), k = 15 + 6 (m - 1): the whole first state, then the poses (p, theta) of the next m - 1 keyframes.
    """

    H: np.ndarray
    b: np.ndarray


class Factors(NamedTuple):
    """Inertial factors between keyframe i and i + 1, stacked. Fields as in `Preintegrated`, leading axis (N - 1).

    information (N - 1, 9, 9) is the inverse covariance; walk (N - 1, 2) is 1 / variance of the change of (b_g, b_a).
    """

    dt: np.ndarray
    dR: np.ndarray
    dv: np.ndarray
    dp: np.ndarray
    bias: np.ndarray
    d_bias: np.ndarray
    covariance: np.ndarray
    information: np.ndarray
    walk: np.ndarray


def new_factors(keyframes: int) -> Factors:
    """Allocate the inertial factors of a window."""
    k = keyframes
    shapes = ((k, 1), (k, 3, 3), (k, 3), (k, 3), (k, 6), (k, 9, 6), (k, 9, 9), (k, 9, 9), (k, 2))
    return Factors(*(np.zeros(s) for s in shapes))


@njit
def factor(f, i):
    """The preintegration between keyframes i and i + 1, sharing memory with `f`."""
    return Preintegrated(f.dt[i], f.dR[i], f.dv[i], f.dp[i], f.bias[i], f.d_bias[i], f.covariance[i])


@njit
def prior_offset(w, m):
    """Tangent (15 + 6 (m - 1),) from the linearisation points to the current estimates of the prior's m keyframes."""
    d = np.empty(15 + 6 * (m - 1))
    for i in range(m):
        at, turn = 0 if i == 0 else 15 + 6 * (i - 1), so3_log(matmul_t(w.R_lin[i], w.R[i]))
        for k in range(3):
            d[at + k], d[at + 3 + k] = w.p[i, k] - w.p_lin[i, k], turn[k]
    for k in range(3):
        d[6 + k], d[9 + k], d[12 + k] = w.v[0, k] - w.v_lin[0, k], w.bg[0, k] - w.bg_lin[0, k], w.ba[0, k] - w.ba_lin[0, k]
    return d


@njit
def imu_normal(w, f, i):
    """Normal equations H (30, 30), g (30,) of inertial factor i with its bias walk; the two states' tangents in order."""
    pre, J = factor(f, i), np.empty((9, 30))
    Ji, Jj = imu_jacobian(pre, w.R_lin[i], w.p_lin[i], w.v_lin[i], w.bg_lin[i], w.ba_lin[i], w.R_lin[i + 1], w.p_lin[i + 1], w.v_lin[i + 1])
    for a in range(9):
        for b in range(15):
            J[a, b], J[a, 15 + b] = Ji[a, b], Jj[a, b]
    r = imu_residual(pre, w.R[i], w.p[i], w.v[i], w.bg[i], w.ba[i], w.R[i + 1], w.p[i + 1], w.v[i + 1])
    H, g = matmul_t(J, matmul(f.information[i], J)), apply_t(J, apply(f.information[i], r))
    for c in range(3):
        for k in range(2):
            a, b = 9 + 3 * k + c, 24 + 3 * k + c
            change = w.bg[i + 1, c] - w.bg[i, c] if k == 0 else w.ba[i + 1, c] - w.ba[i, c]
            wk = f.walk[i, k]
            H[a, a] += wk
            H[b, b] += wk
            H[a, b] -= wk
            H[b, a] -= wk
            g[a] -= wk * change
            g[b] += wk * change
    return H, g


@njit
def imu_normals(w, f, n):
    """`imu_normal` of the first n factors: H (n, 30, 30), g (n, 30)."""
    H, g = np.empty((n, 30, 30)), np.empty((n, 30))
    for i in range(n):
        H_i, g_i = imu_normal(w, f, i)
        for a in range(30):
            g[i, a] = g_i[a]
            for b in range(30):
                H[i, a, b] = H_i[a, b]
    return H, g


@njit
def imu_cost(w, f, i):
    """Half the whitened squared residual of inertial factor i and its bias walk."""
    r, dot = imu_residual(factor(f, i), w.R[i], w.p[i], w.v[i], w.bg[i], w.ba[i], w.R[i + 1], w.p[i + 1], w.v[i + 1]), 0.0
    weighted = apply(f.information[i], r)
    for k in range(9):
        dot += r[k] * weighted[k]
    total = 0.5 * dot
    for c in range(3):
        g, a = w.bg[i + 1, c] - w.bg[i, c], w.ba[i + 1, c] - w.ba[i, c]
        total += 0.5 * f.walk[i, 0] * (g * g) + 0.5 * f.walk[i, 1] * (a * a)
    return total


@njit
def states_cost(w, f, prior, d, n, visual):
    """Prior at the tangent d from its linearisation point, n - 1 inertial factors and rests, on top of the cost `visual`."""
    Hd, square, linear = apply(prior.H, d), 0.0, 0.0
    for k in range(d.shape[0]):
        square += d[k] * Hd[k]
        linear += prior.b[k] * d[k]
    total = 0.5 * square + linear + visual
    for i in range(n - 1):
        total += imu_cost(w, f, i)
    for i in range(n):
        if w.rest[i, 0] > 0.0:
            total += rest_cost(w, i)
    return total


def total_cost(
    w: Window, R: np.ndarray, p: np.ndarray, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, scratch: landmarks.Scratch
) -> float:
    """The objective at the current estimates: prior of m keyframes, n - 1 inertial factors, rests, robust reprojections.

    R (N, 3, 3), p (N, 3): poses at the instants of the pictures, those of the states unless the cameras' clock is in doubt.
    Renews `scratch.now`.
    """
    relate(R, p, rig, n, scratch.now)
    return states_cost(w, f, prior, prior_offset(w, m), n, landmarks.cost(w, rig, scratch.now, n, cauchy))


def build(
    w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, lam: float, at: Layout, scratch: landmarks.Scratch,
    H: np.ndarray, g: np.ndarray, blocks: np.ndarray, gradient: np.ndarray, counts: np.ndarray,
) -> None:
    """Linearise every factor into the compressed system (blocks, gradient); m keyframes are in the prior. `scratch.now` is to be current.

    H (6 n, 6 n), g (6 n,) become the share of the reprojections alone, of H the blocks on and below the diagonal.
    """
    for a in (blocks, gradient, H, g):
        a[:] = 0.0
    relate(w.R_lin, w.p_lin, rig, n, scratch.lin)
    landmarks.linearise(w, rig, n, cauchy, lam, -1, H, g, scratch, counts)
    add_dense(blocks, gradient, at.slot, at.position[:, :2].ravel(), H, g)
    add_pairs(blocks, gradient, at.slot, at.position.ravel(), *imu_normals(w, f, n - 1))
    counts[Event.IMU_FACTOR] += n - 1
    for i in np.flatnonzero(w.rest[:n, 0] > 0.0):
        add_dense(blocks, gradient, at.slot, at.position[i], *rest_normal(w, i))
    add_dense(blocks, gradient, at.slot, prior_rows(n, m), prior.H, prior.b + apply(prior.H, prior_offset(w, m)))


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


class Solver:
    """Gauss-Newton over one window. The loops over states and factors are compiled; this class drives a handful of calls a step.

    Longer compiled functions would do the same in microseconds less; each would carry its own copy of what others need too, through a first
    compilation longer by a quarter of a minute.
    """

    def __init__(self, keyframes: int, rows: int, arithmetic: str = "float64") -> None:
        """Allocate the scratch memory for windows of up to `keyframes` keyframes and `rows` landmarks; arithmetic as in the configuration."""
        self.scratch, self._mantissa = new_scratch(keyframes, rows), mantissa_bits(arithmetic)
        self._visual = np.zeros((6 * keyframes) ** 2), np.zeros(6 * keyframes)  # the reprojections' share of the last system
        self._factor: np.ndarray | None = None  # of the last undamped system of `optimise`

    def view(self, w: Window, rig: Rig, n: int) -> None:
        """Bring `scratch.now` to the current estimates."""
        relate(w.R, w.p, rig, n, self.scratch.now)

    def _cost(self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float) -> float:
        """The objective at the current estimates; brings `scratch.now` there."""
        return total_cost(w, w.R, w.p, rig, f, prior, m, n, cauchy, self.scratch)

    def _factorised(self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, lam: float, counts: np.ndarray):
        """Build and factorise the system; (blocks, gradient) or None if it is not positive definite."""
        at = layout(n)
        blocks, gradient = np.empty((at.slots, 3, 3)), np.empty(15 * n)
        H, g = self._visual[0][: 36 * n * n].reshape(6 * n, 6 * n), self._visual[1][: 6 * n]
        build(w, rig, f, prior, m, n, cauchy, lam, at, self.scratch, H, g, blocks, gradient, counts)
        raise_diagonal(blocks, at.slot, lam)
        return (blocks, gradient) if factorise(blocks, at.slot, at.rows, at.row_begin, self._mantissa, counts) else None

    def _substituted(self, factor: np.ndarray, n: int, x: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Solution of the factorised system for the right-hand side x (15 n,), in its place."""
        at = layout(n)
        substitute(factor, at.slot, at.rows, at.row_begin, x, self._mantissa, counts)
        return x

    def _substituted_each(self, factor: np.ndarray, n: int, X: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Solutions for the right-hand sides in the rows of X (k, 15 n), in their place."""
        at = layout(n)
        substitute_each(factor, at.slot, at.rows, at.row_begin, X, self._mantissa, counts)
        return X

    def _step(self, system: tuple[np.ndarray, np.ndarray], w: Window, n: int, max_inverse_depth: float, counts: np.ndarray) -> None:
        """Move states and landmarks by the solution."""
        dx = np.empty(6 * n)
        apply_step(w, n, layout(n).position, self._substituted(system[0], n, -system[1], counts), dx)
        landmarks.back_substitute(w, n, dx, self.scratch, max_inverse_depth)

    def _estimates(self, w: Window) -> tuple[np.ndarray, ...]:
        """The arrays that a step changes."""
        return w.R, w.p, w.v, w.bg, w.ba, w.point

    def optimise(
        self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, config: BackEndConfig, counts: np.ndarray
    ) -> bool:
        """Gauss-Newton steps until |cost change| / cost < cost_tolerance or `iterations` is reached; m keyframes are in the prior.

        A step that raises the cost is undone and retried with damping. Returns whether at least one system could be solved.
        """
        problem = (w, rig, f, prior, m, n, config.cauchy)
        cost = self._cost(*problem)
        lam, solved, self._factor = 0.0, False, None
        for _ in range(config.iterations):
            relinearise(w, n)
            counts[Event.GAUSS_NEWTON_ITERATION] += 1
            system = self._factorised(*problem, lam, counts)
            if system is None:
                lam = max(10.0 * lam, 1e-6)
                continue
            solved = True
            if lam == 0.0:
                self._factor = system[0]
            keep = [a.copy() for a in self._estimates(w)]
            self._step(system, w, n, 1.0 / config.min_depth, counts)
            after = self._cost(*problem)
            if not after <= cost * (1.0 + 1e-9) + 1e-12:  # also catches a cost that is not a number
                for a, old in zip(self._estimates(w), keep, strict=True):
                    a[:] = old
                self.view(w, rig, n)
                lam = max(10.0 * lam, 1e-4)
                continue
            change, cost, lam = cost - after, after, 0.1 * lam if lam > 1e-6 else 0.0
            if change <= config.cost_tolerance * cost:
                break
        return solved

    def newest_covariance(
        self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, counts: np.ndarray
    ) -> np.ndarray:
        """Covariance (15, 15) of the newest keyframe: the columns of the inverse that belong to it; zeros if there is none.

        Takes the factor of the last step of `optimise`, which is linearised one step earlier, unless that was damped.
        """
        at = layout(n)
        if self._factor is None:
            system = self._factorised(w, rig, f, prior, m, n, cauchy, 0.0, counts)
            if system is None:
                return np.zeros((15, 15))
            self._factor = system[0]
        own, columns = scalar_rows(at.position[n - 1]), np.zeros((15, 15 * n))
        columns[np.arange(15), own] = 1.0
        out = self._substituted_each(self._factor, n, columns, counts)[:, own]
        return 0.5 * (out + out.T)
