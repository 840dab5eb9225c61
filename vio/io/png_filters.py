"""Kernels of the PNG reader: row filters undone. PNG specification (W3C, third edition), section 9."""

import numpy as np

from vio.kernels import leaf, njit

LANES = 32  # rows at work at once: as many bytes as a vector of AVX2 holds
_STRIDE = LANES + 1  # and the row above them


@njit(inline="always")
def _distance(a, b):
    """|a - b| of two uint8, as one."""
    return np.uint8(max(a, b) - min(a, b))


@njit(inline="always")
def _paeth(a, b, c):
    """Which of a (left), b (above) and c (above left) is nearest to a + b - c, the first of equals.

    All in 8 bits: with c outside of a..b the nearest is the farther of the two from c; with c between, the third distance is the difference of the others.
    """
    low, high = min(a, b), max(a, b)
    to_a, to_b = _distance(b, c), _distance(a, c)
    to_c = _distance(to_a, to_b)
    nearest = b if to_b <= to_c else c
    nearest = a if (to_a <= to_b) & (to_a <= to_c) else nearest
    nearest = low if c >= high else nearest
    return high if c <= low else nearest


@leaf
def _advance(now, left, above, corner, sub, up, average, paeth):
    """Add its prediction to one byte in each lane; the last four are 255 in the lanes of that filter, 0 elsewhere."""
    for lane in range(LANES):
        a, b, c = left[lane], above[lane], corner[lane]
        mean = np.uint8((np.int64(a) + np.int64(b)) >> 1)
        predicted = (a & sub[lane]) | (b & up[lane]) | (mean & average[lane]) | (_paeth(a, b, c) & paeth[lane])
        now[lane] = np.uint8(now[lane] + predicted)


@leaf
def _spread(row, skewed, at):
    """Put a row of bytes into its lane."""
    for column in range(row.shape[0]):
        skewed[np.uint64(at + column * _STRIDE)] = row[column]


@leaf
def _collect(skewed, at, row):
    """Take a row of bytes out of its lane."""
    for column in range(row.shape[0]):
        row[column] = skewed[np.uint64(at + column * _STRIDE)]


@njit(nogil=True)
def undo_filters(filtered, picture):
    """Fill `picture` (h, w) uint8 from h rows (h * (w + 1),) uint8, each with its filter's number in front; False if that is none of 0 to 4.

    A byte needs those left, above and above left of it. Rows go side by side, each a column behind the one above it, so that they wait
    for nobody: a step takes one byte of each of 32 rows.
    """
    height, width = picture.shape
    skewed = np.zeros((width + LANES + 2) * _STRIDE, np.uint8)  # (steps, lanes), the row above in lane 0
    masks = np.zeros((5, LANES), np.uint8)
    for top in range(0, height, LANES):
        rows = min(LANES, height - top)
        masks[:] = 0
        for row in range(rows):
            start = (top + row) * (width + 1)
            kind = filtered[start]
            if kind > 4:
                return False
            masks[kind, row] = 255
            for step in range(row + 2):  # nothing stands left of a row
                skewed[step * _STRIDE + row + 1] = 0
            _spread(filtered[start + 1 : start + 1 + width], skewed, (row + 2) * _STRIDE + row + 1)
        if top:
            _spread(picture[top - 1], skewed, _STRIDE)
        for step in range(2, width + rows + 1):
            now, before, last = step * _STRIDE, (step - 1) * _STRIDE, (step - 2) * _STRIDE
            left, above, corner = skewed[before + 1 : now], skewed[before : now - 1], skewed[last : before - 1]
            _advance(skewed[now + 1 : now + _STRIDE], left, above, corner, masks[1], masks[2], masks[3], masks[4])
        for row in range(rows):
            _collect(skewed, (row + 2) * _STRIDE + row + 1, picture[top + row])
    return True
