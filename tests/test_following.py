"""Following features from picture to picture: the compiled whole against its steps one by one."""

import numpy as np
import pytest
import scenes
from test_stereo import CONFIG, LENS, OUTLIER, grid, pyramid_of

from vio import lie
from vio.config import Config
from vio.events import Event, new_counts
from vio.frontend import following, klt, outliers, rays
from vio.types import TrackStatus

TURN = lie.so3_exp(np.array([0.002, -0.004, 0.01]))
TRACKER = klt.klt_format(CONFIG)
TOP = CONFIG.frontend.pyramid_levels - 1


def moved() -> np.ndarray:
    """Pose of the second picture, of which a ray turns by TURN."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = TURN.T, (0.02, 0.0, 0.01)
    return T


PICTURES = pyramid_of(scenes.picture(scenes.LEFT, np.eye(4))), pyramid_of(scenes.picture(scenes.LEFT, moved()))
R_RAW = np.ascontiguousarray(Config().precision.rotation.to_raw(TURN))


def followed(uv, points, flow, fewest=0, expected=np.zeros(0, np.int64), at=np.zeros((0, 2), np.int32), frames=1):
    """(uv, rays, flow, status, counts) of `following.follow`."""
    out, arrived, flow_out, status, counts = np.empty_like(uv), np.empty_like(uv), np.empty_like(uv), np.empty(len(uv), np.uint8), new_counts()
    following.follow(*PICTURES, uv, points, flow, expected, at, R_RAW, frames, points, R_RAW, 0, 3, fewest, TOP, LENS, TRACKER, OUTLIER,
                     out, arrived, flow_out, status, counts)
    return out, arrived, flow_out, status, counts


def step_by_step(uv, points, flow, frames):
    """The same, by one kernel after the other and numpy between them."""
    counts, rotated, guess, out, arrived = new_counts(), np.empty_like(uv), np.empty_like(uv), np.empty_like(uv), np.empty_like(uv)
    status, residual = np.empty(len(uv), np.uint8), np.empty(len(uv), np.int32)
    rays.rotate(points, R_RAW, LENS.fmt, rotated)
    rays.project(rotated + flow * np.int32(frames), LENS.radial, LENS.fmt, guess)
    counts[Event.RAY_ROTATION] += len(uv)
    counts[Event.RAY_PROJECTION] += len(uv)
    klt.track(*PICTURES, uv, guess, TOP, TRACKER, out, status, residual, counts)
    rays.lookup(out, LENS.table, LENS.fmt, arrived, counts)
    rays.reject_out_of_view(arrived, LENS.fmt, status)
    tracked = np.flatnonzero(status == TrackStatus.TRACKED)
    inlier = np.empty(len(tracked), np.bool_)
    outliers.reject_by_direction(rotated[tracked], arrived[tracked], 3, OUTLIER, inlier, counts)
    status[tracked[~inlier]] = TrackStatus.OUTLIER
    out[status != TrackStatus.TRACKED] = uv[status != TrackStatus.TRACKED]
    return out, arrived, (arrived - rotated) // np.int32(frames), status, counts


@pytest.mark.parametrize("frames", [1, 3])
def test_the_whole_is_its_steps(frames: int) -> None:
    """Oracle: each step by its own kernel, which has a twin of its own; some features start where nothing of theirs is."""
    uv, points = grid()
    flow = np.random.default_rng(0).integers(-60, 60, uv.shape).astype(np.int32)
    flow[::7] += 5000
    found, wanted = followed(uv, points, flow, frames=frames), step_by_step(uv, points, flow, frames)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert (found[3] == TrackStatus.TRACKED).mean() > 0.5 and (found[3] != TrackStatus.TRACKED).any()


def test_features_are_found_where_they_are_expected() -> None:
    """Oracle: the same features, sent to the right place by their flow."""
    uv, points = grid()
    still = np.zeros_like(uv)
    right = followed(uv, points, still)
    astray, rows = np.full_like(uv, 6000), np.flatnonzero(right[3] == TrackStatus.TRACKED)
    assert (followed(uv, points, astray)[3] == TrackStatus.TRACKED).mean() < 0.5
    sent = followed(uv, points, astray, expected=rows, at=right[1][rows])
    assert (sent[3][rows] == TrackStatus.TRACKED).mean() > 0.95


def test_of_a_crowd_that_all_but_vanished_nothing_is_believed() -> None:
    """Oracle: the rule: fewer than asked for means none; the number itself is enough."""
    uv, points = grid()
    tracked = int((followed(uv, points, np.zeros_like(uv))[3] == TrackStatus.TRACKED).sum())
    inliers = step_by_step(uv, points, np.zeros_like(uv), 1)[3]
    before_ransac = int(((inliers == TrackStatus.TRACKED) | (inliers == TrackStatus.OUTLIER)).sum())
    assert len(uv) >= following.CROWD
    assert (followed(uv, points, np.zeros_like(uv), fewest=before_ransac)[3] == TrackStatus.TRACKED).sum() == tracked
    assert not (followed(uv, points, np.zeros_like(uv), fewest=before_ransac + 1)[3] == TrackStatus.TRACKED).any()


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_whether_half_has_moved_is_whether_the_median_has(n: int) -> None:
    """Oracle: the sorted squares of the displacements."""
    rng = np.random.default_rng(n)
    old, new = (rng.integers(-5000, 5000, (n, 2)).astype(np.int32) for _ in range(2))
    status = np.where(rng.random(n) < 0.7, TrackStatus.TRACKED, TrackStatus.FLAT).astype(np.uint8)
    status[0] = TrackStatus.TRACKED
    rotated, squares = np.empty_like(old), np.empty(n, np.int64)
    rays.rotate(old, R_RAW, LENS.fmt, rotated)
    outliers.squared_displacements(rotated, new, OUTLIER, squares)
    alive = np.sort(squares[status == TrackStatus.TRACKED])
    median = int(alive[len(alive) // 2])
    for least, has in ((median - 1, True), (median, True), (median + 1, False)):
        assert following.half_has_moved(old, new, status, R_RAW, least, LENS.fmt, OUTLIER) == has
