"""Evaluation and file formats. Oracles: closed-form errors, invariance under rigid motion, exact integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolerances import EXACT, TIGHT
from vio import lie
from vio.evaluation import accuracy, interpolated
from vio.io import writers
from vio.io.sequence import GroundTruth
from vio.runner import HealthRow, Trajectory

T0 = 1403636584763555584


def _trajectory(t_ns: np.ndarray, p_WB: np.ndarray, q_WB: np.ndarray | None = None) -> Trajectory:
    n = len(t_ns)
    q_WB = np.tile([1.0, 0, 0, 0], (n, 1)) if q_WB is None else q_WB
    return Trajectory(t_ns, p_WB, q_WB, *np.zeros((3, n, 3)))


def _circle(n: int, radius: float) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return radius * np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], 1)


def _truth(t_ns: np.ndarray, p_WB: np.ndarray) -> GroundTruth:
    return GroundTruth(t_ns, p_WB, np.tile([1.0, 0, 0, 0], (len(t_ns), 1)), None)


def test_a_circle_flown_too_large_has_the_difference_of_the_radii_as_error() -> None:
    """Oracle: closed form. No rotation or shift brings circles of 2.0 and 2.1 m closer than 0.1 m, and scale is not corrected."""
    t_ns = T0 + 50_000_000 * np.arange(400)
    result = accuracy(_trajectory(t_ns, _circle(400, 2.1)), _truth(t_ns, _circle(400, 2.0)))
    path = 399 * 2 * 2.0 * np.sin(np.pi / 400)
    assert result.matched == 400
    assert result.ate_rmse_m == pytest.approx(0.1, abs=TIGHT) and result.ate_max_m == pytest.approx(0.1, abs=TIGHT)
    assert result.path_m == pytest.approx(path, abs=TIGHT)
    assert result.ate_percent == pytest.approx(100 * 0.1 / path, abs=1e-7)


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1.0, np.pi - 1e-8, np.pi])
def test_a_rigid_motion_of_the_world_changes_no_error(angle: float) -> None:
    """Oracle: invariance; rotations near 0 and pi are among the samples."""
    rng = np.random.default_rng(3)
    t_ns = T0 + 50_000_000 * np.arange(300)
    p_WB = np.cumsum(rng.normal(0, 0.1, (300, 3)), axis=0)
    drifted = p_WB + np.cumsum(rng.normal(0, 0.01, (300, 3)), axis=0)
    R = lie.so3_exp(angle * np.array([1.0, 2.0, -2.0]) / 3)
    q = lie.quat_from_matrix(R)
    plain = accuracy(_trajectory(t_ns, drifted), _truth(t_ns, p_WB))
    moved = accuracy(_trajectory(t_ns, drifted @ R.T + [5, -7, 1], np.tile(q, (300, 1))), _truth(t_ns, p_WB))
    assert moved.ate_rmse_m == pytest.approx(plain.ate_rmse_m, abs=TIGHT)
    for delta in ("1s", "10m"):
        assert moved.rpe[delta].translation_rmse_m == pytest.approx(plain.rpe[delta].translation_rmse_m, abs=TIGHT)
        assert moved.rpe[delta].rotation_rmse_deg < 1e-5  # arccos of nearly one costs half the digits


def test_the_relative_error_of_a_wrong_speed_is_speed_times_delta() -> None:
    """Oracle: closed form; 1 % too fast on a straight line at 2 m/s is 0.02 m in 1 s and 0.1 m in 10 m. A line leaves the roll open."""
    t_ns = T0 + 50_000_000 * np.arange(401)
    line = np.outer(np.arange(401) * 0.1, [1.0, 0, 0])
    result = accuracy(_trajectory(t_ns, 1.01 * line), _truth(t_ns, line))
    assert result.rpe["1s"].translation_rmse_m == pytest.approx(0.02, abs=TIGHT)
    assert result.rpe["1s"].pairs == 381
    assert result.rpe["10m"].translation_rmse_m == pytest.approx(0.1, abs=2e-3)
    assert result.ate_rmse_m is None


def test_what_cannot_be_had_is_none_and_not_a_number() -> None:
    """Oracle: no ground truth, too few poses, a path shorter than 10 m."""
    t_ns = T0 + 50_000_000 * np.arange(100)
    circle = _circle(100, 1.0)
    assert accuracy(_trajectory(t_ns, circle), None).ate_rmse_m is None
    assert accuracy(_trajectory(t_ns[:2], circle[:2]), _truth(t_ns, circle)).matched == 2
    assert accuracy(_trajectory(t_ns[:0], circle[:0]), _truth(t_ns, circle)).matched == 0
    assert accuracy(_trajectory(t_ns + 10**12, circle), _truth(t_ns, circle)).matched == 0
    short = accuracy(_trajectory(t_ns, circle), _truth(t_ns, circle))
    assert short.rpe["10m"] is None and short.ate_rmse_m == pytest.approx(0, abs=TIGHT)
    standing = accuracy(_trajectory(t_ns, 0 * circle), _truth(t_ns, 0 * circle))
    assert standing.ate_rmse_m is None and standing.path_m == EXACT


def test_ground_truth_between_samples_is_linear_in_place_and_even_in_rotation() -> None:
    """Oracle: a rotation of 1 rad about z given at its ends with opposite quaternion signs; a quarter of the way is 0.25 rad."""
    truth = GroundTruth(
        np.array([T0, T0 + 100_000_000]), np.array([[0.0, 0, 0], [1, 2, 4]]), np.array([[1.0, 0, 0, 0], [-np.cos(0.5), 0, 0, -np.sin(0.5)]]), None
    )
    p_WB, q_WB, valid = interpolated(truth, np.array([T0, T0 + 25_000_000, T0 + 100_000_000]))
    assert valid.all()
    assert np.abs(p_WB - [[0, 0, 0], [0.25, 0.5, 1], [1, 2, 4]]).max() <= TIGHT
    angles = [np.linalg.norm(lie.so3_log(lie.matrix_from_quat(q))) for q in q_WB]
    assert np.abs(np.array(angles) - [0, 0.25, 1.0]).max() <= TIGHT


def test_there_is_no_ground_truth_outside_its_span_nor_in_a_gap() -> None:
    """Oracle: samples at 0, 0.1 and 1.0 s."""
    t_ns = T0 + np.array([0, 100_000_000, 1_000_000_000])
    _, _, valid = interpolated(_truth(t_ns, np.zeros((3, 3))), T0 + np.array([-1, 0, 50_000_000, 100_000_000, 500_000_000, 1_000_000_001]))
    assert valid.tolist() == [False, True, True, True, False, False]


@given(st.integers(0, 2**62))
def test_seconds_keep_every_nanosecond(t_ns: int) -> None:
    """Oracle: the digits without the point are the integer again; a float64 fails from 2^53 on."""
    text = writers.seconds(t_ns)
    assert int(text.replace(".", "")) == t_ns
    assert len(text.split(".")[1]) == 9


def test_a_tum_line_has_the_stamp_the_place_and_the_quaternion_with_w_last() -> None:
    """Oracle: the line written by hand."""
    trajectory = _trajectory(np.array([T0]), np.array([[1.0, -2.5, 1 / 3]]), np.array([[0.5, 0.5, -0.5, 0.5]]))
    assert writers.tum(trajectory) == "1403636584.763555584 1.000000000 -2.500000000 0.333333333 0.500000000 -0.500000000 0.500000000 0.500000000\n"


def test_the_euroc_file_loses_no_bit() -> None:
    """Oracle: parsing the text gives the same float64."""
    rng = np.random.default_rng(5)
    trajectory = Trajectory(np.array([T0, T0 + 1]), *(rng.normal(size=(2, k)) for k in (3, 4, 3, 3, 3)))
    rows = [line.split(",") for line in writers.euroc(trajectory).splitlines()[1:]]
    assert [int(row[0]) for row in rows] == trajectory.t_ns.tolist()
    written = np.array([[float(cell) for cell in row[1:]] for row in rows])
    assert np.array_equal(written, np.hstack([trajectory.p_WB, trajectory.q_WB, trajectory.v_WB, trajectory.b_g, trajectory.b_a]))


def test_health_quotes_what_would_break_a_row() -> None:
    """Oracle: Python's own csv reader."""
    import csv

    rows = (HealthRow(T0, "sequence", message='a, "b"'), HealthRow(T0 + 1, "degraded", ("few_tracks", "imu_gap"), 7, "motion"))
    read = list(csv.DictReader(writers.health(rows).splitlines()))
    assert read[0]["message"] == 'a, "b"'
    assert read[1]["reasons"].split(";") == ["few_tracks", "imu_gap"] and int(read[1]["tracked"]) == 7


def test_a_file_that_cannot_be_finished_leaves_the_old_one_whole(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the renaming made to fail, as on a full disk."""
    path = tmp_path / "a.txt"
    writers.write_atomic(path, b"old")

    def fail(source: object, target: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(writers.os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        writers.write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in path.parent.iterdir()] == ["a.txt"]
