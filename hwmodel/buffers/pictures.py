"""Frame store and line buffers."""

from hwmodel.buffers.record import Buffer, Savings
from hwmodel.chip import Chip
from hwmodel.widths import index_bits
from vio.config import Config

BLOCK = 4  # side of a coded block, px
_TAPS = 5  # of the pyramid's filter


def level_sizes(chip: Chip, levels: int) -> list[tuple[int, int]]:
    """(height, width) of each pyramid level."""
    sizes = [(chip.image_height, chip.image_width)]
    for _ in range(levels - 1):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def block_bits(config: Config) -> int:
    """Bits of one coded block: one or two a pixel, a level and a range. 0 for a raw store."""
    per_pixel = {"raw": 0, "block1": 1, "block2": 2}[config.frontend.frame_store]
    if per_pixel == 0:
        return 0
    return per_pixel * BLOCK * BLOCK + config.precision.store_level.bits + config.precision.store_range.bits


def right_levels(config: Config) -> int:
    """Levels of the right picture that stereo reads."""
    return min(config.frontend.stereo_level + 1, config.frontend.pyramid_levels)


def frame_store(config: Config, chip: Chip, savings: Savings) -> list[Buffer]:
    """The pictures that must be kept: left now and before, right now; camera and tracker use them at the same time."""
    coded = block_bits(config) if savings.frame_code else 0
    out = []
    for name, levels, why in (
        ("left_now", config.frontend.pyramid_levels, "all levels: tracked into, and the next frame's template"),
        ("left_before", config.frontend.pyramid_levels, "all levels: templates"),
        ("right_now", right_levels(config), "levels that stereo reads"),
    ):
        sizes = level_sizes(chip, levels)
        if coded:
            words = sum(-(-h // BLOCK) * -(-w // BLOCK) for h, w in sizes)
            out.append(Buffer("frame store", name, words, coded, 2, f"{why}; one word per 4x4 block"))
        else:
            per_word = chip.frame_word_bits // config.precision.pixel.bits
            words = -(-sum(h * w for h, w in sizes) // per_word)
            out.append(Buffer("frame store", name, words, per_word * config.precision.pixel.bits, 2, f"{why}; {per_word} pixels a word"))
    return out


def line_buffers(config: Config, chip: Chip, savings: Savings) -> list[Buffer]:
    """Rows that the streaming filters look back on."""
    p, width, pixel = config.precision, chip.image_width, config.precision.pixel.bits
    window = config.frontend.corner_window
    block = max(2, 7 * config.frontend.min_distance // 10)
    blocks = -(-chip.image_height // block) * -(-chip.image_width // block)
    out = []
    for side, levels in (("left", config.frontend.pyramid_levels), ("right", right_levels(config))):
        columns = sum(w for _, w in level_sizes(chip, levels - 1)) if levels > 1 else 0
        if columns:
            out.append(Buffer("pyramid", f"pyramid_lines_{side}", columns, (_TAPS - 1) * pixel, 2, "4 rows above the newest, every level that is reduced"))
    out += [
        Buffer("detector", "corner_lines", width, 2 * pixel, 2, "2 rows above the newest for the Sobel operator"),
        Buffer("detector", "gradient_rows", window * width, 2 * p.corner_gradient.bits, 2, "the window's rows of gradients, to take an old row out of the sums"),
        Buffer("detector", "column_sums", width, 3 * column_bits(config), 2, "three products summed down the window"),
        Buffer("detector", "score_lines", 2 * width, p.corner_score.bits, 2, "2 rows above the newest for the peak test"),
        Buffer("detector", "row_mask", width, 1, 2, "pixels of the row that are too near to a feature"),
        Buffer("detector", "candidates", blocks, p.corner_score.bits + index_bits(chip.image_height * width), 1, f"one per {block}x{block} square"),
    ]
    if block_bits(config) and savings.frame_code:
        for side, levels in (("left", config.frontend.pyramid_levels), ("right", right_levels(config))):
            row = -(-level_sizes(chip, levels)[-1][1] // BLOCK)
            why = "3 rows of the coarsest level; the pyramid's own rows serve the others"
            out.append(Buffer("frame coder", f"coder_rows_{side}", (BLOCK - 1) * row, BLOCK * pixel, 2, why))
    return out


def column_bits(config: Config) -> int:
    """Width of a detector's column sum: a product of two gradients, summed over the window's rows."""
    return 2 * config.precision.corner_gradient.bits - 1 + index_bits(config.frontend.corner_window)
