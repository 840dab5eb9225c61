"""Reprojection factors with the landmarks eliminated: cost, linearisation, Schur complement, back-substitution.

A landmark is (x, y, rho) in its host's left camera C: the ray (x, y, 1) and the inverse of its depth (Civera et al. 2008, anchored).
Error: e = y_xy / y_z - xy, with y of `views`. Jacobians are evaluated at the linearisation points (first-estimate Jacobians,
Huang et al. 2010). The target's Jacobian follows from the host's, so that each observation adds to the pair (host, target) alone.

A track slides along its surface as the picture of it changes, a little further in the same direction from keyframe to keyframe, and takes
its match in the right picture along. So the left error of a keyframe `age` after the host's is whitened by a deviation that grows with age
(`Rig.fade`), and in place of the right error stands e_right - P e_left, in which the slide cancels: it is as small in every keyframe
(`Rig.stereo`). Where the left one is missing the right one is whitened as a left one.
"""

import math
from typing import NamedTuple

import numpy as np

from vio.backend.views import Views, new_views, seen_at
from vio.events import Event
from vio.kernels import leaf, njit

NEAREST = 1e-3  # smallest y_z that counts as in front of the camera
_BEHIND = 1e4  # squared whitened residual that a landmark behind a camera is charged with


class Scratch(NamedTuple):
    """Preallocated memory of the elimination, for N keyframes and M landmark rows.

    now, lin: views at the estimates and at the linearisation points. By row: H_inv (M, 3, 3), g_l (M, 3), W (M, 3, 6 N) landmark-pose
    blocks, used (M,) bool, whether it was eliminated. By pair (host, target): G (N, N, 6, 6) and gamma (N, N, 6) in the host's tangent.
    J_h (2 N, 2, 6), J_l (2 N, 2, 3), r (2 N, 2), weight (2 N,), target (2 N,): observations of the landmark in hand.
    """

    now: Views
    lin: Views
    H_inv: np.ndarray
    g_l: np.ndarray
    W: np.ndarray
    used: np.ndarray
    G: np.ndarray
    gamma: np.ndarray
    J_h: np.ndarray
    J_l: np.ndarray
    r: np.ndarray
    weight: np.ndarray
    target: np.ndarray


def new_scratch(keyframes: int, rows: int) -> Scratch:
    """Allocate it."""
    N, M = keyframes, rows
    return Scratch(
        new_views(N), new_views(N), np.zeros((M, 3, 3)), np.zeros((M, 3)), np.zeros((M, 3, 6 * N)), np.zeros(M, bool),
        np.zeros((N, N, 6, 6)), np.zeros((N, N, 6)),
        np.zeros((2 * N, 2, 6)), np.zeros((2 * N, 2, 3)), np.zeros((2 * N, 2)), np.zeros(2 * N), np.zeros(2 * N, np.int64),
    )


@leaf
def cauchy_weight(squared, cauchy):
    """Weight of a whitened squared residual under Cauchy's loss (Holland and Welsch 1977): what is far off hardly counts."""
    return 1.0 / (1.0 + squared / (cauchy * cauchy))


@leaf
def cauchy_cost(squared, cauchy):
    """Half of Cauchy's loss of a whitened squared residual, c^2 log(1 + r^2 / c^2)."""
    return 0.5 * cauchy * cauchy * math.log(1.0 + squared / (cauchy * cauchy))


@njit(inline="always")
def error(w, views, m, t, c):
    """Error of landmark row m in camera c of keyframe t on the normalised image plane: (in front of the camera, e0, e1)."""
    y0, y1, y2 = seen_at(views, w.host[m], t, c, w.point[m, 0], w.point[m, 1], w.point[m, 2])
    if y2 < NEAREST:
        return False, 0.0, 0.0
    return True, y0 / y2 - w.xy[m, t, c, 0], y1 / y2 - w.xy[m, t, c, 1]


@njit(inline="always")
def beside(rig, e0, e1, l0, l1):
    """The right error less what the left error makes there, (2,)."""
    P = rig.beside
    return e0 - (P[0, 0] * l0 + P[0, 1] * l1), e1 - (P[1, 0] * l0 + P[1, 1] * l1)


@njit(inline="always")
def residual(w, rig, views, m, t, c):
    """Whitened residual of landmark row m in camera c of keyframe t: (in front of the camera, r0, r1)."""
    ahead, e0, e1 = error(w, views, m, t, c)
    scale = rig.scale[c] * rig.fade[t - w.host[m]]
    if c == 1 and w.seen[m, t, 0]:
        left, l0, l1 = error(w, views, m, t, 0)
        if left:
            e0, e1 = beside(rig, e0, e1, l0, l1)
            scale = rig.stereo[0]
    return ahead, scale * e0, scale * e1


