"""How the cost grows: of the front end with the number of features, of the back end with the length of the window."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import trim_mean

from vio import runner
from vio.config import Config
from vio.events import Event
from vio.io.progress import Progress
from vio.io.sequence import Sequence

FEATURES = (50, 100, 150, 200, 250, 300)
WINDOWS = (5, 8, 11, 14, 17, 20)


@dataclass(frozen=True)
class Growth:
    """One line: x (n,), ms (n,), of what it is, and the straight line ms = slope x + base fitted to it.

    straightness: 1 minus the share of the variance that the line leaves (R^2).
    """

    what: str
    per: str
    x: tuple[float, ...]
    ms: tuple[float, ...]
    slope: float
    base: float
    straightness: float


def fitted(what: str, per: str, x: list[float], ms: list[float]) -> Growth:
    """The least-squares line through at least two different points."""
    slope, base = np.polyfit(x, ms, 1)
    rest = np.array(ms) - (slope * np.array(x) + base)
    spread = float(np.sum((np.array(ms) - np.mean(ms)) ** 2))
    return Growth(what, per, tuple(x), tuple(ms), float(slope), float(base), 1.0 - float(rest @ rest) / spread if spread > 0 else 1.0)


def growth(sequence: Sequence, config: Config, progress: Progress) -> list[Growth]:
    """Run a sequence in memory with each number of features and each window.

    The front end's mean time over its frames is set against the features that were followed on average, the back end's mean time
    over keyframes against the keyframes of the window. `max_landmarks` grows with either, so that nothing is refused.
    """
    steps, done = len(FEATURES) + len(WINDOWS), 0
    alive, front, back = [], [], []
    for count in FEATURES:
        result = _run(sequence, replace(config, frontend=replace(config.frontend, max_features=count)))
        alive.append(float(result.counts[:, Event.FEATURE_TRACKED].mean()))
        front.append(_mean_ms(result, "front_end"))
        progress(done := done + 1, steps)
    for count in WINDOWS:
        back.append(_mean_ms(_run(sequence, replace(config, backend=replace(config.backend, window=count))), "back_end"))
        progress(done := done + 1, steps)
    return [fitted("front end, a frame", "features followed", alive, front), fitted("back end, a keyframe", "keyframes in the window", list(map(float, WINDOWS)), back)]


def _run(sequence: Sequence, config: Config) -> runner.RunResult:
    landmarks = max(config.backend.max_landmarks, 8 * config.frontend.max_features)
    return runner.run(sequence, replace(config, backend=replace(config.backend, max_landmarks=landmarks)), runner.RunOptions(threads=1))


def _mean_ms(result: runner.RunResult, stage: str) -> float:
    """Mean of a stage where it ran, without a tenth at either end, where other programs interfere; the first second, in which the window fills, left out."""
    ns = result.stage_ns[stage][result.frame_t_ns >= result.frame_t_ns[0] + 1_000_000_000]
    return float(trim_mean(ns[ns >= 0], 0.1)) / 1e6


def draw(lines: list[Growth], path: Path) -> list[Path]:
    """Measured points and fitted lines, as PNG and SVG; `path` has no suffix. Returns the files."""
    from vio.report.style import COLOURS, new_figure, save, styled

    with styled():
        figure = new_figure(7.0, 2.8)
        for axis, line, colour in zip(np.atleast_1d(figure.subplots(1, len(lines))), lines, COLOURS):
            x = np.array([0.0, 1.08 * max(line.x)])
            axis.plot(x, line.slope * x + line.base, color=colour, linewidth=1.0)
            axis.plot(line.x, line.ms, "o", color=colour, markersize=4)
            axis.set(xlabel=line.per, ylabel="time [ms]", title=line.what, xlim=x, ylim=(0.0, None))
            axis.annotate(f"{1e3 * line.slope:.1f} us each, R² = {line.straightness:.3f}", (0.04, 0.92), xycoords="axes fraction")
        save(figure, path)
    return [path.with_suffix(suffix) for suffix in (".png", ".svg")]
