"""What an operation, a memory access, a kilobyte and a gate cost at a node and voltage, with bands and sources.

Sources: Horowitz (ISSCC 2014, 45 nm 0.9 V) and Aladdin (40 nm, 10 ns rows) for operations, CACTI 65 nm for SRAM, Stillmaker and
Baas 2017 for the way between nodes and voltages. The two operation tables differ by 3-10x; they are the ends of the band.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from hwmodel.operations import Op
from hwmodel.scaling import area_ratio, delay_ratio, energy_ratio, nodes
from hwmodel.tables import Band, around, find_toml, read_toml, rows
from vio.config import ConfigError, shown

_OP_NODE, _OP_VDD = "HP45", 0.9  # the operation tables; Aladdin's 40 nm cells are taken for 45 nm ones
_SRAM_NODE = "65"
_SRAM_ERROR = 1.4  # largest relative error of a smooth fit through the CACTI points: what an interpolation may be off


@dataclass(frozen=True)
class Technology:
    """A process at a voltage. `vdd` within [vdd_min, vdd_max], the range in which the delay and energy fits may be used."""

    name: str
    node: str  # of `scaling`
    cell: str  # CACTI cell type: itrs-hp, itrs-lstp or itrs-lop
    vdd: float  # V
    vdd_nominal: float
    vdd_min: float
    vdd_max: float
    gate_um2: float  # area of a NAND2 at 65 nm
    utilisation: float  # share of the placed area that cells fill
    two_port_area: float  # area of a two-port memory over a one-port one
    two_port_energy: float
    pad_ring_mm: float  # width of the I/O ring
    gate_leak_nW: float  # per gate at 65 nm and 1.0 V
    wire_pF_mm: float  # capacitance of a global wire
    source: str


def load_technology(name: str, vdd: float | None = None) -> Technology:
    """A technology of hwmodel/data/technologies or a user's TOML file, at `vdd` or its nominal voltage.

    Raises ConfigError for an unknown name or field, and for a voltage outside the validity of the fits.
    """
    path = find_toml("technologies", name)
    table = read_toml(path, what="the technology")
    known = set(Technology.__dataclass_fields__) - {"name", "vdd"}
    for field in sorted(set(table) ^ known, key=lambda field: (field not in table, field)):
        problem = "unknown field" if field in table else "missing field"
        raise ConfigError(f"{path}: {problem} {shown(field)}; a technology has: {', '.join(sorted(known))}")
    made = Technology(name=path.stem, vdd=table["vdd_nominal"], **_checked(table, str(path)))
    return made if vdd is None else at_voltage(made, vdd)


def _checked(table: dict[str, Any], source: str) -> dict[str, Any]:
    """The table if its types and names make sense."""
    for field, kind in Technology.__annotations__.items():
        if field in table and not isinstance(table[field], (int, float) if kind is float else str):
            raise ConfigError(f"{source}: '{field}' wants a {kind.__name__}, not {shown(table[field])}")
        if field in table and kind is float and not (math.isfinite(table[field]) and table[field] >= 0):
            raise ConfigError(f"{source}: '{field}' is {shown(table[field])}; it must be a number of 0 or more")
    if table["node"] not in nodes():
        raise ConfigError(f"{source}: unknown node {shown(table['node'])}; known: {', '.join(nodes())}")
    if table["cell"] not in cells():
        raise ConfigError(f"{source}: unknown cell type {shown(table['cell'])}; known: {', '.join(cells())}")
    return table


def at_voltage(technology: Technology, vdd: float) -> Technology:
    """The same process at another voltage. Raises ConfigError outside [vdd_min, vdd_max]."""
    if not technology.vdd_min <= vdd <= technology.vdd_max:
        raise ConfigError(f"{technology.name}: {vdd:g} V is outside the validity of its fits, {technology.vdd_min:g} to {technology.vdd_max:g} V")
    return replace(technology, vdd=vdd)


@lru_cache(maxsize=1)
def _operations() -> dict[tuple[str, str, int], float]:
    """Energy in pJ by (model, operation, bits)."""
    return {(row["model"], row["operation"], int(row["bits"])): float(row["energy_pJ"]) for row in rows("op_energy.csv")}


def _line(points: dict[int, float], bits: int) -> float:
    """Straight line through (0, 0) and the published widths, continued above the last."""
    known = [(0, 0.0), *sorted(points.items())]
    upper = next((k for k in range(1, len(known)) if bits <= known[k][0]), len(known) - 1)
    (b0, e0), (b1, e1) = known[upper - 1], known[upper]
    return e0 + (e1 - e0) * (bits - b0) / (b1 - b0)


def mantissa(bits: int) -> int:
    """Mantissa of a floating-point format, hidden bit included: IEEE's for 16, 32 and 64 bits, else an 11-bit exponent and a sign."""
    return {16: 11, 32: 24, 64: 53}.get(bits, bits - 11)


