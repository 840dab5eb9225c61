"""Inertial measurements of a flight: exact specific force and angular rate, and what a real IMU makes of them."""

import math
from dataclasses import dataclass

import numpy as np

from vio.calibration import ImuNoise
from vio.io import counter_rng
from vio.io.trajectory import Flight, Motion

_GYRO, _ACCEL, _GYRO_WALK, _ACCEL_WALK = range(4)  # streams of the random numbers


@dataclass(frozen=True)
class Inertial:
    """What the IMU reports, and the biases in it: t_ns (n,); w_B, b_g (n, 3) rad/s; a_B, b_a (n, 3) m/s^2."""

    t_ns: np.ndarray
    w_B: np.ndarray
    a_B: np.ndarray
    b_g: np.ndarray
    b_a: np.ndarray


def stamps(start: float, end: float, rate_hz: float, epoch_ns: int = 0) -> np.ndarray:
    """Stamps (n,) int64 at `rate_hz` within `start` .. `end`, seconds after `epoch_ns`, each rounded by itself: no drift."""
    first, last = math.ceil(start * rate_hz - 1e-6), math.floor(end * rate_hz + 1e-6)
    return epoch_ns + np.rint(np.arange(first, last + 1) * (1e9 / rate_hz)).astype(np.int64)


def simulate_flight(flight: Flight, rate_hz: float = 200.0) -> Motion:
    """Noiseless kinematics over the whole flight: arrays t_ns, p_WB, q_WB, v_WB, w_B, a_B (see `Motion`)."""
    return flight.at(stamps(flight.start, flight.end, rate_hz, flight.epoch_ns))


def measure(motion: Motion, noise: ImuNoise, seed: int, b_g: np.ndarray, b_a: np.ndarray) -> Inertial:
    """Add white noise and biases that start at `b_g`, `b_a` (3,) and walk at random.

    A density becomes a sample's deviation by sqrt(rate) for the noise and by sqrt(dt) for a step of the walk
    (Kalibr's noise model; Crassidis 2006, eq. 109). `motion` must be sampled at `noise.rate_hz`.
    """
    shape = motion.w_B.shape
    root_rate = np.sqrt(noise.rate_hz)

    def normal(stream: int, deviation: float) -> np.ndarray:
        return deviation * counter_rng.gaussian(seed, stream, shape=shape)

    gyro_bias = b_g + _walk(normal(_GYRO_WALK, noise.gyro_walk / root_rate))
    accel_bias = b_a + _walk(normal(_ACCEL_WALK, noise.accel_walk / root_rate))
    w_B = motion.w_B + gyro_bias + normal(_GYRO, noise.gyro_noise * root_rate)
    a_B = motion.a_B + accel_bias + normal(_ACCEL, noise.accel_noise * root_rate)
    return Inertial(motion.t_ns, w_B, a_B, gyro_bias, accel_bias)


def _walk(steps: np.ndarray) -> np.ndarray:
    """Running sum of steps (n, 3) that starts at zero."""
    return np.vstack([np.zeros((1, 3)), np.cumsum(steps[1:], axis=0)])
