"""`tinyvio render` as a user drives it, and the files of poses it reads."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tolerances import EXACT, LOOSE
from typer.testing import CliRunner

from vio.cli import app
from vio.commands.render import _changed
from vio.io import asl, asl_writer, renderer
from vio.io.recorded_flight import flight_through, read_poses
from vio.io.render_spec import RenderSpec
from vio.io.render_toml import load_spec, overlaid, overridden
from vio.io.resources import resource
from vio.io.rooms import enlarged
from vio.io.scene import clearance
from vio.io.simulator import simulate_flight
from vio.io.trajectory import Channel, Harmonics, Motion, from_harmonics
from vio.io.writers import seconds

ROOT = Path(__file__).resolve().parents[1]
_SMALL = ["--set", "width=80", "--set", "height=60", "--set", "room.pieces=2", "--set", "camera.shutter=0.0"]
_FLIGHT = Harmonics(-1.0, 1.0, Channel(2.0, 0.4), Channel(-1.0, 0.0, ((0.2, 0.5, 0.0),)), Channel(1.3), yaw=Channel(20.0, 15.0))


def _run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["render", *words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def motion() -> Motion:
    """Two seconds of a flight at 200 Hz."""
    return simulate_flight(from_harmonics(_FLIGHT, 0.0, 2.0, renderer.EPOCH_NS))


@pytest.fixture(scope="module")
def tum(motion: Motion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same flight as a TUM file, at 50 Hz."""
    path = tmp_path_factory.mktemp("poses") / "walk.txt"
    rows = [f"{seconds(int(t))} {' '.join(map(repr, p.tolist()))} {' '.join(map(repr, q[[1, 2, 3, 0]].tolist()))}" for t, p, q in zip(motion.t_ns, motion.p_WB, motion.q_WB)]
    path.write_text("# t tx ty tz qx qy qz qw\n" + "\n".join(rows[::4]) + "\n")
    return path


def test_a_built_in_flight_is_rendered_as_the_options_say(tmp_path: Path) -> None:
    """Oracle: the options, read back through the ASL reader; the summary names the folder."""
    code, out, err = _run("circle", "--out", str(tmp_path / "c"), "--duration", "0.4", "--room", "cluttered", "--set", "frame_hz=10", *_SMALL)
    assert code == 0, err
    assert "4 stereo frames of 80x60" in out and str(tmp_path / "c") in out
    sequence = asl.read(tmp_path / "c")
    assert sequence.warnings == () and len(sequence.frame_t_ns) == 4
    assert sequence.load(0).left.shape == (60, 80)


def test_a_tum_file_is_flown_with_a_simulated_imu(tum: Path, motion: Motion, tmp_path: Path) -> None:
    """Oracle: the flight that the file was taken from, against the ground truth of the folder; the gyro agrees within its noise."""
    code, _, err = _run(str(tum), "--out", str(tmp_path / "w"), "--duration", "0.3", "--set", "imu.noise_factor=0", "--set", "imu.gyro_bias=[0.0, 0.0, 0.0]", *_SMALL)
    assert code == 0, err
    sequence = asl.read(tmp_path / "w")
    truth = sequence.ground_truth
    assert truth is not None and truth.v_WB is not None
    i = np.searchsorted(motion.t_ns, truth.t_ns)
    np.testing.assert_allclose(motion.t_ns[i], truth.t_ns, atol=EXACT)
    np.testing.assert_allclose(truth.p_WB, motion.p_WB[i], atol=LOOSE)
    np.testing.assert_allclose(truth.v_WB, motion.v_WB[i], atol=50 * LOOSE)
    gyro = sequence.imu_w_B[np.isin(sequence.imu_t_ns, truth.t_ns)]
    np.testing.assert_allclose(gyro, motion.w_B[i], atol=50 * LOOSE)


def test_eight_columns_of_a_csv_are_poses_and_seventeen_are_states(motion: Motion, tmp_path: Path) -> None:
    """Oracle: the arrays written."""
    rows = [",".join([str(t), *map(repr, p.tolist()), *map(repr, q.tolist())]) for t, p, q in zip(motion.t_ns, motion.p_WB, motion.q_WB)]
    (tmp_path / "poses.csv").write_text("#t,p,p,p,q,q,q,q\n" + "\n".join(rows) + "\n")
    asl_writer.write_truth(tmp_path / "mav0" / asl_writer.TRUTH, motion, np.full((len(motion.t_ns), 3), 0.1), np.zeros((len(motion.t_ns), 3)))
    few, all_columns = read_poses(tmp_path / "poses.csv"), read_poses(tmp_path)
    assert np.array_equal(few.t_ns, motion.t_ns) and np.array_equal(all_columns.states[:, :3], motion.p_WB)
    assert not few.states[:, 7:].any() and (all_columns.states[:, 10:13] == 0.1).all()


