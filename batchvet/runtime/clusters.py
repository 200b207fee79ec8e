"""Opening and closing the place where tasks run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchvet.errors import ConfigError, RunError
from batchvet.runtime.executors import Executor, SerialExecutor
from batchvet.runtime.settings import ClusterSettings

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster
    from distributed import LocalCluster

_CONNECT_SECONDS = 20

#: One thread a worker does the work, so a library's own threads would only compete with the other workers.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLOSC_NTHREADS")}

_DASK_SETTINGS = {
    "distributed.scheduler.allowed-failures": 2,  # the third worker that dies under a batch is the last
    "distributed.scheduler.worker-saturation": 1.0,  # only the batch at work is blamed for a worker's death
    "distributed.worker.daemon": True,
    "distributed.worker.profile.enabled": False,  # sampled every 10 ms, and nobody looks at it
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    "distributed.logging": {"distributed": "error"},
    "logging": {"distributed": "error"},
}


@contextmanager
def open_executor(settings: ClusterSettings, *, item_timeout_s: float = 300.0) -> Iterator[Executor]:
    """An executor for the configured cluster; a cluster that was started for it is closed at the end.

    Raises
    ------
    RunError
        The scheduler does not answer, or no worker comes.
    ConfigError
        A cluster manager is asked for that is not installed.
    """
    if settings.serial:
        yield SerialExecutor()
        return
    import dask
    from distributed import Client

    from batchvet.runtime.dask_executor import DaskExecutor

    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set(_DASK_SETTINGS), _address(settings) as address:
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise RunError(f"no Dask scheduler answers at {settings.scheduler or address} ({error})") from error
        with client:
            executor = DaskExecutor(client, item_timeout_s=item_timeout_s)
            executor.wait_for_workers()
            yield executor


@contextmanager
def _address(settings: ClusterSettings) -> Iterator[object]:
    """What a client connects to; closed at the end only when it was started here."""
    if settings.scheduler:
        yield settings.scheduler
    elif settings.scheduler_file:
        yield _address_in(settings.scheduler_file)
    else:
        cluster = _slurm_cluster(settings) if settings.slurm is not None else _local_cluster(settings.workers)
        try:
            yield cluster
        finally:
            with suppress(TimeoutError):  # Dask waits 5 s for a worker that it kills; what is done stands, late or not
                cluster.close()


def _address_in(scheduler_file: Path) -> str:
    try:
        return str(json.loads(scheduler_file.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{scheduler_file}: not a Dask scheduler file; start the scheduler again") from error


def _local_cluster(workers: int | None) -> LocalCluster:
    """Processes on this machine; nothing listens beyond loopback."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers or os.cpu_count() or 1,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
        preload=["batchvet.runtime.worker"],  # imported while the others start, not under the first batch
    )


def _slurm_cluster(settings: ClusterSettings) -> SLURMCluster:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise ConfigError("cluster.slurm needs dask-jobqueue: pip install 'batchvet[slurm]'") from error
    options = {"cores": 1, "processes": 1, "memory": "4GB"} | (settings.slurm or {})
    cluster = SLURMCluster(**options)
    cluster.scale(jobs=settings.workers or 1)
    return cluster
