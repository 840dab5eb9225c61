"""Pyramidal Lucas-Kanade tracker."""

import dataclasses
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vio.config import Config
from vio.errors import ConfigError
from vio.events import Event, new_counts
from vio.fixed import Fixed
from vio.frontend import klt, pyramid
from vio.types import TrackStatus

import oracles

ONE = 256  # raw per pixel
TOP = 3


def configured(**fields) -> Config:
    """Configuration with some front-end fields changed."""
    return dataclasses.replace(Config(), frontend=dataclasses.replace(Config().frontend, **fields))


def small(**fields) -> Config:
    """A tracker whose window fits small pictures."""
    return configured(**{"klt_window": 5, "klt_iterations": 4, "border": 2, "klt_max_residual": 12, **fields})


def levels_of(image: np.ndarray, levels: int = 4) -> tuple[np.ndarray, ...]:
    """Pyramid of a picture."""
    out = pyramid.allocate(*image.shape, levels)
    pyramid.build(image, out, pyramid.pyramid_format(Config().precision), new_counts())
    return out


def tracked(previous, following, uv, config: Config, guess=None, top: int = TOP):
    """(uv, status, residual, counts) of `klt.track`."""
    uv = np.asarray(uv, np.int32)
    out, status, residual, counts = np.zeros_like(uv), np.zeros(len(uv), np.uint8), np.zeros(len(uv), np.int32), new_counts()
    klt.track(previous, following, uv, uv if guess is None else np.asarray(guess, np.int32), top, klt.klt_format(config), out, status, residual, counts)
    return out, status, residual, counts


def waves(dx: float, dy: float, offset: float = 0.0, shape: tuple[int, int] = (200, 260), seed: int = 1) -> np.ndarray:
    """Analytic picture: forty sine waves of 6 to 60 pixels, moved by (dx, dy) exactly, sampled to 8 bits."""
    rng = np.random.default_rng(seed)
    length, angle, phase = rng.uniform(6, 60, 40), rng.uniform(0, 2 * np.pi, 40), rng.uniform(0, 2 * np.pi, 40)
    kx, ky = 2 * np.pi * np.cos(angle) / length, 2 * np.pi * np.sin(angle) / length
    y, x = np.mgrid[: shape[0], : shape[1]]
    total = sum(np.sin(a * (x - dx) + b * (y - dy) + p) for a, b, p in zip(kx, ky, phase))
    return np.clip(np.rint(128 + offset + 5.5 * total), 0, 255).astype(np.uint8)


def grid(shape: tuple[int, int] = (200, 260), margin: int = 30) -> np.ndarray:
    """Raw positions with every fraction, away from the border."""
    v, u = np.mgrid[margin : shape[0] - margin : 9, margin : shape[1] - margin : 13]
    fraction = np.random.default_rng(2).integers(0, ONE, (u.size, 2))
    return (np.stack([u.ravel(), v.ravel()], 1) * ONE + fraction).astype(np.int32)


def assert_equals_twin(first, second, uv, guess, config: Config, top: int) -> None:
    """Compare position, status, residual and counts of every feature with the twin's."""
    previous, following = levels_of(first, 3), levels_of(second, 3)
    out, status, residual, counts = tracked(previous, following, uv, config, guess, top)
    lists = [[level.tolist() for level in pyr] for pyr in (previous, following)]
    twins = [oracles.track(*lists, a, b, top, config) for a, b in zip(uv, guess)]
    assert [(s, tuple(p), r) for s, p, r in zip(status.tolist(), out.tolist(), residual.tolist())] == [twin[:3] for twin in twins]
    assert counts[Event.KLT_TEMPLATE] == sum(twin[3] for twin in twins)
    assert counts[Event.KLT_ITERATION] == sum(twin[4] for twin in twins)
    assert counts[Event.FEATURE_TRACKED] == len(uv)


