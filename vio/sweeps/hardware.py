"""Memory and energy of a point on a chip, by the hardware model; nothing where this installation has none."""

import dataclasses
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec

import numpy as np

from vio.config import Config
from vio.errors import ConfigError
from vio.events import Event
from vio.sweeps.outcome import Outcome

CHIP, TECHNOLOGY = "navion", "65nm-lstp"


@lru_cache(maxsize=1)
def is_available() -> bool:
    """Whether there is a hardware model."""
    return find_spec("hwmodel") is not None and find_spec("hwmodel.energy") is not None


def costs(config: Config, outcome: Outcome) -> dict[str, float | None]:
    """`memory_kb` (on chip, 1024 bytes) and `energy_uj_per_frame` at 20 frames/s, the nominal values; None without counts to price.

    The chip is `CHIP` with pictures of the sequence's size, in `TECHNOLOGY`. Empty without a hardware model.
    """
    if not is_available():
        return {}
    found: dict[str, float | None] = {"memory_kb": None, "energy_uj_per_frame": None}
    if not outcome.counts:
        return found
    from hwmodel.chip import load_chip
    from hwmodel.counts import Counts
    from hwmodel.energy import evaluate
    from hwmodel.memory import memory_map, total_kilobytes
    from hwmodel.technology import load_technology

    chip = dataclasses.replace(load_chip(CHIP), image_width=outcome.metrics["image_width"], image_height=outcome.metrics["image_height"])
    found["memory_kb"] = total_kilobytes(memory_map(config, chip))
    total, largest = np.array([outcome.counts[event.name] for event in Event], np.int64).T
    counts = Counts(int(outcome.metrics["frames"]), total, largest, "a point of a sweep")
    with suppress(ConfigError, ZeroDivisionError):  # counts that no whole flight gives, as of a run that broke off
        found["energy_uj_per_frame"] = evaluate(config, counts, load_technology(TECHNOLOGY), chip).per_frame_uJ.nominal
    return found
