"""Per-frame refinement: the newest frame's state from the inertial prediction and the landmarks that it sees, window held still."""

import numpy as np

from vio.backend.landmarks import cauchy_weight
from vio.backend.preintegration import transition
from vio.backend.residuals import imu_jacobian, imu_residual
from vio.events import Event
from vio.kernels import njit
from vio.lie import apply, apply_t, matmul, matmul_t, orthonormalised, so3_exp


@njit
def match(ids, map_ids, rows_out):
    """For each id (n,) its row in map_ids (m,), or -1."""
    for k in range(ids.shape[0]):
        rows_out[k] = -1
        for m in range(map_ids.shape[0]):
            if map_ids[m] == ids[k]:
                rows_out[k] = m
                break


@njit
def _visual_normal(R, p, R_CB, t_CB, scale, xy, rows, points, cauchy, H, g, counts):
    """Add the left reprojections of known points to the normal equations in (p, theta, v); returns how many took part."""
    used = 0
    d, y = np.empty(3), np.empty(3)
    J = np.empty((2, 6))
    for k in range(rows.shape[0]):
        if rows[k] < 0:
            continue
        X = points[rows[k]]
        for i in range(3):
            d[i] = R[0, i] * (X[0] - p[0]) + R[1, i] * (X[1] - p[1]) + R[2, i] * (X[2] - p[2])
        for i in range(3):
            y[i] = R_CB[i, 0] * d[0] + R_CB[i, 1] * d[1] + R_CB[i, 2] * d[2] + t_CB[i]
        if y[2] < 0.05:
            continue
        counts[Event.FRAME_RESIDUAL] += 1
        s = scale / y[2]
        r0, r1 = scale * (y[0] / y[2] - xy[k, 0]), scale * (y[1] / y[2] - xy[k, 1])
        for a in range(2):
            z = y[a] / y[2]
            f0, f1, f2 = s * (R_CB[a, 0] - z * R_CB[2, 0]), s * (R_CB[a, 1] - z * R_CB[2, 1]), s * (R_CB[a, 2] - z * R_CB[2, 2])
            for j in range(3):
                J[a, j] = -(f0 * R[j, 0] + f1 * R[j, 1] + f2 * R[j, 2])
            J[a, 3], J[a, 4], J[a, 5] = f1 * d[2] - f2 * d[1], f2 * d[0] - f0 * d[2], f0 * d[1] - f1 * d[0]
        weight = cauchy_weight(r0 * r0 + r1 * r1, cauchy)
        if r0 * r0 + r1 * r1 < 400.0 * cauchy * cauchy:
            used += 1
        for i in range(6):
            g[i] += weight * (J[0, i] * r0 + J[1, i] * r1)
            for j in range(6):
                H[i, j] += weight * (J[0, i] * J[0, j] + J[1, i] * J[1, j])
    return used


@njit
def refine(pre, information, R0, p0, v0, bg, ba, R, p, v, R_CB, t_CB, scale, xy, rows, points, cauchy, iterations, counts):
    """Refine (R, p, v) of the newest frame in place by Gauss-Newton: inertial factor from the last keyframe (held still) and the
    left reprojections xy (n, 2) of points (m, 3) in W named by rows (n,). Returns how many points took part."""
    used = 0
    x = np.empty(9)
    for _ in range(iterations):
        r = imu_residual(pre, R0, p0, v0, bg, ba, R, p, v)
        _, J = imu_jacobian(pre, R0, p0, v0, bg, ba, R, p, v)
        J = J[:, :9]
        H, g = matmul_t(J, matmul(information, J)), apply_t(J, apply(information, r))
        used = _visual_normal(R, p, R_CB, t_CB, scale, xy, rows, points, cauchy, H, g, counts)
        if not _solve9(H, g, x):
            break
        p -= x[:3]
        R[:] = orthonormalised(matmul(R, so3_exp(-x[3:6])))
        v -= x[6:]
        if x[0] ** 2 + x[1] ** 2 + x[2] ** 2 < 1e-12 and x[3] ** 2 + x[4] ** 2 + x[5] ** 2 < 1e-12:
            break
    return used


@njit
def _solve9(H, g, x):
    """Solve H x = g (9, 9) by Cholesky; False if not positive definite."""
    n = g.shape[0]
    for j in range(n):
        for i in range(j, n):
            total = H[i, j]
            for k in range(j):
                total -= H[i, k] * H[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                H[j, j] = np.sqrt(total)
            else:
                H[i, j] = total / H[j, j]
    for i in range(n):
        total = g[i]
        for k in range(i):
            total -= H[i, k] * x[k]
        x[i] = total / H[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, n):
            total -= H[k, i] * x[k]
        x[i] = total / H[i, i]
    return True


@njit
def inverse9(covariance):
    """Information (9, 9) of a preintegration's covariance, with a floor that keeps it finite for very short spans."""
    return np.linalg.inv(covariance + 1e-12 * np.eye(9))


@njit
def frame_information(pre, R0, given_pose):
    """Information (9, 9) of the inertial prediction from a keyframe whose velocity and biases have the covariance given_pose (9, 9).

    The keyframe's pose is held still because the landmarks, held still as well, move with it. R0 (3, 3): its attitude R_WB.
    """
    F = transition(pre, R0)[:9, 6:]
    F[:3], F[6:] = matmul_t(R0, F[:3]), matmul_t(R0, F[6:])  # the residual is measured in the keyframe's B
    return inverse9(matmul(matmul(F, given_pose), F.T) + pre.covariance)


@njit
def propagated(pre, R0, covariance, gyro_walk_var, accel_walk_var):
    """Covariance (15, 15) of a frame: the keyframe's, carried along by the inertial motion (vision since then left out)."""
    F = transition(pre, R0)
    out = matmul(matmul(F, covariance), F.T)
    lift = np.eye(9)
    lift[:3, :3] = lift[6:, 6:] = R0
    out[:9, :9] += matmul(matmul(lift, pre.covariance), lift.T)
    for i in range(9, 15):
        out[i, i] += pre.dt[0] * (gyro_walk_var if i < 12 else accel_walk_var)
    return out
