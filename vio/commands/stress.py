"""`tinyvio stress`: every fault on several flights, against what is allowed to come of it."""

import csv
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vio.commands.common import INTERRUPTED, guarded, interruptible, launch_file, resolve_config, say

if TYPE_CHECKING:
    from vio.stress.bench import Line

_WORSE = 4  # exit code
_WIDE = 200  # columns of a table that goes into a file


@guarded
def stress(
    file: Annotated[Path, typer.Option("--file", metavar="FILE.toml", help="Flights, faults and what is allowed; launch/stress.toml says all that it can hold.")] = Path("stress.toml"),
    quick: Annotated[bool, typer.Option("--quick", help="The middle severity of every fault on one short flight.")] = False,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="FAULT", help="Only this fault of the file; repeatable.")] = None,
    sequence: Annotated[list[str] | None, typer.Option("--sequence", metavar="SEQUENCE", help="Fly this one instead of the file's; repeatable.")] = None,
    at: Annotated[float, typer.Option(min=0.0, metavar="S", help="With --sequence: the second at which faults begin.")] = 5.0,
    seconds: Annotated[float | None, typer.Option(min=1.0, metavar="S", help="Seconds of each flight, in place of the file's.")] = None,
    long: Annotated[float | None, typer.Option("--long", min=0.1, metavar="MINUTES", help="Instead: one endless flight of so many minutes, its memory and time per frame.")] = None,
    profile: Annotated[str, typer.Option(help="A named profile, or a TOML file.")] = "default",
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the configuration; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for table and finished runs.")] = Path("runs/stress"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, and of the table only what is worse than allowed.")] = False,
) -> None:
    """Fly with every fault and compare with what the file allows. Exit code 4 when an outcome is worse.

    Examples:

    - `tinyvio stress --quick` takes a minute

    - `tinyvio stress` flies the whole matrix; interrupted, the same command does the rest

    - `tinyvio stress --only black --only imu-gap --sequence euroc/V1_02_medium --at 20 --seconds 40`

    - `tinyvio stress --long 60` flies an hour: 72 000 frames, drawn as they are needed

    Every run is kept at once in `OUT/cases`; `OUT/stress.csv` is the table.
    """
    from vio.console import Progress

    config = resolve_config(profile, assignments or [])
    if long is not None:
        from vio.commands.long_flight import fly

        fly(config, long, out, quiet)
        return
    from vio.stress.bench import Bench
    from vio.stress.plan import Flight, load

    plan = load(launch_file(file, "stress"), quick, tuple(Flight(name, at) for name in sequence or []), tuple(only or []))
    plan = dataclasses.replace(plan, seconds=seconds or plan.seconds)
    with Progress(quiet) as progress:
        bench = Bench(plan, config, out / "cases", progress.rendering)
    with interruptible() as stop, Progress(quiet, len(plan.cases)) as progress:
        lines = bench.run(stop, progress.work("faults", "runs/s"))
    _write(lines, out / "stress.csv")
    _tell(lines, quiet)
    if len(lines) < len(plan.cases):
        say(f"tinyvio: interrupted after {len(lines)} of {len(plan.cases)} runs; these are in {out}, and the same command does the rest")
        raise typer.Exit(INTERRUPTED)
    worse = sum(bool(line.complaints) for line in lines)
    say(f"{len(lines)} runs, {worse} worse than allowed; {out / 'stress.csv'}")
    if worse:
        raise typer.Exit(_WORSE)


_COLUMNS = ("flight", "fault", "severity", "ate_m", "worst_m", "blind_m", "recover_s", "seen_s", "words", "complaints")


def _cells(line: "Line") -> list[str]:
    """One row of the table."""
    from vio.stress.judge import NEVER

    v, case = line.verdict, line.case
    metres = ["-" if m is None else f"{m:.4f}" for m in (v.ate_m, v.worst_m)]
    recover = "never" if v.recover_s >= NEVER else f"{v.recover_s:.2f}"
    seen = "-" if v.seen_s is None else f"{v.seen_s:.2f}"
    return [case.flight.name, case.fault or "none", case.severity, *metres, f"{v.blind_m:.2f}", recover, seen, v.words, "; ".join(line.complaints)]


def _write(lines: "list[Line]", path: Path) -> None:
    """The table as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([_COLUMNS, *map(_cells, lines)])


def _tell(lines: "list[Line]", quiet: bool) -> None:
    """The table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("flight", "fault", "severity", "ATE m", "worst m", "blind m", "recovered s", "seen s", "health", "worse than allowed"):
        table.add_column(name, overflow="fold")
    for line in lines:
        if line.complaints or not quiet:
            table.add_row(*_cells(line), style="bold red" if line.complaints else None)
    if table.row_count:
        console = Console()
        Console(width=None if console.is_terminal else _WIDE).print(table)
