"""Preintegration against closed forms, finite differences and GTSAM."""

import numpy as np
import pytest
from tolerances import LOOSE, TIGHT
from vio.backend.preintegration import Preintegrated, corrected, integrate, integrate_span, predict, preintegrated
from vio.backend.residuals import gravity
from vio.events import Event, new_counts
from vio.io.simulator import stamps
from vio.lie import right_jacobian, skew, so3_exp, so3_log

from windows import ACCEL_VAR, GYRO_VAR, flight, rotations, span

B_G, B_A = np.array([0.01, -0.02, 0.03]), np.array([0.1, -0.1, 0.05])


def samples(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Random rates (n, 3) rad/s and specific forces (n, 3) m/s^2."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)), rng.normal(size=(n, 3)) + [0.0, 0.0, 9.81]


def run(w: np.ndarray, a: np.ndarray, dt: float, b_g: np.ndarray = B_G, b_a: np.ndarray = B_A, parts: int = 1) -> Preintegrated:
    """Preintegration of steps dt, each cut into `parts`."""
    pre = preintegrated(b_g, b_a)
    for wi, ai in zip(np.repeat(w, parts, 0), np.repeat(a, parts, 0), strict=True):
        integrate(pre, wi, ai, dt / parts, GYRO_VAR, ACCEL_VAR, new_counts())
    return pre


def gtsam_run(w: np.ndarray, a: np.ndarray, dt: float, parts: int):
    """GTSAM's preintegration of the same steps, each cut into `parts`."""
    gtsam = pytest.importorskip("gtsam", reason="GTSAM is the independent implementation; pip install gtsam")
    parameters = gtsam.PreintegrationParams.MakeSharedU(9.81)
    parameters.setGyroscopeCovariance(GYRO_VAR * np.eye(3))
    parameters.setAccelerometerCovariance(ACCEL_VAR * np.eye(3))
    parameters.setIntegrationCovariance(np.zeros((3, 3)))
    out = gtsam.PreintegratedImuMeasurements(parameters, gtsam.imuBias.ConstantBias(B_A, B_G))
    for wi, ai in zip(np.repeat(w, parts, 0), np.repeat(a, parts, 0), strict=True):
        out.integrateMeasurement(ai, wi, dt / parts)
    return out


def gtsam_limit(value, w: np.ndarray, a: np.ndarray, dt: float) -> np.ndarray:
    """`value` of GTSAM's result in the limit of short steps: it is of first order, so 2 f(h/2) - f(h) is of second (Richardson)."""
    return 2.0 * value(gtsam_run(w, a, dt, 40)) - value(gtsam_run(w, a, dt, 20))


def test_the_motion_equals_gtsam_in_the_limit_of_short_steps() -> None:
    """Oracle: GTSAM 4.x. With steps h = dt / 20 both sides err by about |w|^2 |a| T h^2 / 24, some 1e-8."""
    w, a = samples(0)
    pre = run(w, a, 0.005, parts=20)
    np.testing.assert_allclose(pre.dR, gtsam_limit(lambda g: g.deltaRij().matrix(), w, a, 0.005), atol=1e-7)
    np.testing.assert_allclose(pre.dp, gtsam_limit(lambda g: g.deltaPij(), w, a, 0.005), atol=1e-7)
    np.testing.assert_allclose(pre.dv, gtsam_limit(lambda g: g.deltaVij(), w, a, 0.005), atol=1e-7)


def test_the_covariance_equals_gtsam_in_the_limit_of_short_steps() -> None:
    """Oracle: GTSAM's covariance of (log dR, dp, dv), brought to ours: rows reordered, d(theta) = J_r(log dR) d(log dR)."""
    w, a = samples(1)
    pre = run(w, a, 0.005, parts=20)
    order, lift = [3, 4, 5, 0, 1, 2, 6, 7, 8], np.eye(9)
    lift[3:6, 3:6] = right_jacobian(so3_log(pre.dR))
    theirs = lift @ gtsam_limit(lambda g: g.preintMeasCov(), w, a, 0.005)[np.ix_(order, order)] @ lift.T
    sigma = np.sqrt(np.diag(pre.covariance))
    np.testing.assert_allclose(pre.covariance / np.outer(sigma, sigma), theirs / np.outer(sigma, sigma), atol=LOOSE)


def test_the_bias_jacobians_equal_gtsam_in_the_limit_of_short_steps() -> None:
    """Oracle: GTSAM's bias-corrected prediction, differentiated centrally with 1e-4 in each bias (its second order cancels)."""
    gtsam = pytest.importorskip("gtsam", reason="GTSAM is the independent implementation; pip install gtsam")
    w, a = samples(2)
    pre, h = run(w, a, 0.005, parts=20), 1e-4

    def derivative(g) -> np.ndarray:
        def delta(d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            end = g.predict(gtsam.NavState(), gtsam.imuBias.ConstantBias(B_A + d[3:], B_G + d[:3]))
            return end.position(), end.attitude().matrix(), end.velocity()

        columns = []
        for e in np.eye(6) * h:
            (p1, R1, v1), (p0, R0, v0) = delta(e), delta(-e)
            columns.append(np.concatenate([p1 - p0, so3_log(R0.T @ R1), v1 - v0]) / (2 * h))
        return np.column_stack(columns)

    np.testing.assert_allclose(pre.d_bias, gtsam_limit(derivative, w, a, 0.005), atol=1e-6)


def test_the_bias_jacobian_is_the_derivative_of_the_integration() -> None:
    """Oracle: central differences of integrating again with changed biases."""
    w, a = samples(3)
    pre, h = run(w, a, 0.005), 1e-5
    for k, e in enumerate(np.eye(6) * h):
        up, down = (run(w, a, 0.005, B_G + s * e[:3], B_A + s * e[3:]) for s in (1, -1))
        numeric = np.concatenate([up.dp - down.dp, so3_log(down.dR.T @ up.dR), up.dv - down.dv]) / (2 * h)
        np.testing.assert_allclose(pre.d_bias[:, k], numeric, atol=1e-8)


def test_the_correction_for_other_biases_errs_to_second_order() -> None:
    """Oracle: integrating again; ten times the change makes a hundred times the error."""
    w, a = samples(4)
    pre, d, errors = run(w, a, 0.005), np.array([1.0, -2.0, 1.0, 3.0, 2.0, -1.0]), []
    for size in (1e-4, 1e-3):
        again = run(w, a, 0.005, B_G + size * d[:3], B_A + size * d[3:])
        dp, dR, dv = corrected(pre, again.bias[:3], again.bias[3:])
        errors.append([np.abs(dp - again.dp).max(), np.abs(dR - again.dR).max(), np.abs(dv - again.dv).max()])
    np.testing.assert_allclose(np.divide(errors[1], errors[0]), 100.0, rtol=0.05)


def spiral(w: np.ndarray, a: np.ndarray, T: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dp, dR, dv) of constant rate w and constant specific force a in the body: integrals of Rodrigues' formula."""
    angle, hat = np.linalg.norm(w) * T, skew(w * T)
    J = np.eye(3) + (1 - np.cos(angle)) / angle**2 * hat + (angle - np.sin(angle)) / angle**3 * hat @ hat
    K = 0.5 * np.eye(3) + (angle - np.sin(angle)) / angle**3 * hat + (angle**2 / 2 + np.cos(angle) - 1) / angle**4 * hat @ hat
    return T * T * K @ a, so3_exp(w * T), T * J @ a


@pytest.mark.parametrize("rate", [0.02, 1.0, 6.0])
def test_a_spiral_is_integrated_within_the_error_of_the_midpoint_rule(rate: float) -> None:
    """Oracle: closed form. The midpoint rule errs in dv by T dt^2 |w|^2 |a| / 24; dp adds T dt^2 |w| |a| / 12 inside the steps."""
    w, a, T, n = rate * np.array([0.6, -0.48, 0.64]), np.array([1.0, 2.0, 9.0]), 0.5, 100
    dt, force = T / n, np.linalg.norm(a)
    pre = run(np.tile(w, (n, 1)), np.tile(a, (n, 1)), dt, np.zeros(3), np.zeros(3))
    dp, dR, dv = spiral(w, a, T)
    in_velocity = T * dt**2 * rate**2 * force / 24 + TIGHT
    np.testing.assert_allclose(pre.dR, dR, atol=TIGHT)
    assert np.linalg.norm(pre.dv - dv) <= in_velocity
    assert np.linalg.norm(pre.dp - dp) <= 0.5 * T * in_velocity + T * dt**2 * rate * force / 12 + TIGHT


def test_a_body_at_rest_stays_at_rest() -> None:
    """Oracle: rest: the prediction from specific force -g without rotation is the same pose, in any attitude."""
    R = so3_exp(np.array([0.4, -1.0, 2.0]))
    pre = run(np.zeros((200, 3)), np.tile(-R.T @ gravity(), (200, 1)), 0.005, np.zeros(3), np.zeros(3))
    R1, p1, v1 = predict(pre, R, np.ones(3), np.zeros(3), np.zeros(3), np.zeros(3), gravity())
    np.testing.assert_allclose(R1, R, atol=TIGHT)
    np.testing.assert_allclose(p1, 1.0, atol=TIGHT)
    np.testing.assert_allclose(v1, 0.0, atol=TIGHT)


def flown(rate: float, seconds: float = 2.0) -> np.ndarray:
    """Errors (position m, attitude rad, velocity m/s) of predicting the end of an analytic flight from its start."""
    imu = flight().at(stamps(0.0, 6.0, rate))
    ends = flight().at(np.array([1_003_000_000, 1_003_000_000 + round(seconds * 1e9)]))
    R = rotations(ends)
    pre = span(imu, ends.t_ns[0], ends.t_ns[1])
    R1, p1, v1 = predict(pre, R[0], ends.p_WB[0].copy(), ends.v_WB[0].copy(), np.zeros(3), np.zeros(3), gravity())
    return np.array([np.linalg.norm(p1 - ends.p_WB[1]), np.linalg.norm(so3_log(R1.T @ R[1])), np.linalg.norm(v1 - ends.v_WB[1])])


def test_an_analytic_flight_is_integrated_to_second_order_of_the_sampling_time() -> None:
    """Oracle: exact derivatives of a spline flight. Five times the rate leaves 1/25 of the error: 2 s at 1 kHz are good to 10 um."""
    slow, fast = flown(200.0), flown(1000.0)
    np.testing.assert_allclose(slow / fast, 25.0, rtol=0.1)
    assert (fast < 1e-5).all()


def test_two_spans_make_the_whole() -> None:
    """Oracle: composition of the two motions; the cut lies on a sample, so that the steps are the same."""
    imu = flight().at(stamps(0.0, 2.0, 200.0))
    first, second, whole = span(imu, 102_000_000, 500_000_000), span(imu, 500_000_000, 903_000_000), span(imu, 102_000_000, 903_000_000)
    dt = second.dt[0]
    np.testing.assert_allclose(first.dR @ second.dR, whole.dR, atol=TIGHT)
    np.testing.assert_allclose(first.dv + first.dR @ second.dv, whole.dv, atol=TIGHT)
    np.testing.assert_allclose(first.dp + dt * first.dv + first.dR @ second.dp, whole.dp, atol=TIGHT)
    np.testing.assert_allclose(whole.dt, 0.801, atol=TIGHT)


def test_a_span_beyond_the_samples_holds_the_nearest_one() -> None:
    """Oracle: integration of the held values by hand, before the first and after the last sample."""
    t, w, a = np.array([1_000_000_000], np.int64), np.array([[0.1, 0.2, -0.3]]), np.array([[1.0, 2.0, 9.0]])
    pre, counts = preintegrated(np.zeros(3), np.zeros(3)), new_counts()
    integrate_span(pre, t, w, a, 990_000_000, 1_010_000_000, GYRO_VAR, ACCEL_VAR, counts)
    by_hand = run(np.tile(w, (2, 1)), np.tile(a, (2, 1)), 0.01, np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(pre.dR, by_hand.dR, atol=TIGHT)
    np.testing.assert_allclose(pre.dp, by_hand.dp, atol=TIGHT)
    assert counts[Event.IMU_SAMPLE] == 2


def test_samples_are_interpolated_at_the_ends_of_a_span() -> None:
    """Oracle: a rate that grows linearly turns by its integral about one axis, wherever the span begins and ends."""
    t = np.arange(0, 100_000_001, 5_000_000, dtype=np.int64)
    w = np.column_stack([np.zeros((len(t), 2)), 10.0 * t * 1e-9])
    for begin, end in ((1_000_000, 98_000_000), (12_345_678, 13_000_000), (5_000_000, 10_000_000)):
        pre = preintegrated(np.zeros(3), np.zeros(3))
        integrate_span(pre, t, w, np.zeros_like(w), begin, end, GYRO_VAR, ACCEL_VAR, new_counts())
        np.testing.assert_allclose(so3_log(pre.dR), [0, 0, 5.0 * ((end * 1e-9) ** 2 - (begin * 1e-9) ** 2)], atol=TIGHT)


def test_the_covariance_is_that_of_many_noisy_runs() -> None:
    """Oracle: sample covariance of 2000 noisy integrations; its entries scatter by sqrt(2 / 2000) = 3 percent of the sigmas, five times that passes."""
    w, a = samples(5, 20)
    dt, rng = 0.005, np.random.default_rng(6)
    pre = run(w, a, dt)
    deviations = np.empty((2000, 9))
    for row in deviations:
        noise = rng.normal(size=(2, 20, 3)) * np.sqrt(np.array([GYRO_VAR, ACCEL_VAR]) / dt)[:, None, None]
        other = run(w + noise[0], a + noise[1], dt)
        row[:] = np.concatenate([other.dp - pre.dp, so3_log(pre.dR.T @ other.dR), other.dv - pre.dv])
    sigma = np.sqrt(np.diag(pre.covariance))
    np.testing.assert_allclose(np.cov(deviations.T) / np.outer(sigma, sigma), pre.covariance / np.outer(sigma, sigma), atol=0.15)
