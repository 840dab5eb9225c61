"""Specifications of rendered sequences from TOML: files of many, a file of one, single assignments."""

import dataclasses
from pathlib import Path
from typing import Any

from vio.config import assigned
from vio.errors import ConfigError, DataError
from vio.files import read_toml, shown
from vio.io.render_spec import RenderSpec, checked


def load_specs(path: Path) -> dict[str, RenderSpec]:
    """Read a TOML file of sequences, one table each; `like = "name"` starts from an earlier table instead of the defaults.

    Raises DataError or ConfigError naming file and field.
    """
    tables = _tables(path)
    specs: dict[str, RenderSpec] = {}
    for name, table in tables.items():
        base = RenderSpec()
        if isinstance(table, dict) and "like" in table:
            like = table.pop("like")
            if not isinstance(like, str) or like not in specs:
                raise ConfigError(f"{path}: '{name}.like' is {shown(like)}, which is no table above it")
            base = specs[like]
        specs[name] = checked(_filled(base, table, name, path), f"{path}: {name}")
    return specs


def load_spec(path: Path, known: dict[str, RenderSpec]) -> RenderSpec:
    """Read a TOML file that is one sequence; `like = "name"` starts from one of `known` instead of the defaults."""
    table = _tables(path)
    like = table.pop("like", None)
    if like is not None and (not isinstance(like, str) or like not in known):
        raise ConfigError(f"{path}: 'like' is {shown(like)}; known: {', '.join(known)}")
    return checked(_filled(known[like] if like else RenderSpec(), table, "", path), str(path))


def overlaid(spec: RenderSpec, path: Path, name: str) -> RenderSpec:
    """`spec` with the fields that table `name` of a TOML file names. Raises ConfigError if there is no such table."""
    tables = _tables(path)
    if name not in tables:
        raise ConfigError(f"no room of kind '{name}'; known: {', '.join(tables)}")
    return _filled(spec, tables[name], "", path)


def overridden(spec: RenderSpec, assignments: list[str]) -> RenderSpec:
    """Apply `field=value` texts such as `camera.shutter=0.01`; values are TOML, bare words are strings. Raises ConfigError."""
    for table, source in assigned(assignments, "field=value", "camera.shutter=0.01"):
        spec = _filled(spec, table, "", source)
    return spec


def _tables(path: Path) -> dict[str, Any]:
    """Content of a TOML file."""
    return read_toml(path, DataError, "the sequences")


def _filled(base: Any, table: Any, where: str, path: Path | str) -> Any:
    """`base` with the fields of a TOML table put in; unknown names and wrong types are refused."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: '{where}' is a table, not {shown(table)}")
    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
    values = {}
    for name, value in table.items():
        full = f"{where}.{name}" if where else name
        if name not in fields:
            raise ConfigError(f"{path}: unknown field {shown(full)}; known here: {', '.join(fields)}")
        values[name] = _converted(fields[name], value, full, path)
    return dataclasses.replace(base, **values)


def _converted(old: Any, value: Any, where: str, path: Path | str) -> Any:
    """One TOML value in the type of the field it replaces."""
    if dataclasses.is_dataclass(old):
        return _filled(old, value, where, path)
    try:
        if isinstance(old, tuple):
            if where.endswith("waves"):  # the only tuple of any length: rows of three numbers
                return tuple(_numbers(row, 3) for row in value)
            return _numbers(value, len(old))
        return float(value) if isinstance(old, float) else _same_type(old, value)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        raise ConfigError(f"{path}: '{where}' is {shown(value)}, which does not fit") from None


def _numbers(row: list, count: int) -> tuple[float, ...]:
    if len(row) != count:
        raise ValueError
    return tuple(float(v) for v in row)


def _same_type(old: Any, value: Any) -> Any:
    if type(value) is not type(old):
        raise TypeError
    return value
