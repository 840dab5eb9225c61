"""The whole algorithm: inertial samples and frames in, navigation states with health out.

A frame passes three steps: it arrives, the front end looks at it, and the back end concludes. A keyframe is left to be solved
(`vio.solving`), with more than one thread while the next frame arrives and is looked at. So that this changes no bit, a solution is first
known when the next frame is concluded; what the front end does with that frame rests on what was known when this one was concluded.
"""

import hashlib
import math
from collections import ChainMap
from collections.abc import Callable
from typing import Any

import numpy as np

from vio.arrival import UNKNOWN, Arrival, Clock, Known, checksum, placed
from vio.backend.back_end import BackEnd
from vio.backend.initialization import doubtful, initial_state
from vio.backend.online_calibration import Estimate, Instant
from vio.backend.preintegration import Preintegrated, integrate_span, preintegrated
from vio.backend.snapshot import Snapshot
from vio.backend.standstill import Standstill
from vio.beat import Beat, lateness
from vio.calibration import Calibration
from vio.config import Config, dumps
from vio.events import new_counts
from vio.eyes import Eyes, fitted
from vio.frontend.front_end import FrontEnd
from vio.health import HealthMonitor
from vio.inertial import InertialBuffer, rate_at, turned
from vio.mounting import MountDoubt
from vio.precision import Logs
from vio.saved import Maybe, Table, pack, require, unpack
from vio.solving import Solving
from vio.types import FrameOutput, FrontEndOutput, Health, Landmarks, NavState, Observations, StereoFrame

_SHORTEST_NS = 1_000_000  # between two frames whose order an estimate of the clocks would reverse
_USUAL_DEPTH = 3.0  # m, to guess by how much pictures move
STATE_VERSION = 6  # of `Odometry.state_dict`
_PROTOTYPES = {
    "_pre": Maybe(preintegrated(np.zeros(3), np.zeros(3))), "_last_t_ns": Maybe(0), "_at_ns": Maybe(0), "_known": UNKNOWN, "_rejected": np.zeros(0, np.int64),
    "_last": Maybe(NavState(0, np.eye(4), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros((15, 15)))), "_picture": 0, "_initialised_by": "", "_key_t_ns": 0,
}  # fmt: skip


