"""The run loop: a sequence through an Odometry, everything that came out kept as arrays."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vio import compilation, lie, odometry
from vio.backend.online_calibration import Estimate
from vio.config import Config
from vio.errors import DataError
from vio.events import Event
from vio.io.sequence import LoadedFrame, Sequence, frames, imu_supply
from vio.precision import Logs
from vio.types import FrameOutput, StereoFrame, Tracks

@dataclass(frozen=True)
class RunOptions:
    """What part of a sequence to run, and with how many threads; as many again decode images ahead.

    warm_up: whether to load every kernel before the clock starts; the result does not depend on it.
    """

    start: float = 0.0  # s after the first frame
    max_frames: int | None = None
    threads: int = 2
    warm_up: bool = True


@dataclass(frozen=True)
class Trajectory:
    """States as arrays: t_ns (n,) int64, p_WB (n, 3), q_WB (n, 4) wxyz, v_WB (n, 3), b_g (n, 3), b_a (n, 3)."""

    t_ns: np.ndarray
    p_WB: np.ndarray
    q_WB: np.ndarray
    v_WB: np.ndarray
    b_g: np.ndarray
    b_a: np.ndarray


@dataclass(frozen=True)
class TrackTable:
    """Every feature of every frame, frame after frame: rows (m,) int32 features in each frame given to the engine, then per feature
    ids (k,) int64, uv_raw (k, 2) int32 in `precision.position`, status (k,) uint8 of `TrackStatus`."""

    rows: np.ndarray
    ids: np.ndarray
    uv_raw: np.ndarray
    status: np.ndarray


@dataclass(frozen=True)
class HealthRow:
    """One line of health.csv. `state` is a HealthState value, `skipped` for an unusable frame, `sequence` for a fault found on opening."""

    t_ns: int
    state: str
    reasons: tuple[str, ...] = ()
    tracked: int = 0
    initialised_by: str = ""
    message: str = ""


@dataclass(frozen=True)
class RunResult:
    """Everything a run leaves. `frame_t_ns` (m,) and `counts` (m, events) cover the frames given to the engine.

    covariance (n, 15, 15) of the trajectory's states. frames counts those of the sequence that were reached, unusable ones included.
    stage_ns: per stage (m,), -1 where a frame had no need of it. online: the calibration as estimated at the end.
    """

    frames: int
    trajectory: Trajectory
    covariance: np.ndarray
    frame_t_ns: np.ndarray
    counts: np.ndarray
    tracks: TrackTable
    health: tuple[HealthRow, ...]
    stage_ns: dict[str, np.ndarray]
    seconds: float
    warmup_seconds: float
    interrupted: bool
    failure: str  # traceback of an error inside the engine, empty when all went well
    online: Estimate | None = None
    first_output_at: float | None = None  # s of the clock of `time.time`, when the first frame was done


class _Recording:
    """Collects what the engine says, frame by frame."""

    def __init__(self, sequence: Sequence, first: int) -> None:
        start = int(sequence.frame_t_ns[first])
        self.frames = 0
        self.states: list[tuple] = []
        self.frame_t_ns: list[int] = []
        self.counts: list[np.ndarray] = []
        self.tracks: list[Tracks] = []
        self.health = [HealthRow(start, "sequence", message=text) for text in sequence.warnings]
        self.stages: list[dict[str, int]] = []
        self.first_output_at: float | None = None

    def skip(self, loaded: LoadedFrame) -> None:
        """Note a frame that could not be used."""
        self.frames += 1
        self.health.append(HealthRow(loaded.t_ns, "skipped", ("image_unreadable",), message=loaded.fault))

    def add(self, output: FrameOutput, wait_ns: int, engine_ns: int) -> None:
        """Keep one frame's output; a state that is not finite is not a pose and is reported instead."""
        self.first_output_at = self.first_output_at or time.time()
        health, state = output.health, output.state
        reasons = health.reasons
        if state is not None:
            row = (state.t_ns, state.T_WB[:3, 3].copy(), lie.quat_from_matrix(np.ascontiguousarray(state.T_WB[:3, :3])), state.v_WB, state.b_g, state.b_a, state.covariance)
            if all(np.isfinite(value).all() for value in row[1:]):
                self.states.append(row)
            else:
                reasons = (*reasons, "state_not_finite")
        self.frames += 1
        self.frame_t_ns.append(output.t_ns)
        self.counts.append(output.counts.copy())
        self.tracks.append(output.tracks)
        self.health.append(HealthRow(output.t_ns, health.state.value, reasons, health.tracked, health.initialised_by))
        self.stages.append({"decode_wait": wait_ns, **output.stage_ns, "engine": engine_ns})

    def end(self, engine: odometry.Odometry) -> None:
        """Let what the last keyframe still cost count to the last frame."""
        if self.counts:
            self.counts[-1] += engine.finish()

    def stage_ns(self) -> dict[str, np.ndarray]:
        """Durations so far: per stage one entry a frame, -1 where it did not run."""
        return {stage: np.array([row.get(stage, -1) for row in self.stages], np.int64) for stage in dict.fromkeys(key for row in self.stages for key in row)}

    def track_table(self) -> TrackTable:
        """The features so far."""
        rows = np.array([len(tracks.ids) for tracks in self.tracks], np.int32)
        ids = np.concatenate([np.zeros(0, np.int64), *(tracks.ids for tracks in self.tracks)])
        uv_raw = np.concatenate([np.zeros((0, 2), np.int32), *(tracks.uv_raw for tracks in self.tracks)])
        return TrackTable(rows, ids, uv_raw, np.concatenate([np.zeros(0, np.uint8), *(tracks.status for tracks in self.tracks)]))

    def covariance(self) -> np.ndarray:
        """Covariances (n, 15, 15) of the poses so far."""
        return np.array([row[6] for row in self.states], np.float64).reshape(-1, 15, 15)

    def trajectory(self) -> Trajectory:
        """The poses so far."""
        columns = [np.array([row[k] for row in self.states], np.float64) for k in range(1, 6)]
        shaped = [column.reshape(-1, width) for column, width in zip(columns, (3, 4, 3, 3, 3))]
        return Trajectory(np.array([row[0] for row in self.states], np.int64), *shaped)


