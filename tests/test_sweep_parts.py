"""The parts of a sweep that need no cluster: keys, store, pictures kept, verdicts, the search, the Pareto front."""

import dataclasses
import math
import random
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from conftest import edit_line, write_recording
from vio import runner
from vio.camera import Camera
from vio.commands.common import resolve_config
from vio.config import Config
from vio.errors import ConfigError, DataError
from vio.frontend.rays import make_lens
from vio.io.sequence import Sequence, open_sequence
from vio.odometry import Odometry
from vio.report.style import styled
from vio.sweeps import one_run, points
from vio.sweeps.fields import with_widths
from vio.sweeps.hardware import costs
from vio.sweeps.outcome import Outcome, Store
from vio.sweeps.plots import draw, front, pareto, spread
from vio.sweeps.points import Stretch, entries, point, stretches
from vio.sweeps.search import COMBINATION, Search
from vio.sweeps.shelf import Shelf
from vio.sweeps.sweep_file import SweepFile, Variant
from vio.sweeps.sweep_file import Search as SearchTable
from vio.sweeps.table import table

EUROC_CAMERA = Camera(752, 480, 458.654, 457.296, 367.215, 248.375, -0.28340811, 0.07395907, 0.00019359, 1.76187114e-05)
PLACE = Stretch("somewhere", None, "somewhere", 0.0, 10, False, identity="0", has_truth=True)


def _plan(*sequences: str, **more: object) -> SweepFile:
    plan = SweepFile("plan", sequences, (), (), 0.5, 0.0, 6, False, {}, (), (Variant(Config()),), SearchTable())
    return dataclasses.replace(plan, **more)


def test_a_key_changes_with_everything_that_the_outcome_depends_on_and_with_nothing_else() -> None:
    """Oracle: the list of ingredients in the issue: resolved configuration, sequence, code version."""
    base = point(Config(), PLACE)
    others = [
        point(dataclasses.replace(Config(), backend=dataclasses.replace(Config().backend, window=8)), PLACE),
        dataclasses.replace(base, code="another"),
        *(point(Config(), dataclasses.replace(PLACE, **change)) for change in ({"identity": "1"}, {"start": 1.0}, {"max_frames": 11}, {"mono": True})),
    ]
    assert len({base.key, *(other.key for other in others)}) == 1 + len(others)
    assert point(Config(), dataclasses.replace(PLACE, sequence="a", opened_as="b", seed=3)).key == base.key


def test_the_identity_of_a_recording_is_its_content(tmp_path: Path) -> None:
    """Oracle: a copy has the same one, and one more digit in the IMU's table or another picture gives another."""
    def identity(name: str) -> str:
        return stretches(_plan(str(tmp_path / name)), open_sequence)[0].identity

    for name in ("a", "b", "imu", "picture"):
        write_recording(tmp_path / name)
    edit_line(tmp_path / "imu" / "mav0" / "imu0" / "data.csv", 9, lambda line: line + "1")
    folder = sorted((tmp_path / "picture" / "mav0" / "cam0" / "data").iterdir())
    folder[0].write_bytes((tmp_path / "a" / "mav0" / "cam1" / "data" / folder[0].name).read_bytes())
    assert identity("a") == identity("b")
    assert len({identity(name) for name in ("a", "imu", "picture")}) == 3


def test_a_seed_renders_another_room_and_shifts_a_recording(recording: Path) -> None:
    """Oracle: the definition in launch/sweep-word-length.toml."""
    asked = []

    def opener(name: str, mono: bool) -> Sequence:
        asked.append(name)
        return open_sequence(recording)

    places = stretches(_plan("room", str(recording), seeds=(0, 1), seed_shift=0.1), opener)
    assert asked == ["room@0", "room@1", str(recording), str(recording)]
    assert [place.start for place in places] == [0.0, 0.0, 0.0, 0.1]


def test_an_optional_sequence_that_is_not_there_is_a_row_and_a_required_one_an_error(recording: Path) -> None:
    """Oracle: the issue."""
    plan = _plan(str(recording), optional=("no-such-flight",))
    rows = entries(plan, stretches(plan, open_sequence))
    frame = table(rows, {rows[0].point.key: Outcome("ok")}, ())
    assert frame["status"].tolist() == ["ok", "skipped"] and "no-such-flight" in frame["reason"][1]
    with pytest.raises(DataError, match="no-such-flight"):
        stretches(_plan("no-such-flight"), open_sequence)
    with pytest.raises(DataError, match="after its end"):
        stretches(_plan(str(recording), start=100.0), open_sequence)


