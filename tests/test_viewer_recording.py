"""Runs recorded with --save-rrd and opened again with `tinyvio view`, read back by rerun's own reader."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from recordings import column, rows
from typer.testing import CliRunner, Result

from conftest import write_recording
from vio.cli import app
from vio.events import Event
from vio.io.map_file import read_map

pytest.importorskip("rerun", reason="the viewer needs rerun-sdk")
FRAMES = 60
EVERY_FRAME = (
    "/world/body", "/world/body/left/image", "/world/body/left/tracks", "/world/body/left/tails", "/world/estimate", "/world/gravity",
    "/world/truth", "/world/truth/path", "/plots/error/position", "/plots/error/rotation", "/plots/bias/gyro", "/plots/bias/gyro/3sigma",
    "/plots/bias/accel", "/plots/bias/accel/3sigma", "/plots/speed", "/plots/features", "/plots/ms", "/plots/uJ", "/plots/kB",
    "/plots/error/position/final", "/plots/error/rotation/final",
)
EVERY_KEYFRAME = ("/world/body/right/image", "/world/body/right/matches", "/world/body/right/disparity")
EVERY_SOLUTION = ("/world/landmarks/window", "/world/window", "/system/sparsity")


def _tinyvio(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(folder of the run, its recording): the small built-in sequence, with ground truth and in motion from the start."""
    folder = tmp_path_factory.mktemp("flown")
    result = _tinyvio("run", "room-small", "--out", folder / "run", "--save-rrd", folder / "run.rrd", "--quiet")
    assert result.exit_code == 0 and result.stderr.strip() == f"recorded in {folder / 'run.rrd'}", result.output
    return folder / "run", folder / "run.rrd"


def test_a_recorded_run_holds_every_entity_of_every_frame(flown: tuple[Path, Path]) -> None:
    """Oracle: the frames, poses and keyframes that the run's own files count."""
    folder, recording = flown
    found, poses = rows(recording), json.loads((folder / "metrics.json").read_text())["poses"]
    counts = np.load(folder / "counts.npz")["counts"]
    keyframes, solutions = int(counts[:, Event.KEYFRAME].sum()), np.count_nonzero(counts[:, Event.GAUSS_NEWTON_ITERATION])
    assert poses == FRAMES and {path: found[path] for path in EVERY_FRAME} == dict.fromkeys(EVERY_FRAME, FRAMES)
    assert {path: found[path] for path in EVERY_KEYFRAME} == dict.fromkeys(EVERY_KEYFRAME, keyframes)
    assert {path: found[path] for path in EVERY_SOLUTION} == dict.fromkeys(EVERY_SOLUTION, solutions)
    assert found["/health"] >= 1 and 0 < found["/world/landmarks/past"] < solutions


def test_the_final_position_errors_are_the_ate(flown: tuple[Path, Path]) -> None:
    """Oracle: evo's figure in metrics.json."""
    folder, recording = flown
    _, metres = column(recording, "/plots/error/position/final", "Scalars:scalars")
    assert np.sqrt(np.mean(np.square(metres))) == pytest.approx(json.loads((folder / "metrics.json").read_text())["ate_rmse_m"], rel=1e-6)


