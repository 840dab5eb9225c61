"""The fault matrix: its file, its measures against hand-made runs, and the command."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vio.cli import app
from vio.errors import ConfigError
from vio.io.resources import resource
from vio.io.sequence import GroundTruth
from vio.runner import HealthRow, RunResult, TrackTable, Trajectory
from vio.stress.judge import NEVER, complaints, judged
from vio.stress.plan import Case, Flight, Limits, load

FRAME = 50_000_000
CASE = Case("black", "1", Flight("x", 1.0), (), 1.0, 2.0, 0.0, Limits(seen=("lost",)))


def run_of(states: list[str], off: np.ndarray) -> tuple[RunResult, GroundTruth]:
    """A flight along x at 1 m/s whose estimate is off by so much sideways, with these states, one for each frame."""
    n = len(states)
    t = np.arange(n, dtype=np.int64) * FRAME
    p = np.column_stack([t * 1e-9, np.sin(t * 1e-9), np.zeros(n)])
    q = np.tile([1.0, 0.0, 0.0, 0.0], (n, 1))
    zero = np.zeros((n, 3))
    rows = tuple(HealthRow(int(stamp), state, ("few_tracks",) if state == "lost" else ()) for stamp, state in zip(t, states))
    table = TrackTable(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros((0, 2), np.int32), np.zeros(0, np.uint8))
    values = {"frames": n, "trajectory": Trajectory(t, p + np.outer(off, [0, 0, 1.0]), q, zero, zero, zero), "frame_t_ns": t, "counts": np.zeros((n, 1))}
    values |= {"tracks": table, "health": rows, "stage_ns": {}, "seconds": 1.0, "warmup_seconds": 0.0, "interrupted": False, "failure": ""}
    values |= {"covariance": np.zeros((n, 15, 15))}
    names = {f.name for f in dataclasses.fields(RunResult)}
    return RunResult(**{name: value for name, value in values.items() if name in names}), GroundTruth(t, p, q, None)


def verdict_of(states: list[str], off: np.ndarray, case: Case = CASE):
    """The verdict on such a flight."""
    result, truth = run_of(states, off)
    return judged(case, result, truth, 0, int(result.frame_t_ns[-1]))


def test_the_measures_are_those_of_a_flight_made_by_hand() -> None:
    """Oracle: arithmetic: lost from 1.1 to 2.0 s, 18 frames of 1 to 1.12 m/s; recovering for 4 frames after; 0.3 m off while it lasts."""
    states = ["good"] * 20 + ["degraded"] * 2 + ["lost"] * 18 + ["recovering"] * 4 + ["good"] * 16
    off = np.zeros(60)
    off[30] = 0.3
    verdict = verdict_of(states, off)
    assert verdict.worst_m == pytest.approx(0.3)
    assert verdict.recover_s == pytest.approx(0.15) and verdict.seen_s == pytest.approx(0.1)
    path = np.column_stack([np.arange(60) * 0.05, np.sin(np.arange(60) * 0.05)])
    assert verdict.blind_m == pytest.approx(np.linalg.norm(np.diff(path, axis=0), axis=1)[21:39].sum())
    assert verdict.alarms == 0 and verdict.words.startswith("lost 18, few_tracks 18, recovering 4")
    assert complaints(CASE, verdict, verdict.ate_m) == []


def test_under_a_fault_that_does_not_end_a_rig_may_be_lost_for_a_moment() -> None:
    """Oracle: arithmetic: lost for the last 0.6 s, for the last 1.2 s, and from the beginning."""
    endless = dataclasses.replace(CASE, end=float("inf"))
    assert verdict_of(["good"] * 48 + ["lost"] * 12, np.zeros(60), endless).recover_s == pytest.approx(0.6)
    late = verdict_of(["good"] * 36 + ["lost"] * 24, np.zeros(60), endless)
    assert any("recovered after 1.20 s" in text for text in complaints(endless, late, late.ate_m))
    assert verdict_of(["initialising"] * 20 + ["lost"] * 40, np.zeros(60), endless).recover_s == NEVER


def test_every_way_of_being_worse_is_said() -> None:
    """Oracle: the limits, broken one at a time."""
    good = ["good"] * 20 + ["lost"] * 20 + ["good"] * 20
    fine = verdict_of(good, np.zeros(60))
    assert complaints(CASE, fine, 0.001) == []
    never = verdict_of(["good"] * 20 + ["lost"] * 40, np.zeros(60))
    assert never.recover_s == NEVER and "recovered never" in complaints(CASE, never, 0.001)[0]
    assert "recovered after 1.05 s" in complaints(CASE, verdict_of(["good"] * 20 + ["lost"] * 42 + ["good"] * 8, np.zeros(70)), 0.001)[0]
    assert "reported never" in complaints(CASE, verdict_of(["good"] * 60, np.zeros(60)), 0.001)[0]
    assert "reported after 0.50 s" in complaints(CASE, verdict_of(["good"] * 30 + ["lost"] * 10 + ["good"] * 20, np.zeros(60)), 0.001)[0]
    assert "ATE" in complaints(CASE, verdict_of(good, np.where(np.arange(60) > 30, 0.5, 0.0)), 0.001)[0]
    free = dataclasses.replace(CASE, fault="", limits=Limits(recover_s=0.0))
    assert "false alarms" in complaints(free, verdict_of(good, np.zeros(60), free), None)[0]
    assert "not finite" in complaints(CASE, dataclasses.replace(fine, broken=3), 0.001)[0]
    assert complaints(CASE, dataclasses.replace(fine, failure="boom"), 0.001) == ["boom"]


def test_the_file_of_the_distribution_covers_what_the_faults_offer() -> None:
    """Oracle: the registry of faults: all but those that make odometry impossible; three severities on three flights."""
    from vio.io.faults.registry import FAULTS

    plan = load(resource("launch", "stress.toml"))
    used = {text.partition(":")[0] for case in plan.cases for text in case.texts}
    impossible = {"units", "extrinsics-inverted", "swapped-cameras", "truncated-table"}
    assert used == set(FAULTS) - impossible
    flights = {case.flight for case in plan.cases}
    faults = {case.fault for case in plan.cases if case.fault}
    assert len(flights) == 3 and len(plan.cases) == 3 * (1 + 3 * len(faults))
    quick = load(resource("launch", "stress.toml"), quick=True)
    assert len(quick.cases) == 1 + len(faults)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seconds = 3", r"has no \[\[fault\]\]"),
        ("[[fault]]\nname='a'", r"has no \[flights\]"),
        ("flights={x=1}\n[[fault]]\nname='a'", "'values' must be a list"),
        ("flights={x=1}\n[[fault]]\nname='a'\nvalues=[1,2,3]\nfaults=['blck']", "no fault 'blck'"),
        ("flights={x=1}\n[[fault]]\nname='a'\nvalues=[1,2,3]\nlasts='long'", "'lasts' must be seconds"),
        ("flights={x=1}\n[[fault]]\nname='a'\nvalues=[1,2,3]\nate_m=[1,2]", "'ate_m' must be a number"),
        ("flights={x=1}\n[[fault]]\nname='a'\nvalues=[1,2,3]\nallow=3", "unknown field 'allow'"),
        ("flights={x='soon'}\n[[fault]]\nname='a'\nvalues=[1,2,3]", "'x' is 'soon'"),
        ("x = [", "not a TOML file"),
    ],
)
def test_a_mistake_in_a_stress_file_names_file_and_field(text: str, said: str, tmp_path: Path) -> None:
    """Oracle: the contract."""
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as caught:
        load(path)
    assert "bad.toml" in str(caught.value)


def test_the_command_flies_judges_and_remembers(tmp_path: Path) -> None:
    """Oracle: a limit that nothing meets gives exit code 4 and one that all meet 0; a second call flies nothing again."""
    file = tmp_path / "two.toml"
    file.write_text(
        "seconds = 3\nflights = {room-small = 2.0}\n[[fault]]\nname = 'black'\nfaults = ['black:start={at},duration={v}']\n"
        "values = [0.2, 0.25, 0.3]\nlasts = '{v}'\nseen = ['lost']\nate_m = 0.05\n[[fault]]\nname = 'strict'\nfaults = ['drop:share={v}']\n"
        "values = [0.1, 0.2, 0.3]\nate_free = 0.0\n", encoding="utf-8")  # fmt: skip
    arguments = ["stress", "--file", str(file), "--out", str(tmp_path / "out"), "--quiet"]
    passed = CliRunner().invoke(app, [*arguments, "--only", "black"])
    assert passed.exit_code == 0, passed.output
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cases").iterdir()}
    worse = CliRunner().invoke(app, arguments)
    assert worse.exit_code == 4, worse.output
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    rows = list(csv.DictReader((tmp_path / "out" / "stress.csv").open(encoding="utf-8")))
    assert [row["fault"] for row in rows] == ["none", *["black"] * 3, *["strict"] * 3]
    assert all("lost" in row["words"] for row in rows[1:4]) and all("ATE" in row["complaints"] for row in rows[4:])