def _power(single: float, double: float, bits: int) -> float:
    """Power law of the mantissa through the values of single and double precision."""
    return single * (bits / 24) ** (math.log(double / single) / math.log(53 / 24))


def _both(low: float, high: float) -> Band:
    return around(min(low, high), max(low, high))


@lru_cache(maxsize=512)
def _table_energy(op: Op) -> Band:
    """Energy in pJ at 45 nm and 0.9 V between Horowitz and Aladdin. Shifts and comparisons stand in Aladdin alone: a factor two either way."""
    t, width = _operations(), op.bits / 32
    horowitz, aladdin = "horowitz45", "aladdin40_10ns"
    if op.kind == "add":
        return _both(_line({b: t[horowitz, "int_add", b] for b in (8, 16, 32)}, op.bits), t[aladdin, "int_add", 32] * width)
    if op.kind == "mul":  # an array of partial products
        area = op.bits * op.by / 32**2
        return _both(t[horowitz, "int_mul", 32] * area, t[aladdin, "int_mul", 32] * area)
    if op.kind in ("shift", "compare"):
        return around(t[aladdin, op.kind, 32] * width / 2, t[aladdin, op.kind, 32] * width * 2)
    if op.kind == "divide":  # digit by digit: one subtraction of the divisor's width per bit of the quotient
        return _table_energy(Op("add", op.by + 1)).times(op.bits)
    name = "fp_add" if op.kind == "fadd" else "fp_mul"
    at_64 = t[f"{horowitz}_extended", name, 64], t[aladdin, name, 64]
    ends = [_power(t[model, name, 32], wide, mantissa(op.bits)) for model, wide in zip((horowitz, aladdin), at_64)]
    # a division costs what op_energy.csv derives from a measurement on a Cortex-M4F
    return _both(*ends).times(t[f"{horowitz}_extended", "fp_div", 32] / t[horowitz, "fp_mul", 32] if op.kind == "fdiv" else 1.0)


def operator_scaling(technology: Technology) -> float:
    """Energy of an operator over that at the node and voltage of the operation tables."""
    return energy_ratio(technology.node, technology.vdd, _OP_NODE, _OP_VDD)


def op_energy(op: Op, technology: Technology) -> Band:
    """Energy of one operation, pJ."""
    return _table_energy(op).times(operator_scaling(technology))


def register_energy(technology: Technology) -> Band:
    """Energy of one bit of a register written once, pJ; Aladdin's 10 ns and 1 ns cells."""
    t = _operations()
    low, high = t["aladdin40_10ns", "register_bit", 1], t["aladdin40_1ns", "register_bit", 1]
    return around(low, high).times(operator_scaling(technology))


def speed(technology: Technology) -> float:
    """Gate speed relative to the same process at its nominal voltage."""
    return 1.0 / delay_ratio(technology.node, technology.vdd, technology.node, technology.vdd_nominal)


class SramCost(NamedTuple):
    """One memory macro: energy per access in pJ, leakage in mW, area in mm2, access time in ns."""

    read: Band
    write: Band
    leakage: Band
    area: Band
    access_ns: float


def cells() -> tuple[str, ...]:
    """Cell types of the SRAM table."""
    return tuple(dict.fromkeys(row["cell"] for row in rows("sram_cacti_65nm.csv")))


