"""Silicon area: memories from the macro tables, logic from the operators that the lanes need, the pad ring around both."""

from hwmodel.buffers.record import Buffer
from hwmodel.chip import Chip
from hwmodel.memory import memory_map
from hwmodel.tables import NOTHING, Band
from hwmodel.technology import Technology, gate_area, mantissa, sram
from hwmodel.widths import FLOAT
from hwmodel.work import module_of, work_per_event
from vio.config import Config
from vio.events import Event

_GATES_PER_ADDER_BIT = 9  # full adder and its share of carry logic, NAND2 equivalents
_GATES_PER_PRODUCT_BIT = 8  # AND and full adder of one partial-product bit
_GATES_PER_REGISTER_BIT = 7  # scan flip-flop
_TWICE = ("pyramid", "frame store")
_FLOAT_ADDER = 90  # gates per mantissa bit: alignment, addition, leading-zero count, normalisation


def _gates_of(kind: str, bits: int, by: int) -> float:
    """Gates of one operator with its output register."""
    if kind == "mul":
        return _GATES_PER_PRODUCT_BIT * bits * by + _GATES_PER_REGISTER_BIT * (bits + by)
    if kind == "divide":
        return (_GATES_PER_ADDER_BIT + _GATES_PER_REGISTER_BIT) * (by + 1) + _GATES_PER_REGISTER_BIT * bits
    if kind == "shift":
        return 3 * bits * max(bits.bit_length(), 1) + _GATES_PER_REGISTER_BIT * bits
    return _GATES_PER_ADDER_BIT * bits + (_GATES_PER_REGISTER_BIT * bits if kind == "add" else 0)


def float_lane_gates(bits: int) -> float:
    """Gates of one floating-point multiply-add lane."""
    m = mantissa(bits)
    return _GATES_PER_PRODUCT_BIT * m * m + _FLOAT_ADDER * m + 4 * _GATES_PER_REGISTER_BIT * bits


def _cycles_per_event(config: Config, chip: Chip) -> dict[Event, float]:
    """Cycles in which one event's operations are done: as many operators stand side by side as its work divided by these."""
    rows = config.frontend.klt_window * chip.tracker_cycles_per_row
    return {
        Event.PYRAMID_PIXEL: 1.0 / chip.pixels_per_cycle, Event.CORNER_PIXEL: 1.0 / chip.pixels_per_cycle, Event.BLOCK_ENCODED: 16.0 / chip.pixels_per_cycle,
        Event.BLOCK_DECODED: 1.0, Event.KLT_TEMPLATE: rows, Event.KLT_ITERATION: rows,
        Event.STEREO_CANDIDATE: config.frontend.stereo_window * chip.stereo_cycles_per_row,
        Event.RAY_LOOKUP: chip.scalar_cycles, Event.RAY_PROJECTION: chip.scalar_cycles, Event.RAY_ROTATION: chip.scalar_cycles,
        Event.RANSAC_TEST: chip.scalar_cycles, Event.STEREO_MATCHED: 4 * chip.scalar_cycles, Event.RANSAC_HYPOTHESIS: 4 * chip.scalar_cycles,
        Event.DEPTH_TEST: chip.scalar_cycles,
    }


def kilogates_by_module(config: Config, chip: Chip) -> dict[str, float]:
    """Gates in thousands, overhead included. Two cameras: pyramid and coder stand twice."""
    work, operators = work_per_event(config), {}
    for event, cycles in _cycles_per_event(config, chip).items():
        mine = operators.setdefault(module_of(event), {})
        for op, n in work[event].ops.items():
            if not op.kind.startswith("f"):  # events of one module take turns on the same operators
                mine[op] = max(mine.get(op, 0.0), n / cycles)
    out = {module: sum(n * _gates_of(*op) for op, n in ops.items()) * (2 if module in _TWICE else 1) for module, ops in operators.items()}
    p, window = config.precision, config.frontend.klt_window
    register_files = window * window * (p.template.bits + 2 * p.gradient.bits) + (window + 3) ** 2 * p.pixel.bits
    out["tracker"] += _GATES_PER_REGISTER_BIT * register_files
    bits = FLOAT  # linearisation stays in full precision, whatever the solver's
    out["back end lanes"] = chip.multipliers * float_lane_gates(bits)
    out["inertial lanes"] = chip.imu_multipliers * float_lane_gates(bits)
    out["dividers"] = (chip.dividers + 1) * (2 * _GATES_PER_ADDER_BIT + 3 * _GATES_PER_REGISTER_BIT) * mantissa(bits)
    return {module: gates * chip.gate_overhead * 1e-3 for module, gates in out.items()}


def kilogates(config: Config, chip: Chip) -> float:
    """All gates, thousands."""
    return sum(kilogates_by_module(config, chip).values())


def memory_area(buffers: tuple[Buffer, ...], technology: Technology) -> Band:
    """Area of all memories, mm2."""
    total = NOTHING
    for b in buffers:
        total = total + sram(-(-b.words // b.banks), b.bits, b.ports, technology).area.times(b.banks)
    return total


def area(config: Config, chip: Chip, technology: Technology) -> dict[str, Band]:
    """Area in mm2: memories, logic, die. The pad ring keeps its width in every node."""
    memories = memory_area(memory_map(config, chip), technology)
    logic = gate_area(technology) * kilogates(config, chip) * 1e3
    bands = Band(logic / 1.3, logic, logic * 1.3)
    core = memories + bands
    die = Band(*((c**0.5 + 2 * technology.pad_ring_mm) ** 2 for c in core))
    return {"memories": memories, "logic": bands, "core": core, "die": die}
