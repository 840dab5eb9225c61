"""Stamps on an even beat and off it: the line, the question to the pictures, and a flight."""

import numpy as np
import pytest

from vio import evaluation
from vio.beat import Beat, lateness
from vio.config import Config, OnlineConfig
from vio.io.faults.registry import corrupted
from vio.io.sequence import open_sequence
from vio.lie import pose, so3_exp
from vio.runner import RunOptions, run
from vio.types import NavState

EPOCH, INTERVAL = 1_403_636_579_763_555_584, 50_000_000
SCATTER = 2e-3  # s


def heard(beat: Beat, numbers: np.ndarray, off: np.ndarray, taken: np.ndarray, noise: float = 5e-4) -> list[float]:
    """Stamps at numbers (n,) intervals plus off (n,) s, of pictures taken at numbers plus taken (n,) s, heard with noise; s of error that each was left with."""
    rng, left = np.random.default_rng(3), []
    for number, r, t in zip(numbers, off, taken):
        place = beat.enter(EPOCH + int(number) * INTERVAL + round(1e9 * r), beat.follows)
        moved = place.moved_ns * 1e-9
        left.append(r + moved - t)
        beat.hear(place, t - r - moved + noise * rng.normal())
    return left


def scattered(n: int) -> np.ndarray:
    """Scatter (n,) s."""
    return SCATTER * np.random.default_rng(1).normal(size=n)


def test_stamps_that_scatter_are_put_back_on_the_beat_to_what_a_line_can_tell() -> None:
    """Oracle: the end of a line through n points is known to 2 / sqrt(n) of their scatter; also where every third frame is missing."""
    numbers = np.flatnonzero(np.arange(450) % 3)
    off = scattered(len(numbers))
    left = heard(beat := Beat(OnlineConfig()), numbers, off, np.zeros(len(numbers)))
    assert beat.follows and beat._scatters()
    np.testing.assert_array_equal(left[:19], off[:19])
    assert np.std(left[200:]) < 2.0 * 2.0 / np.sqrt(200) * SCATTER


def test_the_line_is_that_of_least_squares() -> None:
    """Oracle: numpy.polyfit."""
    off, beat = scattered(60), Beat(OnlineConfig())
    heard(beat, np.arange(60), off, np.zeros(60))
    t, n = np.append(np.arange(60) * 0.05 + off, 60 * 0.05 + SCATTER), np.arange(61)
    slope, start = np.polyfit(n, t, 1)
    assert beat.shift_ns(EPOCH + 60 * INTERVAL + round(1e9 * SCATTER), True) * 1e-9 == pytest.approx(slope * 60 + start - t[-1], abs=1e-8)


def test_a_camera_that_is_uneven_in_truth_keeps_its_stamps() -> None:
    """Oracle: construction: the pictures were taken where the stamps say."""
    off = scattered(150)
    left = heard(beat := Beat(OnlineConfig()), np.arange(150), off, off)
    assert not beat.follows and beat._scatters()
    assert max(map(abs, left)) < 1e-9


def test_even_stamps_stay_what_they_are_to_the_nanosecond() -> None:
    """Oracle: construction: frames missing, pictures that contradict by 3 ms, and a beat that changes."""
    beat = Beat(OnlineConfig())
    numbers = np.concatenate([np.arange(40), np.arange(44, 80), np.arange(80, 300, 2)])
    assert not any(heard(beat, numbers, np.zeros(len(numbers)), np.zeros(len(numbers)), noise=3e-3))
    assert not beat._scatters() and not beat.follows


def test_a_question_changes_nothing_and_a_stamp_off_the_beat_begins_another_one() -> None:
    """Oracle: the same answer twice; after a hiccup of half an interval nothing is moved."""
    beat = Beat(OnlineConfig())
    heard(beat, np.arange(100), scattered(100), np.zeros(100))
    t = EPOCH + 100 * INTERVAL + 1_000_000
    assert beat.shift_ns(t, True) == beat.shift_ns(t, True) == beat.enter(t, True).moved_ns != 0
    off_beat = beat.enter(t + INTERVAL + INTERVAL // 2, True)
    beat.hear(off_beat, np.nan)
    assert off_beat.moved_ns == 0 and not beat.follows


def test_lateness_is_the_time_for_which_a_moving_rig_moves_on() -> None:
    """Oracle: closed form: a pose moved by (v, w) s; a rig at rest tells nothing."""
    R, p, v, w = so3_exp(np.array([0.1, -0.4, 1.0])), np.array([1.0, 2.0, 3.0]), np.array([2.0, -1.0, 0.3]), np.array([0.5, 0.1, -0.9])
    zero = np.zeros(3)
    for s in (-0.004, 0.0, 0.003):
        later = NavState(0, pose(R @ so3_exp(s * w), p + s * v), v, zero, zero, np.zeros((15, 15)))
        assert lateness(R, p, later.T_WB, later.v_WB, w) == pytest.approx(s, abs=1e-12)
    assert np.isnan(lateness(R, p, pose(R, p), zero, zero))


def test_a_flight_with_scattered_stamps_gets_the_instants_of_its_pictures_back() -> None:
    """Oracle: the stamps before the fault, from half of the flight on, and ground truth; the scatter is said from the sixth frame on."""
    sequence, n = open_sequence("shake-small"), 120
    late = corrupted(sequence, ["jitter:camera,ms=3"], 1)
    moved, believed = (run(late, Config(online=OnlineConfig(beat=beat)), RunOptions(max_frames=n)) for beat in (True, False))
    rows = [row for row in moved.health if row.state != "sequence"]
    assert "uneven_stamps" in rows[6].reasons
    off = (moved.trajectory.t_ns - sequence.frame_t_ns[:n])[n // 2 :]
    assert np.std(off) < 0.33 * np.std(late.frame_t_ns[n // 2 : n] - sequence.frame_t_ns[n // 2 : n])
    errors = [evaluation.accuracy(result.trajectory, sequence.ground_truth).ate_rmse_m for result in (moved, believed)]
    assert errors[0] < 0.8 * errors[1]
