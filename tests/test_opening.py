"""The opening of a mono window: which landmarks begin, how slow a still picture says the rig is, and flights, with a moving start or a kick."""

from dataclasses import replace

import numpy as np
import pytest
from tolerances import TIGHT
from vio.backend import marginalization, triangulation, window
from vio.backend.back_end import BackEnd
from vio.backend.initialization import initial_state, wavering
from vio.backend.online_calibration import OnlineCalibration
from vio.backend.opening import Opening, assume_depths, rebased, shifts
from vio.backend.preintegration import integrate_span
from vio.backend.prior import Prior, prior_offset
from vio.backend.views import Views, new_views, relate
from vio.config import Config
from vio.events import new_counts
from vio.eyes import fitted
from vio.io.simulator import stamps
from vio.lie import so3_exp
from vio.types import NavState, Observations

from windows import CALIBRATION, NOTHING, RIG, flight, noisy_window, room_points, rotations, scratch_of, seen_from

CONFIG = Config()
MONO = CALIBRATION.mono()
FRAME_NS = 50_000_000
BEGIN = 1.0  # s of inertial samples before the first picture
BEGIN_NS = round(BEGIN * 1e9)
DEPTH = 3.0


def test_a_rig_that_went_to_and_fro_starts_with_the_velocity_that_this_gives() -> None:
    """Oracle: closed form: v = A cos(2 pi t) along x over one period ends with A, and n samples that count both its ends have the mean A / n.
    The rig is tilted by any rotation, which up to yaw is found again."""
    t, amplitude, R = np.arange(201), 0.8, so3_exp(np.array([0.4, -0.2, 1.0]))
    a = np.zeros((201, 3))
    a[:, 0] = -2.0 * np.pi * amplitude * np.sin(2.0 * np.pi * t / 200)
    R_WB, v = wavering(t * 5_000_000, np.zeros((201, 3)), (a + [0.0, 0.0, 9.81]) @ R)
    np.testing.assert_allclose(R_WB.T @ [0, 0, 1], R.T @ [0, 0, 1], atol=TIGHT)
    trapezoid = (2.0 * np.pi / 200) ** 2 / 12
    np.testing.assert_allclose(R_WB.T @ v, R.T @ [amplitude * (1.0 - 1.0 / 201), 0.0, 0.0], atol=2.0 * amplitude * trapezoid)


def glimpsed(moved: float) -> tuple[window.Window, Views]:
    """Two keyframes of one pose that see 40 points; between them the first 20 have moved by so many whitened units, the others not at all."""
    w, views = window.new_window(4, 60), new_views(4)
    w.R[:] = np.eye(3)
    w.ids[:40], w.host[:40], w.seen[:40, :2, 0] = np.arange(40), 0, True
    w.xy[:40, 0, 0] = w.xy[:40, 1, 0] = np.random.default_rng(3).uniform(-0.4, 0.4, (40, 2))
    w.xy[:20, 1, 0, 0] += moved / RIG.scale[0]
    relate(w.R, w.p, RIG, 2, views)
    return w, views


@pytest.mark.parametrize(("moved", "ready"), [(9.99, 0), (10.01, 20)])
def test_landmarks_begin_at_the_usual_depth_when_their_rays_have_moved_far_enough_and_the_others_wait(moved: float, ready: int) -> None:
    """Oracle: construction, about a threshold of 10."""
    w, views = glimpsed(moved)
    assume_depths(w, RIG, views, 2, 1.0 / DEPTH, 10.0)
    assert list(np.flatnonzero(w.ready)) == list(range(ready))
    np.testing.assert_array_equal(w.point[:ready, 2], 1.0 / DEPTH)
    np.testing.assert_array_equal(w.point[:ready, :2], w.xy[:ready, 0, 0])


