"""Marginalisation of the oldest keyframe into the prior by the Schur complement.

First-estimate Jacobians: every state that the new prior touches keeps its linearisation point from then on, so that directions which
cannot be observed (position, yaw) stay unobserved (Huang, Mourikis, Roumeliotis, IJRR 2010).
"""

from functools import lru_cache

import numpy as np

from vio.backend import landmarks
from vio.backend.dense import bordered, scatter
from vio.backend.online_calibration import OnlineCalibration
from vio.backend.rest import rest_normal
from vio.backend.solver import Factors, Prior, imu_normals, prior_offset
from vio.backend.views import relate
from vio.backend.window import Rig, Window, relinearise
from vio.events import Event
from vio.kernels import njit


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
    scatter(H, g, _rows(0, n, k), *_reprojections(w, rig, n, cauchy, scratch, counts, online))
    inertial = imu_normals(w, f, 1)
    scatter(H, g, np.arange(30), inertial[0][0], inertial[1][0])
    if w.rest[0, 0] > 0.0:
        scatter(H, g, np.arange(15), *rest_normal(w, 0))
    moved = prior_offset(w, n)
    known = moved[: 15 + 6 * (m - 1)] if online is None else np.concatenate([moved[: 15 + 6 * (m - 1)], online.difference()])
    scatter(H, g, _rows(m, n, k), prior.H, prior.b + prior.H @ known)
    H_r, g_r = eliminate_leading(H, g, 15)
    counts[Event.MARGINALIZATION] += 1
    # the gradient was taken at the estimates, the prior wants it at the linearisation points
    offset = np.concatenate([moved[15:21], w.v[1] - w.v_lin[1], w.bg[1] - w.bg_lin[1], w.ba[1] - w.ba_lin[1], moved[21:], np.zeros(k)])
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
    return bordered(H, g, np.empty((6 * n, 0)) if online is None else online.columns(w, n))


@lru_cache(maxsize=64)
def _rows(whole: int, n: int, k: int) -> np.ndarray:
    """Rows in the dense system of n keyframes: of all poses where `whole` is 0, else of a prior over the first `whole`; and of the calibration's k."""
    poses = [(15 * i if i < 2 else 18 + 6 * i) + np.arange(6) for i in range(n)]
    states = poses if whole == 0 else [np.arange(15), *poses[1:whole]]
    return np.concatenate([*states, 30 + 6 * (n - 2) + np.arange(k)])