side = st.integers(9, 20)
noise = st.sampled_from([0, 255, 60]) | st.integers(0, 255)
pairs = st.tuples(side, side).flatmap(lambda shape: st.tuples(hnp.arrays(np.uint8, shape, elements=noise), hnp.arrays(np.uint8, shape, elements=noise)))
near = st.integers(-2 * ONE, 21 * ONE)
positions = st.lists(st.tuples(near, near), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None)
@given(pairs, positions, st.integers(-700, 700), st.integers(0, 2))
def test_tracks_of_unrelated_pictures_equal_the_twins(pictures, uv, shift, top) -> None:
    """Oracle: slow twin, on flat and saturated patches and at centres inside, on and beyond the border."""
    guess = [(u + shift, v - shift // 2) for u, v in uv]
    assert_equals_twin(*pictures, uv, guess, small(), top)


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-40, 40), st.integers(0, 100), st.sampled_from([5, 7, 9]))
def test_tracks_of_moving_waves_equal_the_twins(dx, dy, offset, seed, window) -> None:
    """Oracle: slow twin, on pictures whose tracks converge, up to the very border."""
    shape = (26, 34)
    first, second = waves(0, 0, shape=shape, seed=seed), waves(dx, dy, offset, shape=shape, seed=seed)
    uv = [(2 * ONE, 2 * ONE), (31 * ONE, 23 * ONE), (17 * ONE + 77, 11 * ONE + 200), (8 * ONE + 1, 20 * ONE + 255)]
    assert_equals_twin(first, second, uv, uv, small(klt_window=window), 2)


def test_the_largest_sums_do_not_overflow() -> None:
    """Oracle: slow twin; black and white stripes give the steepest gradient there is, and their negative the largest residual."""
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 2), 12)
    for first in (np.tile(stripes, (48, 1)), np.tile(stripes[:, None], (1, 48))):
        speck = first.copy()
        speck[18:24, 18:24] = speck[18:24, 18:24].T  # else the aperture problem calls it flat
        uv = [(23 * ONE, 23 * ONE), (24 * ONE + 128, 22 * ONE)]
        assert_equals_twin(speck, 255 - first, uv, uv, small(klt_window=31, klt_iterations=2, border=1), 0)


@pytest.mark.parametrize(("dx", "dy", "offset"), [(0.0, 0.0, 0), (0.3, 0.7, 0), (0.5, -0.5, 0), (2.25, -1.6, 25), (-11.4, 7.8, 0)])
def test_a_sub_pixel_shift_of_an_analytic_picture_is_found_without_bias(dx: float, dy: float, offset: float) -> None:
    """Oracle: closed form; the mean error stays under 0.004 px (limit 0.02), the rms under 0.02 px, also under a brightness step."""
    uv = grid()
    out, status, _, _ = tracked(levels_of(waves(0, 0)), levels_of(waves(dx, dy, offset)), uv, Config())
    error = (out - uv) / ONE - [dx, dy]
    assert (status == TrackStatus.TRACKED).all()
    assert np.abs(error.mean(0)).max() < 0.004
    assert np.sqrt((error**2).mean()) < 0.02


def test_tracking_frame_to_frame_does_not_drift() -> None:
    """Oracle: closed form; after 40 frames at (0.3, 0.17) px the mean error is below 0.01 px and its spread below 0.03 px."""
    start = uv = grid()
    previous = levels_of(waves(0, 0))
    for k in range(1, 41):
        following = levels_of(waves(0.3 * k, 0.17 * k))
        uv, status, _, _ = tracked(previous, following, uv, Config())
        assert (status == TrackStatus.TRACKED).all()
        previous = following
    error = (uv - start) / ONE - np.array([0.3, 0.17]) * 40
    assert np.abs(error.mean(0)).max() < 0.01
    assert error.std(0).max() < 0.03


def test_every_reason_of_loss_is_reported() -> None:
    """Oracle: closed form; a flat half, a patch replaced by another, a motion out of the picture, one iteration for a far shift."""
    first = waves(0, 0)
    first[:, 130:] = 90
    still, moved = levels_of(first), levels_of(waves(-6, 0))
    other = levels_of(255 - waves(0, 0))
    assert tracked(still, still, [(190 * ONE, 100 * ONE)], Config())[1][0] == TrackStatus.FLAT
    assert tracked(levels_of(waves(0, 0)), moved, [(12 * ONE, 100 * ONE)], Config())[1][0] == TrackStatus.OUT_OF_IMAGE
    assert tracked(still, other, [(60 * ONE, 100 * ONE)], configured(klt_max_residual=5), top=0)[1][0] in (TrackStatus.RESIDUAL, TrackStatus.NOT_CONVERGED)
    assert tracked(still, levels_of(waves(1.5, 1.0)), [(60 * ONE, 100 * ONE)], configured(klt_iterations=1), top=0)[1][0] == TrackStatus.NOT_CONVERGED
    assert tracked(still, levels_of(waves(0, 0, seed=9)), grid()[:40], configured(klt_max_residual=0))[1].tolist().count(TrackStatus.TRACKED) == 0


