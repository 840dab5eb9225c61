"""Ray casting kernels: which surface a ray meets, and how bright it is there.

A ray is (x, y, 1) in the camera frame, so the distance along it is the depth. All kernels are pure functions of their
arguments and share no state: pictures may be drawn in any order on any number of threads.
"""

import numpy as np

from vio.io.shading import shade
from vio.kernels import njit

TILE = 16  # pixels: objects are sorted out once per tile, not per ray
ROUNDING = 1e-9  # what a bound may lack
NEAR = 0.02  # m: nothing nearer is ever drawn
ORIGIN, AXES, HALF, CLOSEST, VIEW_COLUMNS = 0, 3, 12, 15, 16  # columns of a view; see `_view`

# eight rooks: no two sub-samples of a pixel share a row or a column, so edges of any direction get nine grey levels
_ROOKS = np.array([[-7, -1], [-5, 5], [-3, -5], [-1, 3], [1, -7], [3, 1], [5, -3], [7, 7]]) / 16.0


@njit
def _view(center, half, R_WO, R_WC, p_WC):
    """The boxes as rays from one pose meet them, nearest first, the room last.

    Returns view (n, 16), per box the origin and the axes (3, 3) of the rays in its frame, its half sizes and a distance
    it cannot be nearer than; bounds (n, 4), the range of x and of y that it covers; and its number (n,).
    """
    n = center.shape[0]
    closest = np.empty(n)
    for box in range(n):
        closest[box] = np.sqrt(np.sum((p_WC - center[box]) ** 2)) - np.sqrt(np.sum(half[box] ** 2))
    closest[0] = 1e30
    order = np.argsort(closest, kind="mergesort")
    view, bounds = np.empty((n, VIEW_COLUMNS)), np.empty((n, 4))
    for k in range(n):
        box = order[k]
        R_OW = np.ascontiguousarray(R_WO[box].T)
        view[k, ORIGIN : ORIGIN + 3] = R_OW @ (p_WC - center[box])
        view[k, AXES : AXES + 9] = (R_OW @ R_WC).ravel()
        view[k, HALF : HALF + 3] = half[box]
        view[k, CLOSEST] = closest[box] if box > 0 else -1e30  # the room is always tried
        _bound(view[k], bounds[k])
    bounds[n - 1] = np.array([-1e30, 1e30, -1e30, 1e30])
    return view, bounds, order


@njit
def _bound(box, bound):
    """Range (x low, x high, y low, y high) of the rays that can meet a box: that of its edges, cut off at depth NEAR."""
    bound[0::2], bound[1::2] = 1e30, -1e30
    ends = np.empty((2, 3))
    for edge in range(12):
        axis, corner = edge // 4, edge % 4
        for end in range(2):
            for row in range(3):
                ends[end, row] = 0.0
            for a in range(3):
                side = end if a == axis else (corner >> ((a - axis - 1) % 3)) & 1
                reach = box[HALF + a] * (2.0 * side - 1.0) - box[ORIGIN + a]
                for row in range(3):
                    ends[end, row] += box[AXES + 3 * a + row] * reach
        if max(ends[0, 2], ends[1, 2]) < NEAR:
            continue
        if min(ends[0, 2], ends[1, 2]) < NEAR:
            behind = 0 if ends[0, 2] < NEAR else 1
            share = (NEAR - ends[behind, 2]) / (ends[1 - behind, 2] - ends[behind, 2])
            ends[behind] += share * (ends[1 - behind] - ends[behind])
        for end in range(2):
            for row in range(2):
                value = ends[end, row] / max(ends[end, 2], NEAR)
                bound[2 * row] = min(bound[2 * row], value - ROUNDING)
                bound[2 * row + 1] = max(bound[2 * row + 1], value + ROUNDING)


