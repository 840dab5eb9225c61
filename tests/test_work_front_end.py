"""The integer work table against counted datapaths: for every kernel and three configurations, exactly."""

import dataclasses
from collections import Counter

import numpy as np
import oracles
import oracles_counting as oc
import oracles_tracking as ot
import pytest
from counting import counted
from hwmodel.operations import Op
from hwmodel.work import work_per_event
from vio.config import Config
from vio.events import Event
from vio.fixed import Fixed, Overflow, Rounding


def made(frontend: dict, **precision: Fixed) -> Config:
    """A configuration with other fields and formats."""
    base = Config()
    return dataclasses.replace(
        base, frontend=dataclasses.replace(base.frontend, **frontend), precision=dataclasses.replace(base.precision, **precision))


CONFIGS = {
    "default": made({}),
    "navion": made({"corner": "harris", "frame_store": "block1", "pyramid_levels": 3}),
    "narrow": made(
        {"klt_window": 9, "corner_window": 3, "stereo_window": 7, "frame_store": "block2", "min_distance": 10},
        gradient=Fixed(11, 2), patch=Fixed(11, 3, signed=False, rounding=Rounding.TRUNCATE), template=Fixed(11, 3, signed=False), residual=Fixed(12, 3),
        step=Fixed(16, 7, overflow=Overflow.WRAP), corner_gradient=Fixed(10, 2, rounding=Rounding.TRUNCATE), hessian=Fixed(30, 4), residual_sum=Fixed(30, 4),
        ray=Fixed(17, 13), point=Fixed(23, 13), ransac_residual=Fixed(23, 13)),
}
each = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
RNG = np.random.default_rng(2)


def table(config: Config, event: Event, times: int = 1) -> Counter[Op]:
    """Operations of so many events."""
    return Counter({op: n * times for op, n in work_per_event(config)[event].ops.items() if n})


def textured(height: int, width: int) -> list[list[int]]:
    """A smooth random picture with full contrast."""
    y, x = np.mgrid[:height, :width]
    waves = sum(np.sin(a * x + b * y + c) for a, b, c in RNG.uniform(-0.9, 0.9, (12, 3)))
    return np.clip(128 + 28 * waves, 0, 255).astype(int).tolist()


@each
def test_a_reduced_pixel_costs_its_closed_form(config: Config) -> None:
    """Oracle: slow twin of the pyramid for the value."""
    image = textured(13, 18)
    expected = oracles.reduce_picture(image, config.precision.pyramid_sample)
    for row, col in ((0, 0), (3, 4), (6, 8)):
        value, ops = counted(oc.pyramid_pixel, image, row, col, config)
        assert value.value == expected[row][col]
        assert ops == table(config, Event.PYRAMID_PIXEL)


