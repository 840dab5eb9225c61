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
from vio.events import Event, new_counts

CHIP, TECHNOLOGY = "navion", "65nm-lstp"
_FIRST_FRAMES, _GROWTH = 20, 4
_HELD = [Event.REPROJECTION, Event.GAUSS_NEWTON_ITERATION, Event.LANDMARK_ELIMINATED]  # the window's filling, counted where one is solved


class Meter:
    """Prices frames on the Navion-like chip of the picture's size at the sensor's rate.

    The clock and the voltage that keep up follow from the counts so far: they are set anew after 1, 20, 80, 320, ... frames, and prices
    of earlier frames stay as they were. `tinyvio run --chip` prices all frames at the point of the whole run.
    """

    def __init__(self, config: Config, width: int, height: int, fps: float) -> None:
        self._config, self._fps = config, fps
        self._chip = with_picture(load_chip(CHIP), width, height)
        self._technology = load_technology(TECHNOLOGY)
        self._buffers = memory_map(config, self._chip)
        measured = high_water(Counts(1, new_counts(), new_counts(), "no frame"))
        self._measured = tuple(b for b in self._buffers if b.name in measured)
        self._whole = total_kilobytes(self._buffers) - total_kilobytes(self._measured)
        self._counts: list[np.ndarray] = []
        self._held = np.zeros(len(_HELD), np.int64)
        self._tariff: Tariff | None = None
        self._next = 1
        self.kilobytes = total_kilobytes(self._buffers)
        self.modules = (*MODULES, "leakage")

    def energy(self, counts: np.ndarray) -> np.ndarray:
        """uJ (n, modules) of the next frames, counts (n, events); NaN where the chip cannot keep up with the rate or before a keyframe."""
        out = np.full((len(counts), len(self.modules)), np.nan)
        begin = 0
        while begin < len(counts):
            if len(self._counts) + 1 >= self._next:
                self._next = max(_GROWTH * self._next, _FIRST_FRAMES)
                self._set_price(counts[begin])
            end = min(len(counts), begin + self._next - 1 - len(self._counts))
            self._counts += list(counts[begin:end])
            if self._tariff is not None:
                out[begin:end] = self._tariff.price(counts[begin:end])[:, :, 1]
            begin = end
        return out

    def used(self, counts: np.ndarray) -> np.ndarray:
        """kB (n,) in use in the next frames, counts (n, events); between keyframes the window stays as full as it was."""
        return np.array([self._used(row) for row in counts])

    def _used(self, counts: np.ndarray) -> float:
        if counts[_HELD].any():
            self._held = counts[_HELD].copy()
        now = counts.copy()
        now[_HELD] = self._held
        return self._whole + used_kilobytes(self._measured, high_water(Counts(1, now, now, "one frame")))

    def _set_price(self, counts: np.ndarray) -> None:
        """By all frames so far and the next one."""
        try:
            run = from_run(np.array([*self._counts, counts]))
            self._tariff = tariff(self._config, run, self._chip, self._technology, self._fps)
        except ConfigError:  # too fast for this chip, or no keyframe yet: no price is better than a wrong one
            self._tariff = None
