"""Sparse stereo on an analytic wall, and against its slow twins."""

from dataclasses import replace

import numpy as np
import oracles_stereo as oracle
import pytest
import scenes

from vio import lie
from vio.calibration import Calibration
from vio.camera import Camera
from vio.config import Config
from vio.events import Event, new_counts
from vio.frontend import klt, outliers, pyramid, rays, stereo

CONFIG = replace(Config(), frontend=replace(Config().frontend, pyramid_levels=3, stereo_max_inverse_depth=2.0))
PRECISION = CONFIG.precision
LENS = rays.make_lens(scenes.LEFT, PRECISION)
RIG = stereo.make_rig(scenes.RIG, CONFIG, rays.make_lens(scenes.RIGHT, PRECISION))
OUTLIER = outliers.outlier_format(CONFIG, scenes.LEFT.fx, 0.11)
ORIGIN, T_WR = np.eye(4), scenes.RIG.T_BR


def pyramid_of(image: np.ndarray) -> tuple[np.ndarray, ...]:
    levels = pyramid.allocate(*image.shape, CONFIG.frontend.pyramid_levels)
    pyramid.build(image, levels, pyramid.pyramid_format(PRECISION), new_counts())
    return levels


@pytest.fixture(scope="module")
def pair() -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Pyramids of the left and the right view of the wall."""
    return pyramid_of(scenes.picture(scenes.LEFT, ORIGIN)), pyramid_of(scenes.picture(scenes.RIGHT, T_WR))


def grid(step: int = 20, margin: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Left features on a grid and their rays, raw."""
    u, v = np.meshgrid(np.arange(margin, 320 - margin, step), np.arange(margin, 240 - margin, step))
    uv = (np.stack((u, v), -1).reshape(-1, 2) * 256 + 77).astype(np.int32)
    points = np.empty_like(uv)
    rays.lookup(uv, LENS.table, LENS.fmt, points, new_counts())
    return uv, points


def matched(left, right, uv, points, known=None, rig=RIG, config=CONFIG):
    counts, known = new_counts(), np.zeros(len(uv), np.int32) if known is None else known
    uv_right, has_right, depth = np.empty_like(uv), np.empty(len(uv), np.bool_), np.empty(len(uv), np.int32)
    stereo.match(left, right, uv, points, known, rig, klt.klt_format(config), OUTLIER, uv_right, has_right, depth, counts)
    return uv_right, has_right, depth, counts


def test_matches_on_a_wall_are_right_to_a_tenth_of_a_pixel_and_a_percent_of_depth(pair) -> None:
    """Oracle: the closed form of the wall through the exact lenses."""
    uv, points = grid()
    right, has, depth, counts = matched(*pair, uv, points)
    truth = scenes.seen(scenes.on_wall(uv / 256, scenes.LEFT, ORIGIN), scenes.RIGHT, T_WR)
    assert has.mean() > 0.9
    error = np.hypot(*(right / 256 - truth)[has].T)
    assert np.median(error) < 0.1 and error.max() < 0.5
    assert abs(np.median(PRECISION.inverse_depth.to_float(depth[has])) * scenes.WALL - 1) < 0.01
    assert not depth[~has].any()
    assert counts[Event.STEREO_MATCHED] == has.sum()


def test_an_exposure_difference_changes_no_match(pair) -> None:
    """Oracle: the same pictures without it; an offset cancels exactly in the zero-mean difference."""
    uv, points = grid()
    brighter = pyramid_of(pair[1][0] + np.uint8(20))
    plain, bright = matched(*pair, uv, points), matched(pair[0], brighter, uv, points)
    assert np.array_equal(plain[1], bright[1])
    assert abs(plain[0] - bright[0])[plain[1]].max() <= 2


def test_a_known_depth_saves_work_and_changes_no_match(pair) -> None:
    """Oracle: the full search."""
    uv, points = grid()
    full = matched(*pair, uv, points)
    again = matched(*pair, uv, points, full[2])
    assert np.array_equal(full[0][full[1]], again[0][full[1]]) and again[1][full[1]].all()
    assert again[-1][Event.STEREO_CANDIDATE] < full[-1][Event.STEREO_CANDIDATE]
    wrong = matched(*pair, uv, points, np.full(len(uv), 2 * full[2].max(), np.int32))
    assert (wrong[1] & full[1]).sum() > 0.9 * full[1].sum()


