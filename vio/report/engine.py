"""Figures of what the odometry does: its features and its time."""

from typing import TYPE_CHECKING

import numpy as np

from vio.report.picture import Picture
from vio.report.style import BLUE, COLOURS, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW, digits, legend_above, look, new_figure, plain_log
from vio.report.subject import Subject
from vio.types import TrackStatus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FATES = {
    TrackStatus.OUT_OF_IMAGE: ("left the image", SKY), TrackStatus.FLAT: ("flat template", YELLOW), TrackStatus.NOT_CONVERGED: ("not converged", ORANGE),
    TrackStatus.RESIDUAL: ("looks different", VERMILION), TrackStatus.OUTLIER: ("outlier (RANSAC)", BLUE), TrackStatus.GATED: ("gated by the back end", PURPLE),
}  # fmt: skip
_STAGES = {"decode_wait": "waiting for images", "imu": "IMU", "front_end": "front end", "solve_wait": "waiting for a keyframe's solution", "refine": "refinement", "back_end": "back end", "engine": "engine, all of it"}
_MAP_BINS = (24, 16)


def features(s: Subject, tag: str) -> Picture:
    """How many features, why they were lost, how long they lived and where they lay."""
    figure = new_figure(9.0, 4.6)
    axes = figure.subplot_mosaic("AAAAAA;BBCCDD")
    _numbers(axes["A"], s)
    _losses(axes["B"], s)
    _lifetimes(axes["C"], s)
    _map(axes["D"], s, figure)
    return Picture(f"features{tag}", f"Features: {s.label}", "How many lived in each frame, why the others were lost, how long they lived, and where in the left picture they lay.", figure)


def _numbers(axis: "Axes", s: Subject) -> None:
    """Tracked and new features per frame, landmarks that took part."""
    t = s.seconds(s.run.frame_t_ns)
    tracked, new = s.statuses[:, TrackStatus.TRACKED], s.statuses[:, TrackStatus.NEW]
    axis.fill_between(t, 0, tracked, color=BLUE, lw=0, alpha=0.85, label="tracked", step="mid")
    axis.fill_between(t, tracked, tracked + new, color=ORANGE, lw=0, label="new", step="mid")
    rows = [row for row in s.run.health if row.state not in ("sequence", "skipped")]
    axis.plot(s.seconds(np.array([row.t_ns for row in rows], np.int64)), [row.tracked for row in rows], color="black", lw=1.0, label="landmarks in the estimate")
    axis.axhline(s.run.config.health.min_tracks, color=VERMILION, lw=1.0, ls=":", label="too few below this")
    axis.set(xlabel="time since the first frame [s]", ylabel="features", ylim=(0, None))
    legend_above(axis)


def _losses(axis: "Axes", s: Subject) -> None:
    """Losses per frame by reason."""
    frames = max(len(s.statuses), 1)
    rates = [float(s.statuses[:, fate].sum()) / frames for fate in _FATES]
    bars = axis.barh([name for name, _ in _FATES.values()], rates, color=[colour for _, colour in _FATES.values()])
    axis.bar_label(bars, [f" {rate:.2f}" for rate in rates], fontsize=8)
    axis.invert_yaxis()
    axis.grid(False, axis="y")
    axis.set(xlabel="features lost per frame", title="why they were lost", xlim=(0, 1.25 * max(*rates, 0.1)))


def _lifetimes(axis: "Axes", s: Subject) -> None:
    """Distribution of the frames a feature lives."""
    lives = s.lifetimes
    if len(lives):
        edges = np.geomspace(1, max(lives.max() + 1, 2), 25)
        axis.hist(lives, np.unique(np.round(edges)), color=GREEN)
        axis.axvline(float(np.median(lives)), color="black", lw=1.0, ls="--")
        axis.annotate(f" median {np.median(lives):.0f}", (float(np.median(lives)), 0.94), xycoords=("data", "axes fraction"), fontsize=8)
    axis.set(xlabel="frames lived (log scale)", ylabel="features", title="how long they lived", xscale="log")
    plain_log(axis.xaxis)


def _map(axis: "Axes", s: Subject, figure: "Figure") -> None:
    """Density of live features over the picture."""
    width, height = (s.run.metrics.get(name) or 1 for name in ("image_width", "image_height"))
    columns, rows = _MAP_BINS
    density, _, _ = np.histogram2d(s.places[:, 1], s.places[:, 0], (rows, columns), ((0, height), (0, width)))
    density = 1e4 * density / max(len(s.statuses), 1) / (width * height / (rows * columns))
    shown = axis.pcolormesh(np.linspace(0, width, columns + 1), np.linspace(0, height, rows + 1), density, cmap="cividis", vmin=0, edgecolors="face", lw=0.1)
    axis.set(aspect="equal", xlabel="column [px]", ylabel="row [px]", title="where they lay", ylim=(height, 0))
    axis.grid(False)
    figure.colorbar(shown, ax=axis, label="features per 100x100 px", shrink=0.75)


def stages(group: list[Subject], tag: str) -> Picture:
    """Milliseconds per frame over time, and per stage the median and the 99th percentile."""
    found = dict.fromkeys(name for s in group for name in s.run.stage_ns)
    names = sorted(found, key=lambda name: name == "engine")
    figure = new_figure(9.0, 2.2 + 0.16 * len(names) * (1 + len(group)) + 0.8)
    over_time, spread = figure.subplots(2, 1, height_ratios=(2.0, 0.6 + 0.16 * len(names) * (1 + len(group))))
    for k, s in enumerate(group):
        engine = s.run.stage_ns.get("engine", np.zeros(0))
        over_time.plot(s.seconds(s.run.frame_t_ns), np.where(engine >= 0, engine / 1e6, np.nan), label=s.label, **(look(k) | {"linewidth": 0.9}))
        _spread(spread, s, names, k, len(group))
    period = [float(np.median(np.diff(s.run.frame_t_ns))) / 1e6 for s in group if len(s.run.frame_t_ns) > 1]
    if period:
        over_time.axhline(min(period), color="black", lw=1.0, ls=":", label=f"time between frames, {min(period):.0f} ms")
    over_time.set(xlabel="time since the first frame [s]", ylabel="engine [ms per frame, log]", yscale="log")
    plain_log(over_time.yaxis)
    legend_above(over_time)
    spread.set(yticks=range(len(names)), yticklabels=[_STAGES.get(name, name) for name in names], xscale="log", xlabel="ms (log scale): median, and a line to the 99th percentile")
    spread.margins(x=0.12)
    spread.invert_yaxis()
    spread.grid(False, axis="y")
    plain_log(spread.xaxis)
    caption = "Wall-clock time of the program on the machine that ran it (not the chip). Stages that a frame did not need are not counted."
    return Picture(f"stages{tag}", "Time per stage", caption, figure)


def _spread(axis: "Axes", s: Subject, names: list[str], k: int, runs: int) -> None:
    """One run's stages as dots with a line to the 99th percentile."""
    for row, name in enumerate(names):
        ns = s.run.stage_ns.get(name, np.zeros(0))
        if not (ns >= 0).any():
            continue
        low, high = np.percentile(ns[ns >= 0], (50, 99)) / 1e6
        y = row + (k - (runs - 1) / 2) * 0.7 / runs
        colour = COLOURS[k % len(COLOURS)]
        axis.plot([low, high], [y, y], color=colour, lw=2.5, alpha=0.5, solid_capstyle="butt")
        axis.plot([low], [y], "o", color=colour, ms=5)
        axis.annotate(f"{digits(low)} / {digits(high)}", (high, y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=7, color="0.25")
