"""Records of a recording, and its frames in order. After this point nobody knows a file format."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vio.calibration import Calibration
from vio.errors import DataError
from vio.io.progress import Progress
from vio.types import StereoFrame

LOOK_AHEAD = 8  # decoded frames waiting at most: 6 MB of 752x480 stereo
_IMU_LEAD_NS = 1_000_000_000


@dataclass(frozen=True)
class GroundTruth:
    """Reference trajectory: t_ns (n,) int64 ascending, p_WB (n, 3) m, q_WB (n, 4) unit wxyz, v_WB (n, 3) m/s or None,
    biases (n, 6), b_g rad/s and b_a m/s^2, or None.
    """

    t_ns: np.ndarray
    p_WB: np.ndarray
    q_WB: np.ndarray
    v_WB: np.ndarray | None
    biases: np.ndarray | None = None


@dataclass(frozen=True)
class Sequence:
    """One recording. Stamps are int64 nanoseconds, strictly ascending.

    imu_w_B, imu_a_B: (n, 3) rad/s and m/s^2 in B. `load(i)` decodes frame i, or raises DataError saying what is wrong with it.
    warnings: one line per fault that was found on opening and worked around. is_in_memory: loading takes no time.
    """

    name: str
    calibration: Calibration
    imu_t_ns: np.ndarray
    imu_w_B: np.ndarray
    imu_a_B: np.ndarray
    frame_t_ns: np.ndarray
    load: Callable[[int], StereoFrame]
    ground_truth: GroundTruth | None
    warnings: tuple[str, ...] = ()
    is_in_memory: bool = False

    def __iter__(self) -> "Iterator[tuple[Imu, StereoFrame]]":
        """Yield `(t_ns, w_B, a_B), frame` for every usable frame: the inertial samples up to it, then the pictures."""
        supply = imu_supply(self, int(self.frame_t_ns[0]))
        for loaded in frames(self, 0, len(self.frame_t_ns)):
            if loaded.frame is not None:
                yield supply(loaded.t_ns), loaded.frame


Imu = tuple[np.ndarray, np.ndarray, np.ndarray]  # t_ns (n,), w_B (n, 3), a_B (n, 3)


def imu_supply(sequence: Sequence, first_frame_ns: int) -> Callable[[int], Imu]:
    """A function of a frame's time that hands out the samples not yet given, up to the first one at or after that time.

    The first call also gives what came in the second before the first frame, for the initialisation.
    """
    t_ns = sequence.imu_t_ns
    given = int(np.searchsorted(t_ns, first_frame_ns - _IMU_LEAD_NS))

    def supply(until_ns: int) -> Imu:
        nonlocal given
        part = slice(given, max(given, min(int(np.searchsorted(t_ns, until_ns)) + 1, len(t_ns))))
        given = part.stop
        return t_ns[part], sequence.imu_w_B[part], sequence.imu_a_B[part]

    return supply


@dataclass(frozen=True)
class LoadedFrame:
    """One frame as it comes out of the decoder: `frame` is None and `fault` a line of text where it cannot be used."""

    index: int
    t_ns: int
    frame: StereoFrame | None
    fault: str
    wait_ns: int


def open_sequence(
    name_or_path: str | Path,
    mono: bool = False,
    progress: Progress | None = None,
    *,
    calibration: Path | None = None,
    topics: Mapping[str, str] | None = None,
    time_offset: float | None = None,
) -> Sequence:
    """Open a folder of sensors, a bag, a fetched recording by its name in the catalog, or a built-in sequence
    (rendered on first use; `progress(done, total)` hears of it).

    `room@7` is the built-in `room` with seed 7: another room, other textures, other noise.
    With `mono` the right camera is left out. calibration, topics, time_offset: see `vio.io.recording.ReadOptions`.
    Raises DataError or CalibrationError before any work.
    """
    from vio.io.formats import read_recording  # here: the readers themselves import the records above
    from vio.io.recording import ReadOptions, sequence_of

    from vio.io.catalog import recording
    from vio.io.renderer import builtin_names, builtin_sequence

    name, path = str(name_or_path), Path(name_or_path).expanduser()
    options = ReadOptions(mono, calibration, topics or {}, time_offset)
    if not path.exists() and name.partition("@")[0] not in builtin_names():
        path = recording(name)
    if path.exists():
        return sequence_of(read_recording(path, options, progress), time_offset)
    return replace(sequence_of(read_recording(builtin_sequence(name, progress=progress), options), time_offset), name=name)


def frames(sequence: Sequence, first: int, last: int, threads: int = 2) -> Iterator[LoadedFrame]:
    """Yield frames first..last-1 in order, decoded ahead by as many threads; with one thread, or in memory, each is loaded when asked for."""
    if threads <= 1 or sequence.is_in_memory:
        for index in range(first, last):
            yield _waited(sequence, index, lambda: sequence.load(index))
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    pending: deque[tuple[int, Future[StereoFrame]]] = deque()
    try:
        for index in range(first, last):
            pending.append((index, pool.submit(sequence.load, index)))
            if len(pending) >= LOOK_AHEAD:
                ready, future = pending.popleft()
                yield _waited(sequence, ready, future.result)
        while pending:
            ready, future = pending.popleft()
            yield _waited(sequence, ready, future.result)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _waited(sequence: Sequence, index: int, obtain: Callable[[], StereoFrame]) -> LoadedFrame:
    """Obtain one frame, noting how long it took and turning a DataError into its text."""
    start = time.perf_counter_ns()
    try:
        frame, fault = obtain(), ""
    except DataError as error:
        frame, fault = None, str(error)
    return LoadedFrame(index, int(sequence.frame_t_ns[index]), frame, fault, time.perf_counter_ns() - start)
