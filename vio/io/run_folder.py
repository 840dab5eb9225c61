"""A run folder read back: what `tinyvio run` left, as arrays."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vio import config as configuration
from vio.config import Config
from vio.errors import DataError, TinyvioError
from vio.files import LARGEST_JSON, read_text
from vio.io import tables
from vio.io.npz import read_arrays
from vio.io.sequence import GroundTruth
from vio.io.writers import EUROC_HEADER, HEALTH_COLUMNS, RUN_FORMAT, packed_columns
from vio.runner import HealthRow, TrackTable, Trajectory

_FILES = ("metrics.json", "config.toml", "trajectory_euroc.csv", "states.npz", "stages.npz", "counts.npz", "tracks.npz", "health.csv")
_TRUTH = "ground_truth.npz"  # absent where the recording has none


@dataclass(frozen=True)
class StoredRun:
    """A finished run. metrics: content of metrics.json. covariance (n, 15, 15) of the trajectory's n states, tangent order of `vio.types`.

    frame_t_ns (m,), counts (m, len(events)) and stage_ns[stage] (m,) belong to the frames given to the engine; events names the columns.
    """

    folder: Path
    name: str
    config: Config
    metrics: dict[str, Any]
    trajectory: Trajectory
    covariance: np.ndarray
    frame_t_ns: np.ndarray
    counts: np.ndarray
    events: tuple[str, ...]
    stage_ns: dict[str, np.ndarray]
    tracks: TrackTable
    health: tuple[HealthRow, ...]
    ground_truth: GroundTruth | None


def open_run(folder: Path) -> StoredRun:
    """Read a run folder. Raises DataError, naming folder and file, if it is none, incomplete, damaged or of another version."""
    metrics = _metrics(folder)
    for name in _FILES:
        if not (folder / name).is_file():
            raise DataError(f"{folder}: incomplete, {name} is missing; run `tinyvio run` again")
    try:
        config = configuration.load(folder / "config.toml")
    except TinyvioError as error:
        raise DataError(f"{folder}: its configuration cannot be read ({error}); run `tinyvio run` again") from None
    states, stages, counts, tracks = (read_arrays(folder / f"{name}.npz") for name in ("states", "stages", "counts", "tracks"))
    try:
        run = StoredRun(
            folder, str(metrics["sequence"]), config, metrics, _trajectory(folder / "trajectory_euroc.csv"), _covariance(states["covariance"]),
            counts["t_ns"], counts["counts"], tuple(str(name) for name in counts["events"]), stages,
            TrackTable(tracks["rows"], tracks["ids"].astype(np.int64), tracks["uv_raw"], tracks["status"]), _health(folder / "health.csv"), _truth(folder),
        )
        _check_shapes(run)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        raise DataError(f"{folder}: damaged ({type(error).__name__}: {error}); run `tinyvio run` again") from None
    return run


def _check_shapes(run: StoredRun) -> None:
    """Raise ValueError for arrays that do not fit each other, or are not of the kind they are to be: "i" whole numbers, "f" floats."""
    poses, frames, features = len(run.trajectory.t_ns), len(run.frame_t_ns), len(run.tracks.ids)
    wanted = [
        ("covariance", run.covariance, "f", (poses, 15, 15)), ("t_ns", run.frame_t_ns, "i", (frames,)), ("counts", run.counts, "i", (frames, len(run.events))),
        *((name, row, "i", (frames,)) for name, row in run.stage_ns.items()),
        ("rows", run.tracks.rows, "i", (frames,)), ("uv_raw", run.tracks.uv_raw, "i", (features, 2)), ("status", run.tracks.status, "u", (features,)),
    ]  # fmt: skip
    if run.ground_truth is not None:
        truth, n = run.ground_truth, len(run.ground_truth.t_ns)
        wanted += [("ground truth", truth.t_ns, "i", (n,)), ("ground truth", truth.p_WB, "f", (n, 3)), ("ground truth", truth.q_WB, "f", (n, 4))]
        wanted += [("ground truth", part, "f", (n, width)) for part, width in ((truth.v_WB, 3), (truth.biases, 6)) if part is not None]
    for name, array, kind, shape in wanted:
        if array.shape != shape or array.dtype.kind != kind:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, not {kind} of {shape}")
    if features != int(run.tracks.rows.sum()) or (features and run.tracks.rows.min() < 0):
        raise ValueError(f"{features} features in tracks.npz, but the frames have {int(run.tracks.rows.sum())}")


def _metrics(folder: Path) -> dict[str, Any]:
    """metrics.json, its version checked."""
    path = folder / "metrics.json"
    if not path.is_file():
        raise DataError(f"{folder}: no run folder, there is no metrics.json; `tinyvio run SEQUENCE --out DIR` makes one")
    try:
        metrics = json.loads(read_text(path, LARGEST_JSON, DataError))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    found = metrics.get("format") if isinstance(metrics, dict) else None
    if found != RUN_FORMAT or "sequence" not in metrics:
        raise DataError(f"{folder}: written by another version of tinyvio (run format {found}, this one reads {RUN_FORMAT}); run `tinyvio run` again")
    return metrics


def _trajectory(path: Path) -> Trajectory:
    """trajectory_euroc.csv; its numbers carry every bit."""
    header, *lines = tables.read_lines(path)
    if header != EUROC_HEADER:
        raise ValueError(f"{path.name} has no header")
    rows = [line.split(",") for line in lines]
    values = np.array([[float(cell) for cell in row[1:]] for row in rows], np.float64).reshape(-1, 16)
    p, q, v, g, a = np.split(values, [3, 7, 10, 13], axis=1)
    return Trajectory(np.array([int(row[0]) for row in rows], np.int64), p, q, v, g, a)


def _covariance(packed: np.ndarray) -> np.ndarray:
    """Symmetric matrices (n, 15, 15) from their packed upper triangles (n, 120)."""
    i, j = packed_columns()
    full = np.zeros((len(packed), 15, 15))
    full[:, i, j] = full[:, j, i] = packed
    return full


def _health(path: Path) -> tuple[HealthRow, ...]:
    """health.csv."""
    reader = csv.DictReader(io.StringIO(read_text(path, tables.LARGEST, DataError), newline=""), strict=True)
    if tuple(reader.fieldnames or ()) != HEALTH_COLUMNS:
        raise ValueError(f"{path.name} has no header")
    rows = list(reader)
    return tuple(
        HealthRow(int(r["t_ns"]), r["state"], tuple(filter(None, r["reasons"].split(";"))), int(r["tracked"]), r["initialised_by"], r["message"]) for r in rows
    )


def _truth(folder: Path) -> GroundTruth | None:
    """ground_truth.npz where there is one."""
    if not (folder / _TRUTH).is_file():
        return None
    arrays = read_arrays(folder / _TRUTH)
    return GroundTruth(arrays["t_ns"], arrays["p_WB"], arrays["q_WB"], arrays.get("v_WB"), arrays.get("biases"))
