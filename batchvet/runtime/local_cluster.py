"""Worker processes on this machine: as many as its memory bears, heard by nobody else, replaced when they are lost."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask.config
from dask.system import CPU_COUNT
from distributed import LocalCluster, Nanny, Security, Status
from distributed.system import MEMORY_LIMIT

from batchvet.runtime.settings import ClusterSettings

MEMORY_PER_WORKER = 2_500_000_000  #: bytes; reading a 20 s file takes 1.1 GB
_SHARE_OF_MEMORY = 0.9  #: of this machine's, for all workers together

_SETTINGS = {
    # The default, 15 s, closes nannies that are just about to start their worker again.
    "distributed.deploy.lost-worker-timeout": "1h",
    "distributed.scheduler.worker-ttl": "2 minutes",  # one that is frozen so long is started again
}
_KEPT_FROM_WORKERS = {signal.SIGINT, signal.SIGHUP}  #: a terminal sends them to all; the client ends its workers
_DEAD = {Status.closed, Status.closing, Status.failed, Status.stopped}
_SECONDS_TO_CLOSE = 2.0
_SECONDS_TO_END = 30.0  # of all: a nanny that starts its worker again is waited for without a limit otherwise


class OurWorkers:
    """A cluster of this process: its scheduler and nannies are threads of it, its workers its children."""

    def __init__(self, settings: ClusterSettings) -> None:
        self.n_workers = n_workers(settings.workers, MEMORY_LIMIT)
        self.memory = settings.memory or int(MEMORY_LIMIT * _SHARE_OF_MEMORY / self.n_workers)  #: bytes, of a worker
        self.cluster = LocalCluster(
            n_workers=0,  # one that dies while it starts would end all
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=Security.temporary(),  # other users of this machine could run code as us
            dashboard_address="127.0.0.1:0",
            memory_limit=self.memory,
            silence_logs=logging.CRITICAL,
            preload=["batchvet.runtime.worker"],  # imported while the others start, not under the first batch
        )
        self.cluster.sync(_keep_signals)
        self.cluster.scale(self.n_workers)
        self._dead: set[int] = set()

    def reopen(self) -> None:
        """Replace workers whose nanny has given up; those that are being started again are left to it."""
        with suppress(Exception):  # whatever is wrong with one that is dead: it is looked at again
            self.cluster.sync(self._close_dead)
        self.cluster.scale(self.n_workers)

    async def _close_dead(self) -> None:
        found = {id(nanny) for nanny in self.cluster.workers.values() if _is_dead(nanny)}
        for name, nanny in list(self.cluster.workers.items()):
            given_up = nanny.status in (Status.closed, Status.failed)
            if given_up or id(nanny) in found & self._dead:  # twice in a row: it is not just changing its process
                self.cluster.workers.pop(name, None)
                with suppress(Exception):
                    await nanny.close(timeout=_SECONDS_TO_CLOSE)
        self._dead = found

    def close(self) -> None:
        """End the workers: by word, and those that have not heard of it in half a minute by force."""
        try:
            self.cluster.close(timeout=_SECONDS_TO_END)
        except TimeoutError:  # Dask's, for a worker that it kills, or ours: what is done stands
            for nanny in list(self.cluster.workers.values()):
                with suppress(OSError):
                    if nanny.pid is not None:
                        os.kill(nanny.pid, signal.SIGKILL)


def n_workers(asked: int | None, memory: int) -> int:
    """Workers on a machine of so many bytes; as many as were asked for, else one for each core that has memory."""
    return asked or max(1, min(CPU_COUNT, memory // MEMORY_PER_WORKER))


@contextmanager
def our_workers(settings: ClusterSettings) -> Iterator[OurWorkers]:
    """Workers on this machine, as configured; they are gone at the end."""
    with dask.config.set(_SETTINGS):
        workers = OurWorkers(settings)
        try:
            yield workers
        finally:
            workers.close()


async def _keep_signals() -> None:
    """What this thread does not hear, processes that it starts do not hear either."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _KEPT_FROM_WORKERS)


def _is_dead(nanny: Nanny) -> bool:
    process: Any = nanny.process
    return nanny.status in _DEAD or process is None or process.status in _DEAD
