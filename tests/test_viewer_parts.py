"""The arrays that the viewer draws: alignment, tails, colours, pyramids, prices."""

import numpy as np
import pytest
from hwmodel.chip import load_chip
from hwmodel.counts import from_run, high_water
from hwmodel.live import flight, with_picture
from hwmodel.memory import memory_map, used_kilobytes
from hwmodel.technology import load_technology
from tolerances import TIGHT

from vio import lie
from vio.config import Config
from vio.events import Event, new_counts
from vio.types import TrackStatus

pytest.importorskip("rerun", reason="the viewer needs rerun-sdk")
from vio.viewer import marks  # noqa: E402
from vio.viewer.alignment import Alignment, errors  # noqa: E402
from vio.viewer.meter import CHIP, TECHNOLOGY, Meter  # noqa: E402


def _poses(rng: np.random.Generator, n: int, far: float) -> np.ndarray:
    """A random path of poses (n, 4, 4), `far` m long in all or so."""
    steps = np.cumsum(rng.normal(size=(n, 3)), axis=0) * far / n
    return np.array([lie.pose(lie.so3_exp(rng.normal(size=3)), p) for p in steps])


def test_ground_truth_is_moved_back_by_the_very_transform_that_it_was_moved_by() -> None:
    """Oracle: the transform itself; far from the origin, where sums of coordinates would cancel."""
    rng = np.random.default_rng(1)
    T_GW = lie.pose(lie.so3_exp(np.array([0.3, -2.0, 1.0])), np.array([1e4, -2e4, 300.0]))
    for far in (10.0, 0.05):  # by positions, and by attitudes where the rig has not moved yet
        alignment = Alignment()
        T_WB = _poses(rng, 50, far)
        for batch in np.split(T_WB, [1, 20, 20]):
            alignment.add(batch, T_GW @ batch)
        assert np.abs(alignment.T_WG @ T_GW - np.eye(4)).max() < 1e-7


def test_an_alignment_knows_no_later_pose() -> None:
    """Oracle: the same poses given one by one, and the alignment of the first of them alone."""
    rng = np.random.default_rng(6)
    T_GB = _poses(rng, 30, 10.0)
    T_WB = T_GB.copy()
    T_WB[:, :3, 3] += 0.05 * rng.normal(size=(30, 3))
    at_once, one_by_one = Alignment().add(T_WB, T_GB), Alignment()
    for k in range(30):
        assert np.array_equal(one_by_one.add(T_WB[k : k + 1], T_GB[k : k + 1])[0], at_once[k])
    assert np.array_equal(Alignment().add(T_WB[:12], T_GB[:12]), at_once[:12])


def test_the_alignment_after_the_last_pose_is_that_of_the_ate() -> None:
    """Oracle: evo's alignment and its root mean square error."""
    evo = pytest.importorskip("evo.core.trajectory")
    from evo.core import metrics

    rng = np.random.default_rng(2)
    T_GB = _poses(rng, 80, 30.0)
    T_WB = T_GB.copy()
    T_WB[:, :3, 3] += 0.05 * rng.normal(size=(80, 3))
    alignment = Alignment()
    alignment.add(T_WB, T_GB)
    position, _ = errors(alignment.T_WG, T_WB, T_GB)
    truth, estimate = (evo.PoseTrajectory3D(poses_se3=list(T), timestamps=np.arange(80.0)) for T in (T_GB, T_WB))
    estimate.align(truth)
    ape = metrics.APE(metrics.PoseRelation.translation_part)
    ape.process_data((truth, estimate))
    assert np.sqrt(np.mean(position**2)) == pytest.approx(np.sqrt(np.mean(np.square(ape.error))), rel=1e-9)


def test_errors_are_those_that_were_put_in() -> None:
    """Oracle: a known shift and a known turn, from a microradian to nearly half a turn."""
    rng = np.random.default_rng(3)
    T = _poses(rng, 5, 3.0)
    angles = np.array([0.0, 1e-6, 0.01, 1.0, 3.0])
    off = np.array([A @ lie.pose(lie.so3_exp(np.array([0.0, angle, 0.0])), np.array([0.3, 0.0, 0.4])) for A, angle in zip(T, angles)])
    position, rotation = errors(np.eye(4), off, T)
    assert position == pytest.approx(0.5, abs=TIGHT) and np.radians(rotation) == pytest.approx(angles, abs=TIGHT)


