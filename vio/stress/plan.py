"""The stress file: flights, faults with their severities, and what is allowed to come of each. Checked whole before the first run."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vio.errors import ConfigError
from vio.files import read_toml, shown
from vio.io.faults.registry import parse

_LONGEST_TEXT = 200  # characters of a fault
_INDEXED = ("ate_free", "ate_blind", "ate_m", "recover_s")


@dataclass(frozen=True)
class Limits:
    """What an outcome may be, in words of `vio.stress.judge.Outcome`; a number, or in the file one for each severity.

    ATE at most ate_free x that without the fault + ate_blind x the way flown while lost + ate_m. recover_s after the fault's end the
    state must be good or degraded. seen: states or reasons of which one must be reported seen_s after the fault's begin.
    """

    ate_free: float = 2.0
    ate_blind: float = 0.01
    ate_m: float = 0.0
    recover_s: float = 1.0
    seen: tuple[str, ...] = ()
    seen_s: float = 0.3


@dataclass(frozen=True)
class Flight:
    """A sequence, and the second at which its faults begin."""

    name: str
    at: float


@dataclass(frozen=True)
class Case:
    """One run: a fault (its name in the file, "" for none) of a severity on a flight; `texts` as `tinyvio corrupt` takes them.

    begin, end: s after the first frame; `end` may be infinite. start: s of the flight that are left out. mono: the left camera alone.
    """

    fault: str
    severity: str
    flight: Flight
    texts: tuple[str, ...]
    begin: float
    end: float
    start: float
    limits: Limits
    mono: bool = False


@dataclass(frozen=True)
class Plan:
    """A checked stress file: cases flight by flight, the one without a fault first; `seconds` of each flight are flown."""

    source: str
    seconds: float
    cases: tuple[Case, ...]


def load(path: Path, quick: bool = False, flights: tuple[Flight, ...] = (), only: tuple[str, ...] = ()) -> Plan:
    """Read a stress file. quick: one severity, the middle one, on the file's `quick` flight. flights: instead of the file's own.

    only: names of faults, empty for all. Raises ConfigError naming file, fault and field.
    """
    table, source = read_toml(path, what="the stress file"), str(path)
    _known(table, {"seconds", "quick", "flights", "fault"}, source)
    faults = table.get("fault", [])
    _must(isinstance(faults, list) and bool(faults) and all(isinstance(row, dict) for row in faults), source, "has no [[fault]]")
    chosen = flights or _flights(table, quick, source)
    names = [str(row.get("name")) for row in faults]
    unknown = [name for name in only if name not in names]
    _must(not unknown, source, f"has no fault {shown(', '.join(unknown))}; known: {', '.join(map(shown, names))}")
    cases = [
        case
        for flight in chosen
        for case in (Case("", "", flight, (), flight.at, flight.at, 0.0, Limits(recover_s=0.0)), *_cases(faults, flight, quick, only, source))
    ]
    return Plan(source, _number(table, "seconds", 20.0, source), tuple(cases))


def _flights(table: dict[str, Any], quick: bool, source: str) -> tuple[Flight, ...]:
    """The file's own flights, or the one of a quick run."""
    rows = table.get("flights", {})
    _must(isinstance(rows, dict) and bool(rows), source, "has no [flights]")
    flights = tuple(Flight(name, _number(rows, name, 0.0, source)) for name in rows)
    if not quick:
        return flights
    found = tuple(flight for flight in flights if flight.name == table.get("quick"))
    _must(bool(found), source, f"'quick' is {shown(table.get('quick'))}; it must be one of the flights: {shown(', '.join(rows))}")
    return found


def _cases(faults: list[dict[str, Any]], flight: Flight, quick: bool, only: tuple[str, ...], source: str) -> list[Case]:
    cases = []
    for row in faults:
        name = row.get("name")
        _must(isinstance(name, str) and bool(name), source, "a [[fault]] has no 'name'")
        if not only or name in only:
            values = row.get("values")
            _must(isinstance(values, list) and bool(values), f"{source}: fault {shown(name)}", "'values' must be a list of severities")
            for k in (len(values) // 2,) if quick else range(len(values)):
                cases.append(_case(row, k, flight, f"{source}: fault {shown(name)}"))
    return cases


def _case(row: dict[str, Any], k: int, flight: Flight, source: str) -> Case:
    """Severity k of a fault: its value put into the texts in place of {v}, the flight's second in place of {at}."""
    _known(row, {"name", "faults", "values", "lasts", "from_start", "start", "mono", "seen", "seen_s", *_INDEXED}, source)
    values, texts = row["values"], row.get("faults", [])
    _must(isinstance(texts, list) and all(isinstance(text, str) for text in texts), source, "'faults' must be a list of texts")
    texts = tuple(text.replace("{v}", f"{values[k]}").replace("{at}", f"{flight.at:g}") for text in texts)
    _must(all(len(text) <= _LONGEST_TEXT and text.isprintable() for text in texts), source, f"a text of 'faults' is one line of at most {_LONGEST_TEXT} characters")
    try:
        for text in texts:
            parse(text)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    begin = 0.0 if row.get("from_start", False) else flight.at
    lasts = values[k] if row.get("lasts") == "{v}" else row.get("lasts", math.inf)
    _must(_is_number(lasts), source, "'lasts' must be seconds, or \"{v}\"")
    start = values[k] if row.get("start") == "{v}" else row.get("start", 0.0)
    _must(_is_number(start), source, "'start' must be seconds, or \"{v}\"")
    return Case(str(row["name"]), f"{values[k]}", flight, texts, begin, begin + lasts, float(start), _limits(row, k, source), bool(row.get("mono", False)))


def _limits(row: dict[str, Any], k: int, source: str) -> Limits:
    """The line's own limits over the defaults."""
    changes: dict[str, Any] = {}
    for name in (*_INDEXED, "seen_s"):
        if name in row:
            value, n = row[name], len(row["values"])
            value = value[k] if isinstance(value, list) and len(value) == n else value
            _must(_is_number(value), source, f"'{name}' must be a number, or {n} of them")
            changes[name] = float(value)
    if "seen" in row:
        _must(isinstance(row["seen"], list) and all(isinstance(word, str) for word in row["seen"]), source, "'seen' must be a list of words")
        changes["seen"] = tuple(row["seen"])
    return dataclasses.replace(Limits(), **changes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _number(table: dict[str, Any], name: str, default: float, source: str) -> float:
    value = table.get(name, default)
    _must(_is_number(value) and math.isfinite(value), source, f"{shown(name)} is {shown(value)}; a number of seconds is wanted")
    return float(value)


def _known(table: dict[str, Any], names: set[str], source: str) -> None:
    unknown = sorted(set(table) - names)
    _must(not unknown, source, f"unknown field {shown(', '.join(unknown))}; known: {', '.join(sorted(names))}")


def _must(holds: bool, source: str, what: str) -> None:
    if not holds:
        raise ConfigError(f"{source}: {what}" if not what.startswith("has") else f"{source} {what}")
