"""`tinyvio report`: one page about a run, or about several side by side."""

from pathlib import Path
from typing import Annotated

import typer

from vio.commands.common import guarded
from vio.errors import ConfigError


@guarded
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that `tinyvio run` wrote.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Folder for the page and its figures.", show_default="RUN/report, or report-RUN-RUN beside the first")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of the chip.", show_default="each run's own")] = None,
    technology: Annotated[str, typer.Option(help="A technology of hwmodel/data/technologies or a TOML file.")] = "65nm-lstp",
    design: Annotated[str, typer.Option("--chip", help="Lanes, clock and macros: a chip of hwmodel/data/chips or a TOML file.")] = "navion",
    drone: Annotated[str, typer.Option(help="A drone of hwmodel/data/drones, or a TOML file.")] = "crazyflie_2.1",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar; only the path of the page.")] = False,
) -> None:
    """Write one self-contained HTML page about a run, or a comparison of several: flight, errors, biases, features, time, chip, drone, configuration, health.

    Every figure lies beside it as PNG and SVG. Any run can be priced on a chip, with or without `run --chip`.

    Examples:

    - `tinyvio report runs/room-default` writes runs/room-default/report/report.html

    - `tinyvio report runs/room-default runs/room-navion --out compared`

    - `tinyvio report runs/room-navion --fps 171 --technology 32nm-lstp --drone dji_mini_2`
    """
    _require_packages()
    from vio.console import Progress
    from vio.report import hardware, page
    from vio.report.subject import subjects

    found = subjects(runs, hardware.design(design, technology, drone, fps))
    with Progress(quiet) as progress:
        path = page.write(found, out or _place(runs), progress.work("drawing", "figures/s"))
    typer.echo(str(path))


def _require_packages() -> None:
    """Say in one line what is missing."""
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"tinyvio report needs {', '.join(missing)}: pip install 'tinyvio[report]'")


def _place(runs: list[Path]) -> Path:
    """Where a report goes that was given no place."""
    if len(runs) == 1:
        return runs[0] / "report"
    names = [folder.resolve().name for folder in runs]
    more = f"-and-{len(names) - 3}-more" if len(names) > 3 else ""
    return runs[0].parent / f"report-{'-'.join(names[:3])}{more}"
