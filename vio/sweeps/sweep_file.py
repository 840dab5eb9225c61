"""The sweep file: which configurations, on which sequences, with which seeds. Everything in it is checked before the first run."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vio.config import Config
from vio.errors import ConfigError
from vio.files import read_toml, shown
from vio.sweeps.fields import changed, flattened, signals, with_widths

MOST = 100_000  # variants; more is a slip of the pen
_KNOWN = "profile, sequences, optional, seeds, seed_shift, start, max_frames, mono, set, grid, list, word_length, one_at_a_time, notes"


@dataclass(frozen=True)
class Variant:
    """One configuration of a sweep. `signal` and `bits` say which word length was changed, and to what; "" and None if none was."""

    config: Config
    signal: str = ""
    bits: int | None = None


@dataclass(frozen=True)
class Search:
    """Table `one_at_a_time`: the profile to start from, the signals to narrow, and the relative loss of accuracy that is allowed."""

    profile: str = "wide"
    signals: tuple[str, ...] = ()
    max_loss: float = 0.05


@dataclass(frozen=True)
class SweepFile:
    """A checked sweep file. `fields` are the dotted names that the variants differ in.

    seeds: of a built-in sequence its rendering seed; a recording begins seed times `seed_shift` s later. Empty: as it is.
    optional: sequences that are left out, with a row that says so, where they are not on this disk. notes: lines printed below the table.
    """

    source: str
    sequences: tuple[str, ...]
    optional: tuple[str, ...]
    seeds: tuple[int, ...]
    seed_shift: float
    start: float
    max_frames: int | None
    mono: bool
    assignments: dict[str, Any]
    fields: tuple[str, ...]
    variants: tuple[Variant, ...]
    search: Search
    notes: tuple[str, ...] = ()


def load(path: Path, profile: Callable[[str], Config]) -> SweepFile:
    """Read and check a sweep file; `profile(name)` gives the base configuration. Raises ConfigError naming file and field."""
    reader = _Reader(str(path), read_toml(path, what="the sweep file"))
    sequences, optional = reader.texts("sequences"), reader.texts("optional")
    if not sequences + optional:
        raise ConfigError(f"{path}: 'sequences' is empty: name at least one, for example sequences = [\"room\"]")
    assignments = flattened(reader.table("set"))
    base = changed(profile(reader.value("profile", "default")), assignments, f"{path}: set")
    fields, variants = _variants(reader, base)
    loaded = SweepFile(
        str(path), sequences, optional, reader.seeds(), reader.number("seed_shift", 0.5, 0.0, 3600.0), reader.number("start", 0.0, 0.0, 1e6),
        reader.count("max_frames"), reader.value("mono", False), assignments, fields, variants, reader.search(), reader.texts("notes"),
    )  # fmt: skip
    reader.finish()
    return loaded


class _Reader:
    """Takes values out of a TOML table with checks; what is left at the end is unknown."""

    def __init__(self, source: str, table: dict[str, Any]) -> None:
        self.source, self._left = source, dict(table)

    def value(self, name: str, default: Any) -> Any:
        """A value of the type of its default."""
        value = self._left.pop(name, default)
        if type(value) is not type(default):
            raise ConfigError(f"{self.source}: '{name}' wants a value of type {type(default).__name__}, not {shown(value)}")
        return value

    def table(self, name: str) -> dict[str, Any]:
        """A table; one that is there must not be empty."""
        is_there = name in self._left
        table = self.value(name, {})
        if is_there and not table:
            raise ConfigError(f"{self.source}: '{name}' is empty: nothing would be run; name a field, or leave it out")
        return table

    def tables(self, name: str) -> list[dict[str, Any]]:
        """An array of tables."""
        is_there = name in self._left
        rows = self.value(name, [])
        if is_there and (not rows or not all(isinstance(row, dict) and row for row in rows)):
            raise ConfigError(f"{self.source}: '{name}' is an array of tables with a field each: [[{name}]]")
        return rows

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number within a range."""
        value = self._left.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ConfigError(f"{self.source}: '{name}' is {shown(value)}; allowed: {low:g} to {high:g}")
        return float(value)

    def count(self, name: str) -> int | None:
        """A positive integer or nothing."""
        value = self._left.pop(name, None)
        if value is not None and (type(value) is not int or value < 1):
            raise ConfigError(f"{self.source}: '{name}' is {shown(value)}; allowed: whole numbers from 1")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        rows = self.value(name, [])
        if not all(isinstance(row, str) and row for row in rows):
            raise ConfigError(f"{self.source}: '{name}' is a list of texts, not {shown(rows)}")
        return tuple(rows)

    def seeds(self) -> tuple[int, ...]:
        """The seeds: whole numbers from 0."""
        is_there = "seeds" in self._left
        rows = self.value("seeds", [])
        if (is_there and not rows) or not all(type(row) is int and 0 <= row < 2**31 for row in rows):
            raise ConfigError(f"{self.source}: 'seeds' is a list of whole numbers from 0, not {shown(rows)}")
        return tuple(dict.fromkeys(rows))

    def search(self) -> Search:
        """The table `one_at_a_time`."""
        inner = _Reader(f"{self.source}: one_at_a_time", self.table("one_at_a_time"))
        chosen = inner.texts("signals") or signals()
        for name in chosen:
            if name not in signals():
                raise ConfigError(f"{inner.source}: no signal '{name}'; known: {', '.join(signals())}")
        found = Search(inner.value("profile", "wide"), chosen, inner.number("max_loss", 0.05, 0.0, 100.0))
        inner.finish("profile, signals, max_loss")
        return found

    def finish(self, known: str = _KNOWN) -> None:
        """Refuse what nobody asked for."""
        if self._left:
            raise ConfigError(f"{self.source}: unknown field {shown(next(iter(self._left)))}; known here: {known}")