def test_a_last_step_of_a_quarter_pixel_is_not_converged() -> None:
    """Oracle: closed form; with one iteration the step is the displacement, and 8 epsilon = 64 raw steps is the limit."""
    config = configured(klt_iterations=1)
    uv = np.concatenate([grid() + k for k in range(8)])
    out, status, _, _ = tracked(levels_of(waves(0, 0)), levels_of(waves(0.25, 0.1)), uv, config, top=0)
    moved = np.abs(out - uv).max(1)
    assert (moved == 64).any()
    np.testing.assert_array_equal(status == TrackStatus.NOT_CONVERGED, moved >= 64)


def test_a_template_is_flat_just_below_the_smallest_eigenvalue() -> None:
    """Oracle: closed form; columns plus rows give a diagonal Hessian, so the smaller diagonal element is the eigenvalue."""
    wave = np.tile([0, 0, 4, 4], 8)
    image = (100 + wave[None] + 2 * wave[:, None]).astype(np.uint8)
    uv = [(16 * ONE, 16 * ONE)]
    template = oracles.Template(image.tolist(), *uv[0], small())
    assert (template.xy, template.shift) == (0, 0) and 0 < template.xx < template.yy
    for raw, status in ((template.xx, TrackStatus.TRACKED), (template.xx + 1, TrackStatus.FLAT)):
        config = small(klt_min_eigenvalue=raw / 25 / 2**10)
        assert tracked(levels_of(image), levels_of(image), uv, config, top=0)[1][0] == status


def test_a_single_edge_is_flat_even_without_a_threshold() -> None:
    """Oracle: closed form; the Hessian of stripes is singular and must not be divided by."""
    image = np.tile(np.repeat(np.array([0, 255], np.uint8), 2), (48, 12))
    assert tracked(levels_of(image), levels_of(image), [(20 * ONE, 20 * ONE)], small(klt_min_eigenvalue=0.0))[1][0] == TrackStatus.FLAT


def test_two_calls_give_the_same_integers() -> None:
    """Oracle: the call itself; no state survives in the buffers."""
    arguments = (levels_of(waves(0, 0)), levels_of(waves(3.3, -2.1)), grid(), Config())
    first, second = tracked(*arguments), tracked(*arguments)
    assert all((a == b).all() for a, b in zip(first, second))


def test_consecutive_frames_of_a_flight_agree_with_opencv(euroc_clip: Path) -> None:
    """Oracle: OpenCV's calcOpticalFlowPyrLK, same window and levels: median difference below 0.05 px (limit 0.1), as many survivors within 3 %."""
    cv2 = pytest.importorskip("cv2")
    files = sorted((euroc_clip / "mav0" / "cam0" / "data").glob("*.png"))[100:104]
    images = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    differences, ours, theirs = [], [], []
    for a, b in zip(images, images[1:]):
        points = cv2.goodFeaturesToTrack(a, 200, 0.005, 15).reshape(-1, 2)
        uv = np.rint(points[((points > 9) & (points < np.array(a.shape[::-1]) - 10)).all(1)] * ONE).astype(np.int32)
        out, status, _, _ = tracked(levels_of(a), levels_of(b), uv, Config())
        flow, found, _ = cv2.calcOpticalFlowPyrLK(a, b, (uv / ONE).astype(np.float32), None, winSize=(15, 15), maxLevel=3, criteria=(3, 12, 1 / 32))
        both = (status == TrackStatus.TRACKED) & (found.ravel() == 1)
        differences.append(np.linalg.norm(out[both] / ONE - flow[both], axis=1))
        ours.append((status == TrackStatus.TRACKED).mean())
        theirs.append(found.mean())
    assert np.median(np.concatenate(differences)) < 0.05
    assert np.mean(ours) > np.mean(theirs) - 0.03


@pytest.mark.parametrize(
    ("name", "fmt"),
    [("template", Fixed(13, 6, signed=False)), ("residual", Fixed(14, 4)), ("right_side", Fixed(50)), ("weight", Fixed(14, 14, signed=False)), ("gradient", Fixed(24, 7)),
     ("patch", Fixed(30, 16, signed=False)), ("position", Fixed(30, 14)), ("step", Fixed(40, 20))],
)
def test_a_format_the_tracker_cannot_carry_is_refused_by_name(name: str, fmt: Fixed) -> None:
    """Oracle: the contract of `klt_format`: nothing declared is silently ignored."""
    with pytest.raises(ConfigError, match=name):
        klt.klt_format(dataclasses.replace(Config(), precision=dataclasses.replace(Config().precision, **{name: fmt})))
