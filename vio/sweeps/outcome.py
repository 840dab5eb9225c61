"""What became of a point, and the store that keeps it: one JSON file per point, whole or absent."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vio.errors import DataError
from vio.files import LARGEST_JSON, read_text
from vio.io.writers import write_atomic


STATUSES = ("ok", "diverged", "failed", "refused")


@dataclass(frozen=True)
class Outcome:
    """status: ok, diverged, failed or refused (a configuration that the engine does not take); `reason` says why it is not ok.

    metrics: numbers that depend on nothing but the point. counts: units of work by name of the event, [over all frames, largest of a frame].
    timing: seconds and the like, of this very run.
    """

    status: str
    reason: str = ""
    metrics: dict[str, float | int | str | None] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    timing: dict[str, float | str] = field(default_factory=dict)

    @property
    def ate_m(self) -> float | None:
        """ATE RMSE in m, None without one."""
        return self.metrics.get("ate_rmse_m")


class Store:
    """Outcomes by key in a folder. Any number of processes may write to it; the last one wins, and all write the same."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is not there."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, key: str, outcome: Outcome) -> None:
        """Write an outcome at once."""
        content = {"key": key, **dataclasses.asdict(outcome)}
        write_atomic(self._path(key), (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

    def load(self, key: str) -> Outcome | None:
        """The outcome of a point, None if it has none or if its file is damaged."""
        try:
            content: Any = json.loads(read_text(self._path(key), LARGEST_JSON, DataError))
            if content.pop("key") != key:
                return None
            outcome = Outcome(**content)
        except (DataError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return outcome if _is_sound(outcome) else None

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _is_sound(outcome: Outcome) -> bool:
    """Whether everything in it is of the type it is declared with: a file may hold anything."""
    texts = isinstance(outcome.reason, str) and outcome.status in STATUSES
    tables = all(isinstance(table, dict) for table in (outcome.metrics, outcome.counts, outcome.timing))
    if not (texts and tables):
        return False
    metrics = all(_is_plain(value, True) for value in outcome.metrics.values()) and all(_is_plain(value, False) for value in outcome.timing.values())
    return metrics and all(isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and 0 <= n < 2**63 for n in pair) for pair in outcome.counts.values())


def _is_plain(value: Any, nothing: bool) -> bool:
    """A text, a finite number within reach of a float, or, where it is allowed, nothing."""
    if value is None:
        return nothing
    return isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 1e300)