def _variants(reader: _Reader, base: Config) -> tuple[tuple[str, ...], tuple[Variant, ...]]:
    """Swept fields, and every combination of the axes in `grid`, the rows of `list` and the widths in `word_length`."""
    grid, rows = _axes(reader, "grid"), [flattened(row) for row in reader.tables("list")]
    widths = _axes(reader, "word_length")
    for name, values in grid.items():
        for value in values:  # each by itself, so that the message names it
            changed(base, {name: value}, f"{reader.source}: grid")
    size = max(len(rows), 1) * max(sum(map(len, widths.values())), 1)
    for values in grid.values():
        size *= len(values)
    if size > MOST:
        raise ConfigError(f"{reader.source}: {size} variants; allowed: up to {MOST}")
    configs = [
        changed(base, dict(zip(grid, cell)) | row, f"{reader.source}: {'list' if row else 'grid'}")
        for row in rows or [{}] for cell in itertools.product(*grid.values())
    ]  # fmt: skip
    fields = tuple(dict.fromkeys([*grid, *(name for row in rows for name in row)]))
    return fields, tuple(variant for config in configs for variant in _narrowed(config, widths, reader.source))


def _axes(reader: _Reader, name: str) -> dict[str, list[Any]]:
    """A table of lists, none of them empty."""
    axes = flattened(reader.table(name))
    for field, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{reader.source}: '{name}.{field}' is {shown(values)}: it wants a list of values with at least one")
    return axes


def _narrowed(config: Config, widths: dict[str, list[Any]], source: str) -> list[Variant]:
    """One variant for each width of each signal, the others as they are; `config` alone without any."""
    if not widths:
        return [Variant(config)]
    for signal, row in widths.items():
        if not all(type(bits) is int for bits in row):
            raise ConfigError(f"{source}: 'word_length.{signal}' is a list of whole numbers of bits, not {shown(row)}")
    where = f"{source}: word_length"
    return [Variant(with_widths(config, {signal: bits}, where), signal, bits) for signal, row in widths.items() for bits in row]
