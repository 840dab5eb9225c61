"""Per-frame refinement: the newest frame's state from the inertial prediction and the landmarks that it sees, window held still."""

from typing import NamedTuple

import numpy as np

from vio.backend.dense import is_finite_all, quadratic, solve
from vio.backend.guard import is_positive
from vio.backend.landmarks import cauchy_weight
from vio.backend.preintegration import predict, transition
from vio.backend.residuals import gravity, imu_jacobian, imu_residual
from vio.events import Event
from vio.kernels import leaf, njit
from vio.lie import apply, apply_t, matmul, matmul_t, orthonormalised, so3_exp

_FLOOR = 1e-12  # of a variance, m^2, rad^2, m^2/s^2
_DEGREES = 9  # of freedom of an inertial residual


class Forecast(NamedTuple):
    """The inertial prediction for a frame: R (3, 3), p, v (3,), their information (9, 9) given the keyframe's pose, the covariance (15, 15) of
    the state with vision since the keyframe left out, and of that the share (15, 15) which is left when the keyframe's pose is known."""

    R: np.ndarray
    p: np.ndarray
    v: np.ndarray
    information: np.ndarray
    covariance: np.ndarray
    given_pose: np.ndarray


def new_forecast() -> Forecast:
    """Allocate one."""
    return Forecast(np.empty((3, 3)), np.empty(3), np.empty(3), np.empty((9, 9)), np.empty((15, 15)), np.empty((15, 15)))


@njit
def foresee(w, i, pre, covariance, given_pose, walk_var, out):
    """Fill `out` with the forecast from keyframe i of covariance (15, 15), given_pose (9, 9) of its velocity and biases its pose being known,
    and variances walk_var (2,) of the biases' walks. Returns whether all of it makes sense."""
    R, p, v = predict(pre, w.R[i], w.p[i], w.v[i], w.bg[i], w.ba[i], gravity())
    F, alone = transition(pre, w.R[i]), np.zeros((15, 15))
    for a in range(9):
        for b in range(9):
            alone[6 + a, 6 + b] = given_pose[a, b]
    out.given_pose[:] = _propagated(pre, w.R[i], F, alone, walk_var)
    information, carried = inverse9(_frame_covariance(pre, w.R[i], F, given_pose)), _propagated(pre, w.R[i], F, covariance, walk_var)
    out.R[:], out.p[:], out.v[:], out.information[:], out.covariance[:] = R, p, v, information, carried
    return is_finite_all(R.ravel()) and is_finite_all(p) and is_finite_all(v) and is_positive(information) and is_positive(carried)


@leaf
def match(ids, map_ids, rows_out):
    """For each id (n,) its row in map_ids (m,), or -1; looked for from the last one found, for both are nearly in order."""
    row, size = 0, map_ids.shape[0]
    for k in range(ids.shape[0]):
        rows_out[k] = -1
        for _ in range(size):
            if map_ids[row] == ids[k]:
                rows_out[k] = row
                break
            row = row + 1 if row + 1 < size else 0


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
def refine(w, h, pre, forecast, rig, ids, xy, map_ids, points, cauchy, iterations, T_WB, v, covariance, counts):
    """State T_WB (4, 4), v (3,) of a frame and its covariance (15, 15) by Gauss-Newton: the forecast from keyframe h (held still), and the left reprojections xy (n, 2) of
    landmarks ids (n,), of which points (m, 3) in W are known under map_ids (m,).

    Returns how many points took part, negative if the result is not finite, and the squared difference to the forecast, whitened by its
    covariance, per degree of freedom.
    """
    R0, p0, v0, bg, ba = w.R[h], w.p[h], w.v[h], w.bg[h], w.ba[h]
    R, p, information = forecast.R.copy(), forecast.p.copy(), forecast.information
    v[:] = forecast.v
    rows = np.empty(ids.shape[0], np.int64)
    match(ids, map_ids, rows)
    used = 0
    x, J, turn, seen = np.empty(9), np.empty((9, 9)), np.empty(3), np.zeros((6, 6))
    for _ in range(iterations):
        r = imu_residual(pre, R0, p0, v0, bg, ba, R, p, v)
        _, by_state = imu_jacobian(pre, R0, p0, v0, bg, ba, R, p, v)
        for i in range(9):
            for j in range(9):
                J[i, j] = by_state[i, j]
        H, g = matmul_t(J, matmul(information, J)), apply_t(J, apply(information, r))
        for i in range(6):
            for j in range(6):
                seen[i, j] = -H[i, j]
        used = _visual_normal(R, p, rig.R_cam[0], rig.t_cam[0], rig.scale[0], xy, rows, points, cauchy, H, g, counts)
        for i in range(6):
            for j in range(6):
                seen[i, j] += H[i, j]
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
    T_WB[:3, :3], T_WB[:3, 3], T_WB[3, :3], T_WB[3, 3] = R, p, 0.0, 1.0
    _inform(forecast, seen, covariance)
    square = quadratic(information, imu_residual(pre, R0, p0, v0, bg, ba, R, p, v))
    return used if is_finite_all(T_WB.ravel()) and is_finite_all(v) else -1, square / _DEGREES


