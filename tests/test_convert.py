"""Round trips through every format: each stamp, pixel and inertial value comes back; faults and interruptions leave nothing."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import FIRST_NS, PERIOD_NS, write_recording
from tolerances import EXACT, TIGHT
from vio.cli import app
from vio.io import asl, tables
from vio.io.bag_writer import FORMATS
from vio.io.recording import Recording

REPOSITORY = Path(__file__).resolve().parents[1]


def _tinyvio(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of conftest made hard: 16-bit left, colour right 1 us later, IMU values of all digits, ground truth, a time offset."""
    folder, rng = write_recording(tmp_path_factory.mktemp("convert") / "wall"), np.random.default_rng(4)
    root = folder / "mav0"
    for path in sorted((root / "cam0" / "data").iterdir()):
        cv2.imwrite(str(path), rng.integers(0, 1 << 16, (240, 320), dtype=np.uint16))
    for path in sorted((root / "cam1" / "data").iterdir()):
        cv2.imwrite(str(path), rng.integers(0, 256, (240, 320, 3), dtype=np.uint8))
        path.rename(path.with_name(f"{int(path.stem) + 1000}.png"))
    stamps = [FIRST_NS + PERIOD_NS * i + 1000 for i in range(12)]
    (root / "cam1" / "data.csv").write_text("#t\n" + "".join(f"{t},{t}.png\n" for t in stamps))
    t_ns, _, _ = tables.read_numbers(root / "imu0" / "data.csv", 6)
    values = rng.normal(0, 1, (len(t_ns), 6)) * 10.0 ** rng.integers(-12, 3, (len(t_ns), 6))
    values[0] = [0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3]
    (root / "imu0" / "data.csv").write_text("#t\n" + "".join(f"{t},{','.join(map(repr, row))}\n" for t, row in zip(t_ns.tolist(), values.tolist())))
    (root / "state_groundtruth_estimate0").mkdir()
    rows = np.column_stack([rng.normal(0, 1, (12, 3)), np.tile([0.6, 0.0, -0.8, 0.0], (12, 1)), rng.normal(0, 1, (12, 9))])
    text = "".join(f"{FIRST_NS + PERIOD_NS * i},{','.join(map(repr, row))}\n" for i, row in enumerate(rows.tolist()))
    (root / "state_groundtruth_estimate0" / "data.csv").write_text("#t\n" + text)
    for sensor in ("cam0", "cam1"):
        with (root / sensor / "sensor.yaml").open("a") as file:
            file.write("timeshift_cam_imu: -0.0012345\n")
    return folder


def assert_same(a: Recording, b: Recording) -> None:
    """Everything but the name and the ground truth is equal to the last bit."""
    assert (a.imu_t_ns == b.imu_t_ns).all() and a.imu.tobytes() == b.imu.tobytes()
    for one, other in zip(a.cameras, b.cameras, strict=True):
        assert (one.t_ns == other.t_ns).all()
        for i in range(len(one.t_ns)):
            x, y = one.load(i), other.load(i)
            assert x.dtype == y.dtype and x.shape == y.shape and (x == y).all()
    x, y = a.calibration, b.calibration
    assert (x.left, x.right, x.imu, x.time_offset) == (y.left, y.right, y.imu, y.time_offset)
    assert np.abs(x.T_BC - y.T_BC).max() == np.abs(x.T_BR - y.T_BR).max() == EXACT


@pytest.mark.parametrize("kind", FORMATS)
def test_asl_to_bag_to_asl_keeps_every_stamp_pixel_and_inertial_value(source: Path, tmp_path: Path, kind: str) -> None:
    """Oracle: the source. A bag's odometry carries velocities in the body's frame, so they return to rounding, and no biases."""
    _tinyvio("convert", source, tmp_path / "bag", "--format", kind)
    text = _tinyvio("convert", tmp_path / "bag", tmp_path / "back")
    assert "12 and 12 images" in text
    before, after = asl.read_recording(source), asl.read_recording(tmp_path / "back")
    assert_same(before, after)
    assert after.warnings == () and before.calibration.time_offset == -0.0012345
    assert np.abs(after.ground_truth.p_WB - before.ground_truth.p_WB).max() == EXACT
    assert np.abs(after.ground_truth.q_WB - before.ground_truth.q_WB).max() < TIGHT
    assert np.abs(after.ground_truth.v_WB - before.ground_truth.v_WB).max() < TIGHT