@pytest.mark.parametrize(("moved", "ready"), [(9.99, 0), (10.01, 20)])
def test_a_baseline_makes_no_depth_of_rays_that_have_not_moved(moved: float, ready: int) -> None:
    """Oracle: construction: the states claim to have moved by 20 cm, which is plenty; the pictures tell."""
    w, views = glimpsed(moved)
    w.p[1] = w.R[1] @ RIG.R_BC @ [-0.2, 0.0, 0.0]
    relate(w.R, w.p, RIG, 2, views)
    triangulation.triangulate(w, RIG, views, 2, 0.01, 5.0, 0.5, 10.0)
    assert list(np.flatnonzero(w.ready)) == list(range(ready))


@pytest.mark.parametrize(("moved", "ready"), [(9.99, 0), (10.01, 20)])
def test_a_gyro_makes_no_depth_of_a_picture_that_stands_still(moved: float, ready: int) -> None:
    """Oracle: construction: attitudes claim a turn that would have moved every ray by ten times the threshold; the pictures tell."""
    w, views = glimpsed(moved)
    w.R[1] = RIG.R_BC @ so3_exp(np.array([0.0, 0.1, 0.0])) @ RIG.R_BC.T
    w.p[1] = w.R[1] @ RIG.R_BC @ [-0.2, 0.0, 0.0]
    relate(w.R, w.p, RIG, 2, views)
    triangulation.triangulate(w, RIG, views, 2, 0.01, 50.0, 0.5, 10.0)
    assert list(np.flatnonzero(w.ready)) == list(range(ready))
    w.ready[:] = False
    assume_depths(w, RIG, views, 2, 1.0 / DEPTH, 10.0)
    assert list(np.flatnonzero(w.ready)) == list(range(ready))


def test_rays_have_moved_by_the_way_over_the_depth_once_the_turn_is_taken_out() -> None:
    """Oracle: closed form: points 3 m away are passed by 3 x metres when they move by x; as they are, the rays have moved from where they were to where they are."""
    w, views = glimpsed(0.0)
    turn, aside = so3_exp(np.array([0.0, 0.05, 0.02])), np.array([0.01, 0.0, 0.0])
    X = DEPTH * np.column_stack([w.xy[:40, 0, 0], np.ones(40)]) - aside
    w.R[1] = RIG.R_BC @ turn @ RIG.R_BC.T
    y = X @ turn
    w.xy[:40, 1, 0] = y[:, :2] / y[:, 2:]
    relate(w.R, w.p, RIG, 2, views)
    turned, plain = shifts(w, views, 2)
    assert turned * DEPTH == pytest.approx(0.01, rel=0.05)
    assert plain == np.median(np.hypot(*(w.xy[:40, 1, 0] - w.xy[:40, 0, 0]).T))
    w.ids[10:] = -1
    assert shifts(w, views, 2) == (np.inf, np.inf)


def test_a_rig_at_rest_with_trembling_samples_learns_its_gyro_bias_and_makes_no_depths() -> None:
    """Oracle: the truth: a rig that stands, 0.08 rad/s of bias, which in a keyframe's interval turn rays by 18 px, forces that no standstill has."""
    back_end, counts, points, rng = BackEnd(MONO, CONFIG), new_counts(), room_points(np.random.default_rng(0), 1500), np.random.default_rng(1)
    t, b_g = np.arange(701) * 5_000_000, np.array([-0.002, 0.02, 0.08])
    w_B, a_B = b_g + 0.05 * rng.normal(size=(701, 3)), [0.0, 0.0, 9.81] + 0.6 * rng.normal(size=(701, 3))
    xy, visible = seen_from(np.eye(3), np.zeros(3), 0, points)
    ids, pre, state = np.flatnonzero(visible), None, None
    back_end.start(initial_state(t[:201], w_B[:201], a_B[:201], BEGIN_NS, CONFIG.initial, CONFIG.mono))
    for k in range(11):
        now = BEGIN_NS + k * 5 * FRAME_NS
        tracks = xy[ids] + 0.1 / CALIBRATION.left.fx * rng.normal(size=(len(ids), 2))
        seen = Observations(now, ids, tracks, np.zeros((len(ids), 2)), np.zeros(len(ids), bool))
        if pre is not None:
            integrate_span(pre, t, w_B, a_B, now - 5 * FRAME_NS, now, back_end.gyro_var, back_end.accel_var, counts)
            state = back_end.refine_frame(pre, seen, counts)
        state, pre = back_end.add_keyframe(seen, pre, state, counts), back_end.preintegration()
    assert len(back_end.landmarks().ids) == 0
    np.testing.assert_allclose(state.b_g, b_g, atol=0.005)
    assert np.linalg.norm(state.v_WB) < 0.02


