"""Corner detection in integers: Shi and Tomasi 1994 or Harris and Stephens 1988, spread over a grid.

(a, b; b, c) is the structure tensor of Sobel gradients: products summed over a box of n pixels, over 2^ceil(log2 n), in the
`precision.corner_sum` register (grey levels^2 / px^2). Halves are arithmetic shifts:

    shi_tomasi   (a + c) / 2 - isqrt(((a - c) / 2)^2 + b^2), the smaller eigenvalue; isqrt is the exact integer square root
    harris       a c - b b - (a + c)^2 / 16; its unit is the square of the other's

A corner is a pixel that no pixel of its 3x3 neighbourhood beats; of equal ones the first in row-major order counts.
"""

from typing import NamedTuple

import numpy as np

from vio.config import Config
from vio.events import Event
from vio.fixed import Register, fit32, narrow32
from vio.kernels import leaf, njit
from vio.precision import Logs, require
from vio.frontend.lanes import add, subtract
from vio.frontend.spread import choose, propose, take

_CORNER_PIXEL, _FEATURE_DETECTED = int(Event.CORNER_PIXEL), int(Event.FEATURE_DETECTED)
_QUALITY_SHIFT = 16
_SOBEL_SHIFT = 3  # the Sobel operator's gain is 8
_STEEPEST = 4 * 255  # of black beside white


class CornerFormat(NamedTuple):
    """The detector's configuration as plain integers."""

    is_harris: int
    half_window: int
    quality: int  # share of the best score, 16 fraction bits
    min_score: int
    max_features: int
    grid_rows: int
    grid_cols: int
    min_distance: int  # px
    margin: int  # px; a corner is at least this far from the edge
    block: int  # px, side of the squares that propose one candidate each
    gradient: Register  # this and the next two are 32-bit lanes
    total: Register
    score: Register
    position_frac: int


class _Lines(NamedTuple):
    """Line buffers of one band of rows, int32."""

    gradients: np.ndarray  # (window + 1, 2, width): a ring of rows
    columns: np.ndarray  # (3, width): products summed down the window
    sums: np.ndarray  # (3, width): and along it


class CornerWorkspace(NamedTuple):
    """Buffers for one picture size, reused from call to call."""

    score: np.ndarray  # (height, width) int32
    taken: np.ndarray  # (height, width) uint8: closer than min_distance to a feature
    cells: np.ndarray  # (grid_rows, grid_cols) int32: features per cell
    keys: np.ndarray  # (blocks,) int64: candidates, best first
    best: np.ndarray  # (width,) int32: scores of the best candidates so far of one row of blocks, by column
    visible: np.ndarray  # (blocks,) uint8, row-major: blocks that may propose one


