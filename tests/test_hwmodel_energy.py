"""Energy, timing, published comparison, Accelergy and drones."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hardware import navion, with_fields
from hwmodel.accelergy import documents
from hwmodel.counts import Counts, from_run
from hwmodel.drones import budget, load_drone
from hwmodel.energy import KINDS, evaluate
from hwmodel.explain import explain
from hwmodel.fit import verdict
from hwmodel.live import flight
from hwmodel.memory import memory_map
from hwmodel.published import at_full_speed, at_rate, platforms, validation
from hwmodel.tables import Band
from hwmodel.technology import at_voltage
from hwmodel.timing import operating_point, timing
from hwmodel.work import MODULES
from vio.config import ConfigError
from vio.events import Event

TOLERANCE = {
    "on-chip memory": 0.05, "memory reduction": 0.05, "frame store reduction": 0.03, "graph reduction": 0.10, "solver reduction": 0.10, "logic": 0.10,
    "die area": 0.20, "frame rate, peak": 0.10, "keyframe rate, peak": 0.10, "inertial rate, peak": 0.10, "solver speed-up": 0.15, "power at 20 fps": 0.25,
    "power at peak": 0.25, "frame store power gain": 0.15, "gain of parallelism": 1.0,
}


def test_the_model_meets_the_published_chip() -> None:
    """Oracle: every published figure at hand, within the tolerances the project set itself; 2 and 24 mW with one set of constants.

    None was set for the gain of parallelism: what the published 43 % compare is not known.
    """
    config, counts, technology, chip = navion()
    for line in validation(config, counts, chip, technology):
        assert abs(line.error) <= TOLERANCE[line.what], line
    assert at_rate(config, counts, chip, technology, 20.0).technology.vdd < at_full_speed(config, counts, chip, technology).technology.vdd


def test_the_readmes_table_is_what_the_command_prints() -> None:
    """Oracle: the comparison itself."""
    config, counts, technology, chip = navion()
    text = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    for line in validation(config, counts, chip, technology):
        row = f"| {line.what} | {line.published:g} {line.unit} | {line.model:.4g} {line.unit} | {line.kind} | {100 * line.error:+.1f} % |"
        assert row in text, row


def test_bands_are_ordered_and_parts_make_the_whole() -> None:
    """Oracle: the sum over modules and kinds."""
    config, counts, technology, chip = navion()
    report = evaluate(config, counts, technology, chip)
    assert all(band.low <= band.nominal <= band.high for band in report.energy.values())
    total = sum(report.of((module,)).nominal for module in [*MODULES, "memories", "logic"])
    assert report.of().nominal == pytest.approx(total) == pytest.approx(sum(report.of((), (kind,)).nominal for kind in KINDS))
    assert report.power_mW.nominal == pytest.approx(report.per_frame_uJ.nominal * 20e-3)


def test_dynamic_energy_is_linear_in_the_counts_and_leakage_in_time() -> None:
    """Oracle: closed forms."""
    config, counts, technology, chip = navion()
    double = Counts(2 * counts.frames, 2 * counts.total, counts.largest, "twice")
    a, b, slow = evaluate(config, counts, technology, chip), evaluate(config, double, technology, chip), evaluate(config, counts, technology, chip, 10.0)
    assert b.of(("tracker",)).nominal == pytest.approx(a.of(("tracker",)).nominal)
    assert slow.of((), ("leakage",)).nominal == pytest.approx(2 * a.of((), ("leakage",)).nominal)
    assert slow.of((), KINDS[:-1]).nominal == pytest.approx(a.of((), KINDS[:-1]).nominal)


def test_a_run_priced_frame_by_frame_has_the_reports_mean() -> None:
    """Oracle: `evaluate` of the sums; frames of equal counts, so that the share of replayed observations is the same."""
    config, counts, technology, chip = navion()
    mean = np.maximum(counts.total * 4 // counts.frames, 0)
    mean[Event.PYRAMID_PIXEL] = counts.total[Event.PYRAMID_PIXEL] * 4 // counts.frames
    mean[Event.KEYFRAME] = mean[Event.GAUSS_NEWTON_ITERATION] = 1
    each = np.tile(np.minimum(mean // 4 + (np.isin(np.arange(len(Event)), [Event.KEYFRAME, Event.GAUSS_NEWTON_ITERATION])), counts.largest), (40, 1))
    height, width = (chip.image_height, chip.image_width)
    reduced = sum(-(-height // 2**k) * -(-width // 2**k) for k in range(1, config.frontend.pyramid_levels))
    each[:, Event.PYRAMID_PIXEL] = 2 * reduced
    priced = flight(config, each, chip, technology, 20.0)
    report = evaluate(config, from_run(each), at_voltage(technology, priced.vdd), chip, 20.0)
    assert priced.power_mW.nominal == pytest.approx(report.power_mW.nominal, rel=2e-3)
    assert priced.energy_uJ.sum(1) == pytest.approx(priced.total_uJ[:, 1])


@pytest.mark.parametrize("fps", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_frame_rate_that_makes_no_sense_is_refused(fps: float) -> None:
    """Oracle: the message."""
    config, counts, technology, chip = navion()
    with pytest.raises(ConfigError, match="frame rate"):
        evaluate(config, counts, technology, chip, fps)
    with pytest.raises(ConfigError, match="frame rate"):
        operating_point(timing(config, counts, chip), chip, technology, fps)


def test_a_rate_beyond_the_fastest_voltage_is_refused() -> None:
    """Oracle: the message names the clock that would be needed."""
    config, counts, technology, chip = navion()
    with pytest.raises(ConfigError, match="need a clock"):
        operating_point(timing(config, counts, chip), chip, technology, 1000.0)


@pytest.mark.parametrize(("section", "fields"), [
    ("frontend", {"pyramid_levels": 5}), ("frontend", {"max_features": 20}), ("backend", {"window": 6}),
])
def test_counts_of_another_configuration_are_refused(section: str, fields: dict) -> None:
    """Oracle: counts that this configuration cannot produce."""
    config, counts, technology, chip = navion()
    with pytest.raises(ConfigError, match="another configuration"):
        evaluate(with_fields(config, section, **fields), counts, technology, chip)


def test_counts_that_are_no_counts_are_refused() -> None:
    """Oracle: wrong shape, nothing in it, a negative entry."""
    for array, message in ((np.zeros((3, 5), int), "run the sequence again"), (np.zeros((4, len(Event)), int), "no frame"), (-np.ones((4, len(Event)), int), "negative")):
        with pytest.raises(ConfigError, match=message):
            from_run(array)


def test_accelergys_arithmetic_gives_the_models_energy() -> None:
    """Oracle: counts x energies of the three documents, which is all that Accelergy does with them, against the report."""
    config, counts, technology, chip = navion()
    files = documents(config, counts, technology, chip, 20.0)
    energy = {(t["name"], a["name"]): a["energy"] for t in files["ERT.yaml"]["ERT"]["tables"] for a in t["actions"]}
    total = 0.0
    for module in files["action_counts.yaml"]["action_counts"]["subtree"][0]["subtree"]:
        for part in module["local"]:
            total += sum(action["counts"] * energy[f"chip.{module['name']}.{part['name']}", action["name"]] for action in part["action_counts"])
    assert total / counts.frames == pytest.approx(evaluate(config, counts, technology, chip).of().nominal, rel=1e-9)
    named = {f"chip.{m['name']}.{p['name']}" for m in files["architecture.yaml"]["architecture"]["subtree"][0]["subtree"] for p in m["local"]}
    assert named == {t["name"] for t in files["ERT.yaml"]["ERT"]["tables"]}


def test_every_buffer_and_module_explains_itself() -> None:
    """Oracle: each derivation ends in a source, and an unknown name lists the known ones."""
    config, counts, technology, chip = navion()
    for name in [b.name for b in memory_map(config, chip)] + list(MODULES):
        text = "\n".join(explain(name, config, counts, technology, chip))
        assert ".csv" in text and "counts" in text, name
    with pytest.raises(ConfigError, match="observations"):
        explain("flux_capacitor", config, counts, technology, chip)


def test_published_platforms_carry_their_energy_per_frame() -> None:
    """Oracle: 26.1 W / 21 fps, 2.33 W / 5 fps, 1.46 W / 20 fps, 2 mW / 20 fps."""
    energy = [p.energy_uJ for p in platforms()]
    assert energy[:4] == pytest.approx([26.1e6 / 21, 2.33e6 / 5, 1.46e6 / 20, 100.0])


def test_a_drones_account_is_its_closed_form() -> None:
    """Oracle: battery over power; the Crazyflie flies 7.5 min on 0.925 Wh at 7.38 W."""
    power, fly = Band(1.0, 2.0, 4.0), load_drone("crazyflie_2.1")
    account = budget(fly, power)
    assert account.flight_min == pytest.approx(60 * 0.925 / 7.38)
    assert account.lost_min.nominal == pytest.approx(60 * 0.925 / 7.38 - 60 * 0.925 / 7.382)
    assert account.hover_share.nominal == pytest.approx(2 / 7380)
    assert account.room_mW.nominal == pytest.approx(100 - 2 * 2 - 1.7 - 2)
    bee = budget(load_drone("robobee"), power)
    assert bee.flight_min == 0 and bee.hover_share.nominal == pytest.approx(2 / 115)
    assert bee.energy_J.nominal == pytest.approx(0.12)


def test_a_users_drone_is_read_and_checked(tmp_path) -> None:
    """Oracle: its own numbers; a wrong field or value is refused by name."""
    text = 'source = "mine"\nmass_g = 40\nbattery_Wh = 1.5\nhover_W = 10\nelectronics_W = 1\nperception_mW = 200\n'
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert budget(load_drone(str(path)), Band(1, 1, 1)).flight_min == pytest.approx(9.0)
    for change, message in ((("hover_W = 10", "hover_W = 0"), "hover_W"), (("mass_g", "mass_kg"), "field"), (("hover_W = 10", "hover_W = \"much\""), "hover_W")):
        path.write_text(text.replace(*change))
        with pytest.raises(ConfigError, match=message):
            load_drone(str(path))


def test_a_verdict_says_what_is_over_and_what_would_help() -> None:
    """Oracle: limits above and below the design; what is named as a help does satisfy the limit."""
    config, counts, technology, chip = navion()
    assert verdict(config, counts, technology, chip, 20.0, 50.0, 2000.0).fits
    tight = verdict(config, counts, technology, chip, 20.0, None, 600.0)
    assert not tight.fits and "kB over 600 kB" in tight.over[0] and tight.helps
    raw = with_fields(config, "frontend", frame_store="raw")
    assert any("block1" in text for text in verdict(raw, counts, technology, chip, 20.0, None, 1000.0).helps)
    starved = verdict(config, counts, technology, chip, 20.0, 0.5, None)
    assert any("frames/s" in text or "technology" in text for text in starved.helps) and "mW over 0.5 mW" in starved.over[0]


def test_a_parallel_chip_is_never_slower() -> None:
    """Oracle: the maximum of two stages is at most their sum."""
    config, counts, _, chip = navion()
    assert timing(config, counts, chip).frame < timing(config, counts, dataclasses.replace(chip, parallel=False)).frame