def test_tails_are_the_last_positions_of_every_track() -> None:
    """Oracle: a list of positions per identity, kept the slow way; frames come in batches of any size, and one of them is empty."""
    rng = np.random.default_rng(4)
    tails, past, frames = marks.Tails(), {}, []
    for n in [*[40] * 9, 0, *[40] * 20]:
        frames.append((rng.permutation(60)[:n].astype(np.int64), rng.uniform(0, 700, (n, 2)).astype(np.float32), rng.random(n) < 0.9))
    batches = [frames[begin:end] for begin, end in ((0, 1), (1, 3), (3, 15), (15, 30))]
    drawn = np.split(np.concatenate([tails.extend(batch) for batch in batches]), np.cumsum([len(frame[0]) for frame in frames])[:-1])
    for (ids, uv, alive), found in zip(frames, drawn):
        past = {k: v for k, v in past.items() if k in ids}
        for k, name in enumerate(ids.tolist()):
            past[name] = [uv[k], *past.get(name, [])][: marks.TAIL]
            expected = past[name] + [past[name][-1]] * (marks.TAIL - len(past[name]))
            assert np.array_equal(found[k], expected)
        for k in np.flatnonzero(~alive):
            del past[int(ids[k])]


def test_colours_tell_age_and_fate_apart() -> None:
    """Oracle: the ends of the ramp and the table of fates; all of them differ."""
    status = np.array([0, 0, *sorted(marks.FATES)], np.uint8)
    found = marks.track_colours(status, np.array([0, 10_000] + [3] * len(marks.FATES)))
    assert found[0] == 0xFDE725FF and found[1] == 0xAA5ADCFF
    assert found[2:].tolist() == [marks.FATES[TrackStatus(k)][1] for k in sorted(marks.FATES)]
    assert len(set(found.tolist())) == len(found)


def test_a_pyramid_shows_what_its_camera_sees() -> None:
    """Oracle: corners projected by the pinhole are the corners of the picture."""
    T_WC = lie.pose(lie.so3_exp(np.array([0.1, 0.2, -0.4])), np.array([1.0, 2.0, 3.0]))
    strip = marks.pyramids(T_WC[None], np.array([320.0 / 400.0, 240.0 / 400.0]), 0.5)[0]
    seen = (strip - T_WC[:3, 3]) @ T_WC[:3, :3]
    corners = {tuple(np.round(400.0 * p[:2] / p[2] + [320.0, 240.0]).tolist()) for p in seen if p[2] > 0.1}
    assert corners == {(0.0, 0.0), (640.0, 0.0), (640.0, 480.0), (0.0, 480.0)}


def test_live_prices_are_those_of_the_run_at_its_operating_point() -> None:
    """Oracle: `hwmodel.live.flight` over the same frames, the last of which sets the price; kB by the marks of that frame.

    The first frame has its own price, and it holds for the next 18.
    """
    rng, frames = np.random.default_rng(5), []
    for k in range(80):
        counts = new_counts()
        counts[[Event.PYRAMID_PIXEL, Event.KLT_ITERATION, Event.RAY_ROTATION, Event.IMU_SAMPLE]] = 400_000, 2000 + rng.integers(500), 150 + k, 10
        if k % 5 == 0:
            counts[[Event.KEYFRAME, Event.GAUSS_NEWTON_ITERATION, Event.REPROJECTION, Event.LANDMARK_ELIMINATED]] = 1, 2, 3000 + 100 * k, 450
        frames.append(counts)
    meter = Meter(Config(), 752, 480, 20.0)
    batches = [np.array(frames[begin:end]) for begin, end in ((0, 2), (2, 50), (50, 80))]
    energy = np.concatenate([meter.energy(batch) for batch in batches])
    used = np.concatenate([meter.used(batch) for batch in batches])
    chip = with_picture(load_chip(CHIP), 752, 480)
    expected = flight(Config(), np.array(frames), chip, load_technology(TECHNOLOGY), 20.0)
    assert np.allclose(energy[-1], expected.energy_uJ[-1], rtol=1e-12)
    early = [flight(Config(), np.array(frames[:n]), chip, load_technology(TECHNOLOGY), 20.0) for n in (1, 20)]
    assert np.allclose(energy[[0, 19]], [flown.energy_uJ[-1] for flown in early], rtol=1e-12)
    assert np.allclose(energy[18, -1], energy[0, -1], rtol=1e-12)  # leakage is that of the operating point
    assert expected.modules == meter.modules
    marks_of_last = high_water(from_run(np.array(frames[75:76]))) | {name: 229 for name in ("feature_table", "frame_landmarks")}
    assert used[-1] == pytest.approx(used_kilobytes(memory_map(Config(), chip), marks_of_last))
