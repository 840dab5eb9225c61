"""Samples between two frames: how strong the motion is, what of it goes unmeasured, and how well its size is guessed."""

from pathlib import Path

import numpy as np
import pytest

from vio.backend.preintegration import integrate_span, preintegrated
from vio.config import Config
from vio.events import new_counts
from vio.inertial import _NEVER, InertialBuffer, _hear, _missing
from vio.io.tables import read_numbers
from vio.io.trajectory import Channel, Flight, Harmonics, Motion, from_harmonics
from vio.io.simulator import stamps
from vio.lie import so3_log
from windows import ACCEL_VAR, GYRO_VAR

MS = 1_000_000
SHAKEN = Harmonics(
    rest=0.0, ramp=0.0,
    x=Channel(waves=((0.05, 1.9, 0.0),)), y=Channel(waves=((0.04, 2.3, 50.0),)), z=Channel(waves=((0.05, 1.7, 20.0),)),
    yaw=Channel(waves=((15.0, 1.6, 0.0),)), pitch=Channel(waves=((12.0, 2.1, 40.0),)), roll=Channel(waves=((14.0, 1.8, 0.0),)),
)


def test_the_strength_of_a_wave_is_its_variance() -> None:
    """Oracle: a wave's mean square is half of its amplitude squared; an average over a second of one of 5 Hz about it sways by 1 / (2 pi 10)."""
    t = np.arange(0, 8_000 * MS, 5 * MS)
    wave = np.sin(2 * np.pi * 5.0 * t * 1e-9)[:, None] * [1.0, 2.0, 3.0]
    level, strength = np.zeros(6), np.zeros(6)
    _hear(t, wave, wave + [0.0, 0.0, 9.81], _NEVER, int(t[-1]), level, strength, np.zeros(3))
    np.testing.assert_allclose(level, [0, 0, 0, 0, 0, 9.81], atol=3.0 / (2 * np.pi * 5.0) + 0.01)
    np.testing.assert_allclose(strength, np.tile([0.5, 2.0, 4.5], 2), rtol=0.05)


def test_what_is_heard_does_not_depend_on_the_portions_in_which_samples_come() -> None:
    """Oracle: all at once, those of later among them; the same bits."""
    rng = np.random.default_rng(1)
    t, w, a = np.cumsum(rng.integers(1, 9, 300)) * MS, 0.1 * rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    whole, parts, ends = InertialBuffer(Config()), InertialBuffer(Config()), t[[39, 40, 100, 170, 290]]
    whole.add(t, w, a)
    for cut in np.split(np.arange(300), [1, 2, 40, 40, 171]):
        parts.add(t[cut], w[cut], a[cut])
        for begin, end in zip(ends, ends[1:]):
            if len(parts.samples[0]) and end <= parts.samples[0][-1] and end > parts._heard_ns:
                spans = [buffer.span(int(begin), int(end), 1e-8, 1e-6)[-2:] for buffer in (whole, parts)]
                assert spans[0] == spans[1]
                whole.forget(int(end), False)
                parts.forget(int(end), False)
    assert parts._heard_ns == ends[-1]


def heard_slowly(t: np.ndarray, w: np.ndarray, a: np.ndarray, until: int) -> np.ndarray:
    """`_hear` from the first sample on, by numpy's differences of four samples at a time."""
    gyro = accel = seconds = 0.0
    for i in range(4, int(np.count_nonzero(t <= until)) + 1):
        four = slice(i - 4, i)
        if np.diff(t[four]).max() > 25 * MS:
            continue
        step = np.diff(t[four]).mean() * 1e-9
        seconds = min(seconds + step, 1.0)
        gyro += step / seconds * (np.mean(np.diff(w[four], 3, axis=0) ** 2) / 20 * step - gyro)
        accel += step / seconds * (np.mean(np.diff(a[four], 3, axis=0) ** 2) / 20 * step - accel)
    return np.array([gyro, accel, seconds])


