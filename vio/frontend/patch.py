"""The patch around a sub-pixel position: gathering, bilinear interpolation and central differences in integers.

Everything is flat int32: a loop over whole rows-with-padding fills whole vectors, where a loop over 15 samples would not.
The formats come as a NamedTuple of plain ints with at least the fields `KltFormat` has.
"""

from typing import NamedTuple

import numpy as np

from vio.fixed import narrow, narrow32
from vio.kernels import leaf, njit

_LANES = 16


class Scratch(NamedTuple):
    """Buffers of one patch, int32, flat, rows `window + 3` apart; what lies outside the window is masked."""

    pixels: np.ndarray
    wide: np.ndarray  # interpolated template with one more sample on every side
    template: np.ndarray
    gradient_x: np.ndarray  # zero outside the window, as is gradient_y
    gradient_y: np.ndarray
    mask: np.ndarray  # -1 inside the window, else 0
    residual: np.ndarray


@njit
def new_scratch(fmt):
    """Buffers for one call; the length is a whole number of vectors."""
    side = fmt.window + 3
    length = -(-fmt.window * side // _LANES) * _LANES
    mask = np.zeros(length, np.int32)
    for row in range(fmt.window):
        mask[row * side : row * side + fmt.window] = -1
    size = length + 3 * side
    return Scratch(np.zeros(size, np.int32), np.zeros(size, np.int32), np.zeros(length, np.int32),
                   np.zeros(length, np.int32), np.zeros(length, np.int32), mask, np.zeros(length, np.int32))


@leaf
def gather(image, x, y, side, stride, pixels):
    """Copy the square whose top left pixel is (x, y) into rows `stride` apart; samples outside repeat the nearest edge pixel."""
    height, width = image.shape
    if x >= 0 and y >= 0 and x + side <= width and y + side <= height:
        # unsigned, for an index that may be negative is tested at each pixel
        top, left, size, step = np.uint64(y), np.uint64(x), np.uint64(side), np.uint64(stride)
        for row in range(size):
            for col in range(size):
                pixels[row * step + col] = image[top + row, left + col]
    else:
        for row in range(side):
            source = image[min(max(y + row, 0), height - 1)]
            for col in range(side):
                pixels[row * stride + col] = source[min(max(x + col, 0), width - 1)]


@njit(inline="always")
def weights(u, v, fmt):
    """Bilinear weights (w00, w01, w10, w11) of a position; the four sum to one exactly, first index = row."""
    fraction = (1 << fmt.position_frac) - 1
    one = 1 << fmt.weight_frac
    right, down = narrow(u & fraction, fmt.fraction), narrow(v & fraction, fmt.fraction)
    w11 = narrow(right * down, fmt.weight)
    return np.int32(one - right - down + w11), np.int32(right - w11), np.int32(down - w11), np.int32(w11)


@njit(inline="always")
def blend(a, b, c, d, w00, w01, w10, w11):
    """Weighted sum of four samples in 32 bits."""
    return np.int32(np.int32(np.int32(w00 * a) + np.int32(w01 * b)) + np.int32(np.int32(w10 * c) + np.int32(w11 * d)))


@leaf(forceinline=True)
def interpolate_template(image, u, v, fmt, s):
    """Fill s.wide with (window + 2)^2 samples about (u, v), rows window + 3 apart."""
    side = fmt.window + 3
    reach = fmt.window // 2 + 1
    gather(image, (u >> fmt.position_frac) - reach, (v >> fmt.position_frac) - reach, side, side, s.pixels)
    w00, w01, w10, w11 = weights(u, v, fmt)
    length = (side - 1) * side
    a, b, c, d = s.pixels[:length], s.pixels[1 : length + 1], s.pixels[side : length + side], s.pixels[side + 1 : length + side + 1]
    wide = s.wide[:length]
    for i in range(length):
        wide[i] = narrow32(blend(a[i], b[i], c[i], d[i], w00, w01, w10, w11), fmt.template)


@njit(inline="always")
def _masked(difference, mask, reg):
    return narrow32(np.int32(np.int32(difference) & mask), reg)


@leaf(forceinline=True)
def differentiate(fmt, s):
    """Template and central differences of the window from s.wide, masked; sums of x, y, xx, xy, yy of the differences modulo 2**32."""
    side, length = fmt.window + 3, s.mask.shape[0]
    here = side + 1  # the window's first sample in s.wide
    centre, above, below = s.wide[here : here + length], s.wide[here - side : here - side + length], s.wide[here + side : here + side + length]
    left, right = s.wide[here - 1 : here - 1 + length], s.wide[here + 1 : here + 1 + length]
    template, gradient_x, gradient_y, mask = s.template, s.gradient_x, s.gradient_y, s.mask
    x = y = xx = xy = yy = np.int32(0)
    for i in range(length):
        template[i] = centre[i]
        gx, gy = _masked(right[i] - left[i], mask[i], fmt.gradient), _masked(below[i] - above[i], mask[i], fmt.gradient)
        gradient_x[i], gradient_y[i] = gx, gy
        x, y = np.int32(x + gx), np.int32(y + gy)
        xx, xy, yy = np.int32(xx + np.int32(gx * gx)), np.int32(xy + np.int32(gx * gy)), np.int32(yy + np.int32(gy * gy))
    return x, y, xx, xy, yy
