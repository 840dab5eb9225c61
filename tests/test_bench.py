"""`tinyvio bench`: the figures are there and belong together. No figure is held to a limit: machines differ and are shared."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vio.bench.engine import Spread, spread
from vio.bench.growth import draw, fitted
from vio.cli import app

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_spread_is_the_median_between_the_extremes() -> None:
    """Oracle: closed form."""
    assert spread([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)


def test_the_figures_of_a_benchmark_agree_with_each_other() -> None:
    """Oracle: each other: a stage is part of the engine, the ratio is that of the two times, the median lies inside its spread."""
    result = CliRunner().invoke(app, ["bench", "room-small", "--frames", "30", "--repeats", "2", "--vs", "opencv", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["frames"] == 30 and {"imu", "front_end", "back_end", "engine"} <= found["stage_ms"].keys()
    for measured in (found["fps"], found["cpu_ms"], found["front_end_over_opencv"], *(p for stage in found["stage_ms"].values() for p in stage.values())):
        assert 0 < measured["low"] <= measured["median"] <= measured["high"]
    assert found["stage_ms"]["front_end"]["p50"]["low"] <= found["stage_ms"]["engine"]["p50"]["high"]
    ours, theirs, ratio = (found[name] for name in ("front_end_cpu_ms", "opencv_cpu_ms", "front_end_over_opencv"))
    assert ours["low"] / theirs["high"] <= ratio["low"] * (1 + 1e-9) and ratio["high"] <= ours["high"] / theirs["low"] * (1 + 1e-9)
    assert found["from_files"]["peak_rss_mb"] > 50 and found["start_warm"]["first_frame_s"] > found["start_warm"]["warmup_s"] > 0


def test_an_unknown_rival_is_refused_before_any_work() -> None:
    """Oracle: the exit code of a wrong configuration, and one line."""
    result = CliRunner().invoke(app, ["bench", "--vs", "matlab"])
    assert result.exit_code == 2 and "opencv" in result.stderr and result.stderr.count("\n") == 1


def test_growth_is_a_straight_line_through_what_was_measured(tmp_path: Path) -> None:
    """Oracle: closed form: points on a line, and points on a parabola, of which a line explains 12/13."""
    straight = fitted("front end", "features", [50.0, 100.0, 200.0], [2.0, 3.0, 5.0])
    assert (straight.slope, straight.base, straight.straightness) == pytest.approx((0.02, 1.0, 1.0))
    bent = fitted("back end", "keyframes", [0.0, 1.0, 2.0], [0.0, 1.0, 4.0])
    assert bent.straightness == pytest.approx(12 / 13)
    assert all(path.stat().st_size > 1000 for path in draw([straight, bent], tmp_path / "growth"))