@njit
def _first_hit(view, bounds, found, count, x, y):
    """Depth of the first surface on a ray among the first `count` boxes of `found`; its place in the view, its face."""
    length = np.sqrt(x * x + y * y + 1.0)
    depth, hit, hit_axis = 1e30, 0, 0
    for index in range(count):
        k = found[index]
        if x < bounds[k, 0] or x > bounds[k, 1] or y < bounds[k, 2] or y > bounds[k, 3] or view[k, CLOSEST] > depth * length:
            continue
        near, far, near_axis, far_axis = -1e30, 1e30, 0, 0
        for axis in range(3):
            speed = view[k, AXES + 3 * axis] * x + view[k, AXES + 3 * axis + 1] * y + view[k, AXES + 3 * axis + 2]
            if abs(speed) < 1e-12:
                speed = 1e-12
            inverse = 1.0 / speed
            middle, reach = -view[k, ORIGIN + axis] * inverse, view[k, HALF + axis] * abs(inverse)
            if middle - reach > near:
                near, near_axis = middle - reach, axis
            if middle + reach < far:
                far, far_axis = middle + reach, axis
        if index == count - 1:  # the room, seen from inside
            if far < depth:
                depth, hit, hit_axis = far, k, far_axis
        elif NEAR < near < far and near < depth:
            depth, hit, hit_axis = near, k, near_axis
    forward = view[hit, AXES + 3 * hit_axis] * x + view[hit, AXES + 3 * hit_axis + 1] * y + view[hit, AXES + 3 * hit_axis + 2] > 0.0
    inside = count > 0 and hit == found[count - 1]
    return depth, hit, 2 * hit_axis + (1 if forward == inside else 0)


@njit(inline="always")
def _radiance(view, order, faces, light, texels, hit, face, depth, x, y, spread):
    """Light that arrives along a ray (x, y, 1) from the face it meets; `spread` is the distance to the next pixel's ray."""
    normal = face // 2
    a, b = (1, 2) if normal == 0 else (0, 2) if normal == 1 else (0, 1)
    da = view[hit, AXES + 3 * a] * x + view[hit, AXES + 3 * a + 1] * y + view[hit, AXES + 3 * a + 2]
    db = view[hit, AXES + 3 * b] * x + view[hit, AXES + 3 * b + 1] * y + view[hit, AXES + 3 * b + 2]
    dn = view[hit, AXES + 3 * normal] * x + view[hit, AXES + 3 * normal + 1] * y + view[hit, AXES + 3 * normal + 2]
    u, v = view[hit, ORIGIN + a] + depth * da, view[hit, ORIGIN + b] + depth * db
    return shade(faces, 6 * order[hit] + face, light, texels, u, v, da, db, dn, depth * spread)


@njit
def _smooth_edge(view, bounds, order, faces, light, texels, found, count, xy, i, j, spread, shares, surfaces):
    """Mean radiance of a pixel where surfaces meet: eight rays find the share of each surface, each is then lit once,
    in the middle of its part of the pixel (multi-sampling at centroids). shares (8, 4), surfaces (8,): room to work in."""
    shares[:], surfaces[:] = 0.0, -1
    for k in range(8):
        right, down = 0.5 * _ROOKS[k, 0], 0.5 * _ROOKS[k, 1]
        x = xy[i, j, 0] + right * (xy[i, j + 1, 0] - xy[i, j - 1, 0]) + down * (xy[i + 1, j, 0] - xy[i - 1, j, 0])
        y = xy[i, j, 1] + right * (xy[i, j + 1, 1] - xy[i, j - 1, 1]) + down * (xy[i + 1, j, 1] - xy[i - 1, j, 1])
        depth, hit, face = _first_hit(view, bounds, found, count, x, y)
        slot = 0
        while surfaces[slot] != 6 * hit + face and surfaces[slot] >= 0:
            slot += 1
        surfaces[slot] = 6 * hit + face
        shares[slot, 0] += 1.0
        shares[slot, 1] += x
        shares[slot, 2] += y
        shares[slot, 3] += 1.0 / depth  # the inverse depth of a plane is linear over the picture
    total = 0.0
    for slot in range(8):
        n = shares[slot, 0]
        if n > 0.0:
            hit, face = surfaces[slot] // 6, surfaces[slot] % 6
            total += n * _radiance(view, order, faces, light, texels, hit, face, n / shares[slot, 3], shares[slot, 1] / n, shares[slot, 2] / n, spread)
    return total / 8.0


@njit
def _only_surface(view, bounds, found, count, left, right, top, bottom):
    """The surface, 6 place + face, that every ray of a rectangle meets, or -1 if that is not certain.

    From a point, the rays to the part of a flat face that lies inside the convex room form a convex cone: if the four
    outermost rays meet one face, and there is no third box, then all of them do.
    """
    if count > 2:
        return -1
    _, hit, face = _first_hit(view, bounds, found, count, left, top)
    if count == 2 and hit == found[1]:
        return -1  # the room, with something that may stand before it
    for corner in range(1, 4):
        _, k, f = _first_hit(view, bounds, found, count, right if corner & 1 else left, bottom if corner & 2 else top)
        if k != hit or f != face:
            return -1
    return 6 * hit + face


