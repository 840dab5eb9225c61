"""Frame store: the block codes against their slow twins, and what they keep of a picture."""

import dataclasses

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_klt import ONE, configured, grid, tracked, waves
from test_klt import levels_of as raw_levels

import oracles
from vio.config import Config
from vio.events import Event, new_counts
from vio.fixed import Fixed, Overflow, Rounding
from vio.frontend import klt, store
from vio.types import TrackStatus

CODES = pytest.mark.parametrize("code", ["block1", "block2"])
sides = st.integers(1, 11)
pictures = st.tuples(sides, sides).flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 255, 100, 101]) | st.integers(0, 255)))
roundings, overflows = st.sampled_from(list(Rounding)), st.sampled_from(list(Overflow))


def grey_formats() -> st.SearchStrategy[Fixed]:
    """Every width and step that a grey level may have."""
    widths = st.integers(1, 8).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(bits - 8, 0)))
    return st.builds(lambda w, r, o: Fixed(w[0], w[1], False, r, o), widths, roundings, overflows)


def coded(image: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(words, decoded picture, counts)."""
    fmt, counts = store.store_format(config), new_counts()
    (words,), decoded = store.allocate_words((image,)), np.empty_like(image)
    store.encode(image, fmt, words, counts)
    store.decode(words, fmt, decoded)
    return words, decoded, counts


def stored_levels(image: np.ndarray, config: Config) -> tuple[np.ndarray, ...]:
    """Pyramid of a picture as it comes out of the store."""
    levels = raw_levels(image)
    out = tuple(np.empty_like(level) for level in levels)
    store.keep(levels, store.store_format(config), store.allocate_words(levels), out, new_counts())
    return out


@CODES
@given(image=pictures, level=grey_formats(), span=grey_formats())
def test_words_and_pixels_equal_the_twins(code: str, image: np.ndarray, level: Fixed, span: Fixed) -> None:
    """Oracle: slow twin, on flat, saturated and noisy blocks, on blocks cut by the edge, for every width, rounding and overflow."""
    config = configured(frame_store=code)
    config = dataclasses.replace(config, precision=dataclasses.replace(config.precision, store_level=level, store_range=span))
    words, decoded, counts = coded(image, config)
    expected, pixels = oracles.stored(image.tolist(), config)
    assert words.tolist() == expected
    assert decoded.tolist() == pixels
    assert counts[Event.BLOCK_ENCODED] == counts.sum() == words.size


@pytest.mark.parametrize(("code", "bits"), [("block1", 29), ("block2", 45)])
def test_a_block_fits_its_word(code: str, bits: int) -> None:
    """Oracle: closed form; 16 indices and 13 bits of levels. 128 / 29 = 4.41 is the ratio that Navion reports (4.4)."""
    image = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    image[:4, :4] = np.tile([0, 255], (4, 2))
    words = coded(image, configured(frame_store=code))[0]
    assert words.min() >= 0 and int(words.max()).bit_length() == bits


@CODES
def test_a_flat_picture_and_a_black_and_white_edge_survive(code: str) -> None:
    """Oracle: closed form; the widths keep even grey levels and a range of 252 exactly."""
    for image in (np.full((8, 12), 90, np.uint8), np.where(np.arange(12) < 6, 0, 252).astype(np.uint8)[None].repeat(8, 0)):
        np.testing.assert_array_equal(coded(image, configured(frame_store=code))[1], image)


def test_two_bits_lose_less_than_one() -> None:
    """Oracle: the picture itself; the root mean square error falls by more than a third, and both stay under 12 grey levels."""
    image = waves(0, 0)
    one, two = (float(np.sqrt(np.mean((coded(image, configured(frame_store=code))[1] - image.astype(float)) ** 2))) for code in ("block1", "block2"))
    assert two < 0.66 * one < one < 12


@CODES
def test_tracks_from_the_store_stay_close_to_those_from_the_picture(code: str) -> None:
    """Oracle: closed form shift; no bias above 0.02 px, scatter below 0.12 px for one bit, 0.08 px for two, and nothing lost."""
    uv = grid()
    out, status, _, _ = tracked(stored_levels(waves(0, 0), configured(frame_store=code)), raw_levels(waves(2.3, -1.6)), uv, Config())
    error = (out - uv) / ONE - [2.3, -1.6]
    assert (status == TrackStatus.TRACKED).mean() > 0.98
    assert np.abs(np.median(error, 0)).max() < 0.02
    assert np.median(np.hypot(*error.T)) < (0.12 if code == "block1" else 0.08)


def test_a_template_reads_the_blocks_its_samples_lie_in() -> None:
    """Oracle: closed form; 18 samples from column 3 lie in blocks 0 to 5, and what sticks out of the picture is not read."""
    levels = raw_levels(waves(0, 0), 1)
    fmt = klt.klt_format(Config(), store_block=store.BLOCK)
    reach = Config().frontend.klt_window // 2 + 1
    cases = [((3 + reach, 4 + reach), 6 * 5), ((4 + reach, 4 + reach), 5 * 5), ((8, 8), 5 * 5), ((251, 191), 5 * 5)]
    for (col, row), blocks in cases:
        uv, counts = np.array([[col * ONE, row * ONE]], np.int32), new_counts()
        klt.track(levels, levels, uv, uv, 0, fmt, uv.copy(), np.empty(1, np.uint8), np.empty(1, np.int32), counts)
        assert counts[Event.BLOCK_DECODED] == blocks, (col, row)


def test_the_raw_store_codes_nothing() -> None:
    """Oracle: its definition."""
    assert store.store_format(Config()) is None
