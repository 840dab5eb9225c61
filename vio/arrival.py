"""A frame on its way through the engine, and what the back end tells the one that comes after it."""

import time
import zlib
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from vio.backend.back_end import Settled
from vio.beat import Place
from vio.events import new_counts
from vio.frontend.front_end import Expected
from vio.health import Samples
from vio.inertial import Span
from vio.types import FrontEndOutput, StereoFrame


class Known(NamedTuple):
    """What the back end has told the front end: what is settled, the speed in m/s, negative where unknown, and whether stamps are moved to their beat."""

    settled: Settled
    speed: float
    on_beat: bool


UNKNOWN = Known(Settled(np.zeros(3), np.zeros(3), np.eye(3), 0), -1.0, False)


@dataclass
class Arrival:
    """A frame on its way. seen: once the front end has looked; solved_t_ns: of a keyframe whose solution has come in meanwhile.

    samples: inertial samples kept for it and later frames, which measured the whole motion since the last frame or not (is_measured). span: those since the last frame, None for the first.
    """

    frame: StereoFrame
    place: Place
    at_ns: int
    since_ns: int  # since the last frame, by the stamps
    span: Span | None
    samples: Samples
    is_measured: bool
    R_C1C0: np.ndarray
    notes: tuple[str, ...]
    pass_over: str  # why the picture is not to be looked at
    expected: Expected | None = None
    caught_up: bool = False
    solved_t_ns: int | None = None
    seen: FrontEndOutput | None = None
    counts: np.ndarray = field(default_factory=new_counts)
    laps: dict[str, int] = field(default_factory=dict)


def checksum(picture: np.ndarray) -> int:
    """Of every sixteenth row: no two pictures of a camera agree in those and differ in others."""
    return zlib.crc32(np.ascontiguousarray(picture[::16]))


def placed(seen: FrontEndOutput, at_ns: int) -> FrontEndOutput:
    """What the front end saw, at its instant on the IMU's clock."""
    return seen if at_ns == seen.observations.t_ns else replace(seen, observations=replace(seen.observations, t_ns=at_ns))


class Clock:
    """Each `lap` gives the ns since the one before."""

    def __init__(self) -> None:
        self._at = time.perf_counter_ns()

    def lap(self) -> int:
        before, self._at = self._at, time.perf_counter_ns()
        return self._at - before
