"""One number down to its sources: a buffer's kilobytes and energy, or a module's work, energy and gates."""

from hwmodel.area import kilogates_by_module
from hwmodel.buffers.record import NONE, Buffer
from hwmodel.chip import Chip
from hwmodel.counts import Counts
from hwmodel.energy import Prices, frame_work, macro, module_energy
from hwmodel.memory import memory_map
from hwmodel.tables import Band
from hwmodel.technology import Technology, operator_scaling
from hwmodel.work import MODULES, module_of, work_per_event
from vio.config import Config, ConfigError
from vio.events import Event


def _band(band: Band, unit: str) -> str:
    return f"{band.nominal:.4g} {unit} ({band.low:.4g} to {band.high:.4g})"


def explain(name: str, config: Config, counts: Counts, technology: Technology, chip: Chip) -> list[str]:
    """Lines that derive a buffer or a module. Raises ConfigError listing the known names."""
    buffers = memory_map(config, chip)
    if name in (names := {b.name: b for b in buffers}):
        return _buffer(names[name], config, counts, technology, chip)
    if name in MODULES:
        return _module(name, config, counts, technology, chip)
    raise ConfigError(f"--explain {name}: neither a buffer ({', '.join(names)}) nor a module ({', '.join(MODULES)})")


def _buffer(buffer: Buffer, config: Config, counts: Counts, technology: Technology, chip: Chip) -> list[str]:
    cost, (tag, why) = macro(buffer, technology), chip.notes["macro_kilobytes"]
    lines = [
        f"{buffer.name}, in {buffer.module}",
        f"  depth     {buffer.words} words: {buffer.why}",
        f"  width     {buffer.bits} bits, {buffer.ports} port{'s' if buffer.ports > 1 else ''}",
        f"  size      {buffer.words} x {buffer.bits} / 8192 = {buffer.kilobytes:.2f} kB",
        f"  banks     {buffer.banks} of at most {chip.macro_kilobytes:g} kB (chip.macro_kilobytes, {tag}: {why})",
    ]
    for b in memory_map(config, chip, NONE):
        if b.name == buffer.name and b != buffer:
            lines.append(f"  before    {b.words} x {b.bits} = {b.kilobytes:.2f} kB without the savings")
    lines += [
        f"  read      {_band(cost.read, 'pJ')} a word at {technology.vdd:.2f} V: sram_cacti_65nm.csv, {technology.cell}, scaled by scaling_stillmaker_baas.csv",
        f"  write     {_band(cost.write, 'pJ')}",
        f"  leakage   {_band(cost.leakage.times(buffer.banks), 'mW')}",
        f"  area      {_band(cost.area.times(buffer.banks), 'mm2')}",
    ]
    for module, work in frame_work(config, counts, chip).items():
        for access, n in work.accesses.items():
            if access.buffer == buffer.name:
                lines.append(f"  {module}: {n:.4g} {access.what}s a frame")
    return [*lines, f"  counts    {counts.source}"]


def _module(name: str, config: Config, counts: Counts, technology: Technology, chip: Chip) -> list[str]:
    work, prices = frame_work(config, counts, chip)[name], Prices(memory_map(config, chip), technology, chip)
    lines = [f"{name}, one average frame at {technology.vdd:.2f} V"]
    for event, unit in work_per_event(config).items():
        if module_of(event) == name and event is not Event.KEYFRAME:
            ops = ", ".join(f"{n:g} {op.kind}{op.bits}{f'x{op.by}' if op.by else ''}" for op, n in sorted(unit.ops.items()))
            lines.append(f"  {event.name}: {counts.per_frame(event):.4g} a frame, each {ops or 'no operations'}")
    if name == "frame store":
        lines.append("  the store's blocks are derived from the pictures written and the patches read, not from the two events above")
    tag, why = chip.notes["arithmetic_scale"]
    lines.append(f"  an operator costs {chip.arithmetic_scale:g} ({tag}: {why}) of the geometric mean of Horowitz and Aladdin at 45 nm and 0.9 V, "
                 f"x {operator_scaling(technology):.4g} to {technology.name} at {technology.vdd:.2f} V: scaling_stillmaker_baas.csv")
    priced = sorted(((prices.arithmetic(op).times(n), op, n) for op, n in work.ops.items()), key=lambda row: -row[0].nominal)
    for band, op, n in priced[:6]:
        label = f"{op.kind}{op.bits}" + (f"x{op.by}" if op.by else "")
        lines.append(f"  {label}: {n:.4g} x {prices.arithmetic(op).nominal:.4g} pJ = {_band(band.times(1e-6), 'uJ')}: op_energy.csv")
    for access, n in sorted(work.accesses.items(), key=lambda row: -row[1])[:6]:
        price = prices.access(*access)
        lines.append(f"  {access.what} {access.buffer}: {n:.4g} x {price.nominal:.4g} pJ = {_band(price.times(n * 1e-6), 'uJ')}: sram_cacti_65nm.csv")
    for kind, band in module_energy(work, prices, chip).items():
        lines.append(f"  {kind:16s} {_band(band.times(1e-6), 'uJ')}")
    lines.append(f"  control is {chip.control_overhead:g} x arithmetic and registers ({chip.notes['control_overhead'][0]}: {chip.notes['control_overhead'][1]})")
    gates = kilogates_by_module(config, chip).get(name)
    if gates:
        lines.append(f"  logic     {gates:.0f} kgate, {chip.gate_overhead:g} x the operators (gate_overhead, {chip.notes['gate_overhead'][0]})")
    return [*lines, f"  counts    {counts.source}"]
