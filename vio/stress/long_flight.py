"""An endless flight: the pictures of a loop that closes, over and over, with inertial noise that never repeats.

Nothing of the past is kept but a few numbers a minute, so that memory and time per frame show what the engine itself gathers.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vio import lie
from vio.calibration import ImuNoise
from vio.compilation import warm_up
from vio.config import Config
from vio.io.progress import Progress
from vio.io.render_spec import RenderSpec
from vio.io.renderer import builtin_specs, flight_of
from vio.io.sequence import open_sequence
from vio.io.simulator import Inertial, measured
from vio.io.trajectory import Motion
from vio.odometry import Odometry
from vio.runner import peak_rss_mb
from vio.sweeps.shelf import Shelf, budget_bytes
from vio.types import FrameOutput, HealthState, NavState

LOOP = "endless"
_SEED, _LEAD, _PIECE = 7, 100, 20  # of the noise; samples before the first frame; loops of inertial data drawn at once
_SECONDS = 60  # of flight in a row of the table


@dataclass(frozen=True)
class Minute:
    """A minute of flight. ms_p50, ms_p99: of the engine per frame. rss_mb: resident memory at its end (None where the system does not tell).

    velocity_m_s, tilt_deg: RMS errors of the velocity in the body frame and of the direction of gravity. nees: mean squared error of
    the velocity over its covariance, 3 expected. good: share of the frames. last_id: newest feature number.
    """

    minute: float
    frames: int
    ms_p50: float
    ms_p99: float
    rss_mb: float | None
    velocity_m_s: float
    tilt_deg: float
    nees: float
    good: float
    last_id: int


def fly(config: Config, minutes: float, rendering: Progress | None = None) -> Iterator[Minute]:
    """Fly for so many minutes of flight and tell each as it ends. The loop is rendered on first use."""
    spec = builtin_specs()[LOOP]
    shelf = Shelf(lambda name, mono: open_sequence(name, mono, rendering), budget_bytes())
    sequence = shelf.open(LOOP, False)
    warm_up(sequence.calibration, config)
    engine = Odometry(sequence.calibration, config)
    motion, frames = _loop_motion(spec, sequence.calibration.imu.rate_hz), len(sequence.frame_t_ns)
    per_frame = len(motion.t_ns) // frames
    total = max(round(minutes * _SECONDS * spec.frame_hz), 1)
    supply = _Supply(motion, sequence.calibration.imu, int(sequence.frame_t_ns[0]), (total + 1) * per_frame + _LEAD, spec)
    tally = _Tally()
    for k in range(total):
        picture = sequence.load(k % frames)
        t_ns = int(sequence.frame_t_ns[0]) + round(k * 1e9 / spec.frame_hz)
        begin = time.perf_counter_ns()
        engine.add_imu(*supply.until(k * per_frame + 1))
        output = engine.add_frame(t_ns, picture.left, picture.right)
        tally.add(output, time.perf_counter_ns() - begin, motion, (k * per_frame) % len(motion.t_ns))
        if (k + 1) % round(_SECONDS * spec.frame_hz) == 0 or k + 1 == total:
            yield tally.minute((k + 1) / (_SECONDS * spec.frame_hz))
            tally = _Tally()


def _loop_motion(spec: RenderSpec, rate_hz: float) -> Motion:
    """Exact motion over one loop, sampled as the IMU samples it."""
    flight = flight_of(spec)
    return flight.at(flight.epoch_ns + np.rint(np.arange(round(spec.duration * rate_hz)) * (1e9 / rate_hz)).astype(np.int64))


_NOTHING = Inertial(np.zeros(0, np.int64), *(np.zeros((0, 3)) for _ in range(4)))


class _Supply:
    """Inertial samples of the endless flight, drawn a few loops at a time."""

    def __init__(self, motion: Motion, noise: ImuNoise, first_ns: int, samples: int, spec: RenderSpec) -> None:
        biases = np.array(spec.imu.gyro_bias), np.array(spec.imu.accel_bias)
        self._pieces = measured(_repeated(motion, first_ns, samples, noise.rate_hz), noise, _SEED, samples, *biases)
        self._waiting: Inertial | None = None
        self._given = 0  # samples handed out, and of the piece in hand
        self._at = 0

    def until(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Samples not yet given, up to `index` samples after the first frame."""
        parts = [_NOTHING]
        while self._given < index + _LEAD:
            if self._waiting is None or self._at == len(self._waiting.t_ns):
                self._waiting, self._at = next(self._pieces), 0
            stop = min(self._at + index + _LEAD - self._given, len(self._waiting.t_ns))
            part = slice(self._at, stop)
            parts.append(Inertial(*(getattr(self._waiting, name)[part] for name in ("t_ns", "w_B", "a_B", "b_g", "b_a"))))
            self._given, self._at = self._given + stop - self._at, stop
        return tuple(np.concatenate([getattr(part, name) for part in parts]) for name in ("t_ns", "w_B", "a_B"))