@lru_cache(maxsize=8)
def _sram_points(cell: str) -> dict[tuple[float, int], dict[str, float]]:
    """CACTI's results by (kB, bits)."""
    wanted = ("vdd_V", "read_pJ", "write_pJ", "leakage_mW", "area_mm2", "access_ns")
    return {(float(r["size_kB"]), int(r["word_bits"])): {k: float(r[k]) for k in wanted} for r in rows("sram_cacti_65nm.csv") if r["cell"] == cell}


def _around_value(values: list[float], x: float) -> tuple[float, float, float]:
    """Neighbours of x in ascending values and its logarithmic share between them; outside, the end pair extrapolates."""
    k = min(max(next((i for i, v in enumerate(values) if v >= x), len(values) - 1), 1), len(values) - 1)
    return values[k - 1], values[k], math.log(x / values[k - 1]) / math.log(values[k] / values[k - 1])


@lru_cache(maxsize=4096)
def _sram_at_65(cell: str, kilobytes: float, bits: int, field: str) -> float:
    """Log-log interpolation of one column of the table in size and width."""
    table = _sram_points(cell)
    s0, s1, share = _around_value(sorted({s for s, _ in table}), kilobytes)
    w0, w1, across = _around_value(sorted({w for _, w in table}), bits)
    logs = [math.log(table[s, w][field]) for s, w in ((s0, w0), (s1, w0), (s0, w1), (s1, w1))]
    low, high = (logs[0] + share * (logs[1] - logs[0]), logs[2] + share * (logs[3] - logs[2]))
    return math.exp(low + across * (high - low))


def sram(words: int, bits: int, ports: int, technology: Technology) -> SramCost:
    """Cost of one macro of `words` x `bits` with one or two ports. Leakage scales with the voltage; beyond 65 nm also with the area."""
    kilobytes = max(words * bits / 8192, 1e-3)
    get = {f: _sram_at_65(technology.cell, max(kilobytes, 0.25), min(max(bits, 4), 512), f) for f in ("read_pJ", "write_pJ", "leakage_mW", "area_mm2", "access_ns")}
    cell_vdd = next(iter(_sram_points(technology.cell).values()))["vdd_V"]
    energy = energy_ratio(technology.node, technology.vdd, _SRAM_NODE, cell_vdd) * (technology.two_port_energy if ports == 2 else 1.0)
    shrink = area_ratio(technology.node, _SRAM_NODE)
    small = min(kilobytes / 0.25, 1.0)  # below the smallest macro of the fit: leakage and area go with the bits
    area = get["area_mm2"] * shrink * small * (technology.two_port_area if ports == 2 else 1.0)
    leak = get["leakage_mW"] * small * technology.vdd / cell_vdd * shrink
    slower = delay_ratio(technology.node, technology.vdd, _SRAM_NODE, cell_vdd if cell_vdd <= 1.2 else 1.2)
    return SramCost(
        *(_spread(get[f] * energy, _SRAM_ERROR) for f in ("read_pJ", "write_pJ")), _spread(leak, 2.0), _spread(area, 1.2), get["access_ns"] * slower)


def _spread(value: float, factor: float) -> Band:
    return Band(value / factor, value, value * factor)


def wire_energy(bits: int, area_mm2: float, technology: Technology) -> float:
    """Energy in pJ to bring a word of random bits from the middle of a square block of that area to one of its macros.

    The mean Manhattan distance is half the side; a wire rises in one of four transfers.
    """
    return 0.25 * bits * technology.wire_pF_mm * technology.vdd**2 * 0.5 * area_mm2**0.5


def gate_area(technology: Technology) -> float:
    """Placed area of one gate (NAND2 equivalent), mm2."""
    return technology.gate_um2 * 1e-6 / technology.utilisation * area_ratio(technology.node, _SRAM_NODE)


def gate_leakage(technology: Technology) -> Band:
    """Leakage of one gate, mW."""
    return _spread(technology.gate_leak_nW * 1e-6 * technology.vdd * area_ratio(technology.node, _SRAM_NODE), 2.0)


def dram_energy(kind: str) -> float:
    """Energy per bit of an off-chip memory in pJ; kind is LPDDR4, LPDDR, DDR3, GDDR5 or HBM2."""
    return _operations()["dram", f"dram_{kind}_per_bit", 1]
