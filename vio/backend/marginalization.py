"""Marginalisation of the oldest keyframe into the prior by the Schur complement.

First-estimate Jacobians: every state that the new prior touches keeps its linearisation point from then on, so that directions which
cannot be observed (position, yaw) stay unobserved (Huang, Mourikis, Roumeliotis, IJRR 2010).
"""

import numpy as np

from vio.backend import landmarks
from vio.backend.online_calibration import OnlineCalibration, bordered
from vio.backend.rest import rest_normal
from vio.backend.solver import Factors, Prior, imu_normals, prior_offset
from vio.backend.views import relate
from vio.backend.window import Rig, Window, relinearise
from vio.events import Event
from vio.kernels import njit
from vio.lie import so3_log


@njit
def eliminate_leading(H, g, k):
    """Schur complement of the leading k variables of a dense symmetric system, one pivot at a time: (H (d - k, d - k), g (d - k,)).

    A pivot without information is skipped: its variable then says nothing about the rest.
    """
    d = g.shape[0]
    for p in range(k):
        pivot = H[p, p]
        if not pivot > 1e-12:
            continue
        for i in range(p + 1, d):
            factor = H[i, p] / pivot
            if factor == 0.0:
                continue
            g[i] -= factor * g[p]
            for j in range(p + 1, d):
                H[i, j] -= factor * H[p, j]
    H_rest, g_rest = np.empty((d - k, d - k)), np.empty(d - k)
    for i in range(d - k):
        g_rest[i] = g[k + i]
        for j in range(d - k):
            H_rest[i, j] = 0.5 * (H[k + i, k + j] + H[k + j, k + i])
    return H_rest, g_rest


def marginalise(
    w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, scratch: landmarks.Scratch, counts: np.ndarray,
    online: OnlineCalibration | None = None,
) -> Prior:
    """Prior over keyframes 1 .. n - 1 from every factor that touches keyframe 0; freezes the linearisation points of those it ties.

    Takes the prior over the first m keyframes. Layout of the dense system: state 0 (15), state 1 (15), poses 2 .. n - 1 (6 each), and
    the calibration where it is estimated. Landmarks hosted in keyframe 0 are eliminated with all their observations.
    """
    relinearise(w, n)
    k = online.size if online is not None else 0
    size = 30 + 6 * (n - 2) + k
    H, g = np.zeros((size, size)), np.zeros(size)
    poses, border = np.concatenate([_pose_rows(i) for i in range(n)]), np.arange(size - k, size)
    _scatter(H, g, np.concatenate([poses, border]), *_reprojections(w, rig, n, cauchy, scratch, counts, online))
    inertial = imu_normals(w, f, 1)
    _scatter(H, g, np.arange(30), inertial[0][0], inertial[1][0])
    if w.rest[0, 0] > 0.0:
        _scatter(H, g, np.arange(15), *rest_normal(w, 0))
    in_prior = np.concatenate([np.arange(15), *(_pose_rows(i) for i in range(1, m)), border])
    known = prior_offset(w, m) if online is None else np.concatenate([prior_offset(w, m), online.difference()])
    _scatter(H, g, in_prior, prior.H, prior.b + prior.H @ known)
    H_r, g_r = eliminate_leading(H, g, 15)
    counts[Event.MARGINALIZATION] += 1
    offset = np.concatenate([_offset(w, n), np.zeros(k)])
    w.frozen[: n if scratch.used.any() else 2] = True  # without pictures the prior ends at state 1
    if online is not None:
        online.rebase()
        online.wander(H_r, g_r, float(f.dt[0, 0]))
    return Prior(H_r, g_r - H_r @ offset)


def _reprojections(
    w: Window, rig: Rig, n: int, cauchy: float, scratch: landmarks.Scratch, counts: np.ndarray, online: OnlineCalibration | None
) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of the landmarks hosted in keyframe 0, by the poses (6 n) and the calibration."""
    H, g = np.zeros((6 * n, 6 * n)), np.zeros(6 * n)
    R, p = (w.R, w.p) if online is None else online.seen_from(w, n)
    relate(R, p, rig, n, scratch.now)
    relate(w.R_lin, w.p_lin, rig, n, scratch.lin)
    landmarks.linearise(w, rig, n, cauchy, 0.0, 0, H, g, scratch, counts)
    full = np.tril(H) + np.tril(H, -1).T
    return (full, g) if online is None else bordered(full, g, online.columns(w, n))


def _scatter(H: np.ndarray, g: np.ndarray, at: np.ndarray, H_part: np.ndarray, g_part: np.ndarray) -> None:
    H[np.ix_(at, at)] += H_part
    g[at] += g_part


def _pose_rows(i: int) -> np.ndarray:
    """Rows of keyframe i's pose in the dense system."""
    return (15 * i if i < 2 else 18 + 6 * i) + np.arange(6)


def _offset(w: Window, n: int) -> np.ndarray:
    """Tangent from the linearisation points to the current estimates: the gradient was taken here, the prior wants it there."""
    offset = np.zeros(15 + 6 * (n - 2))
    for i in range(1, n):
        if w.frozen[i]:
            at = _pose_rows(i)[0] - 15
            offset[at : at + 3] = w.p[i] - w.p_lin[i]
            offset[at + 3 : at + 6] = so3_log(np.ascontiguousarray(w.R_lin[i].T) @ w.R[i])
    if w.frozen[1]:
        offset[6:15] = np.concatenate([w.v[1] - w.v_lin[1], w.bg[1] - w.bg_lin[1], w.ba[1] - w.ba_lin[1]])
    return offset
