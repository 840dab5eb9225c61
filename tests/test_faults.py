"""Faults made on purpose: on the fly and as a copy, by their parameters and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vio import lie
from vio.cli import app
from vio.errors import ConfigError, DataError
from vio.io import asl, tables
from vio.io.faults.copy import write_copy
from vio.io.faults.registry import FAULTS, corrupted, damaged, descriptions, parse
from vio.io.sequence import Sequence, open_sequence


@pytest.fixture(scope="module")
def whole() -> Sequence:
    """The small built-in sequence: 3 s at 20 Hz."""
    return open_sequence("room-small")


def _same_frame(a: Sequence, i: int, b: Sequence, j: int) -> bool:
    one, two = a.load(i), b.load(j)
    return np.array_equal(one.left, two.left) and np.array_equal(one.right, two.right)


@pytest.mark.parametrize("name", list(FAULTS))
def test_every_fault_changes_the_recording_and_the_same_seed_changes_it_alike(name: str, whole: Sequence) -> None:
    """Oracle: the recording itself, and a second application."""
    text = "imu-saturation:gyro=0.1" if name == "imu-saturation" else name  # this flight is a calm one
    one, two = damaged(whole, [text], 3), damaged(whole, [text], 3)

    def state(take: object) -> list[bytes]:
        arrays = [take.imu_t_ns, take.imu_w_B, take.imu_a_B, take.frame_t_ns, take.pick, take.broken, np.array(take.side)]
        arrays += [edit.amount for edit in take.edits] + [take.calibration.T_BC, take.calibration.T_BR]
        return [a.tobytes() for a in arrays]

    assert state(one) == state(two)
    assert state(one) != state(damaged(whole, []))


def test_a_black_left_camera_is_black_then_and_there_only(whole: Sequence) -> None:
    """Oracle: 20 Hz, so 1.0 to 1.5 s are frames 20 to 29."""
    dark = corrupted(whole, ["black:left,start=1,duration=0.5"])
    levels = [dark.load(i).left.max() for i in (19, 20, 29, 30)]
    assert [level > 0 for level in levels] == [True, False, False, True]
    assert np.array_equal(dark.load(25).right, whole.load(25).right)


def test_a_frozen_camera_repeats_the_picture_before(whole: Sequence) -> None:
    """Oracle: the picture of frame 19, also when it has been damaged before."""
    still = corrupted(whole, ["frozen:both,start=1,duration=0.5"])
    assert _same_frame(still, 24, whole, 19) and _same_frame(still, 30, whole, 30)
    both = corrupted(whole, ["black:right,start=0.9,duration=0.1", "frozen:right,start=1,duration=0.5"])
    assert both.load(24).right.max() == 0 and both.load(30).right.max() > 0
    assert both.load(24).t_ns == whole.frame_t_ns[24]


def test_dropped_frames_keep_stamp_and_picture_together(whole: Sequence) -> None:
    """Oracle: the source's frame of the same stamp; edits made before move along."""
    fewer = corrupted(whole, ["black:left,start=2,duration=0.2", "drop:share=0.4"], 1)
    assert 25 < len(fewer.frame_t_ns) < 50
    for i, t in enumerate(fewer.frame_t_ns.tolist()):
        j = int(np.searchsorted(whole.frame_t_ns, t))
        frame = fewer.load(i)
        assert frame.t_ns == t and np.array_equal(frame.right, whole.load(j).right)
        assert (frame.left.max() == 0) == (40 <= j < 44)


def test_a_lost_right_camera_leaves_the_left_one_alone(whole: Sequence) -> None:
    """Oracle: the parameters."""
    lost = corrupted(whole, ["lost:right,mode=missing,start=2"])
    assert lost.load(39).right is not None and lost.load(40).right is None
    with pytest.raises(DataError, match="stamped by the left camera"):
        corrupted(whole, ["lost:left,mode=missing"])


def test_swapped_cameras_exchange_pictures_or_calibration(whole: Sequence) -> None:
    """Oracle: the recording's own other camera."""
    swapped = corrupted(whole, ["swapped-cameras", "black:left,start=2"])
    assert np.array_equal(swapped.load(3).left, whole.load(3).right) and np.array_equal(swapped.load(3).right, whole.load(3).left)
    assert swapped.load(50).left.max() == 0 and swapped.load(50).right.max() > 0
    rig = corrupted(whole, ["swapped-cameras:calibration"]).calibration
    assert np.array_equal(rig.T_BC, whole.calibration.T_BR) and rig.right == whole.calibration.left


