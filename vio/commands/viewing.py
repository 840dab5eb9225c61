"""What `run` and `view` share: the options of the viewer, and its life around a run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from vio.commands.common import interruptible, say

if TYPE_CHECKING:
    from vio.config import Config
    from vio.io.sequence import Sequence
    from vio.odometry import Odometry
    from vio.types import FrameOutput, StereoFrame
    from vio.viewer.outputs import Output, Wanted

PORT = 9090

ViewOption = Annotated[bool, typer.Option("--view", help="Open the rerun viewer and watch.")]
SaveOption = Annotated[Path | None, typer.Option("--save-rrd", metavar="FILE", help="Record into one file; `tinyvio view FILE` or `rerun FILE` opens it.")]
ServeOption = Annotated[
    int | None, typer.Option("--serve", metavar="[PORT]", help=f"Serve the viewer to a browser, by default on port {PORT}; the data come from the port above.")
]
HostOption = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to serve on; others than this machine can look only if it is changed.")]


class ServingCommand(TyperCommand):
    """A command whose --serve may stand without a port."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Give a bare --serve its port."""
        filled: list[str] = []
        for argument, following in zip(args, [*args[1:], ""]):
            filled.append(argument)
            if argument == "--serve" and not following.lstrip("-").isdecimal():
                filled.append(str(PORT))
        return super().parse_args(ctx, filled)


def wanted_outputs(view: bool, save_rrd: Path | None, serve: int | None, host: str) -> "Wanted | None":
    """What the options ask for, checked before any work; None if nothing. Raises ConfigError."""
    if not view and save_rrd is None and serve is None:
        return None
    from vio.viewer import outputs

    wanted = outputs.Wanted(view, save_rrd, serve, host)
    outputs.require(wanted, say)
    return wanted


@contextmanager
def kept_open(output: "Output") -> "Iterator[Output]":
    """The open recording; a page is served until Ctrl-C if the work inside has gone well."""
    try:
        if output.url:
            say(f"viewer at {output.url}")
        yield output
        output.flush()
        if output.wanted.file is not None:
            say(f"recorded in {output.wanted.file}")
        if output.url:
            _stay(output)
    finally:
        output.close()


def _stay(output: "Output") -> None:
    with interruptible() as stop:
        say(f"the viewer stays at {output.url} until Ctrl-C")  # which is heard from here on
        pause = threading.Event()
        while not stop() and output.is_watched():
            pause.wait(0.2)


@contextmanager
def watched(
    wanted: "Wanted | None", opened: "Sequence", config: "Config"
) -> "Iterator[tuple[Callable[[Odometry, StereoFrame, FrameOutput], None], Callable[[], None]]]":
    """For the run loop: a function that sees every frame, and one to call when the last has been seen. Both do nothing if nothing is wanted."""
    if wanted is None:
        yield (lambda engine, frame, output: None), (lambda: None)
        return
    from vio.viewer.live import Watcher
    from vio.viewer.outputs import open_output

    with kept_open(open_output(wanted, opened.name, say)) as output:
        watcher = Watcher(output, opened, config, say)
        yield watcher.observe, watcher.close