@leaf
def cost(w, rig, views, n, cauchy):
    """Sum of the robust reprojection costs in the given views."""
    total = 0.0
    for m in range(w.ids.shape[0]):
        if w.ids[m] < 0 or not w.ready[m]:
            continue
        for t in range(w.host[m], n):
            for c in range(2):
                if w.seen[m, t, c]:
                    ahead, r0, r1 = residual(w, rig, views, m, t, c)
                    total += cauchy_cost(r0 * r0 + r1 * r1 if ahead else _BEHIND, cauchy)
    return total


@leaf
def jacobian(w, rig, lin, R_h, m, t, c, scale, J_h, J_l):
    """Jacobians of `scale` times the error in the views `lin`: J_h (2, 6) host pose, J_l (2, 3) landmark; False if it is behind the camera.

    R_h (3, 3): attitude of the host there. With e the row of d(scale error)/dq, q the lever rho (X - p_t) in W, and b the ray in the
    host's body: J_h = (rho e, b x R_h^T e).
    """
    h, rho = w.host[m], w.point[m, 2]
    y0, y1, y2 = seen_at(lin, h, t, c, w.point[m, 0], w.point[m, 1], rho)
    if y2 < NEAREST:
        return False
    s, R_BC, t_BC = scale / y2, rig.R_BC, rig.t_BC
    b0 = R_BC[0, 0] * w.point[m, 0] + R_BC[0, 1] * w.point[m, 1] + R_BC[0, 2] + rho * t_BC[0]
    b1 = R_BC[1, 0] * w.point[m, 0] + R_BC[1, 1] * w.point[m, 1] + R_BC[1, 2] + rho * t_BC[1]
    b2 = R_BC[2, 0] * w.point[m, 0] + R_BC[2, 1] * w.point[m, 1] + R_BC[2, 2] + rho * t_BC[2]
    for a in range(2):
        z = (y0 if a == 0 else y1) / y2
        J_l[a, 0] = s * (lin.A[h, t, c, a, 0] - z * lin.A[h, t, c, 2, 0])
        J_l[a, 1] = s * (lin.A[h, t, c, a, 1] - z * lin.A[h, t, c, 2, 1])
        J_l[a, 2] = s * (lin.b[h, t, c, a] - z * lin.b[h, t, c, 2])
        e0 = s * (lin.M[t, c, a, 0] - z * lin.M[t, c, 2, 0])
        e1 = s * (lin.M[t, c, a, 1] - z * lin.M[t, c, 2, 1])
        e2 = s * (lin.M[t, c, a, 2] - z * lin.M[t, c, 2, 2])
        g0 = e0 * R_h[0, 0] + e1 * R_h[1, 0] + e2 * R_h[2, 0]
        g1 = e0 * R_h[0, 1] + e1 * R_h[1, 1] + e2 * R_h[2, 1]
        g2 = e0 * R_h[0, 2] + e1 * R_h[1, 2] + e2 * R_h[2, 2]
        J_h[a, 0], J_h[a, 1], J_h[a, 2] = rho * e0, rho * e1, rho * e2
        J_h[a, 3], J_h[a, 4], J_h[a, 5] = b1 * g2 - b2 * g1, b2 * g0 - b0 * g2, b0 * g1 - b1 * g0
    return True


@leaf
def invert3(A, lam, out):
    """Inverse of a symmetric positive definite (3, 3) matrix with its diagonal raised by lam; False if (nearly) singular."""
    a, b, c = A[0, 0] * (1.0 + lam), A[0, 1], A[0, 2]
    d, e, f = A[1, 1] * (1.0 + lam), A[1, 2], A[2, 2] * (1.0 + lam)
    m0, m1, m2 = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * m0 + b * m1 + c * m2
    if not det > 1e-12 * a * d * f or not det > 0.0:
        return False
    out[0, 0], out[0, 1], out[0, 2] = m0 / det, m1 / det, m2 / det
    out[1, 1], out[1, 2], out[2, 2] = (a * f - c * c) / det, (b * c - a * e) / det, (a * d - b * b) / det
    out[1, 0], out[2, 0], out[2, 1] = out[0, 1], out[0, 2], out[1, 2]
    return True


@leaf
def _subtract(J_h, J_l, left_h, left_l, P, share):
    """Take share P of the left camera's rows (2, 6), (2, 3) from those of the right one."""
    for i in range(2):
        a, b = share * P[i, 0], share * P[i, 1]
        for j in range(6):
            J_h[i, j] -= a * left_h[0, j] + b * left_h[1, j]
        for j in range(3):
            J_l[i, j] -= a * left_l[0, j] + b * left_l[1, j]


@leaf
def _inform(H_l, g_l, J_l, r0, r1, weight):
    """Add what an observation says of the landmark alone."""
    for i in range(3):
        g_l[i] += weight * (J_l[0, i] * r0 + J_l[1, i] * r1)
        for j in range(3):
            H_l[i, j] += weight * (J_l[0, i] * J_l[0, j] + J_l[1, i] * J_l[1, j])


