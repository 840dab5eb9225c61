"""The engine with all pictures in memory, over and over; and as a newcomer starts it, in a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vio import runner
from vio.config import Config, dumps
from vio.errors import TinyvioError
from vio.io.progress import Progress
from vio.io.sequence import Sequence, frames

_FIRST_FRAMES = 20  # of the process that tells how long a start takes


@dataclass(frozen=True)
class Spread:
    """A quantity measured several times: median, smallest and largest."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Pass:
    """One pass over the pictures: frames/s, ms of CPU a frame, and per stage ms (frames with it,)."""

    fps: float
    cpu_ms: float
    stages_ms: dict[str, np.ndarray]
    result: runner.RunResult


def in_memory(sequence: Sequence, count: int, progress: Progress) -> Sequence:
    """The first `count` frames, decoded beforehand. Frames that cannot be used are an error here. Raises DataError."""
    kept = []
    for loaded in frames(sequence, 0, count):
        if loaded.frame is None:
            raise TinyvioError(f"{sequence.name}: a benchmark needs whole frames ({loaded.fault}); choose fewer with --frames")
        kept.append(loaded.frame)
        progress(len(kept), count)
    return replace(sequence, frame_t_ns=sequence.frame_t_ns[:count], load=kept.__getitem__, is_in_memory=True)


def passes(sequence: Sequence, config: Config, repeats: int, threads: int, progress: Progress) -> Iterator[Pass]:
    """Passes over a sequence in memory, each with a new odometry whose kernels are loaded; the first, which warms caches, is left out."""
    options = runner.RunOptions(threads=threads)
    for k in range(repeats + 1):
        cpu = time.process_time()
        result = runner.run(sequence, config, replace(options, warm_up=k == 0))
        cpu = time.process_time() - cpu
        if result.failure:
            raise TinyvioError(f"{sequence.name}: the engine failed after {result.frames} frames ({result.failure.strip().splitlines()[-1]})")
        progress(k + 1, repeats + 1)
        if k > 0:
            stages = {name: ns[ns >= 0] / 1e6 for name, ns in result.stage_ns.items() if name != "decode_wait"}
            yield Pass(result.frames / result.seconds, 1e3 * cpu / result.frames, stages, result)


@dataclass(frozen=True)
class Process:
    """A run in a process of its own: frames/s from files, s to the output of the first frame (and of them, with the kernels), largest resident memory, MB."""

    fps: float
    first_frame_s: float
    warmup_s: float
    peak_rss_mb: float | None


def from_files(name: str, config: Config, mono: bool, count: int, cache: Path | None = None) -> Process:
    """`tinyvio run NAME` in a new process with two threads; cache: an empty folder in which it is to compile its kernels.

    Raises TinyvioError if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.toml").write_text(dumps(config), encoding="utf-8")
        command = [sys.executable, "-m", "vio.cli", "run", name, "--profile", f"{folder}/config.toml", "--out", f"{folder}/run", "--quiet"]
        command += ["--max-frames", str(count), *(["--mono"] if mono else [])]
        path = os.pathsep.join(filter(None, (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"PYTHONPATH": path} | ({"NUMBA_CACHE_DIR": str(cache)} if cache else {})
        begin = time.time()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TinyvioError(f"`tinyvio run {name}` failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
        metrics = json.loads((Path(folder) / "run" / "metrics.json").read_text(encoding="utf-8"))
    return Process(metrics["fps"], metrics["first_output_at"] - begin, metrics["warmup_seconds"], metrics["peak_rss_mb"])


def start(name: str, config: Config, mono: bool, cold: bool) -> Process:
    """A short run: how long a start takes, with kernels from the cache, or with cold compiled from nothing."""
    if not cold:
        return from_files(name, config, mono, _FIRST_FRAMES)
    with tempfile.TemporaryDirectory() as cache:
        return from_files(name, config, mono, _FIRST_FRAMES, Path(cache))
