"""Time offset and mount of the cameras, estimated in flight: Jacobians, border, prior, convergence, and silence where nothing is to be learnt."""

import dataclasses

import numpy as np
import pytest
from test_linear_system import whole
from test_marginalization import N, ROWS, dense, gauge, learnt, no_prior, wander
from test_residuals import close, differences
from tolerances import TIGHT
from vio.backend import landmarks, marginalization, solver, unknowns, window
from vio.backend.back_end import BackEnd, _make_rig
from vio.backend.dense import bordered
from vio.backend.linear_system import layout
from vio.backend.online_calibration import Instant, OnlineCalibration, forget
from vio.backend.preintegration import integrate_span
from vio.backend.prior import Prior
from vio.backend.solver import Solver
from vio.backend.unknowns import advance, directions
from vio.backend.views import relate
from vio.config import Config, OnlineConfig, override
from vio.events import new_counts
from vio.io.faults.registry import corrupted
from vio.io.sequence import open_sequence
from vio.io.simulator import stamps
from vio.io.trajectory import Channel, Harmonics, from_harmonics
from vio.lie import inverse, pose, skew, so3_exp, so3_log
from vio.runner import RunOptions, run

from test_back_end import exact_start, observed, World
from windows import ACCEL_VAR, CALIBRATION, GYRO_VAR, flight, jacobian, noisy_window, room_points, rotations

BOTH = OnlineConfig(time_offset=True, mount=True, dead_zone=0.0)  # applied from the first keyframe on
CLOCK = OnlineConfig(time_offset=True, dead_zone=0.0)
CAUCHY = 1.5
RATE = np.random.default_rng(0).normal(size=(N, 3))


def online_of(config: OnlineConfig = BOTH, keyframes: int = N) -> OnlineCalibration:
    """At the calibration, on a rig of its own; every keyframe turns."""
    online = OnlineCalibration(_make_rig(CALIBRATION, Config()), config, keyframes)
    online._rate[:] = RATE[:keyframes]
    return online


def move(online: OnlineCalibration, step: np.ndarray) -> None:
    """Take a step (k,), as the solver does."""
    online.out_of_bounds = unknowns.move(online.unknowns, online._rig, step)


def test_the_columns_equal_finite_differences_of_the_reprojections() -> None:
    """Oracle: central differences of every observation's residual, by the instant of the pictures and by the rig's place on the body."""
    w, _ = noisy_window(3, 4, 12, state_sigma=0.05)
    online = online_of(keyframes=4)
    X, scratch = unknowns.columns(w, online.unknowns, 4), landmarks.new_scratch(4, 12)
    views = scratch.lin
    relate(w.R, w.p, online._rig, 4, views)

    def residuals(d: np.ndarray) -> np.ndarray:
        moved = online_of(keyframes=4)
        move(moved, d)
        solver.look(w, moved._rig, moved.unknowns, 4, scratch.now)
        return np.concatenate([landmarks.residual(w, moved._rig, scratch.now, m, t, c)[1:] for m, t, c in np.argwhere(w.seen)])

    rows = []
    for m, t, c in np.argwhere(w.seen):
        h = w.host[m]
        J_h, _ = jacobian(w, online._rig, views, m, t, c)
        rows.append(J_h @ X[6 * h : 6 * h + 6] - J_h @ views.Y[h, t] @ X[6 * t : 6 * t + 6] if t > h else np.zeros((2, 7)))
    close(np.vstack(rows), differences(residuals, 7))


def test_kernels_equal_their_slow_twins() -> None:
    """Oracle: the module's formulas, row by row in numpy; a keyframe that hardly moves has no time column."""
    w, _ = noisy_window(4, N, 4)
    w.v[1], dt = 0.0, np.linspace(-0.02, 0.03, N)
    rate = RATE.copy()
    rate[1] = w.bg[1] + 1e-3
    R, p, X = np.empty((N, 3, 3)), np.empty((N, 3)), np.empty((6 * N, 7))
    advance(w.R, w.p, w.v, w.bg, rate, dt, N, R, p)
    directions(w.R, w.v, w.bg, rate, N, True, True, 0.05, X)
    for i in range(N):
        np.testing.assert_allclose(p[i], w.p[i] + w.v[i] * dt[i], atol=TIGHT)
        np.testing.assert_allclose(R[i], w.R[i] @ so3_exp((rate[i] - w.bg[i]) * dt[i]), atol=TIGHT)
        first = np.zeros(6) if i == 1 else np.concatenate([w.v[i], rate[i] - w.bg[i]])
        expected = np.column_stack([first, np.block([[w.R[i], np.zeros((3, 3))], [np.zeros((3, 3)), np.eye(3)]])])
        np.testing.assert_allclose(X[6 * i : 6 * i + 6], expected, atol=TIGHT)


