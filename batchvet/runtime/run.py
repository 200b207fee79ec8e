"""A run from configuration to finished tables, from wherever an earlier one stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import batchvet
from batchvet.errors import ConfigError
from batchvet.pixels.cache import Cache
from batchvet.pixels.sources import Asking
from batchvet.results.candidate_rows import CandidateRows
from batchvet.results.compaction import compact, recover
from batchvet.results.directory import REJECTS, sole_writer, write_plan
from batchvet.results.log import EventLog
from batchvet.results.ours import refuse_other_directory
from batchvet.results.reader import RunResults
from batchvet.results.row_index import row_index
from batchvet.results.run_calibration import calibration_of
from batchvet.results.success import is_whole, refuse_altered, withdraw_success, write_success
from batchvet.results.writer import ResultWriter
from batchvet.runtime.chunks import Chunk, ChunkRows, VetChunk, chunks, killed_rows
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.config import RunConfig
from batchvet.runtime.executors import Executor
from batchvet.runtime.hashes import short_hash
from batchvet.runtime.ingest import IngestFile, ingested
from batchvet.runtime.judging import COLUMNS, Standing, judge_all, open_judgements, standings
from batchvet.runtime.plan import Plan, make_plan, with_prf
from batchvet.runtime.prf_choice import PrfFiles
from batchvet.runtime.progress import Progress, Silent
from batchvet.runtime.settings import ClusterSettings
from batchvet.runtime.tasks import Missing, Offered, Task, chosen
from batchvet.runtime.worker import VetTask
from batchvet.vetting.judge import Judge
from batchvet.vocabulary import FINAL_FAULTS, Status

_SECONDS_PER_BATCH = 0.5
_MOST_PER_BATCH = 32
_FEW_TO_JUDGE = 64  #: in this process: workers take longer to start
_LOGGED = ("toi", "tic", "sector", "status", "error_kind", "error")  #: what the log says of a row


@dataclass(frozen=True)
class RunOptions:
    """Which part of a configuration's work is done this time."""

    limit: int | None = None  #: only the first so many targets that have something to do
    only: tuple[int, int] | None = None  #: only this task, (TIC, sector)
    keep_going: bool = False  #: leave bad catalogue rows out instead of refusing the catalogue
    retry_failed: bool = False  #: do rows again that ended in an error although nothing has changed
    refresh: bool = False  #: ask archives again, whatever is remembered of their answers
    strict: bool = False  #: refuse a published list too for a row that cannot be vetted


@dataclass(frozen=True)
class _Output:
    """Where a run writes, and whom it tells."""

    directory: Path
    footer: dict[str, str]  #: of every table
    log: EventLog
    progress: Progress

    def tell(self, text: str) -> None:
        """Say something to people, and in the log."""
        self.progress.say(text)
        self.log.write("note", text=text)


def run(config: RunConfig, options: RunOptions = RunOptions(), progress: Progress | None = None) -> RunResults:
    """Vet the catalogue of a configuration; what ``batchvet.run`` and the command line call. Raises as that."""
    progress = progress or Silent()
    directory = config.output
    refuse_other_directory(directory)
    with sole_writer(directory):
        recover(directory)
        refuse_altered(directory)
        judge = Judge(config.priors(), calibration_of(directory))
        plan = planned(config, options, progress)
        if options.only is not None and options.only not in {(task.tic, task.sector) for task in plan.tasks}:
            tic, sector = options.only
            raise ConfigError(f"--only: no task of this configuration is TIC {tic} in sector {sector}")
        tasks = chosen(plan.to_do(retry_failed=options.retry_failed), options.limit, options.only)
        if tasks or plan.rows.orphans or not is_whole(directory, judge.settings):
            footer = _write_plan(plan, config)
            _make_room(plan, tasks, footer)
            with EventLog(directory) as log:
                _do(plan, tasks, config, judge, _Output(directory, footer, log, progress))
    return RunResults(directory)


