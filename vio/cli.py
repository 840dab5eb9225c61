"""The command line: `tinyvio run SEQUENCE`. Heavy modules are imported where they are used, so that --help is quick."""

import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vio.errors import ConfigError, DataError, TinyvioError

if TYPE_CHECKING:
    from vio.config import Config
    from vio.io.sequence import Sequence
    from vio.runner import RunResult

INTERRUPTED = 130  # the shell's convention for SIGINT

app = typer.Typer(
    help="Visual-inertial odometry for tiny robots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _say(text: str) -> None:
    """One line on standard error."""
    typer.echo(" ".join(text.split()), err=True)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the errors a user can meet into one line and an exit code."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except TinyvioError as error:
            _say(f"tinyvio: {error}")
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            _say(f"tinyvio: {error}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _say("tinyvio: interrupted before the first frame; nothing was written")
            raise typer.Exit(INTERRUPTED) from None

    return guarded


def _version(wanted: bool) -> None:
    if wanted:
        from vio._version import __version__

        typer.echo(f"tinyvio {__version__}")
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    pass


@app.command()
@_guarded
def run(
    sequence: Annotated[str, typer.Argument(metavar="SEQUENCE", help="An ASL/EuRoC folder (`mav0` inside or not), or a built-in sequence: room, room-small.")],
    profile: Annotated[str, typer.Option(help="A named profile, or a TOML file: the config.toml of an earlier run repeats it.")] = "default",
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the configuration; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", show_default="runs/SEQUENCE-PROFILE")] = None,
    start: Annotated[float, typer.Option(min=0.0, metavar="S", help="Begin S seconds after the first frame.")] = 0.0,
    max_frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N frames.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Threads in all; 2 or more decode ahead. The result does not depend on it.")] = 2,
    mono: Annotated[bool, typer.Option("--mono", help="Use the left camera alone.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no table; warnings and errors remain.")] = False,
) -> None:
    """Run odometry over a sequence and write trajectory, metrics, health, counts and configuration.

    Examples:

    - `tinyvio run room` flies the built-in sequence

    - `tinyvio run MH_01_easy --out runs/mine --set backend.window=8`

    - `tinyvio run MH_01_easy --profile runs/mine/config.toml` repeats it bit for bit

    - `tinyvio run MH_01_easy --mono --start 20 --max-frames 400`

    Ctrl-C ends the run early and keeps what was processed.
    """
    from vio.console import Progress
    from vio.runner import RunOptions

    config = resolve_config(profile, assignments or [])
    with Progress(quiet) as progress:
        opened = _open(sequence, mono, progress.rendering)
    folder = out or Path("runs") / f"{opened.name}-{Path(profile).stem}"
    comment = f"tinyvio run {sequence} --start {start:g}" + (f" --max-frames {max_frames}" if max_frames else "") + (" --mono" if mono else "")
    _run_and_write(opened, config, RunOptions(start, max_frames, threads), folder, comment, quiet)


def resolve_config(profile: str, assignments: list[str]) -> "Config":
    """Defaults, then the profile (a name in launch/ or a TOML file), then `section.field=value` texts. Raises ConfigError."""
    from vio import config
    from vio.io.resources import resource

    if profile.endswith(".toml") or "/" in profile:
        path = Path(profile).expanduser()
    else:
        folder = resource("launch", "default.toml").parent
        path = folder / f"{profile}.toml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
            raise ConfigError(f"--profile {profile}: no profile of this name; known: {known}; or give a path to a TOML file")
    return config.override(config.load(path), assignments)


def _open(name: str, mono: bool, rendering: Callable[[int, int], None]) -> "Sequence":
    """Open the sequence and tell its faults, one line each."""
    from vio.io.sequence import open_sequence

    opened = open_sequence(name, mono, rendering)
    for text in opened.warnings:
        _say(f"warning: {text}")
    return opened


def _run_and_write(opened: "Sequence", config: "Config", options: Any, folder: Path, comment: str, quiet: bool) -> None:
    """The run proper, its files and its table; exits with 130 after Ctrl-C and 1 after an error inside the engine."""
    from vio import evaluation, runner
    from vio.console import Progress, table
    from vio.io import writers

    first, last = runner.selected(opened, options)
    writers.prepare_folder(folder)
    with _interruptible() as stop, Progress(quiet, last - first) as progress:
        result = runner.run(opened, config, options, progress.frame, stop)
    errors = evaluation.accuracy(result.trajectory, opened.ground_truth)
    metrics = evaluation.metrics(opened.name, result, errors)
    writers.write_run(folder, result, metrics, config, comment)
    _report_skipped(result)
    if not quiet:
        table(metrics, folder)
    if result.failure:
        reason = result.failure.strip().splitlines()[-1]
        raise TinyvioError(f"the engine failed after {result.frames} frames ({reason}); these are in {folder}, with the details in error.txt")
    if result.interrupted:
        _say(f"tinyvio: interrupted after {result.frames} frames; these are in {folder}")
        raise typer.Exit(INTERRUPTED)
    if len(result.trajectory.t_ns) == 0:
        raise DataError(f"{opened.name}: no pose in {result.frames} frames; see {folder / 'health.csv'}")


def _report_skipped(result: "RunResult") -> None:
    """The first unusable frame in words, the others as a number."""
    skipped = [row.message for row in result.health if row.state == "skipped"]
    if skipped:
        more = f" (and {len(skipped) - 1} more frames, see health.csv)" if len(skipped) > 1 else ""
        _say(f"warning: skipped a frame: {skipped[0]}{more}")


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Within it Ctrl-C only makes the yielded function true, so that the frame in work is finished and the files are written."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    previous = signal.signal(signal.SIGINT, lambda number, frame: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="tinyvio")


if __name__ == "__main__":
    sys.exit(main())