@pytest.mark.parametrize("seed", range(4))
def test_vibration_is_the_mean_square_of_third_differences(seed: int) -> None:
    """Oracle: a slow twin, for samples with gaps; heard in two portions, of which the first overlaps."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.choice([4, 5, 6, 30], 500, p=[0.3, 0.35, 0.3, 0.05])) * MS
    w, a, level, strength, vibration = rng.normal(size=(500, 3)), rng.normal(size=(500, 3)), np.zeros(6), np.zeros(6), np.zeros(3)
    heard = _hear(t[:300], w[:300], a[:300], _NEVER, int(t[200]), level, strength, vibration)
    assert heard == t[200]
    assert _hear(t[150:], w[150:], a[150:], heard, int(t[480]) + 1, level, strength, vibration) == t[480]
    np.testing.assert_allclose(vibration, heard_slowly(t, w, a, int(t[480])), rtol=1e-12)


def test_noise_is_heard_and_motion_is_not() -> None:
    """Oracle: the densities that a flight is simulated with; a hand that shakes by +-9 m/s^2 and +-3 rad/s at 2 Hz, without noise, stays a tenth below EuRoC's sensor at rest."""
    flight = from_harmonics(SHAKEN, 0.0, 8.0)
    imu, gyro, accel = flight.at(stamps(0.0, 8.0, 200.0)), 0.003, 0.08
    quiet, noisy = InertialBuffer(Config()), InertialBuffer(Config())
    noise = np.random.default_rng(2).normal(size=(2, len(imu.t_ns), 3)) * np.sqrt(200.0)
    for buffer, share in ((quiet, 0.0), (noisy, 1.0)):
        buffer.add(imu.t_ns, imu.w_B + share * gyro * noise[0], imu.a_B + share * accel * noise[1])
        buffer.span(7_000 * MS, 7_900 * MS, 0.0, 0.0)
    assert quiet._vibration[0] < (0.1 * 1.7e-4) ** 2 and quiet._vibration[1] < (0.1 * 2e-3) ** 2
    np.testing.assert_allclose(np.sqrt(noisy._vibration[:2]), [gyro, accel], rtol=0.1)


@pytest.mark.parametrize("flight", ["V1_02_medium", "V2_01_easy", "MH_05_difficult"])
def test_rotors_are_heard_far_above_the_calibrated_noise(flight: str) -> None:
    """Oracle: third differences by numpy over the same seconds; a minute of recorded samples has a median of ten times the calibrated densities and more."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "flights" / flight
    if not folder.is_dir():
        pytest.skip("EuRoC's flights are not at ../shared/data")
    t, numbers, _ = read_numbers(folder / "mav0" / "imu0" / "data.csv", 6)
    vibration, level, strength, heard, found, expected = np.zeros(3), np.zeros(6), np.zeros(6), _NEVER, [], []
    for k in range(200, 12_000, 200):
        part, vibration[2] = slice(k - 200, k), 0.0
        heard = _hear(t[part], numbers[part, :3].copy(), numbers[part, 3:].copy(), heard, int(t[k - 1]), level, strength, vibration)
        found.append(np.sqrt(vibration[:2]) / [1.6968e-4, 2e-3])
        squares = (np.diff(numbers[part], 3, axis=0) ** 2).mean(axis=0).reshape(2, 3).mean(axis=1)
        expected.append(np.sqrt(squares / 20.0 * 0.005) / [1.6968e-4, 2e-3])
    (gyro, accel), slow = np.median(found, axis=0), np.median(expected, axis=0)
    print(f"{flight}: gyro {gyro:.0f}, accelerometer {accel:.0f} times the calibrated density, medians of a minute")
    np.testing.assert_allclose([gyro, accel], slow, rtol=0.05)
    assert gyro > 10.0 and accel > 10.0


def test_vibration_and_motion_count_as_noise_of_a_span() -> None:
    """Oracle: the sum of squares of the field's comment; a share of the vibration, and of the motion's deviation, mean of three axes."""
    rng, config = np.random.default_rng(3), Config().backend
    buffer = InertialBuffer(Config())
    buffer.add(np.arange(400) * 5 * MS, rng.normal(0.0, 0.04, (400, 3)), rng.normal(0.0, 1.0, (400, 3)))
    span = buffer.span(1_400 * MS, 1_500 * MS, 1e-8, 1e-6)
    gyro, accel = buffer._strength.reshape(2, 3).mean(axis=1)
    assert span.gyro_var == pytest.approx(1e-8 + config.gyro_vibration**2 * buffer._vibration[0] + config.gyro_motion**2 * gyro)
    assert span.accel_var == pytest.approx(1e-6 + config.accel_vibration**2 * buffer._vibration[1] + config.accel_motion**2 * accel)


def test_a_jump_that_was_taken_for_a_spike_makes_its_span_doubtful() -> None:
    """Oracle: the contract: three samples are dropped, the fourth is believed, and what happened between them is a guess as at the end of a range."""
    t, rate = np.arange(40) * 5 * MS, np.where(np.arange(40) < 20, 0.0, 2.0) + 0.001 * np.arange(40)
    buffer = InertialBuffer(Config())
    buffer.add(t, np.outer(rate, [1.0, 0.0, 0.0]), np.tile([0.0, 0.0, 9.81], (40, 1)))
    assert buffer.screen.doubtful_ns == t[23]
    assert buffer.span(int(t[15]), int(t[25]), 0.0, 0.0).gyro_var > 0.5**2 * 0.05


def missing_slowly(t: np.ndarray, begin: int, end: int, least: int) -> float:
    """`_missing` by asking every tenth of a millisecond in which gap it lies."""
    at = np.arange(begin + MS // 20, end, MS // 10)
    edges = np.concatenate(([min(begin, t[0])], t, [max(end, t[-1])]))
    i = np.searchsorted(edges, at, "right")
    gap = (edges[i] - edges[i - 1]).astype(float)
    share = np.minimum(gap / (100 * MS), 1.0) ** 2
    return float(np.mean(np.where(gap > least, share**2 * gap * 1e-9 / 2, 0.0)))


@pytest.mark.parametrize("seed", range(6))
def test_what_goes_unmeasured_is_the_mean_over_all_instants(seed: int) -> None:
    """Oracle: a slow twin, for spans within, across and beyond gaps of up to 150 ms."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.choice([5, 10, 30, 60, 150], 12)) * MS
    begin = int(rng.integers(0, 300)) * MS
    end = begin + int(rng.integers(1, 400)) * MS
    assert _missing(t, begin, end, 25 * MS) == pytest.approx(missing_slowly(t, begin, end, 25 * MS), abs=1e-15)


