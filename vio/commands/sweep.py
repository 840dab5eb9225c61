"""`tinyvio sweep`: many configurations on many sequences, on all cores or on a cluster."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vio.commands.common import INTERRUPTED, guarded, interruptible, launch_file, resolve_config, say
from vio.errors import TinyvioError

if TYPE_CHECKING:
    from vio.config import Config
    from vio.io.sequence import Sequence
    from vio.sweeps.points import Entry, Stretch
    from vio.sweeps.screen import Progress
    from vio.sweeps.sweep_file import SweepFile


_TIGHT = 8  # bits of a residual that white minus black does not fit: the tracker's inner loop is then compiled with limits


@guarded
def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A sweep file, for example launch/sweep-word-length.toml; its comments say what it can hold.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the results; points that are in it already are not run again.", show_default="runs/FILE")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, metavar="N", help="Worker processes on this machine.", show_default="one per core")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="tcp://HOST:8786", help="Use the Dask cluster of this scheduler instead.")] = None,
    one_at_a_time: Annotated[bool, typer.Option("--one-at-a-time", help="Narrow each signal from generous widths to the smallest that will do.")] = False,
    max_loss: Annotated[float | None, typer.Option(min=0.0, metavar="SHARE", help="With it: the loss of ATE allowed, 0.05 is 5 %.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no table.")] = False,
) -> None:
    """Run every variant of a sweep file and write one table, plots, and a file per point.

    Examples:

    - `tinyvio sweep launch/sweep-word-length.toml` uses all cores

    - `tinyvio sweep launch/sweep-word-length.toml --scheduler tcp://server:8786` uses a Dask cluster

    - `tinyvio sweep launch/sweep-word-length.toml --one-at-a-time --max-loss 0.05` finds the smallest widths

    Ctrl-C, a crash or a power cut lose no finished point: the same command goes on where it was.
    """
    _require_packages()
    from vio.io import writers
    from vio.sweeps.outcome import Store
    from vio.sweeps.screen import Progress
    from vio.sweeps.sweep_file import load

    plan = load(launch_file(file, "sweep"), lambda name: resolve_config(name, []))
    if max_loss is not None:
        plan = replace(plan, search=replace(plan.search, max_loss=max_loss))
    base = _wide(plan) if one_at_a_time else None
    folder = out or Path("runs") / file.stem
    with Progress(quiet) as progress:
        places, sequences = _places(plan, progress)
        job = _Job(plan, places, base)
        writers.prepare_folder(folder)
        cluster = _cluster(workers, scheduler, job, sequences, progress)
        interrupted = job.run(cluster, Store(folder / "points"), progress)
    _report(job, folder, quiet)
    if interrupted:
        say(f"tinyvio: interrupted after {len(job.outcomes)} points; these are in {folder}, and the same command runs the others")
        raise typer.Exit(INTERRUPTED)


def _require_packages() -> None:
    """Say in one line what is missing."""
    from importlib.util import find_spec

    missing = [name for name in ("distributed", "pandas", "pyarrow", "matplotlib") if find_spec(name) is None]
    if missing:
        raise TinyvioError(f"tinyvio sweep needs {', '.join(missing)}: pip install 'tinyvio[sweep]'")


def _wide(plan: "SweepFile") -> "Config":
    """The configuration that a search starts from."""
    from vio.sweeps.fields import changed

    if plan.variants[1:] and plan.fields:
        say(f"{plan.source}: one at a time leaves 'grid' and 'list' aside")
    return changed(resolve_config(plan.search.profile, []), plan.assignments, f"{plan.source}: set")


def _places(plan: "SweepFile", progress: "Progress") -> "tuple[tuple[Stretch, ...], list[Sequence]]":
    """Every stretch with its identity, and the sequences opened for it; faults of a recording are told once."""
    from vio.io.sequence import open_sequence
    from vio.sweeps.points import stretches

    opened: dict[tuple[str, bool], Any] = {}

    def open_one(name: str, mono: bool) -> "Sequence":
        if (name, mono) not in opened:
            opened[name, mono] = open_sequence(name, mono, progress.rendering)
            for text in opened[name, mono].warnings:
                say(f"warning: {name}: {text}")
        return opened[name, mono]

    places = stretches(plan, open_one)
    for name in dict.fromkeys(place.sequence for place in places if place.missing):
        say(f"{name}: not there, skipped")
    return places, list(opened.values())


class _Job:
    """What is run: all variants of a file, or a search from `base`."""

    def __init__(self, plan: "SweepFile", places: "tuple[Stretch, ...]", base: "Config | None") -> None:
        from vio.sweeps.fields import with_widths
        from vio.sweeps.points import entries
        from vio.sweeps.search import Search

        self.fields, self.notes = () if base else plan.fields, plan.notes
        self.configs = [base, with_widths(base, {"residual": _TIGHT})] if base else [variant.config for variant in plan.variants]
        self.search: Search | None = Search(base, plan.search.signals, places, plan.search.max_loss) if base else None
        self._entries = () if base else entries(plan, places)
        self.outcomes: dict[str, Any] = {}

    @property
    def entries(self) -> "tuple[Entry, ...]":
        """Rows of the table."""
        return self.search.entries() if self.search else self._entries

    def run(self, cluster: AbstractContextManager, store: Any, progress: "Progress") -> bool:
        """Run it on a cluster, and say whether Ctrl-C ended it early; without anything to run no cluster is started."""
        from vio.sweep import evaluate

        points = self.search.first() if self.search else [entry.point for entry in self._entries if entry.point]
        known = {point.key: outcome for point in points if (outcome := store.load(point.key))}
        if not self.search and all(point.key in known for point in points):
            self.outcomes = known
            return False
        with cluster as client, interruptible() as stop:
            progress.begin(len(known), len(points))
            self.outcomes = evaluate(client, points, store, self.search.told if self.search else lambda key, outcome: (), stop, progress.points)
            return stop()


def _cluster(workers: int | None, scheduler: str | None, job: _Job, sequences: "list[Sequence]", progress: "Progress") -> AbstractContextManager:
    """The cluster asked for; while a local one starts, the kernels are compiled once for all of its workers."""
    @contextmanager
    def prepared() -> Any:
        from vio import sweep as clusters
        from vio.sweeps.one_run import warm_up

        if scheduler:
            progress.stage("connecting")
            with clusters.remote(scheduler) as client:
                yield client
            return
        progress.stage("starting workers")
        _meanwhile(_load_reporters)
        finished = _meanwhile(lambda: warm_up([sequence.calibration for sequence in sequences], job.configs))
        with clusters.local(workers or _cores()) as client:
            progress.stage("compiling kernels (once)")
            finished()
            yield client

    return prepared()


def _meanwhile(work: Callable[[], None]) -> Callable[[], None]:
    """Do something in another thread; the function returned waits for its end and raises what it raised. Ctrl-C leaves it behind."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result


def _load_reporters() -> None:
    """Import what the tables and plots at the end need."""
    from importlib import import_module

    for name in ("pandas", "pyarrow.parquet", "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"):
        import_module(name)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report(job: _Job, folder: Path, quiet: bool) -> None:
    """Files and tables of what is finished."""
    from vio.sweeps import plots, screen, table

    entries = job.entries
    frame = table.table(entries, job.outcomes, job.fields)
    table.write(folder, frame, entries, job.outcomes)
    files = plots.draw(frame, folder)
    search = job.search
    if search and search.combination is not None:
        comment = f"smallest word lengths, one at a time and then together: loss {100 * search.combination_loss:.1f} %"
        table.write_profile(folder / "smallest.toml", search.combination, comment)
    if quiet:
        return
    screen.print_table(frame, job.notes)
    if search and search.combination is not None:
        screen.print_smallest(search.smallest.values(), search.combination_loss, search.margin)
    names = ", ".join(["results.parquet", *(path.name for path in files if path.suffix == ".png")])
    typer.echo(f"results in {folder}: {names}")
