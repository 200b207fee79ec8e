"""Jobs of a SLURM queue as workers: one thread a process, over TLS, submitted again when they end before the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from distributed import Status

from batchvet.errors import ConfigError, RunError
from batchvet.runtime.settings import ClusterSettings

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster

#: What workers on this machine have from their client, jobs have from their script.
_PROLOGUE = tuple(
    f"export {name}={value}"
    for name, value in {
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLOSC_NTHREADS"), "1"),
        # a batch's memory is not Dask's to release: workers that it pauses for it wait for ever
        **{f"DASK_DISTRIBUTED__WORKER__MEMORY__{what}": "False" for what in ("TARGET", "SPILL", "PAUSE")},
    }.items()
)


class SlurmWorkers:
    """A scheduler in this process, which listens to the network with certificates made for this run, and jobs."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._n_jobs = settings.workers or 1
        options = _options(settings.slurm or {})
        if not options["security"] and not settings.allow_insecure:
            raise ConfigError(
                "cluster.slurm: without security whoever is on the network could run code as you; leave it out, or, "
                "on a private network, set cluster.allow_insecure: true"
            )
        self.n_workers = self._n_jobs * options["processes"]
        self.cluster = _opened(options)

    def reopen(self) -> None:
        """Submit jobs again that have ended, as when their time was up; those that wait in the queue are left to it."""
        self._forget_refused()
        with suppress(Exception):  # whatever the queue says now: it is asked again
            self.cluster.scale(jobs=self._n_jobs)

    def _forget_refused(self) -> None:
        """Dask takes a job that the queue refused for one that is there, and does not end in peace."""
        for name, job in list(self.cluster.workers.items()):
            if job.job_id is None:
                job.status = Status.failed
                self.cluster.workers.pop(name, None)

    def close(self) -> None:
        """Cancel the jobs, and delete the certificates that they were given."""
        self._forget_refused()
        with suppress(TimeoutError):
            self.cluster.close()
        for name in ("ca_file", "cert", "key"):
            if (file := getattr(self.cluster, f"_job_{name}", None)) is not None:
                file.close()

    async def submit(self) -> None:
        """Submit all jobs. Raises what the queue says."""
        self.cluster.scale(jobs=self._n_jobs)
        await self.cluster._correct_state()


@contextmanager
def slurm_workers(settings: ClusterSettings) -> Iterator[SlurmWorkers]:
    """Workers of a queue; their jobs are cancelled at the end.

    Raises
    ------
    ConfigError
        dask-jobqueue or SLURM is not there, or does not know an option.
    RunError
        The queue refuses the jobs.
    """
    workers = SlurmWorkers(settings)
    try:
        try:
            workers.cluster.sync(workers.submit)
        except (RuntimeError, ValueError, OSError) as error:
            raise RunError(f"cluster.slurm: the queue takes no job: {_last_line(error)}") from error
        yield workers
    finally:
        workers.close()


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """What dask-jobqueue is told: what stands in the configuration, and what a run needs besides."""
    usual = {"cores": 1, "memory": "4GB", "security": True, "shared_temp_directory": str(Path.home())}
    options: dict[str, Any] = {**usual, **given}
    options.setdefault("processes", options["cores"])  # one thread each
    options["scheduler_options"] = {"dashboard_address": "127.0.0.1:0"} | options.get("scheduler_options", {})
    options["worker_extra_args"] = ["--dashboard-address", "127.0.0.1:0", *options.get("worker_extra_args", [])]
    options["job_script_prologue"] = [*_PROLOGUE, *options.get("job_script_prologue", [])]
    return options


def _opened(options: dict[str, Any]) -> SLURMCluster:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise ConfigError("cluster.slurm needs dask-jobqueue: pip install 'batchvet[slurm]'") from error
    if unknown := sorted(options.keys() - _known_options()):
        raise ConfigError(f"cluster.slurm: dask_jobqueue.SLURMCluster does not know {', '.join(unknown)}")
    if which("sbatch") is None:
        raise ConfigError("cluster.slurm: there is no sbatch here; run where jobs can be submitted, as on a head node")
    try:
        return SLURMCluster(**options)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"cluster.slurm: {_last_line(error)}") from error


def _known_options() -> set[str]:
    from dask_jobqueue.core import Job, JobQueueCluster
    from dask_jobqueue.slurm import SLURMJob

    return {name for each in (Job, JobQueueCluster, SLURMJob) for name in signature(each.__init__).parameters}


def _last_line(error: Exception) -> str:
    """The end of what was said; before it stand the script and the options, which may hold secrets."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.endswith(":")]
    return lines[-1] if lines else type(error).__name__
