"""Health: what the report says about made-up faults, and what the odometry does about them."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_odometry import EPOCH, FRAME_NS, HEIGHT, IMU_NS, RIG, WIDTH, feed, finite, pictures, samples, wall

from vio.backend import guard
from vio.backend.back_end import BackEnd
from vio.config import Config
from vio.health import ImuScreen
from vio.odometry import Odometry
from vio.types import FrameOutput, HealthState

BLACK = np.zeros((HEIGHT, WIDTH), np.uint8)
Pair = tuple[np.ndarray, np.ndarray | None]


def fly(frames: int, change: Callable[[int, Pair], Pair], config: Config | None = None) -> list[FrameOutput]:
    """The slide before the wall with changed pictures."""
    odometry, outputs = Odometry(RIG, config), []
    for k in range(frames):
        odometry.add_imu(*samples((k - 1) * FRAME_NS + IMU_NS if k else -200_000_000, k * FRAME_NS + IMU_NS))
        outputs.append(odometry.add_frame(EPOCH + k * FRAME_NS, *change(k, pictures(k))))
    return outputs


def error(outputs: list[FrameOutput]) -> float:
    """Largest distance from the slide's formula, m."""
    from test_odometry import slide

    p = np.array([o.state.T_WB[:3, 3] for o in outputs]) @ outputs[0].state.T_WB[:3, :3]
    return float(np.abs(p[:, 1] + slide(np.arange(len(p)) * FRAME_NS * 1e-9)[0]).max())


def screened(y: np.ndarray, config: Config = Config()) -> tuple[np.ndarray, list[str]]:
    """Which of the samples (n, 6) are believed, and the reasons."""
    t = np.arange(len(y), dtype=np.int64) * IMU_NS
    (believed, _, _), reasons = ImuScreen(config.health).screen(t, y[:, :3], y[:, 3:])
    return np.isin(t, believed), reasons


def calm(n: int) -> np.ndarray:
    """Samples of a rig at rest."""
    return np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 9.81], (n, 1))


@pytest.mark.parametrize(("axis", "size"), [(0, 10.0), (5, 100.0), (4, -100.0)])
def test_single_spikes_are_left_out_and_a_lasting_jump_is_believed(axis: int, size: float) -> None:
    """Oracle: construction: one spike at sample 4, a jump from sample 10 on, of which three are not believed yet."""
    y = calm(20)
    y[4, axis] += size
    y[10:, axis] += size
    believed, reasons = screened(y)
    assert np.flatnonzero(~believed).tolist() == [4, 10, 11, 12]
    assert "imu_spike" in reasons


def test_a_jump_over_a_gap_is_no_spike() -> None:
    """Oracle: construction: half a second without samples, then another acceleration."""
    screen, y = ImuScreen(Config().health), calm(20)
    y[10:, 3] += 25.0
    t = np.arange(20, dtype=np.int64) * IMU_NS
    t[10:] += 500_000_000
    (believed, _, _), reasons = screen.screen(t, y[:, :3], y[:, 3:])
    assert len(believed) == 20 and "imu_spike" not in reasons


def test_the_end_of_the_range_is_recognised_by_equal_samples_at_the_top() -> None:
    """Oracle: construction: a sine cut off at 2 g; the same sine below its range, and rest, are no saturation."""
    wave = calm(400)
    wave[:, 3] = 30.0 * np.sin(np.arange(400) * 0.05)
    cut = wave.copy()
    cut[:, 3] = np.clip(cut[:, 3], -19.6133, 19.6133)
    assert screened(cut)[1] == ["imu_saturated"]
    four, five = (screened(np.vstack([wave[:377], cut[:n]]))[1] for n in (19, 20))  # a range that shrank: below the largest, four equal ones may be chance
    assert four == [] and five == ["imu_saturated"]
    assert screened(wave)[1] == [] and screened(calm(50))[1] == []


@given(st.integers(0, 2**32 - 1))
def test_the_screen_does_not_depend_on_how_samples_are_batched(seed: int) -> None:
    """Oracle: one batch against random pieces, with spikes, saturation, disorder and numbers that are none."""
    rng = np.random.default_rng(seed)
    y = np.clip(rng.normal(0.0, 8.0, (60, 6)), -12.5, 12.5)
    y[rng.integers(0, 60, 6), rng.integers(0, 6, 6)] = rng.choice([np.nan, 400.0, 90.0, -90.0], 6)
    t = np.cumsum(rng.integers(-1, 5, 60)).astype(np.int64)
    whole, pieces = ImuScreen(Config().health), ImuScreen(Config().health)
    (at_once, w, a), reasons = whole.screen(t, y[:, :3], y[:, 3:])
    parts = [pieces.screen(t[i:j], y[i:j, :3], y[i:j, 3:]) for i, j in ((0, 7), (7, 8), (8, 8), (8, 30), (30, 60))]
    assert np.array_equal(at_once, np.concatenate([part[0][0] for part in parts]))
    assert np.array_equal(w, np.concatenate([part[0][1] for part in parts])) and np.array_equal(a, np.concatenate([part[0][2] for part in parts]))
    assert set(reasons) == {reason for part in parts for reason in part[1]}


