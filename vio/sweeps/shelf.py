"""Opened sequences with their decoded pictures, kept between the points that one process runs."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace

from vio.io.sequence import Sequence
from vio.types import StereoFrame

_MOST_SEQUENCES = 16


def budget_bytes() -> int:
    """A half of the machine's memory, shared evenly among its processors; 1 GB where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (2 * (os.cpu_count() or 1))
    except (AttributeError, ValueError, OSError):
        return 10**9


class Shelf:
    """Sequences by name. Pictures stay decoded until the budget is spent; then those of the sequence not used for longest go."""

    def __init__(self, opener: Callable[[str, bool], Sequence], budget: int) -> None:
        """`opener(name, mono)` opens a sequence; `budget` in bytes of pictures."""
        self._opener, self._budget = opener, budget
        self._sequences: dict[tuple[str, bool], Sequence] = {}
        self._pictures: dict[tuple[str, bool], dict[int, StereoFrame]] = {}
        self._bytes = 0
        self._lock = threading.RLock()  # a worker of somebody's cluster may have several threads

    def open(self, name: str, mono: bool) -> Sequence:
        """The sequence, whose `load` decodes a picture only once while there is room."""
        key = (name, mono)
        with self._lock:
            sequence = self._sequences.pop(key, None) or self._opened(key)
            self._sequences[key] = sequence  # the newest is last
            if len(self._sequences) > _MOST_SEQUENCES:
                self._drop(next(iter(self._sequences)))
        return sequence

    def _opened(self, key: tuple[str, bool]) -> Sequence:
        sequence = self._opener(*key)
        self._pictures[key] = {}
        return replace(sequence, load=lambda index: self._load(key, sequence.load, index))

    def _load(self, key: tuple[str, bool], decode: Callable[[int], StereoFrame], index: int) -> StereoFrame:
        with self._lock:
            frame = self._pictures.get(key, {}).get(index)
        if frame is None:
            frame = decode(index)
            with self._lock:
                self._keep(key, index, frame)
        return frame

    def _keep(self, key: tuple[str, bool], index: int, frame: StereoFrame) -> None:
        """Keep a decoded picture if there is room, or if older sequences can make some."""
        size, kept = _size(frame), self._pictures.get(key)
        while self._bytes + size > self._budget and next(iter(self._sequences), key) != key:
            self._drop(next(iter(self._sequences)))
        if kept is not None and index not in kept and self._bytes + size <= self._budget:
            kept[index] = frame
            self._bytes += size

    def _drop(self, key: tuple[str, bool]) -> None:
        self._sequences.pop(key)
        self._bytes -= sum(map(_size, self._pictures.pop(key).values()))


def _size(frame: StereoFrame) -> int:
    return frame.left.nbytes + (0 if frame.right is None else frame.right.nbytes)
