"""Reprojection factors with the landmarks eliminated: triangulation, linearisation, Schur complement, gating.

A landmark is (x, y, rho) in its host's left camera C: the ray (x, y, 1) and the inverse of its depth (Civera et al. 2008, anchored).
Its position times rho, in W: q = R_h (R_BC (x, y, 1) + rho t_BC) + rho (p_h - p_t), seen from target t: y = R_cB R_t^T q + rho t_cB.
Residual: scale * (y_xy / y_z - xy). Jacobians are evaluated at the linearisation points (first-estimate Jacobians, Huang et al. 2010).
"""

import math

import numba
import numpy as np

from vio.events import Event


@numba.njit(cache=True, nogil=True)
def lever(R_BC, t_BC, R_h, p_h, p_t, point, q):
    """Fill q (3,): rho times the vector from the target's body origin to the landmark, in W."""
    for i in range(3):
        q[i] = point[2] * (p_h[i] - p_t[i])
    for j in range(3):
        b = R_BC[j, 0] * point[0] + R_BC[j, 1] * point[1] + R_BC[j, 2] + point[2] * t_BC[j]
        for i in range(3):
            q[i] += R_h[i, j] * b


@numba.njit(cache=True, nogil=True)
def view(R_cB, t_cB, R_t, rho, q, u, y):
    """Fill u = R_t^T q (rho times the landmark in the target's body) and y (3,), rho times the landmark in the camera."""
    for i in range(3):
        u[i] = R_t[0, i] * q[0] + R_t[1, i] * q[1] + R_t[2, i] * q[2]
    for i in range(3):
        y[i] = R_cB[i, 0] * u[0] + R_cB[i, 1] * u[1] + R_cB[i, 2] * u[2] + rho * t_cB[i]


@numba.njit(cache=True, nogil=True)
def residual(w, rig, m, t, c, q, u, y, r):
    """Whitened residual r (2,) of landmark row m in camera c of keyframe t at the current estimates; False if behind the camera."""
    h = w.host[m]
    lever(rig.R_BC, rig.t_BC, w.R[h], w.p[h], w.p[t], w.point[m], q)
    view(rig.R_cam[c], rig.t_cam[c], w.R[t], w.point[m, 2], q, u, y)
    if y[2] < 1e-3:
        return False
    r[0] = rig.scale[c] * (y[0] / y[2] - w.xy[m, t, c, 0])
    r[1] = rig.scale[c] * (y[1] / y[2] - w.xy[m, t, c, 1])
    return True


