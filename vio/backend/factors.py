"""The inertial factors of a window: their storage, cost and normal equations."""

from typing import NamedTuple

import numpy as np

from vio.backend.dense import quadratic
from vio.backend.preintegration import Preintegrated
from vio.backend.residuals import imu_jacobian, imu_residual
from vio.kernels import njit
from vio.lie import apply, apply_t, matmul, matmul_t


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
def imu_cost(w, f, i):
    """Half the whitened squared residual of inertial factor i and its bias walk."""
    r = imu_residual(factor(f, i), w.R[i], w.p[i], w.v[i], w.bg[i], w.ba[i], w.R[i + 1], w.p[i + 1], w.v[i + 1])
    total = 0.5 * quadratic(f.information[i], r)
    for c in range(3):
        g, a = w.bg[i + 1, c] - w.bg[i, c], w.ba[i + 1, c] - w.ba[i, c]
        total += 0.5 * f.walk[i, 0] * (g * g) + 0.5 * f.walk[i, 1] * (a * a)
    return total
