"""One verdict: what was asked, how it stands, the figure, the limit, the remedy."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How an item stands."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "not measurable"


@dataclass(frozen=True)
class Verdict:
    """One item of the report. `figure` says what was found, in words; `value` is its main number, in `unit`, where there is one."""

    item: str
    level: Level
    figure: str
    limit: str = ""
    remedy: str = ""
    value: float | None = None
    unit: str = ""


def graded(value: float, warn: float, fault: float) -> Level:
    """OK below `warn`, a fault from `fault` on."""
    return Level.FAULT if value >= fault else Level.WARNING if value >= warn else Level.OK


def unknown(item: str, why: str) -> Verdict:
    """An item that this recording cannot answer."""
    return Verdict(item, Level.UNKNOWN, why)


@dataclass(frozen=True)
class Stretch:
    """A span of time in s after the recording's begin, and how many samples of it were seen."""

    begin: float
    end: float
    count: int


def told(stretches: list[Stretch], most: int = 3) -> str:
    """Stretches in words, the longest first."""
    longest = sorted(stretches, key=lambda s: s.begin - s.end)
    more = f" and {len(longest) - most} more" if len(longest) > most else ""
    return ", ".join(f"{s.begin:.2f} to {s.end:.2f} s" for s in longest[:most]) + more