def test_stamps_shift_drift_and_scatter_by_the_amount_asked_for(whole: Sequence) -> None:
    """Oracle: arithmetic on the stamps."""
    t_ns = whole.frame_t_ns
    assert np.array_equal(corrupted(whole, ["clock-offset:ms=-20"]).frame_t_ns, t_ns - 20_000_000)
    assert np.array_equal(corrupted(whole, ["clock-drift:ppm=1000"]).frame_t_ns - t_ns, (t_ns - t_ns[0]) // 1000)
    scatter = corrupted(whole, ["jitter:imu,ms=1"]).imu_t_ns - whole.imu_t_ns
    assert 0.8e6 < scatter.std() < 1.1e6 and (np.diff(corrupted(whole, ["jitter:imu,ms=50"]).imu_t_ns) > 0).all()


def test_the_extrinsics_turn_by_the_angle_asked_for(whole: Sequence) -> None:
    """Oracle: the logarithm of the difference; the inverse of the calibration."""
    turned = corrupted(whole, ["extrinsics:right,axis=y,degrees=7"]).calibration
    assert np.array_equal(turned.T_BC, whole.calibration.T_BC)
    phi = lie.so3_log(np.ascontiguousarray((lie.inverse(whole.calibration.T_BR) @ turned.T_BR)[:3, :3]))
    np.testing.assert_allclose(np.rad2deg(phi), [0, 7, 0], atol=1e-9)
    inverted = corrupted(whole, ["extrinsics-inverted"]).calibration
    np.testing.assert_allclose(inverted.T_BC @ whole.calibration.T_BC, np.eye(4), atol=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blck", "known: drop, duplicate"),
        ("black:top", "known words: camera: both, left, right"),
        ("black:begin=4", "it has: camera, start, duration"),
        ("black:start=soon", "allowed: a number of 0 to inf"),
        ("drop:share=2", "allowed: a number of 0 to 0.95"),
        ("units:sensor=baro", "allowed: both, gyro, accel"),
    ],
)
def test_a_mistake_in_a_fault_lists_what_is_known(text: str, said: str) -> None:
    """Oracle: the registry."""
    with pytest.raises(ConfigError, match=r"--fault ") as caught:
        parse(text)
    assert said in str(caught.value)


def test_the_copy_reads_back_as_the_damaged_sequence_and_links_what_is_unharmed(recording: Path, tmp_path: Path) -> None:
    """Oracle: the same faults on the fly, through the ASL reader; file numbers of the links."""
    source = asl.read(recording)
    take = damaged(source, ["black:left,start=0.2,duration=0.1", "frozen:right,start=0.3,duration=0.1", "clock-offset:ms=7", "units:accel"])
    copy = asl.read(write_copy(take, recording, tmp_path / "copy"))
    live = take.sequence()
    for name in ("imu_t_ns", "imu_w_B", "imu_a_B", "frame_t_ns"):
        assert np.array_equal(getattr(copy, name), getattr(live, name))
    assert all(_same_frame(copy, i, live, i) for i in range(12))
    linked = tmp_path / "copy" / "mav0" / "cam0" / "data" / f"{copy.frame_t_ns[0]}.png"
    assert linked.samefile(recording / "mav0" / "cam0" / "data" / f"{source.frame_t_ns[0]}.png")


def test_files_cut_short_leave_the_source_whole(recording: Path, tmp_path: Path) -> None:
    """Oracle: the source's bytes; the reader's own words about the copy."""
    before = {p: p.read_bytes() for p in recording.rglob("*") if p.is_file()}
    cut = write_copy(damaged(asl.read(recording), ["truncated-images:share=1,start=0.1"]), recording, tmp_path / "images")
    assert {p: p.read_bytes() for p in before} == before
    with pytest.raises(DataError, match="truncated at byte"):
        asl.read(cut).load(4)
    table = write_copy(damaged(asl.read(recording), ["truncated-table:imu"]), recording, tmp_path / "table")
    with pytest.raises(DataError, match="imu0/data.csv, line"):
        asl.read(table)


def test_out_of_order_rows_are_written_as_they_are(recording: Path, tmp_path: Path) -> None:
    """Oracle: the same multiset of stamps, not ascending."""
    copy = write_copy(damaged(asl.read(recording), ["out-of-order:imu,share=0.1"]), recording, tmp_path / "copy")
    t_ns = tables.read_numbers(copy / "mav0" / "imu0" / "data.csv", 6)[0]
    assert (np.diff(t_ns) < 0).any() and np.array_equal(np.sort(t_ns), asl.read(recording).imu_t_ns)


def test_the_command_writes_a_copy_lists_the_faults_and_refuses_mistakes(recording: Path, tmp_path: Path) -> None:
    """Oracle: exit codes of the contract; the registry."""

    def call(*arguments: object) -> object:
        return CliRunner().invoke(app, ["corrupt", *map(str, arguments)])

    assert call(recording, tmp_path / "c", "--fault", "lost:right,mode=missing,start=0.3").exit_code == 0
    assert len(list((tmp_path / "c" / "mav0" / "cam1" / "data").iterdir())) == 6
    assert call(recording, tmp_path / "c", "--fault", "black").exit_code == 3
    wrong = call(recording, tmp_path / "d", "--fault", "black", "--fault", "nonsense")
    assert wrong.exit_code == 2 and "known:" in wrong.stderr and not (tmp_path / "d").exists()
    assert call(recording).exit_code == 2
    listed = call("--list").stdout
    assert all(name in listed and parameters in listed for name, _, parameters in descriptions())
