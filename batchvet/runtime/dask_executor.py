"""Work on Dask: a bounded window of batches, whatever becomes of the workers."""

from __future__ import annotations

import faulthandler
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from distributed import Client, Future, KilledWorker, wait

from batchvet.errors import RunError
from batchvet.runtime.executors import Item, Lost, Result, Work
from batchvet.vetting.threads import one_thread

BATCHES_PER_THREAD = 3  #: in flight: one at work, the others so that a worker never waits for the client
_POLL_SECONDS = 0.5  #: how often an interrupt or the loss of all workers is noticed
_LOOK_SECONDS = 3.0  #: how often workers are counted, and lost ones replaced
_FETCH_SECONDS = 30.0  #: to fetch the results of a batch; one whose worker went with them is done again


@dataclass(frozen=True)
class Batch:
    """Work on several items, on one worker; a hung item ends the worker, which Dask then replaces."""

    work: Callable[[Any], Any]
    timeout_s: float

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        with open(os.devnull, "w") as nowhere, one_thread():
            results = []
            for item in items:
                faulthandler.dump_traceback_later(self.timeout_s, exit=True, file=nowhere)
                try:
                    results.append(self.work(item))
                finally:
                    faulthandler.cancel_dump_traceback_later()
            return results


@dataclass(frozen=True)
class Patience:
    """How long things may take."""

    item_s: float = 300.0  #: an item that takes longer ends its worker and is tried again, as when a worker is killed
    worker_s: float = 120.0  #: to wait for a first worker, and for one to come back when all are lost


class DaskExecutor:
    """Batches on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
    patience : Patience
    n_workers : int, optional
        That there should be.
    reopen : callable, optional
        Replaces workers that are lost, where the cluster is ours.
    """

    def __init__(
        self, client: Client, patience: Patience, *, n_workers: int = 0, reopen: Callable[[], None] = lambda: None
    ) -> None:
        self._client = client
        self._patience = patience
        self._n_workers = n_workers
        self._reopen = reopen
        self._n_threads = 0  #: when they were counted last
        self._looked = self._seen = time.monotonic()  #: when workers were counted, and when there was one

    @property
    def description(self) -> str:
        n = max(self._n_workers, self._n_threads)
        memory = min((int(worker["memory_limit"]) for worker in self._workers().values()), default=0)
        of_memory = f" of {memory / 1e9:.1f} GB" if memory else ""
        return f"Dask, {n} worker{'s' if n != 1 else ''}{of_memory}, dashboard {self._client.dashboard_link}"

    def map(
        self, work: Work[Item, Result], items: Iterable[Item], lost: Lost[Item, Result], batch_size: int
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, result) as batches finish.

        A batch whose worker died three times is done again item by item, one at a time, so that it is known which
        item it was; that one gets `lost`.
        """
        batch = Batch(work, self._patience.item_s)
        taken = iter(items)
        batches = iter(lambda: tuple(islice(taken, batch_size)), ())
        suspects: list[Item] = []
        self.wait_for_workers()
        for several, results in self._window(batch, batches):
            if results is None:
                suspects.extend(several)
            else:
                yield from zip(several, results, strict=True)
        for (item,), results in self._window(batch, ((item,) for item in suspects), most=1):
            yield item, lost(item) if results is None else results[0]

    def _window(
        self, batch: Callable[[Sequence[Item]], list[Any]], batches: Iterator[Sequence[Item]], most: int | None = None
    ) -> Iterator[tuple[Sequence[Item], list[Any] | None]]:
        """Each batch with its results, None when it killed its workers; at once `most`, or three for each worker."""
        waiting = iter(batches)
        in_flight: dict[Future, Sequence[Item]] = {}
        finished: deque[Future] = deque()
        try:
            while True:
                while len(in_flight) < (most or self._width()) and (several := next(waiting, None)) is not None:
                    in_flight[self._client.submit(batch, several, pure=False)] = several
                if not in_flight:
                    return
                finished.extend(self._next_finished(list(in_flight)))
                while finished:
                    future = finished.popleft()
                    several = in_flight.pop(future)
                    try:
                        results = _results(future)
                    except TimeoutError:
                        if future.status == "error":
                            raise  # it is the work's own
                        in_flight[self._client.submit(batch, several, pure=False)] = several
                        continue
                    finally:
                        future.release()
                    yield several, results
        finally:
            for future in in_flight:
                future.cancel()

    def _next_finished(self, futures: list[Future]) -> list[Future]:
        while True:
            self._look_after_workers()
            with suppress(TimeoutError), self._client.as_current():
                return list(wait(futures, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED").done)

    def _look_after_workers(self) -> None:
        """Count the workers now and then; replace those that are lost.

        Raises
        ------
        RunError
            None has been there for too long, or none that works.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        workers = self._workers().values()
        self._n_threads = sum(worker["nthreads"] for worker in workers)
        states = [worker["status"] for worker in workers]
        n_running = states.count("running")
        if len(states) < self._n_workers:
            self._reopen()
        if n_running:
            self._seen = now
        elif now - self._seen > self._patience.worker_s:
            what = (
                "all workers are paused, as their memory is full: give them more, or use fewer"
                if "paused" in states
                else f"all workers are gone and none came back within {self._patience.worker_s:g} s"
            )
            raise RunError(f"{what}; what is done is kept, run again to go on")

    def _width(self) -> int:
        return BATCHES_PER_THREAD * max(1, self._n_workers, self._n_threads)

    def wait_for_workers(self) -> None:
        """Wait for a first worker.

        Raises
        ------
        RunError
            None came in time.
        """
        end = time.monotonic() + self._patience.worker_s
        while not self._client.nthreads():
            self._looked = time.monotonic()
            if self._looked > end:
                raise RunError(
                    f"no Dask worker came within {self._patience.worker_s:g} s; see the cluster's queue and its logs, "
                    "or let cluster.wait_s be longer"
                )
            with suppress(TimeoutError):
                self._client.wait_for_workers(1, timeout=min(_LOOK_SECONDS, self._patience.worker_s))
            if not self._client.nthreads():
                self._reopen()
        self._seen = time.monotonic()
        self._n_threads = sum(map(int, self._client.nthreads().values()))

    def _workers(self) -> dict[str, Any]:
        """What the scheduler knows of each worker, by address."""
        workers: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers


def _results(future: Future) -> list[Any] | None:
    try:
        results: list[Any] = future.result(timeout=_FETCH_SECONDS)
    except KilledWorker:
        return None
    return results
