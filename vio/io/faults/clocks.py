"""Faults of the stamps: offset, drift, jitter, order."""

from dataclasses import dataclass, replace

import numpy as np

from vio.io.faults.base import Fault, choice, duration, number, start
from vio.io.faults.take import Take


@dataclass(frozen=True)
class ClockOffset(Fault):
    """The cameras' clock runs ahead of the IMU's by `ms`; the ground truth stays on the IMU's."""

    ms: float = number(20.0, "ms, negative: behind")

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Add it to every frame's stamp."""
        return replace(take, frame_t_ns=take.frame_t_ns + round(self.ms * 1e6))


@dataclass(frozen=True)
class ClockDrift(Fault):
    """The cameras' clock runs too fast by `ppm` millionths from the first frame on."""

    ppm: float = number(1000.0, "1e-6, negative: too slow", -1e5, 1e5)

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Stretch the frames' stamps about the first."""
        since = take.frame_t_ns - take.frame_t_ns[0]
        return replace(take, frame_t_ns=take.frame_t_ns + np.rint(since * (self.ppm * 1e-6)).astype(np.int64))


@dataclass(frozen=True)
class Jitter(Fault):
    """Stamps scatter about the true time with a deviation of `ms`, cut off at 45 % of the sensor's period, so that their order stays."""

    sensor: str = choice("camera", "imu")
    ms: float = number(4.0, "ms", 0.0)

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Add the noise to the stamps."""
        if self.sensor == "camera":
            return replace(take, frame_t_ns=_scattered(take.frame_t_ns, self.ms, rng))
        return replace(take, imu_t_ns=_scattered(take.imu_t_ns, self.ms, rng))


@dataclass(frozen=True)
class OutOfOrder(Fault):
    """Samples come out of order: `share` of the neighbours have changed places, in the IMU's table or among the frames."""

    sensor: str = choice("imu", "camera")
    share: float = number(0.02, "of the samples", 0.0, 0.5)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Exchange rows with the next one."""
        if self.sensor == "camera":
            return take.select(_exchanged(take.frames_within(self.start, self.duration), self.share, rng))
        return take.select_imu(_exchanged(take.imu_within(self.start, self.duration), self.share, rng))


def _scattered(t_ns: np.ndarray, ms: float, rng: np.random.Generator) -> np.ndarray:
    """Stamps (n,) plus noise that cannot change their order."""
    limit = 0.45 * float(np.median(np.diff(t_ns)))
    return t_ns + np.rint(np.clip(rng.normal(0.0, ms * 1e6, len(t_ns)), -limit, limit)).astype(np.int64)


def _exchanged(inside: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Order (n,) in which pairs of neighbours within the mask (n,) have changed places, no row twice."""
    order, pairs = np.arange(len(inside)), len(inside) // 2
    first = 2 * np.flatnonzero(rng.random(pairs) < share)
    first = first[inside[first] & inside[first + 1]]
    order[first], order[first + 1] = first + 1, first
    return order
