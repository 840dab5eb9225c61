"""How each keyframe's cameras see the landmarks of each host: relative poses, computed once for thousands of reprojections.

With a landmark's ray (x, y, 1) and inverse depth rho in its host's left camera, camera c of keyframe t has it at

    y = A ray + rho b,   A = R_cB R_t^T R_h R_BC,   b = R_cB R_t^T (R_h t_BC + p_h - p_t) + t_cB

(y is rho times the point in that camera). Moving the target is moving the host the other way: the Jacobians of one observation obey
J_t = -J_h Y with Y (6, 6) of the pair (h, t), so that only J_h is ever computed.
"""

from typing import NamedTuple

import numpy as np

from vio.kernels import leaf, njit


class Views(NamedTuple):
    """A (N, N, 2, 3, 3) and b (N, N, 2, 3) by host, target and camera; M (N, 2, 3, 3) = R_cB R_t^T; Y (N, N, 6, 6). Targets t >= h are filled."""

    A: np.ndarray
    b: np.ndarray
    M: np.ndarray
    Y: np.ndarray


def new_views(keyframes: int) -> Views:
    """Allocate the views of a window."""
    N = keyframes
    return Views(np.zeros((N, N, 2, 3, 3)), np.zeros((N, N, 2, 3)), np.zeros((N, 2, 3, 3)), np.zeros((N, N, 6, 6)))


@leaf
def _matmul3(a, b, out):
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@leaf
def _pair(R_h, p_h, R_t, p_t, Y):
    """Y (6, 6): [[I, -R_t [d]x], [0, R_h^T R_t]] with d = R_t^T (p_h - p_t)."""
    Y[:] = 0.0
    x, y, z = p_h[0] - p_t[0], p_h[1] - p_t[1], p_h[2] - p_t[2]
    for i in range(3):
        Y[i, i] = 1.0
        # R_t [d]x = [p_h - p_t]x R_t
        Y[0, 3 + i] = z * R_t[1, i] - y * R_t[2, i]
        Y[1, 3 + i] = x * R_t[2, i] - z * R_t[0, i]
        Y[2, 3 + i] = y * R_t[0, i] - x * R_t[1, i]
        for j in range(3):
            Y[3 + i, 3 + j] = R_h[0, i] * R_t[0, j] + R_h[1, i] * R_t[1, j] + R_h[2, i] * R_t[2, j]


@njit
def relate(R, p, rig, n, views):
    """Fill the views of n keyframes with poses R (N, 3, 3), p (N, 3)."""
    host, lever, M = np.empty((3, 3)), np.empty(3), views.M
    for t in range(n):
        for c in range(2):
            for i in range(3):
                for j in range(3):
                    M[t, c, i, j] = rig.R_cam[c, i, 0] * R[t, j, 0] + rig.R_cam[c, i, 1] * R[t, j, 1] + rig.R_cam[c, i, 2] * R[t, j, 2]
    for h in range(n):
        _matmul3(R[h], rig.R_BC, host)
        for t in range(h, n):
            for i in range(3):
                lever[i] = R[h, i, 0] * rig.t_BC[0] + R[h, i, 1] * rig.t_BC[1] + R[h, i, 2] * rig.t_BC[2] + p[h, i] - p[t, i]
            for c in range(2):
                _matmul3(M[t, c], host, views.A[h, t, c])
                for i in range(3):
                    views.b[h, t, c, i] = M[t, c, i, 0] * lever[0] + M[t, c, i, 1] * lever[1] + M[t, c, i, 2] * lever[2] + rig.t_cam[c, i]
            _pair(R[h], p[h], R[t], p[t], views.Y[h, t])


@njit(inline="always")
def seen_at(views, h, t, c, x0, x1, rho):
    """y (3 floats) of a landmark of host h in camera c of keyframe t."""
    y0 = views.A[h, t, c, 0, 0] * x0 + views.A[h, t, c, 0, 1] * x1 + views.A[h, t, c, 0, 2] + rho * views.b[h, t, c, 0]
    y1 = views.A[h, t, c, 1, 0] * x0 + views.A[h, t, c, 1, 1] * x1 + views.A[h, t, c, 1, 2] + rho * views.b[h, t, c, 1]
    y2 = views.A[h, t, c, 2, 0] * x0 + views.A[h, t, c, 2, 1] * x1 + views.A[h, t, c, 2, 2] + rho * views.b[h, t, c, 2]
    return y0, y1, y2