def test_a_displaced_rig_is_the_composition_of_transforms() -> None:
    """Oracle: 4x4 products: T_BC = D T_BC calibrated for both cameras; two steps compose on the left."""
    online = online_of(OnlineConfig(time_offset=False, mount=True))
    one, two = np.array([0.01, -0.02, 0.005, 0.02, -0.01, 0.03]), np.array([-0.02, 0.01, 0.01, -0.03, 0.02, 0.01])
    move(online, one)
    move(online, two)
    D = pose(so3_exp(two[3:]), two[:3]) @ pose(so3_exp(one[3:]), one[:3])
    np.testing.assert_allclose(online.estimate().T_BC, D @ CALIBRATION.T_BC, atol=TIGHT)
    for c, T in enumerate((CALIBRATION.T_BC, CALIBRATION.T_BR)):
        np.testing.assert_allclose(pose(online._rig.R_cam[c], online._rig.t_cam[c]), inverse(D @ T), atol=TIGHT)


def test_estimates_stay_within_their_bounds_and_say_so() -> None:
    """Oracle: the configured bounds."""
    online = online_of()
    move(online, np.array([-0.3, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]))
    found = online.estimate()
    assert found.out_of_bounds
    assert (found.time_offset, np.linalg.norm(found.shift), np.linalg.norm(found.turn)) == pytest.approx((-0.1, 0.2, 0.2), abs=TIGHT)
    move(online, np.array([0.05, 0.0, -0.1, 0.0, 0.0, 0.0, -0.1]))
    assert not online.estimate().out_of_bounds


def test_a_random_step_is_the_elimination_of_the_old_value() -> None:
    """Oracle: numpy: the old variable beside the new one, tied by 1 / q, and eliminated."""
    rng, q, row = np.random.default_rng(1), 0.3, 3
    A = rng.normal(size=(6, 6))
    H, b = A @ A.T, rng.normal(size=6)
    wide = np.zeros((7, 7))
    wide[:6, :6] = H
    wide[np.ix_([row, 6], [row, 6])] += np.array([[1.0, -1.0], [-1.0, 1.0]]) / q
    rest = [0, 1, 2, 6, 4, 5]
    K = wide[rest, row] / wide[row, row]
    expected = wide[np.ix_(rest, rest)] - np.outer(K, wide[row, rest]), np.append(b, 0.0)[rest] - K * b[row]
    forget(H, b, row, q)
    np.testing.assert_allclose(H, expected[0], atol=TIGHT)
    np.testing.assert_allclose(b, expected[1], atol=TIGHT)


def full_system(w, f, prior: Prior, m: int, n: int, online: OnlineCalibration) -> tuple[np.ndarray, np.ndarray]:
    """States (15 n) and calibration as one dense system, from the reprojections' own."""
    H, g = dense(w, f, prior, m, n, online)
    scratch = landmarks.new_scratch(n, len(w.ids))
    H_p, g_p = np.zeros((6 * n, 6 * n)), np.zeros(6 * n)
    relate(w.R, w.p, online._rig, n, scratch.now)
    relate(w.R_lin, w.p_lin, online._rig, n, scratch.lin)
    landmarks.linearise(w, online._rig, n, CAUCHY, 0.0, -1, H_p, g_p, scratch, new_counts())
    B, e = bordered(whole(H_p), g_p, unknowns.columns(w, online.unknowns, n))
    k, out, gradient = online.size, np.zeros((15 * n + 7, 15 * n + 7)), np.zeros(15 * n + 7)
    out[: 15 * n, : 15 * n], gradient[: 15 * n] = H, g
    poses = np.concatenate([15 * i + np.arange(6) for i in range(n)])
    border, s = 15 * n + np.arange(k), len(prior.b) - k
    out[np.ix_(poses, border)], out[np.ix_(border, poses)] = B[: 6 * n, 6 * n :], B[6 * n :, : 6 * n]
    known = np.concatenate([np.arange(15), *(15 * i + np.arange(6) for i in range(1, m))])
    out[np.ix_(known, border)] += prior.H[:s, s:]
    out[np.ix_(border, known)] += prior.H[s:, :s]
    out[np.ix_(border, border)] = B[6 * n :, 6 * n :] + prior.H[s:, s:]
    gradient[border] = e[6 * n :] + prior.b[s:] + prior.H[s:] @ unknowns.known_offset(w, m, online.unknowns)
    return out, gradient


