"""The published chip beside the model: what is published, what the model says, and whether that was calibrated or predicted."""

from dataclasses import replace
from typing import NamedTuple

from hwmodel.area import area, kilogates
from hwmodel.buffers.record import ALL, NONE, Savings
from hwmodel.chip import Chip
from hwmodel.counts import Counts
from hwmodel.energy import Report, evaluate, macro
from hwmodel.memory import by_module, memory_map, total_kilobytes
from hwmodel.tables import NOTHING, Band, rows
from hwmodel.technology import Technology
from hwmodel.timing import operating_point, peak_rates, solver_speedup, timing
from vio.config import Config


class Comparison(NamedTuple):
    """One line: published and modelled value, how the model came by it, and the relative error."""

    what: str
    published: float
    model: float
    unit: str
    kind: str  # calibrated, predicted, or derived from a choice that was made to meet it

    @property
    def error(self) -> float:
        """(model - published) / published."""
        return self.model / self.published - 1.0


def published(block: str, quantity: str) -> float:
    """A value of navion_published.csv."""
    return next(float(row["value"]) for row in rows("navion_published.csv") if (row["block"], row["quantity"]) == (block, quantity))


def at_rate(config: Config, counts: Counts, chip: Chip, technology: Technology, fps: float) -> Report:
    """The report at the lowest clock and voltage that keep up with `fps`."""
    _, point = operating_point(timing(config, counts, chip), chip, technology, fps)
    return evaluate(config, counts, point, chip, fps)


def at_full_speed(config: Config, counts: Counts, chip: Chip, technology: Technology) -> Report:
    """The report at the nominal voltage and the highest frame rate of the chip's clock."""
    fps, _, _ = peak_rates(timing(config, counts, chip), chip.clock_MHz)
    return evaluate(config, counts, replace(technology, vdd=technology.vdd_nominal), chip, fps)


def store_energy(config: Config, counts: Counts, technology: Technology, chip: Chip, fps: float, savings: Savings) -> Band:
    """Energy of the frame store per frame in pJ: accesses, coder and decoder with their control, leakage of its memories."""
    report = evaluate(config, counts, technology, chip, fps, savings)
    leak = NOTHING
    for buffer in memory_map(config, chip, savings):
        if buffer.module == "frame store":
            leak = leak + macro(buffer, technology).leakage.times(buffer.banks)
    return report.of(("frame store",)) + leak.times(1e9 / fps)


def store_power_ratio(config: Config, counts: Counts, technology: Technology, chip: Chip, fps: float) -> float:
    """Energy of a raw frame store over that of the coded one."""
    raw, coded = (store_energy(config, counts, technology, chip, fps, replace(ALL, frame_code=on)) for on in (False, True))
    return raw.nominal / coded.nominal


def parallel_gain(config: Config, counts: Counts, chip: Chip) -> float:
    """Throughput with overlapping stages over that without, in percent above it."""
    frame = [timing(config, counts, replace(chip, parallel=on)).frame for on in (True, False)]
    return 100.0 * (frame[1] / frame[0] - 1.0)


def memory_comparisons(config: Config, chip: Chip) -> list[Comparison]:
    """Memory against the published totals and ratios."""
    before, after = (by_module(memory_map(config, chip, s)) for s in (NONE, ALL))
    total = total_kilobytes(memory_map(config, chip))
    out = [
        Comparison("on-chip memory", published("chip", "sram_total"), total, "kB", "predicted"),
        Comparison("memory reduction", published("chip", "memory_reduction"), sum(before.values()) / total, "x", "predicted"),
    ]
    for module, block in (("frame store", "frame_buffer"), ("graph", "graph"), ("solver", "linear_solver")):
        out.append(Comparison(f"{module} reduction", published(block, "compression_ratio"), before[module] / after[module], "x", "predicted"))
    return out


def validation(config: Config, counts: Counts, chip: Chip, technology: Technology) -> list[Comparison]:
    """Every published figure that the model can be held against."""
    t = timing(config, counts, chip)
    fps, keyframes, imu = peak_rates(t, chip.clock_MHz)
    low, full = at_rate(config, counts, chip, technology, 20.0), at_full_speed(config, counts, chip, technology)
    return [
        *memory_comparisons(config, chip),
        Comparison("logic", published("chip", "logic"), kilogates(config, chip), "kgate", "calibrated"),
        Comparison("die area", published("chip", "die_area"), area(config, chip, technology)["die"].nominal, "mm2", "predicted"),
        Comparison("frame rate, peak", published("chip", "frame_rate_peak"), fps, "fps", "calibrated"),
        Comparison("keyframe rate, peak", published("chip", "keyframe_rate_peak"), keyframes, "KF/s", "chosen lanes"),
        Comparison("inertial rate, peak", published("chip", "imu_rate_peak"), imu * 1e-3, "kHz", "chosen lanes"),
        Comparison("gain of parallelism", published("chip", "throughput_gain_from_parallelism"), parallel_gain(config, counts, chip), "%", "predicted"),
        Comparison("solver speed-up", published("linear_solver", "speedup"), solver_speedup(config.backend.window, chip), "x", "predicted"),
        Comparison("power at 20 fps", published("chip", "power_20fps"), low.power_mW.nominal, "mW", "calibrated"),
        Comparison("power at peak", published("chip", "power_peak_performance"), full.power_mW.nominal, "mW", "predicted"),
        Comparison("frame store power gain", published("frame_buffer", "power_gain"),
                   store_power_ratio(config, counts, low.technology, chip, 20.0), "x", "predicted"),
    ]


class Platform(NamedTuple):
    """One row of the platforms table."""

    name: str
    power_mW: float
    fps: float
    keyframe_rate: float | None
    energy_uJ: float
    memory_kB: float | None
    source: str


def platforms() -> list[Platform]:
    """The published CPU, ARM and FPGA versions of the same algorithm, and the chip itself."""
    table = {(r["block"], r["quantity"]): r for r in rows("navion_published.csv")}
    out = []
    for block, name in (("platform_xeon", "Xeon"), ("platform_arm_a15", "ARM A15"), ("platform_fpga", "FPGA Kintex-7")):
        power, fps, keyframes = (float(table[block, q]["value"]) for q in ("power", "camera_rate", "keyframe_rate"))
        memory = table.get((block, "memory"))
        out.append(Platform(name, 1e3 * power, fps, keyframes, 1e6 * power / fps, float(memory["value"]) if memory else None, table[block, "power"]["source"]))
    low, peak = published("chip", "power_20fps"), published("chip", "power_peak_performance")
    for power, fps in ((low, 20.0), (peak, published("chip", "frame_rate_peak"))):
        out.append(Platform("Navion", power, fps, None, 1e3 * power / fps, published("chip", "sram_total"), table["chip", "power_20fps"]["source"]))
    return out