@numba.njit(cache=True, nogil=True)
def jacobian(w, rig, m, t, c, q, u, y, J_h, J_t, J_l):
    """Jacobians of the whitened residual at the linearisation points: J_h, J_t (2, 6) host and target pose, J_l (2, 3) landmark.

    False if the landmark is behind the camera there.
    """
    h = w.host[m]
    R_h, R_t, R_c, R_BC = w.R_lin[h], w.R_lin[t], rig.R_cam[c], rig.R_BC
    x0, x1, rho = w.point[m, 0], w.point[m, 1], w.point[m, 2]
    lever(R_BC, rig.t_BC, R_h, w.p_lin[h], w.p_lin[t], w.point[m], q)
    view(R_c, rig.t_cam[c], R_t, rho, q, u, y)
    if y[2] < 1e-3:
        return False
    s = rig.scale[c] / y[2]
    for a in range(2):
        z = y[a] / y[2]
        f0, f1, f2 = s * (R_c[a, 0] - z * R_c[2, 0]), s * (R_c[a, 1] - z * R_c[2, 1]), s * (R_c[a, 2] - z * R_c[2, 2])
        for j in range(3):  # row a of scale * d(pi) R_cB R_t^T
            e = f0 * R_t[j, 0] + f1 * R_t[j, 1] + f2 * R_t[j, 2]
            J_h[a, j], J_t[a, j] = rho * e, -rho * e
        e0 = f0 * R_t[0, 0] + f1 * R_t[0, 1] + f2 * R_t[0, 2]
        e1 = f0 * R_t[1, 0] + f1 * R_t[1, 1] + f2 * R_t[1, 2]
        e2 = f0 * R_t[2, 0] + f1 * R_t[2, 1] + f2 * R_t[2, 2]
        g0 = e0 * R_h[0, 0] + e1 * R_h[1, 0] + e2 * R_h[2, 0]  # row of d(residual) / d(body vector b of the host)
        g1 = e0 * R_h[0, 1] + e1 * R_h[1, 1] + e2 * R_h[2, 1]
        g2 = e0 * R_h[0, 2] + e1 * R_h[1, 2] + e2 * R_h[2, 2]
        b0 = R_BC[0, 0] * x0 + R_BC[0, 1] * x1 + R_BC[0, 2] + rho * rig.t_BC[0]
        b1 = R_BC[1, 0] * x0 + R_BC[1, 1] * x1 + R_BC[1, 2] + rho * rig.t_BC[1]
        b2 = R_BC[2, 0] * x0 + R_BC[2, 1] * x1 + R_BC[2, 2] + rho * rig.t_BC[2]
        # -g [b]x = (b x g)^T and f [u]x = (f x u)^T, both as rows
        J_h[a, 3], J_h[a, 4], J_h[a, 5] = b1 * g2 - b2 * g1, b2 * g0 - b0 * g2, b0 * g1 - b1 * g0
        J_t[a, 3], J_t[a, 4], J_t[a, 5] = f1 * u[2] - f2 * u[1], f2 * u[0] - f0 * u[2], f0 * u[1] - f1 * u[0]
        J_l[a, 0] = g0 * R_BC[0, 0] + g1 * R_BC[1, 0] + g2 * R_BC[2, 0]
        J_l[a, 1] = g0 * R_BC[0, 1] + g1 * R_BC[1, 1] + g2 * R_BC[2, 1]
        d0, d1, d2 = w.p_lin[h, 0] - w.p_lin[t, 0], w.p_lin[h, 1] - w.p_lin[t, 1], w.p_lin[h, 2] - w.p_lin[t, 2]
        J_l[a, 2] = g0 * rig.t_BC[0] + g1 * rig.t_BC[1] + g2 * rig.t_BC[2] + e0 * d0 + e1 * d1 + e2 * d2
        J_l[a, 2] += s * (rig.t_cam[c, a] - z * rig.t_cam[c, 2])
    return True


@numba.njit(cache=True, nogil=True)
def huber_weight(squared, huber):
    """Weight of a whitened squared residual under Huber's loss (1964)."""
    return 1.0 if squared <= huber * huber else huber / math.sqrt(squared)


@numba.njit(cache=True, nogil=True)
def huber_cost(squared, huber):
    """Half of Huber's loss of a whitened squared residual."""
    return 0.5 * squared if squared <= huber * huber else huber * math.sqrt(squared) - 0.5 * huber * huber


@numba.njit(cache=True, nogil=True)
def cost(w, rig, n, huber):
    """Sum of the robust reprojection costs at the current estimates."""
    q, u, y, r = np.empty(3), np.empty(3), np.empty(3), np.empty(2)
    total = 0.0
    for m in range(w.ids.shape[0]):
        if w.ids[m] < 0 or not w.ready[m]:
            continue
        for t in range(w.host[m], n):
            for c in range(2):
                if w.seen[m, t, c]:
                    if residual(w, rig, m, t, c, q, u, y, r):
                        total += huber_cost(r[0] * r[0] + r[1] * r[1], huber)
                    else:
                        total += huber_cost(1e4, huber)
    return total


