"""Anchors: the patch in which a feature was first seen, against which its track is straightened at every keyframe.

From frame to frame the tracker takes its template where the last track ended, and its errors add up to a random walk. Aligned with
the picture of its birth instead, a feature keeps the error of one alignment, however old it is (the template update problem;
Matthews, Ishikawa and Baker, PAMI 2004: the updated template finds the way, the first one corrects the drift). Where the first patch
does not fit any more, the present one takes its place.
"""

import numpy as np

from vio.frontend.klt import KltFormat, descend, is_outside, mean_absolute, template
from vio.frontend.patch import gather, new_scratch
from vio.kernels import njit
from vio.types import TrackStatus

_TRACKED = int(TrackStatus.TRACKED)


def side(fmt: KltFormat) -> int:
    """Pixels of an anchor's side: the window, one for the gradients on either side and one for interpolation."""
    return fmt.window + 3


@njit
def renew(image, uv, which, fmt, anchors, inside):
    """Take the patches about uv (n, 2) of the picture as anchors (n, side, side) uint8, where `which` (n,) bool says so.

    inside (n, 2) int32, out: position of the feature within its anchor, `precision.position` format.
    """
    length, reach = fmt.window + 3, fmt.window // 2 + 1
    pixels = np.empty(length * length, np.int32)
    for i in range(uv.shape[0]):
        if not which[i]:
            continue
        x, y = np.int64(uv[i, 0]) >> fmt.position_frac, np.int64(uv[i, 1]) >> fmt.position_frac
        gather(image, x - reach, y - reach, length, length, pixels)
        for row in range(length):
            for col in range(length):
                anchors[i, row, col] = pixels[row * length + col]
        inside[i, 0], inside[i, 1] = uv[i, 0] - ((x - reach) << fmt.position_frac), uv[i, 1] - ((y - reach) << fmt.position_frac)


@njit(nogil=True)
def straighten(image, anchors, inside, uv, reach, limit, fmt, fits, counts):
    """Move uv (n, 2) int32, in place, to where the anchors (n, side, side) match best; `fits` (n,) bool says of which this is believed.

    inside as of `renew`; image: level 0. A match is believed within `reach` (raw position) of where the track led, with a mean
    residual of at most `limit` (raw).
    """
    s = new_scratch(fmt)
    for i in range(uv.shape[0]):
        u, v = np.int64(uv[i, 0]), np.int64(uv[i, 1])
        is_flat, system = template(anchors[i], np.int64(inside[i, 0]), np.int64(inside[i, 1]), fmt, s, counts)
        fits[i] = False
        if is_flat:
            continue
        status, x, y = descend(image, u, v, fmt.border_raw, system, fmt, s, counts)
        if status != _TRACKED or abs(x - u) > reach or abs(y - v) > reach or is_outside(x, y, fmt.border_raw, image, fmt):
            continue
        fits[i] = mean_absolute(image, x, y, fmt, s) <= limit
        if fits[i]:
            uv[i, 0], uv[i, 1] = x, y
