"""Faults of what is seen: nothing to hold on to, or things that move on their own."""

from dataclasses import dataclass

import numpy as np

from vio.io.faults.base import Fault, camera, duration, number, start
from vio.io.faults.take import RIGHT, Take

_GRAIN = 6  # px: side of the patches of a moving thing
_DISPARITY = 24  # px between its pictures in the left and right camera


@dataclass(frozen=True)
class Plain(Fault):
    """Pictures show a bare wall: their mean grey level and noise of `noise` grey levels, nothing else."""

    camera: str = camera()
    noise: float = number(1.0, "grey levels, deviation", 0.0, 50.0)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Replace every picture; its noise is drawn from the seed and the frame's number."""
        seed, inside = int(rng.integers(2**31)), take.frames_within(self.start, self.duration)

        def bare(picture: np.ndarray, index: float) -> np.ndarray:
            noise = np.random.default_rng((seed, int(index))).normal(0.0, self.noise, picture.shape)
            return np.clip(np.rint(picture.mean() + noise), 0, 255).astype(np.uint8)

        return take.edited(self.camera, np.where(inside, np.arange(len(inside)), np.nan), bare)


@dataclass(frozen=True)
class Moving(Fault):
    """The lower `share` of the view is a patterned thing near by that moves to the side by `speed` px a second, there and back every 4 s."""

    share: float = number(0.6, "of the view", 0.0, 1.0)
    speed: float = number(80.0, "px/s, the highest", 0.0, 1000.0)
    start: float = start()
    duration: float = duration()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Draw the thing over the pictures of both cameras, at the place it has at the frame's time."""
        seconds = (take.frame_t_ns - take.frame_t_ns.min()) / 1e9 - self.start
        place = np.rint(self.speed * 2.0 / np.pi * np.sin(np.pi / 2.0 * seconds))
        amount = np.where(take.frames_within(self.start, self.duration), place, np.nan)
        left = take.calibration.left
        pattern = _pattern(left.height, 2 * left.width, rng)
        for slot in take.slots("both"):
            offset = left.width // 2 - (_DISPARITY if slot == RIGHT else 0)
            take = take.edited("right" if slot == RIGHT else "left", amount, lambda picture, at, offset=offset: self._drawn(picture, pattern, offset + int(at)))
        return take

    def _drawn(self, picture: np.ndarray, pattern: np.ndarray, at: int) -> np.ndarray:
        """The picture with the thing before it."""
        rows = round(self.share * picture.shape[0])
        out = picture.copy()
        out[len(out) - rows :] = np.take(pattern[: len(out)], np.arange(at, at + out.shape[1]), axis=1, mode="wrap")[len(out) - rows :]
        return out


def _pattern(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Softened random patches (height, width) uint8."""
    coarse = rng.uniform(40.0, 215.0, (height // _GRAIN + 2, width // _GRAIN + 2))
    fine = np.kron(coarse, np.ones((_GRAIN, _GRAIN)))
    for axis in (0, 1):
        fine = (np.roll(fine, 1, axis) + 2.0 * fine + np.roll(fine, -1, axis)) / 4.0
    return np.rint(fine[:height, :width]).astype(np.uint8)
