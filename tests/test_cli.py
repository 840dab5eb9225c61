"""The command line: files, faults, exit codes. Whole runs use the small standing recording of conftest."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from conftest import FIRST_NS, PERIOD_NS, edit_line, write_recording
from vio import config
from vio.arrival import Arrival
from vio.cli import app
from vio.commands.common import resolve_config
from vio.events import Event

FILES = {"trajectory.tum", "trajectory_euroc.csv", "metrics.json", "config.toml", "counts.npz", "health.csv", "tracks.npz", "states.npz", "stages.npz", "map.npz"}
REPOSITORY = Path(__file__).resolve().parents[1]


def _tinyvio(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _one_line(result: Result) -> str:
    """The error text, after checking that it is one line and no traceback."""
    text = result.stderr.strip()
    assert "\n" not in text and "Traceback" not in text and text.startswith("tinyvio: ")
    return text


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Result]:
    """A run over a whole recording: (recording, results, what the program said)."""
    folder = write_recording(tmp_path_factory.mktemp("run") / "wall")
    out = folder.parent / "out"
    return folder, out, _tinyvio("run", folder, "--out", out)


def test_a_run_writes_every_file_and_prints_a_table(whole_run: tuple[Path, Path, Result]) -> None:
    """Oracle: the list of files of the issue; no temporary file may stay behind."""
    _, out, result = whole_run
    assert result.exit_code == 0, result.output
    assert {p.name for p in out.iterdir()} == FILES
    for word in ("frames", "coverage", "ATE", "frames/s", "median", "peak memory", "health", "results"):
        assert word in result.stdout


def test_the_metrics_agree_with_the_files(whole_run: tuple[Path, Path, Result]) -> None:
    """Oracle: the other files of the same run."""
    _, out, _ = whole_run
    metrics = json.loads((out / "metrics.json").read_text())
    poses = (out / "trajectory.tum").read_text().splitlines()
    assert metrics["frames"] == 12 and metrics["poses"] == len(poses)
    assert metrics["coverage"] == len(poses) / 12
    assert metrics["ate_rmse_m"] is None and metrics["path_m"] is None and metrics["rpe"] is None  # no ground truth there
    assert metrics["fps"] == pytest.approx(12 / metrics["seconds"])
    assert {"decode_wait", "engine"} <= metrics["stage_ms"].keys()
    assert metrics["peak_rss_mb"] > 50 and metrics["versions"]["numpy"] == np.__version__
    counts = np.load(out / "counts.npz")
    assert counts["counts"].shape == (12, len(Event)) and counts["events"].tolist() == [e.name for e in Event]
    assert counts["t_ns"].tolist() == [FIRST_NS + PERIOD_NS * i for i in range(12)]
    rows = list(csv.DictReader((out / "health.csv").open()))
    assert [int(row["t_ns"]) for row in rows] == counts["t_ns"].tolist()


def test_both_trajectories_hold_the_same_poses(whole_run: tuple[Path, Path, Result]) -> None:
    """Oracle: the two formats against each other, to the digits the shorter one keeps."""
    _, out, _ = whole_run
    tum = [line.split() for line in (out / "trajectory.tum").read_text().splitlines()]
    euroc = [line.split(",") for line in (out / "trajectory_euroc.csv").read_text().splitlines()[1:]]
    assert [int(row[0].replace(".", "")) for row in tum] == [int(row[0]) for row in euroc]
    a, b = np.array(tum)[:, 1:].astype(float), np.array(euroc)[:, 1:].astype(float)
    assert np.abs(a - b[:, [0, 1, 2, 4, 5, 6, 3]]).max() <= 0.5000001e-9
    assert b.shape[1] == 16 and np.isfinite(b).all()


def test_the_written_configuration_repeats_the_run_bit_for_bit_with_any_number_of_threads(whole_run: tuple[Path, Path, Result], tmp_path: Path) -> None:
    """Oracle: the first run's own files."""
    folder, out, _ = whole_run
    assert config.load(out / "config.toml") == config.Config()
    for threads in (1, 3):
        again = tmp_path / str(threads)
        result = _tinyvio("run", folder, "--profile", out / "config.toml", "--out", again, "--threads", threads, "--quiet")
        assert result.exit_code == 0 and result.stdout == ""
        for name in ("trajectory.tum", "trajectory_euroc.csv", "health.csv"):
            assert (again / name).read_bytes() == (out / name).read_bytes()


