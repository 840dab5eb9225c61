"""The blueprint: which views there are and where they stand, for one run and for two."""

from collections.abc import Sequence

import rerun.blueprint as rrb

from vio.viewer import marks
from vio.viewer.columns import FRAME, SENSOR

_SO_FAR = rrb.VisibleTimeRanges([
    rrb.VisibleTimeRange(timeline, start=rrb.TimeRangeBoundary.infinite(), end=rrb.TimeRangeBoundary.cursor_relative())
    for timeline in (FRAME, SENSOR)
])
_GROWING = ("estimate", "truth/path", "landmarks/past")  # in space: pieces that stay in sight once they are there
LEGEND = "\n".join([
    "**Space**: path of the estimate blue (second run vermilion), ground truth grey; landmarks of the window from yellow (new) to violet "
    f"({marks.OLD_LANDMARK} keyframes or more), left ones grey; keyframes of the window orange; gravity red.",
    "",
    f"**Pictures**: tracks from yellow (new) to violet ({marks.OLD_TRACK} frames or more). Large: lost in this frame. "
    "White: new; grey: out of the picture; light yellow: no texture; sky blue: did not converge; orange: looks different; "
    "vermilion: outlier; pink: rejected by the back end. Right: stereo matches, violet is near.",
    "",
    "**System**: blocks of the linear system in the order of its elimination. Blue: inertial; orange: prior; green: landmarks; grey: fill-in.",
    "",
    "**Biases**: x vermilion, y green, z blue; bounds of 3 sigma faint, ground truth thin.",
    "",
    "**Errors**: *so far* is aligned with the poses until then, *at the end* with all.",
])


def _space(roots: Sequence[str]) -> rrb.Spatial3DView:
    """The world of every run in one space."""
    flat = ("left/tracks", "left/tails", "right/image", "right/matches", "right/disparity")
    contents = [part for root in roots for part in (f"+ {root}/world/**", *(f"- {root}/world/body/{path}" for path in flat))]
    contents += [f"- {root}/world/truth/**" for root in roots[1:]]
    growing = {f"{root}/world/{path}": _SO_FAR for root in roots for path in _GROWING}
    return rrb.Spatial3DView(
        origin=f"{roots[0]}/world", contents=contents, name="space", overrides=growing,
        background=[22, 22, 28], line_grid=rrb.LineGrid3D(visible=True, color=[70, 70, 80]),
        eye_controls=rrb.EyeControls3D(position=[-4.5, -4.5, 3.5], look_target=[0.5, 0.5, 0.0], eye_up=[0.0, 0.0, 1.0]))


def _plot(name: str, roots: Sequence[str], *paths: str, legend: bool = True) -> rrb.TimeSeriesView:
    contents = [f"+ {root}/plots/{path}" for root in roots for path in paths]
    return rrb.TimeSeriesView(origin="/", contents=contents, name=name, plot_legend=rrb.PlotLegend(visible=legend, corner=rrb.Corner2D.LeftTop))


def _accuracy(root: str) -> rrb.Grid:
    """How good it is, as far as it knows and as far as ground truth does."""
    return rrb.Grid(
        _plot("position error, m", [root], "error/position", "error/position/final"),
        _plot("rotation error, degrees", [root], "error/rotation", "error/rotation/final"),
        _plot("gyro bias, rad/s", [root], "bias/gyro", "bias/gyro/3sigma", "bias/gyro/truth", legend=False),
        _plot("accelerometer bias, m/s^2", [root], "bias/accel", "bias/accel/3sigma", "bias/accel/truth", legend=False),
        _plot("speed, m/s", [root], "speed", "speed/truth"),
        _plot("features", [root], "features"),
        grid_columns=2, name="accuracy")


def _cost(root: str) -> rrb.Grid:
    """What it takes."""
    return rrb.Grid(
        _plot("time per frame, ms", [root], "ms"), _plot("energy on the chip, uJ per frame", [root], "uJ"),
        _plot("memory on the chip, kB", [root], "kB"), _plot("features", [root], "features"), grid_columns=2, name="cost")


def _comparisons(roots: Sequence[str]) -> list[rrb.TimeSeriesView]:
    """The series that say which of two runs is better at what, two a row."""
    return [
        _plot("position error, m", roots, "error/position/final"),
        _plot("rotation error, degrees", roots, "error/rotation/final"),
        _plot("gyro bias, rad/s: second run thick", roots, "bias/gyro", legend=False),
        _plot("accelerometer bias, m/s^2: second run thick", roots, "bias/accel", legend=False),
        _plot("features tracked", roots, "brief/features"),
        _plot("time in the engine, ms per frame", roots, "brief/ms"),
        _plot("energy on the chip, uJ per frame", roots, "brief/uJ"),
    ]


def _framed(space: rrb.View, below: Sequence[rrb.View], beside: rrb.Container) -> rrb.Blueprint:
    """Space large, pictures below it, figures beside both; it opens at the newest moment."""
    return rrb.Blueprint(
        rrb.Horizontal(rrb.Vertical(space, rrb.Horizontal(*below), row_shares=[3, 2]), beside, column_shares=[11, 10]),
        rrb.BlueprintPanel(state="collapsed"), rrb.SelectionPanel(state="collapsed"),
        rrb.TimePanel(state="collapsed", timeline=SENSOR, play_state="following"), auto_views=False, auto_layout=False)


def _legend() -> rrb.View:
    return rrb.TextDocumentView(origin="/legend", name="legend")


def single(root: str, stereo: bool, system: bool) -> rrb.Blueprint:
    """One run. stereo: a right picture is shown; system: the sparsity pattern is."""
    pictures = [rrb.Spatial2DView(origin=f"{root}/world/body/left", name="left: tracks")]
    if stereo:
        pictures.append(rrb.Spatial2DView(origin=f"{root}/world/body/right", name="right: stereo matches"))
    log = rrb.Tabs(rrb.TextLogView(origin=f"{root}/health", name="health"), _legend())
    last = rrb.Horizontal(rrb.Spatial2DView(origin=f"{root}/system", name="linear system"), log, column_shares=[1, 2]) if system else log
    return _framed(_space([root]), pictures, rrb.Vertical(rrb.Tabs(_accuracy(root), _cost(root)), last, row_shares=[3, 1]))


def double(first: str, second: str) -> rrb.Blueprint:
    """Two runs over each other."""
    pictures = [rrb.Spatial2DView(origin=f"{root}/world/body/left", name=f"{root}: tracks") for root in (first, second)]
    logs = [rrb.TextLogView(origin=f"{root}/health", name=f"{root}: health") for root in (first, second)]
    figures = rrb.Grid(*_comparisons([first, second]), rrb.Tabs(*logs, _legend()), grid_columns=2)
    return _framed(_space([first, second]), pictures, figures)
