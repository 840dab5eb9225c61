"""Pictures of a sweep's table, each as PNG and SVG, in the style of the report; every line has its own marker too."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vio.report.style import BLUE, COLOURS, SKY, VERMILION, plain_log, save, styled
from vio.sweeps.fields import mantissa_bits
from vio.sweeps.table import averaged, swept

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "os^Dv*P"
_FAILED = VERMILION
_ARITHMETIC = "backend.arithmetic"
_COSTS = {"memory_kb": "on-chip memory [kB]", "energy_uj_per_frame": "energy per frame [uJ]"}
_LABEL_HEIGHT = 0.16  # inches of a line of text beside a plot


def draw(frame: "pandas.DataFrame", folder: Path) -> list[Path]:
    """Draw whatever the table supports; returns the files. Without any ATE there is nothing to draw."""
    if not frame["ate_rmse_m"].notna().any():
        return []
    files = []
    with styled():
        for name, figure in _figures(frame):
            save(figure, folder / name)
            files += [folder / f"{name}{suffix}" for suffix in (".png", ".svg")]
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
            found.append((f"pareto-{name.split('_')[0]}", pareto(variants, columns, name, label)))
    return found


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
        colour = COLOURS[i % len(COLOURS)]
        axis.plot(x, means["ate_rmse_m"].to_numpy(float, na_value=np.nan), color=colour, marker=_MARKERS[i % len(_MARKERS)], ms=4, lw=1.2, label=sequence)
        bad = means["ok"] < means["rows"]
        if bad.any():
            axis.plot(x[bad], np.ones(int(bad.sum())), "x", color=_FAILED, ms=6, mew=1.5, transform=axis.get_xaxis_transform(), clip_on=False)


def _finish(figure: "Figure", axis: "Axes", label: str) -> None:
    """Common labels, a logarithmic ATE and one legend."""
    axis.set_yscale("log")
    for each in figure.axes:
        each.margins(x=0.06)
    plain_log(axis.yaxis)
    figure.supxlabel(label, fontsize=9)
    figure.supylabel("ATE RMSE [m]", fontsize=9)
    handles, names = axis.get_legend_handles_labels()
    from matplotlib.lines import Line2D

    if any(line.get_marker() == "x" for each in figure.axes for line in each.lines):
        handles, names = [*handles, Line2D([], [], color=_FAILED, marker="x", ls="")], [*names, "a run not ok"]
    figure.legend(handles, names, loc="outside upper right", ncols=4, frameon=False, fontsize=8)


def front(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Indices (k,) of the Pareto front, by ascending cost: no other point is at most as dear and at most as wrong."""
    order = np.lexsort((error, cost))
    best = np.minimum.accumulate(error[order])
    return order[np.concatenate([[True], best[1:] < best[:-1]])]


def pareto(variants: "pandas.DataFrame", columns: list[str], name: str, label: str) -> "Figure":
    """Mean ATE of each variant against a cost, and the front, whose variants are named beside the plot."""
    cost, error = variants[name].to_numpy(float), variants["ate_rmse_m"].to_numpy(float)
    best = front(cost, error)
    figure, axes = _figure(1, 1, 8.0, max(4.0, 1.2 + _LABEL_HEIGHT * len(best)))
    axis = axes[0, 0]
    axis.plot(cost, error, "o", color=SKY, ms=4, label="variant")
    axis.step(cost[best], error[best], where="post", color=BLUE, marker="D", ms=5, lw=1.2, label="Pareto front")
    axis.set(xlabel=label, ylabel="ATE RMSE [m]", yscale="log")
    axis.margins(x=0.06)
    plain_log(axis.yaxis)
    _name_beside(axis, cost[best], error[best], [_named(variants.iloc[index], columns) for index in best])
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def _named(row: "pandas.Series", columns: list[str]) -> str:
    """What makes a variant, in a few words: `patch 8 bits`, `max features 60, window 10`."""
    import pandas

    known = {column: row[column] for column in columns if not pandas.isna(row[column])}
    plain = {column: value if isinstance(value, str) else f"{value:g}" for column, value in known.items()}
    signal = [f"{plain['signal']} {plain['bits']} bits"] if "signal" in plain else []
    rest = [value if column == "sequence" else f"{column.split('.')[-1]} {value}" for column, value in plain.items() if column not in ("signal", "bits")]
    return ", ".join(signal + rest).replace("_", " ")


def _name_beside(axis: "Axes", x: np.ndarray, y: np.ndarray, texts: list[str]) -> None:
    """Texts in a column to the right, each tied to its point by a thin line, spread until no two of them overlap."""
    height = float(axis.figure.get_size_inches()[1]) - 1.0
    places = axis.transAxes.inverted().transform(axis.transData.transform(np.column_stack([x, y])))[:, 1]
    for point, place, text in zip(zip(x, y), spread(places, _LABEL_HEIGHT / height), texts):
        line = {"arrowstyle": "-", "color": "0.7", "lw": 0.6, "shrinkA": 0, "shrinkB": 3, "relpos": (0.0, 0.5)}
        axis.annotate(text, point, (1.03, place), textcoords="axes fraction", fontsize=7, va="center", arrowprops=line, annotation_clip=False)


def spread(places: np.ndarray, gap: float) -> np.ndarray:
    """Places (n,) moved as little as an ordered sweep needs until neighbours are `gap` apart, inside 0 to 1 as far as that has room."""
    order = np.argsort(-places, kind="stable")
    moved = np.minimum(places[order], 1.0 - gap * np.arange(len(places)))
    for k in range(1, len(moved)):
        moved[k] = min(moved[k], moved[k - 1] - gap)
    if len(moved) and moved[-1] < 0:  # fell out at the bottom: push up from there
        moved[-1] = 0.0
        for k in range(len(moved) - 2, -1, -1):
            moved[k] = max(moved[k], moved[k + 1] + gap)
    out = np.empty(len(places))
    out[order] = moved
    return out