def _repeated(motion: Motion, first_ns: int, samples: int, rate_hz: float) -> Iterator[Motion]:
    """The loop's motion over and over, with stamps that go on, from `_LEAD` samples before the first frame."""
    n, size = len(motion.t_ns), _PIECE * len(motion.t_ns)
    for first in range(0, samples, size):
        index = np.arange(first, min(first + size, samples)) - _LEAD
        stamps = first_ns + np.rint(index * (1e9 / rate_hz)).astype(np.int64)
        yield Motion(stamps, *(getattr(motion, name)[index % n] for name in ("p_WB", "q_WB", "v_WB", "w_B", "a_B")))


class _Tally:
    """What a minute's row is made of."""

    def __init__(self) -> None:
        self._ns: list[int] = []
        self._errors: list[tuple[float, float, float]] = []
        self._good = self._last_id = 0

    def add(self, output: FrameOutput, ns: int, motion: Motion, index: int) -> None:
        """One frame, at sample `index` of the loop."""
        self._ns.append(ns)
        self._good += output.health.state is HealthState.GOOD
        self._last_id = max(self._last_id, int(output.tracks.ids.max(initial=0)))
        if output.state is not None:
            self._errors.append(_errors(output.state, motion, index))

    def minute(self, minute: float) -> Minute:
        """The row, after so many minutes."""
        p50, p99 = np.percentile(self._ns, [50, 99]) / 1e6
        squares = np.square(np.array(self._errors).reshape(-1, 3)).mean(axis=0) if self._errors else np.full(3, np.nan)
        return Minute(
            minute, len(self._ns), float(p50), float(p99), _resident_mb(), float(np.sqrt(squares[0])), float(np.rad2deg(np.sqrt(squares[1]))),
            float(squares[2]), self._good / len(self._ns), self._last_id,
        )  # fmt: skip


def _errors(state: NavState, motion: Motion, index: int) -> tuple[float, float, float]:
    """Velocity error in B (m/s), tilt error (rad) and square root of the velocity's NEES; yaw and position, which drift, do not enter."""
    R, R_true = state.T_WB[:3, :3], lie.matrix_from_quat(np.ascontiguousarray(motion.q_WB[index]))
    error = R.T @ state.v_WB - R_true.T @ motion.v_WB[index]
    tilt = np.arccos(np.clip(R[2] @ R_true[2], -1.0, 1.0))
    J = np.hstack([lie.skew(R.T @ state.v_WB), R.T])  # of R^T v with respect to (dtheta, dv)
    S = J @ state.covariance[3:9, 3:9] @ J.T
    return float(np.linalg.norm(error)), float(tilt), float(np.sqrt(max(error @ np.linalg.solve(S + 1e-12 * np.eye(3), error), 0.0)))


def _resident_mb() -> float | None:
    """Resident memory now in MB (10^6 bytes); where only the peak is known, that."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    return peak_rss_mb()
