"""The long flight of `tinyvio stress --long`: memory, time per frame and consistency, minute by minute."""

import csv
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vio.commands.common import INTERRUPTED, interruptible, say

if TYPE_CHECKING:
    from vio.config import Config
    from vio.stress.long_flight import Minute

_WORSE = 4  # exit code
_MOST_MB, _MOST_TIME = 1.05, 1.5  # growth of memory and of the time per frame over the second tenth of the flight
_ROWS = 12  # of the table on the terminal


def fly(config: "Config", minutes: float, out: Path, quiet: bool) -> None:
    """Fly, write OUT/long.csv as it goes, and print the curve. Exits with 4 when memory or time per frame grow, with 130 after Ctrl-C."""
    from vio.console import Progress
    from vio.stress.long_flight import Minute
    from vio.stress.long_flight import fly as flight

    out.mkdir(parents=True, exist_ok=True)
    path, rows = out / "long.csv", []
    with interruptible() as stop, Progress(quiet) as progress, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in dataclasses.fields(Minute)])
        told = progress.work("minutes flown", "minutes/s")
        for row in flight(config, minutes):
            rows.append(row)
            writer.writerow(dataclasses.astuple(row))
            file.flush()
            told(len(rows), max(round(minutes), len(rows)))
            if stop():
                break
    if not quiet:
        _tell(rows)
    say(f"{rows[-1].minute:.1f} minutes, {sum(row.frames for row in rows)} frames; {path}")
    if rows[-1].minute < minutes:
        raise typer.Exit(INTERRUPTED)
    if complaint := growth(rows):
        say(complaint)
        raise typer.Exit(_WORSE)


def growth(rows: "list[Minute]") -> str:
    """What grows from the second tenth of the flight to its last row, in words; empty if nothing does, or in less than five rows."""
    if len(rows) < 5:
        return ""
    early, late = rows[max(len(rows) // 10, 1)], rows[-1]
    found = []
    if early.rss_mb is not None and late.rss_mb > _MOST_MB * early.rss_mb:
        found.append(f"memory grew from {early.rss_mb:.0f} to {late.rss_mb:.0f} MB")
    if late.ms_p50 > _MOST_TIME * early.ms_p50:
        found.append(f"the time per frame grew from {early.ms_p50:.2f} to {late.ms_p50:.2f} ms")
    return ", ".join(found)


def _tell(rows: "list[Minute]") -> None:
    """The curve, at most so many rows of it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("minute", "ms median", "ms 99 %", "memory MB", "velocity m/s", "tilt deg", "NEES of 3", "good", "newest id"):
        table.add_column(name, justify="right")
    every = max(len(rows) // _ROWS, 1)
    for k, row in enumerate(rows):
        if k % every == 0 or k + 1 == len(rows):
            memory = "-" if row.rss_mb is None else f"{row.rss_mb:.1f}"
            figures = (f"{row.velocity_m_s:.4f}", f"{row.tilt_deg:.3f}", f"{row.nees:.2f}", f"{100 * row.good:.1f} %", str(row.last_id))
            table.add_row(f"{row.minute:.1f}", f"{row.ms_p50:.2f}", f"{row.ms_p99:.2f}", memory, *figures)
    Console().print(table)
