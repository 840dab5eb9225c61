"""The front end as a whole: on an analytic wall, on bad pictures, and on the EuRoC clip."""

from dataclasses import fields, replace

import numpy as np
import pytest
import scenes

from vio import lie
from vio.config import Config
from vio.events import Event, new_counts
from vio.frontend.front_end import FrontEnd
from vio.types import FrontEndOutput, StereoFrame, TrackStatus

CONFIG = replace(Config(), frontend=replace(Config().frontend, max_features=80, pyramid_levels=3, stereo_max_inverse_depth=2.0))
PERIOD_NS = 50_000_000
BLACK = np.zeros((240, 320), np.uint8)


def pose_at(k: int) -> np.ndarray:
    """T_WC of frame k: sideways and forward, rolling and panning."""
    return lie.pose(lie.so3_exp(np.array([0.002, -0.004, 0.006]) * k), np.array([0.02, 0.004, 0.012]) * k)


def rotation(k: int) -> np.ndarray:
    """R_C1C0 from frame k - 1 to k."""
    return np.eye(3) if k == 0 else pose_at(k)[:3, :3].T @ pose_at(k - 1)[:3, :3]


def frame_at(k: int) -> StereoFrame:
    return StereoFrame(k * PERIOD_NS, scenes.picture(scenes.LEFT, pose_at(k)), scenes.picture(scenes.RIGHT, pose_at(k) @ scenes.RIG.T_BR))


FRAMES = [frame_at(k) for k in range(12)]


def run(front_end: FrontEnd, frames=FRAMES) -> list[FrontEndOutput]:
    return [front_end.process(frame, rotation(k), new_counts()) for k, frame in enumerate(frames)]


@pytest.fixture(scope="module")
def outputs() -> list[FrontEndOutput]:
    """Twelve frames of a moving rig."""
    return run(FrontEnd(scenes.RIG, CONFIG))


def world(output: FrontEndOutput, k: int, which: np.ndarray) -> np.ndarray:
    """Points of the wall behind some observations of frame k."""
    return scenes.on_wall(scenes.LEFT.project(output.observations.xy_left[which]), scenes.LEFT, pose_at(k))


def test_tracks_stay_on_their_points_of_the_wall(outputs) -> None:
    """Oracle: the closed form of the wall: 12 frames later a feature still shows the point it was born on."""
    first, last = outputs[0].observations, outputs[-1].observations
    common, i, j = np.intersect1d(first.ids, last.ids, return_indices=True)
    assert len(common) > 40
    truth = scenes.seen(world(outputs[0], 0, i), scenes.LEFT, pose_at(11))
    error = np.hypot(*(scenes.LEFT.project(last.xy_left[j]) - truth).T)
    assert np.median(error) < 0.4 and error.max() < 2.0


def test_stereo_observations_triangulate_to_the_wall(outputs) -> None:
    """Oracle: the plane z = 2 m."""
    for k, output in enumerate(outputs):
        seen = output.observations
        assert not seen.has_right.any() or output.is_keyframe
        if output.is_keyframe:
            assert seen.has_right.mean() > 0.75
            truth = scenes.seen(world(output, k, seen.has_right), scenes.RIGHT, pose_at(k) @ scenes.RIG.T_BR)
            error = scenes.RIGHT.project(seen.xy_right[seen.has_right]) - truth
            assert np.median(np.hypot(*error.T)) < 0.1 and abs(error).max() < 1.0


def test_observations_are_the_exact_rays_of_the_raw_tracks(outputs) -> None:
    """Oracle: `Camera.unproject` of raw / 2^frac; live tracks come first and in the same order."""
    for output in outputs:
        tracks, seen = output.tracks, output.observations
        live = tracks.status <= TrackStatus.NEW
        assert np.array_equal(tracks.ids[live], seen.ids) and np.array_equal(tracks.has_right[live], seen.has_right)
        assert np.array_equal(seen.xy_left, scenes.LEFT.unproject(tracks.uv_raw[live] / 256))


