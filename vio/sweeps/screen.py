"""What a sweep shows on the terminal: progress with the time left, the table of variants, the widths that were found."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from vio.sweeps.search import Smallest
from vio.sweeps.table import COSTS, averaged, swept

if TYPE_CHECKING:
    import pandas

_WIDEST = 400  # columns of text


class Progress:
    """A bar on standard error that counts points; nothing at all with `quiet` or into a file. Points of an earlier sweep do not enter its speed."""

    def __init__(self, quiet: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        console = Console(stderr=True)
        silent = quiet or not console.is_terminal
        self._bar = RichProgress(*columns, console=console, disable=silent, transient=True, speed_estimate_period=600.0)
        self._task = self._bar.add_task("sweep", total=None)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def stage(self, text: str) -> None:
        """Say what is being done before the first point."""
        self._bar.update(self._task, description=text)

    def rendering(self, done: int, total: int) -> None:
        """Say that `done` of `total` frames of a built-in sequence are drawn."""
        self._bar.update(self._task, description="rendering (once)", completed=done, total=total)

    def points(self, done: int, total: int) -> None:
        """Say that `done` of `total` points are finished."""
        self._bar.update(self._task, description="points", completed=done, total=total)

    def begin(self, done: int, total: int) -> None:
        """Start the clock of the time left; `done` points were there before."""
        self._bar.reset(self._task, description="points", completed=done, total=total)


_MOST_COLUMNS = 3  # fields with a column each; of more only those that differ from the first variant are named


def _text(value: Any) -> str:
    """A cell: numbers short, missing ones as a dash."""
    import pandas

    if pandas.isna(value):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(*names: str) -> Table:
    """An empty table with these columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(escape(name), no_wrap=True)
    return table


def _print(table: Table) -> Console:
    """Print it as wide as it is: a narrow terminal wraps it, a file keeps it whole."""
    console = Console()
    wide = console.options.update(width=_WIDEST)
    console = Console(width=max(console.width, Measurement.get(console, wide, table).maximum))
    console.print(table)
    return console


def print_table(frame: "pandas.DataFrame", notes: Iterable[str] = ()) -> None:
    """One line per variant: its fields, how many of its runs are ok, coverage, mean ATE (SE3) per sequence, costs, and the first reason for one that is not ok.

    Sequences that are not there have a line of their own below, and so have the notes.
    """
    import pandas

    skipped = frame[frame["status"] == "skipped"].drop_duplicates("sequence")
    frame = frame[frame["status"] != "skipped"]
    columns, sequences = swept(frame), list(dict.fromkeys(frame["sequence"]))
    costs = [name for name in COSTS if name in frame]
    is_list = len(columns) > _MOST_COLUMNS
    table = _table(*(["changed"] if is_list else columns), "ok", "coverage [%]", *(f"ATE {name} [m]" for name in sequences), *costs, "reason")
    groups = list(frame.groupby(columns, sort=False, dropna=False)) if columns else [((), frame)]
    usual = dict(zip(columns, groups[0][0])) if is_list else {}
    for values, rows in groups:
        each = averaged(rows, ["sequence"]).set_index("sequence")
        ates = [each["ate_rmse_m"].get(name, pandas.NA) for name in sequences]
        bad = rows[rows["status"] != "ok"]
        reason = "" if bad.empty else f"{bad['status'].iloc[0]}: {bad['reason'].iloc[0]}"
        named = [", ".join(f"{name} = {_text(value)}" for name, value in zip(columns, values) if _text(value) != _text(usual[name])) or "-"] if is_list else values
        cells = [*named, f"{len(rows) - len(bad)}/{len(rows)}", _coverage(rows), *ates, *(rows[name].mean() for name in costs)]
        table.add_row(*(escape(_text(cell)) for cell in (*cells, reason)))
    console = _print(table)
    for name, reason in zip(skipped["sequence"], skipped["reason"]):
        console.print(f"skipped {name}: {reason}", soft_wrap=True, markup=False, highlight=False)
    for note in notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)


def _coverage(rows: "pandas.DataFrame") -> str:
    """Share of the frames of these runs that have a pose."""
    frames = rows["frames"].sum()
    return f"{100 * float(rows['poses'].sum() / frames):.1f}" if frames else "-"


def print_smallest(found: Iterable[Smallest], loss: float, margin: int) -> None:
    """The widths found one at a time, and how they do together."""
    table = _table("signal", "wide", "smallest", "loss [%]", "goes no lower because")
    for row in found:
        table.add_row(row.signal, str(row.wide_bits), str(row.bits), f"{100 * row.loss:.1f}", escape(row.limit))
    console = _print(table)
    more = f", each with {margin} bit{'s' if margin > 1 else ''} more" if margin else ""
    console.print(f"all together{more}: loss {100 * loss:.1f} %", soft_wrap=True, highlight=False)