def selected(sequence: Sequence, options: RunOptions) -> tuple[int, int]:
    """Indices (first, last) of the frames to run, last excluded. Raises DataError if none is left."""
    t_ns = sequence.frame_t_ns
    first = int(np.searchsorted(t_ns, int(t_ns[0]) + round(options.start * 1e9)))
    if first >= len(t_ns):
        raise DataError(f"{sequence.name}: --start {options.start:g} is after its end ({(t_ns[-1] - t_ns[0]) / 1e9:.1f} s)")
    last = len(t_ns) if options.max_frames is None else min(first + options.max_frames, len(t_ns))
    return first, last


def run(
    sequence: Sequence,
    config: Config,
    options: RunOptions = RunOptions(),
    watch: Callable[[int, FrameOutput | None], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    logs: Logs | None = None,
    observe: Callable[[odometry.Odometry, StereoFrame, FrameOutput], None] | None = None,
) -> RunResult:
    """Run the odometry over a sequence. `watch(frames_done, output)` hears of each frame; `stop()` true ends the run early.

    With `logs` the registers of the front end record what passes through them. `observe(engine, frame, output)` sees each frame that
    the engine has taken; it may read the engine and must not change it.
    """
    first, last = selected(sequence, options)
    before = time.perf_counter()
    if options.warm_up:
        compilation.warm_up(sequence.calibration, config)
    engine = odometry.Odometry(sequence.calibration, config, logs, options.threads)
    recording = _Recording(sequence, first)
    begin = time.perf_counter()
    failure, stopped = "", False
    supply = imu_supply(sequence, int(sequence.frame_t_ns[first]))
    for loaded in frames(sequence, first, last, options.threads):
        if stopped := stop():
            break
        output = None
        if loaded.frame is None:
            recording.skip(loaded)
        else:
            start = time.perf_counter_ns()
            try:
                engine.add_imu(*supply(engine.needs_imu_until(loaded.t_ns)))
                output = engine.add_frame(loaded.t_ns, loaded.frame.left, loaded.frame.right)
            except Exception:  # whatever happens in there, the frames before it are a result
                failure = traceback.format_exc()
                break
            recording.add(output, loaded.wait_ns, time.perf_counter_ns() - start)
            if observe:
                observe(engine, loaded.frame, output)
        if watch:
            watch(recording.frames, output)
    seconds, online = time.perf_counter() - begin, None
    try:
        recording.end(engine)
        online = engine.calibration_estimate()
    except Exception:
        failure = failure or traceback.format_exc()
    return replace(_result(recording, seconds, begin - before, stopped, failure), online=online)


def _result(recording: _Recording, seconds: float, warmup_seconds: float, interrupted: bool, failure: str) -> RunResult:
    """The recording as arrays."""
    return RunResult(
        frames=recording.frames,
        trajectory=recording.trajectory(),
        covariance=recording.covariance(),
        frame_t_ns=np.array(recording.frame_t_ns, np.int64),
        counts=np.array(recording.counts, np.int64).reshape(-1, len(Event)),
        tracks=recording.track_table(),
        health=tuple(recording.health),
        stage_ns=recording.stage_ns(),
        seconds=seconds,
        warmup_seconds=warmup_seconds,
        interrupted=interrupted,
        failure=failure,
        first_output_at=recording.first_output_at,
    )


def peak_rss_mb() -> float | None:
    """Largest resident memory of this process so far in MB (10^6 bytes), None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would include what the parent held before exec
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS
