"""The whole algorithm: inertial samples and frames in, navigation states with health out."""

import hashlib
import time
import zlib
from collections import ChainMap
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from vio.backend.back_end import BackEnd, Settled
from vio.backend.initialization import doubtful, initial_state
from vio.backend.online_calibration import Estimate, Instant
from vio.backend.preintegration import GAP_ACCEL, GAP_GYRO, Preintegrated, integrate_span, preintegrated
from vio.backend.snapshot import Snapshot
from vio.backend.standstill import Standstill
from vio.beat import Beat, lateness
from vio.calibration import Calibration
from vio.config import Config, dumps
from vio.events import new_counts
from vio.eyes import Eyes
from vio.frontend.front_end import FrontEnd
from vio.frontend.workers import Workers
from vio.health import HealthMonitor, ImuScreen
from vio.lie import orthonormalised
from vio.precision import Logs
from vio.saved import Maybe, Table, pack, require, unpack
from vio.solving import Solving
from vio.types import FrameOutput, FrontEndOutput, Health, Landmarks, NavState, Observations, StereoFrame

_Span = tuple[np.ndarray, np.ndarray, np.ndarray, int, int, float, float]  # what `integrate_span` takes
_EMPTY = (np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))
_SHORTEST_NS = 1_000_000  # between two frames whose order an estimate of the clocks would reverse
_HISTORY_NS = 1_000_000_000  # inertial samples kept before the first frame
_USUAL_DEPTH = 3.0  # m, to guess by how much pictures move
STATE_VERSION = 2  # of `Odometry.state_dict`
_PROTOTYPES = {
    "_imu": _EMPTY, "_pre": Maybe(preintegrated(np.zeros(3), np.zeros(3))), "_last_t_ns": Maybe(0), "_at_ns": Maybe(0),
    "_last": Maybe(NavState(0, np.eye(4), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros((15, 15)))), "_picture": 0, "_initialised_by": "",
    "_settled": Settled(np.zeros(3), np.zeros(3), np.eye(3), 0), "_key_t_ns": 0,
}  # fmt: skip


