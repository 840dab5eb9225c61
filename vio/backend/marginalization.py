"""Marginalisation of the oldest keyframe into the prior by the Schur complement.

First-estimate Jacobians: every state that the new prior touches keeps its linearisation point from then on, so that directions which
cannot be observed (position, yaw) stay unobserved (Huang, Mourikis, Roumeliotis, IJRR 2010).
"""

import numpy as np

from vio.backend import landmarks
from vio.backend.dense import bordered, scatter
from vio.backend.factors import Factors, imu_normal
from vio.backend.online_calibration import OnlineCalibration
from vio.backend.prior import Prior, prior_offset
from vio.backend.rest import rest_normal
from vio.backend.unknowns import columns, known_offset, seen_from
from vio.backend.views import relate
from vio.backend.window import Rig, Window, relinearise
from vio.events import Event
from vio.kernels import njit
from vio.lie import apply

_NO_VARIANCE = 1e-30  # a smaller one counts as none


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


@njit
def _rows(whole, n, k):
    """Rows in the dense system of n keyframes: of all poses where `whole` is 0, else of a prior over the first `whole`; and of the calibration's k."""
    poses, at = n if whole == 0 else whole, 0
    rows = np.empty(6 * poses + (0 if whole == 0 else 9) + k, np.int64)
    for i in range(poses):
        first = 15 * i if i < 2 else 18 + 6 * i
        for j in range(15 if i == 0 and whole > 0 else 6):
            rows[at] = first + j
            at += 1
    for j in range(k):
        rows[at + j] = 30 + 6 * (n - 2) + j
    return rows


@njit
def _reprojections(w, rig, c, n, cauchy, s, counts):
    """Normal equations of the landmarks hosted in keyframe 0, by the poses (6 n) and the calibration."""
    H, g = np.zeros((6 * n, 6 * n)), np.zeros(6 * n)
    R, p = seen_from(w, c, n)
    relate(R, p, rig, n, s.now)
    relate(w.R_lin, w.p_lin, rig, n, s.lin)
    landmarks.linearise(w, rig, n, cauchy, 0.0, 0, H, g, s, counts)
    return bordered(H, g, columns(w, c, n))


@njit(nogil=True)
def without_oldest(w, rig, c, f, prior, m, n, cauchy, s, counts):
    """Normal equations of what touches keyframe 0 with its state eliminated, and the tangent by which the others have left their linearisation
    points; freezes those of the keyframes that it ties."""
    relinearise(w, n)
    k = prior.b.shape[0] - 9 - 6 * m
    H, g = np.zeros((18 + 6 * n + k, 18 + 6 * n + k)), np.zeros(18 + 6 * n + k)
    seen, pull = _reprojections(w, rig, c, n, cauchy, s, counts)
    scatter(H, g, _rows(0, n, k), seen, pull)
    inertial, pull = imu_normal(w, f, 0)
    scatter(H, g, np.arange(30), inertial, pull)
    if w.rest[0, 0] > 0.0:
        resting, pull = rest_normal(w, 0)
        scatter(H, g, np.arange(15), resting, pull)
    scatter(H, g, _rows(m, n, k), prior.H, prior.b + apply(prior.H, known_offset(w, m, c)))
    H_r, g_r = eliminate_leading(H, g, 15)
    counts[Event.MARGINALIZATION] += 1
    moved, offset = prior_offset(w, n), np.zeros(g_r.shape[0])
    offset[:6], offset[15 : 3 + 6 * n] = moved[15:21], moved[21:]
    offset[6:9], offset[9:12], offset[12:15] = w.v[1] - w.v_lin[1], w.bg[1] - w.bg_lin[1], w.ba[1] - w.ba_lin[1]
    w.frozen[: n if s.used.any() else 2] = True  # without pictures the prior ends at state 1
    return H_r, g_r, offset


def marginalise(
    w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, scratch: landmarks.Scratch, counts: np.ndarray,
    online: OnlineCalibration,
) -> Prior:
    """Prior over keyframes 1 .. n - 1 from every factor that touches keyframe 0; freezes the linearisation points of those it ties.

    Takes the prior over the first m keyframes. Layout of the dense system: state 0 (15), state 1 (15), poses 2 .. n - 1 (6 each), and
    the calibration where it is estimated. Landmarks hosted in keyframe 0 are eliminated with all their observations.
    """
    H, g, offset = without_oldest(w, rig, online.unknowns, f, prior, m, n, cauchy, scratch, counts)
    online.rebase()
    online.wander(H, g, float(f.dt[0, 0]))
    return Prior(H, g - H @ offset)  # the gradient was taken at the estimates, the prior wants it at the linearisation points


@njit
def given_pose(covariance):
    """Covariance (9, 9) of a state's velocity and biases, its pose being known, from all of it (15, 15)."""
    sigma, scaled = np.empty(15), np.empty((15, 15))
    for i in range(15):
        sigma[i] = np.sqrt(max(covariance[i, i], _NO_VARIANCE))
    for i in range(15):
        for j in range(15):
            scaled[i, j] = covariance[i, j] / (sigma[i] * sigma[j])
    rest, _ = eliminate_leading(scaled, np.zeros(15), 6)
    for i in range(9):
        for j in range(9):
            rest[i, j] *= sigma[6 + i] * sigma[6 + j]
    return rest