def test_the_longest_part_of_broken_poses_is_flown_and_the_gap_is_told(tum: Path, tmp_path: Path) -> None:
    """Oracle: the rows that were cut out."""
    lines = tum.read_text().splitlines(keepends=True)
    (tmp_path / "gap.txt").write_text("".join(lines[:20] + lines[45:]))
    poses = read_poses(tmp_path / "gap.txt")
    assert len(poses.t_ns) == len(lines) - 45
    assert "1 gaps" in poses.warnings[0]
    assert flight_through(poses).end == pytest.approx((len(lines) - 46) * 0.02)


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["nowhere"], 3, "no such file or folder, and no built-in flight of this name; built in: room"),
        (["circle", "--room", "cave"], 2, "no room of kind 'cave'; known: workshop"),
        (["circle", "--set", "camera.shuter=1"], 2, "unknown field 'camera.shuter'"),
        (["circle", "--set", "camera.shutter"], 2, "write field=value"),
        (["circle", "--duration", "nan"], 2, "'duration' is nan"),
        (["circle", "--set", "camera.shutter=0.2"], 2, "'camera.shutter' is 0.2; allowed: 0.0 to 0.05"),
        (["circle", "--imu", "real"], 2, "--imu real keeps the IMU of a recording"),
        (["circle", "--set", "flight.z.offset=-3"], 2, "above the floor; raise flight.z.offset"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_folder(words: list[str], code: int, complaint: str, tmp_path: Path) -> None:
    """Oracle: the contract: exit code, one line that names the field and the remedy."""
    got, _, err = _run(words[0], *_SMALL, *words[1:], "--out", str(tmp_path / "x"))
    assert got == code
    assert complaint in err and len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "complaint"), [("1.0 2 3\n", "line 1: not a TUM row"), ("", "no rows"), ("1 0 0 0 0 0 0 1\n", "1 usable poses are no flight")])
def test_a_file_without_poses_is_refused_by_name_and_line(text: str, complaint: str, tmp_path: Path) -> None:
    """Oracle: the contract of `read_poses`: exit code 3 and the file's name."""
    (tmp_path / "bad.txt").write_text(text)
    code, _, err = _run(str(tmp_path / "bad.txt"), "--out", str(tmp_path / "x"))
    assert code == 3 and complaint in err and "bad.txt" in err


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """Oracle: the contract, before any work."""
    (tmp_path / "mine").write_text("precious")
    code, _, err = _run("circle", "--out", str(tmp_path))
    assert code == 3 and "exists already" in err
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_specification_file_starts_from_a_built_in_flight(tmp_path: Path) -> None:
    """Oracle: the fields in the file and, for the others, those of the built-in."""
    known = renderer.builtin_specs()
    (tmp_path / "mine.toml").write_text('like = "hover"\nduration = 7\n[camera]\nread_noise = 2\n[flight.x]\nwaves = [[1.0, 0.1, 0.0]]\n')
    spec = load_spec(tmp_path / "mine.toml", known)
    assert (spec.duration, spec.camera.read_noise, spec.flight.x.waves) == (7.0, 2.0, ((1.0, 0.1, 0.0),))
    assert spec.flight.y == known["hover"].flight.y and spec.camera.auto_exposure == known["hover"].camera.auto_exposure
    assert overridden(spec, ["camera.read_noise=3.5", "room.kind=hall"]).room.kind == "hall"


@pytest.mark.parametrize("kind", ["cluttered", "dark"])
def test_a_room_makes_way_for_the_flight(kind: str) -> None:
    """Oracle: the distance function of the scene along a flight that its furniture would be in the way of, and its walls."""
    spec = overlaid(renderer.builtin_specs()["figure-eight"], resource("datasets", "render/rooms.toml"), kind)
    path = simulate_flight(renderer.flight_of(spec), 20.0).p_WB
    assert np.abs(path[:, 0]).max() + 0.6 > 0.5 * spec.room.length or kind == "dark"
    assert clearance(renderer.scene_of(spec), path).min() > 0.5


def test_built_in_rooms_need_no_more_space_than_they_say() -> None:
    """Oracle: equality: making way must not change the built-in sequences."""
    for spec in renderer.builtin_specs().values():
        assert enlarged(spec.room, simulate_flight(renderer.flight_of(spec), 20.0).p_WB, 0.6) == spec.room


def test_options_are_applied_in_order_and_set_has_the_last_word() -> None:
    """Oracle: the options; --room brings its own camera, --set changes that again."""
    spec = _changed(renderer.builtin_specs()["circle"], "dark", ["camera.read_noise=1.5", "duration=9"], 30.0, 5)
    assert (spec.seed, spec.duration, spec.camera.read_noise, spec.camera.shutter, spec.room.light) == (5, 9.0, 1.5, 0.015, 0.08)


def test_the_digest_changes_with_any_field_and_not_with_an_option_left_alone() -> None:
    """Oracle: inequality after a change of one leaf; equality of equal specifications."""
    base = RenderSpec()
    digests = {overridden(base, [text]).digest() for text in ("seed=2", "camera.readout=0.01", "imu.gyro_scale=[0.1, 0, 0]", "flight.x.waves=[[1, 2, 3]]", "flight.x.waves=[[1, 2, 4]]")}
    assert len(digests | {base.digest()}) == 6
    assert overridden(base, ["seed=1"]).digest() == base.digest()


def test_ctrl_c_leaves_no_half_folder(tmp_path: Path) -> None:
    """Oracle: exit code 130, one line, and the folder's listing."""
    words = [sys.executable, "-m", "vio.cli", "render", "room-small", "--out", str(tmp_path / "cut"), "--duration", "600", "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # a shell that runs the tests in the background makes its children deaf to SIGINT
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment, preexec_fn=_hears_ctrl_c)
    try:
        deadline = time.monotonic() + 300.0
        while not list(tmp_path.glob(".cut.part-*/mav0/cam0/data/*.png")) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "interrupted" in err and len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def _hears_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
