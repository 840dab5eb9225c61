"""`tinyvio run`: odometry over a sequence."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vio.commands import live
from vio.commands.common import (
    INTERRUPTED,
    CalibrationOption,
    TimeOffsetOption,
    TopicOption,
    guarded,
    interruptible,
    parse_topics,
    resolve_config,
    say,
)
from vio.commands.viewing import HostOption, SaveOption, ServeOption, ViewOption, wanted_outputs, watched
from vio.errors import DataError, TinyvioError

if TYPE_CHECKING:
    from vio.config import Config
    from vio.io.sequence import Sequence
    from vio.odometry import Odometry
    from vio.runner import RunResult
    from vio.types import FrameOutput, StereoFrame

    Observer = Callable[[Odometry, StereoFrame, FrameOutput], None]


@guarded
def run(
    sequence: Annotated[str, typer.Argument(metavar="SEQUENCE", help="A folder (ASL/EuRoC, TUM-VI, images with Kalibr's files), a bag (.bag, .db3, .mcap), or a name that `tinyvio list` prints.")],
    profile: Annotated[str, typer.Option(help="A named profile, or a TOML file: the config.toml of an earlier run repeats it.")] = "default",
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the configuration; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", show_default="runs/SEQUENCE-PROFILE")] = None,
    start: Annotated[float, typer.Option(min=0.0, metavar="S", help="Begin S seconds after the first frame.")] = 0.0,
    max_frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N frames.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Threads in all; 2 or more decode ahead. The result does not depend on it.")] = 2,
    mono: Annotated[bool, typer.Option("--mono", help="Use the left camera alone.")] = False,
    calibration: CalibrationOption = None,
    topic: TopicOption = None,
    time_offset: TimeOffsetOption = None,
    on_chip: Annotated[bool, typer.Option("--chip", help="Also price every frame on a chip: chip.parquet, and `chip` in metrics.json.")] = False,
    view: ViewOption = False,
    save_rrd: SaveOption = None,
    serve: ServeOption = None,
    host: HostOption = "127.0.0.1",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no table; warnings and errors remain.")] = False,
) -> None:
    """Run odometry over a sequence and write trajectory, metrics, health, counts and configuration.

    Examples:

    - `tinyvio run room` flies the built-in sequence

    - `tinyvio run MH_01_easy --out runs/mine --set backend.window=8`

    - `tinyvio run MH_01_easy --profile runs/mine/config.toml` repeats it bit for bit

    - `tinyvio run MH_01_easy --mono --start 20 --max-frames 400`

    - `tinyvio run flight.bag --calibration camchain-imucam.yaml --topic cam0=/left/image_raw --topic cam1=/right/image_raw`

    - `tinyvio run MH_01_easy --profile navion --chip` adds uJ per frame and mW on a chip

    - `tinyvio run room --view` shows it as it happens; `--serve` in a browser, `--save-rrd room.rrd` later

    Ctrl-C ends the run early and keeps what was processed.
    """
    from vio.console import Progress
    from vio.io.catalog import rendered_names
    from vio.runner import RunOptions

    if on_chip:
        live.require()
    wanted = wanted_outputs(view, save_rrd, serve, host)
    config = resolve_config(profile, assignments or [])
    with Progress(quiet) as progress:
        rendered = sequence.partition("@")[0] in rendered_names() and not Path(sequence).exists()
        heard = progress.rendering if rendered else progress.work("indexing", "messages/s")
        opened = _open(sequence, mono, heard, calibration=calibration, topics=parse_topics(topic or []), time_offset=time_offset)
    folder = out or Path("runs") / f"{opened.name}-{Path(profile).stem}"
    comment = f"tinyvio run {sequence} --start {start:g}" + (f" --max-frames {max_frames}" if max_frames else "") + (" --mono" if mono else "")
    comment += (f" --calibration {calibration}" if calibration else "") + "".join(f" --topic {text}" for text in topic or [])
    comment += f" --time-offset {time_offset!r}" if time_offset is not None else ""
    with watched(wanted, opened, config) as (observe, drawn):
        _run_and_write(opened, config, RunOptions(start, max_frames, threads), folder, comment, quiet, on_chip, observe, drawn)


def _open(name: str, mono: bool, progress: Callable[[int, int], None], **options: Any) -> "Sequence":
    """Open the sequence and tell its faults, one line each."""
    from vio.io.sequence import open_sequence

    opened = open_sequence(name, mono, progress, **options)
    for text in opened.warnings:
        say(f"warning: {text}")
    return opened


def _run_and_write(opened: "Sequence", config: "Config", options: Any, folder: Path, comment: str, quiet: bool, on_chip: bool, observe: "Observer", drawn: Callable[[], None]) -> None:
    """The run proper, its files and its table; exits with 130 after Ctrl-C and 1 after an error inside the engine.

    `observe` sees every frame, `drawn` is called after the last.
    """
    from vio import evaluation, runner
    from vio.console import Progress, table
    from vio.eyes import fitted
    from vio.io import writers
    from vio.io.map_file import MapHistory

    config = fitted(config, opened.calibration)
    first, last = runner.selected(opened, options)
    writers.prepare_folder(folder)
    history = MapHistory(opened.calibration)
    with interruptible() as stop, Progress(quiet, last - first) as progress:
        result = runner.run(opened, config, options, progress.frame, stop, observe=lambda *seen: (history.observe(*seen), observe(*seen)))
        drawn()
    errors = evaluation.accuracy(result.trajectory, opened.ground_truth)
    metrics = evaluation.metrics(opened.name, result, errors)
    metrics |= {"image_width": opened.calibration.left.width, "image_height": opened.calibration.left.height}
    priced, refusal = live.fly(opened, config, result) if on_chip else (None, None)
    if priced:
        metrics["chip"] = live.metrics(priced)
    writers.write_run(folder, result, metrics, config, comment, opened.ground_truth)
    history.write(folder)
    if priced:
        live.write(folder, priced, result)
    _report_skipped(result)
    if not quiet:
        table(metrics, folder)
    if refusal:
        raise refusal
    if result.failure:
        reason = result.failure.strip().splitlines()[-1]
        raise TinyvioError(f"the engine failed after {result.frames} frames ({reason}); these are in {folder}, with the details in error.txt")
    if result.interrupted:
        say(f"tinyvio: interrupted after {result.frames} frames; these are in {folder}")
        raise typer.Exit(INTERRUPTED)
    if len(result.trajectory.t_ns) == 0:
        raise DataError(f"{opened.name}: no pose in {result.frames} frames; see {folder / 'health.csv'}")


def _report_skipped(result: "RunResult") -> None:
    """The first unusable frame in words, the others as a number."""
    skipped = [row.message for row in result.health if row.state == "skipped"]
    if skipped:
        more = f" (and {len(skipped) - 1} more frames, see health.csv)" if len(skipped) > 1 else ""
        say(f"warning: skipped a frame: {skipped[0]}{more}")