@leaf
def _observe(w, rig, s, n, cauchy, m, H_l, counts):
    """Linearise the observations of landmark m: fills H_l (3, 3), s.g_l[m] and the first k rows of the observation buffers; returns k.

    The host's own pictures do not depend on its pose: they inform the landmark alone, and their rows are given up.
    """
    h, k = w.host[m], 0
    H_l[:] = 0.0
    s.g_l[m, :] = 0.0
    for t in range(h, n):
        at, own, l0, l1 = k, 0.0, 0.0, 0.0
        for c in range(2):
            if not w.seen[m, t, c]:
                continue
            ahead, e0, e1 = error(w, s.now, m, t, c)
            scale = rig.scale[c] * rig.fade[t - h] if own == 0.0 else rig.stereo[0]
            if not ahead or not jacobian(w, rig, s.lin, w.R_lin[h], m, t, c, scale, s.J_h[at], s.J_l[at]):
                continue
            counts[Event.REPROJECTION] += 1
            if own > 0.0:
                e0, e1 = beside(rig, e0, e1, l0, l1)
                _subtract(s.J_h[at], s.J_l[at], s.J_h[at - 1], s.J_l[at - 1], rig.beside, scale / own)
            elif c == 0:
                own, l0, l1 = scale, e0, e1
            r0, r1 = scale * e0, scale * e1
            weight = cauchy_weight(r0 * r0 + r1 * r1, cauchy)
            _inform(H_l, s.g_l[m], s.J_l[at], r0, r1, weight)
            s.r[at, 0], s.r[at, 1], s.weight[at], s.target[at] = r0, r1, weight, t
            at += 1
        if t > h:
            k = at
    return k


@leaf
def _gather(s, h, k, W):
    """Add the k observations in the buffers to their pairs, and their landmark-pose blocks to W (3, 6 N): the host's in place, the target's as V."""
    for q in range(k):
        t, weight, J_h, J_l = s.target[q], s.weight[q], s.J_h[q], s.J_l[q]
        G, gamma, r0, r1 = s.G[h, t], s.gamma[h, t], s.r[q, 0], s.r[q, 1]
        # into registers: the compiler must assume that G and J_h share memory, and would load them again after every store
        x0, x1, x2, x3, x4, x5 = J_h[0, 0], J_h[0, 1], J_h[0, 2], J_h[0, 3], J_h[0, 4], J_h[0, 5]
        y0, y1, y2, y3, y4, y5 = J_h[1, 0], J_h[1, 1], J_h[1, 2], J_h[1, 3], J_h[1, 4], J_h[1, 5]
        for i in range(6):
            a, b = weight * J_h[0, i], weight * J_h[1, i]
            gamma[i] += a * r0 + b * r1
            g0, g1, g2 = G[i, 0] + a * x0 + b * y0, G[i, 1] + a * x1 + b * y1, G[i, 2] + a * x2 + b * y2
            g3, g4, g5 = G[i, 3] + a * x3 + b * y3, G[i, 4] + a * x4 + b * y4, G[i, 5] + a * x5 + b * y5
            G[i, 0], G[i, 1], G[i, 2], G[i, 3], G[i, 4], G[i, 5] = g0, g1, g2, g3, g4, g5
        for i in range(3):
            a, b = weight * J_l[0, i], weight * J_l[1, i]
            v0, v1, v2, v3, v4, v5 = a * x0 + b * y0, a * x1 + b * y1, a * x2 + b * y2, a * x3 + b * y3, a * x4 + b * y4, a * x5 + b * y5
            for at in (6 * h, 6 * t):
                out = W[i, at : at + 6]
                out[0], out[1], out[2] = out[0] + v0, out[1] + v1, out[2] + v2
                out[3], out[4], out[5] = out[3] + v3, out[4] + v4, out[5] + v5


@leaf
def _turn(W, t, Y):
    """Turn columns 6 t .. of W (3, 6 N) from the host's tangent V into the target's, -V Y."""
    for i in range(3):
        v0, v1, v2 = W[i, 6 * t], W[i, 6 * t + 1], W[i, 6 * t + 2]
        v3, v4, v5 = W[i, 6 * t + 3], W[i, 6 * t + 4], W[i, 6 * t + 5]
        W[i, 6 * t], W[i, 6 * t + 1], W[i, 6 * t + 2] = -v0, -v1, -v2
        for j in range(3, 6):
            W[i, 6 * t + j] = -(v0 * Y[0, j] + v1 * Y[1, j] + v2 * Y[2, j] + v3 * Y[3, j] + v4 * Y[4, j] + v5 * Y[5, j])


