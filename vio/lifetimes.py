"""How long features live, and what becomes of them."""

from dataclasses import dataclass

import numpy as np

from vio.runner import TrackTable
from vio.types import TrackStatus

LIVE = (TrackStatus.TRACKED, TrackStatus.NEW)


@dataclass(frozen=True)
class Lifetimes:
    """tracks: features ever detected. frames: distribution of the frames in which each lived, None without any.

    fates: the share of the features that each loss of `TrackStatus` ended, by its name in small letters; beside them `alive` in the last
    picture with features, and `dropped`: gone without a loss, as when the cameras change roles. They add up to 1.
    """

    tracks: int
    frames: dict[str, float] | None
    fates: dict[str, float]


def lengths(table: TrackTable) -> np.ndarray:
    """Frames in which each feature lived, (features,)."""
    alive = np.isin(table.status, LIVE)
    return np.unique(table.ids[alive], return_counts=True)[1]


def lifetimes(table: TrackTable) -> Lifetimes:
    """The statistics of a run's features."""
    lives, fates = lengths(table), _fates(table)
    if len(lives) == 0:
        return Lifetimes(0, None, fates)
    low, quarter, median, three_quarters, high = (float(v) for v in np.percentile(lives, (10, 25, 50, 75, 90)))
    spread = {"min": float(lives.min()), "p10": low, "p25": quarter, "median": median, "p75": three_quarters, "p90": high, "max": float(lives.max())}
    return Lifetimes(len(lives), spread | {"mean": float(lives.mean())}, fates)


def _fates(table: TrackTable) -> dict[str, float]:
    """See `Lifetimes`: by the last row of each feature."""
    frame = np.repeat(np.arange(len(table.rows)), table.rows)
    _, from_behind = np.unique(table.ids[::-1], return_index=True)
    last = len(table.ids) - 1 - from_behind
    status, ends, features = table.status[last], frame[last], max(len(last), 1)
    live = np.isin(status, LIVE)
    found = {kind.name.lower(): status == kind for kind in TrackStatus if kind not in LIVE}
    found |= {"alive": live & (ends == frame.max(initial=0)), "dropped": live & (ends < frame.max(initial=0))}
    return {name: float(mask.sum()) / features for name, mask in found.items()}
