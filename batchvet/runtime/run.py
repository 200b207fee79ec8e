"""A run from configuration to finished tables, from wherever an earlier one stopped."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

import batchvet
from batchvet.errors import ConfigError, RunError
from batchvet.pixels.cache import Cache
from batchvet.results.log import EventLog, now
from batchvet.results.reader import Run, open_run
from batchvet.results.schema import FORMAT_VERSION
from batchvet.results.writer import ResultRow, ResultWriter, compact, read_parts, recover, write_candidates, write_json
from batchvet.runtime.available import Problem
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.config import ClusterSettings, RunConfig, read_config, short_hash
from batchvet.runtime.executors import Executor
from batchvet.runtime.ingest import ingested
from batchvet.runtime.judge import judge, judgement_lost, judgements
from batchvet.runtime.plan import Plan, Task, make_plan
from batchvet.runtime.prf_choice import prf_directory, with_prf
from batchvet.runtime.progress import Progress, Silent
from batchvet.runtime.task import VetSettings, VetTarget, failed_rows

SUCCESS = "_SUCCESS.json"
_SECONDS_PER_BATCH = 0.5
_MOST_PER_BATCH = 32


def run(
    config: RunConfig | str | Path,
    *,
    output: str | Path | None = None,
    limit: int | None = None,
    only: tuple[int, int] | None = None,
    executor: str | None = None,
    scheduler: str | None = None,
    keep_going: bool = False,
    retry_failed: bool = False,
    refresh: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Vet a catalogue; a run that was interrupted goes on where it stopped.

    Parameters
    ----------
    config : RunConfig or path of a YAML file
    output : path, optional
        Instead of the configuration's.
    limit : int, optional
        Only the first so many targets that have something to do.
    only : (tic, sector), optional
        Only this task.
    executor : "serial" or "dask", optional
        Instead of the configuration's cluster: in this process, or workers on this machine.
    scheduler : str, optional
        Address of a running Dask scheduler, instead of the configuration's cluster.
    keep_going : bool
        Leave bad catalogue rows out, into ``OUTPUT/rejects.csv``, instead of refusing the catalogue.
    retry_failed : bool
        Do rows again that ended in an error although nothing has changed.
    refresh : bool
        Ask archives again, whatever is remembered of their answers.
    progress : Progress, optional

    Returns
    -------
    Run
        The tables. Tasks that failed are rows with ``status == "error"``.

    Raises
    ------
    ConfigError, CatalogError
        Before anything is done.
    RunError
        Another process writes this run, or the cluster is not there.
    ArchiveError
        An archive does not answer; what came is kept, run again to go on.
    """
    progress = progress or Silent()
    config = configured(config, output=output, executor=executor, scheduler=scheduler)
    with _sole_writer(config.output):
        recover(config.output)
        progress.start("Looking at files", None)
        plan = make_plan(config, keep_going=keep_going, progress=lambda n: progress.advance(), refresh=refresh)
        if plan.note:
            progress.say(plan.note)
        if only is not None and only not in {(task.tic, task.sector) for task in plan.tasks}:
            raise ConfigError(f"--only: no task of this configuration is TIC {only[0]} in sector {only[1]}")
        tasks = chosen(plan.to_do(retry_failed=retry_failed), limit, only)
        if not tasks and not plan.orphans and _is_whole(config.output):
            return open_run(config.output)
        _do(plan, tasks, progress)
    return open_run(config.output)


