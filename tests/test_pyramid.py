"""Gaussian pyramid."""

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from vio.events import Event, new_counts
from vio.frontend import pyramid
from vio.precision import Precision

import oracles

FORMAT = pyramid.pyramid_format(Precision())
sides = st.integers(3, 17)
pictures = st.tuples(sides, sides).flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 127, 128, 254, 255]) | st.integers(0, 255)))


@settings(max_examples=40, deadline=None)
@given(pictures)
def test_every_level_equals_its_twin(image: np.ndarray) -> None:
    """Oracle: slow twin, level by level."""
    levels = pyramid.allocate(*image.shape, 3)
    pyramid.build(image, levels, FORMAT, new_counts())
    np.testing.assert_array_equal(levels[0], image)
    for below, level in zip(levels, levels[1:]):
        np.testing.assert_array_equal(level, oracles.reduce_picture(below.tolist(), Precision().pyramid_sample))


def test_a_white_picture_stays_white() -> None:
    """Oracle: closed form; the taps sum to one, the largest sum does not overflow."""
    levels = pyramid.allocate(33, 20, 4)
    pyramid.build(np.full((33, 20), 255, np.uint8), levels, FORMAT, new_counts())
    assert all((level == 255).all() for level in levels)


def test_sizes_halve_upwards_and_every_reduced_pixel_is_counted() -> None:
    """Oracle: closed form, ceil(size / 2)."""
    levels, counts = pyramid.allocate(480, 751, 4), new_counts()
    pyramid.build(np.zeros((480, 751), np.uint8), levels, FORMAT, counts)
    assert [level.shape for level in levels] == [(480, 751), (240, 376), (120, 188), (60, 94)]
    assert counts[Event.PYRAMID_PIXEL] == counts.sum() == 240 * 376 + 120 * 188 + 60 * 94


def test_a_linear_ramp_is_sampled_at_every_second_pixel() -> None:
    """Oracle: closed form; a symmetric filter keeps a ramp, so level pixel (r, c) lies on picture pixel (2r, 2c)."""
    ramp = (3 * np.arange(20)[:, None] + 5 * np.arange(30)[None, :]).astype(np.uint8)
    levels = pyramid.allocate(20, 30, 2)
    pyramid.build(ramp, levels, FORMAT, new_counts())
    np.testing.assert_array_equal(levels[1][1:-1, 1:-1], ramp[2:-2:2, 2:-2:2])


def test_half_a_grey_level_rounds_up() -> None:
    """Oracle: closed form; one pixel of 8 between four samples weighs 4 x 4 for each: 128 / 256."""
    image = np.zeros((8, 8), np.uint8)
    image[3, 3] = 8
    levels = pyramid.allocate(8, 8, 2)
    pyramid.build(image, levels, FORMAT, new_counts())
    np.testing.assert_array_equal(levels[1], [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
