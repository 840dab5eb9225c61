"""Exact flights and the windows made of them, for the tests of the back end."""

from functools import lru_cache

import numpy as np
from vio.backend import landmarks, window
from vio.backend.back_end import _make_rig
from vio.backend.factors import Factors, new_factors
from vio.backend.preintegration import Preintegrated, integrate_span, preintegrated
from vio.backend.views import Views, new_views, relate
from vio.config import Config, OnlineConfig
from vio.events import new_counts
from vio.io.euroc_rig import euroc_rig
from vio.io.trajectory import Channel, Flight, Harmonics, Motion, from_harmonics
from vio.lie import matrix_from_quat, so3_exp

CALIBRATION = euroc_rig()
RIG = _make_rig(CALIBRATION, Config())
GYRO_VAR, ACCEL_VAR = CALIBRATION.imu.gyro_noise**2, CALIBRATION.imu.accel_noise**2


NOTHING = OnlineConfig(time_offset=False)  # of the calibration is estimated


@lru_cache(maxsize=8)
def flight(seconds: float = 6.0, rest: float = 0.0, ramp: float = 0.0) -> Flight:
    """A lively flight in a room of some metres; without rest and ramp it moves from the first moment on."""
    shape = Harmonics(
        rest=rest,
        ramp=ramp,
        x=Channel(waves=((1.0, 0.21, 10.0), (0.1, 0.9, 0.0))),
        y=Channel(waves=((0.8, 0.27, 70.0),)),
        z=Channel(waves=((0.3, 0.4, 20.0),)),
        yaw=Channel(waves=((40.0, 0.15, 0.0),)),
        pitch=Channel(waves=((8.0, 0.5, 40.0),)),
        roll=Channel(waves=((10.0, 0.37, 0.0),)),
    )
    return from_harmonics(shape, 0.0, seconds)


def rotations(motion: Motion) -> np.ndarray:
    """R_WB (n, 3, 3) of a motion."""
    return np.array([matrix_from_quat(q) for q in motion.q_WB])


def span(imu: Motion, begin_ns: int, end_ns: int, bias: np.ndarray | None = None) -> Preintegrated:
    """Preintegration of noiseless samples between two stamps, linearised at `bias` (6,)."""
    b = np.zeros(6) if bias is None else bias
    pre = preintegrated(b[:3], b[3:])
    integrate_span(pre, imu.t_ns, imu.w_B, imu.a_B, begin_ns, end_ns, GYRO_VAR, ACCEL_VAR, new_counts())
    return pre


