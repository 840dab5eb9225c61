"""Everything `tinyvio chip` says, as plain tables: a title, column heads, and rows of texts and numbers."""

from dataclasses import dataclass
from typing import Any

from hwmodel.area import area, kilogates_by_module
from hwmodel.chip import Chip
from hwmodel.counts import Counts, high_water
from hwmodel.drones import Drone, budget, sensors_mW
from hwmodel.energy import KINDS, Report, frame_work
from hwmodel.memory import memory_map, savings_table
from hwmodel.published import Comparison, platforms
from hwmodel.tables import Band, rows
from hwmodel.technology import Technology, dram_energy
from hwmodel.timing import Timing, peak_rates, solver_speedup
from vio.config import Config


@dataclass(frozen=True)
class Table:
    """One table of the report."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    note: str = ""


def memory_table(config: Config, chip: Chip, counts: Counts | None) -> Table:
    """Every buffer, with the run's high-water mark where there is one."""
    used = high_water(counts) if counts else {}
    lines = [(b.module, b.name, b.words, b.bits, b.ports, b.banks, b.kilobytes, used.get(b.name, ""), b.why) for b in memory_map(config, chip)]
    return Table("memory", ("module", "buffer", "words", "bits", "ports", "banks", "kB", "used", "depth"), lines)


def savings(config: Config, chip: Chip) -> Table:
    """Before and after frame code, sparse tracks, structured and unstructured sparsity and shared scratch."""
    lines = [(m, before, after, f"{before / after:.2f}" if after and before else "") for m, before, after in savings_table(config, chip)]
    return Table("savings", ("module", "before kB", "after kB", "x"), lines, "before: raw pictures, dense tracks, full matrices, scratch of their own")


def energy_table(report: Report) -> Table:
    """uJ per frame by module and kind, nominal, with the band of each sum."""
    modules = list(dict.fromkeys(module for module, _ in report.energy))
    lines = []
    for module in [*modules, "all"]:
        chosen = () if module == "all" else (module,)
        kinds = [report.of(chosen, (kind,)).nominal * 1e-6 for kind in KINDS]
        total = report.of(chosen).times(1e-6)
        lines.append((module, *kinds, total.nominal, total.low, total.high))
    return Table("energy", ("module", *KINDS, "uJ/frame", "low", "high"), lines, report.source)


def power_table(report: Report, clock_MHz: float) -> Table:
    """The figures a data sheet has."""
    def row(name: str, band: Band, unit: str) -> tuple[Any, ...]:
        return (name, band.nominal, band.low, band.high, unit)

    lines = [
        row("power", report.power_mW, f"mW at {report.fps:g} fps"), row("energy per frame", report.per_frame_uJ, "uJ"),
        row("energy per keyframe", report.per_keyframe_uJ, "uJ, modules that work at keyframes alone"),
        row("energy per pixel", report.per_pixel_nJ, "nJ"), row("front end per feature", report.per_feature_nJ, "nJ"),
        ("voltage", report.technology.vdd, "", "", "V"), ("clock", clock_MHz, "", "", "MHz, the lowest that keeps up"),
        ("keyframes", report.fps * report.keyframes / report.frames, "", "", "per second"),
    ]
    return Table("power", ("quantity", "nominal", "low", "high", "unit"), lines)


def area_table(config: Config, chip: Chip, technology: Technology) -> Table:
    """mm2 of memories, logic and die; gates by module."""
    lines: list[tuple[Any, ...]] = [(name, b.nominal, b.low, b.high, "mm2") for name, b in area(config, chip, technology).items()]
    gates = kilogates_by_module(config, chip)
    lines += [(f"gates: {name}", value, "", "", "kgate") for name, value in [*gates.items(), ("all", sum(gates.values()))]]
    return Table("area", ("part", "nominal", "low", "high", "unit"), lines)


