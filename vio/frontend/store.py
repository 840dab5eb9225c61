"""The frame store: the previous pyramid kept raw or in a block code, from which the tracker reads its templates.

A 4x4 block is a word of 29 bits (`block1`) or 45 bits (`block2`) with the default widths, 4.4 and 2.8 times smaller than 16 pixels
of 8 bits: one or two index bits a pixel in row-major order from the lowest bit, then `store_level`, then `store_range`. Pixel i is
palette[index_i] with

    block1   low, low + range                                          low, high: means of the pixels below, and from the middle up
    block2   low, low + 85/256 range, low + 171/256 range, low + range low, high: the smallest and the largest pixel

and each pixel takes the nearest palette entry, the brighter one of two equally near. Splitting at the middle between the smallest
and the largest pixel, not at the mean, keeps an edge where it is when it leaves only a corner of the block on one side.

Every level of the pyramid is stored and coded, as the tracker reads a patch around each feature from each level at random: coarse
levels rebuilt from a coded finest one would ask for the whole picture before the first patch. Blocks that stick out of the picture
repeat its edge pixels, as every other read beyond the edge does.
"""

from typing import NamedTuple

import numpy as np

from vio.config import Config
from vio.events import Event
from vio.fixed import Register, narrow, round_divide
from vio.kernels import njit
from vio.precision import Logs

BLOCK = 4  # px, side of a block
_PIXELS = BLOCK * BLOCK
_CODES = {"raw": 0, "block1": 1, "block2": 2}
_THIRD, _TWO_THIRDS = 85, 171  # of 256: a shift and two adders instead of a division by three
_BLOCK_ENCODED = int(Event.BLOCK_ENCODED)


class StoreFormat(NamedTuple):
    """The block code as plain integers."""

    pixel_bits: int  # index bits a pixel
    level_up: int  # left shift from raw to grey levels
    level_bits: int
    range_up: int
    level: Register
    range: Register


def store_format(config: Config, logs: Logs | None = None) -> StoreFormat | None:
    """Derive the code's integers; None for the raw store."""
    p, pixel_bits = config.precision, _CODES[config.frontend.frame_store]
    if pixel_bits == 0:
        return None
    return StoreFormat(pixel_bits, -p.store_level.frac_bits, p.store_level.bits, -p.store_range.frac_bits,
                       p.register("store_level", 0, logs), p.register("store_range", 0, logs))


def allocate_words(levels: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Uninitialised words (ceil(height / 4), ceil(width / 4)) int64, for each level of a pyramid."""
    return tuple(np.empty((-(-level.shape[0] // BLOCK), -(-level.shape[1] // BLOCK)), np.int64) for level in levels)


@njit
def _gather(image, row, col, pixels):
    """The block's 16 pixels; beyond the picture the nearest edge pixel."""
    height, width = image.shape
    for i in range(BLOCK):
        for j in range(BLOCK):
            pixels[BLOCK * i + j] = image[min(BLOCK * row + i, height - 1), min(BLOCK * col + j, width - 1)]


@njit
def _extremes(pixels):
    low = high = pixels[0]
    for i in range(1, _PIXELS):
        low, high = min(low, pixels[i]), max(high, pixels[i])
    return low, high


@njit
def _means(pixels, low, high):
    """Means of the pixels below the middle of low and high, and of the others; both the same in a flat block."""
    middle, total, below, count = (low + high + 1) >> 1, 0, 0, 0
    for i in range(_PIXELS):
        is_below = pixels[i] < middle
        total += pixels[i]
        below += pixels[i] if is_below else 0
        count += is_below
    return round_divide(below, count) if count > 0 else low, round_divide(total - below, _PIXELS - count)


@njit
def _palette(low, span, fmt, palette):
    """Grey levels that the indices stand for; return how many."""
    if fmt.pixel_bits == 1:
        palette[0], palette[1] = low, min(low + span, 255)
        return 2
    palette[0], palette[1] = low, min(low + ((_THIRD * span + 128) >> 8), 255)
    palette[2], palette[3] = min(low + ((_TWO_THIRDS * span + 128) >> 8), 255), min(low + span, 255)
    return 4


@njit
def encode_block(pixels, palette, fmt):
    """Code word of 16 pixels, int64; palette: scratch (4,) int64."""
    low, high = _extremes(pixels)
    if fmt.pixel_bits == 1:
        low, high = _means(pixels, low, high)
    level = narrow(low, fmt.level)
    span = narrow(high - (level << fmt.level_up), fmt.range)
    size = _palette(level << fmt.level_up, span << fmt.range_up, fmt, palette)
    word = ((span << fmt.level_bits) | level) << (_PIXELS * fmt.pixel_bits)
    for i in range(_PIXELS):
        index = 0
        for k in range(1, size):
            index += 2 * pixels[i] >= palette[k - 1] + palette[k]
        word |= index << (i * fmt.pixel_bits)
    return word


@njit
def encode(image, fmt, words, counts):
    """Code `image` (height, width) uint8 into words (blocks down, blocks across) int64; each is one BLOCK_ENCODED."""
    pixels, palette = np.empty(_PIXELS, np.int64), np.empty(4, np.int64)
    for row in range(words.shape[0]):
        for col in range(words.shape[1]):
            _gather(image, row, col, pixels)
            words[row, col] = encode_block(pixels, palette, fmt)
    counts[_BLOCK_ENCODED] += words.size


@njit
def decode(words, fmt, image):
    """Fill `image` (height, width) uint8 from its words. Counts nothing: a chip decodes only what the tracker reads, and that counts it."""
    palette, mask = np.empty(4, np.int64), (1 << fmt.pixel_bits) - 1
    height, width = image.shape
    for row in range(words.shape[0]):
        for col in range(words.shape[1]):
            head = words[row, col] >> (_PIXELS * fmt.pixel_bits)
            level = head & ((1 << fmt.level_bits) - 1)
            _palette(level << fmt.level_up, (head >> fmt.level_bits) << fmt.range_up, fmt, palette)
            for i in range(min(BLOCK, height - BLOCK * row)):
                for j in range(min(BLOCK, width - BLOCK * col)):
                    index = (words[row, col] >> ((BLOCK * i + j) * fmt.pixel_bits)) & mask
                    image[BLOCK * row + i, BLOCK * col + j] = palette[index]


@njit(nogil=True)
def keep(levels, fmt, words, stored, counts):
    """Code every level of a pyramid and decode it into `stored`, where the tracker finds its templates."""
    for k in range(len(levels)):
        encode(levels[k], fmt, words[k], counts)
        decode(words[k], fmt, stored[k])
