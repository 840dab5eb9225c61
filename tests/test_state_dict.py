"""Saved and restored: a restored odometry goes on bit for bit, and takes in nothing that it did not save."""

import dataclasses
import io
import threading
from functools import lru_cache

import numpy as np
import pytest
from test_odometry import EPOCH, FRAME_NS, HEIGHT, RIG, WIDTH, feed, pictures, run, same, samples

from vio.config import Config
from vio.errors import DataError
from vio.odometry import STATE_VERSION, Odometry
from vio.saved import Table
from vio.types import FrameOutput, HealthState

DARK = range(34, 38)


def step(odometry: Odometry, k: int) -> FrameOutput:
    """Frame k of the slide, dark for a while."""
    if k not in DARK:
        return feed(odometry, k)
    odometry.add_imu(*samples((k - 1) * FRAME_NS + 5_000_000, k * FRAME_NS + 5_000_000))
    return odometry.add_frame(EPOCH + k * FRAME_NS, np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8))


def through_a_file(table: Table) -> Table:
    """A state as `numpy.savez` and `numpy.load` without pickle bring it back."""
    file = io.BytesIO()
    np.savez(file, **table)
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@lru_cache(maxsize=1)
def flight() -> tuple[list[FrameOutput], dict[int, Table]]:
    """45 frames without interruption, and the states before some of them."""
    odometry, outputs, tables = Odometry(RIG), [], {}
    for k in range(45):
        if k in (0, 1, 12, 33, 36, 38):
            tables[k] = through_a_file(odometry.state_dict())
        outputs.append(step(odometry, k))
    return outputs, tables


@pytest.mark.parametrize("at", [0, 1, 12, 33, 36, 38])
def test_a_restored_odometry_goes_on_bit_for_bit(at: int) -> None:
    """Oracle: the flight without interruption: from before the first frame, with a full window, in the dark and when it ends."""
    outputs, tables = flight()
    odometry = Odometry(RIG)
    odometry.load_state_dict(tables[at])
    rest = [step(odometry, k) for k in range(at, 45)]
    assert same(rest, outputs[at:])
    assert [o.health for o in rest] == [o.health for o in outputs[at:]]


def test_a_state_is_not_disturbed_by_what_comes_after_it() -> None:
    """Oracle: the same state through a file at once."""
    odometry = Odometry(RIG)
    for k in range(8):
        feed(odometry, k)
    table = odometry.state_dict()
    stored = through_a_file(table)
    for k in range(8, 16):
        feed(odometry, k)
    assert all(np.array_equal(table[name], stored[name]) for name in stored)


def test_after_a_reset_it_is_as_new() -> None:
    """Oracle: a new odometry."""
    odometry = Odometry(RIG)
    for k in range(5):
        feed(odometry, k, seed=2)
    odometry.reset()
    assert same([feed(odometry, k) for k in range(8)], run(8))


