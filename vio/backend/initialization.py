"""The first state: gravity direction and gyro bias from the inertial samples before the first frame, and how much to trust them."""

from dataclasses import dataclass, field, replace

import numpy as np

from vio.backend.prior import Prior
from vio.backend.residuals import GRAVITY
from vio.config import InitialConfig, MonoConfig
from vio.lie import so3_exp
from vio.types import NavState


@dataclass(frozen=True)
class InitialState:
    """First estimate of R_WB (3, 3), b_g (3,) and v_WB (3,), their prior, and the word for `Health.initialised_by`."""

    R_WB: np.ndarray
    b_g: np.ndarray
    prior: Prior
    how: str
    v_WB: np.ndarray = field(default_factory=lambda: np.zeros(3))


def upright(a_B: np.ndarray) -> np.ndarray:
    """Rotation R_WB (3, 3) with zero yaw that turns the specific force a_B (3,) to the world's +z."""
    z_B = a_B / np.linalg.norm(a_B)
    x_B = np.array([1.0, 0.0, 0.0]) if abs(z_B[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    y_B = np.cross(z_B, x_B)
    y_B /= np.linalg.norm(y_B)
    return np.stack([np.cross(y_B, z_B), y_B, z_B])


def initial_state(
    t_ns: np.ndarray, w_B: np.ndarray, a_B: np.ndarray, at_ns: int, config: InitialConfig, mono: MonoConfig | None = None
) -> InitialState:
    """First state at `at_ns` from samples up to it: stamps (n,) int64, w_B, a_B (n, 3), n >= 1.

    Standing still is recognised by the spread of gyro and accelerometer over the window; moving samples are turned into the last
    body frame by the gyro before averaging, so that rotation does not smear gravity. mono: where one camera leaves the velocity open.
    """
    t, w, a = _last(t_ns, w_B, a_B, at_ns, config.accel_window)
    still = len(t) >= 10 and w.std(0).max() < config.still_gyro and a.std(0).max() < config.still_accel
    still = still and abs(np.linalg.norm(a.mean(0)) - 9.81) < 0.5 and np.abs(w.mean(0)).max() < 0.15
    b_g = w.mean(0) if still else np.zeros(3)
    if mono is not None and not still:
        R_WB, v_WB = wavering(*_last(t_ns, w_B, a_B, at_ns, mono.span))
        known = replace(config, tilt_sigma_moving=mono.tilt_sigma, velocity_sigma_moving=mono.velocity_sigma)
        return InitialState(R_WB, b_g, _prior(R_WB, still, known), "motion", v_WB)
    R_WB = upright(_total(_turned(t, w, a, b_g)))
    return InitialState(R_WB, b_g, _prior(R_WB, still, config), "standstill" if still else "motion")


def wavering(t_ns: np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R_WB (3, 3) and v_WB (3,) at the last of samples (n,), (n, 3), (n, 3) of a rig that went to and fro: in the mean over them its
    acceleration is level with the ground, and its velocity zero."""
    dt, forces = np.diff(t_ns) * 1e-9, _turned(t_ns, w_B, a_B, np.zeros(3))
    R_WB = upright(_total(forces))
    a_WB = forces @ R_WB.T - [0.0, 0.0, GRAVITY]
    gains = 0.5 * (a_WB[1:] + a_WB[:-1]) * dt[:, None]
    yet_to_come = np.concatenate([np.cumsum(gains[::-1], axis=0)[::-1], np.zeros((1, 3))])
    return R_WB, yet_to_come.mean(axis=0)


def _last(t_ns: np.ndarray, w_B: np.ndarray, a_B: np.ndarray, at_ns: int, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The samples of the last seconds before at_ns, at least one."""
    first = min(int(np.searchsorted(t_ns, at_ns - round(seconds * 1e9))), len(t_ns) - 1)
    return t_ns[first:], w_B[first:], a_B[first:]


def _turned(t_ns: np.ndarray, w_B: np.ndarray, a_B: np.ndarray, b_g: np.ndarray) -> np.ndarray:
    """Specific forces (n, 3) in the last body frame."""
    R, out = np.eye(3), a_B.copy()
    for i in range(len(t_ns) - 2, -1, -1):  # a few hundred samples, once
        R = R @ so3_exp(-(0.5 * (w_B[i] + w_B[i + 1]) - b_g) * (t_ns[i + 1] - t_ns[i]) * 1e-9)
        out[i] = R @ a_B[i]
    return out


def _total(forces: np.ndarray) -> np.ndarray:
    """Sum (3,) of forces (n, 3), or up where that is nothing."""
    total = forces[::-1].sum(axis=0)
    return total if np.linalg.norm(total) > 1e-3 else np.array([0.0, 0.0, 1.0])


def _prior(R_WB: np.ndarray, still: bool, config: InitialConfig) -> Prior:
    """Prior of the first state: position and yaw fixed (they define W), the rest by the configured sigmas."""
    tilt = config.tilt_sigma_still if still else config.tilt_sigma_moving
    velocity = config.velocity_sigma_still if still else config.velocity_sigma_moving
    gyro = 0.1 * config.gyro_bias_sigma if still else config.gyro_bias_sigma
    H = np.zeros((15, 15))
    H[:3, :3] = np.eye(3) / 1e-3**2
    H[3:6, 3:6] = R_WB.T @ np.diag([tilt**-2, tilt**-2, 1e-3**-2]) @ R_WB
    for at, sigma in ((6, velocity), (9, gyro), (12, config.accel_bias_sigma)):
        H[at : at + 3, at : at + 3] = np.eye(3) / sigma**2
    return Prior(H, np.zeros(15))


def expanded(R_WB: np.ndarray, b_g: np.ndarray, b_a: np.ndarray, config: InitialConfig) -> Prior:
    """The prior of a first state in motion, expanded where its estimate is now: only position, yaw and what is known of the biases hold it.

    How the rig was inclined and how fast it was has been a guess, by an accelerometer that could not tell gravity from acceleration.
    """
    prior = _prior(R_WB, False, config)
    b = np.zeros(15)
    b[9:12], b[12:15] = prior.H[9, 9] * b_g, prior.H[12, 12] * b_a
    return Prior(prior.H, b)


def doubtful(t_ns: int, last: NavState, config: InitialConfig) -> NavState:
    """The pose of `last` at t_ns, standing still without biases, as uncertain as the first state of a moving rig; position and yaw are kept."""
    sigma = [1e-3, config.tilt_sigma_moving, config.velocity_sigma_moving, config.gyro_bias_sigma, config.accel_bias_sigma]
    variance = np.repeat(np.square(sigma), 3)
    still = np.zeros(3)
    return NavState(t_ns, last.T_WB, still, still, still, np.diag(variance))