def test_a_window_hurries_only_in_mono_before_its_first_prior_and_while_its_velocity_is_unknown() -> None:
    """Oracle: the contract."""
    w = window.new_window(4, 10)
    w.frozen[0] = True
    unknown, known = np.eye(15), 1e-4 * np.eye(15)
    mono, stereo = Opening(CONFIG, True), Opening(CONFIG, False)
    assert mono.hurries(w, 0.1, unknown)
    assert not (mono.hurries(w, 0.05, unknown) or mono.hurries(w, 0.1, known) or stereo.hurries(w, 0.1, unknown))
    w.frozen[1] = True
    assert not mono.hurries(w, 0.1, unknown)


@pytest.mark.parametrize(("ready", "frozen"), [(False, [True, True, False, False, False]), (True, [True] * 5)])
def test_linearisation_points_are_kept_only_where_the_prior_ties_them(ready: bool, frozen: list[bool]) -> None:
    """Oracle: structure: without pictures the oldest keyframe is tied to the next one alone, and the prior says nothing about the others."""
    w, f = noisy_window(2, 5, 40)
    w.ready[:], w.frozen[0] = ready, True
    prior = marginalization.marginalise(w, RIG, f, Prior(1e4 * np.eye(15), np.zeros(15)), 1, 5, 2.0, scratch_of(w), new_counts(), OnlineCalibration(RIG, NOTHING, 5))
    assert list(w.frozen) == frozen
    assert prior.H[15:].any() == ready


def prior_value(w: window.Window, prior: Prior, x: np.ndarray) -> float:
    """Cost of a prior of the first keyframe a step x (15,) from the present estimate."""
    there = w._replace(**{name: getattr(w, name).copy() for name in ("R", "p", "v", "bg", "ba")})
    there.R[0] = w.R[0] @ so3_exp(x[3:6])
    for array, at in ((there.p, 0), (there.v, 6), (there.bg, 9), (there.ba, 12)):
        array[0] += x[at : at + 3]
    d = prior_offset(there, 1)
    return float(0.5 * d @ prior.H @ d + prior.b @ d)


def test_a_prior_expanded_anew_says_the_same() -> None:
    """Oracle: the prior's own cost, by central differences about the new point: its gradient, and what it says of steps off the attitude."""
    rng = np.random.default_rng(4)
    w, _ = noisy_window(6, 3, 4, state_sigma=0.1)
    w.R[0] = w.R[0] @ so3_exp(np.array([0.1, -0.05, 0.2]))
    w.v[0] += [0.5, -0.3, 0.1]
    A = rng.normal(size=(15, 15))
    old, before = Prior(A @ A.T, rng.normal(size=15)), w._replace(R_lin=w.R_lin.copy(), v_lin=w.v_lin.copy())
    new = rebased(w, old)
    np.testing.assert_array_equal(prior_offset(w, 1), 0.0)
    for x in 1e-5 * np.eye(15):
        assert (prior_value(before, old, x) - prior_value(before, old, -x)) / 2e-5 == pytest.approx(new.b @ x / 1e-5, rel=1e-6, abs=1e-6)
    x = rng.normal(size=15) * np.repeat([1.0, 0.0, 1.0, 1.0, 1.0], 3)
    assert prior_value(before, old, x) - prior_value(before, old, 0 * x) == pytest.approx(new.b @ x + 0.5 * x @ new.H @ x, rel=1e-9)


