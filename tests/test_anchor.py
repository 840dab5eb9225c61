"""Anchors: tracks corrected by the patch of their birth."""

import numpy as np
import pytest

from test_klt import ONE, grid, levels_of, waves
from vio.config import Config
from vio.events import Event, new_counts
from vio.frontend import anchor, klt

FMT = klt.klt_format(Config())
REACH, LIMIT = 2 * ONE, round(10 * 2**Config().precision.residual.frac_bits)


def cast(image: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Anchors of features at uv."""
    side = anchor.side(FMT)
    anchors, inside = np.zeros((len(uv), side, side), np.uint8), np.zeros((len(uv), 2), np.int32)
    anchor.renew(image, uv, np.ones(len(uv), np.bool_), FMT, anchors, inside)
    return anchors, inside


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.37, -0.81)])
def test_a_track_that_drifted_is_led_back_to_the_place_of_its_birth(dx: float, dy: float) -> None:
    """Oracle: an analytic picture moved by a known amount; tracks that are up to 0.7 px off end within 0.05 px of the truth."""
    born = np.asarray(grid(), np.int32)
    anchors, inside = cast(levels_of(waves(0, 0))[0], born)
    true = born + np.rint(ONE * np.array([dx, dy])).astype(np.int32)
    uv = (true + np.random.default_rng(2).uniform(-0.7 * ONE, 0.7 * ONE, true.shape)).astype(np.int32)
    fits, counts = np.zeros(len(uv), np.bool_), new_counts()
    anchor.straighten(levels_of(waves(dx, dy))[0], anchors, inside, uv, REACH, LIMIT, FMT, fits, counts)
    assert fits.mean() > 0.95 and counts[Event.KLT_TEMPLATE] == len(uv)
    assert np.median(np.abs(uv - true)[fits]) < 0.05 * ONE


def test_an_anchor_from_elsewhere_is_not_believed_and_moves_nothing() -> None:
    """Oracle: another picture altogether; no place within reach looks like the anchor, and positions stay to the bit."""
    born = np.asarray(grid(), np.int32)
    anchors, inside = cast(levels_of(waves(0, 0))[0], born)
    uv, fits = born.copy(), np.ones(len(born), np.bool_)
    anchor.straighten(levels_of(waves(0, 0, seed=9))[0], anchors, inside, uv, REACH, LIMIT, FMT, fits, new_counts())
    assert fits.mean() < 0.1
    np.testing.assert_array_equal(uv[~fits], born[~fits])
