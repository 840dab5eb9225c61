"""The whole algorithm: inertial samples and frames in, navigation states with health out."""

import time

import numpy as np

from vio.backend.back_end import BackEnd
from vio.backend.initialization import initial_state
from vio.backend.preintegration import Preintegrated, integrate_span, preintegrated
from vio.backend.snapshot import Snapshot
from vio.calibration import Calibration
from vio.config import Config
from vio.events import new_counts
from vio.frontend.front_end import FrontEnd
from vio.kernels import njit
from vio.lie import orthonormalised
from vio.precision import Logs
from vio.types import FrameOutput, Health, HealthState, Landmarks, NavState, StereoFrame

_EMPTY = (np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))
_HISTORY_NS = 1_000_000_000  # inertial samples kept before the first frame


class Odometry:
    """Stereo (or mono) visual-inertial odometry of one rig. Feed samples and frames in time order; not thread-safe."""

    def __init__(self, calibration: Calibration, config: Config | None = None, logs: Logs | None = None) -> None:
        """Allocate everything for `calibration`; `config` defaults to the reference design. logs: see `FrontEnd`."""
        self.config = config or Config()
        self.calibration = calibration
        self._front_end, self._back_end = FrontEnd(calibration, self.config, logs), BackEnd(calibration, self.config)
        self._imu = _EMPTY  # samples (t_ns, w_B, a_B) not older than the last frame, and one before it
        self._pre: Preintegrated | None = None  # since the last keyframe
        self._last_t_ns: int | None = None
        self._initialised_by = ""
        self._reasons: list[str] = []
        self._spikes = 0  # samples in a row taken for spikes

    def add_imu(self, t_ns: int | np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> None:
        """Add one sample or many: t_ns () or (n,) ns ascending, w_B, a_B (3,) or (n, 3) rad/s and m/s^2 (specific force).

        Samples that are not finite, beyond the sensor's range or not later than the last one are dropped and reported by the next frame.
        """
        t = np.atleast_1d(np.asarray(t_ns, np.int64))
        w, a = np.asarray(w_B, np.float64).reshape(-1, 3), np.asarray(a_B, np.float64).reshape(-1, 3)
        if not len(t) == len(w) == len(a):
            raise ValueError(f"add_imu: {len(t)} stamps, {len(w)} rates and {len(a)} accelerations; the counts must agree")
        limit = self.config.health
        with np.errstate(invalid="ignore"):
            sane = np.isfinite(w).all(1) & np.isfinite(a).all(1)
            sane &= (np.abs(w) <= limit.max_gyro).all(1) & (np.abs(a) <= limit.max_accel).all(1)
        self._note("imu_bad_sample", not sane.all())
        t, w, a = t[sane], w[sane], a[sane]
        newest = self._imu[0][-1:] if len(self._imu[0]) else np.array([np.iinfo(np.int64).min])
        ordered = t > np.maximum.accumulate(np.concatenate([newest, t]))[:-1]
        self._note("imu_out_of_order", not ordered.all())
        t, w, a = t[ordered], w[ordered], a[ordered]
        spiky = np.zeros(len(t), np.bool_)
        self._spikes = _find_spikes(a, self._imu[2][-1:], self._spikes, limit.max_accel_jump, spiky)
        self._note("imu_spike", bool(spiky.any()))
        keep = ~spiky
        self._imu = tuple(np.concatenate(pair) for pair in zip(self._imu, (t[keep], w[keep], a[keep]), strict=True))

    def add_frame(self, t_ns: int, left: np.ndarray, right: np.ndarray | None = None) -> FrameOutput:
        """Process one frame: left, right (height, width) uint8, right None in mono; returns its state, tracks, counts and health.

        Feed the inertial samples up to the first one at or after `t_ns` before. Raises ValueError for pictures of another size and
        for a stamp that is not later than the last frame's.
        """
        if self._last_t_ns is not None and t_ns <= self._last_t_ns:
            raise ValueError(f"frame at {t_ns} ns is not later than the last one at {self._last_t_ns} ns")
        counts, clock = new_counts(), _Clock()
        R_C1C0 = self._advance(t_ns, counts)
        clock.lap("imu")
        seen = self._front_end.process(StereoFrame(t_ns, left, right), R_C1C0, counts)
        clock.lap("front_end")
        state, used = None, 0
        if self._pre is not None:
            state, used = self._back_end.refine_frame(self._pre, seen.observations, counts)
            clock.lap("refine")
        elif len(self._imu[0]):
            self._start(t_ns)
        if self._initialised_by and (seen.is_keyframe or self._pre is None):
            state = self._back_end.add_keyframe(seen.observations, self._pre, state, counts)
            self._front_end.drop(self._back_end.rejected_ids)
            self._pre, used = self._back_end.preintegration(), len(seen.observations.ids)
            clock.lap("back_end")
        self._last_t_ns = t_ns
        return FrameOutput(t_ns, state, seen.tracks, counts, self._health(state, used), seen.is_keyframe, clock.laps)

    def landmarks(self) -> Landmarks:
        """Landmarks of the window in W, as of the last keyframe."""
        return self._back_end.landmarks()

    def window(self) -> Snapshot:
        """Keyframes of the window and what couples them, as of the last keyframe."""
        return self._back_end.snapshot()

    def _note(self, reason: str, holds: bool = True) -> None:
        """Remember a reason for the next frame's health."""
        if holds and reason not in self._reasons:
            self._reasons.append(reason)

    def _advance(self, t_ns: int, counts: np.ndarray) -> np.ndarray:
        """Integrate the inertial samples up to t_ns; returns R_C1C0 (3, 3), the gyro's rotation of left-camera rays since the last frame."""
        t, w, a = self._imu
        R_BC = self.calibration.T_BC[:3, :3]
        R = np.eye(3)
        if self._last_t_ns is not None:
            self._check_imu(t, self._last_t_ns, t_ns)
            begin = self._last_t_ns
            step = preintegrated(*self._back_end.biases)
            arguments = (t, w, a, begin, t_ns, self._back_end.gyro_var, self._back_end.accel_var)
            integrate_span(step, *arguments, new_counts())
            R = R_BC.T @ step.dR.T @ R_BC
            if self._pre is not None:
                integrate_span(self._pre, *arguments, counts)
        oldest = t_ns if self._last_t_ns is not None or self._initialised_by else t_ns - _HISTORY_NS
        keep = max(int(np.searchsorted(t, oldest, "right")) - 1, 0)
        self._imu = (t[keep:], w[keep:], a[keep:])
        return orthonormalised(np.ascontiguousarray(R))

    def _check_imu(self, t: np.ndarray, begin: int, end: int) -> None:
        """Report gaps of the inertial data between two frames."""
        inside = t[(t > begin) & (t < end)]
        edges = np.concatenate([[begin], inside, [end]])
        limit = round(self.config.health.imu_gap * 1e9)
        self._note("imu_gap", bool((np.diff(edges) > limit).any()) or len(t) == 0)

    def _start(self, t_ns: int) -> None:
        t, w, a = self._imu
        upto = max(int(np.searchsorted(t, t_ns, "right")), 1)
        initial = initial_state(t[:upto], w[:upto], a[:upto], t_ns, self.config.initial)
        self._back_end.start(initial)
        self._initialised_by = initial.how

    def _health(self, state: NavState | None, used: int) -> Health:
        reasons, self._reasons = self._reasons, []
        if state is None:
            return Health(HealthState.INITIALISING, tuple(reasons), used)
        if not self._back_end.solved:
            reasons.append("solver_failed")
        if used < self.config.health.min_tracks:
            reasons.append("few_tracks")
        verdict = HealthState.LOST if used == 0 else HealthState.DEGRADED if reasons else HealthState.GOOD
        return Health(verdict, tuple(reasons), used, self._initialised_by)


@njit
def _find_spikes(a_B, previous, run, limit, spiky):
    """Mark samples a_B (n, 3) that jump by more than `limit` from the last believed one, at most three in a row.

    previous: (0 or 1, 3) the last believed sample; run: how many were taken for spikes just before. Returns the new run.
    """
    last = previous[0] if len(previous) else np.full(3, np.nan)
    for i in range(len(a_B)):
        jump = np.abs(a_B[i] - last).max()
        spiky[i] = jump > limit and run < 3
        run = run + 1 if spiky[i] else 0
        if not spiky[i]:
            last = a_B[i]
    return run


class _Clock:
    """Stage times in ns: each `lap` names what went on since the one before."""

    def __init__(self) -> None:
        self.laps: dict[str, int] = {}
        self._at = time.perf_counter_ns()

    def lap(self, name: str) -> None:
        now = time.perf_counter_ns()
        self.laps[name], self._at = now - self._at, now


def warm_up(calibration: Calibration, config: Config) -> None:
    """Compile (or load from the cache) every kernel by running a short flight over a synthetic texture through a throw-away odometry."""
    odometry = Odometry(calibration, config)
    cameras = [camera for camera in (calibration.left, calibration.right) if camera is not None]
    rows, columns = (max(getattr(camera, side) for camera in cameras) // 12 + 3 for side in ("height", "width"))
    coarse = np.random.default_rng(0).integers(0, 256, (rows, columns), np.uint8)
    texture = np.kron(coarse, np.ones((12, 12), np.uint8))
    gap = round(config.frontend.keyframe_max_interval * 1e9)
    for i in range(config.backend.window + 3):  # every frame is a keyframe, so that the window fills and marginalises
        t = np.arange(10, dtype=np.int64) * (gap // 10) + i * gap
        odometry.add_imu(t, np.zeros((10, 3)), np.tile([0.0, 0.0, 9.81], (10, 1)))
        pictures = [np.ascontiguousarray(texture[: camera.height, i % 12 : i % 12 + camera.width]) for camera in cameras]
        odometry.add_frame(int(t[-1]), pictures[0], pictures[1] if len(pictures) > 1 else None)
