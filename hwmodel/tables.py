"""The published tables in hwmodel/data, read once; every row keeps its source."""

import csv
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from vio.config import ConfigError, read_toml

DATA = Path(__file__).resolve().parent / "data"


class Band(NamedTuple):
    """A value with its uncertainty: the published tables differ, and the difference is carried to the end."""

    low: float
    nominal: float
    high: float

    def __add__(self, other: "Band") -> "Band":  # type: ignore[override]
        """Sum, bound by bound: the errors of one table are common to all its entries, so they do not average out."""
        return Band(self.low + other.low, self.nominal + other.nominal, self.high + other.high)

    def times(self, factor: float) -> "Band":
        """All three bounds times a factor >= 0."""
        return Band(self.low * factor, self.nominal * factor, self.high * factor)


NOTHING = Band(0.0, 0.0, 0.0)


def around(low: float, high: float) -> Band:
    """A band whose nominal value is the geometric mean of its ends."""
    return Band(low, (low * high) ** 0.5, high)


@lru_cache(maxsize=16)
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Rows of a CSV table of hwmodel/data, by column name."""
    with open(DATA / name, newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


def find_toml(kind: str, name: str) -> Path:
    """Path of a named file of hwmodel/data/<kind>, or of a user's file. Raises ConfigError listing the known names."""
    if name.endswith(".toml") or "/" in name:
        return Path(name).expanduser()
    path = DATA / kind / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml")))
        raise ConfigError(f"'{name}' is none of the known {kind}: {known}; or give a path to a TOML file")
    return path
