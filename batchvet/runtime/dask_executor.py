"""Work on Dask: a bounded window of batches, whatever becomes of the workers."""

from __future__ import annotations

import faulthandler
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from distributed import Client, Future, KilledWorker, wait

from batchvet.errors import RunError
from batchvet.runtime.executors import Item, Lost, Result, Work
from batchvet.vetting.threads import one_thread

BATCHES_PER_THREAD = 3  #: in flight: one at work, the others so that a worker never waits for the client
_POLL_SECONDS = 0.5  #: how often an interrupt or the loss of all workers is noticed
_REVIVE_SECONDS = 20.0  #: without any worker, before new ones are started
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


class DaskExecutor:
    """Batches on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
    item_timeout_s : float
        An item that takes longer ends its worker and is tried again, as when a worker is killed.
    worker_timeout_s : float
        How long to wait for a first worker, and for one to come back when all are lost.
    """

    def __init__(self, client: Client, *, item_timeout_s: float = 300.0, worker_timeout_s: float = 120.0) -> None:
        self._client = client
        self._item_timeout_s = item_timeout_s
        self._worker_timeout_s = worker_timeout_s
        self._n_workers = 0

    @property
    def description(self) -> str:
        threads = self._n_threads()
        return f"Dask, {threads} worker thread{'s' if threads != 1 else ''}, dashboard {self._client.dashboard_link}"

    def map(
        self, work: Work[Item, Result], items: Iterable[Item], lost: Lost[Item, Result], batch_size: int
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, result) as batches finish.

        A batch whose worker died three times is done again item by item, one at a time, so that it is known which
        item it was; that one gets `lost`.
        """
        batch = Batch(work, self._item_timeout_s)
        taken = iter(items)
        batches = iter(lambda: tuple(islice(taken, batch_size)), ())
        suspects: list[Item] = []
        for several, results in self._window(batch, batches, self._width()):
            if results is None:
                suspects.extend(several)
            else:
                yield from zip(several, results, strict=True)
        for (item,), results in self._window(batch, ((item,) for item in suspects), 1):
            yield item, lost(item) if results is None else results[0]

    def _window(
        self, batch: Callable[[Sequence[Item]], list[Any]], batches: Iterator[Sequence[Item]], width: int
    ) -> Iterator[tuple[Sequence[Item], list[Any] | None]]:
        """Each batch with its results, None when it killed its workers; never more than `width` at once."""
        waiting = iter(batches)
        in_flight: dict[Future, Sequence[Item]] = {}
        finished: deque[Future] = deque()
        try:
            while True:
                while len(in_flight) < width and (several := next(waiting, None)) is not None:
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
        without_workers = 0.0
        while True:
            if without_workers >= _REVIVE_SECONDS and without_workers % _REVIVE_SECONDS < _POLL_SECONDS:
                self._revive()
            try:
                with self._client.as_current():
                    return list(wait(futures, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                without_workers = 0.0 if self._client.nthreads() else without_workers + _POLL_SECONDS
                if without_workers > self._worker_timeout_s:
                    raise RunError(
                        f"all workers are gone and none came back within {self._worker_timeout_s:g} s; "
                        "what is done is kept, run again to go on"
                    ) from None

    def _revive(self) -> None:
        """Start new workers where the cluster is ours: a nanny gives up on a worker that dies while it starts."""
        if self._client.cluster is not None:
            self._client.cluster.scale(0)
            self._client.cluster.scale(self._n_workers)

    def _width(self) -> int:
        self.wait_for_workers()
        self._n_workers = max(self._n_workers, len(self._client.nthreads()))
        return BATCHES_PER_THREAD * max(1, self._n_threads())

    def _n_threads(self) -> int:
        return sum(map(int, self._client.nthreads().values()))

    def wait_for_workers(self) -> None:
        """Wait for a first worker.

        Raises
        ------
        RunError
            None came in time.
        """
        try:
            self._client.wait_for_workers(1, timeout=self._worker_timeout_s)
        except TimeoutError as error:
            raise RunError(
                f"no Dask worker came within {self._worker_timeout_s:g} s; see the cluster's queue and its logs"
            ) from error


def _results(future: Future) -> list[Any] | None:
    try:
        results: list[Any] = future.result(timeout=_FETCH_SECONDS)
    except KilledWorker:
        return None
    return results
