"""The cluster of a sweep: points go to the workers of dask.distributed, outcomes come back and are written at once.

The only module that imports dask. A local cluster has one process per core with one thread each, listens on the loopback alone and
has no dashboard; any other cluster is reached by the address of its scheduler.
"""

import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, WorkerPlugin, get_worker

from vio.errors import TinyvioError
from vio.io.progress import Progress
from vio.sweeps.one_run import Mismatch, run_point
from vio.sweeps.outcome import Outcome, Store
from vio.sweeps.points import Point

_PATIENCE = 10.0  # s until a scheduler has answered
_WORKER_PATIENCE = 20.0  # s until it has a worker
_POLL = 0.2  # s between looks at Ctrl-C
_FORGIVEN = 2  # deaths of a worker per point; the next one gives the point up


class ClusterError(TinyvioError):
    """The cluster cannot be reached or went away. What was finished is kept."""


class _Undisturbed(WorkerPlugin):
    """A worker that replaces a dead one hears the terminal's Ctrl-C; ending it is its parent's business."""

    name = "tinyvio-undisturbed"

    def setup(self, worker: Any) -> None:
        """Called in the worker's process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def local(workers: int) -> Iterator[Client]:
    """A cluster of `workers` processes on this machine; a worker that dies is replaced."""
    with _settings():
        with _deaf():
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, memory_limit=None, host="127.0.0.1",
                dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}, silence_logs=logging.CRITICAL,
            )  # fmt: skip
        client = Client(cluster)
        try:
            client.register_plugin(_Undisturbed())
            yield client
        finally:
            threading.Thread(target=_close, args=(client, cluster)).start()  # the tables need not wait for it, the interpreter's end does


def _close(client: Client, cluster: LocalCluster) -> None:
    """End a cluster that has nothing left to say; one that does not answer is ended with this process."""
    for each in (client, cluster):
        with suppress(OSError):
            each.close()


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C is not heard within, nor by processes that are born within."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def remote(address: str) -> Iterator[Client]:
    """A cluster that is there already. Raises ClusterError if nobody answers, or if it has no worker."""
    with _settings():
        try:
            client = Client(address, timeout=_PATIENCE)
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(f"--scheduler {address}: no scheduler answers there ({_first_line(error)}); start one with `dask scheduler`") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=_WORKER_PATIENCE)
            except TimeoutError:
                raise ClusterError(f"--scheduler {address}: it has no worker; start some with `dask worker {address} --nthreads 1`") from None
            yield client


@contextmanager
def _settings() -> Iterator[None]:
    """Quiet, without dask's own measurements, and a worker's death is forgiven (a scheduler that was there before has its own number)."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": _FORGIVEN,
        "distributed.comm.timeouts.connect": _PATIENCE,
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "500 ms",
        "distributed.admin.system-monitor.interval": "10 s",
        "distributed.scheduler.active-memory-manager.start": False,
        "distributed.scheduler.worker-saturation": 1.0,  # a point that waits for a busy worker would leave another one idle at the end
    }
    with dask.config.set(settings):
        yield


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def evaluate(
    client: Client,
    points: Iterable[Point],
    store: Store,
    told: Callable[[str, Outcome], Iterable[Point]] = lambda key, outcome: (),
    stop: Callable[[], bool] = lambda: False,
    watch: Progress = lambda done, total: None,
) -> dict[str, Outcome]:
    """Run what the store does not have; returns outcomes by key. `told` may answer an outcome with more points.

    `watch(done, total)` hears of each outcome; `stop()` true ends it early. Raises ClusterError and Mismatch.
    """
    work = _Work(client, store, told)
    work.take(points)
    watch(len(work.outcomes), work.total)
    while work.futures and not stop():
        if work.wait():
            watch(len(work.outcomes), work.total)
    work.give_up()
    return work.outcomes


class _Work:
    """Points under way and outcomes so far."""

    def __init__(self, client: Client, store: Store, told: Callable[[str, Outcome], Iterable[Point]]) -> None:
        self._client, self._store, self._told = client, store, told
        self.futures: dict[str, Future] = {}
        self.outcomes: dict[str, Outcome] = {}
        self._finished: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def total(self) -> int:
        """Points finished and under way."""
        return len(self.outcomes) + len(self.futures)

    def take(self, points: Iterable[Point]) -> None:
        """Look points up in the store, and hand in those that it does not have."""
        todo = list(points)
        while todo:
            point = todo.pop(0)
            if point.key in self.futures or point.key in self.outcomes:
                continue
            outcome = self._store.load(point.key)
            if outcome is None:
                self._submit(point)
            else:
                self.outcomes[point.key] = outcome
                todo.extend(self._told(point.key, outcome))

    def _submit(self, point: Point) -> None:
        # pure=False: the store is what remembers, not the scheduler
        future = self._client.submit(_on_worker, point, pure=False)
        self.futures[point.key] = future
        future.add_done_callback(lambda _: self._finished.put(point.key))

    def wait(self) -> bool:
        """Wait a moment for the next outcome and take it in; returns whether one came."""
        try:
            key = self._finished.get(timeout=_POLL)
        except queue.Empty:
            if self._client.status not in ("running", "connecting"):
                raise ClusterError("the scheduler went away; the finished points are kept, run the sweep again for the others") from None
            return False
        outcome = self._outcome(self.futures.pop(key), key)
        self.outcomes[key] = outcome
        self.take(self._told(key, outcome))
        return True

    def _outcome(self, future: Future, key: str) -> Outcome:
        """The result of a finished run, written to the store; a run that was never finished is not written, so that it is tried again."""
        if future.cancelled():
            raise ClusterError("the scheduler went away; the finished points are kept, run the sweep again for the others")
        error = future.exception()
        if isinstance(error, Mismatch):
            raise error
        if isinstance(error, ImportError):
            raise ClusterError(f"a worker cannot load tinyvio ({_first_line(error)}); install the same version everywhere")
        if error is not None:
            died = isinstance(error, KilledWorker)
            return Outcome("failed", f"its worker died {error.allowed_failures + 1} times" if died else f"{type(error).__name__}: {_first_line(error)}")
        outcome = future.result()
        self._store.save(key, outcome)
        return outcome

    def give_up(self) -> None:
        """Forget what is under way."""
        if self.futures:
            self._client.cancel(list(self.futures.values()), force=True)


def _on_worker(point: Point) -> Outcome:
    """In the worker's process: one point, one thread."""
    import dataclasses

    import cv2

    cv2.setNumThreads(1)
    outcome = run_point(point)
    return dataclasses.replace(outcome, timing={**outcome.timing, "worker": str(get_worker().address)})
