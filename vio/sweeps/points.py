"""Points of a sweep: one configuration on one stretch of a sequence, and the key under which its outcome is kept."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vio import config as configuration
from vio.config import Config
from vio.errors import DataError
from vio.io.renderer import builtin_names
from vio.io.sequence import Sequence
from vio.runner import RunOptions, selected
from vio.sweeps.sweep_file import SweepFile, Variant

Opener = Callable[[str, bool], Sequence]  # (name, mono), as `open_sequence`
_LOOKED_AT = 8  # pictures that enter a sequence's identity


@dataclass(frozen=True)
class Stretch:
    """Part of a sequence: `opened_as` is what `open_sequence` takes, `identity` a hash of its content.

    missing: why it cannot be run, "" if it can. has_truth: whether an ATE can be expected.
    """

    sequence: str
    seed: int | None
    opened_as: str
    start: float  # s
    max_frames: int | None
    mono: bool
    identity: str = ""
    missing: str = ""
    has_truth: bool = False


@dataclass(frozen=True)
class Point:
    """One run: everything that its outcome depends on. `config` is the complete configuration as TOML, `code` the hash of the sources."""

    config: str
    stretch: Stretch
    code: str

    @cached_property
    def key(self) -> str:
        """Twenty hexadecimal digits, equal for runs that must give the same."""
        what = [self.config, self.stretch.identity, self.stretch.start, self.stretch.max_frames, self.stretch.mono, self.code]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Entry:
    """One row of the table to come: its variant, its stretch and the point that fills it (None if the stretch is missing)."""

    variant: Variant
    stretch: Stretch
    point: Point | None


@lru_cache(maxsize=1)
def code_version() -> str:
    """Sixteen hexadecimal digits over the sources of this package: a changed program shares no point with its former self."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def stretches(sweep: SweepFile, open_one: Opener) -> tuple[Stretch, ...]:
    """Sequences x seeds, each opened once for its identity.

    Raises DataError if one that is not optional cannot be run; a built-in one is rendered when it is opened first.
    """
    found = []
    for name in (*sweep.sequences, *sweep.optional):
        for seed in sweep.seeds or (None,):
            found.append(_stretch(sweep, name, seed, open_one))
    return tuple(found)


def _stretch(sweep: SweepFile, name: str, seed: int | None, open_one: Opener) -> Stretch:
    rendered = not Path(name).expanduser().exists() and name in builtin_names()
    opened_as = f"{name}@{seed}" if rendered and seed is not None else name
    start = sweep.start if rendered or seed is None else sweep.start + seed * sweep.seed_shift
    stretch = Stretch(name, seed, opened_as, start, sweep.max_frames, sweep.mono)
    try:
        sequence = open_one(opened_as, sweep.mono)
        first, last = selected(sequence, RunOptions(start, sweep.max_frames))
    except DataError as error:
        if name in sweep.optional:
            return dataclasses.replace(stretch, missing=str(error))
        raise
    return dataclasses.replace(stretch, identity=identity(sequence, first, last), has_truth=sequence.ground_truth is not None)


def identity(sequence: Sequence, first: int, last: int) -> str:
    """Sixteen hexadecimal digits over calibration, inertial data, stamps, ground truth and some pictures of frames first..last-1."""
    digest = hashlib.sha256()
    _feed(digest, [getattr(sequence, f.name) for f in dataclasses.fields(sequence) if f.name not in ("name", "load", "warnings")])
    for index in np.unique(np.linspace(first, last - 1, _LOOKED_AT).astype(int)):
        try:
            frame = sequence.load(int(index))
            _feed(digest, [frame.left, frame.right])
        except DataError:
            _feed(digest, "unreadable")
    return digest.hexdigest()[:16]


def _feed(digest: Any, value: Any) -> None:
    """Put a tree of dataclasses, sequences, arrays and plain values into a hash."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif dataclasses.is_dataclass(value):
        _feed(digest, [getattr(value, f.name) for f in dataclasses.fields(value)])
    elif isinstance(value, list | tuple):
        digest.update(f"[{len(value)}".encode())
        for inner in value:
            _feed(digest, inner)
    else:
        digest.update(repr(value).encode() + b"\0")


def point(config: Config, stretch: Stretch) -> Point:
    """The point of a configuration on a stretch, for the sources as they are now."""
    return Point(configuration.dumps(config), stretch, code_version())


def entries(sweep: SweepFile, places: tuple[Stretch, ...]) -> tuple[Entry, ...]:
    """Every variant on every stretch, stretch by stretch: neighbours share their pictures."""
    return tuple(
        Entry(variant, place, None if place.missing else point(variant.config, place))
        for place in places for variant in sweep.variants
    )  # fmt: skip