@each
def test_a_streamed_corner_score_costs_its_closed_form(config: Config) -> None:
    """Oracle: slow twin's score at every pixel whose window is full; the stream's cost is uniform from its first step on."""
    image, window = textured(16, 20), config.frontend.corner_window
    stream, half = oc.CornerStream(image, config), window // 2
    for row in range(1, 15):
        stream.begin_row()
        for col in range(1, 19):
            score, ops = counted(stream.step, row, col)
            assert ops == table(config, Event.CORNER_PIXEL)
            if row >= window and col >= window:
                assert score.value == oracles.corner_score(image, row - half, col - half, config)
    full = {at: s.value for at, s in stream.scores.items() if min(at) >= window}
    for (r, c), is_peak in stream.peaks.items():
        around = [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
        if all(at in full for at in [(r, c), *around]):
            assert is_peak == all(full[at] < full[r, c] or (full[at] == full[r, c] and at > (r, c)) for at in around)


@each
def test_an_accepted_corner_costs_its_closed_form(config: Config) -> None:
    """Oracle: Euclidean distance."""
    frontend, one = config.frontend, 2**config.precision.position.frac_bits
    block = max(2, 7 * frontend.min_distance // 10)
    near = (2 * -(-frontend.min_distance // block) + 1) ** 2
    places = [tuple(int(v) * one for v in RNG.integers(80, 160, 2)) for _ in range(near)]
    (taken, count, has_room), ops = counted(oc.accepted, 120 * one, 120 * one, places, 3, 4, config)
    assert taken == [bool(np.hypot(x - 120 * one, y - 120 * one) < frontend.min_distance * one) for x, y in places]
    assert (count, has_room) == (4, False)
    assert ops == table(config, Event.FEATURE_DETECTED)


@pytest.mark.parametrize("config", [CONFIGS["navion"], CONFIGS["narrow"]], ids=["block1", "block2"])
def test_a_coded_block_costs_its_closed_form(config: Config) -> None:
    """Oracle: `frontend.store`, kernel of the engine, word by word."""
    from vio.events import new_counts
    from vio.frontend import store

    fmt, bits = store.store_format(config), {"block1": 1, "block2": 2}[config.frontend.frame_store]
    for image in (np.array(textured(4, 4), np.uint8), np.full((4, 4), 77, np.uint8), np.array(textured(8, 8), np.uint8)[2:6, 3:7] // 9):
        words = np.zeros((1, 1), np.int64)
        store.encode(np.ascontiguousarray(image), fmt, words, new_counts())
        (level, span, indices), ops = counted(oc.encoded, image.ravel().tolist(), config)
        packed = sum(index << (bits * i) for i, index in enumerate(indices)) | (level | span << config.precision.store_level.bits) << (16 * bits)
        assert packed == words[0, 0]
        assert ops == table(config, Event.BLOCK_ENCODED)
        low, high = (oc.CountingInt(v << -f.frac_bits, 8) for v, f in ((level, config.precision.store_level), (span, config.precision.store_range)))
        _, ops = counted(oc.palette, low, high, config)
        assert ops == table(config, Event.BLOCK_DECODED)


@each
def test_template_iteration_and_final_window_cost_their_closed_forms(config: Config) -> None:
    """Oracle: slow twins of template, step and residual for the values."""
    side, one = config.frontend.klt_window + 14, 2**config.precision.position.frac_bits
    first = textured(side, side)
    second = [row[1:] + row[-1:] for row in first]
    u, v = side // 2 * one + 37 % one, side // 2 * one + 101 % one
    mine, ops = counted(ot.Template, first, u, v, config)
    theirs = oracles.Template(first, u, v, config)
    assert ops == table(config, Event.KLT_TEMPLATE)
    assert (mine.xx.value, mine.xy.value, mine.yy.value, mine.shift, mine.is_flat) == (theirs.xx, theirs.xy, theirs.yy, theirs.shift, theirs.is_flat)
    (_, step, inside, _), ops = counted(ot.iteration, mine, second, u, v, one, config)
    assert ops == table(config, Event.KLT_ITERATION)
    assert inside and step == tuple(oracles.step(theirs, oracles.residuals(theirs, second, u, v, config), config))
    (deviation, too_large), ops = counted(ot.finish, mine, second, u, v, config)
    (starts, begin), way = counted(ot.through_levels, (u, v), (u, v), config)
    levels = config.frontend.pyramid_levels
    assert starts == [tuple(oracles.nearest_even(x, 2**k) for x in (u, v)) for k in range(levels - 1, -1, -1)]
    assert begin == tuple(oracles.nearest_even(x, 2 ** (levels - 1)) << (levels - 1) for x in (u, v))
    r = oracles.residuals(theirs, second, u, v, config)
    mean = oracles.nearest_even(sum(r), len(r))
    assert deviation == oracles.nearest_even(sum(abs(x - mean) for x in r), len(r))
    assert too_large == (deviation > config.frontend.klt_max_residual << config.precision.residual.frac_bits)
    assert ops + way == table(config, Event.FEATURE_TRACKED)
