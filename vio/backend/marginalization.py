"""Marginalisation of the oldest keyframe into the prior by the Schur complement.

First-estimate Jacobians: every state that the new prior touches keeps its linearisation point from then on, so that directions which
cannot be observed (position, yaw) stay unobserved (Huang, Mourikis, Roumeliotis, IJRR 2010).
"""

import numba
import numpy as np

from vio.backend import landmarks
from vio.backend.solver import Prior, imu_normal, prior_offset
from vio.backend.window import relinearise
from vio.events import Event
from vio.lie import so3_log


@numba.njit(cache=True, nogil=True)
def _scatter(H, g, at, H_part, g_part):
    for a in range(at.shape[0]):
        g[at[a]] += g_part[a]
        for b in range(at.shape[0]):
            H[at[a], at[b]] += H_part[a, b]


@numba.njit(cache=True, nogil=True)
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
    rest = H[k:, k:].copy()
    return 0.5 * (rest + rest.T), g[k:].copy()


@numba.njit(cache=True, nogil=True)
def marginalise(w, rig, f, prior, m, n, huber, scratch, counts):
    """Prior over keyframes 1 .. n - 1 from every factor that touches keyframe 0; freezes their linearisation points.

    Takes the prior over the first m keyframes. Layout of the dense system: state 0 (15), state 1 (15), poses 2 .. n - 1 (6 each).
    Landmarks hosted in keyframe 0 are eliminated with all their observations.
    """
    relinearise(w, n)
    size = 30 + 6 * (n - 2)
    H, g = np.zeros((size, size)), np.zeros(size)
    H_p, g_p = np.zeros((6 * n, 6 * n)), np.zeros(6 * n)
    landmarks.linearise(w, rig, n, huber, 0.0, 0, H_p, g_p, scratch.H_inv, scratch.g_l, scratch.W, scratch.used, counts)
    at = np.empty(6 * n, np.int64)
    for i in range(n):
        for c in range(6):
            at[6 * i + c] = (0 if i == 0 else 15 if i == 1 else 30 + 6 * (i - 2)) + c
    _scatter(H, g, at, H_p, g_p)
    H_i, g_i = imu_normal(w, f, 0)
    _scatter(H, g, np.arange(30), H_i, g_i)
    at = np.empty(15 + 6 * (m - 1), np.int64)
    at[:15] = np.arange(15)
    for i in range(1, m):
        for c in range(6):
            at[15 + 6 * (i - 1) + c] = (15 if i == 1 else 30 + 6 * (i - 2)) + c
    _scatter(H, g, at, prior.H, prior.b + prior.H @ prior_offset(w, m))
    H_r, g_r = eliminate_leading(H, g, 15)
    counts[Event.MARGINALIZATION] += 1
    # the gradient is at the current estimates; the prior wants it at the linearisation points
    offset = np.zeros(size - 15)
    for i in range(1, n):
        if w.frozen[i]:
            offset[_pose_row(i) : _pose_row(i) + 6] = _pose_offset(w, i)
    if w.frozen[1]:
        offset[6:9], offset[9:12], offset[12:15] = w.v[1] - w.v_lin[1], w.bg[1] - w.bg_lin[1], w.ba[1] - w.ba_lin[1]
    for i in range(n):
        w.frozen[i] = True
    return Prior(H_r, g_r - H_r @ offset)


@numba.njit(cache=True, nogil=True)
def _pose_row(i):
    return 0 if i == 1 else 15 + 6 * (i - 2)


@numba.njit(cache=True, nogil=True)
def _pose_offset(w, i):
    from_lin = np.empty(6)
    from_lin[:3] = w.p[i] - w.p_lin[i]
    from_lin[3:] = so3_log(np.ascontiguousarray(w.R_lin[i].T) @ w.R[i])
    return from_lin