@njit
def _inform(forecast, seen, covariance):
    """Covariance (15, 15) of the forecast state once its pose is seen with the information `seen` (6, 6), the keyframe's pose being known.

    With C the share of the covariance P that is left when that pose is known, and L L^T = seen: P - C L (1 + L^T C L)^-1 L^T C, the columns
    of C those of the pose. What the keyframe's own pose adds stays, for the landmarks move with it. P where rounding leaves nothing positive.
    """
    L, C = np.zeros((6, 6)), forecast.given_pose
    for j in range(6):
        for i in range(j, 6):
            total = seen[i, j]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            if i == j:
                L[j, j] = np.sqrt(max(total, 0.0))
            else:
                L[i, j] = total / L[j, j] if L[j, j] > 0.0 else 0.0
    CL, LtC, G = np.zeros((15, 6)), np.zeros((6, 15)), np.eye(6)
    for i in range(15):
        for j in range(6):
            for k in range(j, 6):
                CL[i, j] += C[i, k] * L[k, j]
            LtC[j, i] = CL[i, j]
    for i in range(6):
        for j in range(6):
            for k in range(i, 6):
                G[i, j] += L[k, i] * CL[k, j]
    less = matmul(CL, solve(G, LtC))
    for i in range(15):
        for j in range(15):
            covariance[i, j] = forecast.covariance[i, j] - 0.5 * (less[i, j] + less[j, i])
    if not is_positive(covariance):
        covariance[:] = forecast.covariance


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


@njit
def inverse9(covariance):
    """Information (9, 9) of a preintegration's covariance, with a floor that keeps it finite for very short spans."""
    raised, one = covariance.copy(), np.zeros((9, 9))
    for i in range(9):
        raised[i, i] += _FLOOR
        one[i, i] = 1.0
    return solve(raised, one)


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
def _frame_covariance(pre, R0, whole, given_pose):
    """Covariance (9, 9) of the inertial prediction from a keyframe whose velocity and biases have the covariance given_pose (9, 9).

    The keyframe's pose is held still because the landmarks, held still as well, move with it. R0 (3, 3): its attitude R_WB; whole (15, 15)
    the `transition` from there.
    """
    F = np.empty((9, 9))
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
def _propagated(pre, R0, whole, covariance, walk_var):
    """Covariance (15, 15) of a frame: the keyframe's, carried along by the inertial motion (vision since then left out)."""
    lift = np.zeros((9, 9))
    for i in range(3):
        lift[3 + i, 3 + i] = 1.0
        for j in range(3):
            lift[i, j], lift[6 + i, 6 + j] = R0[i, j], R0[i, j]
    out, own = _carried(whole, covariance), _carried(lift, pre.covariance)
    for i in range(9):
        for j in range(9):
            out[i, j] += own[i, j]
    for i in range(9, 15):
        out[i, i] += pre.dt[0] * walk_var[0 if i < 12 else 1]
    return out
