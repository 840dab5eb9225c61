"""Residuals and Jacobians of the inertial factor. Perturbations as in `vio.types`; reprojection stands in `landmarks.py`."""

import numpy as np

from vio.backend.preintegration import corrected
from vio.kernels import njit
from vio.lie import apply, apply_t, matmul, matmul_t, right_jacobian, right_jacobian_inverse, skew, so3_exp, so3_log

GRAVITY = 9.81  # m/s^2, the naming law's world


@njit
def gravity():
    """Gravity (3,) in W, m/s^2."""
    return np.array([0.0, 0.0, -GRAVITY])


@njit
def imu_residual(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj):
    """Inertial residual (9,) in the order (p, theta, v); Forster 2017 eq. 45."""
    dp, dR, dv = corrected(pre, bgi, bai)
    dt, g, r = pre.dt[0], gravity(), np.empty(9)
    r[0:3] = apply_t(Ri, pj - pi - vi * dt - 0.5 * g * dt * dt) - dp
    r[3:6] = so3_log(matmul_t(dR, matmul_t(Ri, Rj)))
    r[6:9] = apply_t(Ri, vj - vi - g * dt) - dv
    return r


@njit
def imu_jacobian(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj):
    """Jacobians (9, 15), (9, 15) of `imu_residual` with respect to the tangents of states i and j; appendix C of Forster 2017."""
    dt, g = pre.dt[0], gravity()
    r_theta = imu_residual(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj)[3:6]
    jr_inv = right_jacobian_inverse(r_theta)
    moved, sped = skew(apply_t(Ri, pj - pi - vi * dt - 0.5 * g * dt * dt)), skew(apply_t(Ri, vj - vi - g * dt))
    turned = matmul(jr_inv, matmul_t(Rj, Ri))
    d_theta = pre.d_bias[3:6, 0:3]
    by_bias = matmul(jr_inv, matmul_t(so3_exp(r_theta), matmul(right_jacobian(apply(d_theta, bgi - pre.bias[:3])), d_theta)))
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
