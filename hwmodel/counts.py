"""Counts of a run or of a typical flight, checked against the configuration they are said to come from."""

from dataclasses import dataclass

import numpy as np

from hwmodel.buffers.pictures import level_sizes
from hwmodel.chip import Chip
from hwmodel.structure import sparse
from hwmodel.tables import DATA, read_toml
from vio.config import OPENING_ROUNDS, OPENING_STEPS, Config, ConfigError
from vio.events import Event

_SIZE_TOLERANCE = 0.005  # of a pyramid's pixels; one level more or less of a deep pyramid makes 1 %


@dataclass(frozen=True)
class Counts:
    """Events of a flight: `total` (events,) over `frames` frames, `largest` (events,) in one frame; `source` in words."""

    frames: int
    total: np.ndarray
    largest: np.ndarray
    source: str

    def per_frame(self, event: Event) -> float:
        """Mean of an event over the frames."""
        return float(self.total[event]) / self.frames

    @property
    def keyframes(self) -> int:
        """Keyframes among the frames."""
        return int(self.total[Event.KEYFRAME])


def from_run(counts: np.ndarray, source: str = "a run") -> Counts:
    """Counts of a run's array (frames, events). Raises ConfigError if it is empty, negative or of another list of events."""
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[1] != len(Event):
        raise ConfigError(f"{source}: counts of shape {counts.shape}; this version has {len(Event)} events, run the sequence again")
    if len(counts) == 0 or not counts[:, Event.KEYFRAME].any():
        raise ConfigError(f"{source}: no frame with a keyframe in the counts, nothing to average over")
    if counts.min() < 0:
        raise ConfigError(f"{source}: negative counts in column {Event(int(counts.min(0).argmin())).name}")
    return Counts(len(counts), counts.sum(0), _largest(counts), source)


def typical(name: str) -> Counts | None:
    """Stored counts of a profile on real data, `hwmodel/data/typical/<name>.toml`; None where there are none."""
    path = DATA / "typical" / f"{name}.toml"
    if not path.is_file():
        return None
    table = read_toml(path, what="the typical counts")
    total, largest = (np.array([table[key].get(event.name, 0) for event in Event], np.int64) for key in ("total", "largest"))
    return Counts(table["frames"], total, largest, f"typical counts of profile {name}: {table['source']}")


def as_toml(counts: Counts, source: str) -> str:
    """Counts as a file of hwmodel/data/typical; events that never happened are left out."""
    lines = [f'source = "{source}"', f"frames = {counts.frames}"]
    for name, values in (("total", counts.total), ("largest", counts.largest)):
        lines += ["", f"[{name}]", *(f"{event.name} = {int(values[event])}" for event in Event if values[event])]
    return "\n".join(lines) + "\n"


def check(counts: Counts, config: Config, chip: Chip) -> None:
    """Refuse counts that cannot come from this configuration and picture size. Raises ConfigError with the reason."""
    left, right = (sum(h * w for h, w in level_sizes(chip, config.frontend.pyramid_levels)[1:]) for _ in "lr")
    n, size = config.backend.window + 1, sparse(config.backend.window + 1)
    steps, passes = _most_steps(config), int(counts.largest[Event.GAUSS_NEWTON_ITERATION]) + 1 + OPENING_ROUNDS
    limits = {
        Event.PYRAMID_PIXEL: (left + right, f"{chip.image_width}x{chip.image_height} pictures with frontend.pyramid_levels = {config.frontend.pyramid_levels}"),
        Event.FEATURE_TRACKED: (3 * config.frontend.max_features, f"frontend.max_features = {config.frontend.max_features}, tracked once and matched both ways"),
        Event.FEATURE_DETECTED: (2 * config.frontend.max_features, f"frontend.max_features = {config.frontend.max_features}"),
        Event.KLT_ITERATION: (3 * config.frontend.max_features * config.frontend.pyramid_levels * config.frontend.klt_iterations,
                              f"frontend.klt_iterations = {config.frontend.klt_iterations} on {config.frontend.pyramid_levels} levels"),
        Event.GAUSS_NEWTON_ITERATION: (steps, f"backend.iterations = {config.backend.iterations} (more while a window opens)"),
        Event.IMU_FACTOR: ((n - 1) * passes, f"backend.window = {config.backend.window} and {passes} linearisations"),
        Event.CHOLESKY_BLOCK: (size.updates * passes, f"backend.window = {config.backend.window} and {passes} linearisations"),
    }
    for event, (limit, why) in limits.items():
        if counts.largest[event] > limit:
            found = f"{int(counts.largest[event])} {event.name} in one frame, but {why} allow {limit}"
            raise ConfigError(f"{counts.source}: {found}; the counts are of another configuration")
    # the busiest frame, not the average one: a frame without a usable picture has no pyramid, and a mono run no right ones
    found = counts.largest[Event.PYRAMID_PIXEL]
    if min(abs(found - left - right), abs(found - left)) > _SIZE_TOLERANCE * found:
        why = f"{int(found)} PYRAMID_PIXEL in the busiest frame, but {limits[Event.PYRAMID_PIXEL][1]} make {left + right}, or {left} with one camera"
        raise ConfigError(f"{counts.source}: {why}; the counts are of another configuration")


def _most_steps(config: Config) -> int:
    """Gauss-Newton steps at most that enter with one frame: more while a window opens, twice where the clocks are found to differ; and the
    last keyframe of a run, whose solution enters with no frame, counts to the last one."""
    opening = max(config.backend.iterations, OPENING_STEPS, config.mono.iterations * (OPENING_ROUNDS + 1))
    return 2 * opening * (2 if config.online.time_offset else 1)


def _largest(counts: np.ndarray) -> np.ndarray:
    """Most of each event in one frame of counts (frames, events); frames whose solution took over twice the usual steps, as a window opens, left out."""
    steps = counts[:, Event.GAUSS_NEWTON_ITERATION]
    usual = np.median(steps[steps > 0]) if steps.any() else 0.0
    return counts[steps <= 2 * usual].max(0)


def high_water(counts: Counts) -> dict[str, int]:
    """Words used at most, by buffer, as far as events tell: one linearisation sees every landmark and observation of the window.

    An observation holds both cameras' rays, so a pair of reprojections is one word.
    """
    passes = max(1, int(counts.largest[Event.GAUSS_NEWTON_ITERATION]) + 1)
    return {
        "observations": -(-int(counts.largest[Event.REPROJECTION]) // (2 * passes)),
        "landmarks": -(-int(counts.largest[Event.LANDMARK_ELIMINATED]) // passes),
        "feature_table": int(counts.largest[Event.RAY_ROTATION]),
        "frame_landmarks": int(counts.largest[Event.RAY_ROTATION]),
        "imu_fifo": int(counts.largest[Event.IMU_SAMPLE]),
    }
