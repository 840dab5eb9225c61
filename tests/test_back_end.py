"""The sliding window on exact feature tracks of a closed-form flight through a box room."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import chi2
from tolerances import LOOSE, TIGHT
from vio.backend import refinement
from vio.backend.back_end import BackEnd
from vio.backend.initialization import InitialState, _prior, initial_state
from vio.backend.preintegration import integrate_span
from vio.config import Config
from vio.events import Event, new_counts
from vio.io.simulator import measure, stamps
from vio.io.trajectory import Flight, Motion
from vio.lie import so3_exp, so3_log
from vio.types import NavState, Observations

from windows import ACCEL_VAR, CALIBRATION, GYRO_VAR, flight, room_points, rotations, seen_from

FRAME_NS = 50_000_000
KEYFRAME_EVERY = 4  # frames, so 0.2 s


class Course(NamedTuple):
    """Errors along a flight: position (n,) m, attitude (n,) rad, velocity (n,) m/s; the states; whether anything was rejected."""

    position: np.ndarray
    attitude: np.ndarray
    velocity: np.ndarray
    states: list[NavState]
    rejected: int
    solved: bool
    back_end: BackEnd
    counts: np.ndarray


class World(NamedTuple):
    """What is flown through, and how well it is measured."""

    flight: Flight
    rate: float = 200.0
    begin: float = 0.5
    seconds: float = 4.0
    stereo_until: float = 1e9
    pixel: float = 0.0
    bias: np.ndarray = np.zeros(6)
    points: int = 1500
    slide: float = 0.0  # px by which a track slides from keyframe to keyframe
    seed: int | None = None  # of the slides and of an IMU with the noise of its calibration


def observed(world: World, R: np.ndarray, p: np.ndarray, t_ns: int, points: np.ndarray, rng: np.random.Generator, right: bool) -> Observations:
    """What both cameras see of the points; ids are their rows."""
    left, visible = seen_from(R, p, 0, points)
    other, in_right = seen_from(R, p, 1, points)
    ids = np.flatnonzero(visible)
    noise = world.pixel / 458.0 * rng.normal(size=(2, len(ids), 2))
    has_right = in_right[ids] & right
    return Observations(t_ns, ids, left[ids] + noise[0], other[ids] + noise[1], has_right)


def slides(world: World, keyframes: int) -> np.ndarray:
    """Where each track has slid to at each keyframe, (keyframes, points, 2) on the normalised plane: steps that resemble the one before by 0.6."""
    rng = np.random.default_rng(world.seed or 0)
    steps = rng.normal(size=(keyframes, world.points, 2))
    for k in range(1, keyframes):
        steps[k] = 0.6 * steps[k - 1] + 0.8 * steps[k]
    return world.slide / 458.0 * np.cumsum(steps, axis=0)


def measured(world: World) -> tuple[Motion, np.ndarray]:
    """What the IMU measures, in place of the true rates and forces, and its biases (n, 6)."""
    exact = world.flight.at(stamps(world.flight.start, world.flight.end, world.rate))
    if world.seed is None:
        biases = np.tile(world.bias, (len(exact.t_ns), 1))
        return dataclasses.replace(exact, w_B=exact.w_B + biases[:, :3], a_B=exact.a_B + biases[:, 3:]), biases
    noisy = measure(exact, CALIBRATION.imu, world.seed, world.bias[:3], world.bias[3:])
    return dataclasses.replace(exact, w_B=noisy.w_B, a_B=noisy.a_B), np.hstack([noisy.b_g, noisy.b_a])


def exact_start(R: np.ndarray, still: bool, config: Config) -> InitialState:
    """The true attitude with the prior of a still or a moving start."""
    return InitialState(R, np.zeros(3), _prior(R, still, config.initial), "test")


def fly(world: World, initial: InitialState, config: Config | None = None) -> Course:
    """Drive a back end along the flight; W's origin is the first position."""
    rng, back_end, counts = np.random.default_rng(1), BackEnd(CALIBRATION, config or Config()), new_counts()
    points = room_points(np.random.default_rng(0), world.points)
    imu, _ = measured(world)
    truth: Motion = world.flight.at(np.arange(round(world.seconds * 20) + 1) * FRAME_NS + round(world.begin * 1e9))
    R, states, pre, rejected, solved = rotations(truth), [], None, 0, True
    slid = slides(world, len(truth.t_ns) // KEYFRAME_EVERY + 1)
    back_end.start(initial)
    for k, t in enumerate(truth.t_ns.tolist()):
        seen = observed(world, R[k], truth.p_WB[k], t, points, rng, k * FRAME_NS * 1e-9 <= world.stereo_until)
        for xy in (seen.xy_left, seen.xy_right):
            xy += slid[k // KEYFRAME_EVERY, seen.ids]
        state = None
        if pre is not None:
            integrate_span(pre, imu.t_ns, imu.w_B, imu.a_B, t - FRAME_NS, t, GYRO_VAR, ACCEL_VAR, counts)
            state = back_end.refine_frame(pre, seen, counts)
        if k % KEYFRAME_EVERY == 0:
            state = back_end.add_keyframe(seen, pre, state, counts)
            pre = back_end.preintegration()
            rejected += len(back_end.rejected_ids)
            solved &= back_end.solved
        states.append(state)
    T, v = np.array([s.T_WB for s in states]), np.array([s.v_WB for s in states])
    return Course(
        np.linalg.norm(T[:, :3, 3] - (truth.p_WB - truth.p_WB[0]), axis=1),
        np.array([np.linalg.norm(so3_log(a[:3, :3].T @ b)) for a, b in zip(T, R, strict=True)]),
        np.linalg.norm(v - truth.v_WB, axis=1), states, rejected, solved, back_end, counts,
    )


def attitude_at(world: World) -> np.ndarray:
    """True R_WB (3, 3) at the first frame."""
    return rotations(world.flight.at(np.array([round(world.begin * 1e9)])))[0]


STILL = World(flight(6.0, 1.0, 1.0), seconds=5.0)  # 0.5 s at rest, then it takes off
MOVING = World(flight(), seconds=3.0)
BIAS = np.array([0.01, -0.02, 0.01, 0.05, -0.05, 0.03])


def from_rest(**changes) -> Course:
    """The flight that begins at rest, with some of the world changed."""
    world = STILL._replace(**changes)
    return fly(world, exact_start(attitude_at(world), True, Config()))


def test_noiseless_data_gives_the_exact_flight() -> None:
    """Oracle: the spline flight. The only error is the inertial trapezoid's, dt^2 / 12 times derivatives of the motion: with five times
    the rate 1/25 of it is left, in position, attitude and velocity; 5 s and 16 marginalisations at 1 kHz stay within 10 um."""
    slow, fast = from_rest(), from_rest(rate=1000.0)
    for name in ("position", "attitude", "velocity"):
        assert getattr(fast, name).max() < 1e-5
        np.testing.assert_allclose(getattr(slow, name).max() / getattr(fast, name).max(), 25.0, rtol=0.1)
    assert fast.solved
    assert fast.rejected == 0
    assert fast.counts[Event.MARGINALIZATION] == 26 - Config().backend.window


def test_a_moving_start_finds_its_velocity_with_the_second_keyframe() -> None:
    """Oracle: the spline flight; the velocity prior is made so wide (1 km/s) that the zero it expects does not pull."""
    wide = dataclasses.replace(Config(), initial=dataclasses.replace(Config().initial, velocity_sigma_moving=1e3))
    world = MOVING._replace(rate=1000.0)
    course = fly(world, exact_start(attitude_at(world), False, wide), wide)
    assert course.velocity[0] > 0.5  # unknown at first
    assert max(course.velocity[KEYFRAME_EVERY:].max(), course.position.max(), course.attitude[KEYFRAME_EVERY:].max()) < 1e-5


def test_a_wrong_first_guess_is_forgotten() -> None:
    """Oracle: the spline flight; 3 degrees of tilt and all of the velocity are wrong at first. The prior's pull, (posterior / prior
    sigma)^2 of the error, is below a thousandth after two seconds."""
    R = attitude_at(MOVING)
    course = fly(MOVING, exact_start(so3_exp(np.array([0.05, 0.0, 0.0])) @ R, False, Config()))
    last = course.states[-1].T_WB[:3, :3]
    truth = rotations(MOVING.flight.at(np.array([course.states[-1].t_ns])))[0]
    assert np.linalg.norm(last.T @ [0, 0, 1] - truth.T @ [0, 0, 1]) < 1e-3
    speed = np.linalg.norm(MOVING.flight.at(np.array([course.states[-1].t_ns])).v_WB)
    assert abs(np.linalg.norm(course.states[-1].v_WB) - speed) < 2e-3


def test_one_camera_carries_on_after_a_stereo_start() -> None:
    """Oracle: the spline flight; scale then comes from the window and the accelerometer."""
    course = from_rest(rate=1000.0, stereo_until=1.0)
    assert course.solved
    assert max(course.position.max(), course.attitude.max(), course.velocity.max()) < 1e-5


def test_constant_biases_are_found() -> None:
    """Oracle: the biases added to the samples; tolerances are one standard deviation of what 5 s of flight can tell."""
    course = from_rest(rate=1000.0, bias=BIAS)
    b_g, b_a = course.back_end.biases
    sigma = np.sqrt(np.diag(course.states[-1].covariance))
    assert (np.abs(b_g - BIAS[:3]) < sigma[9:12]).all()
    assert (np.abs(b_a - BIAS[3:]) < sigma[12:]).all()
    assert course.position.max() < 0.01


def last_error(world: World, course: Course) -> tuple[NavState, np.ndarray]:
    """The last state and its error (15,) in the tangent order."""
    state = course.states[-1]
    truth, origin = world.flight.at(np.array([state.t_ns])), world.flight.at(np.array([round(world.begin * 1e9)]))
    imu, biases = measured(world)
    return state, np.concatenate([
        state.T_WB[:3, 3] - (truth.p_WB - origin.p_WB)[0], so3_log(rotations(truth)[0].T @ state.T_WB[:3, :3]),
        state.v_WB - truth.v_WB[0], np.concatenate([state.b_g, state.b_a]) - biases[np.searchsorted(imu.t_ns, state.t_ns)],
    ])  # fmt: skip


def test_errors_with_noise_agree_with_the_covariance() -> None:
    """Oracle: chi-square of 15 degrees of freedom: beyond 37.7 with a chance of 1/1000. The noise is the configured one."""
    world = STILL._replace(rate=1000.0, pixel=Config().backend.pixel_sigma)
    course = fly(world, exact_start(attitude_at(world), True, Config()))
    state, error = last_error(world, course)
    assert error @ np.linalg.solve(state.covariance, error) < 37.7
    assert course.position[-1] < 0.05


def test_a_frame_that_is_seen_knows_more_than_its_forecast() -> None:
    """Oracle: numpy: of P = A + C, C being known apart from the keyframe's pose, C becomes (C^-1 + V)^-1; nothing seen changes nothing, and a view
    of no more than two directions less than all of them."""
    rng, forecast = np.random.default_rng(4), refinement.new_forecast()
    roots = rng.normal(size=(2, 15, 15)) * np.repeat([1e-2, 1e-3, 1e-2, 1e-4, 1e-2], 3)[:, None]
    A, C = (B @ B.T for B in roots)
    forecast.covariance[:], forecast.given_pose[:] = A + C, C
    J, out, traces = 1e3 * rng.normal(size=(8, 6)), np.empty((15, 15)), []
    for rows in (0, 2, 8):
        V = J[:rows].T @ J[:rows]
        whole = np.zeros((15, 15))
        whole[:6, :6] = V
        refinement._inform(forecast, V, out)
        np.testing.assert_allclose(out, A + np.linalg.inv(np.linalg.inv(C) + whole), rtol=0, atol=1e-9 * np.abs(A + C).max())
        traces.append(np.trace(out[:9, :9]))
    assert traces[0] > traces[1] > traces[2]


def test_tracks_that_slide_leave_the_covariance_true() -> None:
    """Oracle: chi-square. Twelve flights whose tracks slide as they do in pictures, with a match in the right picture that goes along and an
    IMU of the calibrated noise: the mean of the last state's squared, normalised errors lies below the upper 99.9 % bound, in every part."""
    config = dataclasses.replace(Config(), backend=dataclasses.replace(Config().backend, gyro_noise_scale=1.0, accel_noise_scale=1.0))
    found = []
    for seed in range(12):
        world = STILL._replace(pixel=0.05, slide=config.backend.pixel_sigma, seed=seed, points=900)
        state, error = last_error(world, fly(world, exact_start(attitude_at(world), True, config), config))
        found.append([e @ np.linalg.solve(P, e) for e, P in ((error[i : i + 3], state.covariance[i : i + 3, i : i + 3]) for i in range(0, 15, 3))])
    assert (np.mean(found, axis=0) < chi2.ppf(0.999, 3 * 12) / 12).all()


def test_landmarks_are_the_points_of_the_room() -> None:
    """Oracle: the points that were projected."""
    course = from_rest(rate=1000.0, seconds=2.0)
    found = course.back_end.landmarks()
    origin = STILL.flight.at(np.array([round(STILL.begin * 1e9)])).p_WB[0]
    points = room_points(np.random.default_rng(0), STILL.points) - origin
    assert len(found.ids) > 100
    assert np.median(np.linalg.norm(found.p_WL - points[found.ids], axis=1)) < LOOSE
    assert (found.observations >= 1).all()


def test_a_false_match_is_rejected_and_named() -> None:
    """Oracle: construction: one feature jumps by 40 px in the newest keyframe; it alone is given up, and the state stays exact."""
    world, back_end = STILL._replace(begin=0.0), BackEnd(CALIBRATION, Config())
    points, rng = room_points(np.random.default_rng(0), 600), np.random.default_rng(0)
    truth = world.flight.at(np.array([0, 200_000_000]))
    R = rotations(truth)
    first, second = (observed(world, R[k], truth.p_WB[k], int(truth.t_ns[k]), points, rng, True) for k in range(2))
    second.xy_left[7] += 40.0 / 458.0
    back_end.start(exact_start(R[0], True, Config()))
    state = back_end.add_keyframe(first, None, None, new_counts())
    pre, imu = back_end.preintegration(), world.flight.at(stamps(0.0, 1.0, 200.0))
    integrate_span(pre, imu.t_ns, imu.w_B, imu.a_B, 0, 200_000_000, GYRO_VAR, ACCEL_VAR, new_counts())
    state = back_end.refine_frame(pre, second, new_counts())
    state = back_end.add_keyframe(second, pre, state, new_counts())
    assert back_end.rejected_ids.tolist() == [second.ids[7]]
    assert np.linalg.norm(state.T_WB[:3, 3]) < 1e-3


def test_two_runs_give_the_same_bits() -> None:
    """Oracle: itself; no entry of state or covariance differs."""
    one, two = (from_rest(seconds=3.0, pixel=0.3) for _ in range(2))
    for a, b in zip(one.states, two.states, strict=True):
        for name in ("T_WB", "v_WB", "b_g", "b_a", "covariance"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()


def test_without_features_the_motion_is_the_inertial_one() -> None:
    """Oracle: rest: keyframes without a single observation stay where they are, finite and solved."""
    course = from_rest(points=0, begin=0.0, seconds=0.9)
    assert course.solved
    assert course.position.max() < LOOSE
    assert all(np.isfinite(s.covariance).all() for s in course.states)


def test_covariances_are_symmetric_and_positive() -> None:
    """Oracle: eigenvalues of every state's covariance, scaled to a unit diagonal."""
    for state in from_rest(seconds=3.0).states:
        s = np.sqrt(np.diag(state.covariance))
        np.testing.assert_allclose(state.covariance, state.covariance.T, atol=TIGHT)
        assert np.linalg.eigvalsh(state.covariance / np.outer(s, s)).min() > -TIGHT


def test_a_rig_at_rest_starts_upright_with_its_gyro_bias() -> None:
    """Oracle: closed form: specific force is -g, the rate is the bias; up to yaw the attitude is the true one."""
    R = so3_exp(np.array([0.3, -0.9, 2.0]))
    t, n = np.arange(50, dtype=np.int64) * 5_000_000, 50
    initial = initial_state(t, np.tile(BIAS[:3], (n, 1)), np.tile(R.T @ [0, 0, 9.81], (n, 1)), int(t[-1]), Config().initial)
    assert initial.how == "standstill"
    np.testing.assert_allclose(initial.b_g, BIAS[:3], atol=TIGHT)
    np.testing.assert_allclose(initial.R_WB.T @ [0, 0, 1], R.T @ [0, 0, 1], atol=TIGHT)
    np.testing.assert_allclose(initial.R_WB.T @ initial.R_WB, np.eye(3), atol=TIGHT)


def test_a_moving_rig_starts_with_a_tilt_within_its_prior() -> None:
    """Oracle: the spline flight; accelerating by a leans gravity by atan(a / g), which the prior's sigma allows for."""
    imu = MOVING.flight.at(stamps(0.0, 1.0, 200.0))
    initial = initial_state(imu.t_ns, imu.w_B, imu.a_B, int(imu.t_ns[-1]), Config().initial)
    R = rotations(imu)[-1]
    assert initial.how == "motion"
    assert np.linalg.norm(initial.R_WB.T @ [0, 0, 1] - R.T @ [0, 0, 1]) < Config().initial.tilt_sigma_moving


def test_an_inclination_guessed_wrong_in_motion_is_put_right_by_the_next_keyframes() -> None:
    """Oracle: the closed-form flight: from 35 degrees off to less than two at the third keyframe, the first that tells speed from inclination, and to a twentieth from the fourth."""
    R, config = attitude_at(MOVING), Config()
    wrong = R @ so3_exp(R.T @ np.array([0.5, -0.35, 0.0]))
    course = fly(MOVING, InitialState(wrong, np.zeros(3), _prior(wrong, False, config.initial), "motion"))
    truth = rotations(MOVING.flight.at(np.arange(len(course.states)) * FRAME_NS + round(MOVING.begin * 1e9)))
    off = [np.arccos(min(float(s.T_WB[2, :3] @ b[2]), 1.0)) for s, b in zip(course.states, truth, strict=True)]
    assert off[0] > 0.6 and max(off[2 * KEYFRAME_EVERY :]) < 0.035 and max(off[3 * KEYFRAME_EVERY :]) < 1e-3
    assert course.solved and not course.back_end.hurries(1.0)


@pytest.mark.parametrize("force", [[0.0, 0.0, 0.0], [9.81, 0.0, 0.0], [0.0, 0.0, -9.81]])
def test_any_first_sample_gives_a_rotation(force: list[float]) -> None:
    """Oracle: orthonormality, for free fall, for the IMU on its side and upside down."""
    initial = initial_state(np.array([0]), np.zeros((1, 3)), np.array([force]), 0, Config().initial)
    np.testing.assert_allclose(initial.R_WB @ initial.R_WB.T, np.eye(3), atol=TIGHT)
    np.testing.assert_allclose(np.linalg.det(initial.R_WB), 1.0, atol=TIGHT)
