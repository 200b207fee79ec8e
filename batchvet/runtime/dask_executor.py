"""Work on Dask: a bounded window of batches, whatever becomes of the workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future, KilledWorker, get_worker
from distributed.protocol import pickle

from batchvet.runtime.crew import Crew, Patience, scheduler_answers
from batchvet.runtime.executors import Doubtful, Item, Lost, Result, Work, never
from batchvet.runtime.proof import Asked, fault_of_worker
from batchvet.runtime.watchdog import watched
from batchvet.vetting.process import measuring

BATCHES_PER_THREAD = 3  #: in flight: one at work, the others so that a worker never waits for the client
_POLL_SECONDS = 0.5  #: how often an interrupt or the loss of all workers is noticed
_FETCH_SECONDS = 30.0  #: to fetch the results of a batch; one whose worker went with them is done again
_MOST_CHOICES = 3  #: times that a batch is given to other workers because all that might do it are gone

_proved: set[Asked] = set()  #: of this process, where it is a worker's


@dataclass(frozen=True)
class Batch:
    """Work on several items, on one worker; a hung item ends the worker, which Dask then replaces."""

    work: Callable[[Any], Any]
    timeout_s: float
    asked: Asked | None = None  #: what the worker must have proved

    def __call__(self, items: Sequence[Any]) -> tuple[str, list[Any]]:
        """The worker's address and the results. Raises UnfitWorker before anything is done."""
        worker = get_worker()
        if self.asked is not None and not _has_proved(self.asked, worker):
            raise UnfitWorker(worker.address, fault_of_worker(self.asked, worker))
        results = []
        with measuring():
            for item in items:
                with watched(self.timeout_s):
                    results.append(self.work(item))
        return worker.address, results


@lru_cache(maxsize=4)
def _unpacked(batch: bytes) -> Batch:
    found: Batch = pickle.loads(batch)
    return found


def done(batch: bytes, items: bytes) -> tuple[str, bytes]:
    """What a worker does: :class:`Batch` on items. Both come packed, and so the results go.

    The scheduler would unpack and pack again whatever it can look into: with the stars of every target that took more
    of its time than all the rest.
    """
    address, results = _unpacked(batch)(pickle.loads(items))
    return address, pickle.dumps(results)


class UnfitWorker(Exception):
    """A worker that came to work before it was seen that it must not; address and reason."""