def test_the_pictures_are_those_of_the_sequence(flown: tuple[Path, Path]) -> None:
    """Oracle: the sequence's own pictures, to what JPEG loses."""
    import cv2

    from vio.io.sequence import open_sequence

    frames, blobs = column(flown[1], "/world/body/left/image", "EncodedImage:blob")
    sequence = open_sequence("room-small")
    assert frames.tolist() == list(range(FRAMES))
    for k in (0, FRAMES - 1):
        drawn = cv2.imdecode(np.array(blobs[k][0], np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.abs(drawn.astype(int) - sequence.load(k).left).mean() < 4.0


def test_the_run_is_the_same_whether_somebody_watches_or_not(flown: tuple[Path, Path], tmp_path: Path) -> None:
    """Oracle: the files of a run without a viewer, byte for byte."""
    result = _tinyvio("run", "room-small", "--out", tmp_path, "--quiet")
    assert result.exit_code == 0, result.output
    for name in ("trajectory_euroc.csv", "tracks.npz", "counts.npz", "states.npz", "health.csv", "map.npz"):
        assert (flown[0] / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_a_finished_run_shows_what_its_live_recording_showed(flown: tuple[Path, Path], tmp_path: Path) -> None:
    """Oracle: the recording made while it ran; right pictures and the linear system are not kept in the folder."""
    folder, live = flown
    result = _tinyvio("view", folder, "--save-rrd", tmp_path / "again.rrd", "--quiet")
    assert result.exit_code == 0 and "pictures are those of room-small" in result.stderr, result.output
    found = rows(tmp_path / "again.rrd")
    assert {path: found[path] for path in EVERY_FRAME} == dict.fromkeys(EVERY_FRAME, FRAMES)
    same = {"/plots/error/position": ["Scalars:scalars"], "/plots/features": ["Scalars:scalars"], "/plots/uJ": ["Scalars:scalars"],
            "/world/body/left/tracks": ["Points2D:positions", "Points2D:colors"], "/world/body/left/tails": ["LineStrips2D:strips"]}
    for entity, component in ((entity, component) for entity, components in same.items() for component in components):
        ours, theirs = (column(path, entity, component)[1] for path in (tmp_path / "again.rrd", live))
        assert [np.shape(a) for a in ours] == [np.shape(b) for b in theirs], entity
        assert np.allclose(*(np.concatenate([np.ravel(row) for row in rows]) for rows in (ours, theirs)), rtol=1e-6, atol=1e-9), entity


def test_landmarks_of_a_finished_run_are_where_they_ended_up(flown: tuple[Path, Path]) -> None:
    """Oracle: the live recording's last window; those of the map that were in it then."""
    folder, live = flown
    frames, points = column(live, "/world/landmarks/window", "Points3D:positions")
    found = read_map(folder)
    assert found.last.max() == frames[-1] - 1  # a keyframe is solved while the next frame is tracked
    here = found.p_WL[found.last == found.last.max()].astype(np.float32)
    assert len(here) > 20 and {tuple(p) for p in here.tolist()} == {tuple(p) for p in points[-1]}


def test_two_runs_lie_over_each_other(flown: tuple[Path, Path], tmp_path: Path) -> None:
    """Oracle: the same run twice is laid on itself; every frame is there for both."""
    from rerun.chunk import RrdReader

    folder, _ = flown
    result = _tinyvio("view", folder, "--compare", folder, "--save-rrd", tmp_path / "two.rrd", "--quiet")
    assert result.exit_code == 0, result.output
    found = rows(tmp_path / "two.rrd")
    for root in ("/run_1", "/run_2"):
        assert found[f"{root}/world/body"] == found[f"{root}/plots/error/position/final"] == found[f"{root}/plots/brief/uJ"] == FRAMES
    moved = [chunk.to_record_batch() for chunk in RrdReader(tmp_path / "two.rrd").stream() if chunk.entity_path == "/run_2/world" and chunk.is_static]
    placed = next(batch for batch in moved if "Transform3D:translation" in batch.schema.names)
    assert np.abs(placed.column("Transform3D:translation").to_pylist()[0][0]).max() < 1e-9
    assert np.abs(np.array(placed.column("Transform3D:mat3x3").to_pylist()[0][0]) - np.eye(3).ravel()).max() < 1e-6


def test_a_mono_run_without_ground_truth_is_recorded_too(tmp_path: Path) -> None:
    """Oracle: the frames of a rig at rest; nothing of a right camera, nothing to compare with."""
    result = _tinyvio("run", write_recording(tmp_path / "wall"), "--mono", "--out", tmp_path / "out", "--save-rrd", tmp_path / "wall.rrd", "--quiet")
    assert result.exit_code == 0, result.output
    found: Counter = rows(tmp_path / "wall.rrd")
    assert found["/world/body/left/tracks"] == found["/plots/features"] == 12
    assert not [path for path in found if "right" in path or "truth" in path or "error" in path]
