"""A keyframe's solve, at work while the next frame is tracked. With one thread it is done at once; what comes out is the same bits."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from vio.events import new_counts


class Solving:
    """One piece of work at a time: `start` it, `finish` it; nothing that it writes may be read or written between the two but after `wait`."""

    def __init__(self, threads: int = 1) -> None:
        """threads: with more than one the work has a thread of its own, which starts when it is first needed and ends with this object."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="back end") if threads > 1 else None
        self._future: Future[None] | None = None
        self._ns = 0
        self.is_pending = False
        self.counts = new_counts()

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep; `wait` before."""
        return {"is_pending": False, "counts": new_counts()}

    def start(self, work: Callable[[np.ndarray], object]) -> None:
        """Begin `work(counts)`; counts: int64 by `Event`, zeros, for the work alone."""
        self.is_pending, self.counts = True, new_counts()
        if self._pool is not None:
            self._future = self._pool.submit(self._timed, work)
            return
        self._future = Future()
        try:
            self._future.set_result(self._timed(work))
        except Exception as error:  # told when it is finished, as from a thread
            self._future.set_exception(error)

    def wait(self) -> None:
        """Return when the work is done, or at once if there is none. Raises what the work raised."""
        if self._future is not None:
            future, self._future = self._future, None
            future.result()

    def finish(self, counts: np.ndarray) -> int:
        """Wait, add what the work counted to counts, and return how long it took in ns."""
        self.wait()
        self.is_pending = False
        counts += self.counts
        return self._ns

    def _timed(self, work: Callable[[np.ndarray], object]) -> None:
        begin = time.perf_counter_ns()
        work(self.counts)
        self._ns = time.perf_counter_ns() - begin
