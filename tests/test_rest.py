"""Zero-velocity update: its factor, when the rig counts as resting, and what that does to a flight."""

import dataclasses

import numpy as np
import pytest
from test_residuals import close, differences
from tolerances import TIGHT
from vio.backend import solver
from vio.backend.online_calibration import OnlineCalibration
from vio.backend.prior import Prior
from vio.backend.rest import Rest, rest_cost, rest_jacobian, rest_normal, rest_residual, rest_row
from vio.backend.standstill import Features, Standstill, shift_between
from vio.calibration import Calibration
from vio.config import Config, override
from vio.io.sequence import open_sequence
from vio.lie import so3_exp
from vio.odometry import Odometry
from vio.runner import RunOptions, run
from vio.types import FrameOutput, HealthState

from test_odometry import CAMERA, DEPTH, EPOCH, FOCAL, FRAME_NS, HEIGHT, IMU_NS, RIG, WIDTH, wall
from windows import NOTHING, noisy_window
from windows import RIG as rig

cv2 = pytest.importorskip("cv2", reason="OpenCV shifts the synthetic pictures by fractions of a pixel")
MEANS = Rest(2.0, np.array([0.01, -0.02, 0.03]), np.array([0.3, -0.2, 9.7]))


def resting(seed: int = 3):
    """A window whose keyframe 1 rests."""
    w, _ = noisy_window(seed, 3, 4, state_sigma=0.05)
    w.rest[1] = rest_row(MEANS, 0.01, 1.7e-4**2, 2e-3**2)
    return w


def test_the_jacobian_equals_finite_differences() -> None:
    """Oracle: central differences of the residual by all fifteen directions of the state."""
    w = resting()

    def moved(d: np.ndarray) -> np.ndarray:
        out = w._replace(R=w.R.copy(), v=w.v.copy(), bg=w.bg.copy(), ba=w.ba.copy())
        out.R[1] = w.R[1] @ so3_exp(d[3:6].copy())
        for array, part in ((out.v, d[6:9]), (out.bg, d[9:12]), (out.ba, d[12:15])):
            array[1] += part
        return rest_residual(out, 1)

    close(rest_jacobian(w, 1), differences(moved, 15))


def test_normal_equations_and_cost_equal_their_slow_twin() -> None:
    """Oracle: numpy: residual straight from its definition, information as variances of means, J^T W J, J^T W r, r^T W r / 2."""
    w = resting()
    r = np.concatenate([w.v[1], w.bg[1] - MEANS.w_B, w.ba[1] + w.R[1].T @ [0, 0, 9.81] - MEANS.a_B])
    W = np.diag(np.repeat([0.01**-2, 1 / (1.7e-4**2 / 2 + 1e-4**2), 1 / (2e-3**2 / 2 + 2e-3**2)], 3))
    J = rest_jacobian(w, 1)
    H, g = rest_normal(w, 1)
    np.testing.assert_allclose(rest_residual(w, 1), r, atol=TIGHT)
    np.testing.assert_allclose(H, J.T @ W @ J, rtol=TIGHT)
    np.testing.assert_allclose(g, J.T @ W @ r, rtol=TIGHT, atol=TIGHT * np.abs(g).max())
    assert rest_cost(w, 1) == pytest.approx(0.5 * r @ W @ r, rel=TIGHT)


def test_a_turn_about_gravity_stays_unknown() -> None:
    """Oracle: physics: at rest nothing tells the heading."""
    w = resting()
    w.v_lin[1] = 0.0
    yaw = np.concatenate([np.zeros(3), w.R_lin[1].T @ [0, 0, 1.0], np.zeros(9)])
    assert np.abs(rest_jacobian(w, 1) @ yaw).max() < TIGHT


def test_the_window_takes_the_factor_in() -> None:
    """Oracle: the objective with and without it differ by its cost; the windows' row moves along with the keyframe."""
    from vio.backend import window

    w, f = noisy_window(3, 3, 4)
    prior, scratch = Prior(np.eye(15), np.zeros(15)), solver.new_scratch(3, 4)
    problem = (w, rig, OnlineCalibration(rig, NOTHING, 3).unknowns, f, prior, 1, 3, 1.5, scratch)
    bare = solver.total_cost(*problem)
    w.rest[1] = rest_row(MEANS, 0.01, 1e-8, 1e-6)
    assert solver.total_cost(*problem) - bare == pytest.approx(rest_cost(w, 1), rel=1e-6)
    row = w.rest[1].copy()
    window.drop_oldest(w, 3)
    np.testing.assert_array_equal(w.rest[0], row)
    assert not w.rest[1:].any()


