"""RANSAC with a known rotation, on exact motions and against its slow twins."""

from dataclasses import replace

import numpy as np
import oracles_stereo as oracle
import pytest
from test_rays import EUROC, PRECISION

from vio import lie
from vio.config import Config
from vio.events import Event, new_counts
from vio.frontend import outliers, rays

LENS = rays.make_lens(EUROC, PRECISION)
BASELINE = 0.11
FORMAT = outliers.outlier_format(Config(), EUROC.fx, BASELINE)
R = lie.so3_exp(np.array([0.02, -0.01, 0.03]))
MOTIONS = [(0.05, 0.0, 0.0), (-0.03, 0.04, 0.0), (0.0, 0.0, 0.08), (0.0, 0.01, -0.08), (0.02, -0.03, 0.05)]


def raw(xy: np.ndarray) -> np.ndarray:
    return PRECISION.ray.to_raw(xy).astype(np.int32)


def scene(t, n: int = 120, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Rays and inverse depths of n points before and after p1 = R p0 + t: (rays_0, depth_0, rays_1, depth_1), raw."""
    rng = np.random.default_rng(seed)
    xy, z = rng.uniform((-0.7, -0.45), (0.7, 0.45), (n, 2)), rng.uniform(0.5, 6.0, n)
    after = np.c_[xy, np.ones(n)] * z[:, None] @ R.T + t
    depths = (PRECISION.inverse_depth.to_raw(1 / d).astype(np.int32) for d in (z, after[:, 2]))
    depth_0, depth_1 = depths
    return raw(xy), depth_0, raw(after[:, :2] / after[:, 2:]), depth_1


def compensated(rays_0: np.ndarray) -> np.ndarray:
    out = np.empty_like(rays_0)
    rays.rotate(rays_0, PRECISION.rotation.to_raw(R), LENS.fmt, out)
    return out


def disturbed(rays_1: np.ndarray, share: float, pixels: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Some rays thrown off by `pixels` in random directions, and which."""
    rng = np.random.default_rng(seed)
    is_bad, angle = rng.random(len(rays_1)) < share, rng.uniform(0, 2 * np.pi, len(rays_1))
    offset = np.stack((np.cos(angle), np.sin(angle)), 1) * pixels / EUROC.fx * 2**14
    return np.where(is_bad[:, None], rays_1 + np.rint(offset), rays_1).astype(np.int32), is_bad


def by_direction(rays_a, rays_1, seed: int = 7, fmt=FORMAT) -> tuple[int, np.ndarray, np.ndarray]:
    inlier, counts = np.empty(len(rays_a), np.bool_), new_counts()
    return outliers.reject_by_direction(rays_a, rays_1, seed, fmt, inlier, counts), inlier, counts


def by_depth(points, fmt=FORMAT) -> tuple[int, np.ndarray, np.ndarray]:
    inlier, counts = np.empty(len(points[0]), np.bool_), new_counts()
    return outliers.reject_by_depth(*points, PRECISION.rotation.to_raw(R), LENS.fmt, fmt, inlier, counts), inlier, counts


@pytest.mark.parametrize("t", MOTIONS)
def test_a_true_motion_keeps_every_feature(t) -> None:
    """Oracle: exact projections of one rigid motion."""
    points = scene(np.array(t))
    assert by_direction(compensated(points[0]), points[2])[1].all()
    assert by_depth(points)[1].all()


@pytest.mark.parametrize("t", MOTIONS)
def test_a_quarter_of_wrong_tracks_is_found_and_few_good_ones_lost(t) -> None:
    """Oracle: which tracks were moved; one in five lands by chance where the epipolar geometry allows it."""
    points = scene(np.array(t))
    bad_rays, is_bad = disturbed(points[2], 0.25, 15.0)
    _, inlier, _ = by_direction(compensated(points[0]), bad_rays)
    assert inlier[~is_bad].mean() > 0.95
    assert inlier[is_bad].mean() < 0.3
    _, inlier, _ = by_depth((points[0], points[1], bad_rays, points[3]))
    assert np.array_equal(inlier, ~is_bad)


def test_a_wrong_stereo_depth_is_found_although_the_left_track_is_right() -> None:
    """Oracle: which depths were falsified, by 10 px of disparity."""
    points = scene(np.array(MOTIONS[0]))
    is_bad = np.arange(120) % 5 == 0
    depth = points[3] + (is_bad * 10 / (EUROC.fx * BASELINE) * 2**14).astype(np.int32)
    assert np.array_equal(by_depth((*points[:3], depth))[1], ~is_bad)


def test_standing_still_everything_that_stays_is_an_inlier() -> None:
    """Oracle: no motion, noise of a third of a pixel."""
    points = scene(np.zeros(3))
    noise = np.random.default_rng(2).normal(0, 0.33 / EUROC.fx * 2**14, points[2].shape)
    support, inlier, _ = by_direction(compensated(points[0]), (points[2] + np.rint(noise)).astype(np.int32))
    assert inlier.mean() > 0.97 and support == inlier.sum()


def test_a_small_rotation_error_costs_few_features() -> None:
    """Oracle: exact motion, the gyro wrong by 0.08 rad/s for 50 ms (EuRoC's bias about its worst axis)."""
    points = scene(np.array(MOTIONS[0]))
    wrong, rays_a = lie.so3_exp(np.array([0.0, 0.0, 0.004])) @ R, np.empty_like(points[0])
    rays.rotate(points[0], PRECISION.rotation.to_raw(wrong), LENS.fmt, rays_a)
    assert by_direction(rays_a, points[2])[1].mean() > 0.8


def test_without_a_common_motion_nothing_is_rejected() -> None:
    """Oracle: the rule of `ransac_min_share`."""
    points = scene(np.array(MOTIONS[0]))
    chaos, _ = disturbed(points[2], 1.0, 60.0)
    strict = FORMAT._replace(min_share=230)
    support, inlier, _ = by_direction(compensated(points[0]), chaos, fmt=strict)
    assert support < 0.9 * 120 and inlier.all()
    support, inlier, _ = by_depth((*points[:2], chaos, points[3]), fmt=strict)
    assert support < 0.9 * 120 and inlier.all()


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_features_are_no_trouble(n: int) -> None:
    """Oracle: fewer than a hypothesis needs cannot contradict each other."""
    points = scene(np.array(MOTIONS[0]), n)
    assert by_direction(compensated(points[0]), points[2])[1].all() and by_depth(points)[1].all()


@pytest.mark.parametrize("t", MOTIONS)
def test_both_kernels_equal_their_slow_twins(t) -> None:
    """Oracle: the twins on Python integers, a third of the tracks wrong, some absurd."""
    few = outliers.outlier_format(replace(Config(), frontend=replace(Config().frontend, ransac_iterations=12)), EUROC.fx, BASELINE)
    points = scene(np.array(t), 40)
    bad_rays, _ = disturbed(points[2], 0.3, 12.0)
    bad_rays[:2] = [[2**17 - 1, -(2**17)], [-(2**17), 5]]
    rays_a = compensated(points[0])
    support, inlier, _ = by_direction(rays_a, bad_rays, 99, few)
    assert (support, inlier.tolist()) == oracle.direction_inliers([tuple(r) for r in rays_a.tolist()], [tuple(r) for r in bad_rays.tolist()], 99, few)
    support, inlier, _ = by_depth((points[0], points[1], bad_rays, points[3]), few)
    lists = [points[0].tolist(), points[1].tolist(), bad_rays.tolist(), points[3].tolist()]
    assert (support, inlier.tolist()) == oracle.depth_inliers(*lists, PRECISION.rotation.to_raw(R).tolist(), LENS.fmt, few)


def test_squared_displacements_equal_their_twin() -> None:
    """Oracle: the twin; the largest differences saturate."""
    a, b = np.random.default_rng(3).integers(-(2**17), 2**17, (2, 50, 2)).astype(np.int32)
    out = np.empty(50, np.int64)
    outliers.squared_displacements(a, b, FORMAT, out)
    assert out.tolist() == [sum(v * v for v in oracle.moved(x, y, FORMAT)) for x, y in zip(a.tolist(), b.tolist())]


def test_the_sampling_repeats_itself() -> None:
    """Oracle: a second call, and the counted work."""
    points = scene(np.array(MOTIONS[0]))
    bad_rays, _ = disturbed(points[2], 0.25, 15.0)
    first, second = (by_direction(compensated(points[0]), bad_rays) for _ in range(2))
    assert first[0] == second[0] and np.array_equal(first[1], second[1])
    assert first[2][Event.RANSAC_HYPOTHESIS] == 2 * FORMAT.iterations
    assert first[2][Event.RANSAC_TEST] == 120 * (2 * FORMAT.iterations + 1)


def test_ransac_with_depth_counts_its_own_events() -> None:
    """Oracle: every seed is scored against every point; the events of the two-point search stay zero."""
    points = scene(np.array(MOTIONS[0]))
    _, _, counts = by_depth(points)
    assert 0 < counts[Event.DEPTH_HYPOTHESIS] <= FORMAT.iterations
    assert counts[Event.DEPTH_TEST] == counts[Event.DEPTH_HYPOTHESIS] * len(points[0])
    assert counts.sum() == counts[Event.DEPTH_HYPOTHESIS] + counts[Event.DEPTH_TEST]
