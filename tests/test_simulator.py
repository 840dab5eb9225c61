"""Flights and inertial data against closed forms, finite differences and integration."""

import numpy as np
import pytest
from tolerances import EXACT, LOOSE, TIGHT

from vio import lie
from vio.calibration import ImuNoise
from vio.io.simulator import ImuFaults, measure, measured_pieces, simulate_flight, stamps
from vio.io.trajectory import GRAVITY_W, Channel, Harmonics, from_harmonics, path_length, through_poses

_LIVELY = Harmonics(
    rest=0.5,
    ramp=1.0,
    x=Channel(0.0, 0.0, ((1.0, 0.2, 0.0),)),
    y=Channel(0.0, 0.0, ((0.7, 0.3, 90.0),)),
    z=Channel(1.0, 0.05, ((0.3, 0.4, 20.0),)),
    yaw=Channel(0.0, 30.0, ((20.0, 0.5, 0.0),)),
    pitch=Channel(0.0, 0.0, ((25.0, 0.4, 0.0),)),
    roll=Channel(0.0, 0.0, ((30.0, 0.3, 0.0),)),
)
_NOISE = ImuNoise(1.7e-4, 2e-5, 2e-3, 3e-3, 200.0)


def test_a_circle_flown_at_constant_rate_has_the_kinematics_of_the_formula() -> None:
    """Oracle: closed form: radius 1 m at 1 rad/s, looking along the tangent: v = 1, centripetal 1 m/s^2 to the left, yaw rate 1."""
    hz = 1.0 / (2.0 * np.pi)
    circle = Harmonics(0.0, 0.0, Channel(waves=((1.0, hz, 90.0),)), Channel(waves=((1.0, hz, 0.0),)), yaw=Channel(90.0, np.degrees(1.0)))
    motion = simulate_flight(from_harmonics(circle, 1.0, 5.0))
    t = motion.t_ns * 1e-9
    np.testing.assert_allclose(motion.p_WB[:, :2], np.column_stack([np.cos(t), np.sin(t)]), atol=LOOSE)
    np.testing.assert_allclose(motion.v_WB[:, :2], np.column_stack([-np.sin(t), np.cos(t)]), atol=LOOSE)
    # x_B is up, y_B right, z_B forward
    np.testing.assert_allclose(motion.w_B, np.tile([1.0, 0.0, 0.0], (len(t), 1)), atol=LOOSE)
    np.testing.assert_allclose(motion.a_B, np.tile([9.81, -1.0, 0.0], (len(t), 1)), atol=LOOSE)


def test_at_rest_the_perfect_imu_reads_gravity_alone() -> None:
    """Oracle: closed form: before take-off x_B points up, so that a_B = (9.81, 0, 0) and w_B = 0."""
    motion = from_harmonics(_LIVELY, -1.0, 2.0).at(stamps(-1.0, 0.3, 200.0))
    np.testing.assert_allclose(motion.w_B, 0.0, atol=TIGHT)
    np.testing.assert_allclose(np.linalg.norm(motion.a_B, axis=1), 9.81, atol=TIGHT)
    np.testing.assert_allclose(motion.v_WB, 0.0, atol=TIGHT)


def test_velocity_and_angular_rate_are_the_derivatives_of_the_pose() -> None:
    """Oracle: central differences over 2 ms of positions and of rotation matrices."""
    flight = from_harmonics(_LIVELY, 0.0, 6.0)
    t_ns = stamps(0.1, 5.9, 50.0)
    before, here, after = (flight.at(t_ns + shift) for shift in (-1_000_000, 0, 1_000_000))
    np.testing.assert_allclose((after.p_WB - before.p_WB) / 0.002, here.v_WB, atol=LOOSE)
    for q_before, q_after, w_B in zip(before.q_WB, after.q_WB, here.w_B):
        turn = lie.so3_log(lie.matrix_from_quat(q_before).T @ lie.matrix_from_quat(q_after))
        np.testing.assert_allclose(turn / 0.002, w_B, atol=LOOSE)


