"""Pictures of a sweep's table, each as PNG and SVG. Colours are those of Okabe and Ito (2008), and every line has its own marker too."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vio.io.writers import write_atomic
from vio.sweeps.fields import mantissa_bits
from vio.sweeps.table import averaged, swept

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^Dv*P"
_FAILED = "#D55E00"
_ARITHMETIC = "backend.arithmetic"
_COSTS = {"memory_kb": "on-chip memory [kB]", "energy_uj_per_frame": "energy per frame [uJ]"}
_STYLE = {"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "tinyvio"}


def draw(frame: "pandas.DataFrame", folder: Path) -> list[Path]:
    """Draw whatever the table supports; returns the files. Without any ATE there is nothing to draw."""
    if not frame["ate_rmse_m"].notna().any():
        return []
    import matplotlib

    files = []
    with matplotlib.rc_context(_STYLE):
        for name, figure in _figures(frame):
            files += _saved(figure, folder / name)
    return files


def _figures(frame: "pandas.DataFrame") -> "list[tuple[str, Figure]]":
    """(file name without suffix, figure) of every picture."""
    found = []
    if frame["signal"].notna().any():
        found.append(("ate-bits", _word_lengths(frame)))
    for name in swept(frame):
        if "." in name and frame[name].nunique() > 1:
            found.append((f"ate-{name}", _axis(frame, name)))
    columns = swept(frame) or ["sequence"]
    for name, label in _COSTS.items():
        if name in frame and len(variants := averaged(frame, columns).dropna(subset=["ate_rmse_m", name])) > 1:
            found.append((f"pareto-{name.split('_')[0]}", _pareto(variants, columns, name, label)))
    return found


def _saved(figure: "Figure", path: Path) -> list[Path]:
    """The figure as PNG and SVG."""
    files = []
    for suffix in (".png", ".svg"):
        data = io.BytesIO()
        figure.savefig(data, format=suffix[1:], dpi=150, metadata={"Date": None} if suffix == ".svg" else None)
        files.append(path.with_name(path.name + suffix))
        write_atomic(files[-1], data.getvalue())
    return files


def _figure(rows: int, columns: int, width: float, height: float) -> "tuple[Figure, np.ndarray]":
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=True)


def _word_lengths(frame: "pandas.DataFrame") -> "Figure":
    """One panel per signal: ATE against its bits, a line per sequence, crosses on top where a run is not ok."""
    frame = frame[frame["signal"].notna()]
    names = list(dict.fromkeys(frame["signal"]))
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    figure, axes = _figure(rows, columns, 2.2 * columns + 0.8, 1.8 * rows + 0.8)
    for axis, name in zip(axes.flat, names):
        part = frame[frame["signal"] == name]
        _lines(axis, part, "bits")
        axis.set_title(name, fontsize=9)
        axis.xaxis.get_major_locator().set_params(integer=True)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    _finish(figure, axes[0, 0], "word length [bits]")
    return figure


def _axis(frame: "pandas.DataFrame", name: str) -> "Figure":
    """ATE against one field, over all else: a line per sequence. Arithmetics lie by the bits of their mantissa."""
    figure, axes = _figure(1, 1, 6.4, 4.0)
    axis = axes[0, 0]
    label = name
    if name == _ARITHMETIC:
        frame, label = frame.assign(**{name: frame[name].map(mantissa_bits)}), "mantissa of the solver's arithmetic [explicit bits; dotted: float32, float64]"
        for standard in ("float32", "float64"):
            axis.axvline(mantissa_bits(standard), color="0.6", lw=0.8, ls=":")
    _lines(axis, frame, name)
    _finish(figure, axis, label)
    return figure


def _lines(axis: "Axes", frame: "pandas.DataFrame", name: str) -> None:
    """Mean ATE of the rows that are ok against column `name`, and a cross at the top edge where one is not."""
    for i, (sequence, rows) in enumerate(frame.groupby("sequence", sort=False)):
        means = averaged(rows, [name])
        is_text = means[name].map(lambda value: isinstance(value, str)).any()
        means = means if is_text else means.sort_values(name)
        x = means[name].astype(str if is_text else float)
        colour = _COLOURS[i % len(_COLOURS)]
        axis.plot(x, means["ate_rmse_m"].to_numpy(float, na_value=np.nan), color=colour, marker=_MARKERS[i % len(_MARKERS)], ms=4, lw=1.2, label=sequence)
        bad = means["ok"] < means["rows"]
        if bad.any():
            axis.plot(x[bad], np.ones(int(bad.sum())), "x", color=_FAILED, ms=6, mew=1.5, transform=axis.get_xaxis_transform(), clip_on=False)


def _finish(figure: "Figure", axis: "Axes", label: str) -> None:
    """Common labels, a logarithmic ATE and one legend."""
    axis.set_yscale("log")
    _plain_ticks(axis)
    figure.supxlabel(label, fontsize=9)
    figure.supylabel("ATE RMSE [m]", fontsize=9)
    handles, names = axis.get_legend_handles_labels()
    from matplotlib.lines import Line2D

    if any(line.get_marker() == "x" for each in figure.axes for line in each.lines):
        handles, names = [*handles, Line2D([], [], color=_FAILED, marker="x", ls="")], [*names, "a run not ok"]
    figure.legend(handles, names, loc="outside upper right", ncols=4, frameon=False, fontsize=8)


def _plain_ticks(axis: "Axes") -> None:
    """Numbers rather than powers of ten, in between too where the range is below a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    low, high = axis.get_ylim()
    steps: Any = (1, 2, 5) if high / low < 100 else (1,)
    axis.yaxis.set_major_locator(LogLocator(subs=steps))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def front(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Indices (k,) of the Pareto front, by ascending cost: no other point is at most as dear and at most as wrong."""
    order = np.lexsort((error, cost))
    best = np.minimum.accumulate(error[order])
    return order[np.concatenate([[True], best[1:] < best[:-1]])]


def _pareto(variants: "pandas.DataFrame", columns: list[str], name: str, label: str) -> "Figure":
    """Mean ATE of each variant against a cost, and the front."""
    figure, axes = _figure(1, 1, 6.4, 4.0)
    axis = axes[0, 0]
    cost, error = variants[name].to_numpy(float), variants["ate_rmse_m"].to_numpy(float)
    best = front(cost, error)
    axis.plot(cost, error, "o", color=_COLOURS[5], ms=4, label="variant")
    axis.step(cost[best], error[best], where="post", color=_COLOURS[0], marker="D", ms=5, lw=1.2, label="Pareto front")
    for index in best:
        text = ", ".join(f"{column.split('.')[-1]} {variants[column].iloc[index]}" for column in columns)
        axis.annotate(text, (cost[index], error[index]), xytext=(4, 4), textcoords="offset points", fontsize=7)
    axis.set(xlabel=label, ylabel="ATE RMSE [m]", yscale="log")
    _plain_ticks(axis)
    axis.legend(frameon=False)
    return figure
