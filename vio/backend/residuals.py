"""Residuals and Jacobians of the inertial factor. Perturbations as in `vio.types`; reprojection stands in `landmarks.py`."""

import numpy as np

from vio.backend.preintegration import corrected
from vio.kernels import njit
from vio.lie import apply, apply_t, matmul, matmul_t, right_jacobian, right_jacobian_inverse, skew, so3_exp, so3_log

GRAVITY = 9.81  # m/s^2, the naming law's world


@njit
def gravity():
    """Gravity (3,) in W, m/s^2."""
    g = np.zeros(3)
    g[2] = -GRAVITY
    return g


@njit
def _unexplained(pre, Ri, pi, vi, pj, vj):
    """What gravity and the first state's velocity leave of the motion: change of position (3,) and of velocity (3,), both in its body."""
    dt, g = pre.dt[0], gravity()
    moved, sped = np.empty(3), np.empty(3)
    for k in range(3):
        moved[k], sped[k] = pj[k] - pi[k] - vi[k] * dt - 0.5 * g[k] * dt * dt, vj[k] - vi[k] - g[k] * dt
    return apply_t(Ri, moved), apply_t(Ri, sped)


@njit
def imu_residual(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj):
    """Inertial residual (9,) in the order (p, theta, v); Forster 2017 eq. 45."""
    dp, dR, dv = corrected(pre, bgi, bai)
    moved, sped = _unexplained(pre, Ri, pi, vi, pj, vj)
    turned, r = so3_log(matmul_t(dR, matmul_t(Ri, Rj))), np.empty(9)
    for k in range(3):
        r[k], r[3 + k], r[6 + k] = moved[k] - dp[k], turned[k], sped[k] - dv[k]
    return r


@njit
def imu_jacobian(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj):
    """Jacobians (9, 15), (9, 15) of `imu_residual` with respect to the tangents of states i and j; appendix C of Forster 2017."""
    dt, r_theta = pre.dt[0], imu_residual(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj)[3:6]
    jr_inv = right_jacobian_inverse(r_theta)
    lever, speed = _unexplained(pre, Ri, pi, vi, pj, vj)
    moved, sped = skew(lever), skew(speed)
    turned = matmul(jr_inv, matmul_t(Rj, Ri))
    d_theta, change = np.empty((3, 3)), np.empty(3)
    for i in range(3):
        change[i] = bgi[i] - pre.bias[i]
        for j in range(3):
            d_theta[i, j] = pre.d_bias[3 + i, j]
    by_bias = matmul(jr_inv, matmul_t(so3_exp(r_theta), matmul(right_jacobian(apply(d_theta, change)), d_theta)))
    Ji, Jj = np.zeros((9, 15)), np.zeros((9, 15))
    for i in range(3):
        for j in range(3):
            Ji[i, j], Jj[i, j] = -Ri[j, i], Ri[j, i]
            Ji[i, 3 + j] = moved[i, j]
            Ji[i, 6 + j] = -dt * Ri[j, i]
            Ji[3 + i, 3 + j], Jj[3 + i, 3 + j] = -turned[i, j], jr_inv[i, j]
            Ji[3 + i, 9 + j] = -by_bias[i, j]
            Ji[6 + i, 3 + j] = sped[i, j]
            Ji[6 + i, 6 + j], Jj[6 + i, 6 + j] = -Ri[j, i], Ri[j, i]
        for j in range(6):
            Ji[i, 9 + j], Ji[6 + i, 9 + j] = -pre.d_bias[i, j], -pre.d_bias[6 + i, j]
    return Ji, Jj