def test_integrating_the_perfect_imu_gives_the_flight_back() -> None:
    """Oracle: strapdown integration with the rate and force of each interval's middle, over 6 s with all axes in motion."""
    flight = from_harmonics(_LIVELY, 0.0, 6.0)
    edges, dt = stamps(0.0, 6.0, 1000.0), 1e-3
    middle, truth = flight.at(edges[:-1] + 500_000), flight.at(edges)
    R, v, p = lie.matrix_from_quat(truth.q_WB[0]), truth.v_WB[0].copy(), truth.p_WB[0].copy()
    for w_B, a_B in zip(middle.w_B, middle.a_B):
        a_W = R @ lie.so3_exp(0.5 * dt * w_B) @ a_B + GRAVITY_W
        p += v * dt + 0.5 * a_W * dt**2
        v += a_W * dt
        R = R @ lie.so3_exp(dt * w_B)
    np.testing.assert_allclose(p, truth.p_WB[-1], atol=LOOSE)
    np.testing.assert_allclose(v, truth.v_WB[-1], atol=LOOSE)
    np.testing.assert_allclose(R, lie.matrix_from_quat(truth.q_WB[-1]), atol=LOOSE)


def test_the_flight_through_recorded_poses_passes_through_them() -> None:
    """Oracle: the flight that the poses were taken from; signs of the quaternions are arbitrary."""
    motion = simulate_flight(from_harmonics(_LIVELY, 0.0, 6.0, 5_000_000_000))
    signs = np.where(np.arange(len(motion.t_ns)) % 3 == 0, -1.0, 1.0)[:, None]
    again = through_poses(motion.t_ns, motion.p_WB, motion.q_WB * signs).at(motion.t_ns[5:-5])
    np.testing.assert_allclose(again.p_WB, motion.p_WB[5:-5], atol=LOOSE)
    np.testing.assert_allclose(np.abs(np.sum(again.q_WB * motion.q_WB[5:-5], axis=1)), 1.0, atol=TIGHT)
    np.testing.assert_allclose(again.w_B, motion.w_B[5:-5], atol=10 * LOOSE)


def test_a_gap_in_recorded_poses_is_refused() -> None:
    """Oracle: the contract of `through_poses`: a spline would invent a motion there."""
    motion = simulate_flight(from_harmonics(_LIVELY, 0.0, 3.0))
    keep = np.r_[0:200, 260 : len(motion.t_ns)]
    with pytest.raises(ValueError, match="gap"):
        through_poses(motion.t_ns[keep], motion.p_WB[keep], motion.q_WB[keep])


def test_a_flight_is_not_extrapolated() -> None:
    """Oracle: the contract of `Flight.at`."""
    with pytest.raises(ValueError, match="lasts from"):
        from_harmonics(_LIVELY, 0.0, 1.0).at(np.array([1_100_000_000]))


def test_noise_and_walk_have_the_deviations_of_their_densities() -> None:
    """Oracle: closed form: density sqrt(rate) for a sample, density sqrt(dt) for a step, at 4 standard errors of 3 x 20000 draws."""
    rest = simulate_flight(from_harmonics(Harmonics(1e9), 0.0, 100.0))
    imu = measure(rest, _NOISE, 3, np.array([0.1, 0.2, 0.3]), np.array([-1.0, 0.0, 1.0]))
    root, error = np.sqrt(200.0), 4.0 / np.sqrt(2 * 3 * len(rest.t_ns))
    assert np.std(imu.w_B - rest.w_B - imu.b_g) == pytest.approx(1.7e-4 * root, rel=error)
    assert np.std(imu.a_B - rest.a_B - imu.b_a) == pytest.approx(2e-3 * root, rel=error)
    assert np.std(np.diff(imu.b_g, axis=0)) == pytest.approx(2e-5 / root, rel=error)
    assert np.std(np.diff(imu.b_a, axis=0)) == pytest.approx(3e-3 / root, rel=error)
    np.testing.assert_allclose(imu.b_g[0], [0.1, 0.2, 0.3], atol=EXACT)
    np.testing.assert_allclose(imu.b_a[0], [-1.0, 0.0, 1.0], atol=EXACT)