def test_start_and_max_frames_choose_the_frames(whole_run: tuple[Path, Path, Result], tmp_path: Path) -> None:
    """Oracle: 20 Hz, so 0.1 s is two frames."""
    folder, _, _ = whole_run
    assert _tinyvio("run", folder, "--start", "0.1", "--max-frames", "9", "--out", tmp_path / "o", "--quiet").exit_code == 0
    t_ns = np.load(tmp_path / "o" / "counts.npz")["t_ns"]
    assert t_ns.tolist() == [FIRST_NS + PERIOD_NS * i for i in range(2, 11)]
    late = _tinyvio("run", folder, "--start", "99", "--out", tmp_path / "late")
    assert late.exit_code == 3 and "after its end" in _one_line(late) and not (tmp_path / "late").exists()


def test_unusable_images_are_skipped_and_told(recording: Path, tmp_path: Path) -> None:
    """Oracle: frames 6 (truncated) and 8 (missing) damaged by hand; the other ten are processed."""
    data = recording / "mav0" / "cam1" / "data"
    truncated, missing = (data / f"{FIRST_NS + PERIOD_NS * i}.png" for i in (6, 8))
    truncated.write_bytes(truncated.read_bytes()[:999])
    missing.unlink()
    result = _tinyvio("run", recording, "--out", tmp_path / "o", "--quiet")
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1 and str(truncated) in result.stderr and "1 more" in result.stderr
    skipped = [row for row in csv.DictReader((tmp_path / "o" / "health.csv").open()) if row["state"] == "skipped"]
    assert [int(row["t_ns"]) for row in skipped] == [FIRST_NS + PERIOD_NS * 6, FIRST_NS + PERIOD_NS * 8]
    assert all(row["reasons"] == "image_unreadable" and row["message"] for row in skipped)
    metrics = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert metrics["frames"] == 12 and metrics["poses"] <= 10


def test_absurd_imu_values_and_an_imu_gap_leave_no_nan(recording: Path, tmp_path: Path) -> None:
    """Oracle: NaN, infinity, 1e30 and a gap of 0.1 s put in by hand; the files stay finite and the health says something."""
    path = recording / "mav0" / "imu0" / "data.csv"
    for line, bad in ((70, "nan,0,0,0,0,9.81"), (85, "0,0,0,0,inf,9.81"), (100, "1e30,0,0,0,0,9.81")):
        edit_line(path, line, lambda row: row.split(",")[0] + "," + bad)
    rows = path.read_text().splitlines()
    path.write_text("\n".join(rows[:120] + rows[140:]) + "\n")
    result = _tinyvio("run", recording, "--out", tmp_path / "o", "--quiet")
    assert result.exit_code == 0, result.output
    for name in ("trajectory.tum", "trajectory_euroc.csv", "metrics.json"):
        assert "nan" not in (tmp_path / "o" / name).read_text().lower()
    reasons = json.loads((tmp_path / "o" / "metrics.json").read_text())["health"]["reasons"]
    assert any("imu" in reason for reason in reasons)


def test_faults_found_on_opening_are_warnings_and_stand_in_health(recording: Path, tmp_path: Path) -> None:
    """Oracle: one repeated stamp."""
    path = recording / "mav0" / "imu0" / "data.csv"
    edit_line(path, 50, lambda row: path.read_text().splitlines()[48])
    result = _tinyvio("run", recording, "--out", tmp_path / "o", "--quiet")
    assert result.exit_code == 0 and f"{path}: dropped 1 row" in result.stderr
    first = next(csv.DictReader((tmp_path / "o" / "health.csv").open()))
    assert first["state"] == "sequence" and "line 50" in first["message"]


