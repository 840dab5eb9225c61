"""From one left picture to the next: where to look for each feature, the search itself, and what contradicts the common direction of motion.

One compiled call a frame: taking the formats apart costs as much as several of its steps, and other threads run beside it.
"""

import numpy as np

from vio.events import Event
from vio.frontend.klt import track
from vio.frontend.outliers import reject_by_direction, squared_displacements
from vio.frontend.rays import lookup, project, reject_out_of_view, rotate
from vio.frontend.rows import chosen, picked
from vio.kernels import leaf, njit
from vio.types import TrackStatus

_RAY_ROTATION, _RAY_PROJECTION = int(Event.RAY_ROTATION), int(Event.RAY_PROJECTION)
_TRACKED, _OUTLIER = int(TrackStatus.TRACKED), int(TrackStatus.OUTLIER)
CROWD = 30  # features from which on their loss all at once is told from a few bad ones


@leaf
def _moved_on(rotated, flow, frames, start):
    """Where the search begins: turned with the rig and moved on as before, over so many frames."""
    for i in range(rotated.shape[0]):
        for k in range(2):
            start[i, k] = rotated[i, k] + flow[i, k] * frames


@leaf
def _put(values, rows, out):
    """out[rows[k]] = values[k], of (n, 2) arrays."""
    for k in range(rows.shape[0]):
        out[rows[k], 0], out[rows[k], 1] = values[k, 0], values[k, 1]


@njit
def _reject(rotated, arrived, seed, fewest, fmt, status, counts):
    """Mark tracked features that contradict the common direction of motion; and all of a crowd of which fewer than `fewest` are left."""
    tracked = np.empty(status.shape[0], np.int64)
    tracked = tracked[: chosen(status, _TRACKED, tracked)]
    inlier = np.empty(tracked.shape[0], np.bool_)
    reject_by_direction(picked(rotated, tracked), picked(arrived, tracked), seed, fmt, inlier, counts)
    is_chance = status.shape[0] >= CROWD and tracked.shape[0] < fewest  # the picture went dark or was swapped
    for k in range(tracked.shape[0]):
        if is_chance or not inlier[k]:
            status[tracked[k]] = _OUTLIER


@njit
def half_has_moved(key_rays, rays, status, R_raw, least_sq, ray_fmt, fmt):
    """Whether the median motion of the tracked rays (n, 2) int32 since key_rays (n, 2), turned by R_raw (3, 3), is at least least_sq, raw displacement squared."""
    n, alive, fewer = rays.shape[0], 0, 0
    rotated, moved_sq = np.empty_like(rays), np.empty(n, np.int64)
    rotate(key_rays, R_raw, ray_fmt, rotated)
    squared_displacements(rotated, rays, fmt, moved_sq)
    for i in range(n):
        if status[i] == _TRACKED:
            alive, fewer = alive + 1, fewer + (moved_sq[i] < least_sq)
    return fewer <= alive // 2


@njit(nogil=True)
def follow(
    previous, current, uv, rays, flow, expected, rays_expected, R_raw, frames, key_rays, R_key, parallax_sq, seed, fewest, top_level, lens, fmt, outlier,
    uv_out, rays_out, flow_out, status, counts,
):
    """Find the features of the previous left picture in the current one; return whether half of those found have moved since the keyframe.

    previous, current: pyramids; uv, rays, flow (n, 2) int32: where the features were, raw, and how their rays moved in the last frame.
    expected (k,) int64: rows that are looked for on rays_expected (k, 2) int32. R_raw (3, 3) int64: turns old rays into the current
    picture; frames: that lie between the two. key_rays, R_key, parallax_sq: as of `half_has_moved`. seed: of RANSAC. fewest: of a crowd that
    must be found, or what is found is chance. top_level, fmt, outlier: as of `klt.track` and `outliers.reject_by_direction`. Out: uv_out, of
    what is lost where it was, rays_out, flow_out (n, 2) int32 and status (n,) uint8, TRACKED or why not.
    """
    rotated, start, guess, residual = np.empty_like(rays), np.empty_like(rays), np.empty_like(uv), np.empty(uv.shape[0], np.int32)
    rotate(rays, R_raw, lens.fmt, rotated)
    _moved_on(rotated, flow, frames, start)
    _put(rays_expected, expected, start)
    project(start, lens.radial, lens.fmt, guess)
    counts[_RAY_ROTATION] += uv.shape[0]
    counts[_RAY_PROJECTION] += uv.shape[0]
    track(previous, current, uv, guess, top_level, fmt, uv_out, status, residual, counts)
    lookup(uv_out, lens.table, lens.fmt, rays_out, counts)
    reject_out_of_view(rays_out, lens.fmt, status)
    _reject(rotated, rays_out, seed, fewest, outlier, status, counts)
    for i in range(uv.shape[0]):
        for k in range(2):
            flow_out[i, k] = (rays_out[i, k] - rotated[i, k]) // frames
            if status[i] != _TRACKED:
                uv_out[i, k] = uv[i, k]
    return half_has_moved(key_rays, rays_out, status, R_key, parallax_sq, lens.fmt, outlier)