@numba.njit(cache=True, nogil=True)
def _add_outer(H, row, col, A, B, weight):
    for i in range(6):
        for j in range(6):
            H[row + i, col + j] += weight * (A[0, i] * B[0, j] + A[1, i] * B[1, j])


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def linearise(w, rig, n, huber, lam, only_host, H, g, H_inv, g_l, W, used, counts):
    """Add every reprojection to the pose system H (6n, 6n), g (6n,), with the landmarks eliminated by their Schur complement.

    only_host: keyframe index, or -1 for all landmarks. For the back-substitution it keeps, per row m, H_inv (3, 3), g_l (3,),
    W (n, 6, 3) pose-landmark blocks, and used (bool). Poses are (p, theta) at 6 i.
    """
    q, u, y, r = np.empty(3), np.empty(3), np.empty(3), np.empty(2)
    J_h, J_t, J_l, K = np.empty((2, 6)), np.empty((2, 6)), np.empty((2, 3)), np.empty((6, 3))
    H_l, touched = np.empty((3, 3)), np.empty(n, np.bool_)
    for m in range(w.ids.shape[0]):
        used[m] = False
        h = w.host[m]
        if w.ids[m] < 0 or not w.ready[m] or (only_host >= 0 and h != only_host):
            continue
        H_l[:] = 0.0
        g_l[m] = 0.0
        W[m] = 0.0
        touched[:] = False
        for t in range(h, n):
            for c in range(2):
                if not w.seen[m, t, c] or not residual(w, rig, m, t, c, q, u, y, r):
                    continue
                weight = huber_weight(r[0] * r[0] + r[1] * r[1], huber)
                if not jacobian(w, rig, m, t, c, q, u, y, J_h, J_t, J_l):
                    continue
                counts[Event.REPROJECTION] += 1
                for i in range(3):
                    g_l[m, i] += weight * (J_l[0, i] * r[0] + J_l[1, i] * r[1])
                    for j in range(3):
                        H_l[i, j] += weight * (J_l[0, i] * J_l[0, j] + J_l[1, i] * J_l[1, j])
                if t == h:
                    continue  # the host's own pictures do not depend on its pose
                touched[h] = touched[t] = True
                _add_outer(H, 6 * h, 6 * h, J_h, J_h, weight)
                _add_outer(H, 6 * t, 6 * t, J_t, J_t, weight)
                _add_outer(H, 6 * h, 6 * t, J_h, J_t, weight)
                _add_outer(H, 6 * t, 6 * h, J_t, J_h, weight)
                for i in range(6):
                    g[6 * h + i] += weight * (J_h[0, i] * r[0] + J_h[1, i] * r[1])
                    g[6 * t + i] += weight * (J_t[0, i] * r[0] + J_t[1, i] * r[1])
                    for j in range(3):
                        W[m, h, i, j] += weight * (J_h[0, i] * J_l[0, j] + J_h[1, i] * J_l[1, j])
                        W[m, t, i, j] += weight * (J_t[0, i] * J_l[0, j] + J_t[1, i] * J_l[1, j])
        if not touched[h] and only_host >= 0:
            continue
        if not invert3(H_l, lam, H_inv[m]):
            _cancel(w, rig, m, n, huber, H, g, q, u, y, r, J_h, J_t, J_l)
            continue
        used[m] = True
        counts[Event.LANDMARK_ELIMINATED] += 1
        for a in range(h, n):
            if not touched[a]:
                continue
            for i in range(6):
                for j in range(3):
                    K[i, j] = W[m, a, i, 0] * H_inv[m, 0, j] + W[m, a, i, 1] * H_inv[m, 1, j] + W[m, a, i, 2] * H_inv[m, 2, j]
                g[6 * a + i] -= K[i, 0] * g_l[m, 0] + K[i, 1] * g_l[m, 1] + K[i, 2] * g_l[m, 2]
            for b in range(h, n):
                if touched[b]:
                    counts[Event.SCHUR_BLOCK] += 1
                    for i in range(6):
                        for j in range(6):
                            H[6 * a + i, 6 * b + j] -= K[i, 0] * W[m, b, j, 0] + K[i, 1] * W[m, b, j, 1] + K[i, 2] * W[m, b, j, 2]


@numba.njit(cache=True, nogil=True)
def _cancel(w, rig, m, n, huber, H, g, q, u, y, r, J_h, J_t, J_l):
    """Take a landmark that cannot be eliminated out of the pose system again."""
    h = w.host[m]
    for t in range(h + 1, n):
        for c in range(2):
            if not w.seen[m, t, c] or not residual(w, rig, m, t, c, q, u, y, r):
                continue
            weight = -huber_weight(r[0] * r[0] + r[1] * r[1], huber)
            if not jacobian(w, rig, m, t, c, q, u, y, J_h, J_t, J_l):
                continue
            _add_outer(H, 6 * h, 6 * h, J_h, J_h, weight)
            _add_outer(H, 6 * t, 6 * t, J_t, J_t, weight)
            _add_outer(H, 6 * h, 6 * t, J_h, J_t, weight)
            _add_outer(H, 6 * t, 6 * h, J_t, J_h, weight)
            for i in range(6):
                g[6 * h + i] += weight * (J_h[0, i] * r[0] + J_h[1, i] * r[1])
                g[6 * t + i] += weight * (J_t[0, i] * r[0] + J_t[1, i] * r[1])