def ingest(
    config: RunConfig | str | Path,
    *,
    executor: str | None = None,
    keep_going: bool = False,
    refresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fill the cache only; parameters as of :func:`run`.

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
    config = configured(config, executor=executor)
    progress.start("Looking at files", None)
    plan = make_plan(config, keep_going=keep_going, progress=lambda n: progress.advance(), refresh=refresh)
    if plan.note:
        progress.say(plan.note)
    waiting = plan.to_ingest()
    ready: list[Task] = []
    if waiting:
        with open_executor(config.cluster, item_timeout_s=config.task_timeout_s) as workers:
            ready = list(ingested(waiting, config, workers, progress))
    Cache(config.cache).index()
    bad = [task for task in (*ready, *(t for t in plan.tasks if t.offer is None)) if task.problem is not None]
    failed = [task for task in bad if task.problem.kind != "missing_tpf"]
    return {
        "cached": sum(task.entry is not None and task.offer is None for task in plan.tasks),
        "ingested": sum(task.problem is None for task in ready),
        "missing": len(bad) - len(failed),
        "failed": [
            {"tic": t.tic, "sector": t.sector, "error_kind": t.problem.kind, "error": t.problem.text} for t in failed
        ],
    }


def configured(
    config: RunConfig | str | Path,
    *,
    output: str | Path | None = None,
    executor: str | None = None,
    scheduler: str | None = None,
) -> RunConfig:
    """A configuration with what the caller wants otherwise.

    Raises
    ------
    ConfigError
    """
    if not isinstance(config, RunConfig):
        config = read_config(config)
    changes: dict[str, Any] = {}
    if output is not None:
        changes["output"] = Path(output).resolve()
    if scheduler is not None:
        changes["cluster"] = ClusterSettings(scheduler=scheduler)
    elif executor == "serial":
        changes["cluster"] = ClusterSettings(serial=True)
    elif executor == "dask":
        if config.cluster.serial:
            changes["cluster"] = ClusterSettings()
    elif executor is not None:
        raise ConfigError(f"executor: {executor!r} is neither serial nor dask")
    return config.model_copy(update=changes)


def chosen(tasks: Sequence[Task], limit: int | None, only: tuple[int, int] | None) -> tuple[Task, ...]:
    """Of `tasks` those of the first `limit` targets, or `only` one (tic, sector)."""
    if only is not None:
        return tuple(task for task in tasks if (task.tic, task.sector) == only)
    if limit is not None:
        targets = set(sorted({task.tic for task in tasks})[:limit])
        return tuple(task for task in tasks if task.tic in targets)
    return tuple(tasks)


def _do(plan: Plan, tasks: tuple[Task, ...], progress: Progress) -> None:
    config = plan.config
    footer = _write_plan_file(plan)
    (config.output / SUCCESS).unlink(missing_ok=True)
    redone = {key for task in tasks for key in task.keys}
    if plan.stale or plan.orphans or (redone & plan.done):
        holds = plan.done - redone
        compact(config.output, footer, lambda toi, sector: (toi, sector) in holds)
    with EventLog(config.output / "log.jsonl") as log:
        log.write("started", tasks=len(tasks), rows_done=len(plan.done), version=batchvet.__version__)
        cluster = config.cluster if tasks else ClusterSettings(serial=True)
        with open_executor(cluster, item_timeout_s=config.task_timeout_s) as workers:
            if tasks:
                progress.say(f"Working on {workers.description}")
                _vet(plan, tasks, workers, footer, progress, log)
            _finish(plan, workers, footer, progress)
        log.write("finished")


def _vet(
    plan: Plan, tasks: Sequence[Task], workers: Executor, footer: dict[str, str], progress: Progress, log: EventLog
) -> None:
    config = plan.config
    waiting = tuple(task for task in tasks if task.offer is not None)
    ready = [task for task in tasks if task.offer is None]
    for task in ingested(waiting, config, workers, progress):
        if task.problem is not None:
            log.write("not ingested", tic=task.tic, sector=task.sector, error=task.problem.text)
        ready.append(task)
    if waiting:
        Cache(config.cache).index()
    ready = sorted(with_prf(ready, config, progress), key=lambda task: (task.tic, task.sector))
    official = prf_directory(config)
    settings = VetSettings(config.checks, config.quality_bitmask, str(official) if official else None)
    progress.start("Vetting", len(ready))
    with ResultWriter(config.output, footer) as writer:
        work = VetTarget(config.cache, settings)
        size = config.batch_size or batch_size(plan, ready)
        for _, rows in workers.map(work, ready, _killed, size):
            writer.add(rows)
            failed = sum(row.sector["status"] == "error" for row in rows)
            progress.advance(1, failed=int(failed > 0))
            for row in rows:
                said = {
                    name: row.sector.get(name) for name in ("toi", "tic", "sector", "status", "error_kind", "error")
                }
                log.write("row", **said, seconds=round(row.sector["seconds"], 4))


def _killed(task: Task) -> list[ResultRow]:
    text = (
        f"TIC {task.tic}, sector {task.sector}: its worker died three times (out of memory, or longer than "
        "task_timeout_s); try --only with --executor serial to see why"
    )
    return failed_rows(task, Problem("killed", text))


def batch_size(plan: Plan, tasks: Sequence[Task]) -> int:
    """Tasks in a batch: half a second of work, and enough batches to keep all workers busy to the end."""
    if not tasks:
        return 1
    workers = plan.config.cluster.workers or 2
    each = plan.estimated_seconds(tasks) * workers / len(tasks)
    by_time = round(_SECONDS_PER_BATCH / max(each, 1e-3))
    return max(1, min(by_time, _MOST_PER_BATCH, len(tasks) // (4 * workers) or 1))


def _finish(plan: Plan, workers: Executor, footer: dict[str, str], progress: Progress) -> None:
    """Sort the tables, judge the candidates, and say that all is there when it is."""
    output = plan.config.output
    compact(output, footer)
    sectors = read_parts(output, "sectors", ["toi", "tic", "sector", "status"]).to_pandas()
    waiting = judgements(sectors, _evidence(output))
    progress.start("Judging candidates", len(waiting))
    rows = []
    for _, row in workers.map(judge, waiting, judgement_lost, 16):
        rows.append(row)
        progress.advance()
    write_candidates(output, rows, footer)
    have = set(zip(sectors["toi"], sectors["sector"], strict=True))
    if plan.keys <= have:
        _write_success(output, sectors)


def _evidence(output: Path) -> pd.DataFrame:
    return read_parts(output, "evidence").to_pandas()


def _is_whole(output: Path) -> bool:
    """Whether the run was finished and its tables are still there."""
    try:
        files = json.loads((output / SUCCESS).read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all((output / name).exists() for name in files)


def _write_success(output: Path, sectors: pd.DataFrame) -> None:
    files = [output / "candidates.parquet", *sorted(output.glob("*/part-*.parquet"))]
    content = {
        "format_version": FORMAT_VERSION,
        "software_version": batchvet.__version__,
        "finished": now(),
        "rows": len(sectors),
        "candidates": int(sectors["toi"].nunique()),
        "status": {status: int(n) for status, n in sectors["status"].value_counts().sort_index().items()},
        "sha256": {str(f.relative_to(output)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files},
    }
    write_json(output / SUCCESS, content)


def _write_plan_file(plan: Plan) -> dict[str, str]:
    """Write ``plan.json``; returns what stands in every table's footer."""
    config = plan.config.model_dump(mode="json")
    hashes = {
        "catalog_sha256": plan.catalog.sha256,
        "settings": plan.tasks[0].hashes["settings_hash"] if plan.tasks else "",
        "tasks": short_hash([[*task.keys, task.hashes] for task in plan.tasks]),
    }
    content = {
        "format_version": FORMAT_VERSION,
        "software_version": batchvet.__version__,
        "written": now(),
        "n_tasks": len(plan.tasks),
        "n_rows": len(plan.keys),
        "n_candidates": len(plan.catalog.candidates),
        "config_file": str(plan.config.file) if plan.config.file else None,
        "config": config,
        "hashes": hashes,
    }
    write_json(plan.config.output / "plan.json", content)
    return {"plan": hashes["tasks"], "version": batchvet.__version__, "format_version": str(FORMAT_VERSION)}


@contextmanager
def _sole_writer(output: Path) -> Iterator[None]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = (output / ".lock").open("w")
    except OSError as error:
        raise RunError(f"{output}: cannot be written ({error.strerror}); choose another --output") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{output}: another batchvet run is writing here; wait for it or choose --output") from error
        yield
