"""Faults of the inertial samples: gaps, saturation, spikes, noise, wrong units, a table cut short."""

from dataclasses import dataclass, replace

import numpy as np

from vio.io.faults.base import Fault, choice, duration, number, start
from vio.io.faults.take import Take

STANDARD_GRAVITY = 9.80665  # m/s^2 per g (3rd CGPM, 1901)


@dataclass(frozen=True)
class ImuGap(Fault):
    """No inertial samples for `duration` s."""

    start: float = start()
    duration: float = number(0.2, "s", 0.0)

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Leave the samples out."""
        return take.select_imu(~take.imu_within(self.start, self.duration))


@dataclass(frozen=True)
class ImuDrop(Fault):
    """Single inertial samples are missing: `share` of them, at random."""

    share: float = number(0.05, "of the samples", 0.0, 0.95)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Leave samples out."""
        return take.select_imu(~(take.imu_within(self.start, self.duration) & (rng.random(len(take.imu_t_ns)) < self.share)))


@dataclass(frozen=True)
class ImuSaturation(Fault):
    """The range of the sensors ends at +-`gyro` rad/s and +-`accel` m/s^2."""

    gyro: float = number(0.3, "rad/s", 1e-6)
    accel: float = number(1000.0, "m/s^2", 1e-6)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Clip the values."""
        inside = take.imu_within(self.start, self.duration)[:, None]
        w_B = np.where(inside, np.clip(take.imu_w_B, -self.gyro, self.gyro), take.imu_w_B)
        a_B = np.where(inside, np.clip(take.imu_a_B, -self.accel, self.accel), take.imu_a_B)
        return replace(take, imu_w_B=w_B, imu_a_B=a_B)


@dataclass(frozen=True)
class ImuSpikes(Fault):
    """Single samples jump: `rate` of them per second, at random, on a random axis and with a random sign."""

    sensor: str = choice("both", "gyro", "accel")
    rate: float = number(1.0, "1/s", 0.0)
    gyro: float = number(10.0, "rad/s", 0.0)
    accel: float = number(60.0, "m/s^2", 0.0)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Add the jumps."""
        period = float(np.median(np.diff(take.imu_t_ns))) / 1e9
        hit = np.flatnonzero(take.imu_within(self.start, self.duration) & (rng.random(len(take.imu_t_ns)) < self.rate * period))
        axis, sign = rng.integers(0, 3, len(hit)), rng.choice([-1.0, 1.0], len(hit))
        w_B, a_B = take.imu_w_B.copy(), take.imu_a_B.copy()
        w_B[hit, axis] += sign * self.gyro * (self.sensor != "accel")
        a_B[hit, axis] += sign * self.accel * (self.sensor != "gyro")
        return replace(take, imu_w_B=w_B, imu_a_B=a_B)


@dataclass(frozen=True)
class ImuNoise(Fault):
    """White noise beyond the declared densities, as deviations of a sample."""

    gyro: float = number(0.05, "rad/s", 0.0)
    accel: float = number(0.5, "m/s^2", 0.0)

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Add the noise."""
        shape = take.imu_w_B.shape
        return replace(take, imu_w_B=take.imu_w_B + rng.normal(0.0, self.gyro, shape), imu_a_B=take.imu_a_B + rng.normal(0.0, self.accel, shape))


@dataclass(frozen=True)
class Units(Fault):
    """Wrong units: rates in degrees per second, specific force in g, or both."""

    sensor: str = choice("both", "gyro", "accel")

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Scale the values."""
        w_B = take.imu_w_B if self.sensor == "accel" else np.rad2deg(take.imu_w_B)
        a_B = take.imu_a_B if self.sensor == "gyro" else take.imu_a_B / STANDARD_GRAVITY
        return replace(take, imu_w_B=w_B, imu_a_B=a_B)


@dataclass(frozen=True)
class TruncatedTable(Fault):
    """A table ends early, in the middle of a row: that of the IMU or of a camera. On the fly the rows after that are missing."""

    sensor: str = choice("imu", "left", "right")
    share: float = number(0.7, "of the recording that remains", 0.0, 1.0)

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Leave the rest out and mark the table."""
        if self.sensor == "imu":
            kept = max(round(self.share * len(take.imu_t_ns)), 2)
            return replace(take.select_imu(np.arange(kept)), cut=(*take.cut, "imu0"))
        kept = max(round(self.share * len(take.frame_t_ns)), 2)
        take.slots(self.sensor)
        return replace(take.select(np.arange(kept)), cut=(*take.cut, "cam0" if self.sensor == "left" else "cam1"))
