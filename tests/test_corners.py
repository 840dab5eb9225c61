"""Corner detector."""

import dataclasses

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vio.config import Config
from vio.errors import ConfigError
from vio.events import Event, new_counts
from vio.fixed import Fixed
from vio.frontend import corners

import oracles

cv2 = pytest.importorskip("cv2")
NONE = np.zeros((0, 2), np.int32)
KINDS = ("shi_tomasi", "harris")


def configured(**fields) -> Config:
    """Configuration with some front-end fields changed."""
    return dataclasses.replace(Config(), frontend=dataclasses.replace(Config().frontend, **fields))


def small(**fields) -> Config:
    """A detector that fits a picture of 30 pixels."""
    return configured(**{"max_features": 12, "min_distance": 4, "border": 3, "grid_rows": 2, "grid_cols": 3, "corner_quality": 0.01, **fields})


def found(image: np.ndarray, config: Config, existing: np.ndarray = NONE, counts: np.ndarray | None = None) -> np.ndarray:
    """Detected corners, raw."""
    fmt = corners.corner_format(config)
    workspace = corners.allocate_workspace(*image.shape, fmt)
    return corners.detect_corners(image, existing, fmt, workspace, new_counts() if counts is None else counts)


def squares(height: int = 240, width: int = 320) -> np.ndarray:
    """Deterministic picture with many corners of different strength."""
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 256, (height // 8, width // 8), np.uint8)
    return cv2.GaussianBlur(np.kron(coarse, np.ones((8, 8), np.uint8)), (0, 0), 1.0)


shapes = st.tuples(st.integers(8, 22), st.integers(8, 26))
patterns = shapes.flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 255, 100, 104]) | st.integers(0, 255)))
features = st.lists(st.tuples(st.integers(-300, 27 * 256), st.integers(-300, 23 * 256)), max_size=4)


@settings(max_examples=30, deadline=None)
@given(patterns, features, st.sampled_from(KINDS), st.sampled_from([3, 5, 7]), st.sampled_from([0, 3, 6]))
def test_corners_and_their_order_equal_the_twins(image, existing, kind, window, min_distance) -> None:
    """Oracle: slow twin, on noise, flat and saturated patches with features inside, outside and on the border."""
    config = small(corner=kind, corner_window=window, min_distance=min_distance)
    uv = found(image, config, np.array(existing, np.int32).reshape(-1, 2))
    assert [tuple(at) for at in uv.tolist()] == oracles.detect(image.tolist(), existing, config)


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_registers_saturate_like_the_twins(kind: str) -> None:
    """Oracle: slow twin with 8-bit gradients, 12-bit sums and 9-bit scores: every limit is met."""
    config = small(corner=kind, corner_min_score=1)
    precision = dataclasses.replace(config.precision, corner_gradient=Fixed(8, 1), corner_sum=Fixed(12, 2), corner_score=Fixed(9))
    config = dataclasses.replace(config, precision=precision)
    image = squares(24, 32)
    assert [tuple(at) for at in found(image, config).tolist()] == oracles.detect(image.tolist(), [], config)


@pytest.mark.parametrize(("kind", "least"), [("shi_tomasi", 0.999), ("harris", 0.999)])
def test_scores_follow_opencv(kind: str, least: float) -> None:
    """Oracle: OpenCV's cornerMinEigenVal and cornerHarris (k = 1/16), up to scale and rounding, on a picture of low contrast."""
    image = squares() // 3 + 60
    config = configured(corner=kind)
    fmt = corners.corner_format(config)
    workspace = corners.allocate_workspace(*image.shape, fmt)
    corners.detect_corners(image, NONE, fmt, workspace, new_counts())
    theirs = cv2.cornerMinEigenVal(image, 5, 3) if kind == "shi_tomasi" else cv2.cornerHarris(image, 5, 3, 1 / 16)
    inside = np.s_[10:-10, 10:-10]
    assert np.corrcoef(theirs[inside].ravel(), workspace.score[inside].ravel())[0, 1] > least


def test_corners_keep_their_distance_from_each_other_from_features_and_from_the_border() -> None:
    """Oracle: closed form, all pairwise distances."""
    config = configured(max_features=120, min_distance=11, border=9)
    existing = np.array([[100 * 256 + 77, 90 * 256 + 200], [9 * 256, 9 * 256], [310 * 256, 200 * 256 + 1]], np.int32)
    new = found(squares(), config, existing)
    uv = np.concatenate([existing, new]) / 256
    distance = np.linalg.norm(uv[:, None] - uv[None], axis=2) + 1e9 * np.eye(len(uv))
    assert distance[3:].min() >= 11
    assert new.min() >= 9 * 256 and (new <= np.array([320 - 10, 240 - 10]) * 256).all()


@pytest.mark.parametrize(("away", "is_free"), [(11 * 256, True), (11 * 256 - 1, False)])
def test_a_corner_exactly_at_the_minimum_distance_is_free(away: int, is_free: bool) -> None:
    """Oracle: closed form, to one raw step."""
    config = configured(min_distance=11)
    first = found(squares(), config)[0]
    again = found(squares(), config, (first + [away, 0]).astype(np.int32)[None])
    assert first.tolist() in again.tolist() if is_free else first.tolist() not in again.tolist()


def test_no_cell_gets_a_second_corner_while_another_waits_for_its_first() -> None:
    """Oracle: closed form; 4 x 4 cells of equal texture and 32 features give two each, and features already there count."""
    config = configured(max_features=32, grid_rows=4, grid_cols=4, min_distance=6)
    existing = np.array([[20 * 256, 20 * 256], [40 * 256, 40 * 256]], np.int32)  # both in the first cell
    uv = np.concatenate([existing, found(squares(), config, existing)]) >> 8
    cells = np.bincount((uv[:, 1] * 4 // 240) * 4 + uv[:, 0] * 4 // 320, minlength=16)
    assert cells.tolist() == [2] * 16


def test_a_flat_picture_a_full_list_and_a_tiny_picture_give_no_corner() -> None:
    """Oracle: closed form."""
    config = small()
    full = np.full((config.frontend.max_features, 2), 3 * 256, np.int32)
    assert len(found(np.full((40, 40), 90, np.uint8), config)) == 0
    assert len(found(squares(40, 40), config, full)) == 0
    assert len(found(squares(8, 8)[:6, :6], config)) == 0


def test_scored_pixels_and_corners_are_counted() -> None:
    """Oracle: closed form; the region inside the border and one pixel around it."""
    counts = new_counts()
    uv = found(squares(), configured(border=8), counts=counts)
    assert counts[Event.CORNER_PIXEL] == (240 - 14) * (320 - 14)
    assert counts[Event.FEATURE_DETECTED] == len(uv) > 50


@pytest.mark.parametrize(("name", "fmt"), [("corner_gradient", Fixed(11, 4)), ("corner_sum", Fixed(16, 12))])
def test_a_format_the_detector_cannot_carry_is_refused_by_name(name: str, fmt: Fixed) -> None:
    """Oracle: the contract of `corner_format`: nothing declared is silently ignored."""
    precision = dataclasses.replace(Config().precision, **{name: fmt})
    with pytest.raises(ConfigError, match=name):
        corners.corner_format(dataclasses.replace(Config(), precision=precision))
