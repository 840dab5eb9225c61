"""One point's run: the same loop as `tinyvio run`, in one thread, and what it comes to."""

import dataclasses
import hashlib
import time
import tomllib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np
from numba.core.registry import cpu_target

from vio import config as configuration
from vio import compilation, evaluation, runner
from vio.backend import solver
from vio.calibration import Calibration
from vio.config import Config
from vio.errors import ConfigError, TinyvioError
from vio.events import Event
from vio.frontend import following, klt
from vio.io.renderer import default_cache
from vio.io.sequence import Sequence, open_sequence
from vio.sweeps.outcome import Outcome
from vio.sweeps.points import Point, code_version, identity
from vio.sweeps.shelf import Shelf, budget_bytes


class Mismatch(TinyvioError):
    """This process has other sources or other data than the one that planned the sweep."""


@lru_cache(maxsize=1)
def shelf() -> Shelf:
    """The one shelf of this process."""
    return Shelf(open_sequence, budget_bytes())


def run_point(point: Point) -> Outcome:
    """Run a point. Raises Mismatch where its sources or its data are not those of the plan, DataError where they cannot be read."""
    if code_version() != point.code:
        raise Mismatch("a worker runs another version of tinyvio than this one; install the same everywhere")
    stretch, start, cpu_start = point.stretch, time.perf_counter(), time.process_time()
    config = configuration.replaced(Config(), tomllib.loads(point.config), "point")
    sequence = shelf().open(stretch.opened_as, stretch.mono)
    options = runner.RunOptions(stretch.start, stretch.max_frames, threads=1, warm_up=False)
    if identity(sequence, *runner.selected(sequence, options)) != stretch.identity:
        raise Mismatch(f"{stretch.opened_as}: a worker has other data under this name; give all of them the same")
    try:
        result = runner.run(sequence, config, options)
    except ConfigError as error:
        return Outcome("refused", str(error))
    timing = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start, "run_seconds": result.seconds}
    return _judged(sequence, result, timing)


def _judged(sequence: Sequence, result: runner.RunResult, timing: dict[str, float | str]) -> Outcome:
    """Status, numbers and work of a run."""
    errors = evaluation.accuracy(result.trajectory, sequence.ground_truth)
    metrics = _metrics(sequence, result, errors)
    largest = result.counts.max(axis=0, initial=0)
    counts = {event.name: [int(result.counts[:, event].sum()), int(largest[event])] for event in Event}
    status, reason = _status(sequence, result, errors)
    return Outcome(status, reason, metrics, counts, timing)


def _status(sequence: Sequence, result: runner.RunResult, errors: evaluation.Accuracy) -> tuple[str, str]:
    """`diverged` means: a state that is no number, or one further off than an estimate that never moves would be."""
    if result.failure:
        return "failed", result.failure.strip().splitlines()[-1]
    broken = sum("state_not_finite" in row.reasons for row in result.health)
    if broken:
        return "diverged", f"state not finite in {broken} frames"
    if len(result.trajectory.t_ns) == 0:
        return "failed", f"no pose in {result.frames} frames"
    if errors.ate_rmse_m is not None:
        still = _spread_m(sequence, result.trajectory.t_ns)
        if not errors.ate_rmse_m <= still:
            return "diverged", f"ATE {errors.ate_rmse_m:.3g} m, and {still:.3g} m for an estimate that never moves"
    return "ok", ""


def _spread_m(sequence: Sequence, t_ns: np.ndarray) -> float:
    """Root mean square distance of the ground truth from its centre: the ATE of standing still."""
    p_WB, _, valid = evaluation.interpolated(sequence.ground_truth, t_ns)
    return float(np.sqrt(((p_WB[valid] - p_WB[valid].mean(axis=0)) ** 2).sum(axis=1).mean()))


def _metrics(sequence: Sequence, result: runner.RunResult, errors: evaluation.Accuracy) -> dict[str, float | int | str | None]:
    """The numbers of a row; None where one cannot be had."""
    states = evaluation.health_summary(result.health)["states"]
    second = (errors.rpe or {}).get("1s")
    numbers = {
        "image_width": sequence.calibration.left.width,
        "image_height": sequence.calibration.left.height,
        **evaluation.coverage_and_error(result, errors),
        "rpe_1s_m": second and second.translation_rmse_m,
        "rpe_1s_deg": second and second.rotation_rmse_deg,
        "degraded": states.get("degraded", 0),
        "lost": states.get("lost", 0),
    }
    return {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in numbers.items()}


def warm_up(calibrations: list[Calibration], configs: list[Config]) -> None:
    """Compile every kernel that a sweep will need, so that its workers find them in the cache. What the engine refuses is left to its row.

    Numbers hardly choose a kernel, texts do: one configuration of each kind is enough. What was compiled once is not looked at again.
    """
    kinds = {_kind(config): config for config in reversed(configs)}
    rigs = {(c.left.width, c.left.height, type(c.left).__name__, c.right is None): c for c in calibrations}
    mark = _mark(repr((sorted(map(repr, kinds)), sorted(map(repr, rigs)))))
    if mark.exists() and solver.assemble.is_cached and following.follow.is_cached:
        return
    for calibration in rigs.values():
        for config in kinds.values():
            try:
                compilation.warm_up(calibration, config)
            except ConfigError:
                continue
    with suppress(OSError):  # without the mark the next sweep only looks again
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _mark(kinds: str) -> Path:
    """A file that is there once these kinds were compiled from these sources, for this processor, into the cache that is in use."""
    target = cpu_target.target_context.codegen().magic_tuple()
    place = (code_version(), numba.__version__, target, solver.assemble.stats.cache_path, kinds)
    return default_cache() / "compiled" / hashlib.sha256(repr(place).encode()).hexdigest()[:20]


def _kind(config: Config) -> tuple[str, ...]:
    """What a kernel's types depend on: all fields that are texts (the rounding excepted) and how a register is limited, if it is."""
    sections = (config.frontend, config.backend, config.initial, config.health)
    texts = [value for section in sections for value in vars(section).values() if isinstance(value, str)]
    overflows = [getattr(config.precision, f.name).overflow.value for f in dataclasses.fields(config.precision)]
    try:
        limits = "none" if klt.klt_format(config).patch.low is None else "all"
    except ConfigError:
        limits = "refused"
    return (*texts, *overflows, limits)
