"""`tinyvio view`: finished runs in the viewer."""

from pathlib import Path
from typing import Annotated

import typer

from vio.commands.common import guarded, say
from vio.commands.viewing import HostOption, SaveOption, ServeOption, ViewOption, kept_open, wanted_outputs
from vio.errors import ConfigError


@guarded
def view(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a recording (.rrd).")],
    compare: Annotated[Path | None, typer.Option(metavar="RUN2", help="Another run to lay over it.")] = None,
    window: ViewOption = False,
    save_rrd: SaveOption = None,
    serve: ServeOption = None,
    host: HostOption = "127.0.0.1",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Open a finished run in the viewer, from its files alone; pictures come from the recording if it is still there.

    Examples:

    - `tinyvio view runs/room-default`

    - `tinyvio view runs/room-default --compare runs/room-tiny --serve`

    - `tinyvio view runs/room-default --save-rrd room.rrd`

    - `tinyvio view room.rrd --serve` shows a recording, live or not, in a browser
    """
    if run.suffix == ".rrd":
        _show_recording(run, compare, save_rrd, serve, host)
        return
    wanted = wanted_outputs(window or (save_rrd is None and serve is None), save_rrd, serve, host)
    from vio.console import Progress
    from vio.viewer import stored
    from vio.viewer.outputs import open_output

    runs = [stored.open_finished(folder, say) for folder in (run, compare) if folder is not None]
    with kept_open(open_output(wanted, " and ".join(item.title for item in runs), say)) as output, Progress(quiet) as progress:
        stored.draw(output, runs, progress.work("drawing"))
        output.flush()


def _show_recording(path: Path, compare: Path | None, save_rrd: Path | None, serve: int | None, host: str) -> None:
    """A recording as it is, in a window or on a page."""
    if compare is not None or save_rrd is not None:
        raise ConfigError(f"{path}: a recording is shown as it is; --compare and --save-rrd are for run folders")
    if not path.is_file():
        raise ConfigError(f"{path}: no such recording")
    wanted = wanted_outputs(serve is None, None, serve, host)
    from vio.viewer.outputs import show_file

    with kept_open(show_file(wanted, path, say)):
        pass
