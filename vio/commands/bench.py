"""`tinyvio bench`: how fast the engine is on this machine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vio.commands.common import guarded, resolve_config
from vio.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vio.bench.engine import Pass
    from vio.bench.growth import Growth
    from vio.config import Config
    from vio.io.sequence import Sequence

_RIVALS = ("opencv",)


@guarded
def bench(
    sequence: Annotated[str, typer.Argument(metavar="[SEQUENCE]", help="A recording, or a name that `tinyvio list` prints.")] = "room",
    profile: Annotated[str, typer.Option(help="A named profile, or a TOML file.")] = "default",
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the configuration; repeatable.")] = None,
    frames: Annotated[int, typer.Option(min=30, metavar="N", help="Frames kept in memory.")] = 400,
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Passes that count; one more warms up.")] = 5,
    threads: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Threads in all.")] = 2,
    vs: Annotated[str | None, typer.Option(metavar="RIVAL", help="`opencv`: its pyramidal Lucas-Kanade and Shi-Tomasi on the same pictures and points, in this process.")] = None,
    cold: Annotated[bool, typer.Option("--cold", help="Also the very first start: compile everything once more, in an empty cache.")] = False,
    growth: Annotated[Path | None, typer.Option("--growth", metavar="DIR", help="Also run with 50 to 300 features and 5 to 20 keyframes, and draw what that costs into DIR.")] = None,
    mono: Annotated[bool, typer.Option("--mono", help="Use the left camera alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Measure the engine in steady state with all pictures in memory, then a run from files in a process of its own.

    Each figure is the median of the passes with the smallest and the largest. Two figures from one table can be compared; figures
    from two machines, or from a machine with other work, cannot.

    Examples:

    - `tinyvio bench` measures the built-in sequence

    - `tinyvio bench path/to/MH_01_easy --frames 300 --repeats 9 --json`

    - `tinyvio bench --vs opencv` prints our front end's CPU time over OpenCV's

    - `tinyvio bench --growth plots` draws how the cost grows with features and window

    - `tinyvio bench --cold` adds the first start on a new machine
    """
    from vio.console import Progress
    from vio.io.sequence import open_sequence

    if vs is not None and vs not in _RIVALS:
        raise ConfigError(f"--vs {vs}: nothing to compare with of this name; known: {', '.join(_RIVALS)}")
    config = resolve_config(profile, assignments or [])
    with Progress(as_json) as progress:
        opened = open_sequence(sequence, mono, progress.rendering)
    found = _measure(opened, sequence, config, min(frames, len(opened.frame_t_ns)), repeats, threads, vs, cold, growth, as_json)
    if as_json:
        typer.echo(json.dumps(found, indent=2, allow_nan=False))
    else:
        _print(found)


def _measure(opened: "Sequence", name: str, config: "Config", count: int, repeats: int, threads: int, vs: str | None, cold: bool, plots: Path | None, quiet: bool) -> dict[str, Any]:
    """Everything asked for, by name."""
    from vio.bench import engine, opencv
    from vio.console import Progress
    from vio.evaluation import versions
    from vio.events import Event

    mono = opened.calibration.right is None
    with Progress(quiet) as progress:
        kept = engine.in_memory(opened, count, progress.work("decoding"))
    with Progress(quiet) as progress:
        runs = list(engine.passes(kept, config, repeats, threads, progress.work("passes", "passes/s")))
    found = {"sequence": opened.name, "frames": count, "repeats": repeats, "threads": threads} | _steady(runs)
    if vs:
        result = runs[-1].result
        is_keyframe = result.counts[:, Event.KEYFRAME] > 0
        pairs = [(opencv.ours(kept, config, result), opencv.milliseconds(kept, config, result, is_keyframe)) for _ in range(repeats)]
        found["front_end_cpu_ms"] = vars(engine.spread([a for a, _ in pairs]))
        found["opencv_cpu_ms"] = vars(engine.spread([b for _, b in pairs]))
        found["front_end_over_opencv"] = vars(engine.spread([a / b for a, b in pairs]))
    if plots is not None:
        found["growth"] = [vars(line) for line in _growth(kept, config, plots, quiet)]
    found["from_files"] = vars(engine.from_files(name, config, mono, count))
    found["start_warm"] = vars(engine.start(name, config, mono, cold=False))
    found |= {"start_cold": vars(engine.start(name, config, mono, cold=True))} if cold else {}
    return found | {"versions": versions()}


def _growth(kept: "Sequence", config: "Config", folder: Path, quiet: bool) -> "list[Growth]":
    """The cost by features and by window, drawn into a folder."""
    from vio.bench.growth import draw, growth
    from vio.console import Progress
    from vio.io.writers import prepare_folder

    prepare_folder(folder)
    with Progress(quiet) as progress:
        lines = growth(kept, config, progress.work("growth", "runs/s"))
    draw(lines, folder / "growth")
    return lines


def _steady(runs: "list[Pass]") -> dict[str, Any]:
    """Frames/s, CPU and stages of the passes."""
    import numpy as np
    from vio.bench.engine import spread

    stages = {
        name: {f"p{p}": vars(spread([float(np.percentile(run.stages_ms[name], p)) for run in runs])) for p in (50, 99)} for name in runs[0].stages_ms
    }
    return {"fps": vars(spread([run.fps for run in runs])), "cpu_ms": vars(spread([run.cpu_ms for run in runs])), "stage_ms": stages}


def _rows(found: dict[str, Any]) -> "Iterator[tuple[str, dict[str, float], str]]":
    """Lines of the table: name, figures, unit."""
    yield "speed", found["fps"], "frames/s"
    yield "CPU", found["cpu_ms"], "ms a frame"
    for stage, parts in found["stage_ms"].items():
        yield f"  {stage}", parts["p50"], "ms, median"
        yield "", parts["p99"], "ms, 99th percentile"
    if "opencv_cpu_ms" in found:
        yield "our front end", found["front_end_cpu_ms"], "ms of CPU a frame"
        yield "OpenCV's", found["opencv_cpu_ms"], "ms of CPU a frame"
        yield "ours / OpenCV's", found["front_end_over_opencv"], ""
    for line in found.get("growth", ()):
        yield f"{line['what']}", {"median": line["slope"] * 1e3}, f"us for each of the {line['per']}, R^2 {line['straightness']:.3f}"
    yield "from files, new process", {"median": found["from_files"]["fps"]}, "frames/s"
    yield "  peak memory", {"median": found["from_files"]["peak_rss_mb"]}, "MB"
    for name, key in (("start, kernels cached", "start_warm"), ("very first start", "start_cold")):
        if key in found:
            yield name, {"median": found[key]["first_frame_s"]}, "s to the first frame"


def _print(found: dict[str, Any]) -> None:
    """The numbers as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=f"{found['sequence']}: {found['frames']} frames in memory, {found['repeats']} passes, {found['threads']} threads", title_justify="left")
    for column in ("", "median", "smallest", "largest", "unit"):
        table.add_column(column, justify="left" if column in ("", "unit") else "right", no_wrap=True)
    for name, measured, unit in _rows(found):
        figures = [measured.get(key) for key in ("median", "low", "high")]
        table.add_row(name, *("" if figure is None else f"{figure:.2f}" for figure in figures), unit)
    Console().print(table, soft_wrap=True)
