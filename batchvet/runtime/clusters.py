"""Opening and closing the place where tasks run."""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchvet.errors import ConfigError, RunError
from batchvet.runtime.executors import Executor, SerialExecutor
from batchvet.runtime.settings import ClusterSettings

if TYPE_CHECKING:
    from distributed import Client, Security

    from batchvet.runtime.dask_executor import DaskExecutor

_CONNECT_SECONDS = 20

#: One thread a worker does the work, so a library's own threads would only compete with the other workers.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLOSC_NTHREADS")}

_DASK_SETTINGS = {
    "distributed.scheduler.allowed-failures": 2,  # the third worker that dies under a batch is the last
    "distributed.scheduler.worker-saturation": 1.0,  # only the batch at work is blamed for a worker's death
    # A batch's memory is not Dask's to release: workers that it pauses for it wait for ever.
    **{f"distributed.worker.memory.{what}": False for what in ("target", "spill", "pause")},
    "distributed.worker.daemon": True,
    "distributed.worker.profile.enabled": False,  # sampled every 10 ms, and nobody looks at it
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    "distributed.logging": {"distributed": "error"},
    "logging": {"distributed": "error"},
}
_LOGGERS = (
    "distributed",
    "tornado.application",
    "asyncio",
)  #: of this process; what they would say is said by us, in words


@contextmanager
def open_executor(settings: ClusterSettings, *, item_timeout_s: float = 300.0) -> Iterator[Executor]:
    """An executor for the configured cluster; a cluster that was started for it is closed at the end.

    Raises
    ------
    RunError
        The scheduler does not answer, or no worker comes.
    ConfigError
        A cluster manager is asked for that is not installed, or a scheduler that anybody could listen to.
    """
    if settings.serial:
        yield SerialExecutor()
        return
    import dask
    import distributed  # noqa: F401  its defaults must be there before others are set, or they go with these

    with dask.config.set(_DASK_SETTINGS), _quiet(), _executor(settings, item_timeout_s) as executor:
        executor.crew.wait_for_first()
        yield executor


@contextmanager
def _executor(settings: ClusterSettings, item_timeout_s: float) -> Iterator[DaskExecutor]:
    """On workers that were started here, or on somebody's."""
    from batchvet.runtime.crew import Patience
    from batchvet.runtime.dask_executor import DaskExecutor

    patience = Patience(item_timeout_s, settings.wait_s)
    if settings.scheduler or settings.scheduler_file:
        address = settings.scheduler or _address_in(settings.scheduler_file or Path())
        with _connected(address, settings) as client:
            yield DaskExecutor(client, patience)
    elif settings.slurm is not None:
        from batchvet.runtime.slurm_cluster import slurm_workers

        with slurm_workers(settings) as jobs, _our_client(jobs.cluster) as client:
            yield DaskExecutor(client, patience, n_workers=jobs.n_workers, reopen=jobs.reopen)
    else:
        from batchvet.runtime.local_cluster import our_workers

        with our_workers(settings) as ours, _our_client(ours.cluster) as client:
            yield DaskExecutor(client, patience, n_workers=ours.n_workers, reopen=ours.reopen)


def _our_client(cluster: Any) -> Client:
    """A client of a cluster whose scheduler is in this process, so that what the one reaches the other does: rows come
    from the workers themselves, and are encrypted and read once, not twice."""
    from distributed import Client

    return Client(cluster, set_as_default=False, direct_to_workers=True)


@contextmanager
def _connected(address: str, settings: ClusterSettings) -> Iterator[Client]:
    """A client of a running scheduler, which stays as it is."""
    from distributed import Client

    refuse_insecure(address, settings)
    security = _security(settings)
    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False, security=security)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise RunError(f"no Dask scheduler answers at {address} ({error})") from error
    with client:
        yield client


def refuse_insecure(address: str, settings: ClusterSettings) -> None:
    """See that nobody else can listen to a scheduler, or run code as us through it.

    Raises
    ------
    ConfigError
        It is on another machine and has no TLS, and the configuration does not allow that.
    """
    protocol, _, place = address.rpartition("://")
    if protocol in ("tls", "wss", "inproc") or settings.allow_insecure or _is_loopback(place):
        return
    raise ConfigError(
        f"cluster: {address} is on another machine and has no TLS: whoever is on that network could read what is sent "
        "and run code as you; use tls:// with cluster.tls {ca, cert, key}, or, on a private network, "
        "cluster.allow_insecure: true"
    )


def _is_loopback(place: str) -> bool:
    host = place.rsplit(":", 1)[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _security(settings: ClusterSettings) -> Security | None:
    from distributed import Security

    if settings.tls is None:
        return None  # as Dask's own configuration has it
    for path in (settings.tls.ca, settings.tls.cert, settings.tls.key):
        if not path.is_file():
            raise ConfigError(f"cluster.tls: {path}: no such file")
    return Security(
        tls_ca_file=str(settings.tls.ca),
        tls_client_cert=str(settings.tls.cert),
        tls_client_key=str(settings.tls.key),
        require_encryption=True,
    )


def _address_in(scheduler_file: Path) -> str:
    try:
        return str(json.loads(scheduler_file.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{scheduler_file}: not a Dask scheduler file; start the scheduler again") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what Dask says of faults that we see ourselves."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
