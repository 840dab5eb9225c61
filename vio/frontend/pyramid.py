"""Gaussian image pyramid in integers: the 5-tap binomial of Burt and Adelson 1983, decimated by two.

Pixel (row, col) of level k + 1 lies on pixel (2 row, 2 col) of level k, so a position halves from level to level with no offset.
"""

from typing import NamedTuple

import numpy as np

from vio.events import Event
from vio.fixed import Register, narrow32
from vio.frontend.lanes import add, multiply
from vio.kernels import leaf, njit
from vio.precision import Logs, Precision

_PYRAMID_PIXEL = int(Event.PYRAMID_PIXEL)
_GAIN_LOG2 = 8  # the taps of both passes sum to 16 x 16


class PyramidFormat(NamedTuple):
    """Registers of the pyramid; samples are kept as grey levels, a raw value times 2**up."""

    is_plain: int  # the camera's 8 bits are taken as they are
    pixel: Register
    pixel_up: int
    sample: Register
    sample_up: int


def pyramid_format(precision: Precision, logs: Logs | None = None) -> PyramidFormat:
    """Derive the pyramid's integers from the word lengths."""
    pixel, sample = precision.pixel, precision.pyramid_sample
    return PyramidFormat(
        int(pixel.bits == 8 and logs is None), precision.register("pixel", 0, logs), -pixel.frac_bits,
        precision.register("pyramid_sample", _GAIN_LOG2, logs), -sample.frac_bits,
    )


def allocate(height: int, width: int, levels: int) -> tuple[np.ndarray, ...]:
    """Return `levels` uninitialised C-contiguous uint8 pictures; each level has ceil(size / 2) of the level below."""
    shapes = [(height, width)]
    for _ in range(levels - 1):
        shapes.append(tuple((side + 1) // 2 for side in shapes[-1]))
    return tuple(np.empty(shape, np.uint8) for shape in shapes)


@leaf
def _take(image, fmt, out):
    """Pass the camera's samples through the pixel register."""
    for row in range(image.shape[0]):
        if fmt.is_plain:
            for col in range(image.shape[1]):
                out[row, col] = image[row, col]
        else:
            for col in range(image.shape[1]):
                out[row, col] = np.uint8(narrow32(np.int32(image[row, col]), fmt.pixel) << fmt.pixel_up)


@njit(inline="always")
def _binomial(a, b, c, d, e):
    """a + 4 b + 6 c + 4 d + e."""
    return add(add(a, e), add(multiply(add(b, d), 4), multiply(c, 6)))


@leaf
def _column_sums(a, b, c, d, e, sums):
    """1 4 6 4 1 across five rows into sums[2:-2]; at most 16 * 255 fits 16 bits. Two replicated samples on either side."""
    width = a.shape[0]
    inner = sums[2 : width + 2]
    for col in range(width):
        inner[col] = _binomial(a[col], b[col], c[col], d[col], e[col])
    sums[0] = sums[1] = sums[2]
    sums[width + 2] = sums[width + 3] = sums[width + 1]


@leaf
def _row_sums(sums, fmt, out):
    """1 4 6 4 1 along the row at every second sample, into the sample register with eight fraction bits."""
    for col in range(out.shape[0]):
        at = 2 * col
        total = _binomial(sums[at], sums[at + 1], sums[at + 2], sums[at + 3], sums[at + 4])
        out[col] = np.uint8(narrow32(total, fmt.sample) << fmt.sample_up)


@leaf
def _reduce(source, out, fmt, sums):
    """Fill one level from the level below, replicating the border rows."""
    last = source.shape[0] - 1
    for row in range(out.shape[0]):
        mid = 2 * row
        above, top = max(mid - 1, 0), max(mid - 2, 0)
        below, bottom = min(mid + 1, last), min(mid + 2, last)
        _column_sums(source[top], source[above], source[mid], source[below], source[bottom], sums)
        _row_sums(sums, fmt, out[row])


@njit(nogil=True)
def build(image, levels, fmt, counts):
    """Take `image` (height, width) uint8 into levels[0] and fill the reduced levels from it.

    levels: from `allocate` with the picture's size. fmt: `PyramidFormat`. counts: int64 by `Event`; every pixel of a reduced level is one PYRAMID_PIXEL.
    """
    _take(image, fmt, levels[0])
    sums = np.empty(image.shape[1] + 4, np.int16)
    for k in range(1, len(levels)):
        _reduce(levels[k - 1], levels[k], fmt, sums[: levels[k - 1].shape[1] + 4])
        counts[_PYRAMID_PIXEL] += levels[k].size