@leaf
def _eliminate(H, g, W, H_inv, g_l, begin, row):
    """Subtract the Schur complement of one landmark from the six rows `row` .. of H, columns `begin` .. row + 6, and from g."""
    width = row + 6 - begin
    W0, W1, W2 = W[0, begin : begin + width], W[1, begin : begin + width], W[2, begin : begin + width]
    for i in range(row, row + 6):
        k0 = W[0, i] * H_inv[0, 0] + W[1, i] * H_inv[1, 0] + W[2, i] * H_inv[2, 0]
        k1 = W[0, i] * H_inv[0, 1] + W[1, i] * H_inv[1, 1] + W[2, i] * H_inv[2, 1]
        k2 = W[0, i] * H_inv[0, 2] + W[1, i] * H_inv[1, 2] + W[2, i] * H_inv[2, 2]
        g[i] -= k0 * g_l[0] + k1 * g_l[1] + k2 * g_l[2]
        out = H[i, begin : begin + width]
        for j in range(width):
            out[j] -= k0 * W0[j] + k1 * W1[j] + k2 * W2[j]


@njit
def _spread(s, n, H, g):
    """Add what the pairs gathered to the poses: with the pair's Jacobian (I, -Y) in host and target."""
    YtG = np.empty((6, 6))
    for h in range(n):
        for t in range(h + 1, n):
            G, gamma, Y = s.G[h, t], s.gamma[h, t], s.lin.Y[h, t]
            for i in range(6):
                total = 0.0
                for k in range(6):
                    total += Y[k, i] * gamma[k]
                g[6 * h + i] += gamma[i]
                g[6 * t + i] -= total
                for j in range(6):
                    total = 0.0
                    for k in range(6):
                        total += Y[k, i] * G[k, j]
                    YtG[i, j] = total
                    H[6 * h + i, 6 * h + j] += G[i, j]
                    H[6 * t + i, 6 * h + j] -= total
            for i in range(6):
                for j in range(6):
                    total = 0.0
                    for k in range(6):
                        total += YtG[i, k] * Y[k, j]
                    H[6 * t + i, 6 * t + j] += total


@njit(nogil=True)
def linearise(w, rig, n, cauchy, lam, only_host, H, g, s, counts):
    """Add every reprojection to the pose system H (6n, 6n), g (6n,), with the landmarks eliminated by their Schur complement.

    Poses are (p, theta) at 6 i; of H the blocks on and below the diagonal are filled. only_host: keyframe index, or -1 for all landmarks.
    The views `s.now` and `s.lin` are to be those of the estimates and of the linearisation points. For the back-substitution `s` keeps,
    per row, H_inv, g_l, used, and of W the columns of the host and of later keyframes.
    """
    H_l = np.empty((3, 3))
    s.G[:] = 0.0
    s.gamma[:] = 0.0
    for m in range(w.ids.shape[0]):
        s.used[m] = False
        h, W = w.host[m], s.W[m]
        if w.ids[m] < 0 or not w.ready[m] or (only_host >= 0 and h != only_host):
            continue
        k = _observe(w, rig, s, n, cauchy, m, H_l, counts)
        if (k == 0 and only_host >= 0) or not invert3(H_l, lam, s.H_inv[m]):
            continue
        s.used[m] = True
        counts[Event.LANDMARK_ELIMINATED] += 1
        for i in range(3):
            for j in range(6 * h, 6 * n):
                W[i, j] = 0.0
        _gather(s, h, k, W)
        if k == 0:
            continue
        _eliminate(H, g, W, s.H_inv[m], s.g_l[m], 6 * h, 6 * h)
        touched, last = 1, -1
        for q in range(k):
            t = s.target[q]
            if t != last:  # the two cameras of a keyframe stand side by side
                _turn(W, t, s.lin.Y[h, t])
                _eliminate(H, g, W, s.H_inv[m], s.g_l[m], 6 * h, 6 * t)
                touched, last = touched + 1, t
        counts[Event.SCHUR_ROW] += touched
        counts[Event.SCHUR_BLOCK] += touched * (touched + 1) // 2
    _spread(s, n, H, g)


@njit
def back_substitute(w, n, dx, s, max_inverse_depth):
    """Move the landmarks by their share of the step: dl = -H_ll^-1 (g_l + W dx), dx (6 n,) pose steps."""
    v = np.empty(3)
    for m in range(w.ids.shape[0]):
        if not s.used[m]:
            continue
        for j in range(3):
            v[j] = s.g_l[m, j]
            for i in range(6 * w.host[m], 6 * n):
                v[j] += s.W[m, j, i] * dx[i]
        for i in range(3):
            w.point[m, i] -= s.H_inv[m, i, 0] * v[0] + s.H_inv[m, i, 1] * v[1] + s.H_inv[m, i, 2] * v[2]
        w.point[m, 2] = min(max(w.point[m, 2], 1e-4), max_inverse_depth)
