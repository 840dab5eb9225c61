"""The doctor on folders, whole, broken and incomplete, and its command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from conftest import edit_line
from vio.cli import app
from vio.doctor import clocks, files
from vio.doctor.examination import examine
from vio.doctor.report import counted
from vio.doctor.verdict import Level, Verdict
from vio.io import asl
from vio.io.faults.copy import write_copy
from vio.io.faults.registry import damaged


def _opened(folder: Path, scratch: Path) -> tuple[files.Patient, dict[str, Verdict]]:
    """The patient, and its verdicts on files that are not well."""
    scratch.mkdir()
    patient = files.open_recording(folder, scratch)
    return patient, {v.item: v for v in patient.verdicts if v.level in (Level.FAULT, Level.WARNING)}


def _doctor(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments), "--quiet"])


def _cut_in_a_row(path: Path) -> None:
    text = path.read_text().rstrip("\n")
    path.write_text(text[:-25])


def test_a_table_cut_off_in_a_row_is_named_and_the_rest_is_read(recording: Path, tmp_path: Path) -> None:
    """Oracle: the whole recording: all rows but one are there, and the pictures too."""
    before, ill = _opened(recording, tmp_path / "a")
    assert ill == {}
    _cut_in_a_row(recording / "mav0" / "imu0" / "data.csv")
    patient, ill = _opened(recording, tmp_path / "b")
    assert "1 of" in ill["files.imu0"].figure and "cannot be read" in ill["files.imu0"].figure
    assert ill["files.reader"].level is Level.FAULT and "imu0/data.csv, line" in ill["files.reader"].figure
    assert np.array_equal(patient.imu[0], before.imu[0][:-1]) and np.array_equal(patient.imu[2], before.imu[2][:-1])
    assert np.array_equal(patient.sequence.load(3).left, before.sequence.load(3).left)


def test_images_missing_cut_off_and_unlisted_are_counted(recording: Path, tmp_path: Path) -> None:
    """Oracle: the damage done by hand."""
    data = recording / "mav0" / "cam1" / "data"
    images = sorted(data.iterdir())
    images[2].unlink()
    images[4].write_bytes(images[4].read_bytes()[:500])
    images[6].write_bytes(b"")
    (data / "1.png").write_bytes(images[1].read_bytes())
    _, ill = _opened(recording, tmp_path / "a")
    figure = ill["files.cam1"].figure
    assert "12 rows, 12 images, 1 listed but missing, 2 cut off or empty, 1 not listed" in figure
    assert images[2].name in ill["files.cam1"].remedy and ill["files.cam1"].level is Level.FAULT
    assert "files.cam0" not in ill


def _without(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).rename(root / f"{Path(name).name}.away")

    return change


@pytest.mark.parametrize(
    ("damage", "item", "words", "left"),
    [
        (_without("cam1"), "files.cam1", "no right camera", "imu sequence"),
        (_without("imu0/data.csv"), "files.imu0", "data.csv is missing", ""),
        (_without("cam0/sensor.yaml"), "files.reader", "cam0/sensor.yaml", "imu"),
        (_without("cam0/data"), "files.cam0", "12 listed but missing", "imu"),
        (lambda root: edit_line(root / "cam0" / "sensor.yaml", 6, lambda row: row.replace("0.0, 0.0, 1.0", "0.0, 0.5, 1.0")), "files.reader", "T_BS", "imu"),
        (lambda root: edit_line(root / "cam0" / "data.csv", 5, lambda row: "x" + row), "files.cam0", "1 of 12 rows", "imu sequence"),
    ],
)
def test_what_a_broken_folder_still_has_is_examined(damage: Callable[[Path], None], item: str, words: str, left: str, recording: Path, tmp_path: Path) -> None:
    """Oracle: the damage done by hand."""
    damage(recording / "mav0")
    patient, ill = _opened(recording, tmp_path / "a")
    assert words in ill[item].figure
    assert (patient.imu is not None, patient.sequence is not None) == ("imu" in left, "sequence" in left)


@pytest.mark.parametrize(
    ("fault", "item", "words"),
    [
        ("truncated-images:share=0.5", "files.cam0", "cut off or empty"),
        ("truncated-table:imu", "files.imu0", "rows of data.csv cannot be read"),
        ("truncated-table:left,share=0.5", "files.cam0", "rows of data.csv cannot be read"),
        ("truncated-table:right,share=0.5", "files.cam1", "rows of data.csv cannot be read"),
    ],
)
def test_files_cut_short_by_corrupt_are_named(fault: str, item: str, words: str, recording: Path, tmp_path: Path) -> None:
    """Oracle: the fault that was made; what is left is read all the same."""
    copy = write_copy(damaged(asl.read(recording), [fault], 1), recording, tmp_path / "copy")
    patient, ill = _opened(copy, tmp_path / "a")
    assert words in ill[item].figure and patient.sequence is not None


def test_rows_out_of_order_are_told_of_the_table_itself(recording: Path, tmp_path: Path) -> None:
    """Oracle: five rows moved to the end by hand."""
    path = recording / "mav0" / "imu0" / "data.csv"
    rows = path.read_text().splitlines()
    path.write_text("\n".join(rows[:30] + rows[35:] + rows[30:35]) + "\n")
    patient, _ = _opened(recording, tmp_path / "a")
    order = clocks.examine(list(patient.clocks), int(patient.imu[0][0]))[0]
    assert order.item == "imu0.order" and order.level is Level.WARNING and order.value == 1.0
    assert (np.diff(patient.imu[0]) > 0).all()


def test_the_command_reports_and_exits_with_what_it_found(recording: Path, tmp_path: Path) -> None:
    """Oracle: the wall of conftest, where all pictures are the same; damage done by hand; the contract of exit codes."""
    result = _doctor(recording)
    assert result.exit_code == 4 and "images.left.frozen" in result.stdout and "-> " in result.stdout
    assert "camera.lag" in result.stdout and "imu.gravity" in result.stdout
    report = json.loads(_doctor(recording, "--json").stdout)
    assert report["sequence"] == "wall" and report["level"] == "fault"
    assert {"item", "level", "figure", "value", "unit", "limit", "remedy"} == report["items"][0].keys()
    assert _doctor(tmp_path / "nothing").exit_code == 3
    (tmp_path / "half.bag").write_bytes(b"#ROSBAG V2.0\n")
    broken = _doctor(tmp_path / "half.bag")
    assert broken.exit_code == 4 and "files.reader" in broken.stdout


def test_a_folder_without_cameras_has_no_fault(recording: Path, tmp_path: Path) -> None:
    """Oracle: an IMU that stands still with known units and noise."""
    for name in ("cam0", "cam1"):
        (recording / "mav0" / name).rename(tmp_path / name)
    result = _doctor(recording, "--brief")
    assert "imu.gravity" not in result.stdout and "wall: 0 faults" in result.stdout
    assert result.exit_code == 0 and "no cameras in this folder" in result.stdout


def test_a_folder_that_is_no_recording_has_its_name_and_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the contract, from within it: a relative path has no name of its own."""
    (tmp_path / "nothing").mkdir()
    monkeypatch.chdir(tmp_path / "nothing")
    patient = files.open_recording(Path(), tmp_path)
    assert patient.name == "nothing"
    assert counted(examine(patient)).startswith("1 fault, 0 warnings")
