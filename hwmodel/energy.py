"""Energy per frame by module and by kind: counts x work per event x energy per operation, with the bands of the tables."""

from dataclasses import dataclass, field

from hwmodel.area import kilogates
from hwmodel.buffers.record import ALL, Buffer, Savings
from hwmodel.chip import Chip, load_chip
from hwmodel.counts import Counts, check
from hwmodel.memory import find, memory_map
from hwmodel.operations import Op, Work
from hwmodel.tables import NOTHING, Band
from hwmodel.technology import SramCost, Technology, gate_leakage, op_energy, register_energy, sram, wire_energy
from hwmodel.traffic import refined, replayed, store_read, store_written
from hwmodel.widths import index_bits
from hwmodel.work import MODULES, module_of, work_per_event
from vio.config import Config, ConfigError
from vio.events import Event

KINDS = ("arithmetic", "registers", "memory read", "memory write", "clock and control", "leakage")
_REGISTER_WORDS = 32  # a buffer of fewer words is a register file
_FRONT_END = ("pyramid", "detector", "frame store", "tracker", "stereo", "rays", "outliers")
_KEYFRAME = ("detector", "stereo", "landmark elimination", "solver", "marginalisation")


@dataclass(frozen=True)
class Report:
    """Energy of one average frame in pJ, by (module, kind); powers follow from the frame rate."""

    fps: float
    technology: Technology
    frames: int
    keyframes: int
    tracked: float  # features per frame
    pixels: float  # processed per frame, both cameras
    energy: dict[tuple[str, str], Band] = field(repr=False)
    source: str = ""

    def of(self, modules: tuple[str, ...] = (), kinds: tuple[str, ...] = ()) -> Band:
        """Sum over the given modules and kinds; all of them where none are given. pJ per frame."""
        total = NOTHING
        for (module, kind), band in self.energy.items():
            if (not modules or module in modules) and (not kinds or kind in kinds):
                total = total + band
        return total

    @property
    def per_frame_uJ(self) -> Band:
        """Energy per frame, uJ."""
        return self.of().times(1e-6)

    @property
    def power_mW(self) -> Band:
        """Average power at the frame rate, mW."""
        return self.per_frame_uJ.times(self.fps * 1e-3)

    @property
    def per_keyframe_uJ(self) -> Band:
        """Energy of the modules that work at keyframes alone, per keyframe, uJ."""
        return self.of(_KEYFRAME).times(1e-6 * self.frames / max(self.keyframes, 1))

    @property
    def per_pixel_nJ(self) -> Band:
        """Energy per processed pixel, nJ."""
        return self.of().times(1e-3 / self.pixels)

    @property
    def per_feature_nJ(self) -> Band:
        """Front-end energy per tracked feature, nJ."""
        return self.of(_FRONT_END).times(1e-3 / max(self.tracked, 1e-9))


def frame_work(config: Config, counts: Counts, chip: Chip, savings: Savings = ALL) -> dict[str, Work]:
    """Work of one average frame by module: events, and what follows from the structure of a frame."""
    out = {module: Work() for module in MODULES}
    table, share = work_per_event(config), 1.0 / counts.frames
    structural = {Event.BLOCK_ENCODED, Event.BLOCK_DECODED, Event.KEYFRAME}  # the store's traffic is derived for every picture
    for event in Event:
        if event not in structural:
            out[module_of(event)].plus(table[event], times=float(counts.total[event]) * share)
    out["frame store"].plus(store_written(config, chip, savings, counts), store_read(config, chip, savings, counts), times=share)
    out["landmark elimination"].plus(replayed(config, counts), times=share)
    out["refinement"].plus(refined(config, counts), times=share)
    return out


class Prices:
    """Energy of operations and accesses for one memory map and technology."""

    def __init__(self, buffers: tuple[Buffer, ...], technology: Technology, chip: Chip) -> None:
        """Price every buffer's bank once."""
        self._technology, self._buffers, self._scale = technology, buffers, chip.arithmetic_scale
        self._register, self._share = register_energy(technology), chip.register_share
        self._macros = {b.name: macro(b, technology) for b in buffers}

    def arithmetic(self, op: Op) -> Band:
        """pJ of one operation."""
        return op_energy(op, self._technology).times(self._scale)

    def registers(self, op: Op) -> Band:
        """pJ of the pipeline register that takes an operation's result."""
        width = {"mul": op.bits + op.by, "compare": 1}.get(op.kind, op.bits)
        return self._register.times(width * self._share)

    def access(self, name: str, what: str) -> Band:
        """pJ of one word read or written."""
        buffer = find(self._buffers, name)
        if buffer.words <= _REGISTER_WORDS:
            return self._register.times(buffer.bits)
        cost = self._macros[name]
        return cost.read if what == "read" else cost.write


def macro(buffer: Buffer, technology: Technology) -> SramCost:
    """Cost of one bank of a buffer; an access to one of several banks also pays the wires to it."""
    cost = sram(-(-buffer.words // buffer.banks), buffer.bits, buffer.ports, technology)
    if buffer.banks == 1:
        return cost
    wires = wire_energy(buffer.bits + index_bits(buffer.words), cost.area.nominal * buffer.banks, technology)
    wire = Band(wires, wires, wires)
    return cost._replace(read=cost.read + wire, write=cost.write + wire)


def module_energy(work: Work, prices: Prices, chip: Chip) -> dict[str, Band]:
    """pJ of some work, by kind, leakage left out."""
    out = {kind: NOTHING for kind in KINDS[:-1]}
    for op, n in work.ops.items():
        out["arithmetic"] = out["arithmetic"] + prices.arithmetic(op).times(n)
        out["registers"] = out["registers"] + prices.registers(op).times(n)
    for access, n in work.accesses.items():
        kind = f"memory {access.what}"
        out[kind] = out[kind] + prices.access(access.buffer, access.what).times(n)
    out["clock and control"] = (out["arithmetic"] + out["registers"]).times(chip.control_overhead)
    return out


def leakage_mW(buffers: tuple[Buffer, ...], kilogates: float, technology: Technology) -> tuple[Band, Band]:
    """(memories, logic), mW."""
    memories = NOTHING
    for b in buffers:
        memories = memories + macro(b, technology).leakage.times(b.banks)
    return memories, gate_leakage(technology).times(kilogates * 1e3)


def evaluate(config: Config, counts: Counts, technology: Technology, chip: Chip | None = None, fps: float = 20.0, savings: Savings = ALL) -> Report:
    """Energy of an average frame of a flight at a frame rate, on a technology at its voltage.

    Raises ConfigError for counts of another configuration and for a frame rate that is not positive.
    """
    chip = chip or load_chip("navion")
    if not 0 < fps < 1e6:
        raise ConfigError(f"a frame rate of {fps:g} fps makes no sense; give a positive number")
    check(counts, config, chip)
    buffers = memory_map(config, chip, savings)
    prices, energy = Prices(buffers, technology, chip), {}
    for module, work in frame_work(config, counts, chip, savings).items():
        for kind, band in module_energy(work, prices, chip).items():
            energy[module, kind] = band
    for name, power in zip(("memories", "logic"), leakage_mW(buffers, kilogates(config, chip), technology)):
        energy[name, "leakage"] = power.times(1e9 / fps)
    pixels = chip.image_width * chip.image_height * (1 + counts.keyframes / counts.frames)
    return Report(fps, technology, counts.frames, counts.keyframes, counts.per_frame(Event.FEATURE_TRACKED), pixels, energy, counts.source)
