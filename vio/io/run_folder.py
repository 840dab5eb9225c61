"""A run folder read back: what `tinyvio run` left, as arrays."""

import csv
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vio import config as configuration
from vio.config import Config
from vio.errors import DataError, TinyvioError
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
    states, stages, counts, tracks = (_arrays(folder / f"{name}.npz") for name in ("states", "stages", "counts", "tracks"))
    try:
        return StoredRun(
            folder, str(metrics["sequence"]), config, metrics, _trajectory(folder / "trajectory_euroc.csv"), _covariance(states["covariance"]),
            counts["t_ns"], counts["counts"], tuple(str(name) for name in counts["events"]), stages,
            TrackTable(tracks["rows"], tracks["ids"].astype(np.int64), tracks["uv_raw"], tracks["status"]), _health(folder / "health.csv"), _truth(folder),
        )
    except (KeyError, ValueError, IndexError, TypeError, csv.Error) as error:
        raise DataError(f"{folder}: damaged ({type(error).__name__}: {error}); run `tinyvio run` again") from None


def _metrics(folder: Path) -> dict[str, Any]:
    """metrics.json, its version checked."""
    path = folder / "metrics.json"
    if not path.is_file():
        raise DataError(f"{folder}: no run folder, there is no metrics.json; `tinyvio run SEQUENCE --out DIR` makes one")
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    found = metrics.get("format") if isinstance(metrics, dict) else None
    if found != RUN_FORMAT or "sequence" not in metrics:
        raise DataError(f"{folder}: written by another version of tinyvio (run format {found}, this one reads {RUN_FORMAT}); run `tinyvio run` again")
    return metrics


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All members of an npz archive."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: damaged ({error}); run `tinyvio run` again") from None


def _trajectory(path: Path) -> Trajectory:
    """trajectory_euroc.csv; its numbers carry every bit."""
    header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
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
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
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
    arrays = _arrays(folder / _TRUTH)
    return GroundTruth(arrays["t_ns"], arrays["p_WB"], arrays["q_WB"], arrays.get("v_WB"), arrays.get("biases"))
