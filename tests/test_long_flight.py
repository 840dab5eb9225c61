"""The endless flight: inertial data that go round with the pictures, and what counts as growth."""

import dataclasses

import numpy as np
import pytest

from vio.commands.long_flight import growth
from vio.config import Config
from vio.events import Event
from vio.io import writers
from vio.io.renderer import builtin_specs
from vio.io.sequence import open_sequence
from vio.runner import RunResult, TrackTable
from vio.stress import long_flight
from vio.stress.long_flight import Minute, fly

MINUTE = Minute(1.0, 1200, 5.0, 9.0, 300.0, 0.01, 0.1, 3.0, 1.0, 1000)


def test_the_inertial_data_go_round_with_the_loop_and_their_noise_does_not() -> None:
    """Oracle: the loop's exact motion at every stamp modulo its length; noise of the declared density, uncorrelated between rounds."""
    spec, sequence = builtin_specs()["room-small"], open_sequence("room-small")
    motion = long_flight._loop_motion(spec, 200.0)
    first, rounds = int(sequence.frame_t_ns[0]), 45  # more than one piece
    supply = long_flight._Supply(motion, sequence.calibration.imu, first, rounds * len(motion.t_ns) + 200, spec)
    parts = [supply.until(k) for k in (1, 11, 11, 21, rounds * len(motion.t_ns))]
    t, w, a = (np.concatenate([part[i] for part in parts]) for i in range(3))
    assert (np.diff(t) == 5_000_000).all() and t[100] == first
    index = (t - first) // 5_000_000 % len(motion.t_ns)
    noise = (w - motion.w_B[index] - spec.imu.gyro_bias)[100 : 100 + 40 * len(motion.t_ns)].reshape(40, len(motion.t_ns), 3)
    sigma = sequence.calibration.imu.gyro_noise * np.sqrt(200.0)
    assert np.diff(noise, axis=0).std() == pytest.approx(np.sqrt(2.0) * sigma, rel=0.05)  # differences: the walk hardly enters


def test_it_is_flown_minute_by_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: arithmetic of frames; room-small, which is no loop, within its three seconds: it starts moving, with a tilt known to 0.2 rad."""
    monkeypatch.setattr(long_flight, "LOOP", "room-small")
    rows = list(fly(Config(), 0.045))
    assert [row.frames for row in rows] == [54] and rows[0].minute == pytest.approx(0.045)
    assert rows[0].tilt_deg < np.rad2deg(0.2) and rows[0].ms_p50 > 0.0 and rows[0].last_id > 100


def test_growth_of_memory_or_time_is_said() -> None:
    """Oracle: construction: the second row of ten against the last."""
    rows = [dataclasses.replace(MINUTE, minute=float(k)) for k in range(20)]
    assert growth(rows) == "" and growth(rows[:3]) == ""
    assert "memory grew from 300 to 400 MB" in growth([*rows, dataclasses.replace(MINUTE, rss_mb=400.0)])
    assert "time per frame grew from 5.00 to 9.00 ms" in growth([*rows, dataclasses.replace(MINUTE, ms_p50=9.0)])


def test_counts_and_feature_numbers_near_the_limits_of_their_integers_are_kept_exactly() -> None:
    """Oracle: the numbers themselves, through the archives of a run."""
    import io

    largest = np.iinfo(np.int64).max
    counts = np.full((2, len(Event)), largest - 1, np.int64)
    for ids in (np.array([0, 2**31 - 1]), np.array([1, 2**31, 2**62])):
        table = TrackTable(np.array([len(ids)], np.int32), ids, np.zeros((len(ids), 2), np.int32), np.zeros(len(ids), np.uint8))
        values = {f.name: None for f in dataclasses.fields(RunResult)} | {"frame_t_ns": np.array([2**53 + 1, 2**62]), "counts": counts, "tracks": table}
        with np.load(io.BytesIO(writers.tracks(RunResult(**values)))) as stored:
            assert stored["ids"].tolist() == ids.tolist()
        with np.load(io.BytesIO(writers.counts(RunResult(**values)))) as stored:
            assert (stored["counts"] == largest - 1).all() and stored["t_ns"].tolist() == [2**53 + 1, 2**62]
