"""The sliding window's arrays: keyframe states, their linearisation points, landmarks and their observations."""

from typing import NamedTuple

import numpy as np

from vio.kernels import leaf


class Window(NamedTuple):
    """Fixed-capacity arrays; the first `n` keyframes are valid, oldest first (n is kept by the caller).

    R (N, 3, 3), p, v, bg, ba (N, 3): current estimates of T_WB, v_WB and biases. *_lin: where Jacobians are evaluated (first
    estimates once a keyframe is in the prior, else equal to the current ones). frozen (N,) bool: in the prior.
    ids (M,) int64 landmark of each row, -1 free. host (M,) int64 keyframe that saw it first. point (M, 3): (x, y, 1/z) in the host's
    left camera. ready (M,) bool: triangulated. seen (M, N, 2) bool and xy (M, N, 2, 2): observations in left (0) and right (1).
    rest (N, 9): of a keyframe at rest the information 1 / sigma^2 of zero velocity, mean rate and mean specific force, then the means
    w_B (3) rad/s and a_B (3) m/s^2 measured there; zeros for all others.
    """

    R: np.ndarray
    p: np.ndarray
    v: np.ndarray
    bg: np.ndarray
    ba: np.ndarray
    R_lin: np.ndarray
    p_lin: np.ndarray
    v_lin: np.ndarray
    bg_lin: np.ndarray
    ba_lin: np.ndarray
    frozen: np.ndarray
    ids: np.ndarray
    host: np.ndarray
    point: np.ndarray
    ready: np.ndarray
    seen: np.ndarray
    xy: np.ndarray
    rest: np.ndarray


class Rig(NamedTuple):
    """Extrinsics and noise as kernels take them. R_BC, t_BC: host camera to body. R_cam (2, 3, 3), t_cam (2, 3): body to left, right.

    scale (2,): focal length over pixel sigma of each camera, so that residuals are whitened; fade (N,): what is left of it so many
    keyframes after a landmark's host. beside (2, 2): how a small shift in the left picture shows in the right one; stereo (1,): focal
    length over the sigma of what a match in the right picture adds to that.
    """

    R_BC: np.ndarray
    t_BC: np.ndarray
    R_cam: np.ndarray
    t_cam: np.ndarray
    scale: np.ndarray
    fade: np.ndarray
    beside: np.ndarray
    stereo: np.ndarray


def new_window(keyframes: int, landmarks: int) -> Window:
    """Allocate an empty window."""
    N, M = keyframes, landmarks
    state = [np.zeros((N, 3, 3)), *(np.zeros((N, 3)) for _ in range(4))]
    lin = [a.copy() for a in state]
    return Window(
        *state, *lin, np.zeros(N, bool), np.full(M, -1, np.int64), np.zeros(M, np.int64), np.zeros((M, 3)), np.zeros(M, bool),
        np.zeros((M, N, 2), bool), np.zeros((M, N, 2, 2)), np.zeros((N, 9)),
    )


@leaf
def relinearise(w, n):
    """Move the linearisation points of keyframes outside the prior to their current estimates."""
    for i in range(n):
        if w.frozen[i]:
            continue
        for k in range(3):
            w.p_lin[i, k], w.v_lin[i, k], w.bg_lin[i, k], w.ba_lin[i, k] = w.p[i, k], w.v[i, k], w.bg[i, k], w.ba[i, k]
            for j in range(3):
                w.R_lin[i, k, j] = w.R[i, k, j]


@leaf
def associate(w, slot, ids, xy_left, xy_right, has_right):
    """Enter the observations of keyframe `slot`; unknown ids take free rows with this keyframe as host. Returns rows not found."""
    free = 0
    refused = 0
    M = w.ids.shape[0]
    for k in range(ids.shape[0]):
        row = -1
        for m in range(M):
            if w.ids[m] == ids[k]:
                row = m
                break
        if row < 0:
            while free < M and w.ids[free] >= 0:
                free += 1
            if free == M:
                refused += 1
                continue
            row = free
            w.ids[row], w.host[row], w.ready[row] = ids[k], slot, False
            for i in range(w.seen.shape[1]):
                w.seen[row, i, 0], w.seen[row, i, 1] = False, False
        w.seen[row, slot, 0] = True
        w.xy[row, slot, 0, 0], w.xy[row, slot, 0, 1] = xy_left[k, 0], xy_left[k, 1]
        if has_right[k]:
            w.seen[row, slot, 1] = True
            w.xy[row, slot, 1, 0], w.xy[row, slot, 1, 1] = xy_right[k, 0], xy_right[k, 1]
    return refused


@leaf
def drop_oldest(w, n):
    """Shift the window by one keyframe; landmarks hosted in the oldest are freed."""
    for i in range(n - 1):
        for k in range(3):
            w.p[i, k], w.v[i, k], w.bg[i, k], w.ba[i, k] = w.p[i + 1, k], w.v[i + 1, k], w.bg[i + 1, k], w.ba[i + 1, k]
            w.p_lin[i, k], w.v_lin[i, k] = w.p_lin[i + 1, k], w.v_lin[i + 1, k]
            w.bg_lin[i, k], w.ba_lin[i, k] = w.bg_lin[i + 1, k], w.ba_lin[i + 1, k]
            for j in range(3):
                w.R[i, k, j], w.R_lin[i, k, j] = w.R[i + 1, k, j], w.R_lin[i + 1, k, j]
        w.frozen[i] = w.frozen[i + 1]
        for k in range(9):
            w.rest[i, k] = w.rest[i + 1, k]
    w.frozen[n - 1] = False
    for k in range(9):
        w.rest[n - 1, k] = 0.0
    for m in range(w.ids.shape[0]):
        if w.ids[m] < 0:
            continue
        if w.host[m] == 0:
            w.ids[m], w.ready[m] = -1, False
            continue
        w.host[m] -= 1
        for i in range(n - 1):
            for c in range(2):
                w.seen[m, i, c] = w.seen[m, i + 1, c]
                w.xy[m, i, c, 0], w.xy[m, i, c, 1] = w.xy[m, i + 1, c, 0], w.xy[m, i + 1, c, 1]
        w.seen[m, n - 1, 0], w.seen[m, n - 1, 1] = False, False


@leaf
def world_points(w, R, p, rig, ids_out, points_out, observations_out):
    """Positions in W (m, 3) of the triangulated landmarks, their ids and how many keyframes saw each; returns how many.

    R (N, 3, 3), p (N, 3): poses at the instants of the pictures.
    """
    k, T, t = 0, rig.R_BC, rig.t_BC
    for m in range(w.ids.shape[0]):
        if w.ids[m] < 0 or not w.ready[m] or w.point[m, 2] < 1e-6:
            continue
        h, x, y, z = w.host[m], w.point[m, 0] / w.point[m, 2], w.point[m, 1] / w.point[m, 2], 1.0 / w.point[m, 2]
        b0 = T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + t[0]
        b1 = T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + t[1]
        b2 = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + t[2]
        ids_out[k], observations_out[k] = w.ids[m], 0
        for i in range(3):
            points_out[k, i] = R[h, i, 0] * b0 + R[h, i, 1] * b1 + R[h, i, 2] * b2 + p[h, i]
        for i in range(w.seen.shape[1]):
            observations_out[k] += w.seen[m, i, 0]
        k += 1
    return k
