"""The workers of a Dask cluster: who is there, who may be given work, who is left out and why."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from distributed import Client
from distributed.comm import CommClosedError

from batchvet.errors import RunError
from batchvet.runtime.proof import Asked, fault_of_worker

_LOOK_SECONDS = 3.0  #: how often workers are counted, and lost ones replaced
_PROOF_SECONDS = 60.0  #: for a worker to prove itself; one that is frozen does not
_UNFIT_SECONDS = 10.0  #: for a better worker to come, when none may be given work
_FAULTS_OF_A_SUSPECT = 3  #: tasks that failed on a worker and went well on another


@dataclass(frozen=True)
class Patience:
    """How long things may take."""

    item_s: float = 300.0  #: an item that takes longer ends its worker and is tried again, as when a worker is killed
    worker_s: float = 120.0  #: to wait for a first worker, and for one to come back when all are lost


class Crew:
    """Looks after workers.

    Parameters
    ----------
    client : distributed.Client
    patience : Patience
    n_workers : int
        That there should be; 0 when not known.
    reopen : callable
        Replaces workers that are lost, where the cluster is ours.
    """

    def __init__(self, client: Client, patience: Patience, n_workers: int, reopen: Callable[[], None]) -> None:
        self._client = client
        self._patience = patience
        self._n_workers = n_workers
        self._reopen = reopen
        self._asked: Asked | None = None
        self._tell: Callable[[str], None] = lambda text: None
        self._threads: dict[str, int] = {}  #: of those who are there, by address
        self._fit: set[str] = set()  #: that have proved themselves
        self._unfit: dict[str, str] = {}  #: that are left out, with the reason
        self._told: set[tuple[str, str]] = set()  #: of whom, and why
        self._faults: Counter[str] = Counter()  #: tasks of each that went well elsewhere
        self._looked = 0.0
        self._seen = time.monotonic()  #: when there was somebody to work

    @property
    def size(self) -> int:
        """Workers that are there or should be."""
        return max(1, self._n_workers, sum(self._threads.values()))

    @property
    def memory(self) -> int:
        """Bytes of the smallest of them; 0 when not limited."""
        return min((int(worker["memory_limit"]) for worker in self._info().values()), default=0)

    def ask(self, asked: Asked, tell: Callable[[str], None]) -> None:
        """From now on only those work who prove this; `tell` is told of those who do not.

        Raises
        ------
        RunError
            Nobody does; the message says why.
        """
        if asked != self._asked:
            self._fit.clear()
            self._unfit.clear()
        self._asked, self._tell = asked, tell
        self.wait_for_first()

    def wait_for_first(self) -> None:
        """Wait for a worker that may be given work.

        Raises
        ------
        RunError
            None came in time.
        """
        self._seen = time.monotonic()
        self.look(at_once=True)
        while not (self._fit if self._asked else self._threads):
            if time.monotonic() - self._seen > self._patience.worker_s:
                raise RunError(
                    f"no Dask worker came within {self._patience.worker_s:g} s; see the cluster's queue and its logs, "
                    "or let cluster.wait_s be longer"
                )
            with suppress(TimeoutError):
                self._client.wait_for_workers(len(self._threads) + 1, timeout=1.0)
            self.look()
            if not self._threads:
                self._looked = 0.0
        self._seen = time.monotonic()

    def choice(self, avoid: str = "") -> list[str] | None:
        """Addresses of those who may do a batch; None: everybody, as nobody is left out."""
        if not self._unfit and not avoid:
            return None
        return sorted((self._fit or set(self._threads)) - {avoid}) or sorted(self._fit) or None

    def are_gone(self, chosen: Collection[str] | None) -> bool:
        """Whether none is there of those who were chosen."""
        return chosen is not None and not set(chosen) & self._threads.keys()

    def leave_out(self, address: str, reason: str) -> None:
        """Give a worker nothing any more, and say so."""
        if address not in self._unfit and (address, reason) not in self._told:
            self._tell(f"worker {address} is left out: it {reason}")
        self._told.add((address, reason))
        self._unfit[address] = reason
        self._fit.discard(address)

    def went_well_elsewhere(self, address: str) -> None:
        """A task that failed on a worker did not on another; a few of these, and it is the worker that is at fault."""
        self._faults[address] += 1
        if self._faults[address] == _FAULTS_OF_A_SUSPECT and len(self._fit - {address}) > 0:
            self.leave_out(address, f"failed at {_FAULTS_OF_A_SUSPECT} tasks that went well elsewhere: see its logs")

    def look(self, *, at_once: bool = False) -> None:
        """Count the workers now and then; let new ones prove themselves, replace those that are lost.

        Raises
        ------
        RunError
            Nobody has been there for too long, or nobody who may be given work.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS and not at_once:
            return
        self._looked = now
        info = self._info()
        self._threads = {address: int(worker["nthreads"]) for address, worker in info.items()}
        if len(info) < self._n_workers:
            self._reopen()
        self._fit &= self._threads.keys()
        self._prove([address for address in self._threads if address not in self._fit | self._unfit.keys()])
        working = self._fit if self._asked else self._threads.keys()
        if any(info[address]["status"] == "running" for address in working):
            self._seen = now
        elif self._threads and self._unfit.keys() >= self._threads.keys() and now - self._seen > _UNFIT_SECONDS:
            reasons = sorted({self._unfit[address] for address in self._threads})
            raise RunError("no worker can be used: " + "; ".join(f"one {reason}" for reason in reasons[:3]))
        elif now - self._seen > self._patience.worker_s:
            self._give_up([worker["status"] for worker in info.values()])

    def _give_up(self, states: list[str]) -> None:
        what = (
            "all workers are paused, as their memory is full: give them more, or use fewer"
            if "paused" in states
            else f"all workers are gone and none came back within {self._patience.worker_s:g} s"
        )
        raise RunError(f"{what}; what is done is kept, run again to go on")

    def _prove(self, newcomers: list[str]) -> None:
        """Let workers prove themselves. One that goes away meanwhile, or does not answer, is asked again later."""
        if self._asked is None or not newcomers:
            return
        try:
            with scheduler_answers(self._client):
                answers = self._client.sync(_asked_of, self._client, self._asked, newcomers)
        except TimeoutError:
            return
        for address, answer in answers.items():
            if isinstance(answer, OSError):
                continue
            if isinstance(answer, Exception):
                self.leave_out(
                    address, f"cannot run batchvet ({str(answer) or type(answer).__name__}): install it there"
                )
            elif answer:
                self.leave_out(address, str(answer))
            else:
                self._fit.add(address)

    def _info(self) -> dict[str, Any]:
        """What the scheduler knows of each worker, by address."""
        with scheduler_answers(self._client):
            workers: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers


@contextmanager
def scheduler_answers(client: Client) -> Iterator[None]:
    """Turns what Dask raises when the scheduler is gone into a RunError."""
    try:
        yield
    except TimeoutError:
        if client.status == "running":
            raise
        raise _gone(client) from None
    except (CancelledError, CommClosedError, OSError) as error:
        raise _gone(client) from error


def _gone(client: Client) -> RunError:
    where = client.scheduler.address if client.scheduler is not None else "its address"
    return RunError(f"the Dask scheduler at {where} is gone; what is done is kept, start it and run again to go on")


async def _asked_of(client: Client, asked: Asked, workers: list[str]) -> dict[str, Any]:
    """By address what each worker says of itself, or the exception that it met."""
    answers = client.run(fault_of_worker, asked, workers=workers, on_error="return")
    found: dict[str, Any] = await asyncio.wait_for(answers, _PROOF_SECONDS)
    return found
