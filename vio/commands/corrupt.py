"""`tinyvio corrupt`: a damaged copy of a recording."""

from pathlib import Path
from typing import Annotated

import typer

from vio.commands.common import folder_of, guarded, say
from vio.errors import ConfigError


@guarded
def corrupt(
    source: Annotated[str | None, typer.Argument(metavar="SRC", help="A recording or a built-in sequence.")] = None,
    destination: Annotated[Path | None, typer.Argument(metavar="DST", help="The damaged copy: a new ASL folder.")] = None,
    fault: Annotated[list[str] | None, typer.Option("--fault", metavar="NAME[:WORD][,KEY=VALUE]...", help="A fault; repeatable, they apply in turn.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random faults; the same seed gives the same copy.")] = 0,
    listing: Annotated[bool, typer.Option("--list", help="Describe all faults and leave.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary.")] = False,
) -> None:
    """Write a damaged copy of a recording, to try programs on. Unharmed pictures become links to the source's files.

    Examples:

    - `tinyvio corrupt --list` describes the faults

    - `tinyvio corrupt MH_01_easy dark --fault black:left,start=5,duration=2`

    - `tinyvio corrupt MH_01_easy bad --fault imu-gap:start=3,duration=0.2 --fault clock-offset:ms=35 --fault drop:share=0.05`

    - `tinyvio corrupt room wrong --fault extrinsics-inverted`
    """
    if listing:
        return _list()
    if source is None or destination is None or not fault:
        raise ConfigError("corrupt needs SRC, DST and at least one --fault; tinyvio corrupt --list describes them")
    _write(source, destination, fault, seed, quiet)


def _list() -> None:
    """Every fault, what it does, its parameters."""
    from vio.io.faults.registry import descriptions

    for name, text, parameters in descriptions():
        typer.echo(f"{name}\n    {text}\n    {parameters}")


def _write(source: str, destination: Path, faults: list[str], seed: int, quiet: bool) -> None:
    """Open, damage, write."""
    from vio.console import Progress
    from vio.io.faults.copy import write_copy
    from vio.io.faults.registry import damaged, parse
    from vio.io.sequence import open_sequence

    for text in faults:
        parse(text)  # a mistake in the last fault is told before anything is opened
    with Progress(quiet) as progress:
        opened = open_sequence(source, progress=progress.rendering)
    for text in opened.warnings:
        say(f"warning: {text}")
    take = damaged(opened, faults, seed)
    with Progress(quiet) as progress:
        folder = write_copy(take, folder_of(source), destination, progress.work("copying"))
    if not quiet:
        typer.echo(f"{folder}: {len(take.frame_t_ns)} frames, {len(take.imu_t_ns)} inertial samples, {', '.join(faults)}")