def scaled_solution(H: np.ndarray, g: np.ndarray) -> np.ndarray:
    """-H^-1 g with a unit diagonal."""
    s = 1.0 / np.sqrt(np.diag(H))
    return -s * np.linalg.solve(H * np.outer(s, s), s * g)


def with_calibration(m: int, seed: int) -> Prior:
    """A well-conditioned prior over m keyframes and the calibration."""
    rng, k = np.random.default_rng(seed), 15 + 6 * (m - 1) + 7
    A = rng.normal(size=(k, k))
    return Prior(1e3 * (A @ A.T + k * np.eye(k)), 1e2 * rng.normal(size=k))


def test_the_bordered_step_and_covariance_equal_the_dense_ones() -> None:
    """Oracle: numpy's solve and inverse of the dense system of states and calibration."""
    w, f = noisy_window(11, N, ROWS, state_sigma=3e-3)
    online, prior, m, position = online_of(), with_calibration(2, 1), 2, layout(N).position
    engine = Solver(N, ROWS, "float64", online)
    H, g = full_system(w, f, prior, m, N, online)
    engine.view(w, online._rig, N)
    system, before = engine._assembled(w, online._rig, f, prior, m, N, CAUCHY, 0.0, new_counts()), w.p.copy()
    covariance = engine.newest_covariance(w, online._rig, f, prior, m, N, CAUCHY, new_counts())
    engine._step(system, w, online._rig, N, 1e6, new_counts())
    x, S = scaled_solution(H, g), np.linalg.inv(H)
    np.testing.assert_allclose(w.p - before, x[: 15 * N].reshape(N, 15)[:, :3], rtol=0, atol=1e-7 * np.abs(x).max())
    moved = np.concatenate([online.offset, online.shift, so3_log(online.turn)])
    np.testing.assert_allclose(moved, x[15 * N :], rtol=0, atol=1e-7 * np.abs(x).max())
    np.testing.assert_allclose(np.linalg.inv(system.S), S[15 * N :, 15 * N :], rtol=0, atol=1e-7 * np.abs(S[15 * N :, 15 * N :]).max())
    own = slice(15 * N - 15, 15 * N)
    np.testing.assert_allclose(covariance, S[own, own], rtol=0, atol=1e-7 * np.abs(S[own, own]).max())
    assert len(position) == N


def drop(w, f, prior: Prior, m: int, n: int, online: OnlineCalibration) -> Prior:
    """Marginalise keyframe 0 and shift the window, as the back end does."""
    out = marginalization.marginalise(w, online._rig, f, prior, m, n, CAUCHY, landmarks.new_scratch(n, len(w.ids)), new_counts(), online)
    window.drop_oldest(w, n)
    online.drop_oldest(n)
    for a in f:
        a[: n - 2] = a[1 : n - 1].copy()
    return out


