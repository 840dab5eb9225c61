"""`tinyvio budget`: what perception costs a drone, and whether it fits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vio.commands.common import guarded

if TYPE_CHECKING:
    from hwmodel.fit import Verdict
    from hwmodel.summary import Table

NO = 1  # exit code of a design that does not fit


@guarded
def budget(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="Folder of a `tinyvio run`: its configuration and its counts.", show_default=False)] = None,
    drone: Annotated[str, typer.Option(help="A drone of hwmodel/data/drones, or a TOML file.")] = "crazyflie_2.1",
    profile: Annotated[str | None, typer.Option(help="A named profile or a TOML file.", show_default="navion, or the run's own")] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the configuration; repeatable.")] = None,
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 20.0,
    technology: Annotated[str, typer.Option(help="A technology of hwmodel/data/technologies or a TOML file.")] = "65nm-lstp",
    design: Annotated[str, typer.Option("--chip", help="Lanes, clock and macros: a chip of hwmodel/data/chips or a TOML file.")] = "navion",
    max_mw: Annotated[float | None, typer.Option("--max-mw", metavar="MW", help="Most power the chip may draw.")] = None,
    max_kb: Annotated[float | None, typer.Option("--max-kb", metavar="KB", help="Most on-chip memory, 1 kB = 1024 bytes.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The table as JSON.")] = False,
) -> None:
    """Power and energy of perception against a drone's hover power and battery; with limits, yes or no.

    Examples:

    - `tinyvio budget --drone crazyflie_2.1 --profile navion --fps 20`

    - `tinyvio budget --drone mine.toml --max-mw 5 --max-kb 600` exits with 1 if it does not fit, and says what would help

    - `tinyvio budget runs/room-navion --drone robobee`
    """
    from hwmodel.drones import load_drone
    from hwmodel.energy import evaluate
    from hwmodel.fit import verdict
    from hwmodel.summary import budget_table
    from vio.commands import tables as form
    from vio.commands.chip import make_design, operating
    from vio.errors import ConfigError

    for option, limit in (("--max-mw", max_mw), ("--max-kb", max_kb)):
        if limit is not None and not 0 < limit < 1e9:
            raise ConfigError(f"{option} {limit:g}: a limit must be positive")
    carrier = load_drone(drone)
    asked = make_design(run, profile, assignments or [], technology, fps, None, design)
    if asked.counts is None:
        raise ConfigError("budget needs counts: give a run's folder or a profile with typical counts")
    report = evaluate(asked.config, asked.counts, operating(asked)[1], asked.chip, fps)
    result = [budget_table(carrier, report.power_mW, fps)]
    answer = verdict(asked.config, asked.counts, asked.technology, asked.chip, fps, max_mw, max_kb) if max_mw or max_kb else None
    if json:
        typer.echo(form.as_json(result + ([_verdict_table(answer)] if answer else [])))
    else:
        typer.echo(form.as_text(result))
        typer.echo(f"  {report.source}\n" + ("\n" + "\n".join(answer.lines()) if answer else ""))
    if answer and not answer.fits:
        raise typer.Exit(NO)


def _verdict_table(answer: "Verdict") -> "Table":
    from hwmodel.summary import Table

    return Table("verdict", ("fits", "reasons"), [("yes" if answer.fits else "no", "; ".join(answer.lines()))])