def features(xy: np.ndarray, t_ns: int = 0) -> Features:
    """All points with their row as id."""
    return Features(np.full(len(xy), t_ns), np.arange(len(xy)), xy)


GRID = np.array([[x, y] for x in np.linspace(-300, 300, 9) for y in np.linspace(-200, 200, 7)])


@pytest.mark.parametrize(("moved", "shift"), [
    (GRID + [0.3, 0.4], 0.5), (GRID * 1.001, 0.3), (GRID @ np.array([[1.0, 1e-3], [-1e-3, 1.0]]), 0.3), (GRID, 0.0),
], ids=["translation", "growth", "roll", "nothing"])  # fmt: skip
def test_the_shift_of_a_picture_has_closed_forms(moved: np.ndarray, shift: float) -> None:
    """Oracle: length of the translation; growth or roll of 1/1000 at 300 px from the middle. A few points that go their own way do not count."""
    own_way = moved.copy()
    own_way[::9] += [7.0, -3.0]
    for xy in (moved, own_way):
        assert shift_between(features(GRID), features(xy), 15) == pytest.approx(shift, abs=1e-9 if xy is moved else 0.05)


def test_too_few_common_features_say_nothing() -> None:
    """Oracle: the contract: infinite."""
    assert shift_between(features(GRID[:20]), features(GRID[:14]), 15) == np.inf


def watched(speed: float, tremble: float, noise: float, seconds: float = 2.0, is_mono: bool = False) -> list[bool]:
    """Verdicts over features that glide at `speed` px/s with `noise` px, and samples that tremble by so many m/s^2."""
    rng, watch, out = np.random.default_rng(5), Standstill(Config(), 1.0, is_mono), []
    for k in range(round(seconds * 20)):
        t = (k - 1) * FRAME_NS + IMU_NS * np.arange(1, 11)
        force = np.array([0.0, 0.0, 9.81]) + tremble * rng.normal(size=(10, 3))
        watch.feed(t, 1e-3 * rng.normal(size=(10, 3)), force, k * FRAME_NS)
        xy = GRID + [speed * k / 20, 0.0] + noise * rng.normal(size=GRID.shape)
        out.append(watch.see(k * FRAME_NS, np.arange(len(GRID)), xy))
    return out


def test_rest_is_seen_after_the_span_and_neither_a_slow_glide_nor_a_tremble_is_rest() -> None:
    """Oracle: construction: half a second of both; 1 px/s is more than the 0.2 px in half a second that may pass."""
    still = watched(0.0, 0.02, 0.15)
    assert not any(still[:10])
    assert all(still[12:])
    assert not any(watched(1.0, 0.02, 0.15))
    assert not any(watched(0.0, 0.5, 0.15))


def test_one_camera_lets_rotors_tremble_at_rest_but_not_the_picture_move() -> None:
    """Oracle: construction: 0.5 m/s^2 of tremble is twice the usual limit and a third of the mono one."""
    assert all(watched(0.0, 0.5, 0.15, is_mono=True)[12:])
    assert not any(watched(1.0, 0.02, 0.15, is_mono=True))


def distance(t: np.ndarray | float) -> np.ndarray:
    """Metres to the right: 0.3 m in the first 2 s, smoothly; then ten seconds of rest; then another 0.3 m in 2 s."""
    ramp = [np.clip((np.asarray(t) - begin) / 2.0, 0.0, 1.0) for begin in (0.5, 13.0)]
    return 0.3 * sum(u**3 * (10 - 15 * u + 6 * u * u) for u in ramp)


def force(t: np.ndarray) -> np.ndarray:
    """Second derivative of `distance`, m/s^2."""
    ramp = [np.clip((t - begin) / 2.0, 0.0, 1.0) for begin in (0.5, 13.0)]
    return 0.3 / 4.0 * sum(60 * u - 180 * u**2 + 120 * u**3 for u in ramp)