def errors_over_a_gap(begin: int, gap: int) -> np.ndarray:
    """Error of turn (3,) and velocity (3,) over a gap in the samples of a shaken flight, in the deviations that its span claims."""
    flight = from_harmonics(SHAKEN, 0.0, 8.0)
    imu, ends = flight.at(stamps(0.0, 8.0, 200.0)), np.array([begin, begin + gap])
    keeps = (imu.t_ns <= begin) | (imu.t_ns >= begin + gap)
    buffer = InertialBuffer(Config())
    for part in (imu.t_ns < begin + gap, imu.t_ns >= begin + gap):
        buffer.add(*(x[keeps & part] for x in (imu.t_ns, imu.w_B, imu.a_B)))
    guess, truth = preintegrated(np.zeros(3), np.zeros(3)), preintegrated(np.zeros(3), np.zeros(3))
    integrate_span(guess, *buffer.span(*map(int, ends), GYRO_VAR, ACCEL_VAR), new_counts())
    integrate_span(truth, imu.t_ns, imu.w_B, imu.a_B, *map(int, ends), GYRO_VAR, ACCEL_VAR, new_counts())
    deviations = np.sqrt(np.diag(guess.covariance))
    return np.concatenate([so3_log(guess.dR.T @ truth.dR), truth.dv - guess.dv]) / deviations[3:9]


@pytest.mark.parametrize("gap_ms", [50, 100, 200, 500])
def test_the_motion_missed_in_a_gap_is_not_twice_as_large_as_it_claims(gap_ms: int) -> None:
    """Oracle: the same flight, shaken by +-9 m/s^2 and +-3 rad/s at 2 Hz, with all of its samples, at 40 instants. Mean square below 2^2, none beyond four deviations."""
    error = np.array([errors_over_a_gap(2_000 * MS + k * 35 * MS, gap_ms * MS) for k in range(40)])
    assert (error**2).mean() < 4.0 and np.abs(error).max() < 4.0


def test_a_turn_over_a_gap_is_a_guess() -> None:
    """Oracle: the contract: more than 40 ms between samples, wherever the frames lie in them."""
    buffer = InertialBuffer(Config())
    t = np.array([0, 5, 10, 40, 45, 50, 91, 96], np.int64) * MS
    buffer.add(t, np.zeros((8, 3)), np.zeros((8, 3)))
    assert buffer.measures(0, 50 * MS) and buffer.measures(91 * MS, 136 * MS)
    assert not buffer.measures(45 * MS, 51 * MS) and not buffer.measures(60 * MS, 70 * MS) and not buffer.measures(96 * MS, 137 * MS)