def test_the_store_gives_back_what_it_was_given_and_forgets_damaged_files(tmp_path: Path) -> None:
    """Oracle: equality of records; half a file, as a power cut leaves it, counts as none."""
    store, outcome = Store(tmp_path / "points"), Outcome("ok", "", {"ate_rmse_m": 0.1 + 0.2, "seed": None}, {"A": [2**60, 1]}, {"seconds": 1.5})
    store.save("key", outcome)
    assert store.load("key") == outcome and store.load("other") is None
    path = next((tmp_path / "points").iterdir())
    whole = path.read_text()
    for text in (whole[: len(whole) // 2], "", "[]", "{}", whole.replace('"key"', '"kez"'), whole.replace('"key": "key"', '"key": "x"')):
        path.write_text(text)
        assert store.load("key") is None


def test_pictures_are_decoded_once_while_there_is_room(recording: Path) -> None:
    """Oracle: a count of the decoder's calls; the pictures are those of the sequence itself."""
    decoded: list[int] = []

    def opener(name: str, mono: bool) -> Sequence:
        sequence = open_sequence(recording, mono)
        return dataclasses.replace(sequence, load=lambda index: decoded.append(index) or sequence.load(index))

    size = 320 * 240
    shelf = Shelf(opener, 3 * 2 * size)
    for _ in range(2):
        for index in range(4):
            assert np.array_equal(shelf.open("a", False).load(index).left, open_sequence(recording).load(index).left)
    assert decoded == [0, 1, 2, 3, 3]
    shelf.open("b", True).load(0)  # makes room by dropping all of "a"
    decoded.clear()
    shelf.open("b", True).load(0)
    shelf.open("a", False).load(0)
    assert decoded == [0]


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Stretch:
    """Six frames of the standing recording."""
    folder = write_recording(tmp_path_factory.mktemp("wall") / "wall", 6)
    return stretches(_plan(str(folder)), open_sequence)[0]


def test_a_point_gives_what_the_run_loop_gives(wall: Stretch) -> None:
    """Oracle: `runner.run` itself with other threads and its warm-up."""
    outcome = one_run.run_point(point(Config(), wall))
    result = runner.run(open_sequence(wall.opened_as), Config(), runner.RunOptions(0.0, 6))
    assert outcome.status == "ok" and outcome.metrics["poses"] == len(result.trajectory.t_ns) == 6
    assert list(outcome.counts.values()) == np.stack([result.counts.sum(axis=0), result.counts.max(axis=0)], axis=1).tolist()


def test_an_error_inside_the_engine_is_a_row(wall: Stretch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the issue: status and reason, never a crash."""
    def broken(*arguments: object) -> None:
        raise FloatingPointError("out of numbers")

    monkeypatch.setattr(Odometry, "add_frame", broken)
    outcome = one_run.run_point(point(Config(), wall))
    assert outcome.status == "failed" and "out of numbers" in outcome.reason and outcome.metrics["poses"] == 0


def test_a_configuration_that_the_engine_refuses_is_a_row(wall: Stretch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the issue."""
    def refused(*arguments: object) -> None:
        raise ConfigError("precision.weight: 1.0 must fit")

    monkeypatch.setattr(Odometry, "__init__", refused)
    assert one_run.run_point(point(Config(), wall)) == Outcome("refused", "precision.weight: 1.0 must fit")


def test_a_state_that_is_no_number_and_an_estimate_worse_than_none_have_diverged() -> None:
    """Oracle: the definition: the ATE of an estimate that never moves is the spread of the ground truth."""
    sequence = open_sequence("room-small")
    options = runner.RunOptions(0.0, 20, 1, warm_up=False)
    good = runner.run(sequence, Config(), options)
    wild = dataclasses.replace(good.trajectory, p_WB=good.trajectory.p_WB + np.random.default_rng(1).normal(0, 1, (20, 3)))
    rows = [dataclasses.replace(row, reasons=("state_not_finite",)) for row in good.health]
    results = [good, dataclasses.replace(good, trajectory=wild), dataclasses.replace(good, health=tuple(rows))]
    judged = [one_run._judged(sequence, result, {}) for result in results]
    assert [outcome.status for outcome in judged] == ["ok", "diverged", "diverged"]
    assert "never moves" in judged[1].reason and "20 frames" in judged[2].reason


def test_memory_and_energy_are_those_of_the_hardware_model() -> None:
    """Oracle: hwmodel called directly with the whole array of counts; the built-in sequence is smaller than the chip's own pictures."""
    from hwmodel.chip import load_chip
    from hwmodel.counts import from_run
    from hwmodel.energy import evaluate
    from hwmodel.memory import memory_map, total_kilobytes
    from hwmodel.technology import load_technology

    sequence = open_sequence("room-small")
    result = runner.run(sequence, Config(), runner.RunOptions(0.0, 20, 1, warm_up=False))
    found = costs(Config(), one_run._judged(sequence, result, {}))
    chip = dataclasses.replace(load_chip("navion"), image_width=376, image_height=240)
    assert found["memory_kb"] == total_kilobytes(memory_map(Config(), chip)) > 100
    assert found["energy_uj_per_frame"] == evaluate(Config(), from_run(result.counts), load_technology("65nm-lstp"), chip).per_frame_uJ.nominal


def test_other_sources_or_other_data_on_a_worker_are_refused(wall: Stretch) -> None:
    """Oracle: the hashes of the plan."""
    with pytest.raises(one_run.Mismatch, match="version"):
        one_run.run_point(dataclasses.replace(point(Config(), wall), code="another"))
    with pytest.raises(one_run.Mismatch, match="data"):
        one_run.run_point(point(Config(), dataclasses.replace(wall, identity="another")))


# the search, on an engine in closed form: ATE = product over the signals of 1 + 2**(need - bits)
NEEDS = {"ray": 9, "rotation": 6, "distortion": 21}


def _ate(config: Config) -> float:
    return math.prod(1.0 + 2.0 ** (need - getattr(config.precision, name).bits) for name, need in NEEDS.items())


def _searched(max_loss: float, seed: int) -> Search:
    """Run a search to its end, outcomes coming back in a random order."""
    search = Search(Config(), tuple(NEEDS), (PLACE, dataclasses.replace(PLACE, identity="1")), max_loss)
    configs = {}
    waiting, rng = list(search.first()), random.Random(seed)
    while waiting:
        configs |= {entry.point.key: entry.variant.config for entry in search.entries()}
        key = waiting.pop(rng.randrange(len(waiting))).key
        waiting += search.told(key, Outcome("ok", metrics={"ate_rmse_m": _ate(configs[key])}))
    return search


@pytest.mark.parametrize("max_loss", [0.02, 0.1, 0.7])
def test_the_search_finds_the_smallest_width_of_each_signal(max_loss: float) -> None:
    """Oracle: the closed form, every width tried."""
    search, wide = _searched(max_loss, 1), _ate(Config())
    for name, need in NEEDS.items():
        own = getattr(Config().precision, name).bits
        loss = {bits: (1.0 + 2.0 ** (need - bits)) / (1.0 + 2.0 ** (need - own)) - 1.0 for bits in range(1, own + 1)}
        assert search.smallest[name].bits == min(bits for bits in loss if loss[bits] <= max_loss)
        assert search.smallest[name].loss == pytest.approx(loss[search.smallest[name].bits])
        assert f"{search.smallest[name].bits - 1} bits: loss" in search.smallest[name].limit
    assert search.combination_loss == pytest.approx(_ate(search.combination) / wide - 1.0)
    assert search.combination_loss <= max_loss and search.margin >= 1  # three losses at the limit are too much together


def test_the_rows_of_a_search_do_not_depend_on_who_was_quicker() -> None:
    """Oracle: the same search with its outcomes in other orders."""
    rows = [[(e.variant.signal, e.variant.bits, e.point.key) for e in _searched(0.1, seed).entries()] for seed in range(3)]
    assert rows[0] == rows[1] == rows[2] and rows[0][-1][0] == COMBINATION


def test_a_search_without_ground_truth_or_with_a_failing_reference_says_so() -> None:
    """Oracle: the definition of a loss."""
    with pytest.raises(DataError, match="ground truth"):
        Search(Config(), ("ray",), (dataclasses.replace(PLACE, has_truth=False),), 0.1)
    search = Search(Config(), ("ray",), (PLACE,), 0.1)
    with pytest.raises(DataError, match="no pose at all"):
        search.told(search.first()[0].key, Outcome("failed", "no pose at all"))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_pareto_front_is_what_nothing_dominates(cells: list[tuple[int, int]]) -> None:
    """Oracle: every pair compared."""
    cost, error = np.array(cells, float).T
    found = front(cost, error)
    best = {c for c in cells if not any(o != c and o[0] <= c[0] and o[1] <= c[1] for o in cells)}
    assert [cells[i] for i in found] == sorted(best)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_labels_beside_a_plot_keep_their_distance_and_order(places: list[float]) -> None:
    """Oracle: every pair of neighbours; 15 labels of 0.06 have room between 0 and 1."""
    moved = spread(np.array(places), 0.06)
    order = np.argsort(-np.array(places), kind="stable")
    assert (np.diff(moved[order]) <= -0.06 + 1e-12).all() and moved.min() >= -1e-12 and moved.max() <= 1


def test_labels_of_close_variants_do_not_overlap() -> None:
    """Oracle: the boxes of all texts as drawn, pair by pair; thirty variants on the front, a hair's breadth apart."""
    frame = pandas.DataFrame({"frontend.max_features": range(30), "ate_rmse_m": 0.01 - 1e-5 * np.arange(30), "memory_kb": 300.0 + np.arange(30)})
    with styled():
        figure = pareto(frame, ["frontend.max_features"], "memory_kb", "memory [kB]")
        figure.draw_without_rendering()
        boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # an annotation's own would take its line in
    assert len(boxes) == 30 and figure.axes[0].texts[3].get_text() == "max features 3"
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_every_entry_is_a_row_and_the_plots_are_files(tmp_path: Path) -> None:
    """Oracle: the entries; a sweep ended early has rows that say so."""
    rows = tuple(
        points.Entry(Variant(config, "ray", bits), PLACE, point(config, PLACE))
        for config, bits in ((_with_ray(bits), bits) for bits in (18, 14, 10, 6))
    )  # fmt: skip
    outcomes = {row.point.key: Outcome("ok", metrics={"ate_rmse_m": 2.0 ** -row.variant.bits}) for row in rows[:2]}
    outcomes[rows[2].point.key] = Outcome("diverged", "ATE 9 m")
    frame = table(rows, outcomes, ("frontend.corner",))
    assert frame["bits"].tolist() == [18, 14, 10, 6] and frame["status"].tolist() == ["ok", "ok", "diverged", "not_run"]
    assert frame["frontend.corner"].tolist() == ["shi_tomasi"] * 4 and frame["reason"][2] == "ATE 9 m"
    assert {"memory_kb", "energy_uj_per_frame"} <= set(frame.columns) and frame["energy_uj_per_frame"].isna().all()  # nothing was counted
    files = draw(frame, tmp_path)
    assert [path.name for path in files] == ["ate-bits.png", "ate-bits.svg"] and all(path.stat().st_size > 5000 for path in files)
    priced = frame.assign(memory_kb=[9.0, 8.0, 7.0, 6.0], energy_uj_per_frame=[4.0, 4.0, 3.0, 2.0])
    assert {path.name for path in draw(priced, tmp_path)} >= {"pareto-memory.png", "pareto-energy.svg"}


def _with_ray(bits: int) -> Config:
    precision = dataclasses.replace(Config().precision, ray=dataclasses.replace(Config().precision.ray, bits=bits, frac_bits=max(0, bits - 4)))
    return dataclasses.replace(Config(), precision=precision)


@pytest.mark.parametrize("profile", ["default", "wide"])
def test_a_ray_can_be_narrowed_as_far_as_its_format_goes(profile: str) -> None:
    """Oracle: the front end's own demand, twice the fraction bits of the ray for its squared radius; the radius keeps its range."""
    config = resolve_config(profile, [])
    for bits in range(config.precision.ray.bits, 5, -1):
        narrowed = with_widths(config, {"ray": bits}).precision
        assert narrowed.ray.bits == bits and narrowed.radius_sq.frac_bits <= 2 * narrowed.ray.frac_bits
        assert narrowed.radius_sq.bits - narrowed.radius_sq.frac_bits == config.precision.radius_sq.bits - config.precision.radius_sq.frac_bits
        make_lens(EUROC_CAMERA, narrowed)


def test_registers_with_and_without_limits_are_two_kinds_of_kernels() -> None:
    """Oracle: the types of the formats; other numbers, and a window, leave the kind as it is."""
    narrow = with_widths(Config(), {"residual": 8})
    others = [with_widths(Config(), {"weight": 9}), dataclasses.replace(Config(), backend=dataclasses.replace(Config().backend, window=8))]
    assert one_run._kind(narrow) != one_run._kind(Config()) == one_run._kind(others[0]) == one_run._kind(others[1])


def test_what_was_compiled_once_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Oracle: a count of the compilations asked for; another kind is compiled, and without the cache all of them are."""
    asked: list[Config] = []
    monkeypatch.setenv("TINYVIO_CACHE", str(tmp_path))
    monkeypatch.setattr(one_run.compilation, "warm_up", lambda calibration, config: asked.append(config))
    monkeypatch.setattr(type(one_run.solver.assemble), "is_cached", True)
    calibration, narrow = open_sequence(write_recording(tmp_path / "wall", 2)).calibration, with_widths(Config(), {"residual": 8})
    for configs in ([Config()], [Config()], [Config(), narrow], [Config(), narrow]):
        one_run.warm_up([calibration, calibration], configs)
    assert len(asked) == 3
    monkeypatch.setattr(type(one_run.solver.assemble), "is_cached", False)
    one_run.warm_up([calibration], [Config()])
    assert len(asked) == 4