def corner_format(config: Config, logs: Logs | None = None) -> CornerFormat:
    """Derive the detector's integers from configuration and word lengths. Raises ConfigError for formats it cannot carry."""
    frontend, precision = config.frontend, config.precision
    gradient, total, score = precision.corner_gradient, precision.corner_sum, precision.corner_score
    area_log2 = (frontend.corner_window**2 - 1).bit_length()
    require(gradient.frac_bits <= _SOBEL_SHIFT, "corner_gradient", "at most 3 fraction bits")
    require(total.frac_bits <= 2 * gradient.frac_bits + area_log2, "corner_sum", "at most twice the fraction bits of corner_gradient")
    half = frontend.corner_window // 2
    return CornerFormat(
        is_harris=int(frontend.corner == "harris"), half_window=half,
        quality=round(frontend.corner_quality * 2**_QUALITY_SHIFT),
        min_score=frontend.corner_min_score ** (2 if frontend.corner == "harris" else 1),
        max_features=frontend.max_features, grid_rows=frontend.grid_rows, grid_cols=frontend.grid_cols,
        min_distance=frontend.min_distance, margin=max(frontend.border, half + 2),
        block=max(2, 7 * frontend.min_distance // 10),
        gradient=precision.register("corner_gradient", _SOBEL_SHIFT, logs, gradient.raw_max >= _STEEPEST >> _SOBEL_SHIFT - gradient.frac_bits),
        total=precision.register("corner_sum", 2 * gradient.frac_bits + area_log2, logs),
        score=precision.register("corner_score", score.frac_bits, logs), position_frac=precision.position.frac_bits,
    )


def allocate_workspace(height: int, width: int, fmt: CornerFormat) -> CornerWorkspace:
    """Buffers for pictures of (height, width) and this format."""
    blocks = -(-height // fmt.block) * -(-width // fmt.block)
    return CornerWorkspace(
        np.zeros((height, width), np.int32), np.zeros((height, width), np.uint8),
        np.zeros((fmt.grid_rows, fmt.grid_cols), np.int32), np.zeros(blocks, np.int64), np.zeros(width, np.int32),
        np.ones(blocks, np.uint8),
    )


@leaf
def _sobel_row(above, middle, below, fmt, out_x, out_y):
    """Sobel gradients of one row; the first and last column stay untouched (zero)."""
    width = middle.shape[0] - 2
    a0, a1, a2 = above[:width], above[1 : width + 1], above[2 : width + 2]
    m0, m2 = middle[:width], middle[2 : width + 2]
    b0, b1, b2 = below[:width], below[1 : width + 1], below[2 : width + 2]
    inner_x, inner_y = out_x[1 : width + 1], out_y[1 : width + 1]
    for col in range(width):
        down, up = subtract(b2[col], a0[col]), subtract(a2[col], b0[col])
        across, along = subtract(m2[col], m0[col]), subtract(b1[col], a1[col])
        inner_x[col] = narrow32(add(add(down, up), add(across, across)), fmt.gradient)
        inner_y[col] = narrow32(add(subtract(down, up), add(along, along)), fmt.gradient)


@leaf
def _add(gx, gy, xx, xy, yy):
    """Add one row's products to the column sums."""
    for col in range(gx.shape[0]):
        x, y = gx[col], gy[col]
        xx[col] = np.int32(xx[col] + np.int32(x * x))
        xy[col] = np.int32(xy[col] + np.int32(x * y))
        yy[col] = np.int32(yy[col] + np.int32(y * y))


@leaf
def _replace(old_x, old_y, gx, gy, xx, xy, yy):
    """Add one row's products to the column sums and remove those of another."""
    for col in range(gx.shape[0]):
        a, b, x, y = old_x[col], old_y[col], gx[col], gy[col]
        xx[col] = np.int32(xx[col] + np.int32(np.int32(x * x) - np.int32(a * a)))
        xy[col] = np.int32(xy[col] + np.int32(np.int32(x * y) - np.int32(a * b)))
        yy[col] = np.int32(yy[col] + np.int32(np.int32(y * y) - np.int32(b * b)))


@leaf
def _box_row(column, half, out):
    """out[col] = sum of column[col - half : col + half + 1], for the columns where that exists; half at least 1."""
    width = column.shape[0] - 2 * half
    inner, a, b, c = out[half : half + width], column[:width], column[1 : width + 1], column[2 : width + 2]
    for col in range(width):
        inner[col] = np.int32(np.int32(a[col] + b[col]) + c[col])
    for offset in range(3, 2 * half + 1, 2):
        a, b = column[offset : offset + width], column[offset + 1 : offset + 1 + width]
        for col in range(width):
            inner[col] = np.int32(inner[col] + np.int32(a[col] + b[col]))


@leaf(forceinline=True)
def _isqrt(value):
    """Floor of the square root of a non-negative int32, digit by digit; 16 equal steps, hence no branch."""
    root, bit, one = np.int32(0), np.int32(1 << 30), np.int32(1)
    for _ in range(16):
        trial = np.int32(root + bit)
        fits = value >= trial
        value = np.int32(value - trial) if fits else value
        root = np.int32(np.right_shift(root, one) + bit) if fits else np.right_shift(root, one)
        bit = np.right_shift(bit, np.int32(2))
    return root


@leaf(forceinline=True)
def _shi_tomasi(xx, xy, yy, fmt):
    a, b, c = narrow32(xx, fmt.total), narrow32(xy, fmt.total), narrow32(yy, fmt.total)
    mean = np.right_shift(np.int32(a + c), np.int32(1))
    half = np.right_shift(np.int32(a - c), np.int32(1))
    root = _isqrt(np.int32(np.int32(half * half) + np.int32(b * b)))
    return fit32(np.int32(mean - root), fmt.score)


@leaf
def _shi_tomasi_row(xx, xy, yy, fmt, score):
    """Both halves of a row at once: the steps of a root wait for each other, those of two roots do not."""
    half = score.shape[0] // 2
    xx_2, xy_2, yy_2, score_2 = xx[half:], xy[half:], yy[half:], score[half:]
    for col in range(half):
        score[col] = _shi_tomasi(xx[col], xy[col], yy[col], fmt)
        score_2[col] = _shi_tomasi(xx_2[col], xy_2[col], yy_2[col], fmt)
    for col in range(2 * half, score.shape[0]):
        score[col] = _shi_tomasi(xx[col], xy[col], yy[col], fmt)


@leaf
def _harris_row(xx, xy, yy, fmt, score):
    for col in range(score.shape[0]):
        a = narrow32(xx[col], fmt.total)
        b = narrow32(xy[col], fmt.total)
        c = narrow32(yy[col], fmt.total)
        mean = np.right_shift(np.int32(a + c), np.int32(1))
        squared = np.right_shift(np.int32(mean * mean), np.int32(2))  # (a + c)^2 / 16
        determinant = np.int32(np.int32(a * c) - np.int32(b * b))
        score[col] = fit32(np.int32(determinant - squared), fmt.score)


@leaf
def _slide(image, row, is_full, fmt, lines):
    """Move the column sums down to take `row`; if they are full, they lose the row a window above."""
    rows, (xx, xy, yy) = lines.gradients.shape[0], (lines.columns[0], lines.columns[1], lines.columns[2])
    new, old = lines.gradients[row % rows], lines.gradients[(row + 1) % rows]
    _sobel_row(image[row - 1], image[row], image[row + 1], fmt, new[0], new[1])
    if is_full:
        _replace(old[0], old[1], new[0], new[1], xx, xy, yy)
    else:
        _add(new[0], new[1], xx, xy, yy)


@leaf
def _score_row(fmt, lines, first, stop, score):
    """Scores of one row, columns `first` to `stop`, from the column sums."""
    for k in range(3):
        _box_row(lines.columns[k], fmt.half_window, lines.sums[k])
    xx, xy, yy = lines.sums[0, first:stop], lines.sums[1, first:stop], lines.sums[2, first:stop]
    if fmt.is_harris:
        _harris_row(xx, xy, yy, fmt, score)
    else:
        _shi_tomasi_row(xx, xy, yy, fmt, score)


@njit
def _score(image, fmt, score_out, counts):
    """Fill score_out (height, width) int32 where candidates may lie and one pixel around; return the largest score."""
    half, width, best = fmt.half_window, image.shape[1], 0
    left, right, first, last = fmt.margin - 1, width - fmt.margin + 1, fmt.margin - 1, image.shape[0] - fmt.margin + 1
    lines = _Lines(np.zeros((2 * half + 2, 2, width), np.int32), np.zeros((3, width), np.int32), np.zeros((3, width), np.int32))
    for row in range(first - half, last + half):
        _slide(image, row, row - first > half, fmt, lines)
        if row - half >= first:
            score = score_out[row - half, left:right]
            _score_row(fmt, lines, left, right, score)
            best = max(best, _largest(score))
            counts[_CORNER_PIXEL] += score.shape[0]
    return best


@leaf
def _largest(values):
    top = values[0]
    for i in range(values.shape[0]):
        top = max(top, values[i])
    return top


@leaf
def _clear(array):
    for row in range(array.shape[0]):
        for col in range(array.shape[1]):
            array[row, col] = 0


@njit(nogil=True)
def _detect(image, existing_uv_raw, room, fmt, ws, uv_out, counts):
    """Write at most `room` corners into uv_out (k, 2) and return how many."""
    best = _score(image, fmt, ws.score, counts)
    least = max(max(fmt.min_score, 1), (best * fmt.quality) >> _QUALITY_SHIFT)
    _clear(ws.taken)
    _clear(ws.cells)
    for i in range(existing_uv_raw.shape[0]):
        take(np.int64(existing_uv_raw[i, 0]), np.int64(existing_uv_raw[i, 1]), fmt, ws)
    chosen = choose(propose(least, fmt, ws), room, fmt, ws, uv_out)
    counts[_FEATURE_DETECTED] += chosen
    return chosen


def detect_corners(
    image: np.ndarray, existing_uv_raw: np.ndarray, fmt: CornerFormat, workspace: CornerWorkspace, counts: np.ndarray
) -> np.ndarray:
    """New corners (k, 2) int32 raw of `image` (height, width) uint8 that spread over the grid together with the existing (m, 2) ones.

    They lie on whole pixels, best first within each filling of the grid; at most max_features - m are found. Afterwards
    workspace.score holds the scores of the candidates' region and of one pixel around it.
    """
    room = max(fmt.max_features - len(existing_uv_raw), 0)
    uv_out = np.empty((room, 2), np.int32)
    if room == 0 or min(image.shape) <= 2 * fmt.margin:
        return uv_out[:0]
    return uv_out[: _detect(image, existing_uv_raw, room, fmt, workspace, uv_out, counts)]
