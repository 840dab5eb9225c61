"""`tinyvio eval`: NEES and its bounds, relative errors, lives of features. Oracles: closed forms, and errors drawn from known covariances."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from tolerances import TIGHT
from vio import consistency
from vio.cli import app
from vio.config import Config
from vio.consistency import PARTS, Nees, nees
from vio.evaluation import accuracy
from vio.events import Event
from vio.io.sequence import GroundTruth
from vio.io.writers import write_run
from vio.lifetimes import lifetimes
from vio.runner import HealthRow, RunResult, TrackTable, Trajectory
from vio.scorecard import METRES, SECONDS
from vio.types import TrackStatus

T0 = 1403636584763555584
STATES = 200
YAW, SHIFT = 2.1, np.array([5.0, -7.0, 1.0])


def _covariances(rng: np.random.Generator, n: int) -> np.ndarray:
    """Positive definite matrices (n, 15, 15) of millimetres and milliradians, with correlation across the whole state."""
    A = rng.normal(size=(n, 15, 15))
    return 1e-6 * (A @ np.swapaxes(A, 1, 2) / 15 + 0.1 * np.eye(15))


def _estimate(rng: np.random.Generator, spacing_ns: int = 1_000_000_000) -> Trajectory:
    q = Rotation.random(STATES, random_state=rng).as_quat()[:, [3, 0, 1, 2]]
    return Trajectory(T0 + spacing_ns * np.arange(STATES), np.cumsum(rng.normal(size=(STATES, 3)), 0), q, *rng.normal(size=(3, STATES, 3)))


def _truth(estimate: Trajectory, error: np.ndarray, copies: int = 5) -> GroundTruth:
    """What the estimate misses by errors (n, 15), in a world turned about z and shifted; `copies` samples each, so that there is no gap."""
    world = Rotation.from_rotvec([0, 0, YAW])
    q = (world * Rotation.from_quat(estimate.q_WB[:, [1, 2, 3, 0]]) * Rotation.from_rotvec(error[:, 3:6])).as_quat()[:, [3, 0, 1, 2]]
    p, v = world.apply(estimate.p_WB + error[:, :3]) + SHIFT, world.apply(estimate.v_WB + error[:, 6:9])
    biases = np.hstack([estimate.b_g, estimate.b_a]) + error[:, 9:]
    t = (estimate.t_ns[:, None] + 200_000_000 * np.arange(copies)).ravel()
    return GroundTruth(t, *(np.repeat(a, copies, axis=0) for a in (p, q, v, biases)))


def _drawn(rng: np.random.Generator, scale: float) -> dict[str, Nees]:
    """NEES of errors drawn from the covariances and scaled; the first pose is the gauge and has none."""
    estimate, P = _estimate(rng), _covariances(rng, STATES)
    error = scale * (np.linalg.cholesky(P) @ rng.normal(size=(STATES, 15, 1)))[:, :, 0]
    error[0] = 0
    return nees(estimate, P, _truth(estimate, error), np.zeros(STATES, bool))


def test_errors_drawn_from_their_covariances_lie_inside_the_bounds_19_times_out_of_20() -> None:
    """Oracle: sampling; of 200 averages 190 are expected inside, with a standard deviation of 3.1."""
    rng = np.random.default_rng(11)
    found = [part for _ in range(40) for part in _drawn(rng, 1.0).values()]
    assert all(n.samples == STATES - 1 and n.dof == 3 for n in found)
    assert 180 <= sum(n.verdict == "consistent" for n in found) <= 199
    assert np.mean([n.average for n in found]) == pytest.approx(3.0, abs=4 * np.sqrt(6 / (len(found) * STATES)))


@pytest.mark.parametrize(("scale", "verdict"), [(1.3, "too sure"), (0.75, "too careful")])
def test_errors_of_another_size_than_claimed_lie_outside(scale: float, verdict: str) -> None:
    """Oracle: sampling; the average is the square of the scale times three."""
    found = _drawn(np.random.default_rng(12), scale)
    assert {n.verdict for n in found.values()} == {verdict}
    for n in found.values():
        assert n.average == pytest.approx(3 * scale**2, rel=5 * np.sqrt(2 / 3 / STATES))


def test_the_bounds_hold_the_average_of_chi_square_samples_95_times_out_of_100() -> None:
    """Oracle: sampling, 20000 averages of seven values, within four standard deviations of the share."""
    low, high = consistency.bounds(3, 7)
    averages = np.random.default_rng(13).chisquare(3, (20_000, 7)).mean(1)
    assert np.mean((averages > low) & (averages < high)) == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 20_000))


@pytest.mark.parametrize(("likeness", "least"), [(0.0, 0.93), (0.5, 0.92), (0.9, 0.90), (1.0, 0.86)], ids=["white", "0.5", "0.9", "random walk"])
def test_errors_that_resemble_each_other_are_worth_fewer_samples(likeness: float, least: float) -> None:
    """Oracle: sampling, 400 flights of 60 samples whose covariance is true: an autoregression, and a random walk that began at zero. Bounds for
    60 independent samples would hold 47 % of the third and 28 % of the fourth; those for what the samples are worth hold nearly 95 %."""
    rng, inside = np.random.default_rng(20), []
    for _ in range(400):
        u = rng.normal(size=(60, 3))
        if likeness == 1.0:
            u = np.cumsum(u, axis=0) / np.sqrt(np.arange(1, 61))[:, None]
        else:
            for k in range(1, 60):
                u[k] = likeness * u[k - 1] + np.sqrt(1.0 - likeness**2) * u[k]
        low, high = consistency.bounds(3, consistency.independent(u))
        inside.append(low < (u**2).sum() / 60 < high)
    assert least <= np.mean(inside) <= 0.985


def test_what_samples_are_worth_follows_bartlett() -> None:
    """Oracle: closed form: sum of 0.8^(2 j) of a long autoregression, (1 + 0.64) / (1 - 0.64); equal errors are worth one sample, zeros no fewer than n."""
    rng = np.random.default_rng(21)
    u = rng.normal(size=(20_000, 3))
    for k in range(1, len(u)):
        u[k] = 0.8 * u[k - 1] + 0.6 * u[k]
    assert consistency.independent(u) == pytest.approx(20_000 * 0.36 / 1.64, rel=0.05)
    assert consistency.independent(np.ones((50, 3))) == pytest.approx(1.0)
    assert consistency.independent(np.zeros((50, 3))) == 50


def test_the_alignment_undoes_a_yaw_and_a_shift_and_nothing_else() -> None:
    """Oracle: closed form. Without errors nothing is left; a tilt of the first pose stays, for gravity shows it."""
    estimate = _estimate(np.random.default_rng(14))
    found = consistency.errors(estimate, _truth(estimate, np.zeros((STATES, 15))))
    assert found.first == 0 and found.known.all() and np.abs(found.tangent).max() <= TIGHT
    level = Rotation.from_rotvec([0, 0, 0.4]).as_matrix()
    tilted = Rotation.from_rotvec([0.1, 0, 0]).as_matrix() @ level
    turned = Rotation.from_rotvec([0, 0, YAW]).as_matrix()
    assert np.abs(consistency.yaw_between(tilted, level) - np.eye(3)).max() <= TIGHT
    assert np.abs(consistency.yaw_between(turned @ tilted, tilted) - turned).max() <= TIGHT


def test_errors_are_found_as_they_were_made_in_the_order_of_the_covariance() -> None:
    """Oracle: the tangent vectors that made the truth."""
    rng = np.random.default_rng(15)
    estimate, error = _estimate(rng), 0.3 * rng.normal(size=(STATES, 15))
    error[0] = 0
    assert np.abs(consistency.errors(estimate, _truth(estimate, error)).tangent - error).max() <= TIGHT


def test_what_cannot_be_a_sample_is_counted_and_never_a_nan() -> None:
    """Oracle: the states that were spoilt: 30 initialising, 20 without covariance or with one that is none, 10 beyond the ground truth."""
    rng = np.random.default_rng(16)
    estimate, P = _estimate(rng), _covariances(rng, STATES)
    P[30:36], P[36:40], P[40:45], P[45:50] = 0.0, np.nan, -np.eye(15), np.ones((15, 15))
    truth = _truth(estimate, np.zeros((STATES, 15)))
    short = GroundTruth(*(a[: 5 * (STATES - 10)] for a in (truth.t_ns, truth.p_WB, truth.q_WB, truth.v_WB, truth.biases)))
    for n in nees(estimate, P, short, np.arange(STATES) < 30).values():
        assert (n.initialising, n.singular, n.without_truth, n.samples) == (30, 20, 10, STATES - 60) and n.average == pytest.approx(0, abs=1e-6)
    for n in nees(estimate, 0 * P, truth, np.zeros(STATES, bool)).values():
        assert n.average is n.low is n.high is None and n.singular == STATES and "left out" in n.missing and n.verdict == ""


def test_what_the_truth_lacks_is_said_in_words() -> None:
    """Oracle: no truth at all, none in time, a single sample, none of velocity, none of biases."""
    rng = np.random.default_rng(17)
    estimate, P, settled = _estimate(rng), _covariances(rng, STATES), np.zeros(STATES, bool)
    truth = _truth(estimate, np.zeros((STATES, 15)))
    assert {n.missing for n in nees(estimate, P, None, settled).values()} == {"no ground truth"}
    for useless in (GroundTruth(truth.t_ns + 10**15, *(truth.p_WB, truth.q_WB, None)), GroundTruth(truth.t_ns[:1], truth.p_WB[:1], truth.q_WB[:1], None)):
        assert {n.missing for n in nees(estimate, P, useless, settled).values()} == {"no pose inside the ground truth"}
    bare = nees(estimate, P, GroundTruth(truth.t_ns, truth.p_WB, truth.q_WB, None), settled)
    assert bare["position"].samples == bare["attitude"].samples == STATES - 1 and bare["velocity"].missing == "the ground truth has no velocity"
    assert bare["gyro_bias"].missing == bare["accel_bias"].missing == "the ground truth has no biases"


def test_samples_are_a_second_apart() -> None:
    """Oracle: by hand; and of 200 states at 20 Hz without the first, states 1, 21, ... 181 remain."""
    assert consistency.spaced(T0 + 100_000_000 * np.array([0, 4, 10, 19, 20, 35]), 1_000_000_000).tolist() == [0, 2, 4, 5]
    rng = np.random.default_rng(18)
    estimate = _estimate(rng, 50_000_000)
    found = nees(estimate, _covariances(rng, STATES), _truth(estimate, np.zeros((STATES, 15)), copies=1), np.zeros(STATES, bool))
    assert {n.samples for n in found.values()} == {10}


def test_the_relative_error_of_a_constant_drift_grows_with_time_and_distance() -> None:
    """Oracle: closed form; 1 % too fast at 2 m/s, and 0.01 rad/s of roll, which a straight line along x does not feel."""
    t = 0.05 * np.arange(401)
    line, still = np.outer(2 * t, [1.0, 0, 0]), np.tile([1.0, 0, 0, 0], (401, 1))
    q = np.stack([np.cos(0.005 * t), np.sin(0.005 * t), 0 * t, 0 * t], 1)
    t_ns = T0 + 50_000_000 * np.arange(401)
    rpe = accuracy(Trajectory(t_ns, 1.01 * line, q, *np.zeros((3, 401, 3))), GroundTruth(t_ns, line, still, None), SECONDS, METRES).rpe
    assert list(rpe) == ["0.5s", "1s", "2s", "5s", "1m", "2m", "5m", "10m"]
    for seconds in SECONDS:
        found = rpe[f"{seconds:g}s"]
        assert found.translation_rmse_m == pytest.approx(0.02 * seconds, abs=TIGHT) and found.pairs == 401 - round(20 * seconds)
        assert found.rotation_rmse_deg == pytest.approx(np.degrees(0.01 * seconds), abs=1e-5)  # arccos of nearly one costs half the digits
    for metres in METRES:
        assert rpe[f"{metres:g}m"].translation_rmse_m == pytest.approx(0.01 * metres, abs=2e-3)


def _features() -> TrackTable:
    """Over four frames: 1 lives through, 2 leaves in the third, 3 is gone after the second without a word, 4 is born last, 5 is gated."""
    frames = [[(1, "NEW"), (2, "NEW"), (3, "NEW")], [(1, "TRACKED"), (2, "TRACKED"), (3, "TRACKED"), (5, "NEW")],
              [(1, "TRACKED"), (2, "OUT_OF_IMAGE"), (5, "GATED")], [(1, "TRACKED"), (4, "NEW")], []]  # fmt: skip
    rows = [row for frame in frames for row in frame]
    status = np.array([TrackStatus[name] for _, name in rows], np.uint8)
    return TrackTable(np.array([len(f) for f in frames], np.int32), np.array([i for i, _ in rows], np.int64), np.zeros((len(rows), 2), np.int32), status)


def test_features_are_counted_by_life_and_fate() -> None:
    """Oracle: five lives by hand, of 4, 2, 2, 1 and 1 frames; the last picture has no features."""
    found = lifetimes(_features())
    assert found.tracks == 5 and found.frames["mean"] == 2.0 and found.frames["median"] == 2.0 and (found.frames["min"], found.frames["max"]) == (1, 4)
    assert {fate: share for fate, share in found.fates.items() if share} == {"out_of_image": 0.2, "gated": 0.2, "alive": 0.4, "dropped": 0.2}
    empty = lifetimes(TrackTable(np.zeros(3, np.int32), np.zeros(0, np.int64), np.zeros((0, 2), np.int32), np.zeros(0, np.uint8)))
    assert empty.tracks == 0 and empty.frames is None and not any(empty.fates.values())


def _folder(folder: Path, truth: bool) -> Path:
    """A run with drawn errors, whose first five frames initialise."""
    rng = np.random.default_rng(19)
    estimate, P = _estimate(rng), _covariances(rng, STATES)
    t, n, table = estimate.t_ns, STATES, _features()
    rows = np.zeros(n, np.int32)
    rows[: len(table.rows)] = table.rows
    health = tuple(HealthRow(int(s), "initialising" if i < 5 else "good", (), 30, "motion") for i, s in enumerate(t))
    tracks = TrackTable(rows, table.ids, table.uv_raw, table.status)
    result = RunResult(n, estimate, P, t, np.zeros((n, len(Event)), np.int64), tracks, health, {"engine": np.ones(n, np.int64)}, 1.0, 0.1, False, "")
    folder.mkdir()
    write_run(folder, result, {"sequence": "drawn"}, Config(), truth=_truth(estimate, np.zeros((n, 15))) if truth else None)
    return folder


def test_the_command_prints_every_run_in_words_and_as_json(tmp_path: Path) -> None:
    """Oracle: the folders' own content; strict JSON has no NaN."""
    folders = [str(_folder(tmp_path / name, name == "with")) for name in ("with", "without")]
    told = CliRunner().invoke(app, ["eval", *folders, "--quiet"])
    assert told.exit_code == 0, told.output
    for words in ("ATE, SE3: RMSE", "RPE, RMSE", "accel bias", "too careful", "no ground truth: there are no errors", "out of image"):
        assert words in told.stdout
    assert "nan" not in told.stdout.lower()
    read = json.loads(CliRunner().invoke(app, ["eval", *folders, "--json"]).stdout, parse_constant=pytest.fail)["runs"]
    assert [run["sequence"] for run in read] == ["drawn", "drawn"] and list(read[0]["nees"]) == list(PARTS)
    assert read[0]["nees"]["velocity"]["initialising"] == 5 and read[0]["nees"]["velocity"]["samples"] == STATES - 5
    assert read[0]["accuracy"]["ate_rmse_m"] == pytest.approx(0, abs=TIGHT) and read[1]["accuracy"]["ate_rmse_m"] is None
    assert read[1]["nees"]["position"]["average"] is None and read[1]["features"]["tracks"] == 5


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    """Oracle: the exit code of bad data."""
    done = CliRunner().invoke(app, ["eval", str(tmp_path)])
    assert done.exit_code == 3 and "no run folder" in done.output and "Traceback" not in done.output


@pytest.mark.parametrize("cell", ["nan", "1e300", "0"])
def test_a_trajectory_that_cannot_be_is_refused_in_one_line(tmp_path: Path, cell: str) -> None:
    """Oracle: the exit code of bad data; the quaternion's w of every pose is replaced."""
    path = _folder(tmp_path / "run", True) / "trajectory_euroc.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *(",".join([*line.split(",")[:4], cell, *line.split(",")[5:]]) for line in lines)]) + "\n")
    done = CliRunner().invoke(app, ["eval", str(tmp_path / "run"), "--quiet"])
    assert done.exit_code == 3 and "the trajectory is damaged" in done.output and "Traceback" not in done.output
