"""uJ and kB of frames on the chip, as they come in."""

import numpy as np
from hwmodel.chip import load_chip
from hwmodel.counts import Counts, from_run, high_water
from hwmodel.live import Tariff, tariff, with_picture
from hwmodel.memory import memory_map, total_kilobytes, used_kilobytes
from hwmodel.technology import load_technology
from hwmodel.work import MODULES

from vio.config import Config
from vio.errors import ConfigError
from vio.events import Event

CHIP, TECHNOLOGY = "navion", "65nm-lstp"
_FIRST_FRAMES = 20
_HELD = [Event.REPROJECTION, Event.GAUSS_NEWTON_ITERATION, Event.LANDMARK_ELIMINATED]  # the window's filling, counted where one is solved


class Meter:
    """Prices frames on the Navion-like chip of the picture's size at the sensor's rate.

    The clock and the voltage that keep up follow from the counts so far: they are set anew after 20, 40, 80, ... frames, and prices of
    earlier frames stay as they were. `tinyvio run --chip` prices all frames at the point of the whole run.
    """

    def __init__(self, config: Config, width: int, height: int, fps: float) -> None:
        self._config, self._fps = config, fps
        self._chip = with_picture(load_chip(CHIP), width, height)
        self._technology = load_technology(TECHNOLOGY)
        self._buffers = memory_map(config, self._chip)
        self._counts: list[np.ndarray] = []
        self._held = np.zeros(len(_HELD), np.int64)
        self._tariff: Tariff | None = None
        self._next = 1
        self.kilobytes = total_kilobytes(self._buffers)
        self.modules = (*MODULES, "leakage")

    def energy(self, counts: np.ndarray) -> np.ndarray | None:
        """uJ (modules,) of the next frame, counts (events,); None where the chip cannot keep up with the rate or no keyframe was seen yet."""
        self._counts.append(counts)
        if len(self._counts) >= self._next:
            self._next = max(2 * len(self._counts), _FIRST_FRAMES)
            self._set_price()
        return None if self._tariff is None else self._tariff.price(counts[None])[0, :, 1]

    def used(self, counts: np.ndarray) -> float:
        """kB in use in that frame; between keyframes the window stays as full as it was."""
        if counts[_HELD].any():
            self._held = counts[_HELD].copy()
        now = counts.copy()
        now[_HELD] = self._held
        return used_kilobytes(self._buffers, high_water(Counts(1, now, now, "one frame")))

    def _set_price(self) -> None:
        try:
            self._tariff = tariff(self._config, from_run(np.array(self._counts)), self._chip, self._technology, self._fps)
        except ConfigError:  # too fast for this chip, or no keyframe yet: no price is better than a wrong one
            self._tariff = None
