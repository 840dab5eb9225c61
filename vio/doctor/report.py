"""The verdicts as a table for people and as JSON for programs."""

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vio.doctor.verdict import Level, Verdict

_WIDE = 160  # columns in a file or a pipe
_STYLE = {Level.OK: "green", Level.WARNING: "yellow", Level.FAULT: "bold red", Level.UNKNOWN: "dim"}


def print_table(name: str, verdicts: list[Verdict], verbose: bool) -> None:
    """Print one line per item, its limit where there is one, and a remedy under what is not well; without `verbose` good items are only counted."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for v in verdicts:
        if verbose or v.level is not Level.OK:
            table.add_row(Text(v.level.value, _STYLE[v.level]), v.item, Text(_figure(v)))
    console.print(table)
    console.print(Text(f"{name}: {counted(verdicts)}"), soft_wrap=True)


def _figure(v: Verdict) -> str:
    """What was found, the limit, and what to do about it."""
    text = v.figure + (f" (limit: {v.limit})" if v.limit else "")
    return text + (f"\n-> {v.remedy}" if v.remedy and v.level in (Level.WARNING, Level.FAULT) else "")


def counted(verdicts: list[Verdict]) -> str:
    """How many verdicts there are of each level."""
    number = {level: sum(v.level is level for v in verdicts) for level in Level}
    faults, warnings = (f"{number[level]} {level.value}{'' if number[level] == 1 else 's'}" for level in (Level.FAULT, Level.WARNING))
    return f"{faults}, {warnings}, {number[Level.OK]} ok, {number[Level.UNKNOWN]} not measurable"


def as_json(name: str, verdicts: list[Verdict], level: Level) -> str:
    """The report as a JSON text: sequence, worst level, items."""
    items = [{"item": v.item, "level": v.level.value, "figure": v.figure, "value": v.value, "unit": v.unit, "limit": v.limit, "remedy": v.remedy} for v in verdicts]
    return json.dumps({"sequence": name, "level": level.value, "items": items}, indent=2, allow_nan=False)
