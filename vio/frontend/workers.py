"""Features shared out among threads. Kernels work on each feature alone, so the results are the same bits for any number of threads."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_PARTS = 2  # for each thread
_FEWEST = 16  # rows that are worth the way to another thread, about 50 us


class Workers:
    """The calling thread and `threads` - 1 more, which start when they are first needed and end with this object."""

    def __init__(self, threads: int = 1) -> None:
        """threads: at least 1, which is the calling thread alone."""
        self._threads = threads
        self.are_busy = False  # whether the other threads have work of their own: then only what is worth it is shared
        self._pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="features") if threads > 1 else None

    def share(self, rows: int, work: Callable[[slice, np.ndarray], None], counts: np.ndarray, is_small: bool = False) -> None:
        """Call `work(part, counts)` for parts that make up slice(0, rows), at the same time; counts: int64 by `Event`, added to.

        is_small: the work of a few ms in all, which is not shared with threads that are busy.

        work reads what it likes, and writes to the rows of its part and to its counts alone. Each thread takes the next part when it is
        done with one, so one that finds its processor busy holds up no other.
        """
        parts = min(_PARTS * self._threads, max(rows // _FEWEST, 1))
        if self._pool is None or parts == 1 or (is_small and self.are_busy):
            work(slice(0, rows), counts)
            return
        left = deque(slice(rows * k // parts, rows * (k + 1) // parts) for k in range(parts))
        theirs = [np.zeros_like(counts) for _ in range(self._threads - 1)]
        pending = [self._pool.submit(_take_parts, left, work, own) for own in theirs]
        _take_parts(left, work, counts)
        for future, own in zip(pending, theirs):
            if not future.cancel():  # one that has not even begun has nothing to give
                future.result()
                counts += own


def _take_parts(left: deque[slice], work: Callable[[slice, np.ndarray], None], counts: np.ndarray) -> None:
    """Work on one part after the other until none is left."""
    while True:
        try:
            part = left.popleft()
        except IndexError:
            return
        work(part, counts)