def refused(table: Table, message: str, config: Config | None = None) -> None:
    """Loading fails with our error, and the odometry is as it was before."""
    odometry = Odometry(RIG, config)
    before = odometry.state_dict()
    with pytest.raises(DataError, match=message):
        odometry.load_state_dict(table)
    after = odometry.state_dict()
    assert before.keys() == after.keys() and all(np.array_equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("version", [0, STATE_VERSION + 1, 1.5, "one"])
def test_another_version_is_refused(version: object) -> None:
    """Oracle: the contract."""
    refused(flight()[1][12] | {"version": np.array(version)}, "version")
    refused({}, "version")


def test_a_state_of_another_configuration_is_refused() -> None:
    """Oracle: the contract."""
    config = dataclasses.replace(Config(), backend=dataclasses.replace(Config().backend, pixel_sigma=0.7))
    refused(flight()[1][12], "another configuration", config)


def test_every_damaged_array_is_refused() -> None:
    """Oracle: the contract, for every array in turn: gone, of another type, of another shape, not finite."""
    table = flight()[1][12]
    optional = {name for name in table if any(part in name for part in ("_pre.", "_prior.", "_last.", "_last_t_ns", "_at_ns", "_key_t_ns", "_seen_ns", "blind_since"))}
    for name in sorted(table.keys() - {"version", "identity"}):
        odometry = Odometry(RIG)
        harmed = [table[name].astype("S8") if table[name].dtype.kind != "U" else np.zeros(()), np.stack([table[name]] * 2)]
        harmed += [np.full_like(table[name], np.nan)] if table[name].dtype.kind == "f" and table[name].size else []
        for array in harmed:
            with pytest.raises(DataError, match="damaged"):
                odometry.load_state_dict(table | {name: array})
        if name not in optional:
            with pytest.raises(DataError, match="missing"):
                odometry.load_state_dict({key: value for key, value in table.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [("back_end._n", 10_000), ("back_end._n", -1), ("back_end._in_prior", 99), ("back_end._map_size", 10**9), ("back_end._window.host", -5)],
)
def test_an_index_that_leads_nowhere_is_refused(name: str, value: int) -> None:
    """Oracle: the contract: nothing in a file reaches a kernel as an index out of bounds."""
    table = flight()[1][12]
    refused(table | {name: np.full_like(table[name], value)}, "damaged")
    refused(table | {"front_end._live.uv": table["front_end._live.uv"] - 2**20}, "damaged")


def test_every_attribute_is_either_saved_or_made_by_the_constructor() -> None:
    """Oracle: the attributes that a flight changes, found by comparing objects, not by a list."""
    flown = Odometry(RIG)
    flown.load_state_dict(flight()[1][12])
    for saved in ("front_end", "back_end", "eyes", "monitor"):
        part, fresh = getattr(flown, f"_{saved}"), getattr(Odometry(RIG), f"_{saved}")
        kept = {key.split(".")[1] for key in flown.state_dict() if key.startswith(saved)}
        for name, value in vars(part).items():
            if isinstance(value, int | float | str) and value != getattr(fresh, name):
                assert name in kept, f"{saved}.{name} changes in flight and is not saved"


def test_two_odometries_in_threads_do_not_disturb_each_other() -> None:
    """Oracle: the same two flights, one after the other."""
    results: dict[int, list[FrameOutput]] = {}

    def fly(seed: int) -> None:
        results[seed] = run(20, seed=seed)

    threads = [threading.Thread(target=fly, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same(results[1], run(20)) and same(results[2], run(20, seed=2))


@pytest.mark.parametrize("epoch", [2**53 + 1, 2**62, -(2**53) - 3])
def test_stamps_beyond_the_integers_of_a_float_are_exact(epoch: int) -> None:
    """Oracle: the same flight at another epoch: nothing but the stamps differs."""

    def fly(origin: int) -> list[FrameOutput]:
        odometry, outputs = Odometry(RIG), []
        for k in range(8):
            t, w, a = samples((k - 1) * FRAME_NS + 5_000_000, k * FRAME_NS + 5_000_000)
            odometry.add_imu(t - EPOCH + origin, w, a)
            outputs.append(odometry.add_frame(origin + k * FRAME_NS, *pictures(k)))
        return outputs

    outputs = fly(epoch)
    assert same(outputs, fly(0))
    assert [o.t_ns for o in outputs] == [epoch + k * FRAME_NS for k in range(8)]


def test_feature_ids_near_their_limit_stay_exact() -> None:
    """Oracle: the same flight with small ids: the difference is the offset; 2^62 ids last 40 million years at 200 a frame."""
    table = flight()[1][12]
    offset = 2**62
    moved = dict(table)
    for name in ("front_end._live.ids", "front_end._gated.ids", "front_end.next_id"):
        moved[name] = table[name] + offset
    for name in ("back_end._window.ids", "back_end._map.0"):
        moved[name] = np.where(table[name] >= 0, table[name] + offset, table[name])
    one, two = Odometry(RIG), Odometry(RIG)
    one.load_state_dict(table)
    two.load_state_dict(moved)
    for k in range(12, 20):
        a, b = step(one, k), step(two, k)
        assert np.array_equal(a.tracks.ids + offset, b.tracks.ids)
        assert np.array_equal(a.state.T_WB, b.state.T_WB) and np.array_equal(a.counts, b.counts)


def test_a_dark_flight_is_lost_then_recovering_then_good() -> None:
    """Oracle: construction: four dark frames of twenty a second."""
    states = [o.health.state for o in flight()[0]]
    assert [states[k] for k in DARK] == [HealthState.DEGRADED] * 2 + [HealthState.LOST] * 2
    assert states[38] is HealthState.RECOVERING and states[-1] is HealthState.GOOD
