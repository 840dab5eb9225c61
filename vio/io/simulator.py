"""Inertial measurements of a flight: exact specific force and angular rate, and what a real IMU makes of them."""

import math
from collections.abc import Iterable, Iterator
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


@dataclass(frozen=True)
class ImuFaults:
    """Matrices M (3, 3) that the true rates and forces are multiplied with, and the sensors' ranges in rad/s and m/s^2."""

    gyro: np.ndarray
    accel: np.ndarray
    gyro_limit: float
    accel_limit: float


IDEAL = ImuFaults(np.eye(3), np.eye(3), np.inf, np.inf)


def measure(motion: Motion, noise: ImuNoise, seed: int, b_g: np.ndarray, b_a: np.ndarray, faults: ImuFaults = IDEAL) -> Inertial:
    """Add white noise and biases that start at `b_g`, `b_a` (3,) and walk at random.

    A density becomes a sample's deviation by sqrt(rate) for the noise and by sqrt(dt) for a step of the walk
    (Kalibr's noise model; Crassidis 2006, eq. 109). `motion` must be sampled at `noise.rate_hz`.
    """
    return _Sensor(noise, seed, len(motion.t_ns), b_g, b_a, faults).measure(motion)


def measured_pieces(
    flight: Flight, t_ns: np.ndarray, noise: ImuNoise, seed: int, b_g: np.ndarray, b_a: np.ndarray, faults: ImuFaults = IDEAL, piece: int = 8192
) -> Iterator[tuple[Motion, Inertial]]:
    """Motion and measurements at stamps t_ns (n,), `piece` of them at a time: the same numbers as all at once, in constant memory."""
    sensor = _Sensor(noise, seed, len(t_ns), b_g, b_a, faults)
    for first in range(0, len(t_ns), piece):
        motion = flight.at(t_ns[first : first + piece])
        yield motion, sensor.measure(motion)


def measured(motions: Iterable[Motion], noise: ImuNoise, seed: int, samples: int, b_g: np.ndarray, b_a: np.ndarray) -> Iterator[Inertial]:
    """Measurements of one piece of a motion after the other, `samples` in all, with noise and walking biases as of `measure`."""
    sensor = _Sensor(noise, seed, samples, b_g, b_a, IDEAL)
    for motion in motions:
        yield sensor.measure(motion)


class _Sensor:
    """An IMU that measures one piece of a flight after the other; the biases' walks go on from piece to piece."""

    def __init__(self, noise: ImuNoise, seed: int, samples: int, b_g: np.ndarray, b_a: np.ndarray, faults: ImuFaults) -> None:
        self._noise, self._seed, self._samples, self._faults = noise, seed, samples, faults
        self._start = {_GYRO_WALK: b_g, _ACCEL_WALK: b_a}
        self._walked = {_GYRO_WALK: np.zeros((1, 3)), _ACCEL_WALK: np.zeros((1, 3))}
        self._done = 0

    def measure(self, motion: Motion) -> Inertial:
        """The next samples, at the motion's stamps."""
        noise, faults, rows, root = self._noise, self._faults, len(motion.t_ns), np.sqrt(self._noise.rate_hz)
        b_g = self._bias(_GYRO_WALK, noise.gyro_walk / root, rows)
        b_a = self._bias(_ACCEL_WALK, noise.accel_walk / root, rows)
        w_B = _through(faults.gyro, motion.w_B) + b_g + self._normal(_GYRO, noise.gyro_noise * root, rows)
        a_B = _through(faults.accel, motion.a_B) + b_a + self._normal(_ACCEL, noise.accel_noise * root, rows)
        self._done += rows
        limits = faults.gyro_limit, faults.accel_limit
        return Inertial(motion.t_ns, np.clip(w_B, -limits[0], limits[0]), np.clip(a_B, -limits[1], limits[1]), b_g, b_a)

    def _normal(self, stream: int, deviation: float, rows: int) -> np.ndarray:
        return deviation * counter_rng.gaussian(self._seed, stream, shape=(self._samples, 3), first=self._done, rows=rows)

    def _bias(self, stream: int, deviation: float, rows: int) -> np.ndarray:
        """Biases (rows, 3): start plus the running sum of steps, which begins at zero."""
        steps = self._normal(stream, deviation, rows)
        if self._done == 0:
            steps[0] = 0.0
        walk = np.cumsum(np.vstack([self._walked[stream], steps]), axis=0)[1:]
        self._walked[stream] = walk[-1:]
        return self._start[stream] + walk


def _through(M: np.ndarray, v: np.ndarray) -> np.ndarray:
    """M v for vectors (n, 3); with the identity, v itself to the last bit."""
    return v if np.array_equal(M, np.eye(3)) else v @ M.T
