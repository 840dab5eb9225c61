"""Jacobians of the factors against central finite differences (p + dp, R exp(dtheta))."""

import numpy as np
import pytest
from tolerances import TIGHT
from vio.backend.landmarks import residual
from vio.backend.preintegration import Preintegrated, integrate, predict, preintegrated, transition
from vio.backend.residuals import gravity, imu_jacobian, imu_residual
from vio.events import new_counts
from vio.lie import so3_exp, so3_log

from windows import CALIBRATION, RIG, noisy_window, reprojection, reprojection_jacobian, views

STEP = 1e-6
# central differences err by h^2 f'''/6 (about 1e-12 f''') plus rounding, eps |f| / h = 2e-10 |f|: relative to the largest entry
RELATIVE = 1e-7


def close(analytic: np.ndarray, numeric: np.ndarray) -> None:
    """Equal to RELATIVE of the largest entry, at least of one."""
    np.testing.assert_allclose(analytic, numeric, rtol=0, atol=RELATIVE * max(1.0, np.abs(numeric).max()))


def differences(function, size: int) -> np.ndarray:
    """Central differences of `function(d)` at d = 0 (size,)."""
    return np.column_stack([(function(STEP * e) - function(-STEP * e)) / (2 * STEP) for e in np.eye(size)])


def moved_pose(w, i: int, d: np.ndarray):
    """The window with keyframe i's pose moved by d (6,)."""
    R, p = w.R.copy(), w.p.copy()
    R[i], p[i] = R[i] @ so3_exp(d[3:].copy()), p[i] + d[:3]
    return w._replace(R=R, p=p)


def moved_point(w, m: int, d: np.ndarray):
    """The window with landmark m moved by d (3,)."""
    point = w.point.copy()
    point[m] += d
    return w._replace(point=point)


@pytest.mark.parametrize("camera", [0, 1], ids=["left", "right"])
def test_reprojection_jacobians_equal_finite_differences(camera: int) -> None:
    """Oracle: central finite differences of the residual in host pose, target pose and landmark."""
    w, _ = noisy_window(3, 4, 12, state_sigma=0.05)
    checked = 0
    for m, t in np.argwhere(w.seen[:, :, camera]):
        h = w.host[m]
        if t == h:
            continue
        J_h, J_t, J_l = reprojection_jacobian(w, m, t, camera)
        close(J_h, differences(lambda d: reprojection(moved_pose(w, h, d), m, t, camera), 6))
        close(J_t, differences(lambda d: reprojection(moved_pose(w, t, d), m, t, camera), 6))
        close(J_l, differences(lambda d: reprojection(moved_point(w, m, d), m, t, camera), 3))
        checked += 1
    assert checked > 10


def test_the_kernels_residuals_are_those_of_the_geometry() -> None:
    """Oracle: the projection in numpy. A right picture whose left one is missing is whitened as a left one."""
    w, _ = noisy_window(6, 4, 12, state_sigma=0.05)
    w.seen[:6, 2, 0] = False
    now = views(w.R, w.p)
    for m, t, c in np.argwhere(w.seen):
        ahead, r0, r1 = residual(w, RIG, now, m, t, c)
        assert ahead
        np.testing.assert_allclose([r0, r1], reprojection(w, m, t, c), atol=TIGHT * RIG.stereo[0])


def test_a_slide_of_the_track_cancels_between_the_pictures() -> None:
    """Oracle: differences of where the right camera sees far points about the middle of the left picture; and with the two pictures of a
    keyframe moved so, the right one's residual stays."""
    R_RL, step = CALIBRATION.T_CR[:3, :3].T, 1e-6
    seen = np.array([[step, 0.0, 1.0], [0.0, step, 1.0], [0.0, 0.0, 1.0]]) @ R_RL.T
    xy = seen[:, :2] / seen[:, 2:]
    np.testing.assert_allclose(RIG.beside, (xy[:2] - xy[2]).T / step, atol=1e-5)
    w, _ = noisy_window(6, 4, 12)
    m, t = next((m, t) for m, t in np.argwhere(w.seen[:, :, 1]) if w.seen[m, t, 0])
    before, slide = reprojection(w, m, t, 1), np.array([3e-3, -2e-3])
    w.xy[m, t, 0] += slide
    w.xy[m, t, 1] += RIG.beside @ slide
    np.testing.assert_allclose(reprojection(w, m, t, 1), before, atol=1e-9 * RIG.stereo[0])