@njit(inline="always")
def _depth_of(view, surface, inside, x, y):
    """Depth at which the ray (x, y, 1) meets the plane of a surface; the same operations as in `_first_hit`."""
    k, axis = surface // 6, surface % 6 // 2
    speed = view[k, AXES + 3 * axis] * x + view[k, AXES + 3 * axis + 1] * y + view[k, AXES + 3 * axis + 2]
    inverse = 1.0 / speed
    middle, reach = -view[k, ORIGIN + axis] * inverse, view[k, HALF + axis] * abs(inverse)
    return middle + reach if inside else middle - reach


@njit
def _cast_plain_tile(view, order, faces, light, texels, surface, lens, top, left, radiance):
    """A tile that shows one surface alone."""
    inside = surface // 6 == len(order) - 1
    for i in range(top, min(top + TILE, radiance.shape[0])):
        for j in range(left, min(left + TILE, radiance.shape[1])):
            x, y = lens.xy[i + 1, j + 1, 0], lens.xy[i + 1, j + 1, 1]
            depth = _depth_of(view, surface, inside, x, y)
            radiance[i, j] += _radiance(view, order, faces, light, texels, surface // 6, surface % 6, depth, x, y, lens.spread[i, j])


@njit
def _cast_tile(view, bounds, order, faces, light, texels, found, count, lens, top, left, radiance, scratch):
    """One tile: first what each ray meets, in a ring around the tile too; then the light, smoothed where surfaces meet."""
    xy = lens.xy
    depth, surface, shares, surfaces = scratch
    rows, columns = min(TILE, radiance.shape[0] - top), min(TILE, radiance.shape[1] - left)
    for i in range(rows + 2):
        for j in range(columns + 2):
            depth[i, j], hit, face = _first_hit(view, bounds, found, count, xy[top + i, left + j, 0], xy[top + i, left + j, 1])
            surface[i, j] = 6 * hit + face
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            here, spread = surface[i, j], lens.spread[top + i - 1, left + j - 1]
            if surface[i - 1, j] == here == surface[i + 1, j] and surface[i, j - 1] == here == surface[i, j + 1]:
                x, y = xy[top + i, left + j, 0], xy[top + i, left + j, 1]
                value = _radiance(view, order, faces, light, texels, here // 6, here % 6, depth[i, j], x, y, spread)
            else:
                value = _smooth_edge(view, bounds, order, faces, light, texels, found, count, xy, top + i, left + j, spread, shares, surfaces)
            radiance[top + i - 1, left + j - 1] += value


@njit
def _overlapping(bounds, left, right, top, bottom, found):
    """Put the boxes that reach into a range of rays into `found`; returns how many."""
    count = 0
    for k in range(bounds.shape[0]):
        if bounds[k, 0] <= right and bounds[k, 1] >= left and bounds[k, 2] <= bottom and bounds[k, 3] >= top:
            found[count] = k
            count += 1
    return count


@njit(nogil=True)
def cast(scene, lens, R_WC, p_WC, radiance):
    """Add to `radiance` (h, w) float32 what a camera at T_WC = (R_WC, p_WC) sees of `scene` through `lens`."""
    view, bounds, order = _view(scene.center, scene.half, scene.R_WO, R_WC, p_WC)
    found = np.empty(len(order), np.int64)
    faces, light, texels = scene.faces, scene.light, scene.texels
    scratch = np.empty((TILE + 2, TILE + 2)), np.empty((TILE + 2, TILE + 2), np.int64), np.empty((8, 4)), np.empty(8, np.int64)
    for i in range(lens.tiles.shape[0]):
        for j in range(lens.tiles.shape[1]):
            left, right, top, bottom = lens.tiles[i, j]
            count = _overlapping(bounds, left, right, top, bottom, found)
            surface = _only_surface(view, bounds, found, count, left, right, top, bottom)
            if surface >= 0:
                _cast_plain_tile(view, order, faces, light, texels, surface, lens, i * TILE, j * TILE, radiance)
            else:
                _cast_tile(view, bounds, order, faces, light, texels, found, count, lens, i * TILE, j * TILE, radiance, scratch)


@njit(nogil=True)
def probe(scene, R_WC, p_WC, xy, depth, surface):
    """Depth (n,) in m and surface number (n,), 6 box + face, that rays through normalised points xy (n, 2) meet."""
    view, bounds, order = _view(scene.center, scene.half, scene.R_WO, R_WC, p_WC)
    everything = np.arange(len(order))
    for k in range(xy.shape[0]):
        depth[k], hit, face = _first_hit(view, bounds, everything, len(order), xy[k, 0], xy[k, 1])
        surface[k] = 6 * order[hit] + face