class Odometry:
    """Stereo (or mono) visual-inertial odometry of one rig. Feed samples and frames in time order; not thread-safe.

    Objects share nothing: several may run in threads of their own.
    """

    def __init__(self, calibration: Calibration, config: Config | None = None, logs: Logs | None = None, threads: int = 1) -> None:
        """Allocate everything for `calibration`; `config` defaults to the reference design. logs: see `FrontEnd`.

        threads: those at work on one frame; the outputs are the same bits for any number.
        """
        self.config = config or Config()
        self.calibration = calibration
        self._logs, self._threads, self._workers = logs, threads, Workers(threads)
        self.reset()

    def reset(self) -> None:
        """Forget everything but calibration and configuration."""
        self._eyes = Eyes(self.calibration, self.config)
        self._front_end = FrontEnd(self.calibration, self.config, self._logs, workers=self._workers)
        self._back_end = BackEnd(self.calibration, self.config)
        self._solving, self._settled = Solving(self._threads), self._back_end.settled()
        self._key_t_ns = 0  # stamp of the keyframe being solved
        self._screen, self._monitor = ImuScreen(self.config.health), HealthMonitor(self.config.health)
        self._imu = _EMPTY  # samples (t_ns, w_B, a_B) not older than the last frame, and one before it
        self._pre: Preintegrated | None = None  # since the last keyframe
        self._last_t_ns: int | None = None
        self._at_ns: int | None = None  # the same instant on the IMU's clock, as it was placed
        self._last: NavState | None = None
        self._standstill = Standstill(self.config, self.calibration.left.fx)
        self._beat = Beat(self.config.online)
        self._picture = 0  # checksum of the last left picture
        self._initialised_by = ""

    def add_imu(self, t_ns: int | np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> None:
        """Add one sample or many: t_ns () or (n,) ns ascending, w_B, a_B (3,) or (n, 3) rad/s and m/s^2 (specific force).

        Samples that are not finite, beyond the sensor's range, not later than the last one or spikes are dropped and reported by the next frame.
        """
        t = np.atleast_1d(np.asarray(t_ns, np.int64))
        w, a = np.asarray(w_B, np.float64).reshape(-1, 3), np.asarray(a_B, np.float64).reshape(-1, 3)
        if not len(t) == len(w) == len(a):
            raise ValueError(f"add_imu: {len(t)} stamps, {len(w)} rates and {len(a)} accelerations; the counts must agree")
        believed, reasons = self._screen.screen(t, w, a)
        self._monitor.note(*reasons)
        self._imu = tuple(np.concatenate(pair) for pair in zip(self._imu, believed, strict=True))

    def add_frame(self, t_ns: int, left: np.ndarray, right: np.ndarray | None = None) -> FrameOutput:
        """Process one frame: left, right (height, width) uint8, right None in mono; returns its state, tracks, counts and health.

        Feed the inertial samples up to the first one at or after `t_ns` before. A frame that is not later than the last one is left
        out: its output has no state, and the reason. Raises ValueError for pictures of another size.
        """
        frame, counts, clock = self._eyes.ordered(StereoFrame(t_ns, left, right)), new_counts(), _Clock()
        self._front_end.check(frame)
        if self._last_t_ns is not None and t_ns <= self._last_t_ns:
            return self._left_out(t_ns, counts)
        stamp = t_ns + self._beat.enter(t_ns)
        at_ns = self._on_imu_clock(stamp)
        R_C1C0, span = self._advance(frame, at_ns)
        clock.lap("imu")
        seen, solved_t_ns = self._looked(frame, at_ns, R_C1C0, span, counts, clock)
        state, work = None, None
        if self._pre is not None:
            state, _ = self._back_end.refine_frame(self._pre, seen.observations, counts)
            self._ask_when(state)
            if self._eyes.must_swap(frame, "picture_blind" in seen.notes):
                state, seen = self._swapped(state, frame, counts)
            elif self._monitor.must_restart(state, len(seen.observations.ids)):
                state = self._restarted(state)
            clock.lap("refine")
        elif len(self._imu[0]):
            self._start(at_ns)
        if rests := self._rests(seen):
            state = self._hold(seen, counts)
            clock.lap("back_end")
        elif self._initialised_by and (seen.is_keyframe or self._pre is None):
            work = self._entry(seen.observations, state, t_ns, self._instant(stamp, at_ns))
            if self._pre is None:  # the first of a window: only its solution is a state
                state, work, solved_t_ns = work(counts), None, t_ns
                self._settle()
                clock.lap("back_end")
        self._monitor.look(seen, self.calibration.right is not None, self._eyes.other_sees(frame))
        self._last_t_ns, self._at_ns, self._last = t_ns, at_ns, state
        output = FrameOutput(t_ns, state, seen.tracks, counts, self._health(t_ns, state), seen.is_keyframe and not rests, clock.laps, solved_t_ns)
        if work is not None:
            self._solving.start(work)
        return output

    def finish(self) -> np.ndarray:
        """Wait for the last keyframe to be solved; returns counts (events,) of that work, which no frame has heard of. More frames may follow."""
        self._solving.wait()
        return self._solving.counts if self._solving.is_pending else new_counts()

    def state_dict(self) -> Table:
        """Everything that the coming outputs depend on, as plain arrays by name: `numpy.savez` keeps them without pickle."""
        self._solving.wait()
        parts = [self._front_end.state_dict(), self._back_end.state_dict()]
        parts += [pack(part, part.prototypes(), name) for name, part in self._parts()]
        own = {"version": np.array(STATE_VERSION), "identity": np.array(self._identity())} | pack(self, _PROTOTYPES, "odometry")
        return dict(ChainMap(own, *parts))

    def load_state_dict(self, table: Table) -> None:
        """Go on from where `state_dict` was called, bit for bit.

        Raises DataError, and stays as it was, for a state that is damaged, of another version, or of another configuration or calibration.
        """
        version = np.asarray(table.get("version", -1))
        require(version.shape == () and version == STATE_VERSION, f"version {version}, this program reads {STATE_VERSION}")
        require(str(table.get("identity")) == self._identity(), "saved with another configuration or calibration")
        other = Odometry(self.calibration, self.config, self._logs, self._threads)
        other.__dict__.update(unpack(_PROTOTYPES, "odometry", table))
        for name, part in other._parts():
            part.__dict__.update(unpack(part.prototypes(), name, table))
        if other._eyes.is_swapped:
            other._front_end = FrontEnd(other._eyes.calibration, self.config, self._logs, workers=other._workers)
            other._back_end = BackEnd(other._eyes.calibration, self.config)
        other._front_end.load_state_dict(table)
        other._back_end.load_state_dict(table)
        self.__dict__.update(other.__dict__)

    def _parts(self) -> list[tuple[str, Any]]:
        """Helpers whose attributes are saved under their names."""
        parts = {"eyes": self._eyes, "screen": self._screen, "monitor": self._monitor, "standstill": self._standstill, "beat": self._beat, "solving": self._solving}
        return list(parts.items())

    def _identity(self) -> str:
        """Digest of calibration and configuration."""
        with np.printoptions(floatmode="unique"):
            return hashlib.sha256(f"{dumps(self.config)}{self.calibration!r}".encode()).hexdigest()

    def landmarks(self) -> Landmarks:
        """Landmarks of the window in W, as of the last keyframe; waits until that is solved."""
        self._solving.wait()
        return self._back_end.landmarks()

    def window(self) -> Snapshot:
        """Keyframes of the window and what couples them, as of the last keyframe; waits until that is solved."""
        self._solving.wait()
        return self._back_end.snapshot()

    def _left_out(self, t_ns: int, counts: np.ndarray) -> FrameOutput:
        """A frame that came too late: nothing is done with it."""
        self._solving.wait()
        reason = "frame_duplicate" if t_ns == self._last_t_ns else "frame_out_of_order"
        health = self._monitor.left_out(reason, self._initialised_by, self._back_end.repairs)
        return FrameOutput(t_ns, None, self._front_end.no_tracks(), counts, health, False)

    def calibration_estimate(self) -> Estimate | None:
        """What is known of the time offset and of the rig's place on the body; None where neither is estimated (`online` in the configuration)."""
        self._solving.wait()
        return None if self._back_end.online is None else self._back_end.online.estimate()

    def needs_imu_until(self, t_ns: int) -> int:
        """Instant (ns, the IMU's clock) up to which samples are wanted before a frame stamped t_ns."""
        return t_ns + self._beat.shift_ns(t_ns) + self._settled.offset_ns

    def _on_imu_clock(self, stamp: int) -> int:
        """When the picture of a stamp put on the beat was taken, as far as is known, and after the last one."""
        at_ns = stamp + self._settled.offset_ns
        return at_ns if self._at_ns is None or at_ns > self._at_ns else self._at_ns + _SHORTEST_NS

    def _placed(self, seen: FrontEndOutput, at_ns: int) -> FrontEndOutput:
        """What the front end saw, at its instant on the IMU's clock."""
        return seen if at_ns == seen.observations.t_ns else replace(seen, observations=replace(seen.observations, t_ns=at_ns))

    def _instant(self, stamp: int, at_ns: int) -> Instant | None:
        """Where on the IMU's clock a frame was put, and the rate there; None where clocks and extrinsics are taken as calibrated."""
        return None if self._back_end.online is None else Instant((at_ns - stamp) * 1e-9, self._rate(at_ns))

    def _rate(self, at_ns: int) -> np.ndarray:
        """The measured rate (3,) rad/s at an instant."""
        t, w, _ = self._imu
        return np.array([np.interp(0.0, (t - at_ns).astype(np.float64), w[:, k]) for k in range(3)])

    def _ask_when(self, state: NavState) -> None:
        """Let the beat hear when the picture of a refined state was taken, if it saw enough to tell."""
        if self._beat.scatters():
            self._monitor.note("uneven_stamps")
        if self._back_end.tracked >= self.config.health.min_tracks:
            self._beat.hear(lateness(self._back_end.predict(self._pre), state, self._rate(state.t_ns) - state.b_g))

    def _rests(self, seen: FrontEndOutput) -> bool:
        """Whether the rig still rests where the newest keyframe does."""
        observations = seen.observations
        self._standstill.see(observations.t_ns, observations.ids, observations.xy_left)
        return self._pre is not None and self._back_end.rests and self._standstill.holds()

    def _hold(self, seen: FrontEndOutput, counts: np.ndarray) -> NavState:
        """State of a frame at rest: no time has passed since the keyframe; each doubling of the rest tells the back end what it measured."""
        at_ns, rest = seen.observations.t_ns, self._standstill.current
        state = self._back_end.hold(at_ns, self._pre.dt[0])
        if seen.is_keyframe and rest is not None and rest.seconds >= 2.0 * self._back_end.rest_seconds:
            state = self._back_end.rest_longer(state, rest, counts)
            self._front_end.drop(self._back_end.rejected_ids)
        self._pre, self._settled = self._back_end.preintegration(), self._back_end.settled()
        return state

    def _looked(
        self, frame: StereoFrame, at_ns: int, R_C1C0: np.ndarray, span: _Span | None, counts: np.ndarray, clock: "_Clock"
    ) -> tuple[FrontEndOutput, int | None]:
        """What the front end sees, and the stamp of a keyframe that is now solved, which goes on meanwhile.

        Where features wait for a place to look at, the window must be known first.
        """
        solved_t_ns = self._caught_up(span, counts, clock) if (first := self._front_end.is_holding) else None
        seen = self._placed(self._look(frame, R_C1C0, counts), at_ns)
        clock.lap("front_end")
        if not first:
            solved_t_ns = self._caught_up(span, counts, clock)
            if solved_t_ns is not None:
                seen = seen.without(self._back_end.rejected_ids)
        return seen, solved_t_ns

    def _caught_up(self, span: _Span | None, counts: np.ndarray, clock: "_Clock") -> int | None:
        """Take over a keyframe's solution, if one is at work, and integrate the inertial samples from there; returns that keyframe's stamp."""
        solved_t_ns = None
        if self._solving.is_pending:
            clock.laps["back_end"] = self._solving.finish(counts)
            self._settle()
            solved_t_ns = self._key_t_ns
        if self._pre is not None and span is not None:
            integrate_span(self._pre, *span, counts)
        clock.lap("solve_wait")
        return solved_t_ns

    def _entry(self, observations: Observations, state: NavState | None, t_ns: int, instant: Instant | None) -> Callable[[np.ndarray], NavState]:
        """The work of entering a keyframe into the window."""
        self._standstill.drop_anchor()
        self._key_t_ns = t_ns
        pre, back_end, rest = self._pre, self._back_end, self._standstill.current
        return lambda counts: back_end.add_keyframe(observations, pre, state, counts, instant, rest)

    def _settle(self) -> None:
        """Let the window's new solution be known, and begin a new inertial factor at its biases."""
        self._front_end.drop(self._back_end.rejected_ids)
        self._pre, self._settled = self._back_end.preintegration(), self._back_end.settled()

    def _advance(self, frame: StereoFrame, at_ns: int) -> tuple[np.ndarray, _Span | None]:
        """Take the inertial samples up to a frame, taken at_ns on their clock.

        Returns R_C1C0 (3, 3), the gyro's rotation of left-camera rays since the last frame by what is settled, and what to integrate.
        """
        t, w, a = self._imu
        R_BC, span, R = self._settled.R_BC, None, np.eye(3)
        if self._at_ns is not None:
            begin = self._at_ns
            self._monitor.interval(begin, at_ns, t, frame.t_ns - self._last_t_ns)
            step = preintegrated(self._settled.b_g, self._settled.b_a)
            span = (t, w, a, begin, at_ns, *self._noise(begin, at_ns))
            integrate_span(step, *span, new_counts())
            R = R_BC.T @ step.dR.T @ R_BC
        self._standstill.feed(t, w, a, at_ns)
        oldest = at_ns if self._at_ns is not None or self._initialised_by else at_ns - _HISTORY_NS
        keep = max(int(np.searchsorted(t, oldest, "right")) - 1, 0)
        self._imu = (t[keep:], w[keep:], a[keep:])
        return orthonormalised(np.ascontiguousarray(R)), span

    def _noise(self, begin: int, end: int) -> tuple[float, float]:
        """Variances of gyro and accelerometer, densities squared, between two frames; where the range ended, what lies beyond is a guess."""
        gyro, accel = self._back_end.gyro_var, self._back_end.accel_var
        if self._screen.saturated_ns <= begin:
            return gyro, accel
        seconds = (end - begin) * 1e-9
        return gyro + GAP_GYRO**2 * seconds, accel + GAP_ACCEL**2 * seconds

    def _look(self, frame: StereoFrame, R_C1C0: np.ndarray, counts: np.ndarray) -> FrontEndOutput:
        """The front end's view of a frame; a picture that cannot be of this moment is passed over."""
        before, self._picture = self._picture, _checksum(frame.left)
        if before == self._picture and self._last is not None and self._moved(frame.t_ns, R_C1C0):
            seen = self._front_end.pass_over(frame.t_ns, R_C1C0, "frame_repeated" if frame.left.max() > frame.left.min() else "picture_blind")
            self._monitor.note(*seen.notes)
            return seen
        expected = self._back_end.expected(self._pre) if self._front_end.is_holding and self._pre is not None else None
        seen = self._front_end.process(frame, R_C1C0, counts, expected)
        self._monitor.note(*seen.notes)
        return seen

    def _moved(self, t_ns: int, R_C1C0: np.ndarray) -> bool:
        """Whether points a few metres away have moved by more than `health.still_motion` since the last frame."""
        angle = np.linalg.norm(R_C1C0 - np.eye(3)) / np.sqrt(2.0)
        way = np.linalg.norm(self._last.v_WB) * (t_ns - self._last_t_ns) * 1e-9 / _USUAL_DEPTH
        return (angle + way) * self._eyes.calibration.left.fx > self.config.health.still_motion

    def _start(self, t_ns: int) -> None:
        t, w, a = self._imu
        upto = max(int(np.searchsorted(t, t_ns, "right")), 1)
        initial = initial_state(t[:upto], w[:upto], a[:upto], t_ns, self.config.initial)
        self._back_end.start(initial)
        self._initialised_by = initial.how

    def _swapped(self, state: NavState, frame: StereoFrame, counts: np.ndarray) -> tuple[None, FrontEndOutput]:
        """Let the other camera lead, from this frame on; the window is opened anew for it."""
        self._eyes.swap()
        blind, weak = self._front_end, self._back_end
        self._front_end = FrontEnd(self._eyes.calibration, self.config, self._logs, blind.next_id, self._workers)
        self._back_end = BackEnd(self._eyes.calibration, self.config)
        self._back_end.take_over(weak)
        self._restarted(state)
        swapped = StereoFrame(frame.t_ns, frame.right, frame.left)
        self._picture = _checksum(swapped.left)
        return None, self._placed(self._front_end.process(swapped, np.eye(3), counts), state.t_ns)

    def _restarted(self, state: NavState) -> None:
        """Open the window anew in place; the keyframe that follows is its first."""
        self._monitor.restarted()
        self._back_end.restart(state if self._monitor.is_sane(state) else doubtful(state.t_ns, self._last, self.config.initial))
        self._pre = None

    def _health(self, t_ns: int, state: NavState | None) -> Health:
        found = {"solver_failed": state is not None and not self._back_end.solved, "right_leads": self._eyes.is_swapped}
        self._monitor.note(*(reason for reason, holds in found.items() if holds))
        if state is not None and self._back_end.online is not None:
            self._monitor.note(*self._back_end.online.reasons())
        return self._monitor.verdict(t_ns, state, self._back_end.tracked, self._back_end.innovation, self._initialised_by, self._back_end.repairs)


def _checksum(picture: np.ndarray) -> int:
    """Of every eighth row: no two pictures of a camera agree in those and differ in others."""
    return zlib.crc32(np.ascontiguousarray(picture[::8]))


class _Clock:
    """Stage times in ns: each `lap` names what went on since the one before."""

    def __init__(self) -> None:
        self.laps: dict[str, int] = {}
        self._at = time.perf_counter_ns()

    def lap(self, name: str) -> None:
        now = time.perf_counter_ns()
        self.laps[name], self._at = now - self._at, now