def test_control_c_leaves_the_files_of_what_was_processed(recording: Path, tmp_path: Path) -> None:
    """Oracle: a real SIGINT at the output of frame 9 of a real process; 130 is the shell's code for it."""
    program = (
        "import signal, vio.console as c, vio.cli as cli\n"
        "update = c.Progress.frame\n"
        "def frame(self, done, output):\n"
        "    update(self, done, output)\n"
        "    done == 9 and signal.raise_signal(signal.SIGINT)\n"
        "c.Progress.frame = frame\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", program, "run", str(recording), "--out", str(tmp_path / "o")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 130, done.stderr
    assert "interrupted after 9 frames" in done.stderr and "Traceback" not in done.stderr
    assert {p.name for p in (tmp_path / "o").iterdir()} == FILES
    metrics = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert metrics["interrupted"] and metrics["frames"] == 9


def test_an_error_inside_the_engine_keeps_the_frames_before_it(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: an engine made to fail at its seventh frame."""
    from vio import odometry

    whole = odometry.Odometry._look

    def failing(self: odometry.Odometry, arrival: Arrival) -> None:
        if arrival.frame.t_ns == FIRST_NS + 6 * PERIOD_NS:
            raise ZeroDivisionError("on purpose")
        whole(self, arrival)

    monkeypatch.setattr(odometry.Odometry, "_look", failing)
    result = _tinyvio("run", recording, "--out", tmp_path / "o", "--quiet")
    assert result.exit_code == 1 and "after 6 frames (ZeroDivisionError: on purpose)" in _one_line(result)
    assert {p.name for p in (tmp_path / "o").iterdir()} == FILES | {"error.txt"}
    assert json.loads((tmp_path / "o" / "metrics.json").read_text())["frames"] == 6


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["no-such-sequence"], 3, "room-small"),
        (["room-small", "--profile", "nonsense"], 2, "known: default"),
        (["room-small", "--profile", "nonsense.toml"], 2, "the profile cannot be read"),
        (["room-small", "--set", "backend.windows=8"], 2, "unknown field 'backend.windows'"),
        (["room-small", "--set", "backend.window=99"], 2, "allowed: 3 to 30"),
        (["room-small", "--set", "backend.window"], 2, "write section.field=value"),
    ],
)
def test_a_mistake_on_the_command_line_costs_one_line_and_its_code(arguments: list[str], code: int, text: str) -> None:
    """Oracle: the mistake itself; nothing is rendered or run for it."""
    result = _tinyvio("run", *arguments)
    assert result.exit_code == code and text in _one_line(result)


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path, recording: Path) -> None:
    """Oracle: the two places where a folder is wanted."""
    (tmp_path / "file").write_text("")
    assert _tinyvio("run", tmp_path / "file").exit_code == 3
    result = _tinyvio("run", recording, "--out", tmp_path / "file")
    assert result.exit_code == 3 and "--out" in _one_line(result)


def test_a_broken_folder_ends_with_code_three(recording: Path, tmp_path: Path) -> None:
    """Oracle: a cell that is no number; file and line are named, and no output folder is left."""
    edit_line(recording / "mav0" / "imu0" / "data.csv", 9, lambda row: row.replace(",", ",x", 1))
    result = _tinyvio("run", recording, "--out", tmp_path / "o")
    assert result.exit_code == 3 and "imu0/data.csv, line 9" in _one_line(result)
    assert not (tmp_path / "o").exists()


def test_profiles_come_by_name_by_file_and_with_single_changes(tmp_path: Path) -> None:
    """Oracle: the values asked for; the last word has --set."""
    (tmp_path / "mine.toml").write_text("[backend]\nwindow = 7\n")
    assert resolve_config("default", []) == config.Config()
    assert resolve_config(str(tmp_path / "mine.toml"), ["backend.iterations=9"]).backend.window == 7
    assert resolve_config(str(tmp_path / "mine.toml"), ["backend.window=9"]).backend.window == 9


def test_help_and_version_need_none_of_the_heavy_modules() -> None:
    """Oracle: the list of loaded modules; each of these takes a noticeable part of a second."""
    program = "import sys, vio.cli; print([m for m in ('numba', 'numpy', 'cv2', 'evo', 'scipy', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
    assert re.fullmatch(r"tinyvio \d+\.\d+\.\d+\S*", _tinyvio("--version").stdout.strip())
    assert "SEQUENCE" in _tinyvio("run", "--help").stdout


def test_the_python_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the README itself; it prints one line per pose."""
    example = re.search(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S).group(1)
    assert len(example.strip().splitlines()) <= 12
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    assert len(capsys.readouterr().out.splitlines()) > 10