@numba.njit(cache=True, nogil=True)
def back_substitute(w, n, dx, H_inv, g_l, W, used, max_inverse_depth):
    """Move the landmarks by their share of the step: dl = -H_ll^-1 (g_l + W^T dx), dx (n, 6) pose steps."""
    s = np.empty(3)
    for m in range(w.ids.shape[0]):
        if not used[m]:
            continue
        for j in range(3):
            s[j] = g_l[m, j]
        for a in range(w.host[m], n):
            for i in range(6):
                for j in range(3):
                    s[j] += W[m, a, i, j] * dx[a, i]
        for i in range(3):
            w.point[m, i] -= H_inv[m, i, 0] * s[0] + H_inv[m, i, 1] * s[1] + H_inv[m, i, 2] * s[2]
        w.point[m, 2] = min(max(w.point[m, 2], 1e-4), max_inverse_depth)


@numba.njit(cache=True, nogil=True)
def triangulate(w, rig, n, min_inverse_depth, max_inverse_depth, max_sigma):
    """Find the inverse depth of new landmarks along their host ray by linear least squares over all other observations.

    With y = a + rho b in a target camera, x y_z - y_x = 0 is linear in rho. Accepted where one pixel sigma moves rho by less than
    max_sigma (1/m) and the depth is within limits; a negative or vanishing rho of a well-seen far point is set to the minimum.
    """
    q, u, a, b = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    ray, away = np.empty(3), np.empty(3)
    for m in range(w.ids.shape[0]):
        if w.ids[m] < 0 or w.ready[m]:
            continue
        h = w.host[m]
        ray[0], ray[1], ray[2] = w.xy[m, h, 0, 0], w.xy[m, h, 0, 1], 0.0
        num, den = 0.0, 0.0
        for t in range(h, n):
            for c in range(2):
                if not w.seen[m, t, c] or (t == h and c == 0):
                    continue
                lever(rig.R_BC, rig.t_BC, w.R[h], w.p[h], w.p[t], ray, q)
                view(rig.R_cam[c], rig.t_cam[c], w.R[t], 0.0, q, u, a)
                away[0], away[1], away[2] = ray[0], ray[1], 1.0
                lever(rig.R_BC, rig.t_BC, w.R[h], w.p[h], w.p[t], away, q)
                view(rig.R_cam[c], rig.t_cam[c], w.R[t], 1.0, q, u, b)
                for i in range(3):
                    b[i] -= a[i]
                s = rig.scale[c] / max(abs(a[2]), 1e-2)
                for k in range(2):
                    e0 = s * (w.xy[m, t, c, k] * a[2] - a[k])
                    e1 = s * (w.xy[m, t, c, k] * b[2] - b[k])
                    num -= e0 * e1
                    den += e1 * e1
        if den * max_sigma * max_sigma < 1.0:
            continue
        rho = num / den
        if rho > max_inverse_depth or rho < -3.0 / math.sqrt(den):
            continue
        w.point[m, 0], w.point[m, 1], w.point[m, 2] = ray[0], ray[1], max(rho, min_inverse_depth)
        w.ready[m] = True


@numba.njit(cache=True, nogil=True)
def gate(w, rig, n, limit, rejected):
    """Reject observations whose whitened residual exceeds `limit`; a landmark that fails in its host or newest keyframe goes whole.

    Fills rejected (m,) int64 with the ids of landmarks to be forgotten by the front end and returns how many.
    """
    q, u, y, r = np.empty(3), np.empty(3), np.empty(3), np.empty(2)
    k = 0
    for m in range(w.ids.shape[0]):
        if w.ids[m] < 0 or not w.ready[m]:
            continue
        whole = False
        left = 0
        for t in range(w.host[m], n):
            for c in range(2):
                if not w.seen[m, t, c]:
                    continue
                good = residual(w, rig, m, t, c, q, u, y, r) and r[0] * r[0] + r[1] * r[1] <= limit * limit
                if good:
                    left += 1
                else:
                    w.seen[m, t, c] = False
                    whole = whole or c == 0 and (t == w.host[m] or t == n - 1)
        if whole or left < 2:
            rejected[k] = w.ids[m]
            k += 1
            w.ids[m], w.ready[m] = -1, False
    return k
