"""A frame on its way through the engine, and what the back end tells those that come after it."""

import time
import zlib
from concurrent.futures import Future
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


class Feedback(NamedTuple):
    """What the back end has to tell after frame `number`: what is settled, ids (n,) of features to drop, the speed in m/s, negative where
    unknown, and whether stamps are moved to their beat."""

    number: int
    settled: Settled
    rejected_ids: np.ndarray
    speed: float
    on_beat: bool


@dataclass
class Arrival:
    """A frame on its way. seen: once the front end has looked; solved_t_ns: of a keyframe whose solution has come in meanwhile.

    samples: inertial samples kept for it and later frames. span: those since the last frame, None for the first.
    """

    number: int
    frame: StereoFrame
    place: Place
    at_ns: int
    since_ns: int  # since the last frame, by the stamps
    span: Span | None
    samples: Samples
    R_C1C0: np.ndarray
    notes: tuple[str, ...]
    pass_over: str  # why the picture is not to be looked at
    expected: Expected | None = None
    caught_up: bool = False
    solved_t_ns: int | None = None
    seen: FrontEndOutput | None = None
    counts: np.ndarray = field(default_factory=new_counts)
    laps: dict[str, int] = field(default_factory=dict)
    looking: Future[None] | None = None


LAG = 3  # frames: one looked at, one waiting for a keyframe's solution, and the one that arrives
_UNTOLD = Settled(np.zeros(3), np.zeros(3), np.eye(3), 0)
_SILENCE = Feedback(-1, _UNTOLD, np.zeros(0, np.int64), -1.0, False)


class Mailbox:
    """Feedback on its way: what was found at frame n is heard by frame n + `LAG` and later ones, whatever the order of work."""

    def __init__(self, settled: Settled) -> None:
        """settled: known to the first frames."""
        self.heard = _SILENCE._replace(settled=settled)
        self._letters = (self.heard,) * LAG  # of the last frames
        self._rejected = [self.heard.rejected_ids]  # by the frame at hand

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep, between two frames."""
        return {"heard": _SILENCE, "_letters": (_SILENCE,) * LAG}

    def hear(self, number: int) -> list[np.ndarray]:
        """Let `heard` be what frame `number` may know; returns what has to be dropped: ids (n,) of features."""
        new = [letter for letter in self._letters if self.heard.number < letter.number <= number - LAG]
        self.heard = new[-1] if new else self.heard
        return [letter.rejected_ids for letter in new if len(letter.rejected_ids)]

    def reject(self, ids: np.ndarray) -> None:
        """Features (n,) that the frame at hand finds wanting."""
        self._rejected.append(ids)

    def unheard(self) -> np.ndarray:
        """Ids (n,) of features found wanting of which the front end could not know when it looked at the frame at hand."""
        return np.concatenate([*[letter.rejected_ids for letter in self._letters[1:]], *self._rejected])

    def send(self, number: int, settled: Settled, speed: float, on_beat: bool) -> None:
        """End the frame at hand."""
        self._letters = (*self._letters[1:], Feedback(number, settled, np.concatenate(self._rejected), speed, on_beat))
        self._rejected = [self._rejected[0][:0]]


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
