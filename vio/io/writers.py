"""Files of a run, each complete or absent: written beside its place under another name, then renamed."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from vio import config as configuration
from vio.config import Config
from vio.errors import DataError
from vio.events import Event
from vio.io.sequence import GroundTruth
from vio.runner import HealthRow, RunResult, Trajectory

RUN_FORMAT = 1  # of a run folder; raised when a reader of the former one would misunderstand it
_MARGIN_NS = 1_000_000_000  # ground truth kept before and after a run

EUROC_HEADER = (
    "#timestamp [ns],p_WB_x [m],p_WB_y [m],p_WB_z [m],q_WB_w [],q_WB_x [],q_WB_y [],q_WB_z [],"
    "v_WB_x [m s^-1],v_WB_y [m s^-1],v_WB_z [m s^-1],b_g_x [rad s^-1],b_g_y [rad s^-1],b_g_z [rad s^-1],"
    "b_a_x [m s^-2],b_a_y [m s^-2],b_a_z [m s^-2]"
)

HEALTH_COLUMNS = ("t_ns", "state", "reasons", "tracked", "initialised_by", "message")


def prepare_folder(folder: Path) -> None:
    """Make the output folder and prove that it can be written, before hours of work depend on it. Raises DataError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "metrics.json.probe", b"")
        (folder / "metrics.json.probe").unlink()
    except OSError as error:
        raise DataError(f"{folder}: cannot write results there ({error.strerror}); choose another with --out") from None


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_run(folder: Path, result: RunResult, metrics: dict[str, Any], config: Config, comment: str = "", truth: GroundTruth | None = None) -> None:
    """Write all files of a run; `comment` goes to the head of config.toml. `vio.io.run_folder.open_run` reads them."""
    resolved = "".join(f"# {line}\n" for line in comment.splitlines()) + configuration.dumps(config)
    files = {
        "trajectory.tum": tum(result.trajectory).encode(),
        "trajectory_euroc.csv": euroc(result.trajectory).encode(),
        "health.csv": health(result.health).encode(),
        "counts.npz": counts(result),
        "tracks.npz": tracks(result),
        "states.npz": states(result),
        "stages.npz": _archive(**result.stage_ns),
        "config.toml": resolved.encode(),
        "metrics.json": (json.dumps({"format": RUN_FORMAT, **metrics}, indent=2, allow_nan=False) + "\n").encode(),
    }
    if truth is not None:
        files["ground_truth.npz"] = ground_truth(truth, result.frame_t_ns)
    if result.failure:
        files["error.txt"] = result.failure.encode()
    for leftover in {"error.txt", "ground_truth.npz"} - files.keys():  # of an earlier run
        (folder / leftover).unlink(missing_ok=True)
    for name, data in files.items():
        write_atomic(folder / name, data)


def seconds(t_ns: int) -> str:
    """Seconds with nine decimals, exact: a float64 would be off by 100 ns at today's dates."""
    sign, size = ("-", -t_ns) if t_ns < 0 else ("", t_ns)
    return f"{sign}{size // 10**9}.{size % 10**9:09d}"


def tum(trajectory: Trajectory) -> str:
    """TUM format: `t[s] tx ty tz qx qy qz qw` of T_WB, one line per pose (the quaternion's order is the format's, not ours)."""
    rows = zip(trajectory.t_ns.tolist(), trajectory.p_WB.tolist(), trajectory.q_WB.tolist())
    return "".join(f"{seconds(t)} {x:.9f} {y:.9f} {z:.9f} {qx:.9f} {qy:.9f} {qz:.9f} {qw:.9f}\n" for t, (x, y, z), (qw, qx, qy, qz) in rows)


def euroc(trajectory: Trajectory) -> str:
    """EuRoC's ground-truth columns, every number with all the digits of its float64."""
    values = np.hstack([trajectory.p_WB, trajectory.q_WB, trajectory.v_WB, trajectory.b_g, trajectory.b_a])
    rows = (",".join([str(t), *map(repr, row)]) for t, row in zip(trajectory.t_ns.tolist(), values.tolist()))
    return "\n".join([EUROC_HEADER, *rows]) + "\n"


def health(rows: tuple[HealthRow, ...]) -> str:
    """One line per frame, and before them one per fault found on opening the sequence."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEALTH_COLUMNS)
    for row in rows:
        writer.writerow([row.t_ns, row.state, ";".join(row.reasons), row.tracked, row.initialised_by, row.message])
    return text.getvalue()


def _archive(**arrays: np.ndarray) -> bytes:
    """An npz archive. Its members carry no date, so the same arrays give the same bytes."""
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


def counts(result: RunResult) -> bytes:
    """An npz archive: `t_ns` (m,), `counts` (m, events), `events` (events,) the column names."""
    return _archive(t_ns=result.frame_t_ns, counts=result.counts, events=np.array([event.name for event in Event]))


def _narrowed(ids: np.ndarray) -> np.ndarray:
    """Feature numbers as int32 where they fit, which takes half the room."""
    return ids.astype(np.int32) if ids.max(initial=0) <= np.iinfo(np.int32).max else ids


def tracks(result: RunResult) -> bytes:
    """An npz archive of raw integers: `t_ns` and `rows` (m,) a frame; `ids`, `uv_raw` (k, 2), `status` (k,) a feature, frame after frame."""
    table = result.tracks
    return _archive(t_ns=result.frame_t_ns, rows=table.rows, ids=_narrowed(table.ids), uv_raw=table.uv_raw, status=table.status)


def packed_columns() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (120,) of the upper triangle of a (15, 15) matrix, in the order in which states.npz keeps them."""
    return np.triu_indices(15)


def states(result: RunResult) -> bytes:
    """An npz archive: `t_ns` (n,), `covariance` (n, 120) float32, the packed upper triangles in the tangent order of `vio.types`."""
    return _archive(t_ns=result.trajectory.t_ns, covariance=result.covariance[:, *packed_columns()].astype(np.float32))


def ground_truth(truth: GroundTruth, frame_t_ns: np.ndarray) -> bytes:
    """An npz archive of the reference over the time of the run: t_ns, p_WB, q_WB, and v_WB and biases where they are known."""
    span = (frame_t_ns[0] - _MARGIN_NS, frame_t_ns[-1] + _MARGIN_NS) if len(frame_t_ns) else (0, 0)
    first, last = np.searchsorted(truth.t_ns, span)
    columns = {name: getattr(truth, name) for name in ("t_ns", "p_WB", "q_WB", "v_WB", "biases")}
    return _archive(**{name: values[first:last] for name, values in columns.items() if values is not None})