def test_a_gap_in_the_dark_is_bridged_by_the_same_features() -> None:
    """Oracle: feature ids: those of before the dark are found again after it; the formula of the slide."""
    outputs = fly(40, lambda k, pair: (BLACK, BLACK) if 20 <= k < 26 else pair)
    before, after = ({*o.tracks.ids[o.tracks.status <= 1].tolist()} for o in (outputs[19], outputs[26]))
    assert len(before & after) > 0.5 * len(before)
    assert all("picture_blind" in o.health.reasons for o in outputs[20:26])
    assert [o.health.state is HealthState.LOST for o in outputs[20:26]] == [False] * 2 + [True] * 4
    assert outputs[26].health.state is HealthState.RECOVERING and outputs[-1].health.state is HealthState.GOOD
    assert error(outputs) < 0.03  # a pixel is 1 cm here


def test_blind_seconds_and_covariance_grow_in_the_dark_and_end_with_it() -> None:
    """Oracle: the clock; the propagation adds noise and takes none away."""
    outputs = fly(50, lambda k, pair: (BLACK, BLACK) if 20 <= k < 45 else pair)
    dark = outputs[20:45]
    np.testing.assert_allclose([o.health.blind for o in dark], (1 + np.arange(25)) * FRAME_NS * 1e-9)
    assert (np.diff([np.trace(o.state.covariance[:3, :3]) for o in dark]) > 0.0).all()
    assert outputs[-1].health.blind == 0.0


def test_a_frozen_camera_does_not_stop_the_rig() -> None:
    """Oracle: the formula of the slide: half a second of the same picture at full speed; vision would say that it stands."""
    frozen = pictures(29)
    outputs = fly(45, lambda k, pair: frozen if 30 <= k < 40 else pair)
    assert all("frame_repeated" in o.health.reasons for o in outputs[30:40])
    assert error(outputs) < 0.03  # a pixel is 1 cm here, and the velocity at the freeze comes from pictures