def test_unrelated_pictures_do_not_match() -> None:
    """Oracle: two independent noise pictures have nothing in common."""
    rng = np.random.default_rng(3)
    left, right = (pyramid_of(rng.integers(0, 256, (240, 320), np.uint8)) for _ in range(2))
    _, has, _, _ = matched(left, right, *grid())
    assert has.mean() < 0.05


def test_a_repeated_texture_is_refused() -> None:
    """Oracle: between two equal cameras side by side a tile of 20 px (8 candidates) repeats exactly within the 45 px searched."""
    plain = Camera(320, 240, 200.0, 200.0, 160.0, 120.0)
    beside = Calibration(plain, np.eye(4), scenes.NOISE, plain, lie.pose(np.eye(3), np.array([0.125, 0.0, 0.0])))
    config = replace(CONFIG, frontend=replace(CONFIG.frontend, stereo_max_inverse_depth=1.8))
    lens = rays.make_lens(plain, PRECISION)
    rig = stereo.make_rig(beside, config, lens)
    tile = np.random.default_rng(6).integers(0, 256, (240, 20), np.uint8)
    levels, uv, counts = pyramid_of(np.tile(tile, (1, 16))), grid(20, 70)[0], new_counts()
    points, guess, found = np.empty_like(uv), np.empty_like(uv), np.empty(len(uv), np.bool_)
    rays.lookup(uv, lens.table, lens.fmt, points, counts)
    stereo.search(levels[1], levels[1], uv, points, np.zeros(len(uv), np.int32), rig.R_raw, rig.t_raw, lens.radial, lens.fmt, rig.fmt, guess, found, counts)
    assert rig.fmt.candidates == 18 and counts[Event.STEREO_CANDIDATE] > 12 * len(uv)
    assert found.mean() < 0.1


def test_the_search_equals_its_slow_twin(pair) -> None:
    """Oracle: the twin on Python integers, with and without known depth, near the border too."""
    uv, points = grid(45, 6)
    known = np.where(np.arange(len(uv)) % 3 == 0, 0, PRECISION.inverse_depth.to_raw(1 / scenes.WALL)).astype(np.int32)
    guess, found = np.zeros_like(uv), np.zeros(len(uv), np.bool_)
    stereo.search(pair[0][1], pair[1][1], uv, points, known, RIG.R_raw, RIG.t_raw, RIG.right.radial, RIG.right.fmt, RIG.fmt, guess, found, new_counts())
    left, right = pair[0][1].tolist(), pair[1][1].tolist()
    slow = [oracle.coarse_match(left, right, tuple(a), tuple(b), k, RIG) for a, b, k in zip(uv.tolist(), points.tolist(), known.tolist())]
    assert [tuple(g) if f else None for g, f in zip(guess.tolist(), found)] == slow
    assert 0 < found.sum() < len(uv)


def test_the_verification_equals_its_slow_twin() -> None:
    """Oracle: the twin, on matches from exact to absurd."""
    rng = np.random.default_rng(4)
    uv, points = grid()
    spread = rng.choice([0, 3, 40, 3000], (len(uv), 2))
    right = np.empty_like(points)
    truth = scenes.seen(scenes.on_wall(uv / 256, scenes.LEFT, ORIGIN), scenes.RIGHT, T_WR)
    rays.lookup(PRECISION.position.to_raw(truth).astype(np.int32), RIG.right.table, RIG.right.fmt, right, new_counts())
    right = (right + rng.integers(-1, 2, right.shape) * spread).astype(np.int32)
    back = (uv + rng.integers(-300, 301, uv.shape) * (rng.random((len(uv), 1)) < 0.3)).astype(np.int32)
    has, depth = rng.random(len(uv)) < 0.9, np.empty(len(uv), np.int32)
    tried = has.copy()
    stereo.verify(uv, back, points, right, RIG.R_raw, RIG.t_raw, RIG.right.fmt, OUTLIER, RIG.fmt, has, depth, new_counts())
    slow = [t and oracle.inverse_depth(u, b, p, r, RIG, OUTLIER) for t, u, b, p, r in zip(tried.tolist(), *(a.tolist() for a in (uv, back, points, right)))]
    assert depth.tolist() == [int(s) for s in slow]
    assert np.array_equal(has, depth > 0)
    assert 0 < has.sum() < tried.sum()