def test_asl_to_asl_is_the_same_recording_ground_truth_included(source: Path, tmp_path: Path) -> None:
    """Oracle: the source, biases and all; a second conversion gives the same bytes."""
    _tinyvio("convert", source, tmp_path / "one", "--quiet")
    _tinyvio("convert", tmp_path / "one", tmp_path / "two", "--quiet")
    before, after = asl.read_recording(source), asl.read_recording(tmp_path / "one")
    assert_same(before, after)
    assert np.abs(after.ground_truth.biases - before.ground_truth.biases).max() == EXACT
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 24 + 8
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


def test_odometry_on_a_bag_equals_odometry_on_the_folder(tmp_path: Path) -> None:
    """Oracle: the trajectory files byte for byte, the time offset applied in both."""
    folder = write_recording(tmp_path / "wall")
    _tinyvio("convert", folder, tmp_path / "bag", "--format", "mcap", "--time-offset", "0.0025", "--quiet")
    _tinyvio("run", folder, "--time-offset", "0.0025", "--out", tmp_path / "a", "--quiet")
    _tinyvio("run", tmp_path / "bag" / "wall.mcap", "--out", tmp_path / "b", "--quiet")
    lines = (tmp_path / "a" / "trajectory_euroc.csv").read_text()
    assert lines == (tmp_path / "b" / "trajectory_euroc.csv").read_text()
    stamp = int(lines.splitlines()[1].split(",")[0])
    assert (stamp - FIRST_NS) % PERIOD_NS == 2_500_000


def test_faults_cost_one_line_and_leave_no_folder(source: Path, tmp_path: Path) -> None:
    """Oracle: the exit codes of configuration (2) and data (3); nothing half-written stays behind."""

    def refused(code: int, words: str, *arguments: object) -> None:
        result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
        assert result.exit_code == code and words in result.stderr, result.output
        assert result.stderr.strip().count("\n") == 0 and "Traceback" not in result.stderr

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    refused(3, "exists already", source, tmp_path / "full", "--quiet")
    refused(2, "--format zip: one of asl, rosbag2, mcap", source, tmp_path / "out", "--format", "zip")
    refused(2, "the form is SENSOR=TOPIC", source, tmp_path / "out", "--topic", "cam2=/x")
    refused(3, "neither a bag", source / "mav0" / "imu0" / "data.csv", tmp_path / "out")
    broken = write_recording(tmp_path / "broken")
    picture = next((broken / "mav0" / "cam1" / "data").iterdir())
    picture.write_bytes(picture.read_bytes()[:500])
    for kind in ("asl", *FORMATS):
        refused(3, "truncated", broken, tmp_path / "out", "--format", kind, "--quiet")
    assert {path.name for path in tmp_path.iterdir()} == {"full", "broken"}


@pytest.mark.parametrize("kind", ["asl", "rosbag2"])
def test_control_c_leaves_nothing(source: Path, tmp_path: Path, kind: str) -> None:
    """Oracle: a real SIGINT at the ninth picture of a real process; 130 is the shell's code for it."""
    program = (
        "import signal, functools, vio.console as c, vio.cli as cli\n"
        "update = c.Progress._update\n"
        "def stop(self, what, done, total, unit='x'):\n"
        "    update(self, what, done, total, unit)\n"
        "    what == 'converting' and done == 9 and signal.raise_signal(signal.SIGINT)\n"
        "c.Progress._update = stop\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", program, "convert", str(source), str(tmp_path / "out"), "--format", kind]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 130 and "interrupted" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []
