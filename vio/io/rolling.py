"""Ray casting with a rolling shutter: every row of the picture has a pose of its own.

Objects are sorted out once per row of tiles, for the whole way the camera makes meanwhile; rays are exact for their row.
"""

import numpy as np

from vio.io.raycast import AXES, CLOSEST, ORIGIN, ROUNDING, TILE, VIEW_COLUMNS, _first_hit, _overlapping, _radiance, _smooth_edge, _view
from vio.kernels import njit


@njit
def _row_views(scene, order, base, R_WC, p_WC, views):
    """Fill views (rows, n, columns): `base`, with the origins and axes of the rays for each row's pose."""
    for row in range(R_WC.shape[0]):
        views[row] = base
        for k in range(order.shape[0]):
            box = order[k]
            R_OW = np.ascontiguousarray(scene.R_WO[box].T)
            views[row, k, ORIGIN : ORIGIN + 3] = R_OW @ (p_WC[row] - scene.center[box])
            views[row, k, AXES : AXES + 9] = (R_OW @ R_WC[row]).ravel()


@njit
def _band(scene, R_WC, p_WC, bounds):
    """View and order from the band's middle, and `bounds` of the rays that meet each box from anywhere along the band.

    Bounds are the union of those from first, middle and last row, widened by their spread: the way between is all but straight.
    The distance that a box cannot be nearer than is lessened by the way.
    """
    last, middle = R_WC.shape[0] - 1, R_WC.shape[0] // 2
    view, high, order = _view(scene.center, scene.half, scene.R_WO, R_WC[middle], p_WC[middle])
    low = high.copy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    way = 0.0
    for row in (0, last):
        _, others, other_order = _view(scene.center, scene.half, scene.R_WO, R_WC[row], p_WC[row])
        way = max(way, np.sqrt(np.sum((p_WC[row] - p_WC[middle]) ** 2)))
        at = place[other_order]
        low[at], high[at] = np.minimum(low[at], others), np.maximum(high[at], others)
    pad = high - low + ROUNDING
    bounds[:, 0::2], bounds[:, 1::2] = (low - pad)[:, 0::2], (high + pad)[:, 1::2]
    view[:, CLOSEST] -= way
    return view, order


@njit
def _cast_tile(scene, views, bounds, order, found, count, lens, top, left, radiance, scratch):
    """One tile; edges are smoothed as of one moment, because a row is."""
    xy = lens.xy
    depth, surface, shares, surfaces = scratch
    faces, light, texels = scene.faces, scene.light, scene.texels
    rows, columns = min(TILE, radiance.shape[0] - top), min(TILE, radiance.shape[1] - left)
    for i in range(rows + 2):
        for j in range(columns + 2):
            depth[i, j], hit, face = _first_hit(views[i], bounds, found, count, xy[top + i, left + j, 0], xy[top + i, left + j, 1])
            surface[i, j] = 6 * hit + face
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            here, spread = surface[i, j], lens.spread[top + i - 1, left + j - 1]
            if surface[i - 1, j] == here == surface[i + 1, j] and surface[i, j - 1] == here == surface[i, j + 1]:
                x, y = xy[top + i, left + j, 0], xy[top + i, left + j, 1]
                value = _radiance(views[i], order, faces, light, texels, here // 6, here % 6, depth[i, j], x, y, spread)
            else:
                value = _smooth_edge(views[i], bounds, order, faces, light, texels, found, count, xy, top + i, left + j, spread, shares, surfaces)
            radiance[top + i - 1, left + j - 1] += value


@njit(nogil=True)
def cast_rolling(scene, lens, R_WC, p_WC, radiance):
    """Add to `radiance` (h, w) float32 what a camera sees whose rows -1 .. h are at (R_WC, p_WC), shapes (h + 2, 3, 3) and (h + 2, 3)."""
    n = scene.center.shape[0]
    views, bounds, found = np.empty((TILE + 2, n, VIEW_COLUMNS)), np.empty((n, 4)), np.empty(n, np.int64)
    scratch = np.empty((TILE + 2, TILE + 2)), np.empty((TILE + 2, TILE + 2), np.int64), np.empty((8, 4)), np.empty(8, np.int64)
    for i in range(lens.tiles.shape[0]):
        rows = slice(i * TILE, min((i + 1) * TILE, radiance.shape[0]) + 2)
        base, order = _band(scene, R_WC[rows], p_WC[rows], bounds)
        _row_views(scene, order, base, R_WC[rows], p_WC[rows], views)
        for j in range(lens.tiles.shape[1]):
            left, right, top, bottom = lens.tiles[i, j]
            count = _overlapping(bounds, left, right, top, bottom, found)
            _cast_tile(scene, views, bounds, order, found, count, lens, i * TILE, j * TILE, radiance, scratch)