def test_the_same_seed_gives_the_same_noise_and_another_seed_another() -> None:
    """Oracle: equality."""
    motion = simulate_flight(from_harmonics(_LIVELY, 0.0, 2.0))
    a, b, c = (measure(motion, _NOISE, seed, np.zeros(3), np.zeros(3)).w_B for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.any(a == c)


def test_measurements_made_in_pieces_are_those_made_at_once_to_the_last_bit() -> None:
    """Oracle: the single piece; 601 samples in pieces of 100 end with one of a single sample."""
    flight = from_harmonics(_LIVELY, 0.0, 3.0)
    t_ns = stamps(0.0, 3.0, 200.0)
    whole = measure(flight.at(t_ns), _NOISE, 5, np.array([0.1, 0.2, 0.3]), np.ones(3))
    pieces = [inertial for _, inertial in measured_pieces(flight, t_ns, _NOISE, 5, np.array([0.1, 0.2, 0.3]), np.ones(3), piece=100)]
    assert len(pieces) == 7
    for name in ("t_ns", "w_B", "a_B", "b_g", "b_a"):
        assert np.array_equal(np.concatenate([getattr(piece, name) for piece in pieces]), getattr(whole, name)), name


def test_scale_and_misalignment_multiply_the_motion_but_not_the_bias() -> None:
    """Oracle: closed form M w + b with M written out, without noise."""
    motion = simulate_flight(from_harmonics(_LIVELY, 0.0, 2.0))
    M = np.array([[1.01, 0.0, 0.0], [0.002, 0.98, 0.0], [-0.003, 0.004, 1.0]])
    imu = measure(motion, ImuNoise(0.0, 0.0, 0.0, 0.0, 200.0), 1, np.full(3, 0.5), np.zeros(3), ImuFaults(M, np.eye(3), np.inf, np.inf))
    np.testing.assert_allclose(imu.w_B[:, 0], 1.01 * motion.w_B[:, 0] + 0.5, atol=TIGHT)
    np.testing.assert_allclose(imu.w_B[:, 2], -0.003 * motion.w_B[:, 0] + 0.004 * motion.w_B[:, 1] + motion.w_B[:, 2] + 0.5, atol=TIGHT)
    assert np.array_equal(imu.a_B, motion.a_B)


def test_what_exceeds_the_range_is_cut_off_after_bias_and_noise() -> None:
    """Oracle: the measurement without a range, clipped."""
    motion = simulate_flight(from_harmonics(_LIVELY, 0.0, 4.0))
    free = measure(motion, _NOISE, 2, np.full(3, 0.2), np.zeros(3))
    held = measure(motion, _NOISE, 2, np.full(3, 0.2), np.zeros(3), ImuFaults(np.eye(3), np.eye(3), 0.5, 9.9))
    assert np.array_equal(held.w_B, np.clip(free.w_B, -0.5, 0.5)) and np.abs(free.w_B).max() > 0.5
    assert np.array_equal(held.a_B, np.clip(free.a_B, -9.9, 9.9)) and np.abs(free.a_B).max() > 9.9


def test_stamps_do_not_drift_at_a_rate_whose_period_is_no_whole_nanosecond() -> None:
    """Oracle: closed form: 30 Hz for 1000 s ends on the second."""
    t_ns = stamps(0.0, 1000.0, 30.0, 7)
    assert len(t_ns) == 30001
    assert t_ns[-1] == 7 + 1000 * 10**9
    assert np.ptp(np.diff(t_ns)) <= 1


def test_path_length_of_a_square_is_its_circumference() -> None:
    """Oracle: closed form."""
    assert path_length(np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [0, 0, 0]], float)) == pytest.approx(8.0, abs=TIGHT)
