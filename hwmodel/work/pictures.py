"""Operations and accesses of the streaming front end, per event: pyramid, detector, frame coder."""

from hwmodel.buffers.pictures import BLOCK, block_bits, column_bits
from hwmodel.operations import Work
from hwmodel.widths import index_bits
from vio.config import Config

_ROOT_STEPS = 16  # digits of the square root of 32 bits


def pyramid_pixel(config: Config) -> Work:
    """1 4 6 4 1 down two columns, then along the row; multiples of two are wires, 6 x is one addition. Four pixels stream in per pixel out."""
    pixel = config.precision.pixel.bits
    work = Work().add(pixel + 4, 2 * 5).add(pixel + 8, 5).enter(pixel + 8, 8, config.precision.pyramid_sample)
    return work.read("pyramid_lines_left", 4).write("pyramid_lines_left", 4)


def corner_pixel(config: Config) -> Work:
    """Sobel, three products into and out of the column sums, the row sums' newest and oldest column, the score, the peak test."""
    p = config.precision
    pixel, g, column = p.pixel.bits, p.corner_gradient, column_bits(config)
    total = column + index_bits(config.frontend.corner_window)
    area_log2 = (config.frontend.corner_window**2 - 1).bit_length()
    work = Work().add(pixel + 3, 8).enter(pixel + 3, 3, g, 2)
    work.mul(g.bits, g.bits, 6).add(column, 6).add(total, 6)
    work.enter(total, 2 * g.frac_bits + area_log2, p.corner_sum, 3)
    work.plus(_score(config)).compare(p.corner_score.bits, 8)
    for buffer in ("corner_lines", "gradient_rows", "column_sums", "score_lines"):
        work.read(buffer).write(buffer)
    return work.read("row_mask")


def _score(config: Config) -> Work:
    """Score of one structure tensor in registers of `corner_sum`; a 16-step square root for Shi and Tomasi."""
    total, fmt = config.precision.corner_sum.bits, config.precision.corner_score
    if config.frontend.corner == "harris":
        return Work().add(total + 1).mul(total, total, 3).add(2 * total, 2).fitted(2 * total, fmt).compare(fmt.bits)
    root = Work().add(2 * total, 2 * _ROOT_STEPS).compare(2 * total, _ROOT_STEPS).add(2 * total, _ROOT_STEPS)
    work = Work().add(total + 1, 2).mul(total, total, 2).add(2 * total).plus(root).add(total + 2)
    return work.fitted(total + 2, fmt).compare(fmt.bits)


def feature_detected(config: Config) -> Work:
    """An accepted corner against the candidates in the squares around it, and its cell's count."""
    frontend, position = config.frontend, config.precision.position.bits
    block = max(2, 7 * frontend.min_distance // 10)
    near = (2 * -(-frontend.min_distance // block) + 1) ** 2
    work = Work().add(position, 2 * near).mul(position, position, 2 * near).add(2 * position, near).compare(2 * position, near)
    work.add(index_bits(frontend.max_features + 1)).compare(index_bits(frontend.max_features + 1))
    return work.read("candidates", near + 1).write("candidates", near).write("feature_table")


def block_encoded(config: Config) -> Work:
    """One 4x4 block: its two ends, quantised; then every pixel against the middles between neighbouring palette levels.

    One bit a pixel: the ends are means of the pixels below and above the middle of smallest and largest, two short divisions.
    Two bits: the ends are the smallest and the largest themselves.
    """
    p = config.precision
    if not block_bits(config):
        return Work()
    pixels, pixel = BLOCK * BLOCK, p.pixel.bits
    levels = {"block1": 2, "block2": 4}[config.frontend.frame_store]
    work = Work().compare(pixel, 2 * (pixels - 1))
    if levels == 2:
        total, count = pixel + 4, 5
        work.add(pixel + 1, 2).compare(pixel, pixels).add(total, 2 * pixels).add(count, pixels).add(total).add(count).divide(total, count, 2)
    work.enter(pixel, 0, p.store_level).add(pixel + 1).enter(pixel + 1, 0, p.store_range).plus(_palette(config))
    work.add(pixel + 1, levels - 1).compare(pixel + 1, (levels - 1) * pixels).add(2, (levels - 2) * pixels)
    return work.write("left_now")


def _palette(config: Config) -> Work:
    """The grey levels of a block from its darkest one and its range; thirds are products with 85 and 171 of 256."""
    pixel = config.precision.pixel.bits
    if config.frontend.frame_store == "block1":
        return Work().add(pixel + 1).compare(pixel + 1)
    return Work().mul(pixel, 8, 2).add(2 * pixel, 2).add(pixel + 1, 3).compare(pixel + 1, 3)


def block_decoded(config: Config) -> Work:
    """One block read: its palette is formed once, the pixels select from it."""
    return Work().plus(_palette(config)).read("left_before") if block_bits(config) else Work()