def flown(seconds: float, begin: float = BEGIN, config: Config = CONFIG, kick: float = 0.0) -> tuple[list[NavState], np.ndarray, np.ndarray]:
    """States of a mono back end on exact tracks from a moving start, true positions and velocities (n, 3); as fast as it hurries, else 0.2 s a keyframe.

    kick: m/s^2 along x of the body that the accelerometer feels from the fourth second on for 0.2 s, and the pictures do not show.
    """
    back_end, counts, points = BackEnd(MONO, config), new_counts(), room_points(np.random.default_rng(0), 1500)
    imu = flight().at(stamps(0.0, 6.0, 200.0))
    imu.a_B[(imu.t_ns >= 4_000_000_000) & (imu.t_ns < 4_200_000_000), 0] += kick
    truth = flight().at(np.arange(round(seconds * 20) + 1) * FRAME_NS + round(begin * 1e9))
    R, states, pre = rotations(truth), [], None
    before = imu.t_ns <= truth.t_ns[0]
    back_end.start(initial_state(imu.t_ns[before], imu.w_B[before], imu.a_B[before], int(truth.t_ns[0]), CONFIG.initial, CONFIG.mono))
    for k, t in enumerate(truth.t_ns.tolist()):
        xy, visible = seen_from(R[k], truth.p_WB[k], 0, points)
        ids, state = np.flatnonzero(visible), None
        seen = Observations(t, ids, xy[ids], np.zeros((len(ids), 2)), np.zeros(len(ids), bool))
        if pre is not None:
            integrate_span(pre, imu.t_ns, imu.w_B, imu.a_B, t - FRAME_NS, t, back_end.gyro_var, back_end.accel_var, counts)
            state = back_end.refine_frame(pre, seen, counts)
        if pre is None or k % 4 == 0 or back_end.hurries(pre.dt[0]):
            state, pre = back_end.add_keyframe(seen, pre, state, counts), back_end.preintegration()
        states.append(state)
    return states, truth.p_WB - truth.p_WB[0], truth.v_WB


def test_one_camera_finds_velocity_and_scale_from_a_moving_start() -> None:
    """Oracle: the closed-form flight, 1.3 m/s at first, and exact tracks; yaw is free and does not change speeds. After a second the speed
    is known to 1 %, and the way of the last two seconds too."""
    states, p, v = flown(3.0)
    speed = np.array([np.linalg.norm(s.v_WB) for s in states]) / np.linalg.norm(v, axis=1)
    np.testing.assert_allclose(speed[20:], 1.0, atol=0.01)
    way = np.linalg.norm(states[-1].T_WB[:3, 3] - states[20].T_WB[:3, 3]) / np.linalg.norm(p[-1] - p[20])
    assert way == pytest.approx(1.0, abs=0.01)


def test_one_camera_flies_with_its_own_window_and_two_with_the_usual_one() -> None:
    """Oracle: the configuration's words for it; fitted twice is fitted once."""
    mono = fitted(CONFIG, MONO)
    assert (mono.backend.window, mono.frontend.keyframe_max_interval) == (CONFIG.mono.window, CONFIG.mono.keyframe_max_interval)
    assert mono.backend.max_landmarks * CONFIG.backend.window == CONFIG.backend.max_landmarks * mono.backend.window  # as many a keyframe
    assert fitted(mono, MONO) == mono
    assert fitted(CONFIG, CALIBRATION) == CONFIG


def test_a_kick_that_the_pictures_do_not_show_moves_the_rig_by_less() -> None:
    """Oracle: the same flight without the kick: 2 m/s^2 for 0.2 s leave it off by centimetres half a second later where every sample is
    believed, and by six tenths of that, at most, where a factor that contradicts the pictures counts less."""
    off = []
    for contradiction in (1e6, CONFIG.mono.contradiction):
        config = replace(CONFIG, mono=replace(CONFIG.mono, contradiction=contradiction))
        still, kicked = (np.array([s.T_WB[:3, 3] for s in flown(4.5, BEGIN, config, kick)[0][-10:]]) for kick in (0.0, 2.0))
        off.append(float(np.linalg.norm(kicked - still, axis=1).max()))
    assert off[0] > 0.01
    assert off[1] < 0.6 * off[0]
