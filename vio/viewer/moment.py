"""Frames as the viewer takes them, from a running engine or from a run's files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vio.backend.snapshot import Snapshot
from vio.types import Landmarks, NavState
from vio.viewer.columns import Stamps


@dataclass(frozen=True)
class Moment:
    """What is known of frame `index`; None or empty where it is not.

    ids, status, age (n,) and uv (n, 2) px as in `Tracks`. left, right: JPEG files. uv_right (n, 2) px, NaN without a match. counts by
    `Event`. stage_ns: -1 or absent where a stage did not run. landmarks, window: where a keyframe has been solved, as the back end left them.
    """

    index: int
    t_ns: int
    state: NavState | None
    ids: np.ndarray
    uv: np.ndarray
    status: np.ndarray
    age: np.ndarray
    counts: np.ndarray
    stage_ns: Mapping[str, int]
    health: str
    reasons: tuple[str, ...]
    tracked: int
    left: bytes | None = None
    right: bytes | None = None
    uv_right: np.ndarray | None = None
    landmarks: Landmarks | None = None
    window: Snapshot | None = None


def stamps(moments: Sequence[Moment]) -> Stamps:
    """When moments happened."""
    return Stamps(np.array([m.index for m in moments], np.int64), np.array([m.t_ns for m in moments], np.int64))
