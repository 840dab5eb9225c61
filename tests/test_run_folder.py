"""A run folder read back equals the run that wrote it; one that is not whole is refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from vio.config import Config, override
from vio.errors import DataError
from vio.events import Event
from vio.io.run_folder import open_run
from vio.io.sequence import GroundTruth
from vio.io.writers import write_run
from vio.runner import HealthRow, RunResult, TrackTable, Trajectory

CONFIG = override(Config(), ["backend.window=7"])


def _covariances(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random symmetric matrices whose entries are float32, as the file keeps them."""
    A = rng.normal(size=(n, 15, 15)).astype(np.float32).astype(np.float64)
    return np.triu(A) + np.swapaxes(np.triu(A, 1), 1, 2)


def _result(rng: np.random.Generator) -> RunResult:
    t = 1_403_636_579_763_555_584 + 50_000_000 * np.arange(4)
    trajectory = Trajectory(t[1:], rng.normal(size=(3, 3)), rng.normal(size=(3, 4)), *(rng.normal(size=(3, 3)) for _ in range(3)))
    tracks = TrackTable(np.array([2, 0, 1, 0], np.int32), np.array([5, 6, 5], np.int64), np.arange(6, dtype=np.int32).reshape(3, 2), np.array([1, 1, 0], np.uint8))
    health = (HealthRow(int(t[0]), "sequence", message="row 3, \"quoted\""), HealthRow(int(t[1]), "degraded", ("imu_gap", "few_tracks"), 12, "standstill"))
    stages = {"engine": np.array([4, 5, 6, 7]), "back_end": np.array([-1, 3, -1, 2])}
    return RunResult(4, trajectory, _covariances(rng, 3), t, rng.integers(0, 2**40, (4, len(Event))), tracks, health, stages, 0.5, 0.1, False, "")


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, RunResult, GroundTruth]:
    """A folder, and what was written into it; the ground truth covers a minute more than the run."""
    rng = np.random.default_rng(7)
    result = _result(rng)
    t = result.frame_t_ns[0] + 1_000_000_000 * np.arange(-60, 61)
    truth = GroundTruth(t, rng.normal(size=(121, 3)), rng.normal(size=(121, 4)), rng.normal(size=(121, 3)), None)
    write_run(tmp_path, result, {"sequence": "drawn"}, CONFIG, truth=truth)
    return tmp_path, result, truth


def test_what_is_read_equals_what_was_written(folder: tuple[Path, RunResult, GroundTruth]) -> None:
    """Oracle: the arrays handed to the writer, bit for bit."""
    path, result, truth = folder
    run = open_run(path)
    assert run.name == "drawn" and run.config == CONFIG and run.health == result.health and run.events == tuple(event.name for event in Event)
    for name in ("t_ns", "p_WB", "q_WB", "v_WB", "b_g", "b_a"):
        assert np.array_equal(getattr(run.trajectory, name), getattr(result.trajectory, name)), name
    for name in ("rows", "ids", "uv_raw", "status"):
        assert np.array_equal(getattr(run.tracks, name), getattr(result.tracks, name)), name
    for name in ("covariance", "frame_t_ns", "counts"):
        assert np.array_equal(getattr(run, name), getattr(result, name)), name
    assert run.stage_ns.keys() == result.stage_ns.keys() and np.array_equal(run.stage_ns["back_end"], result.stage_ns["back_end"])
    near = np.abs(truth.t_ns - result.frame_t_ns[0]) <= 1_000_000_000
    assert run.ground_truth is not None and np.array_equal(run.ground_truth.p_WB, truth.p_WB[near]) and run.ground_truth.biases is None


@pytest.mark.parametrize("name", ["metrics.json", "config.toml", "trajectory_euroc.csv", "states.npz", "stages.npz", "counts.npz", "tracks.npz", "health.csv"])
def test_a_missing_or_damaged_file_is_named(folder: tuple[Path, RunResult, GroundTruth], name: str) -> None:
    """Oracle: the rule that a run folder is read whole or refused in one line that names it."""
    path = folder[0] / name
    path.write_bytes(b"\x00half")
    with pytest.raises(DataError, match=str(folder[0])) as refusal:
        open_run(folder[0])
    assert "\n" not in str(refusal.value)
    path.unlink()
    with pytest.raises(DataError, match=name):
        open_run(folder[0])


def test_a_folder_of_another_version_is_refused(folder: tuple[Path, RunResult, GroundTruth]) -> None:
    """Oracle: the format number in metrics.json."""
    path = folder[0] / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(DataError, match="another version"):
        open_run(folder[0])
