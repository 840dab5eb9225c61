"""What a run shows on the terminal: progress bar, one notice, the final table."""

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loaded with the first thing to show: a start does not wait for it
    from rich.console import Console
    from rich.progress import Progress as RichProgress

_PATIENCE = 2.0  # s before a silent compilation is explained


class Progress:
    """A progress bar on standard error; nothing at all with `quiet`. The bar appears with the first frame.

    Until then `frames` > 0 means that kernels may be compiling, which is said if it takes long.
    """

    def __init__(self, quiet: bool, frames: int = 0) -> None:
        self._quiet, self._frames = quiet, frames
        self._notice = threading.Timer(_PATIENCE, self._explain)
        self._notice.daemon = True
        self._bar: RichProgress | None = None

    @functools.cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        return Console(stderr=True)

    def _explain(self) -> None:
        self._console.print("compiling kernels (once)...")

    def __enter__(self) -> "Progress":
        if self._frames > 0 and not self._quiet:
            self._notice.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._notice.cancel()
        if self._bar is not None:
            self._bar.stop()

    def frame(self, done: int, output: object) -> None:
        """Say that `done` frames of the run are through."""
        self._update("odometry", done, self._frames)

    def rendering(self, done: int, total: int) -> None:
        """Say that `done` of `total` frames of a built-in sequence are drawn."""
        self._update("rendering (once)", done, total)

    def work(self, what: str, unit: str = "frames/s") -> Callable[[int, int], None]:
        """A function of (done, total) that shows how far `what` is."""
        return functools.partial(self._update, what, unit=unit)

    def _update(self, what: str, done: int, total: int, unit: str = "frames/s") -> None:
        if self._quiet:
            return
        if self._bar is None:
            self._notice.cancel()
            self._bar = _bar(self._console)
            self._bar.start()
            self._bar.add_task(what, total=total, rate="")
        task = self._bar.tasks[0]
        speed = task.finished_speed or task.speed
        self._bar.update(task.id, completed=done, rate=f"{speed:.0f} {unit}" if speed else "")


def _bar(console: "Console") -> "RichProgress":
    """A bar with a description, the number done and a rate."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    return RichProgress(*columns, console=console, transient=True)


def table(metrics: dict[str, Any], folder: Path) -> None:
    """Print the summary of a run."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    rows = Table(show_header=False, box=None, pad_edge=False)
    rows.add_column(style="bold")
    rows.add_column()
    for name, value in summary(metrics):
        rows.add_row(name, value)
    rows.add_row("results", str(folder))
    console.print(rows, soft_wrap=True)


def summary(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of the table, as (name, value) texts."""
    skipped = metrics["health"]["states"].get("skipped", 0)
    lines = [
        ("sequence", metrics["sequence"]),
        ("frames", f"{metrics['frames']}" + (f", {skipped} unusable" if skipped else "")),
        ("coverage", f"{100 * metrics['coverage']:.1f} % ({metrics['poses']} poses)"),
        ("ATE RMSE", _accuracy(metrics)),
        ("speed", f"{metrics['fps']:.1f} frames/s ({metrics['seconds']:.1f} s, and {metrics['warmup_seconds']:.1f} s before the first frame)"),
    ]
    for stage, ms in metrics["stage_ms"].items():
        lines.append((f"  {stage}", f"{ms['p50']:.2f} ms median, {ms['p99']:.2f} ms 99th percentile"))
    if metrics["peak_rss_mb"] is not None:
        lines.append(("peak memory", f"{metrics['peak_rss_mb']:.0f} MB"))
    if "chip" in metrics:
        lines.append(("on a chip", _chip(metrics["chip"])))
    lines.append(("health", _health(metrics["health"])))
    return lines


def _accuracy(metrics: dict[str, Any]) -> str:
    """ATE in m and per cent, or why there is none."""
    if metrics["ate_rmse_m"] is None:
        return "no ground truth to compare with" if metrics["path_m"] is None else "cannot be aligned with the ground truth"
    percent = "" if metrics["ate_percent"] is None else f" = {metrics['ate_percent']:.3f} % of {metrics['path_m']:.2f} m"
    return f"{metrics['ate_rmse_m']:.4f} m{percent}"


def _chip(chip: dict[str, Any]) -> str:
    """Power, energy and memory in the 65 nm chip model, nominal, with the power's band."""
    low, nominal, high = chip["power_mW"]
    memory = f"{chip['memory_used_kB']:.0f} of {chip['memory_kB']:.0f} kB"
    return f"{nominal:.2f} mW ({low:.2f} to {high:.2f}) at {chip['fps']:.0f} fps, {chip['energy_per_frame_uJ'][1]:.0f} uJ a frame, {memory}"


def _health(health: dict[str, Any]) -> str:
    """States and reasons with their number of frames."""
    text = ", ".join(f"{state} {n}" for state, n in health["states"].items() if state != "sequence")
    if health["reasons"]:
        text += " (" + ", ".join(f"{reason} {n}" for reason, n in health["reasons"].items()) + ")"
    return text + (f"; initialised by {health['initialised_by']}" if health["initialised_by"] else "")
