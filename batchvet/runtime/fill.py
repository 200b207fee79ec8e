"""The cache only: what ``batchvet ingest`` does."""

from __future__ import annotations

from typing import Any

from batchvet.pixels.cache import Cache
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.config import RunConfig
from batchvet.runtime.ingest import IngestFile, ingested
from batchvet.runtime.progress import Progress, Silent
from batchvet.runtime.run import RunOptions, planned
from batchvet.runtime.tasks import Cached, Missing, Offered, Task
from batchvet.vetting.rows import SKIPPED_FOR


def ingest(config: RunConfig, options: RunOptions = RunOptions(), progress: Progress | None = None) -> dict[str, Any]:
    """Fill the cache with what the plan of `config` needs.

    Parameters
    ----------
    config : RunConfig
    options : RunOptions
        Of which `keep_going` and `refresh` count.
    progress : Progress, optional

    Returns
    -------
    dict
        ``cached`` before, ``ingested`` now, ``missing``, and ``failed``: a list of {tic, sector, error_kind, error}.

    Raises
    ------
    ConfigError, CatalogError, RunError
    ArchiveError
        An archive does not answer; what came is in the cache.
    """
    progress = progress or Silent()
    plan = planned(config, options, progress)
    arrived: list[Task] = []
    if waiting := plan.to_ingest():
        with open_executor(config.cluster, item_timeout_s=config.task_timeout_s) as workers:
            workers.ask(config.asked(waiting), progress.say)
            work = IngestFile(config.worker_cache, config.flux_err)
            arrived = list(ingested(waiting, work, config.downloads, workers, progress))
    Cache(config.cache).index()  # opens what is new once, and keeps it for the next plan
    bad = [
        (task, task.pixels.problem)
        for task in (*arrived, *(task for task in plan.tasks if not isinstance(task.pixels, Offered)))
        if isinstance(task.pixels, Missing)
    ]
    failed = [(task, problem) for task, problem in bad if problem.kind not in SKIPPED_FOR]
    return {
        "cached": sum(isinstance(task.pixels, Cached) for task in plan.tasks),
        "ingested": sum(isinstance(task.pixels, Cached) for task in arrived),
        "missing": len(bad) - len(failed),
        "failed": [
            {"tic": task.tic, "sector": task.sector, "error_kind": problem.kind, "error": problem.text}
            for task, problem in failed
        ],
    }
