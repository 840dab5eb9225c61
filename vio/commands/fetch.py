"""`tinyvio fetch`: one recording of the catalog."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vio.commands.common import INTERRUPTED, guarded, say
from vio.errors import ConfigError

if TYPE_CHECKING:
    from vio.io.catalog import Entry
    from vio.io.ranged import Patience


@guarded
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `tinyvio list` prints, with or without its dataset.")],
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder.", show_default="$TINYVIO_DATA, or the user's data folder")] = None,
    given: Annotated[str | None, typer.Option("--from", metavar="URL|FOLDER", help="A mirror, or a folder of downloaded archives, instead of the host.")] = None,
    tries: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Tries in a row without a byte before giving up.")] = 8,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar; warnings and errors remain.")] = False,
) -> None:
    """Bring one recording: only its own bytes out of a bigger archive, checked, in place whole or not at all.

    An interrupted fetch is continued by the same command.

    Examples:

    - `tinyvio fetch euroc/MH_03_medium`, then `tinyvio run euroc/MH_03_medium`

    - `tinyvio fetch MH_03_medium --from ~/Downloads` takes it out of `machine_hall.zip` there

    - `tinyvio fetch tumvi/room1 --to /data/vio`
    """
    from vio.io import catalog
    from vio.io.ranged import Patience

    if name in catalog.rendered_names():
        say(f"{name} is rendered here on first use: tinyvio run {name}")
        return
    entry, root = catalog.find(name), to.expanduser().absolute() if to else catalog.data_root()
    if to and to.exists() and not to.is_dir():
        raise ConfigError(f"--to {to}: is a file; name a folder")
    there = catalog.place(entry, root).is_dir()
    try:
        folder = _fetch_with_bar(entry, root, given, Patience(tries), quiet)
    except KeyboardInterrupt:
        say("tinyvio: interrupted; the same command continues")
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"{entry.name}: {'already ' if there else ''}at {folder}")
    if root == catalog.data_root():
        typer.echo(f"tinyvio run {entry.name}")


def _fetch_with_bar(entry: "Entry", root: Path, given: str | None, patience: "Patience", quiet: bool) -> Path:
    """The fetch under a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from vio.io import download
    from vio.io.transfer import Report

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("asking", total=None)

        def progress(what: str, done: int, total: int) -> None:
            if bar.tasks[0].description != what:
                bar.reset(task, description=what, total=total, completed=done)
            bar.update(task, completed=done, total=total)

        def tell(text: str) -> None:
            bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

        return download.fetch(entry, root, given, patience, Report(tell, progress))
