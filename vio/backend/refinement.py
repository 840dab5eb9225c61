"""Per-frame refinement: the newest frame's state from the inertial prediction and the landmarks that it sees, window held still."""

import numpy as np
from scipy.linalg.lapack import dgetrf as getrf
from scipy.linalg.lapack import dgetri as getri

from vio.backend.landmarks import cauchy_weight
from vio.backend.preintegration import Preintegrated, transition
from vio.backend.residuals import imu_jacobian, imu_residual
from vio.events import Event
from vio.kernels import leaf, njit
from vio.lie import apply, apply_t, matmul, matmul_t, orthonormalised, so3_exp

_FLOOR = 1e-12 * np.eye(9)  # of a covariance, m^2, rad^2, m^2/s^2


@leaf
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
    x, J, turn = np.empty(9), np.empty((9, 9)), np.empty(3)
    for _ in range(iterations):
        r = imu_residual(pre, R0, p0, v0, bg, ba, R, p, v)
        _, by_state = imu_jacobian(pre, R0, p0, v0, bg, ba, R, p, v)
        for i in range(9):
            for j in range(9):
                J[i, j] = by_state[i, j]
        H, g = matmul_t(J, matmul(information, J)), apply_t(J, apply(information, r))
        used = _visual_normal(R, p, R_CB, t_CB, scale, xy, rows, points, cauchy, H, g, counts)
        if not _solve9(H, g, x):
            break
        for i in range(3):
            p[i], turn[i], v[i] = p[i] - x[i], -x[3 + i], v[i] - x[6 + i]
        turned = orthonormalised(matmul(R, so3_exp(turn)))
        for i in range(3):
            for j in range(3):
                R[i, j] = turned[i, j]
        if x[0] ** 2 + x[1] ** 2 + x[2] ** 2 < 1e-12 and x[3] ** 2 + x[4] ** 2 + x[5] ** 2 < 1e-12:
            break
    return used


@leaf
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


def inverse9(covariance: np.ndarray) -> np.ndarray:
    """Information (9, 9) of a preintegration's covariance, with a floor that keeps it finite for very short spans."""
    lu, pivots, _ = getrf(covariance + _FLOOR)
    return getri(lu, pivots)[0]


def frame_information(pre: Preintegrated, R0: np.ndarray, given_pose: np.ndarray) -> np.ndarray:
    """Information (9, 9) of the inertial prediction from a keyframe whose velocity and biases have the covariance given_pose (9, 9).

    The keyframe's pose is held still because the landmarks, held still as well, move with it. R0 (3, 3): its attitude R_WB.
    """
    return inverse9(_frame_covariance(pre, R0, given_pose))


@njit
def _carried(F, covariance):
    """F covariance F^T, for small matrices."""
    FP, out = matmul(F, covariance), np.zeros((F.shape[0], F.shape[0]))
    for i in range(F.shape[0]):
        for k in range(F.shape[1]):
            for j in range(F.shape[0]):
                out[i, j] += FP[i, k] * F[j, k]
    return out


@njit
def _frame_covariance(pre, R0, given_pose):
    """The inverse of `frame_information`."""
    whole, F = transition(pre, R0), np.empty((9, 9))
    for j in range(9):
        for i in range(3):
            F[3 + i, j] = whole[3 + i, 6 + j]
            F[i, j], F[6 + i, j] = 0.0, 0.0
            for k in range(3):  # the residual is measured in the keyframe's B
                F[i, j] += R0[k, i] * whole[k, 6 + j]
                F[6 + i, j] += R0[k, i] * whole[6 + k, 6 + j]
    out = _carried(F, given_pose)
    for i in range(9):
        for j in range(9):
            out[i, j] += pre.covariance[i, j]
    return out


@njit
def propagated(pre, R0, covariance, gyro_walk_var, accel_walk_var):
    """Covariance (15, 15) of a frame: the keyframe's, carried along by the inertial motion (vision since then left out)."""
    lift = np.zeros((9, 9))
    for i in range(3):
        lift[3 + i, 3 + i] = 1.0
        for j in range(3):
            lift[i, j], lift[6 + i, 6 + j] = R0[i, j], R0[i, j]
    out, own = _carried(transition(pre, R0), covariance), _carried(lift, pre.covariance)
    for i in range(9):
        for j in range(9):
            out[i, j] += own[i, j]
    for i in range(9, 15):
        out[i, i] += pre.dt[0] * (gyro_walk_var if i < 12 else accel_walk_var)
    return out
