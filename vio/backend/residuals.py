"""Residuals and Jacobians of the inertial factor. Perturbations as in `vio.types`; reprojection stands in `landmarks.py`."""

import numba
import numpy as np

from vio.backend.preintegration import corrected
from vio.lie import right_jacobian, right_jacobian_inverse, skew, so3_exp, so3_log

GRAVITY = 9.81  # m/s^2, the naming law's world


@numba.njit(cache=True, nogil=True)
def gravity():
    """Gravity (3,) in W, m/s^2."""
    return np.array([0.0, 0.0, -GRAVITY])


@numba.njit(cache=True, nogil=True)
def imu_residual(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj):
    """Inertial residual (9,) in the order (p, theta, v); Forster 2017 eq. 45."""
    dp, dR, dv = corrected(pre, bgi, bai)
    dt = pre.dt[0]
    g = gravity()
    r = np.empty(9)
    r[0:3] = Ri.T @ (pj - pi - vi * dt - 0.5 * g * dt * dt) - dp
    r[3:6] = so3_log(dR.T @ (Ri.T @ Rj))
    r[6:9] = Ri.T @ (vj - vi - g * dt) - dv
    return r


@numba.njit(cache=True, nogil=True)
def imu_jacobian(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj):
    """Jacobians (9, 15), (9, 15) of `imu_residual` with respect to the tangents of states i and j; appendix C of Forster 2017."""
    dt = pre.dt[0]
    g = gravity()
    r = imu_residual(pre, Ri, pi, vi, bgi, bai, Rj, pj, vj)
    r_theta = r[3:6].copy()
    jr_inv = right_jacobian_inverse(r_theta)
    Ji, Jj = np.zeros((9, 15)), np.zeros((9, 15))
    RiT = np.ascontiguousarray(Ri.T)
    Ji[0:3, 0:3], Jj[0:3, 0:3] = -RiT, RiT
    Ji[0:3, 3:6] = skew(RiT @ (pj - pi - vi * dt - 0.5 * g * dt * dt))
    Ji[0:3, 6:9] = -dt * RiT
    Ji[0:3, 9:15] = -pre.d_bias[0:3]
    Ji[3:6, 3:6] = -(jr_inv @ np.ascontiguousarray(Rj.T) @ Ri)
    Jj[3:6, 3:6] = jr_inv
    d_theta = np.ascontiguousarray(pre.d_bias[3:6, 0:3])
    correction = d_theta @ (bgi - pre.bias[:3])
    Ji[3:6, 9:12] = -(jr_inv @ np.ascontiguousarray(so3_exp(r_theta).T) @ right_jacobian(correction) @ d_theta)
    Ji[6:9, 3:6] = skew(RiT @ (vj - vi - g * dt))
    Ji[6:9, 6:9], Jj[6:9, 6:9] = -RiT, RiT
    Ji[6:9, 9:15] = -pre.d_bias[6:9]
    return Ji, Jj