def test_ids_are_never_used_again_and_ages_count_frames(outputs) -> None:
    """Oracle: bookkeeping by hand over all frames."""
    born: dict[int, int] = {}
    dead: set[int] = set()
    for k, output in enumerate(outputs):
        tracks = output.tracks
        assert len(set(tracks.ids.tolist())) == len(tracks.ids)
        for feature, status, age in zip(tracks.ids.tolist(), tracks.status.tolist(), tracks.age.tolist()):
            assert feature not in dead
            assert (status == TrackStatus.NEW) == (feature not in born)
            born.setdefault(feature, k)
            assert status > TrackStatus.NEW or age == k - born[feature]
            if status > TrackStatus.NEW:
                dead.add(feature)


def test_two_runs_give_the_same_integers(outputs) -> None:
    """Oracle: a second front end; the returned arrays of the first have not been written to since."""
    before = [{f.name: getattr(o.tracks, f.name).copy() for f in fields(o.tracks)} for o in outputs]
    for again, kept, old in zip(run(FrontEnd(scenes.RIG, CONFIG)), before, outputs):
        for name, value in kept.items():
            assert np.array_equal(value, getattr(again.tracks, name)) and np.array_equal(value, getattr(old.tracks, name))


def test_later_frames_do_not_write_into_earlier_outputs() -> None:
    """Oracle: copies taken before the next frame."""
    front_end = FrontEnd(scenes.RIG, CONFIG)
    first = front_end.process(FRAMES[0], rotation(0), new_counts())
    kept = [getattr(first.tracks, f.name).copy() for f in fields(first.tracks)] + [first.observations.xy_left.copy()]
    front_end.drop(first.observations.ids[:3])
    front_end.process(FRAMES[1], rotation(1), new_counts())
    now = [getattr(first.tracks, f.name) for f in fields(first.tracks)] + [first.observations.xy_left]
    assert all(np.array_equal(a, b) for a, b in zip(kept, now))


def test_dropped_features_are_listed_once_as_gated() -> None:
    """Oracle: the contract of `drop`; unknown ids are ignored."""
    front_end = FrontEnd(scenes.RIG, CONFIG)
    ids = front_end.process(FRAMES[0], rotation(0), new_counts()).observations.ids[:4]
    front_end.drop(np.concatenate((ids, [10**12])))
    second, third = (front_end.process(FRAMES[k], rotation(k), new_counts()) for k in (1, 2))
    assert set(second.tracks.ids[second.tracks.status == TrackStatus.GATED].tolist()) == set(ids.tolist())
    assert not np.isin(ids, second.observations.ids).any() and not np.isin(ids, third.tracks.ids).any()


def test_a_guessed_rotation_rejects_no_track() -> None:
    """Oracle: the pictures, in which every track lies on the wall. A rotation that is wrong by a degree about the optical axis has half of them rejected."""
    outliers = {}
    for is_measured in (True, False):
        front_end = FrontEnd(scenes.RIG, CONFIG)
        run(front_end, FRAMES[:3])
        seen = front_end.process(FRAMES[3], lie.so3_exp(np.array([0.0, 0.0, 0.02])) @ rotation(3), new_counts(), is_measured=is_measured)
        outliers[is_measured] = int(np.sum(seen.tracks.status == TrackStatus.OUTLIER))
    assert outliers[True] > 20 and outliers[False] == 0


def test_keyframes_come_by_time_when_nothing_moves() -> None:
    """Oracle: the rules: a still rig has no parallax and loses nothing, so only `keyframe_max_interval` counts."""
    config = replace(CONFIG, frontend=replace(CONFIG.frontend, keyframe_max_interval=0.2))
    front_end = FrontEnd(scenes.RIG, config)
    keys = [front_end.process(replace(FRAMES[0], t_ns=k * PERIOD_NS), np.eye(3), new_counts()).is_keyframe for k in range(9)]
    assert keys == [k % 4 == 0 for k in range(9)]


def test_keyframes_come_by_parallax_but_not_by_rotation() -> None:
    """Oracle: the wall at 2 m moves f t / z = 10 px for 0.1 m sideways; a pure rotation moves nothing once compensated."""
    config = replace(CONFIG, frontend=replace(CONFIG.frontend, keyframe_parallax=8.0, keyframe_max_interval=100.0, keyframe_min_tracked=0.1))
    turned = lie.so3_exp(np.array([0.0, 0.05, 0.0]))
    for T_WC, is_key in ((lie.pose(turned, np.zeros(3)), False), (lie.pose(np.eye(3), np.array([0.1, 0.0, 0.0])), True)):
        front_end = FrontEnd(scenes.RIG.mono(), config)
        front_end.process(StereoFrame(0, FRAMES[0].left, None), np.eye(3), new_counts())
        second = StereoFrame(PERIOD_NS, scenes.picture(scenes.LEFT, T_WC), None)
        assert front_end.process(second, T_WC[:3, :3].T, new_counts()).is_keyframe == is_key


