"""Faults of the pictures: black, frozen, overexposed, of jumping exposure, lost, dropped, repeated, cut short."""

from dataclasses import dataclass, replace

import numpy as np

from vio.errors import DataError
from vio.io.faults.base import Fault, camera, choice, duration, number, start
from vio.io.faults.take import MISSING, RIGHT, Take


def _black(picture: np.ndarray, _: float) -> np.ndarray:
    return np.zeros_like(picture)


def _gain(picture: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(np.rint(picture * factor), 0, 255).astype(np.uint8)


def _amount(mask: np.ndarray, value: float) -> np.ndarray:
    """`value` where the mask (n,) holds, NaN elsewhere."""
    return np.where(mask, value, np.nan)


@dataclass(frozen=True)
class Black(Fault):
    """Pictures are black."""

    camera: str = camera()
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Set every pixel to 0."""
        return take.edited(self.camera, _amount(take.frames_within(self.start, self.duration), 0.0), _black)


@dataclass(frozen=True)
class Overexposed(Fault):
    """Pictures are brightened until most of them is white."""

    camera: str = camera()
    gain: float = number(6.0, "factor on the grey levels", 1.0)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Multiply and saturate."""
        return take.edited(self.camera, _amount(take.frames_within(self.start, self.duration), self.gain), _gain)


@dataclass(frozen=True)
class ExposureJumps(Fault):
    """Exposure jumps: every second interval of `period` s is brighter by `factor`."""

    camera: str = camera()
    factor: float = number(1.8, "factor on the grey levels", 0.0)
    period: float = number(1.0, "s", 1e-3)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Multiply and saturate in every second interval."""
        inside = take.frames_within(self.start, self.duration)
        seconds = (take.frame_t_ns - take.frame_t_ns.min()) / 1e9 - self.start
        return take.edited(self.camera, _amount(inside & (np.floor(seconds / self.period) % 2 == 1), self.factor), _gain)


@dataclass(frozen=True)
class Frozen(Fault):
    """The camera repeats its last picture while the stamps go on."""

    camera: str = camera()
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Show the picture before the fault in all its frames, as damaged as it is by then."""
        frozen = np.flatnonzero(take.frames_within(self.start, self.duration))
        if len(frozen) == 0:
            return take
        slots, last = take.slots(self.camera), max(int(frozen[0]) - 1, 0)
        pick, edits = take.pick.copy(), []
        pick[np.ix_(frozen, slots)] = pick[last, list(slots)]
        for edit in take.edits:
            amount = edit.amount.copy()
            if edit.slot in slots:
                amount[frozen] = amount[last]
            edits.append(replace(edit, amount=amount))
        return replace(take, pick=pick, edits=tuple(edits))


@dataclass(frozen=True)
class Lost(Fault):
    """A camera is lost for good: its pictures turn black, or (right only) there are none any more."""

    camera: str = choice("right", "left")
    mode: str = choice("black", "missing")
    start: float = start()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Black or no pictures to the end."""
        gone = take.frames_within(self.start, np.inf)
        if self.mode == "black":
            return take.edited(self.camera, _amount(gone, 0.0), _black)
        if self.camera == "left":
            raise DataError("fault lost:left,mode=missing: frames are stamped by the left camera; use mode=black, or drop")
        take.slots("right")
        return _without_right(take, gone)


@dataclass(frozen=True)
class Drop(Fault):
    """Frames are missing: `share` of them, at random, of both cameras or of the right one alone."""

    camera: str = choice("both", "right")
    share: float = number(0.1, "of the frames", 0.0, 0.95)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Leave frames out; the first one stays."""
        gone = take.frames_within(self.start, self.duration) & (rng.random(len(take.frame_t_ns)) < self.share)
        gone[0] = False
        take.slots(self.camera)
        return _without_right(take, gone) if self.camera == "right" else take.select(np.flatnonzero(~gone))


@dataclass(frozen=True)
class Duplicate(Fault):
    """Frames are repeated: `share` of them, at random, show the picture before them again."""

    camera: str = camera()
    share: float = number(0.1, "of the frames", 0.0, 1.0)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Show the source's frame before once more."""
        again = take.frames_within(self.start, self.duration) & (rng.random(len(take.frame_t_ns)) < self.share)
        again[0] = False
        shown = np.maximum.accumulate(np.where(again, 0, np.arange(len(again))))  # of several in a row all show the last new one
        pick = take.pick.copy()
        for slot in take.slots(self.camera):
            pick[:, slot] = take.pick[shown, slot]
        return replace(take, pick=pick)


@dataclass(frozen=True)
class TruncatedImages(Fault):
    """Image files of the left camera are cut short: `share` of them, at random. On the fly such a frame cannot be decoded."""

    share: float = number(0.05, "of the frames", 0.0, 1.0)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Mark the frames whose file is to be cut."""
        hit = take.frames_within(self.start, self.duration) & (rng.random(len(take.frame_t_ns)) < self.share)
        return replace(take, broken=take.broken | hit)


def _without_right(take: Take, gone: np.ndarray) -> Take:
    """No right picture where the mask (n,) holds."""
    pick = take.pick.copy()
    pick[gone, RIGHT] = MISSING
    return replace(take, pick=pick)