class Odometry:
    """Stereo (or mono) visual-inertial odometry of one rig. Feed samples and frames in time order; not thread-safe.

    Objects share nothing: several may run in threads of their own.
    """

    def __init__(self, calibration: Calibration, config: Config | None = None, logs: Logs | None = None, threads: int = 1) -> None:
        """Allocate everything for `calibration`; `config` defaults to the reference design. logs: see `FrontEnd`.

        threads: those at work at the same time; the outputs are the same bits for any number.
        """
        self.config = fitted(config or Config(), calibration)
        self.calibration = calibration
        self._is_mono = calibration.right is None
        self._logs, self._threads = logs, threads
        self.reset()

    def reset(self) -> None:
        """Forget everything but calibration and configuration."""
        self._eyes = Eyes(self.calibration, self.config)
        self._front_end = FrontEnd(self.calibration, self.config, self._logs)
        self._back_end = BackEnd(self.calibration, self.config)
        self._solving = Solving(self._threads)
        self._known = UNKNOWN._replace(settled=self._back_end.settled())  # when the last frame was concluded
        self._rejected = np.zeros(0, np.int64)  # ids of features found wanting since the front end looked
        self._key_t_ns = 0  # stamp of the keyframe being solved
        self._imu, self._monitor = InertialBuffer(self.config), HealthMonitor(self.config.health)
        self._pre: Preintegrated | None = None  # since the last keyframe
        self._last_t_ns: int | None = None
        self._at_ns: int | None = None  # the same instant on the IMU's clock, as it was placed
        self._last: NavState | None = None
        self._standstill = Standstill(self.config, self.calibration.left.fx, self._is_mono)
        self._beat, self._mount = Beat(self.config.online), MountDoubt(self.config.health.max_mount_evidence)
        self._picture = 0  # checksum of the last left picture
        self._initialised_by = ""

    def add_imu(self, t_ns: int | np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> None:
        """Add one sample or many: t_ns () or (n,) ns ascending, w_B, a_B (3,) or (n, 3) rad/s and m/s^2 (specific force).

        Samples that are not finite, beyond the sensor's range, not later than the last one or spikes are dropped and reported by the next frame.
        """
        self._imu.add(t_ns, w_B, a_B)

    def add_frame(self, t_ns: int, left: np.ndarray, right: np.ndarray | None = None) -> FrameOutput:
        """Process one frame: left, right (height, width) uint8, right None in mono; returns its state, tracks, counts and health.

        Feed the inertial samples up to the first one at or after `t_ns` before. A frame that is not later than the last one is left
        out: its output has no state, and the reason. Raises ValueError for pictures of another size.
        """
        if self._is_late(t_ns):
            return self._left_out(t_ns, left, right)
        arrival = self._arrive(t_ns, left, right)
        self._look(arrival)
        return self._conclude(arrival)

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
            other._front_end = FrontEnd(other._eyes.calibration, self.config, self._logs)
            other._back_end = BackEnd(other._eyes.calibration, self.config)
        other._front_end.load_state_dict(table)
        other._back_end.load_state_dict(table)
        self.__dict__.update(other.__dict__)

    def _parts(self) -> list[tuple[str, Any]]:
        """Helpers whose attributes are saved under their names."""
        parts = {"eyes": self._eyes, "imu": self._imu, "screen": self._imu.screen, "monitor": self._monitor, "standstill": self._standstill}
        return list((parts | {"beat": self._beat, "mount": self._mount, "solving": self._solving}).items())

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

    def _left_out(self, t_ns: int, left: np.ndarray, right: np.ndarray | None) -> FrameOutput:
        """A frame that came too late: nothing is done with it."""
        self._front_end.check(self._eyes.ordered(StereoFrame(t_ns, left, right)))
        self._solving.wait()
        reason = "frame_duplicate" if t_ns == self._last_t_ns else "frame_out_of_order"
        health = self._monitor.left_out(reason, self._initialised_by, self._back_end.repairs)
        return FrameOutput(t_ns, None, self._front_end.no_tracks(), new_counts(), health, False)

    def _is_late(self, t_ns: int) -> bool:
        return self._last_t_ns is not None and t_ns <= self._last_t_ns

    def calibration_estimate(self) -> Estimate | None:
        """What is known of the time offset and of the rig's place on the body; None where neither is estimated (`online` in the configuration)."""
        self._solving.wait()
        return None if self._back_end.online is None else self._back_end.online.estimate()

    def needs_imu_until(self, t_ns: int) -> int:
        """Instant (ns, the IMU's clock) up to which samples are wanted before a frame stamped t_ns."""
        return t_ns + self._beat.shift_ns(t_ns, self._known.on_beat) + self._known.settled.offset_ns

    def _arrive(self, t_ns: int, left: np.ndarray, right: np.ndarray | None) -> Arrival:
        """Take in a frame and the inertial samples up to it."""
        clock, frame = Clock(), self._eyes.ordered(StereoFrame(t_ns, left, right))
        self._front_end.check(frame)
        place = self._beat.enter(t_ns, self._known.on_beat)
        at_ns = self._on_imu_clock(t_ns + place.moved_ns)
        self._front_end.drop(self._rejected)
        self._rejected = self._rejected[:0]
        span = None if self._at_ns is None else self._imu.span(self._at_ns, at_ns, self._back_end.gyro_var, self._back_end.accel_var)
        known, since_ns = self._known.settled, 0 if self._last_t_ns is None else t_ns - self._last_t_ns
        R_C1C0 = np.eye(3) if span is None else turned(span, known.b_g, known.b_a, known.R_BC)
        samples, is_measured = self._imu.samples, self._at_ns is None or self._imu.measures(self._at_ns, at_ns)
        self._imu.forget(at_ns, self._at_ns is None and not self._initialised_by)
        arrival = Arrival(frame, place, at_ns, since_ns, span, samples, is_measured, R_C1C0, self._imu.take_reasons(), self._unusable(frame, since_ns, R_C1C0))
        if self._front_end.is_holding:  # features wait for a place to look at: the window must be known
            self._catch_up(arrival)
            arrival.expected = self._back_end.expected(self._pre) if self._pre is not None else None
        self._last_t_ns, self._at_ns = t_ns, at_ns
        arrival.laps["imu"] = clock.lap()
        return arrival

    def _on_imu_clock(self, stamp: int) -> int:
        """When the picture of a stamp put on the beat was taken, as far as is known, and after the last one."""
        at_ns = stamp + self._known.settled.offset_ns
        return at_ns if self._at_ns is None or at_ns > self._at_ns else self._at_ns + _SHORTEST_NS

    def _unusable(self, frame: StereoFrame, since_ns: int, R_C1C0: np.ndarray) -> str:
        """Why a picture cannot be of this moment: it is the last one again, although points a few metres away have moved by more than `health.still_motion`."""
        before, self._picture = self._picture, checksum(frame.left)
        if before != self._picture or self._known.speed < 0.0:
            return ""
        angle, way = np.linalg.norm(R_C1C0 - np.eye(3)) / np.sqrt(2.0), self._known.speed * since_ns * 1e-9 / _USUAL_DEPTH
        if (angle + way) * self._eyes.calibration.left.fx <= self.config.health.still_motion:
            return ""
        return "frame_repeated" if frame.left.max() > frame.left.min() else "picture_blind"

    def _look(self, arrival: Arrival) -> None:
        """The front end's work on a frame; touches nothing else."""
        clock = Clock()
        if arrival.pass_over:
            seen = self._front_end.pass_over(arrival.frame.t_ns, arrival.R_C1C0, arrival.pass_over, arrival.is_measured)
        else:
            seen = self._front_end.process(arrival.frame, arrival.R_C1C0, arrival.counts, arrival.expected, arrival.is_measured)
        arrival.seen = placed(seen, arrival.at_ns)
        arrival.laps["front_end"] = clock.lap()

    def _catch_up(self, arrival: Arrival) -> None:
        """Take over a keyframe's solution, if one is at work, and integrate the inertial samples from there."""
        clock, arrival.caught_up = Clock(), True
        if self._solving.is_pending:
            arrival.laps["back_end"] = self._solving.finish(arrival.counts)
            self._settle()
            arrival.solved_t_ns = self._key_t_ns
        if self._pre is not None and arrival.span is not None:
            integrate_span(self._pre, *arrival.span, arrival.counts)
        arrival.laps["solve_wait"] = clock.lap()

    def _settle(self) -> None:
        """Let the window's new solution be told, and begin a new inertial factor at its biases."""
        self._rejected = np.concatenate((self._rejected, self._back_end.rejected_ids))
        self._pre = self._back_end.preintegration()

    def _conclude(self, arrival: Arrival) -> FrameOutput:
        """The state of a frame that the front end has looked at, and its verdict; a keyframe is left at work."""
        self._report(arrival)
        if not arrival.caught_up:
            self._catch_up(arrival)
        self._back_end.doubt(self._monitor.contradicts)
        clock, counts, frame = Clock(), arrival.counts, arrival.frame
        seen = arrival.seen.without(self._rejected) if len(self._rejected) else arrival.seen
        state, work = None, None
        if self._pre is not None:
            state = self._back_end.refine_frame(self._pre, seen.observations, counts)
            self._ask_when(arrival, state)
            if self._eyes.must_swap(frame, "picture_blind" in seen.notes):
                state, seen = self._swapped(state, frame, counts)
            elif self._monitor.must_restart(state, len(seen.observations.ids)):
                state = self._restarted(state)
            arrival.laps["refine"] = clock.lap()
        elif len(arrival.samples[0]):
            self._start(arrival)
        rests = self._rests(seen)
        is_keyframe = not rests and self._shows_more(seen)
        if rests:
            state = self._hold(seen, counts)
        elif self._initialised_by and (is_keyframe or self._pre is None or self._back_end.hurries(self._pre.dt[0])):
            work = self._entry(arrival, seen.observations, state)
            if self._pre is None:  # the first of a window: only its solution is a state
                state, work, arrival.solved_t_ns = work(counts), None, frame.t_ns
                self._settle()
        if work is None and (rests or seen.is_keyframe):
            arrival.laps["back_end"] = arrival.laps.get("back_end", 0) + clock.lap()
        self._monitor.look(seen, not self._is_mono, self._eyes.other_sees(frame))
        self._last = state
        speed = -1.0 if state is None else math.hypot(*state.v_WB)
        self._known = Known(self._back_end.settled(), speed, self._beat.follows)
        health = self._health(frame.t_ns, state)
        if work is not None:
            self._solving.start(work)
        return FrameOutput(frame.t_ns, state, seen.tracks, counts, health, is_keyframe, arrival.laps, arrival.solved_t_ns)

    def _report(self, arrival: Arrival) -> None:
        """Tell monitor and standstill of what has arrived."""
        self._monitor.note(*arrival.notes)
        if arrival.span is not None:
            self._monitor.interval(arrival.span.begin, arrival.at_ns, arrival.span.t_ns, arrival.since_ns)
        self._standstill.feed(*arrival.samples, arrival.at_ns)
        self._monitor.note(*arrival.seen.notes)

    def _ask_when(self, arrival: Arrival, state: NavState) -> None:
        """Let the beat hear when the picture of a refined state was taken, if it saw enough to tell."""
        if arrival.place.scatters:
            self._monitor.note("uneven_stamps")
        late = math.nan
        if self._back_end.tracked >= self.config.health.min_tracks and self._beat.asks(arrival.place):
            late = lateness(*self._back_end.predicted, state.T_WB, state.v_WB, rate_at(arrival.samples, state.t_ns) - state.b_g)
        self._beat.hear(arrival.place, late)

    def _entry(self, arrival: Arrival, observations: Observations, state: NavState | None) -> Callable[[np.ndarray], NavState]:
        """The work of entering a keyframe into the window."""
        self._standstill.drop_anchor()
        self._key_t_ns = arrival.frame.t_ns
        instant = None
        if self._back_end.online is not None:
            instant = Instant((arrival.at_ns - arrival.frame.t_ns - arrival.place.moved_ns) * 1e-9, rate_at(arrival.samples, arrival.at_ns))
        if state is not None and self._pre is not None and self._back_end.tracked >= self.config.health.min_tracks:
            self._mount.hear(float(self._pre.dt[0]), self._pre.dR, self._back_end.predicted[0], state.T_WB[:3, :3])
        pre, back_end, rest = self._pre, self._back_end, self._standstill.current
        return lambda counts: back_end.add_keyframe(observations, pre, state, counts, instant, rest)

    def _rests(self, seen: FrontEndOutput) -> bool:
        """Whether the rig still rests where the newest keyframe does."""
        observations = seen.observations
        self._standstill.see(observations.t_ns, observations.ids, observations.xy_left)
        return self._pre is not None and self._back_end.rests and self._standstill.holds()

    def _shows_more(self, seen: FrontEndOutput) -> bool:
        """Whether a keyframe shows what the newest of the window does not. With one camera, pictures of one place push depths out of the window, so
        while the rig trembles where it rested, and rest is not believed, the window waits."""
        return seen.is_keyframe and not (self._is_mono and self._back_end.rests and self._standstill.stays())

    def _hold(self, seen: FrontEndOutput, counts: np.ndarray) -> NavState:
        """State of a frame at rest: no time has passed since the keyframe; each doubling of the rest tells the back end what it measured."""
        at_ns, rest = seen.observations.t_ns, self._standstill.current
        state = self._back_end.hold(at_ns, self._pre.dt[0])
        if seen.is_keyframe and rest is not None and rest.seconds >= 2.0 * self._back_end.rest_seconds:
            state = self._back_end.rest_longer(state, rest, counts)
            self._settle()
        else:
            self._pre = self._back_end.preintegration()
        return state

    def _start(self, arrival: Arrival) -> None:
        t, w, a = arrival.samples
        upto = max(int(t.searchsorted(arrival.at_ns, "right")), 1)
        initial = initial_state(t[:upto], w[:upto], a[:upto], arrival.at_ns, self.config.initial, self.config.mono if self._is_mono else None)
        self._back_end.start(initial)
        self._initialised_by = initial.how

    def _swapped(self, state: NavState, frame: StereoFrame, counts: np.ndarray) -> tuple[None, FrontEndOutput]:
        """Let the other camera lead, from this frame on; the window is opened anew for it."""
        self._eyes.swap()
        blind, weak = self._front_end, self._back_end
        self._front_end = FrontEnd(self._eyes.calibration, self.config, self._logs, blind.next_id)
        self._back_end = BackEnd(self._eyes.calibration, self.config)
        self._back_end.take_over(weak)
        self._rejected, self._mount = self._rejected[:0], MountDoubt(self.config.health.max_mount_evidence)
        self._restarted(state)
        swapped = StereoFrame(frame.t_ns, frame.right, frame.left)
        self._picture = checksum(swapped.left)
        return None, placed(self._front_end.process(swapped, np.eye(3), counts), state.t_ns)

    def _restarted(self, state: NavState) -> None:
        """Open the window anew in place; the keyframe that follows is its first."""
        self._monitor.restarted()
        self._back_end.restart(state if self._monitor.is_sane(state) else doubtful(state.t_ns, self._last, self.config.initial))
        self._pre = None

    def _health(self, t_ns: int, state: NavState | None) -> Health:
        found = {"solver_failed": state is not None and not self._back_end.solved, "right_leads": self._eyes.is_swapped, "mount_turned": self._mount.is_turned}
        self._monitor.note(*(reason for reason, holds in found.items() if holds))
        if state is not None and self._back_end.online is not None:
            self._monitor.note(*self._back_end.online.reasons())
        return self._monitor.verdict(t_ns, state, self._back_end.tracked, self._back_end.innovation, self._initialised_by, self._back_end.repairs)