def stop_and_go(glide: float = 0.0, frames: int = 310, rig: Calibration = RIG, tremble: float = 0.0) -> tuple[list[FrameOutput], np.ndarray]:
    """A rig before a wall at 2 m that moves, rests for ten seconds (or glides on at m/s) and moves on: outputs, true way (n,) m. Noise as of a real rig.

    tremble: m/s^2 by which the rig is shaken for the first quarter of every second after the fourth.
    """
    rng, odometry, outputs, k = np.random.default_rng(7), Odometry(rig), [], 0
    true = np.array([float(distance(k / 20)) + glide * k / 20 for k in range(frames)])
    for k in range(frames):
        t = (k - 1) * FRAME_NS + IMU_NS + np.arange(0, FRAME_NS, IMU_NS, dtype=np.int64) if k else np.arange(-200_000_000, IMU_NS, IMU_NS)
        a = np.column_stack([np.zeros(len(t)), -force(t * 1e-9), np.full(len(t), 9.81)]) + [0.05, -0.03, 0.04] + 0.028 * rng.normal(size=(len(t), 3))
        a += tremble * ((t >= 4_000_000_000) & (t % 1_000_000_000 < 250_000_000))[:, None] * (-1.0) ** np.arange(len(t))[:, None]
        odometry.add_imu(EPOCH + t, [0.002, -0.001, 0.003] + 0.0024 * rng.normal(size=(len(t), 3)), a)
        shift = 20.0 + FOCAL / DEPTH * true[k]
        views = [cv2.warpAffine(wall(), np.array([[1.0, 0.0, -shift - d], [0.0, 1.0, 0.0]]), (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR) for d in (0.0, 10.0)]
        noisy = [np.clip(np.rint(view + 2.0 * rng.normal(size=view.shape)), 0, 255).astype(np.uint8) for view in views]
        outputs.append(odometry.add_frame(EPOCH + k * FRAME_NS, *noisy[: 1 if rig.right is None else 2]))
    return outputs, true


def positions(outputs: list[FrameOutput]) -> np.ndarray:
    """p_WB (n, 3)."""
    return np.array([o.state.T_WB[:3, 3] for o in outputs])


def test_a_standstill_of_ten_seconds_drifts_less_than_two_millimetres_and_the_flight_goes_on() -> None:
    """Oracle: rest: from a second after the stop to the next start; then the true way, from a rig that knows its biases."""
    outputs, true = stop_and_go()
    p = positions(outputs)
    still = p[80:258]
    assert np.linalg.norm(still - still[0], axis=1).max() < 2e-3
    assert max(np.linalg.norm(o.state.v_WB) for o in outputs[80:258]) < 5e-3
    assert abs(np.linalg.norm(p[-1] - p[250]) - (true[-1] - true[250])) < 5e-3
    assert abs(outputs[250].state.b_g - [0.002, -0.001, 0.003]).max() < 5e-4
    assert all(not o.is_keyframe for o in outputs[100:255])


def test_one_camera_keeps_its_depths_while_a_tremble_keeps_rest_from_being_believed() -> None:
    """Oracle: construction: no picture of one place, of which ten seconds hold thirty, pushes those of the motion out of the window."""
    outputs, true = stop_and_go(rig=dataclasses.replace(RIG, right=None, T_BR=None), tremble=3.0)
    p = positions(outputs)
    assert [k for k, o in enumerate(outputs[100:255]) if o.is_keyframe] == []
    assert all(o.health.state is HealthState.GOOD for o in outputs[100:])
    assert np.linalg.norm(p[100:255] - p[100], axis=1).max() < 5e-3
    assert abs(np.linalg.norm(p[-1] - p[250]) - (true[-1] - true[250])) < 0.01


def test_a_slow_glide_is_not_held() -> None:
    """Oracle: the true way: 1 cm/s is 1 px/s here, and moves on."""
    outputs, true = stop_and_go(glide=0.01, frames=200)
    p = positions(outputs)
    assert abs(np.linalg.norm(p[190] - p[90]) - (true[190] - true[90])) < 5e-3


def test_a_rendered_standing_start_stays_where_it_is() -> None:
    """Oracle: eleven seconds of rest in a render with the noise of pictures and samples; the first second is for settling."""
    result = run(open_sequence("standing-small"), Config(), RunOptions(max_frames=200))
    p = result.trajectory.p_WB
    assert np.linalg.norm(p[20:] - p[20], axis=1).max() < 2e-3


def test_flights_without_rest_are_the_same_bits_without_it() -> None:
    """Oracle: the same run with the update switched off."""
    sequence = open_sequence("room-small")
    one, two = (run(sequence, override(Config(), [f"rest.enabled={on}"]), RunOptions(max_frames=40)) for on in ("true", "false"))
    assert one.trajectory.p_WB.tobytes() == two.trajectory.p_WB.tobytes()
    assert one.covariance.tobytes() == two.covariance.tobytes()
    assert CAMERA.width == WIDTH