def timing_table(t: Timing, chip: Chip, config: Config, clock_MHz: float, fps: float) -> Table:
    """Cycles, rates at the chip's clock, utilisation at the asked rate."""
    frames, keyframes, imu = peak_rates(t, chip.clock_MHz)
    lines = [
        ("streaming", t.stream, "cycles/frame"), ("tracking", t.track, "cycles/frame"), ("refinement", t.refine, "cycles/frame"),
        ("detection and stereo", t.keyframe_front_end, "cycles/keyframe"), ("back end", t.back_end, "cycles/keyframe"), ("preintegration", t.imu, "cycles/sample"),
        ("frame rate, peak", frames, f"fps at {chip.clock_MHz:g} MHz"), ("keyframe rate, peak", keyframes, "KF/s"), ("inertial rate, peak", imu * 1e-3, "kHz"),
        ("latency", t.latency / clock_MHz * 1e-3, f"ms at {clock_MHz:.2f} MHz, last pixel to state"),
        ("solver speed-up", solver_speedup(config.backend.window, chip), "x over dense"),
        *((f"utilisation: {name}", 100 * share, f"% at {fps:g} fps") for name, share in t.utilisation(clock_MHz, fps).items()),
    ]
    return Table("timing", ("quantity", "value", "unit"), lines)


def dram_table(config: Config, counts: Counts, chip: Chip, fps: float) -> Table:
    """What the frame store's traffic alone would cost off the chip."""
    widths = {b.name: b.bits for b in memory_map(config, chip)}
    pictures = ("left_now", "left_before", "right_now")
    accesses = frame_work(config, counts, chip)["frame store"].accesses
    bits = sum(n * widths[access.buffer] for access, n in accesses.items() if access.buffer in pictures)
    lines = [(kind, bits * 1e-6, bits * dram_energy(kind) * 1e-6, bits * dram_energy(kind) * fps * 1e-9) for kind in ("LPDDR4", "LPDDR", "DDR3")]
    return Table("off-chip frame store", ("memory", "Mbit/frame", "uJ/frame", "mW"), lines, "access energy alone; interface standby comes on top")


def platform_table(report: Report | None) -> Table:
    """Published implementations of the algorithm, and this one."""
    lines: list[tuple[Any, ...]] = [(p.name, p.power_mW, p.fps, p.keyframe_rate or "", p.energy_uJ, p.memory_kB or "", p.source) for p in platforms()]
    if report:
        rate = report.fps * report.keyframes / report.frames
        lines.append(("this model", report.power_mW.nominal, report.fps, rate, report.per_frame_uJ.nominal, "", report.source))
    return Table("platforms", ("platform", "mW", "fps", "KF/s", "uJ/frame", "kB", "source"), lines)


def accelerator_table() -> Table:
    """Other published accelerators; their scopes differ, so the note of each is part of its figure."""
    columns = ("design", "technology", "scope", "throughput", "power_mW", "energy_uJ_per_frame", "memory_kB", "note", "source")
    heads = ("design", "technology", "scope", "throughput", "mW", "uJ/frame", "kB", "note", "source")
    return Table("other accelerators", heads, [tuple(row[c] for c in columns) for row in rows("other_accelerators.csv")])


def validation_table(comparisons: list[Comparison], chip: Chip) -> Table:
    """Published against modelled."""
    lines = [(c.what, c.published, c.model, c.unit, c.kind, f"{100 * c.error:+.1f} %") for c in comparisons]
    calibrated = ", ".join(f"{name} = {getattr(chip, name):g} ({why})" for name, (tag, why) in chip.notes.items() if tag == "calibrated")
    return Table("validation", ("figure", "published", "model", "unit", "how", "error"), lines, f"calibrated: {calibrated}")


def budget_table(drone: Drone, power: Band, fps: float) -> Table:
    """A drone's account with a chip of that power in mW on board."""
    b, (camera, imu) = budget(drone, power), sensors_mW()

    def row(label: str, band: Band, unit: str) -> tuple[Any, ...]:
        return (label, band.nominal, band.low, band.high, unit)

    lines = [
        row("perception chip", power, f"mW at {fps:g} fps"), ("hover power", drone.hover_W * 1e3, "", "", "mW"),
        row("share of hover power", b.hover_share.times(100), "%"), row("share of the total", b.total_share.times(100), "%"),
        ("two cameras and IMU", 2 * camera + imu, "", "", "mW, HM01B0 and BMI160"),
        row("room left for them", b.room_mW, f"mW of {drone.perception_mW:g} mW, after all three"),
    ]
    if b.flight_min:
        lines += [("flight", b.flight_min, "", "", "min on hover power alone"), row("flight lost", b.lost_min, "min"), row("energy", b.energy_J, "J a flight")]
    else:
        lines += [("flight", "", "", "", "no battery on board"), row("energy", b.energy_J, "J a minute")]
    return Table(f"budget of {drone.name}", ("quantity", "nominal", "low", "high", "unit"), lines, drone.source)