def with_a_thing_before_it(k: int, pair: Pair) -> Pair:
    """From frame 15 on most of the view is a patterned thing at 1 m that swings up and down by 20 px."""
    if k < 15:
        return pair
    thing = np.roll(wall(5), round(20.0 * np.sin(0.2 * (k - 15))), 0)[HEIGHT // 3 :]
    return tuple(np.vstack([p[: HEIGHT // 3], np.roll(thing, -d, 1)[:, :WIDTH]]) for p, d in zip(pair, (0, 20)))


def test_while_features_contradict_each_other_what_is_far_off_counts_less() -> None:
    """Oracle: the formula of the slide, beside an IMU as noisy as under rotors; the doubt that the back end hears of is the report of the frame before."""
    heard, doubt, usual = [], BackEnd.doubt, Config()
    noisy = dataclasses.replace(usual.backend, gyro_noise_scale=3.0, accel_noise_scale=12.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BackEnd, "doubt", lambda self, contradicted: (heard.append(contradicted), doubt(self, contradicted))[1])
        outputs = fly(45, with_a_thing_before_it, dataclasses.replace(usual, backend=noisy))
    reported = ["contradictions" in o.health.reasons for o in outputs]
    assert any(reported) and heard == [False, *reported[:-1]]
    trusting = fly(45, with_a_thing_before_it, dataclasses.replace(usual, backend=dataclasses.replace(noisy, cauchy_contradicted=1.0)))
    assert error(outputs) < 0.5 * error(trusting)


def test_a_jump_of_the_exposure_loses_no_feature() -> None:
    """Oracle: feature ids: a quarter of the light from one frame to the next, and back."""
    outputs = fly(30, lambda k, pair: tuple((p // 4).astype(np.uint8) for p in pair) if 15 <= k < 20 else pair)
    for k in (15, 20):
        before, after = ({*o.tracks.ids[o.tracks.status <= 1].tolist()} for o in outputs[k - 1 : k + 1])
        assert len(before & after) > 0.9 * len(before)
        assert "exposure_jump" in outputs[k].health.reasons
    assert error(outputs) < 0.01


def test_when_the_left_camera_goes_blind_the_right_one_leads() -> None:
    """Oracle: the formula of the slide; feature ids are never used twice."""
    outputs = fly(60, lambda k, pair: (BLACK, pair[1]) if k >= 20 else pair)
    assert outputs[22].health.state is HealthState.LOST
    assert all("right_leads" in o.health.reasons for o in outputs[24:])
    assert outputs[-1].health.state is HealthState.DEGRADED and outputs[-1].health.restarts == 1
    assert outputs[30].tracks.ids.min() > outputs[19].tracks.ids.max()
    assert error(outputs) < 0.05  # one camera, at 1 cm a pixel


def test_when_both_cameras_see_a_bare_wall_the_left_one_stays_in_the_lead() -> None:
    """Oracle: the contract: noise about any grey level is nothing to see."""
    rng = np.random.default_rng(0)
    bare = [np.clip(np.rint(rng.normal(100.5, 1.0, (HEIGHT, WIDTH))), 0, 255).astype(np.uint8) for _ in range(2)]
    outputs = fly(36, lambda k, pair: (bare[k % 2], bare[1 - k % 2]) if 20 <= k < 32 else pair)
    assert not any("right_leads" in o.health.reasons for o in outputs)
    assert outputs[30].health.state is HealthState.LOST


@pytest.mark.parametrize("other", [None, 16 + (np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.5).astype(np.uint8)])
def test_a_right_picture_that_is_missing_or_dark_is_reported_at_once(other: np.ndarray | None) -> None:
    """Oracle: the contract, and the formula of the slide; the dark picture is one of a real camera, which flickers by a grey level."""
    outputs = fly(50, lambda k, pair: (pair[0], other) if k >= 20 else pair)
    assert ["no_stereo" in o.health.reasons for o in outputs] == [k >= 20 for k in range(50)]
    assert error(outputs) < 0.02


def test_after_a_long_time_in_the_dark_the_window_is_opened_anew_in_place() -> None:
    """Oracle: continuity: the pose goes on from where the propagation was; the restart is counted and said."""
    config = dataclasses.replace(Config(), health=dataclasses.replace(Config().health, restart_after=1.0))
    outputs = fly(85, lambda k, pair: (BLACK, BLACK) if 20 <= k < 50 else pair, config)
    assert "restarted" in outputs[50].health.reasons and outputs[50].health.restarts == 1
    step = outputs[50].state.T_WB[:3, 3] - outputs[49].state.T_WB[:3, 3]
    assert np.linalg.norm(step) < 0.05 and all(finite(o) for o in outputs)
    assert outputs[-1].health.state is HealthState.GOOD


@pytest.mark.parametrize("what", ["v", "p", "R", "ba", "covariance"])
def test_a_state_that_is_no_number_is_replaced_and_counted(what: str) -> None:
    """Oracle: finiteness of every output after the window's newest keyframe was spoilt by hand; good in the end."""
    odometry, outputs = Odometry(RIG), []
    for k in range(70):
        if k == 20:
            back = odometry._back_end
            if what == "covariance":
                back._covariance[:] = np.nan
            else:
                getattr(back._window, what)[back._n - 1] = np.nan
        outputs.append(feed(odometry, k))
    assert all(finite(o) for o in outputs)
    assert outputs[-1].health.repairs + outputs[-1].health.restarts > 0
    assert {"repaired", "restarted"} & {reason for o in outputs[20:] for reason in o.health.reasons}
    assert outputs[-1].health.state is HealthState.GOOD


def test_a_matrix_is_made_positive_by_dropping_its_negative_eigenvalues() -> None:
    """Oracle: the nearest positive semi-definite matrix (Higham 1988) of a known eigendecomposition; a positive one is left as it is."""
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    values = np.array([5.0, 3.0, 1.0, 0.5, -0.1, -2.0])
    H, changed = guard.positive((Q * values) @ Q.T)
    assert changed
    np.testing.assert_allclose(H, (Q * np.maximum(values, 0.0)) @ Q.T, atol=1e-12)
    good = (Q * np.abs(values)) @ Q.T
    assert guard.positive(good)[0] is good
    assert guard.positive(np.full((2, 2), np.nan), np.eye(2))[0].tolist() == np.eye(2).tolist()


def test_frames_that_come_late_by_half_an_interval_are_no_gap_and_missing_ones_are() -> None:
    """Oracle: construction: frame 10 is missing."""
    odometry, said = Odometry(RIG), []
    for k in range(14):
        odometry.add_imu(*samples((k - 1) * FRAME_NS + IMU_NS if k else -200_000_000, k * FRAME_NS + IMU_NS))
        if k != 10:
            said.append("frame_gap" in odometry.add_frame(EPOCH + k * FRAME_NS + (FRAME_NS // 5 if k % 2 else 0), *pictures(k)).health.reasons)
    assert said == [k == 10 for k in range(13)]
