"""The design choices of a chip that the engine's configuration does not know: picture size, lanes, clock, macros.

Each value of a chip's TOML carries a tag: published, derived, chosen or calibrated, and why.
"""

from dataclasses import dataclass, fields
from typing import Any

from hwmodel.tables import find_toml, read_toml
from vio.config import ConfigError, shown

TAGS = ("published", "derived", "chosen", "calibrated")


@dataclass(frozen=True)
class Chip:
    """Plain values; `notes` maps each field to (tag, why)."""

    name: str
    image_width: int  # px
    image_height: int  # px
    imu_fifo: int  # samples
    macro_kilobytes: float  # largest memory macro; a larger buffer is split into banks
    frame_word_bits: int  # word of a frame store that is not coded
    clock_MHz: float  # fastest clock, at the technology's nominal voltage
    pixels_per_cycle: float  # of the streaming part: pyramid, detector, frame coder
    tracker_cycles_per_row: int  # one row of a patch
    tracker_solve_cycles: int  # from the last row of an iteration to the next position
    stereo_cycles_per_row: int  # one row of a window
    stereo_candidate_cycles: int  # projection of a candidate; overlaps with the window of the one before
    scalar_cycles: int  # one ray, test or other small item of the front end
    multipliers: int  # floating-point multiply-add lanes of the back end
    imu_multipliers: int  # those of the inertial front end
    dividers: int  # floating-point dividers of the back end; the inertial front end has one of its own
    divider_cycles: int  # one floating-point division or root
    lane_utilisation: float  # share of the cycles in which a lane has work
    parallel: bool  # the tracker follows one frame while the next streams in; back end and refinement always have lanes of their own
    arithmetic_scale: float  # energy of our operators over the middle between the operation tables
    register_share: float  # of the operations whose result is kept in a register; the others feed the next one in the same cycle
    control_overhead: float  # energy of clock tree and control over that of arithmetic and registers
    gate_overhead: float  # gates over those of the counted operators
    notes: dict[str, tuple[str, str]]


def load_chip(name: str) -> Chip:
    """A chip of hwmodel/data/chips or a user's TOML file: every field a table {value, tag, why}. Raises ConfigError."""
    path = find_toml("chips", name)
    table = read_toml(path, what="the chip")
    wanted = {f.name: f.type for f in fields(Chip) if f.name not in ("name", "notes")}
    for field in sorted(set(table) ^ set(wanted), key=lambda field: (field not in table, field)):
        problem = "unknown field" if field in table else "missing field"
        raise ConfigError(f"{path}: {problem} {shown(field)}; a chip has: {', '.join(sorted(wanted))}")
    values = {field: _value(str(path), field, table[field], wanted[field]) for field in wanted}
    return Chip(name=path.stem, notes={field: (table[field]["tag"], table[field]["why"]) for field in wanted}, **values)


def _value(source: str, field: str, entry: Any, kind: Any) -> Any:
    """One tagged value, checked."""
    if not isinstance(entry, dict) or set(entry) != {"value", "tag", "why"}:
        raise ConfigError(f"{source}: '{field}' wants {{ value, tag, why }}, not {shown(entry)}")
    if entry["tag"] not in TAGS:
        raise ConfigError(f"{source}: '{field}' is tagged {shown(entry['tag'])}; allowed: {', '.join(TAGS)}")
    value = entry["value"]
    if kind is bool and isinstance(value, bool):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else int):
        raise ConfigError(f"{source}: '{field}' wants a {kind.__name__}, not {shown(value)}")
    if not 0 < value < 1e9:
        raise ConfigError(f"{source}: '{field}' is {shown(value)}; it must be positive")
    return kind(value)
