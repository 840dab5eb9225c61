"""Work that follows from the structure of a frame rather than from an event: streaming into the frame store and patches out of it."""

from collections import Counter

from hwmodel.buffers.pictures import BLOCK, block_bits, level_sizes, right_levels
from hwmodel.buffers.record import Savings
from hwmodel.chip import Chip
from hwmodel.counts import Counts
from hwmodel.operations import Work
from hwmodel.work import estimator, pictures
from vio.config import Config
from vio.events import Event


def _axis(side: int) -> float:
    """Words of four pixels that a run of `side` pixels touches on average, over all alignments."""
    return (side - 1) / BLOCK + 1


def store_written(config: Config, chip: Chip, savings: Savings, counts: Counts) -> Work:
    """Writing the pictures of the flight: every frame's left one, every keyframe's right one."""
    work = Work()
    for levels, pictures_ in ((config.frontend.pyramid_levels, counts.frames), (right_levels(config), counts.keyframes)):
        sizes = level_sizes(chip, levels)
        if savings.frame_code and block_bits(config):
            blocks = sum(-(-h // BLOCK) * -(-w // BLOCK) for h, w in sizes)
            work.plus(pictures.block_encoded(config), times=blocks * pictures_)
            h, w = sizes[-1]  # the coarsest level passes through rows of its own
            own = (BLOCK - 1) * -(-h // BLOCK) * -(-w // BLOCK) * pictures_
            work.read("coder_rows_left", own).write("coder_rows_left", own)
        else:
            per_word = chip.frame_word_bits // config.precision.pixel.bits
            work.write("left_now", sum(h * w for h, w in sizes) / per_word * pictures_)
    return work


def store_read(config: Config, chip: Chip, savings: Savings, counts: Counts) -> Work:
    """Patches read: templates, windows of iterations, final windows, stereo templates and candidates; a block or a row's words at a time."""
    coded = bool(savings.frame_code and block_bits(config))
    window, work = config.frontend.klt_window, Work()
    sides = Counter({window + 3: counts.total[Event.KLT_TEMPLATE], window + 1: counts.total[Event.KLT_ITERATION] + counts.total[Event.FEATURE_TRACKED],
                     config.frontend.stereo_window: counts.total[Event.STEREO_CANDIDATE] + counts.total[Event.STEREO_MATCHED]})
    for side, n in sides.items():
        if coded:
            work.plus(pictures.block_decoded(config), times=_axis(side) ** 2 * float(n))
        else:
            work.read("left_before", side * _axis(side) * float(n))
    if counts.total[Event.CORNER_PIXEL]:  # the detector's pass over a whole picture
        if coded:
            work.plus(pictures.block_decoded(config), times=float(counts.total[Event.CORNER_PIXEL]) / BLOCK**2)
        else:
            work.read("left_now", float(counts.total[Event.CORNER_PIXEL]) / BLOCK)
    return work


def replayed(config: Config, counts: Counts) -> Work:
    """Observations evaluated once more when landmarks move. Of the linearisations in a keyframe one serves the covariance and moves none."""
    steps = float(counts.total[Event.GAUSS_NEWTON_ITERATION])
    share = steps / max(steps + counts.keyframes, 1.0)
    return Work().plus(estimator.observation_replayed(config), times=float(counts.total[Event.REPROJECTION]) * share)


def refined(config: Config, counts: Counts) -> Work:
    """The refinement of every frame after the first."""
    return Work().plus(estimator.frame_refined(config), times=max(counts.frames - 1, 0))