@pytest.mark.parametrize("moved", [False, True], ids=["at the linearisation points", "away from them"])
def test_marginalisation_carries_the_calibration_along(moved: bool) -> None:
    """Oracle: dense solve of the window before keyframe 0 left, its reprojections at the same estimates; the walk is switched off."""
    w, f = noisy_window(11, N, ROWS, state_sigma=3e-3)
    online, prior, m = online_of(dataclasses.replace(BOTH, time_offset_walk=0.0)), with_calibration(3, 2), 3
    w.frozen[:m] = True
    if moved:
        wander(w, N, 2)
        window.relinearise(w, N)
    H, g = full_system(w, f, prior, m, N, online)
    full = scaled_solution(H, g)
    left = drop(w, f, prior, m, N, online)
    H, g = full_system(w, f, left, N - 1, N - 1, online)
    np.testing.assert_allclose(scaled_solution(H, g), full[15:], rtol=0, atol=1e-7 * np.abs(full).max())


def test_position_and_yaw_stay_unknown() -> None:
    """Oracle: physics, as without calibration: the prior's information along both is zero, also after the offset's random walk."""
    w, f = noisy_window(14, N, ROWS)
    online = online_of()
    prior = drop(w, f, online.extended(no_prior(1)), 1, N, online)
    s = len(prior.b) - online.size
    directions_ = np.vstack([gauge(w, N - 1), np.zeros((online.size, 4))])
    assert np.abs(prior.H @ directions_).max() < TIGHT * np.abs(prior.H).max()
    assert (learnt(Prior(prior.H[:s, :s], prior.b[:s]), w, N - 1) < TIGHT).all()
    assert np.linalg.eigvalsh(prior.H).min() > -TIGHT * np.abs(prior.H).max()
    assert skew(np.array([0.0, 0.0, 1.0])).any()


def fly(world: World, offset: float, D: np.ndarray, online: OnlineConfig, keyframe_every: int = 4) -> BackEnd:
    """Exact features of a flight whose pictures were taken `offset` s after their stamps, in a rig displaced by D; the back end places them."""
    config, points, rng = dataclasses.replace(Config(), online=online), room_points(np.random.default_rng(0), 1500), np.random.default_rng(1)
    wrong = dataclasses.replace(CALIBRATION, T_BC=inverse(D) @ CALIBRATION.T_BC, T_BR=inverse(D) @ CALIBRATION.T_BR)
    back_end, counts, imu = BackEnd(wrong, config), new_counts(), world.flight.at(stamps(world.flight.start, world.flight.end, 1000.0))
    begin, pre, last = round(world.begin * 1e9), None, 0
    truth = world.flight.at(np.arange(round(world.seconds * 20) + 1) * 50_000_000 + begin + round(offset * 1e9))
    back_end.start(exact_start(rotations(truth)[0], False, config))
    for k, (t, R) in enumerate(zip(truth.t_ns.tolist(), rotations(truth), strict=True)):
        stamp = t - round(offset * 1e9)
        at = stamp + back_end.offset_ns
        seen = dataclasses.replace(observed(world, R, truth.p_WB[k], t, points, rng, True), t_ns=at)
        state = None
        if pre is not None:
            integrate_span(pre, imu.t_ns, imu.w_B, imu.a_B, last, at, GYRO_VAR, ACCEL_VAR, counts)
            state = back_end.refine_frame(pre, seen, counts)
        if k % keyframe_every == 0:
            rate = np.array([np.interp(at, imu.t_ns, imu.w_B[:, j]) for j in range(3)])
            back_end.add_keyframe(seen, pre, state, counts, Instant((at - stamp) * 1e-9, rate))
            pre = back_end.preintegration()
        last = at
    return back_end


MOVING = World(flight(), seconds=4.5)


@pytest.mark.parametrize("offset", [0.02, -0.02])
def test_a_wrong_clock_is_found(offset: float) -> None:
    """Oracle: 20 ms, as the features were made; exact data leave what the stamps of 1 kHz samples and the model's second order leave."""
    found = fly(MOVING, offset, np.eye(4), CLOCK).online.estimate()
    assert found.time_offset == pytest.approx(offset, abs=2e-4)
    assert found.time_offset_sigma < 1e-3


