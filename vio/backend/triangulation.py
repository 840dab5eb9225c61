"""Landmarks come and go: the first depth of a new one, and the rejection of observations that do not fit."""

import math

from vio.backend.landmarks import residual
from vio.backend.unknowns import seen_from
from vio.backend.window import world_points
from vio.kernels import leaf, njit


@leaf
def triangulate(w, rig, views, n, min_inverse_depth, max_inverse_depth, max_sigma, min_parallax):
    """Find the inverse depth of new landmarks along their host ray by linear least squares over all other observations.

    With y = a + rho b in a target camera, x y_z - y_x = 0 is linear in rho. Accepted where one pixel sigma moves rho by less than
    max_sigma (1/m), one observation at least is `min_parallax` whitened units from where a point at infinity would be, and from the host's,
    and the depth is within limits; a negative or vanishing rho of a well-seen far point is set to the minimum.
    """
    for m in range(w.ids.shape[0]):
        if w.ids[m] < 0 or w.ready[m]:
            continue
        h = w.host[m]
        x0, x1, num, den, parallax = w.xy[m, h, 0, 0], w.xy[m, h, 0, 1], 0.0, 0.0, 0.0
        for t in range(h, n):
            for c in range(2):
                if not w.seen[m, t, c] or (t == h and c == 0):
                    continue
                A, b = views.A[h, t, c], views.b[h, t, c]
                a2 = A[2, 0] * x0 + A[2, 1] * x1 + A[2, 2]
                s = rig.scale[c] / max(abs(a2), 1e-2)
                moved, stayed = 0.0, 0.0
                for k in range(2):
                    e0 = s * (w.xy[m, t, c, k] * a2 - (A[k, 0] * x0 + A[k, 1] * x1 + A[k, 2]))
                    e1 = s * (w.xy[m, t, c, k] * b[2] - b[k])
                    num -= e0 * e1
                    den += e1 * e1
                    moved += e0 * e0
                    stayed += (rig.scale[c] * (w.xy[m, t, c, k] - w.xy[m, h, 0, k])) ** 2
                parallax = max(parallax, min(moved, stayed))
        if den * max_sigma * max_sigma < 1.0 or parallax < min_parallax * min_parallax:
            continue
        rho = num / den
        if rho > max_inverse_depth or rho < -3.0 / math.sqrt(den):
            continue
        w.point[m, 0], w.point[m, 1], w.point[m, 2] = x0, x1, max(rho, min_inverse_depth)
        w.ready[m] = True


@leaf
def gate(w, rig, views, n, limit, rejected):
    """Reject observations whose whitened residual exceeds `limit`; a landmark that fails in its host or newest keyframe goes whole.

    Fills rejected (m,) int64 with the ids of landmarks to be forgotten by the front end and returns how many.
    """
    k = 0
    for m in range(w.ids.shape[0]):
        if w.ids[m] < 0 or not w.ready[m]:
            continue
        whole = False
        left = 0
        for t in range(w.host[m], n):
            for c in range(1, -1, -1):  # the right one first: it is told by its distance from the left one
                if not w.seen[m, t, c]:
                    continue
                ahead, r0, r1 = residual(w, rig, views, m, t, c)
                if ahead and r0 * r0 + r1 * r1 <= limit * limit:
                    left += 1
                else:
                    w.seen[m, t, c] = False
                    whole = whole or c == 0 and (t == w.host[m] or t == n - 1)
                    if c == 0 and w.seen[m, t, 1]:  # the match was made where the track is
                        w.seen[m, t, 1] = False
                        left -= 1
        if whole or left < 2:
            rejected[k] = w.ids[m]
            k += 1
            w.ids[m], w.ready[m] = -1, False
    return k


@njit
def sift(w, rig, c, views, n, limit, rejected, ids, points, observations):
    """What a solved window of n keyframes comes to: `gate`, then the landmarks in W as of `world_points`.

    Returns how many were rejected, how many are in W, and how many of the ready ones the newest keyframe's left camera sees.
    """
    lost = gate(w, rig, views, n, limit, rejected)
    R, p = seen_from(w, c, n)
    size, tracked = world_points(w, R, p, rig, ids, points, observations), 0
    for m in range(w.ids.shape[0]):
        tracked += w.ready[m] and w.seen[m, n - 1, 0]
    return lost, size, tracked
