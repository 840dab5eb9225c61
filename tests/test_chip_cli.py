"""`tinyvio chip` and `tinyvio budget` as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hardware import navion
from typer.testing import CliRunner
from vio.cli import app
from vio.config import dumps
from vio.events import Event


def call(*arguments: str):
    """Exit code and both outputs."""
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A folder as `tinyvio run --profile navion` leaves it, with the typical flight's counts spread over its frames."""
    config, counts, _, _ = navion()
    frames = np.zeros((counts.frames, len(Event)), np.int64)
    frames[:] = counts.total // counts.frames
    frames[0] += counts.total - frames.sum(0)
    keys = counts.keyframes
    for event in (Event.KEYFRAME, Event.GAUSS_NEWTON_ITERATION):
        frames[:, event] = 0
        frames[:keys, event] = 1
    pixels = counts.largest[Event.PYRAMID_PIXEL]  # of both pictures at a keyframe, of the left one else
    frames[:, Event.PYRAMID_PIXEL] = np.where(np.arange(counts.frames) < keys, pixels, pixels // 2)
    frames = np.minimum(frames, counts.largest)
    (tmp_path / "config.toml").write_text(dumps(config))
    np.savez_compressed(tmp_path / "counts.npz", t_ns=np.arange(counts.frames), counts=frames, events=np.array([e.name for e in Event]))
    return tmp_path


def test_the_report_has_its_tables_and_says_whose_counts_it_used() -> None:
    """Oracle: the tables of the issue."""
    result = call("chip")
    assert result.exit_code == 0, result.output
    for word in ("memory", "savings", "energy", "power", "area", "timing", "platforms", "FPGA Kintex-7", "typical counts of profile navion", "off-chip"):
        assert word in result.output


def test_json_and_csv_carry_the_same_rows() -> None:
    """Oracle: the JSON parser; the CSV's first column."""
    tables = json.loads(call("chip", "--json").output)
    total = next(row for row in tables["savings"]["rows"] if row["module"] == "all")
    assert total["after kB"] == pytest.approx(854, rel=0.05)
    assert any(line.startswith("savings,all,") for line in call("chip", "--csv").output.splitlines())


def test_validation_prints_published_model_and_error() -> None:
    """Oracle: the published figures in its rows."""
    output = call("chip", "--validate").output
    assert "on-chip memory" in output and "854" in output and "calibrated" in output and "%" in output


def test_one_number_is_derived_down_to_its_sources() -> None:
    """Oracle: words x bits and the tables' names."""
    assert "sram_cacti_65nm.csv" in call("chip", "--explain", "observations").output
    assert "op_energy.csv" in call("chip", "--explain", "tracker").output
    assert call("chip", "--explain", "nothing").exit_code == 2


def test_a_run_is_priced_with_its_own_configuration_alone(run_folder: Path) -> None:
    """Oracle: the run's folder named as source; another profile is refused with the field that differs."""
    result = call("chip", str(run_folder), "--fps", "30")
    assert result.exit_code == 0, result.output
    assert run_folder.name in result.output
    other = call("chip", str(run_folder), "--profile", "default")
    assert other.exit_code == 2 and "another configuration" in other.output
    assert call("chip", str(run_folder), "--set", "backend.window=7").exit_code == 2
    assert call("chip", str(run_folder / "nowhere")).exit_code == 3


@pytest.mark.parametrize(("arguments", "message"), [
    (("--fps", "-5"), "positive"), (("--technology", "3nm"), "technologies"), (("--vdd", "0.2"), "validity"), (("--fps", "100000"), "clock"),
    (("--chip", "nothing"), "chips"), (("--profile", "nothing"), "profile"), (("--vdd", "0.7", "--fps", "171"), "reaches"),
])
def test_nonsense_is_refused_with_the_reason(arguments: tuple[str, ...], message: str) -> None:
    """Oracle: exit code 2 and one line."""
    result = call("chip", *arguments)
    assert result.exit_code == 2 and message in result.output and "Traceback" not in result.output


def test_a_run_of_other_pictures_is_priced_at_their_size(run_folder: Path) -> None:
    """Oracle: counts of 752x480 pictures fit no chip of half their size."""
    (run_folder / "metrics.json").write_text('{"image_width": 752, "image_height": 480}')
    assert call("chip", str(run_folder)).exit_code == 0
    (run_folder / "metrics.json").write_text('{"image_width": 376, "image_height": 240}')
    result = call("chip", str(run_folder))
    assert result.exit_code == 2 and "376x240" in result.output
    (run_folder / "metrics.json").write_text("{")
    assert call("chip", str(run_folder)).exit_code == 3


def test_two_profiles_stand_side_by_side() -> None:
    """Oracle: the ratio of the raw frame store to the coded one."""
    result = call("chip", "--vs", "default")
    assert result.exit_code == 0 and "comparison" in result.output and "all memory kB" in result.output


def test_files_for_accelergy_are_yaml_of_its_version(tmp_path: Path) -> None:
    """Oracle: a YAML parser and Accelergy's top-level keys."""
    assert call("chip", "--accelergy", str(tmp_path / "out")).exit_code == 0
    for name, key in (("architecture", "architecture"), ("action_counts", "action_counts"), ("ERT", "ERT")):
        assert yaml.safe_load((tmp_path / "out" / f"{name}.yaml").read_text())[key]["version"] == 0.4


def test_counts_are_saved_as_typical_ones(tmp_path: Path) -> None:
    """Oracle: what was read comes back."""
    import tomllib

    path = tmp_path / "mine.toml"
    assert call("chip", "--save-counts", str(path)).exit_code == 0
    assert tomllib.loads(path.read_text())["total"]["KEYFRAME"] == navion()[1].keyframes


@pytest.mark.parametrize("drone", ["crazyflie_2.1", "robobee"])
def test_a_drone_gets_its_answer(drone: str) -> None:
    """Oracle: the lines of the account."""
    result = call("budget", "--drone", drone)
    assert result.exit_code == 0 and "share of hover power" in result.output


def test_a_budget_answers_yes_or_no_with_its_exit_code() -> None:
    """Oracle: limits on either side of the design."""
    assert call("budget", "--max-mw", "50", "--max-kb", "1000").exit_code == 0
    no = call("budget", "--max-mw", "5", "--max-kb", "600")
    assert no.exit_code == 1 and "kB over 600 kB" in no.output and "would fit with" in no.output
    assert json.loads(call("budget", "--max-kb", "600", "--json").output)["verdict"]["rows"][0]["fits"] == "no"


@pytest.mark.parametrize("arguments", [("--max-mw", "-1"), ("--drone", "zeppelin"), ("--fps", "0")])
def test_a_budget_refuses_nonsense(arguments: tuple[str, ...]) -> None:
    """Oracle: exit code 2."""
    assert call("budget", *arguments).exit_code == 2


def test_a_priced_run_writes_its_energy_frame_by_frame(tmp_path: Path, recording: Path) -> None:
    """Oracle: the table's mean and rate give the power of metrics.json; a row for every frame."""
    import pandas as pd

    out = tmp_path / "out"
    result = call("run", str(recording), "--chip", "--max-frames", "8", "--out", str(out), "--quiet")
    assert result.exit_code == 0, result.output
    chip, table = json.loads((out / "metrics.json").read_text())["chip"], pd.read_parquet(out / "chip.parquet")
    assert len(table) == 8 and (table["low_uJ"] < table["uJ"]).all() and (table["uJ"] < table["high_uJ"]).all()
    assert chip["power_mW"][1] == pytest.approx(table["uJ"].mean() * chip["fps"] * 1e-3)
    assert table.filter(like="uJ ").sum(axis=1).to_numpy() == pytest.approx(table["uJ"].to_numpy())
    assert table["keyframe"][0] and chip["memory_used_kB"] <= chip["memory_kB"]
