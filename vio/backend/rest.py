"""The factor of a keyframe at rest: no velocity, the gyro measures its bias, the accelerometer its bias less gravity.

Zero-velocity update with stationary means, as of Skog, Handel, Nilsson, Rantakokko (IEEE TBME 2010) and OpenVINS' static update, but for the
mean force, which here keeps its full direction. The means are unary factors: a rest may last for minutes without any linearisation over it.
"""

from typing import NamedTuple

import numpy as np

from vio.backend.residuals import gravity
from vio.kernels import njit
from vio.lie import apply_t, matmul_t, skew

_FLOOR_GYRO, _FLOOR_ACCEL = 1e-4, 2e-3  # rad/s and m/s^2: a longer mean does not make up for scale, gravity and temperature


class Rest(NamedTuple):
    """A time at rest: seconds of it, mean rate w_B (3,) rad/s and mean specific force a_B (3,) m/s^2."""

    seconds: float
    w_B: np.ndarray
    a_B: np.ndarray


def rest_row(rest: Rest, velocity_sigma: float, gyro_var: float, accel_var: float) -> np.ndarray:
    """Row (9,) of `Window.rest`; variances are densities squared, velocity_sigma m/s."""
    gyro, accel = gyro_var / rest.seconds + _FLOOR_GYRO**2, accel_var / rest.seconds + _FLOOR_ACCEL**2
    return np.concatenate([[1.0 / velocity_sigma**2, 1.0 / gyro, 1.0 / accel], rest.w_B, rest.a_B])


@njit
def rest_residual(w, i):
    """Residual (9,) of keyframe i at rest: (v, b_g - w, b_a - R^T g - a), in m/s, rad/s and m/s^2."""
    r = np.empty(9)
    weight = apply_t(w.R[i], gravity())
    for k in range(3):
        r[k], r[3 + k], r[6 + k] = w.v[i, k], w.bg[i, k] - w.rest[i, 3 + k], w.ba[i, k] - weight[k] - w.rest[i, 6 + k]
    return r


@njit
def rest_jacobian(w, i):
    """Jacobian (9, 15) of `rest_residual` by the tangent of state i, at its linearisation point: a turn about gravity changes nothing."""
    J, turn = np.zeros((9, 15)), skew(apply_t(w.R_lin[i], gravity()))
    for k in range(3):
        J[k, 6 + k] = J[3 + k, 9 + k] = J[6 + k, 12 + k] = 1.0
        for j in range(3):
            J[6 + k, 3 + j] = -turn[k, j]
    return J


@njit
def rest_normal(w, i):
    """Normal equations H (15, 15), g (15,) of keyframe i's rest."""
    J, weighted = rest_jacobian(w, i), np.empty((9, 15))
    for k in range(9):
        for j in range(15):
            weighted[k, j] = w.rest[i, k // 3] * J[k, j]
    return matmul_t(J, weighted), apply_t(weighted, rest_residual(w, i))


@njit
def rest_cost(w, i):
    """Half the whitened squared residual of keyframe i's rest."""
    total, r = 0.0, rest_residual(w, i)
    for k in range(9):
        total += 0.5 * w.rest[i, k // 3] * r[k] * r[k]
    return total
