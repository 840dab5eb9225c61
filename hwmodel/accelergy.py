"""The architecture, action counts and energy reference table as Accelergy 0.4 reads them (version keys, subtree and local nodes).

Accelergy's arithmetic of (counts x energy) then gives the nominal energy of this model; energies are in pJ.
"""

from typing import Any

from hwmodel.area import kilogates
from hwmodel.chip import Chip
from hwmodel.counts import Counts
from hwmodel.energy import Prices, frame_work, leakage_mW, module_energy
from hwmodel.memory import memory_map
from hwmodel.operations import Op
from hwmodel.technology import Technology
from vio.config import Config

VERSION = 0.4
_CLASSES = {"add": "intadder", "mul": "intmultiplier", "shift": "intshifter", "compare": "comparator", "divide": "intdivider",
            "fadd": "fpadder", "fmul": "fpmultiplier", "fdiv": "fpdivider"}


def _op_name(op: Op) -> str:
    return f"{op.kind}{op.bits}" + (f"x{op.by}" if op.by else "")


def _module_name(module: str) -> str:
    return module.replace(" ", "_")


def _node(name: str, kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "class": kind, "attributes": attributes}


def documents(config: Config, counts: Counts, technology: Technology, chip: Chip, fps: float) -> dict[str, dict[str, Any]]:
    """File name -> document, for all frames of the flight: architecture.yaml, action_counts.yaml, ERT.yaml."""
    buffers, work = memory_map(config, chip), frame_work(config, counts, chip)
    prices, frames = Prices(buffers, technology, chip), counts.frames
    memories = [_node(b.name, "SRAM" if b.words > 32 else "regfile", {"width": b.bits, "depth": b.words, "n_banks": b.banks, "n_ports": b.ports}) for b in buffers]
    architecture: list[dict[str, Any]] = [{"name": "memories", "local": memories}]
    actions: list[dict[str, Any]] = [{"name": "memories", "local": _access_counts(work, frames)}]
    tables = [
        {"name": f"chip.memories.{b.name}", "actions": [_action(what, prices.access(b.name, what).nominal) for what in ("read", "write")]} for b in buffers]
    leak = sum((band.nominal for band in leakage_mW(buffers, kilogates(config, chip), technology)), 0.0) * 1e9 / fps
    for module, done in work.items():
        name, ops = _module_name(module), sorted(done.ops)
        local = [_node(_op_name(op), _CLASSES[op.kind], {"datawidth": op.bits}) for op in ops] + [_node("control", "control", {})]
        architecture.append({"name": name, "local": local})
        counted = [{"name": _op_name(op), "action_counts": [{"name": "compute", "counts": float(done.ops[op] * frames)}]} for op in ops]
        actions.append({"name": name, "local": [*counted, {"name": "control", "action_counts": [{"name": "frame", "counts": frames}]}]})
        tables += [{"name": f"chip.{name}.{_op_name(op)}", "actions": [_action("compute", prices.arithmetic(op).nominal + prices.registers(op).nominal)]} for op in ops]
        tables.append({"name": f"chip.{name}.control", "actions": [_action("frame", module_energy(done, prices, chip)["clock and control"].nominal)]})
    architecture.append({"name": "leakage", "local": [_node("all", "leakage", {"fps": fps})]})
    actions.append({"name": "leakage", "local": [{"name": "all", "action_counts": [{"name": "frame", "counts": frames}]}]})
    tables.append({"name": "chip.leakage.all", "actions": [_action("frame", leak)]})
    attributes = {"technology": technology.name, "voltage": technology.vdd}
    return {
        "architecture.yaml": {"architecture": {"version": VERSION, "subtree": [{"name": "chip", "attributes": attributes, "subtree": architecture}]}},
        "action_counts.yaml": {"action_counts": {"version": VERSION, "subtree": [{"name": "chip", "subtree": actions}]}},
        "ERT.yaml": {"ERT": {"version": VERSION, "tables": tables}},
    }


def _action(name: str, energy: float) -> dict[str, Any]:
    return {"name": name, "arguments": {}, "energy": float(energy)}


def _access_counts(work: dict[str, Any], frames: int) -> list[dict[str, Any]]:
    """Action counts of every buffer, all modules together."""
    sums: dict[str, dict[str, float]] = {}
    for done in work.values():
        for access, n in done.accesses.items():
            of_buffer = sums.setdefault(access.buffer, {})
            of_buffer[access.what] = of_buffer.get(access.what, 0.0) + float(n) * frames
    return [{"name": name, "action_counts": [{"name": what, "counts": n} for what, n in by.items()]} for name, by in sums.items()]
