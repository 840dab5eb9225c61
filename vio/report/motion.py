"""Figures of what the odometry says: the flight from above and from the side, errors and health over time, biases."""

from typing import TYPE_CHECKING

import numpy as np

from vio.report.picture import Picture
from vio.report.style import BLACK, COLOURS, GREEN, GREY, ORANGE, SKY, VERMILION, YELLOW, legend_above, look, new_figure, thinned
from vio.report.subject import Aligned, Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

_STATES = {"good": GREEN, "initialising": SKY, "recovering": YELLOW, "degraded": ORANGE, "lost": VERMILION, "skipped": BLACK}
_TRUTH = {"color": BLACK, "linestyle": (0, (4, 2)), "linewidth": 1.0, "zorder": 5}
_WIDTH = 9.0  # inches, of every figure


def trajectories(group: list[Subject], tag: str) -> Picture:
    """The flights of runs over one sequence, from above and from the side to one scale, on the ground truth where there is some."""
    aligned = [s.aligned for s in group]
    paths = [a.p_WB if a else s.run.trajectory.p_WB for s, a in zip(group, aligned)]
    truth = next((a.truth for a in aligned if a), None)
    figure, views = _two_views(paths)
    for axis, row in zip(views, (1, 2)):
        if truth is not None:
            axis.plot(truth[:, 0], truth[:, row], color="0.8", lw=4.0, label="ground truth", solid_capstyle="round")
        if len(group) == 1 and aligned[0]:
            coloured = _coloured(axis, aligned[0], row)
        else:
            for k, (s, p) in enumerate(zip(group, paths)):
                axis.plot(p[:, 0], p[:, row], label=s.label, **look(k))
        if len(paths[0]):
            axis.plot(*paths[0][0, [0, row]], "o", color=BLACK, ms=6, zorder=6, label="first pose")
    if len(group) == 1 and aligned[0]:
        figure.colorbar(coloured, cax=views[0].inset_axes((1.02, 0.0, 0.025, 1.0)), label=f"{group[0].label}: error [cm]")
    figure.legend(*views[0].get_legend_handles_labels(), loc="lower center", ncols=5)
    how = "moved onto the ground truth by rotation and translation (SE3), no scale" if truth is not None else "without ground truth: each run in its own world frame"
    return Picture(f"trajectory{tag}", "From above and from the side", f"Position of the IMU in the world, z up; {how}. Both views to the same scale.", figure)


def _two_views(paths: list[np.ndarray]) -> "tuple[Figure, tuple[Axes, Axes]]":
    """An empty view from above (x, y) and one from the side (x, z) below it, one metre as long in both; all in inches."""
    points = np.concatenate([np.zeros((1, 3)) if not len(p) else p for p in paths])
    low, high = points.min(0), points.max(0)
    room = np.maximum(high - low, 0.2 * (high - low).max() + 1e-2) * 1.1
    low, high = (low + high - room) / 2, (low + high + room) / 2
    left, right, top, between, bottom = 0.75, 1.0, 0.3, 0.4, 0.85
    scale = min((_WIDTH - left - right) / room[0], 6.0 / (room[1] + room[2]))
    width, upper, lower = scale * room
    total = bottom + lower + between + upper + top
    figure = new_figure(_WIDTH, total, "none")
    start = left + (_WIDTH - left - right - width) / 2
    aside = figure.add_axes((start / _WIDTH, bottom / total, width / _WIDTH, lower / total))
    above = figure.add_axes((start / _WIDTH, (bottom + lower + between) / total, width / _WIDTH, upper / total), sharex=aside)
    above.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), ylabel="y [m]", title="from above")
    above.tick_params(labelbottom=False)
    aside.set(ylim=(low[2], high[2]), xlabel="x [m]", ylabel="z [m]", title="from the side")
    return figure, (above, aside)


def _coloured(axis: "Axes", aligned: Aligned, row: int) -> "LineCollection":
    """A single run's line, coloured by its error."""
    from matplotlib.collections import LineCollection

    thin = thinned(len(aligned.p_WB), 2000)
    points = aligned.p_WB[thin][:, [0, row]]
    lines = LineCollection(np.stack([points[:-1], points[1:]], axis=1), cmap="cividis", lw=1.8, zorder=4, capstyle="round")
    lines.set_array(100 * np.nan_to_num(aligned.position_m[thin][1:]))
    axis.add_collection(lines)
    return lines