def test_pictures_of_the_host_do_not_depend_on_its_pose() -> None:
    """Oracle: geometry: an anchored landmark moves with its host; the residual is the same after any motion, and J_h + J_t = 0."""
    w, _ = noisy_window(4, 3, 6)
    for m in range(6):
        h = w.host[m]
        J_h, J_t, J_l = reprojection_jacobian(w, m, h, 1)
        np.testing.assert_allclose(J_h + J_t, 0.0, atol=TIGHT * np.abs(J_h).max())
        close(J_l, differences(lambda d: reprojection(moved_point(w, m, d), m, h, 1), 3))
        far = moved_pose(w, h, np.array([3.0, -2.0, 1.0, 0.5, 2.0, -1.0]))
        np.testing.assert_allclose(reprojection(far, m, h, 1), reprojection(w, m, h, 1), atol=TIGHT * RIG.stereo[0])


def test_jacobians_stay_at_the_linearisation_points() -> None:
    """Oracle: definition of first-estimate Jacobians: moving the estimates alone changes the residual, not the Jacobian."""
    w, _ = noisy_window(5, 3, 6)
    m, t = next((m, t) for m, t in np.argwhere(w.seen[:, :, 0]) if t > w.host[m])
    moved = moved_pose(w, t, np.full(6, 0.02))
    for a, b in zip(reprojection_jacobian(w, m, t, 0), reprojection_jacobian(moved, m, t, 0), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(reprojection(w, m, t, 0), reprojection(moved, m, t, 0))


def random_motion(rng: np.random.Generator, turn: float) -> Preintegrated:
    """Twenty samples of a motion that turns by about `turn` rad in all."""
    pre = preintegrated(0.05 * rng.normal(size=3), 0.1 * rng.normal(size=3))
    axis = rng.normal(size=3)
    rate = turn / 0.1 * axis / np.linalg.norm(axis)
    for _ in range(20):
        integrate(pre, rate + pre.bias[:3] + 1e-3 * rng.normal(size=3), rng.normal(size=3) + [0, 0, 9.81], 0.005, 1e-8, 1e-6, new_counts())
    return pre


def random_state(rng: np.random.Generator, angle: float) -> list[np.ndarray]:
    """(R, p, v, b_g, b_a) turned by `angle` rad about a random axis."""
    axis = rng.normal(size=3)
    return [so3_exp(angle * axis / np.linalg.norm(axis)), *rng.normal(size=(2, 3)), *(0.05 * rng.normal(size=(2, 3)))]


def moved_state(s: list[np.ndarray], d: np.ndarray) -> list[np.ndarray]:
    """State moved by its tangent d (15,)."""
    R, p, v, bg, ba = s
    return [R @ so3_exp(d[3:6].copy()), p + d[:3], v + d[6:9], bg + d[9:12], ba + d[12:15]]


def apart(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """Tangent (15,) from state a to state b."""
    return np.concatenate([b[1] - a[1], so3_log(a[0].T @ b[0]), b[2] - a[2], b[3] - a[3], b[4] - a[4]])


def after(pre: Preintegrated, s: list[np.ndarray]) -> list[np.ndarray]:
    """Predicted state; biases stay."""
    return [*predict(pre, *s, gravity()), s[3], s[4]]


@pytest.mark.parametrize(("angle", "error"), [(1e-9, 0.0), (1e-7, 1e-9), (0.3, 1e-3), (2.0, 0.5), (3.1, 2.5)])
def test_inertial_jacobians_equal_finite_differences(angle: float, error: float) -> None:
    """Oracle: central finite differences over both states' 15 tangent directions, from rotations near zero to near pi."""
    rng = np.random.default_rng(int(angle * 100) + 1)
    pre = random_motion(rng, min(angle, 1.0))
    a = random_state(rng, angle)
    b = moved_state(after(pre, a), error * rng.normal(size=15) / 4)
    Ji, Jj = imu_jacobian(pre, *a, *b[:3])
    close(Ji, differences(lambda d: imu_residual(pre, *moved_state(a, d), *b[:3]), 15))
    close(Jj, differences(lambda d: imu_residual(pre, *a, *moved_state(b, d)[:3]), 15))


def test_the_inertial_residual_of_a_prediction_is_zero() -> None:
    """Oracle: `predict` is the residual's root by definition."""
    rng = np.random.default_rng(0)
    for angle in (0.0, 1e-8, 1.0, np.pi - 1e-6):
        pre, s = random_motion(rng, 0.4), random_state(rng, angle)
        np.testing.assert_allclose(imu_residual(pre, *s, *predict(pre, *s, gravity())), 0.0, atol=TIGHT)


def test_the_transition_equals_finite_differences_of_the_prediction() -> None:
    """Oracle: central finite differences of `predict` at the linearisation biases, where both are exact."""
    rng = np.random.default_rng(8)
    for angle in (1e-8, 0.7, 3.0):
        pre = random_motion(rng, 0.5)
        s = random_state(rng, angle)
        s[3], s[4] = pre.bias[:3].copy(), pre.bias[3:].copy()
        base = after(pre, s)
        close(transition(pre, s[0]), differences(lambda d: apart(base, after(pre, moved_state(s, d))), 15))