@dataclass(frozen=True)
class _Flight:
    """A batch on its way."""

    items: Sequence[Any]
    avoid: str = ""  #: a worker whose result of it is in doubt
    workers: tuple[str, ...] | None = None  #: that may do it; None: all
    n_choices: int = 0


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
        self._asked: Asked | None = None
        self.crew = Crew(client, patience, n_workers, reopen)

    @property
    def description(self) -> str:
        n, memory = self.crew.size, self.crew.memory
        of_memory = f" of {memory / 1e9:.1f} GB" if memory else ""
        return f"Dask, {n} worker{'s' if n != 1 else ''}{of_memory}, dashboard {self._client.dashboard_link}"

    def ask(self, asked: Asked, tell: Callable[[str], None]) -> None:
        """Let only those work who prove this. Raises RunError when nobody does."""
        self._asked = asked
        self.crew.ask(asked, tell)

    def map(
        self,
        work: Work[Item, Result],
        items: Iterable[Item],
        lost: Lost[Item, Result],
        batch_size: int,
        doubtful: Doubtful[Result] = never,
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, result) as batches finish.

        A batch whose worker died three times is done again item by item, one at a time, so that it is known which
        item it was; that one gets `lost`. An item with a doubtful result is done again, on another worker where
        there is one; when that goes well, the first one may be at fault.
        """
        batch = pickle.dumps(Batch(work, self._patience.item_s, self._asked))
        taken = iter(items)
        batches = iter(lambda: tuple(islice(taken, batch_size)), ())
        suspects: list[Item] = []
        self.crew.wait_for_first()
        for several, results in self._window(batch, batches, doubtful):
            if results is not None:
                yield from zip(several, results, strict=True)
            elif len(several) == 1:
                yield several[0], lost(several[0])
            else:
                suspects.extend(several)
        for (item,), results in self._window(batch, ((item,) for item in suspects), doubtful, most=1):
            yield item, lost(item) if results is None else results[0]

    def _window(
        self,
        batch: bytes,
        batches: Iterator[Sequence[Item]],
        doubtful: Doubtful[Result] = never,
        most: int | None = None,
    ) -> Iterator[tuple[Sequence[Item], list[Any] | None]]:
        """Each batch with its results, None when it killed its workers; at once `most`, or three for each worker."""
        again: deque[_Flight] = deque()
        in_flight: dict[Future, _Flight] = {}
        finished: SimpleQueue[Future] = SimpleQueue()
        try:
            while True:
                while len(in_flight) < (most or BATCHES_PER_THREAD * self.crew.size):
                    flight = again.popleft() if again else _next_of(batches)
                    if flight is None:
                        break
                    self._submit(batch, flight, in_flight, finished)
                if not in_flight:
                    return
                for future in self._next_finished(in_flight, finished):
                    flight = in_flight.pop(future)
                    try:
                        address, results = _results(self._client, future)
                    except _DoAgain:
                        again.append(flight)
                        continue
                    except UnfitWorker as error:
                        self.crew.leave_out(*error.args)
                        again.append(flight)
                        continue
                    finally:
                        future.release()
                    if results is None:
                        yield flight.items, None
                        continue
                    good, in_doubt = self._weighed(flight, address, results, doubtful)
                    again.extend(in_doubt)
                    if good:
                        yield [item for item, _ in good], [result for _, result in good]
                for future in [future for future, flight in in_flight.items() if self.crew.are_gone(flight.workers)]:
                    flight = in_flight.pop(future)
                    future.cancel()
                    if flight.n_choices < _MOST_CHOICES:
                        again.append(flight)
                    else:
                        yield flight.items, None
        finally:
            with suppress(Exception):  # with the scheduler gone there is nothing to cancel
                for future in in_flight:
                    future.cancel()

    def _submit(
        self, batch: bytes, flight: _Flight, in_flight: dict[Future, _Flight], finished: SimpleQueue[Future]
    ) -> None:
        chosen = self.crew.choice(flight.avoid)
        with scheduler_answers(self._client):
            future = self._client.submit(done, batch, pickle.dumps(flight.items), pure=False, workers=chosen)
        workers = None if chosen is None else tuple(chosen)
        in_flight[future] = replace(flight, workers=workers, n_choices=flight.n_choices + 1)
        future.add_done_callback(finished.put)

    def _weighed(
        self, flight: _Flight, address: str, results: list[Any], doubtful: Doubtful[Any]
    ) -> tuple[list[tuple[Any, Any]], list[_Flight]]:
        """Items with results that stand, and those that are to be done again for a second opinion, which stands."""
        pairs = list(zip(flight.items, results, strict=True))
        if flight.avoid:
            if not doubtful(results[0]) and address != flight.avoid:
                self.crew.went_well_elsewhere(flight.avoid)
            return pairs, []
        good = [(item, result) for item, result in pairs if not doubtful(result)]
        return good, [_Flight((item,), avoid=address) for item, result in pairs if doubtful(result)]

    def _next_finished(self, in_flight: dict[Future, _Flight], finished: SimpleQueue[Future]) -> list[Future]:
        """Futures that are done, or none when it is time to see whose workers are gone.

        Each says itself when it is: to ask all that are in flight every time would cost a large cluster's client more
        than all the rest.
        """
        self.crew.look()
        done: list[Future] = []
        with suppress(Empty):
            done.append(finished.get(timeout=_POLL_SECONDS))
            while True:
                done.append(finished.get_nowait())
        return [future for future in dict.fromkeys(done) if future in in_flight]


class _DoAgain(Exception):
    """The results went with their worker."""


def _next_of(batches: Iterator[Sequence[Any]]) -> _Flight | None:
    several = next(batches, None)
    return None if several is None else _Flight(several)


def _results(client: Client, future: Future) -> tuple[str, list[Any] | None]:
    """Worker and results of a batch; None when it killed its workers. Raises what the work raised."""
    try:
        if future.status == "error":
            future.result()
        with scheduler_answers(client):
            address, packed = future.result(timeout=_FETCH_SECONDS)
    except KilledWorker:
        return "", None
    except TimeoutError:
        if future.status == "error":
            raise  # it is the work's own
        raise _DoAgain from None
    return address, pickle.loads(packed)


def _has_proved(asked: Asked, worker: Any) -> bool:
    """Whether this process has proved what is asked; it is asked once."""
    if asked not in _proved and not fault_of_worker(asked, worker):
        _proved.add(asked)
    return asked in _proved
