"""What a fault is: a frozen record of its parameters, which the command line reads and describes by their fields."""

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from vio.io.faults.take import Take


def choice(default: str, *others: str) -> Any:
    """A field that holds one of a few words; the first is the default."""
    return dataclasses.field(default=default, metadata={"choices": (default, *others)})


def number(default: float, meaning: str, low: float = -math.inf, high: float = math.inf) -> Any:
    """A field that holds a number of `low` to `high`."""
    return dataclasses.field(default=default, metadata={"meaning": meaning, "low": low, "high": high})


def camera() -> Any:
    """Which camera suffers."""
    return choice("both", "left", "right")


def start() -> Any:
    """Begin of the fault."""
    return number(0.0, "s after the first frame", 0.0)


def duration() -> Any:
    """Length of the fault."""
    return number(math.inf, "s", 0.0)


class Fault(ABC):
    """One fault. Subclasses are frozen dataclasses; their docstring is what `tinyvio corrupt --list` says."""

    @abstractmethod
    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """The damaged recording. Raises DataError where the recording cannot have this fault."""