def room_points(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points (count, 3) on the walls, floor and ceiling of a room of 10 x 10 x 5 m around the origin."""
    half = np.array([5.0, 5.0, 2.5])
    points = rng.uniform(-half, half, (count, 3))
    axis = rng.integers(0, 3, count)
    points[np.arange(count), axis] = np.sign(points[np.arange(count), axis]) * half[axis]
    return points


def seen_from(R_WB: np.ndarray, p_WB: np.ndarray, camera: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised image points (n, 2) and whether each lies in the picture, for camera 0 (left) or 1 (right)."""
    y = ((points - p_WB) @ R_WB) @ RIG.R_cam[camera].T + RIG.t_cam[camera]
    xy = y[:, :2] / np.where(np.abs(y[:, 2:]) < 1e-9, 1e-9, y[:, 2:])
    return xy, (y[:, 2] > 0.3) & (np.abs(xy[:, 0]) < 0.75) & (np.abs(xy[:, 1]) < 0.5)


def whitening(w: window.Window, m: int, t: int, c: int, left_counts: bool = True) -> tuple[float, np.ndarray]:
    """Scale of an observation's error, and the share P (2, 2) of the left camera's error to take from it before."""
    if c == 1 and w.seen[m, t, 0] and left_counts:
        return RIG.stereo[0], RIG.beside
    return RIG.scale[c] * RIG.fade[t - w.host[m]], np.zeros((2, 2))


def _error(w: window.Window, m: int, t: int, c: int) -> np.ndarray | None:
    """Error (2,) of one observation on the normalised image plane straight from the geometry; None behind the camera."""
    x, y, rho = w.point[m]
    in_host = RIG.R_BC @ np.array([x, y, 1.0]) + rho * RIG.t_BC
    in_target = w.R[t].T @ (w.R[w.host[m]] @ in_host + rho * (w.p[w.host[m]] - w.p[t]))
    seen = RIG.R_cam[c] @ in_target + rho * RIG.t_cam[c]
    return None if seen[2] < landmarks.NEAREST else seen[:2] / seen[2] - w.xy[m, t, c]


def reprojection(w: window.Window, m: int, t: int, c: int) -> np.ndarray | None:
    """Whitened residual (2,) of one observation straight from the geometry; None behind the camera."""
    own, left = _error(w, m, t, c), _error(w, m, t, 0)
    scale, P = whitening(w, m, t, c, left is not None)
    return None if own is None else scale * (own - P @ left if P.any() else own)


def views(R: np.ndarray, p: np.ndarray) -> Views:
    """Views of all keyframes with poses R (n, 3, 3), p (n, 3)."""
    out = new_views(len(R))
    relate(R, p, RIG, len(R), out)
    return out


def jacobian(w: window.Window, rig: window.Rig, lin: Views, m: int, t: int, c: int) -> tuple[np.ndarray, np.ndarray]:
    """(J_h, J_l) of one whitened observation, put together of what the kernel gives of each camera."""
    scale, P = whitening(w, m, t, c)
    J_h, J_l, left_h, left_l = np.empty((2, 6)), np.empty((2, 3)), np.zeros((2, 6)), np.zeros((2, 3))
    assert landmarks.jacobian(w, rig, lin, w.R_lin[w.host[m]], m, t, c, scale, J_h, J_l)
    if P.any():
        assert landmarks.jacobian(w, rig, lin, w.R_lin[w.host[m]], m, t, 0, scale, left_h, left_l)
    return J_h - P @ left_h, J_l - P @ left_l


def reprojection_jacobian(w: window.Window, m: int, t: int, c: int) -> list[np.ndarray]:
    """(J_h, J_t, J_l) of one observation by the kernels."""
    lin = views(w.R_lin, w.p_lin)
    J_h, J_l = jacobian(w, RIG, lin, m, t, c)
    return [J_h, -J_h @ lin.Y[w.host[m], t], J_l]


def scratch_of(w: window.Window) -> landmarks.Scratch:
    """Scratch memory of a full window with its views filled."""
    scratch = landmarks.new_scratch(len(w.R), len(w.ids))
    relate(w.R, w.p, RIG, len(w.R), scratch.now)
    relate(w.R_lin, w.p_lin, RIG, len(w.R), scratch.lin)
    return scratch


def noisy_window(seed: int, n: int, landmarks: int, state_sigma: float = 1e-2, pixel: float = 0.3) -> tuple[window.Window, Factors]:
    """A window of n keyframes 0.2 s apart whose states and landmarks are off by noise, and its inertial factors."""
    rng = np.random.default_rng(seed)
    motion = flight().at(np.arange(n, dtype=np.int64) * 200_000_000)
    imu = flight().at(np.arange(int(n * 40 + 1), dtype=np.int64) * 5_000_000)
    w, f, R = window.new_window(n, landmarks), new_factors(max(n - 1, 1)), rotations(motion)
    for i in range(n):
        w.R[i] = R[i] @ so3_exp(state_sigma * rng.normal(size=3))
        for array, truth in ((w.p, motion.p_WB[i]), (w.v, motion.v_WB[i]), (w.bg, np.zeros(3)), (w.ba, np.zeros(3))):
            array[i] = truth + state_sigma * rng.normal(size=3)
    for i in range(n - 1):
        pre = span(imu, motion.t_ns[i], motion.t_ns[i + 1])
        for target, source in zip(f[:7], pre, strict=True):
            target[i] = source
        f.information[i] = np.linalg.inv(pre.covariance + 1e-8 * np.eye(9))
        f.walk[i] = 1e4, 1e3
    _landmarks(w, rng, R, motion.p_WB, pixel)
    window.relinearise(w, n)
    return w, f


def _landmarks(w: window.Window, rng: np.random.Generator, R: np.ndarray, p: np.ndarray, pixel: float) -> None:
    """Fill every row of the window with a landmark in front of a random host, seen by it and the keyframes after it."""
    n, rows = len(R), len(w.ids)
    w.ids[:], w.ready[:] = np.arange(rows), True
    w.host[:] = np.arange(rows) % max(n - 1, 1)
    rays = np.column_stack([rng.uniform(-0.6, 0.6, rows), rng.uniform(-0.4, 0.4, rows), np.ones(rows)])
    depth = rng.uniform(1.5, 6.0, rows)
    T = CALIBRATION.T_BC
    for m in range(rows):
        h = w.host[m]
        X = R[h] @ (T[:3, :3] @ (depth[m] * rays[m]) + T[:3, 3]) + p[h]
        w.point[m] = rays[m, 0], rays[m, 1], 1.0 / depth[m]
        for t in range(h, n):
            for c in range(2):
                xy, inside = seen_from(R[t], p[t], c, X[None])
                w.seen[m, t, c] = inside[0] or (t == h and c == 0)
                w.xy[m, t, c] = xy[0] + pixel / 458.0 * rng.normal(size=2)
    w.point[:, 2] *= 1.0 + 0.05 * rng.normal(size=rows)