def planned(config: RunConfig, options: RunOptions, progress: Progress) -> Plan:
    """The plan, made while `progress` is told of it. Raises as :func:`.plan.make_plan`."""
    asking = Asking(refresh=options.refresh, progress=lambda n: progress.advance())
    rejects = config.output / REJECTS if options.keep_going else None
    plan = make_plan(
        config,
        keep_going=options.keep_going,
        strict=options.strict,
        asking=asking,
        rejects=rejects,
        progress=progress,
    )
    if plan.note:
        progress.say(plan.note)
    return plan


def batch_size(plan: Plan, tasks: Sequence[Task]) -> int:
    """Tasks in a batch: half a second of work, and enough batches to keep all workers busy to the end."""
    if not tasks:
        return 1
    each = plan.estimated_seconds(tasks) * plan.n_workers / len(tasks)
    by_time = round(_SECONDS_PER_BATCH / max(each, 1e-3))
    return max(1, min(by_time, _MOST_PER_BATCH, len(tasks) // (4 * plan.n_workers) or 1))


def _write_plan(plan: Plan, config: RunConfig) -> dict[str, str]:
    """Write the plan file; returns what stands in every table's footer."""
    hashes = {
        "catalog_sha256": plan.catalog.sha256,
        "settings": plan.tasks[0].settings_hash if plan.tasks else "",
        "tasks": short_hash([[*task.keys, task.hashes] for task in plan.tasks]),
    }
    content = {
        "n_tasks": len(plan.tasks),
        "n_rows": len(plan.keys),
        "n_candidates": plan.catalog.size,
        "config_file": str(config.file) if config.file else None,
        "config": config.as_json(),
        "hashes": hashes,
    }
    return write_plan(config.output, content, hashes["tasks"])


def _make_room(plan: Plan, tasks: Sequence[Task], footer: dict[str, str]) -> None:
    """Take away the rows that no longer hold or are done again."""
    withdraw_success(plan.output)
    redone = {key for task in tasks for key in task.keys}
    if plan.rows.stale or plan.rows.orphans or (redone & plan.rows.done):
        holds = plan.rows.done - redone
        compact(plan.output, footer, lambda toi, sector: (toi, sector) in holds)


def _do(plan: Plan, tasks: Sequence[Task], config: RunConfig, judge: Judge, output: _Output) -> None:
    """Hand the parts of the configuration to those who need them."""
    output.log.write("started", tasks=len(tasks), rows_done=len(plan.rows.done), version=batchvet.__version__)
    cluster = config.cluster if tasks or _needs_workers(judge, output) else ClusterSettings(serial=True)
    if cluster.allow_insecure:
        output.log.write("note", text="cluster.allow_insecure: what goes to the workers is not encrypted")
    with open_executor(cluster, item_timeout_s=config.task_timeout_s) as workers:
        if tasks:
            workers.ask(config.asked(tasks), output.tell)
            output.progress.say(f"Working on {workers.description}")
            fill = IngestFile(config.worker_cache)
            arriving = ingested(tasks, fill, config.downloads, workers, output.progress)
            ready = _all_there(tasks, arriving, Cache(config.cache), output.log)
            prf_files = PrfFiles(config.prf_choice, config.science_settings(), ask=True)
            ready = with_prf(ready, prf_files)
            if prf_files.note:
                output.progress.say(prf_files.note)
            workers.ask(config.asked(ready), output.tell)
            work = VetChunk(VetTask(config.worker_cache, config.vet_settings()), judge)
            _vet(plan, ready, work, config.batch_size or batch_size(plan, ready), workers, output)
        _finish(plan, judge, workers, output)
    output.log.write("finished")


def _all_there(tasks: Sequence[Task], arriving: Iterable[Task], cache: Cache, log: EventLog) -> list[Task]:
    """The tasks, sorted, when those that were offered have arrived in the cache or are known not to come."""
    ready = [task for task in tasks if not isinstance(task.pixels, Offered)]
    arrived = list(_logged(arriving, log))
    if arrived:
        cache.index()  # opens what is new once, and keeps it for the next plan
    return sorted([*ready, *arrived], key=lambda task: (task.tic, task.sector))


def _logged(arriving: Iterable[Task], log: EventLog) -> Iterator[Task]:
    for task in arriving:
        if isinstance(task.pixels, Missing):
            log.write("not ingested", tic=task.tic, sector=task.sector, error=task.pixels.problem.text)
        yield task


def _vet(plan: Plan, tasks: Sequence[Task], work: VetChunk, size: int, workers: Executor, output: _Output) -> None:
    """Make the rows of `tasks`, and judge the candidates that are whole with them."""
    output.progress.start("Vetting", sum(len(task.candidates) for task in tasks))
    candidates = CandidateRows(output.directory, output.footer)
    suspects: list[Task] = []
    with ResultWriter(output.directory, output.footer) as writer, _closing_with(candidates.flush):

        def keep(made: ChunkRows) -> None:
            writer.add(made.rows)
            if made.candidates is not None:
                candidates.add(made.candidates)
            for row in made.rows.tables["sectors"].select([*_LOGGED, "seconds"]).to_pylist():
                output.log.write("row", **{**row, "seconds": round(row["seconds"], 4)})
                output.progress.advance(1, failed=int(row["status"] == Status.ERROR))

        for chunk, made in workers.map(work, chunks(tasks, size, plan.tasks), lambda chunk: None, 1, _is_in_doubt):
            if made is None:  # one of its tasks kills workers: which?
                suspects += chunk.tasks
            else:
                keep(made)
        alone = (Chunk((task,)) for task in suspects)
        for _, made in workers.map(work, alone, killed_rows, 1, _is_in_doubt):
            keep(made)


def _is_in_doubt(made: ChunkRows | None) -> bool:
    return made is not None and made.in_doubt


@contextmanager
def _closing_with(flush: Callable[[], None]) -> Iterator[None]:
    """Keep what was taken, however it ends."""
    try:
        yield
    finally:
        flush()


def _finish(plan: Plan, judge: Judge, workers: Executor, output: _Output) -> None:
    """Sort the tables, judge the candidates whose evidence is new, and say that all is there when it is."""
    compact(output.directory, output.footer)
    rows = CandidateRows(output.directory, output.footer)
    index = row_index(output.directory, COLUMNS)
    every, known = list(standings(index, judge)), rows.known()
    waiting = _changed(every, known)
    output.progress.start("Judging candidates", len(every))
    if n_judged := len(every) - len(waiting):  # where their last sector was measured, or before
        output.progress.advance(n_judged)
    candidates = (*plan.catalog.candidates, *plan.catalog.unusable)
    judgements = open_judgements(output.directory, index, waiting, candidates)
    for row in judge_all(judge, judgements, workers, rows):
        failed = "error" in row and row["error_kind"] not in FINAL_FAULTS
        output.progress.advance(1, failed=int(failed))
        if failed:
            output.log.write("not judged", **{name: row[name] for name in ("toi", "tic", "error_kind", "error")})
    n_not_judged = rows.write({one.toi: one.made_from for one in every})
    if not n_not_judged and plan.keys <= set(index.names):
        write_success(output.directory, index, judge.settings)


def _changed(every: Sequence[Standing], known: Mapping[str, str]) -> list[Standing]:
    """Candidates whose evidence is not what their rows were made from."""
    return [one for one in every if known.get(one.toi) != one.made_from]


def _needs_workers(judge: Judge, output: _Output) -> bool:
    """Whether judging alone is worth a cluster: many candidates, or one that may end its process."""
    known = CandidateRows(output.directory, output.footer).known()
    waiting = _changed(list(standings(row_index(output.directory, COLUMNS), judge)), known)
    return len(waiting) > _FEW_TO_JUDGE or any(known.get(one.toi) == "" for one in waiting)