def errors(group: list[Subject], tag: str) -> Picture:
    """Position and rotation error over time, and below them what health said."""
    known = any(s.aligned for s in group)
    heights = [2.0, 2.0] * known + [0.35 + 0.25 * len(group)]
    figure = new_figure(_WIDTH, sum(heights) + 0.7)
    axes = np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    for k, s in enumerate(group):
        if s.aligned:
            t = s.seconds(s.run.trajectory.t_ns)
            axes[0].plot(t, 100 * s.aligned.position_m, label=s.label, **look(k))
            axes[1].plot(t, s.aligned.rotation_deg, **look(k))
    if known:
        axes[0].set(ylabel="position error [cm]", ylim=(0, None))
        axes[1].set(ylabel="rotation error [deg]", ylim=(0, None))
        if len(group) > 1:
            legend_above(axes[0])
    _health(axes[-1], group)
    axes[-1].set(xlabel="time since the first frame [s]")
    what = "Distance to the ground truth after SE3 alignment over the whole flight, and angle between the attitudes; " if known else "No ground truth, hence no errors; "
    return Picture(f"errors{tag}", "Error over time", f"{what}below, the verdict of the health report on every frame.", figure)


def _health(axis: "Axes", group: list[Subject]) -> None:
    """A strip per run, coloured by state; the table of health says the same in words."""
    seen = {}
    for k, s in enumerate(group):
        rows = [row for row in s.run.health if row.state != "sequence"]
        t = s.seconds(np.array([row.t_ns for row in rows], np.int64))
        width = float(np.median(np.diff(t))) if len(t) > 1 else 0.05
        states = np.array([row.state for row in rows])
        for state in dict.fromkeys(states):
            spans = _spans(t[states == state], width)
            seen[state] = axis.broken_barh(spans, (k - 0.38, 0.76), color=_STATES.get(state, GREY), lw=0)
    axis.set(yticks=range(len(group)), yticklabels=[s.label for s in group] if len(group) > 1 else ["health"], ylim=(len(group) - 0.5, -0.5))
    axis.grid(False)
    if seen:
        axis.legend(seen.values(), seen.keys(), loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=6, borderaxespad=0.2)


def _spans(t: np.ndarray, width: float) -> list[tuple[float, float]]:
    """(start, length) of the stretches that instants `width` apart make."""
    cuts = np.flatnonzero(np.diff(t) > 1.5 * width) + 1
    return [(float(part[0]), float(part[-1] - part[0] + width)) for part in np.split(t, cuts) if len(part)]


def biases(group: list[Subject], tag: str) -> Picture:
    """The six biases with what the estimator believes of them (3 sigma), and the truth where it is known."""
    figure = new_figure(_WIDTH, 4.4)
    axes = figure.subplots(2, 3, sharex=True)
    for row, (name, unit, scale) in enumerate((("gyro", "mrad/s", 1e3), ("accelerometer", "m/s²", 1.0))):
        for column in range(3):
            axis = axes[row, column]
            settled = [_bias(axis, s, k, 3 * row + column, scale) for k, s in enumerate(group)]
            _true_bias(axis, group[0], 3 * row + column, scale)
            low, high = min(low for low, _ in settled), max(high for _, high in settled)
            if low < high:
                axis.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
            axis.set_title(f"{name} {'xyz'[column]}")
        axes[row, 0].set_ylabel(f"bias [{unit}]")
    for axis in axes[1]:
        axis.set_xlabel("time since the first frame [s]")
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels())))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    caption = "Estimates with three standard deviations on either side, as the estimator believes them. The axes fit what is left after the first quarter of the flight."
    return Picture(f"biases{tag}", "Biases of the IMU", caption, figure)


def _bias(axis: "Axes", s: Subject, k: int, component: int, scale: float) -> tuple[float, float]:
    """One component (b_g, b_a) of one run; returns the range of its band after the first quarter, (inf, -inf) where there is none."""
    trajectory = s.run.trajectory
    t, value = s.seconds(trajectory.t_ns), scale * np.hstack([trajectory.b_g, trajectory.b_a])[:, component]
    sigma = scale * np.sqrt(np.maximum(s.run.covariance[:, 9 + component, 9 + component], 0.0))
    thin = thinned(len(t))
    axis.fill_between(t[thin], (value - 3 * sigma)[thin], (value + 3 * sigma)[thin], color=COLOURS[k % len(COLOURS)], alpha=0.18, lw=0, label=f"{s.label}, 3 sigma")
    axis.plot(t[thin], value[thin], label=s.label, **look(k))
    late = slice(len(t) // 4, None)
    return min((value - 3 * sigma)[late], default=np.inf), max((value + 3 * sigma)[late], default=-np.inf)


def _true_bias(axis: "Axes", s: Subject, column: int, scale: float) -> None:
    """The recording's own biases within the run."""
    truth = s.run.ground_truth
    if truth is None or truth.biases is None or not len(s.run.frame_t_ns):
        return
    inside = np.flatnonzero((truth.t_ns >= s.run.frame_t_ns[0]) & (truth.t_ns <= s.run.frame_t_ns[-1]))
    inside = inside[thinned(len(inside))]
    axis.plot(s.seconds(truth.t_ns[inside]), scale * truth.biases[inside, column], label="truth", **_TRUTH)
