"""The memory map: every on-chip buffer of a configuration, before and after the savings, and overflows against a run."""

import math
from dataclasses import replace

from hwmodel.buffers.estimator import graph_buffers, inertial_buffers, solver_buffers
from hwmodel.buffers.features import feature_buffers
from hwmodel.buffers.pictures import frame_store, line_buffers
from hwmodel.buffers.record import ALL, NONE, Buffer, Savings
from hwmodel.chip import Chip, load_chip
from vio.config import Config, ConfigError

_AREAS = (frame_store, line_buffers, feature_buffers, inertial_buffers, graph_buffers, solver_buffers)


def memory_map(config: Config, chip: Chip | None = None, savings: Savings = ALL) -> tuple[Buffer, ...]:
    """Every on-chip buffer, split into banks of at most the chip's macro size. `chip` defaults to the Navion reconstruction."""
    chip = chip or load_chip("navion")
    buffers = [buffer for area in _AREAS for buffer in area(config, chip, savings)]
    return tuple(replace(b, banks=max(1, math.ceil(b.kilobytes / chip.macro_kilobytes))) for b in buffers)


def total_kilobytes(buffers: tuple[Buffer, ...]) -> float:
    """Size of a memory map."""
    return sum(b.kilobytes for b in buffers)


def by_module(buffers: tuple[Buffer, ...]) -> dict[str, float]:
    """Kilobytes by module, in the order of the map."""
    out: dict[str, float] = {}
    for b in buffers:
        out[b.module] = out.get(b.module, 0.0) + b.kilobytes
    return out


def savings_table(config: Config, chip: Chip) -> list[tuple[str, float, float]]:
    """(module, kB without any saving, kB with all), and the sum under 'all'."""
    before, after = (memory_map(config, chip, s) for s in (NONE, ALL))
    left, right = by_module(before), by_module(after)
    names = list(dict.fromkeys([*left, *right]))
    rows = [(name, left.get(name, 0.0), right.get(name, 0.0)) for name in names]
    return [*rows, ("all", total_kilobytes(before), total_kilobytes(after))]


def find(buffers: tuple[Buffer, ...], name: str) -> Buffer:
    """The buffer of that name."""
    return next(b for b in buffers if b.name == name)


def check_depths(buffers: tuple[Buffer, ...], high_water: dict[str, int]) -> None:
    """Compare a run's high-water marks, by buffer name in words, with the declared depths. Raises ConfigError naming the buffer."""
    for name, used in high_water.items():
        buffer = find(buffers, name)
        if used > buffer.words:
            raise ConfigError(f"buffer '{name}' overflows: the run needs {used} words and it has {buffer.words} ({buffer.why})")


def used_kilobytes(buffers: tuple[Buffer, ...], high_water: dict[str, int]) -> float:
    """Size of the map if every buffer with a high-water mark were only as deep as that."""
    return sum(min(b.words, high_water.get(b.name, b.words)) * b.bits / 8192 for b in buffers)