def test_clock_and_mount_are_found_together() -> None:
    """Oracle: 20 ms, 2 degrees about a skew axis and 2 cm, as the features were made; a flight of 4.5 s tells the shift to a few mm."""
    D = pose(so3_exp(np.deg2rad(2.0) * np.array([0.6, -0.64, 0.48])), 0.02 * np.array([0.6, 0.48, -0.64]))
    found = fly(MOVING, -0.02, D, BOTH).online.estimate()
    assert found.time_offset == pytest.approx(-0.02, abs=5e-4)
    rest = found.T_BC @ inverse(CALIBRATION.T_BC)
    assert np.rad2deg(np.linalg.norm(so3_log(np.ascontiguousarray(rest[:3, :3])))) < 0.2
    assert np.linalg.norm(found.T_BC[:3, 3] - CALIBRATION.T_BC[:3, 3]) < 0.01


def test_motions_that_tell_nothing_leave_the_calibration_as_uncertain_as_it_was() -> None:
    """Oracle: at rest nothing depends on time or place; on a straight flight at constant speed a delay is a shift of the world along it."""
    still = from_harmonics(Harmonics(rest=100.0), 0.0, 6.0)
    glide = from_harmonics(Harmonics(rest=0.0, ramp=0.0, x=Channel(rate=0.5)), 0.0, 6.0)
    for course in (still, glide):
        found = fly(World(course, seconds=4.5, pixel=0.5), 0.0, np.eye(4), BOTH).online.estimate()
        assert found.time_offset_sigma > 0.95 * BOTH.time_offset_sigma
        assert abs(found.time_offset) < 0.1 * BOTH.time_offset_sigma
        assert found.shift_sigma.min() > 0.95 * BOTH.shift_sigma
        assert np.abs(found.shift).max() < 0.2 * BOTH.shift_sigma


def test_a_render_with_a_wrong_clock_is_flown_as_if_it_were_right() -> None:
    """Oracle: the fault's own 20 ms, through pictures, front end and runner; states are given on the IMU's clock, where the truth is."""
    result = run(corrupted(open_sequence("shake-small"), ["clock-offset:ms=20"]), Config(), RunOptions(max_frames=80))
    late = result.frame_t_ns[-1] - result.trajectory.t_ns[-1]
    assert late * 1e-9 == pytest.approx(0.02, abs=5e-4)
    assert not result.failure


def test_a_right_clock_is_left_alone() -> None:
    """Oracle: the same flight without the estimate: while nothing is suspected the states are the same, to rounding."""
    world = MOVING._replace(pixel=0.5)
    with_it, without = (fly(world, 0.0, np.eye(4), OnlineConfig(time_offset=on)) for on in (True, False))
    n = with_it._n
    for name in ("R", "p", "v", "bg", "ba"):
        np.testing.assert_allclose(getattr(with_it._window, name)[:n], getattr(without._window, name)[:n], rtol=0, atol=TIGHT)
    found = with_it.online.estimate()
    assert found.time_offset == 0.0
    assert abs(found.suspected) < 4 * found.time_offset_sigma < 0.004


@pytest.mark.parametrize(("suspected", "sigma", "followed"), [(0.003, 0.00035, True), (-0.003, 0.00035, True), (0.0009, 0.0001, False), (0.02, 0.005, False)])
def test_an_offset_is_followed_when_it_is_large_certain_and_seen_again(suspected: float, sigma: float, followed: bool) -> None:
    """Oracle: the thresholds of the configuration: beyond 2 ms at 3 keyframes in a row or 4 ms at one, with a sigma of at most 0.4 ms or a tenth of it."""
    online = online_of(OnlineConfig(time_offset=True))
    for k in range(2):
        online.judge(suspected, np.array([[sigma**2]]))
        assert not online.follows
    online.judge(0.0, np.array([[sigma**2]]))
    for k in range(3):
        assert not online.follows
        online.judge(suspected, np.array([[sigma**2]]))
    assert online.follows is followed
    other = online_of(OnlineConfig(time_offset=True))
    other.judge(2.0 * suspected, np.array([[sigma**2]]))
    assert other.follows is followed


def test_without_switches_there_is_no_border() -> None:
    """Oracle: an offset of exactly nothing, and a prior of the states alone."""
    back_end = BackEnd(CALIBRATION, override(Config(), ["online.time_offset=false"]))
    assert back_end.online is None
    assert back_end.offset_ns == 0
    back_end.start(exact_start(np.eye(3), True, Config()))
    assert back_end._prior.b.shape == (15,)