@pytest.mark.parametrize("where", ["calibration", "frame"])
def test_one_camera_is_enough(where: str) -> None:
    """Oracle: the stereo run: the same left tracks until stereo enters the choice, and never a right one."""
    mono = [replace(frame, right=None) for frame in FRAMES[:4]]
    outputs = run(FrontEnd(scenes.RIG.mono() if where == "calibration" else scenes.RIG, CONFIG), mono)
    both = run(FrontEnd(scenes.RIG, CONFIG), FRAMES[:4])
    assert not any(o.tracks.has_right.any() or o.observations.has_right.any() for o in outputs)
    assert all(np.array_equal(a.tracks.uv_raw, b.tracks.uv_raw) for a, b in zip(outputs, both))


def test_black_pictures_give_no_tracks_and_sight_comes_back_at_once() -> None:
    """Oracle: no corners in a constant picture; the first picture with corners becomes a keyframe."""
    front_end = FrontEnd(scenes.RIG, CONFIG)
    for k in range(4):
        dark = front_end.process(StereoFrame(k * PERIOD_NS, BLACK, BLACK), np.eye(3), new_counts())
        assert len(dark.tracks.ids) == len(dark.observations.ids) == 0 and dark.is_keyframe == (k == 0)
    light = front_end.process(replace(FRAMES[0], t_ns=4 * PERIOD_NS), np.eye(3), new_counts())
    assert light.is_keyframe and len(light.observations.ids) > 40


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (BLACK[:100], BLACK, r"left picture is uint8 \(100, 320\); .* uint8 \(240, 320\)"),
        (BLACK.astype(np.float32), BLACK, "left picture is float32"),
        (None, BLACK, "left picture is NoneType"),
        (BLACK, BLACK[:, :, None], r"right picture is uint8 \(240, 320, 1\)"),
    ],
)
def test_a_picture_of_the_wrong_kind_is_refused_in_words(left, right, words: str) -> None:
    """Oracle: the calibrated size and uint8."""
    with pytest.raises(ValueError, match=words):
        FrontEnd(scenes.RIG, CONFIG).process(StereoFrame(7, left, right), np.eye(3), new_counts())


def test_work_is_counted_per_frame() -> None:
    """Oracle: one keyframe, one lookup per new corner and per left and right match tried."""
    counts = new_counts()
    first = FrontEnd(scenes.RIG, CONFIG).process(FRAMES[0], rotation(0), counts)
    assert counts[Event.KEYFRAME] == 1
    assert counts[Event.FEATURE_DETECTED] == len(first.observations.ids)
    assert counts[Event.STEREO_MATCHED] >= first.observations.has_right.sum() > 0
    assert counts[Event.RAY_LOOKUP] >= counts[Event.FEATURE_DETECTED] + counts[Event.STEREO_MATCHED]


def test_on_the_euroc_clip_tracks_are_long_and_stereo_fits_its_epipolar_lines(euroc_clip) -> None:
    """Oracles: the exact epipolar geometry in float64; the identity as rotation guess makes it harder than it will be."""
    from vio.io.sequence import open_sequence

    sequence, live, errors = open_sequence(euroc_clip), [], []
    front_end, T_RC = FrontEnd(sequence.calibration, Config()), np.linalg.inv(sequence.calibration.T_CR)
    for k in range(12):
        seen = (output := front_end.process(sequence.load(k), np.eye(3), new_counts())).observations
        live.append(len(seen.ids))
        if output.is_keyframe:
            left, right = (np.c_[xy[seen.has_right], np.ones(seen.has_right.sum())] for xy in (seen.xy_left, seen.xy_right))
            normal = np.cross(T_RC[:3, 3], left @ T_RC[:3, :3].T)
            errors.append(abs((right * normal).sum(1)) / np.hypot(normal[:, 0], normal[:, 1]) * sequence.calibration.right.fx)
            assert seen.has_right.mean() > 0.4
    assert min(live) > 100 and np.median(np.concatenate(errors)) < 0.35
