"""A run from configuration to finished tables, from wherever an earlier one stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import batchvet
from batchvet.errors import ConfigError
from batchvet.pixels.cache import Cache
from batchvet.pixels.sources import Asking
from batchvet.results.candidate_rows import CandidateRows
from batchvet.results.compaction import compact, recover
from batchvet.results.directory import REJECTS, has_plan, sole_writer, write_plan
from batchvet.results.log import EventLog
from batchvet.results.memory import give_back
from batchvet.results.ours import refuse_other_directory
from batchvet.results.reader import RunResults
from batchvet.results.row_index import RowIndex, places_of, row_index
from batchvet.results.run_calibration import calibration_of
from batchvet.results.success import is_whole, refuse_altered, withdraw_success, write_success
from batchvet.results.writer import ResultWriter
from batchvet.runtime.chunks import Chunk, ChunkRows, VetChunk, chunks, killed_rows
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.config import RunConfig
from batchvet.runtime.executors import Executor
from batchvet.runtime.ingest import IngestFile, ingested
from batchvet.runtime.judging import COLUMNS, Standing, judge_all, open_judgements, standings
from batchvet.runtime.plan import Plan, make_plan, with_prf
from batchvet.runtime.planned_tasks import Tasks
from batchvet.runtime.prf_choice import PrfFiles
from batchvet.runtime.progress import Progress, Silent
from batchvet.runtime.settings import ClusterSettings
from batchvet.runtime.tasks import Cached, Missing, Offered, Task
from batchvet.runtime.worker import VetTask
from batchvet.vetting.judge import Judge
from batchvet.vocabulary import FINAL_FAULTS, Status

_SECONDS_PER_BATCH = (0.5, 4.0)  #: at least, and where there are many batches all the same
_BATCHES_OF_A_WORKER = 100  #: that are many
_MOST_PER_BATCH = 64
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
        tasks = _chosen(plan, options)
        if tasks or plan.rows.orphans or not is_whole(directory, judge.settings) or not has_plan(directory):
            footer = _write_plan(plan, config)
            _make_room(plan, tasks, footer)
            with EventLog(directory) as log:
                _do(plan, tasks, config, judge, _Output(directory, footer, log, progress))
    return RunResults(directory)


def _chosen(plan: Plan, options: RunOptions) -> Tasks:
    """What is to be done this time."""
    tasks = plan.to_do(retry_failed=options.retry_failed)
    if options.only is not None:
        if not plan.tasks.of(*options.only):
            tic, sector = options.only
            raise ConfigError(f"--only: no task of this configuration is TIC {tic} in sector {sector}")
        return tasks.of(*options.only)
    return tasks if options.limit is None else tasks.of_first_targets(options.limit)


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
    give_back()
    return plan


def batch_size(plan: Plan, tasks: Tasks) -> int:
    """Tasks in a batch: half a second of work, more where there are many, and enough batches to keep all workers busy
    to the end."""
    if not tasks:
        return 1
    each = max(plan.estimated_seconds(tasks, with_ingest=False) * plan.n_workers / len(tasks), 1e-3)
    shortest, longest = (round(seconds / each) for seconds in _SECONDS_PER_BATCH)
    by_number = len(tasks) // (_BATCHES_OF_A_WORKER * plan.n_workers)
    return max(1, min(max(shortest, min(longest, by_number)), _MOST_PER_BATCH, len(tasks) // (4 * plan.n_workers) or 1))


def _write_plan(plan: Plan, config: RunConfig) -> dict[str, str]:
    """Write the plan file; returns what stands in every table's footer."""
    hashes = {
        "catalog_sha256": plan.catalog.sha256,
        "settings": plan.tasks[0].settings_hash if plan.tasks else "",
        "tasks": plan.tasks.identity(),
    }
    content = {
        "n_tasks": len(plan.tasks),
        "n_rows": plan.tasks.n_rows,
        "n_candidates": plan.catalog.size,
        "config_file": str(config.file) if config.file else None,
        "config": config.as_json(),
        "hashes": hashes,
    }
    return write_plan(config.output, content, hashes["tasks"])


def _make_room(plan: Plan, tasks: Tasks, footer: dict[str, str]) -> None:
    """Take away the rows that no longer hold or are done again."""
    withdraw_success(plan.output)
    rows = plan.rows
    outdated = {*rows.wanted.names((rows.why_stale != 0) | (tasks.rows & rows.is_done)), *rows.orphans}
    if outdated:
        compact(plan.output, footer, lambda toi, sector: (toi, sector) not in outdated)


def _do(plan: Plan, tasks: Tasks, config: RunConfig, judge: Judge, output: _Output) -> None:
    """Hand the parts of the configuration to those who need them."""
    output.log.write("started", tasks=len(tasks), rows_done=plan.rows.n_done, version=batchvet.__version__)
    cluster = config.cluster if tasks or _needs_workers(judge, output) else ClusterSettings(serial=True)
    if cluster.allow_insecure:
        output.log.write("note", text="cluster.allow_insecure: what goes to the workers is not encrypted")
    with open_executor(cluster, item_timeout_s=config.task_timeout_s) as workers:
        if tasks:
            workers.ask(config.asked(tasks.examples()), output.tell)
            output.progress.say(f"Working on {workers.description}")
            arrived = _arrived(config, tasks, workers, output)
            prf_files = PrfFiles(config.prf_choice, config.science_settings(), ask=True)
            for where in {*tasks.ccds(), *map(_ccd, arrived.values())}:
                prf_files.settings_hash(*where)  # fetches what is to be had
            if prf_files.note:
                output.progress.say(prf_files.note)
            examples = [task for task in tasks.examples() if not isinstance(task.pixels, Offered)]
            workers.ask(config.asked([*examples, *arrived.values()]), output.tell)
            ready = with_prf((arrived.get((task.tic, task.sector), task) for task in tasks), prf_files)
            work = VetChunk(VetTask(config.worker_cache, config.vet_settings()), judge)
            batches = chunks(ready, config.batch_size or batch_size(plan, tasks), plan.tasks.rows_of_targets())
            _vet(tasks.n_rows, batches, work, workers, output)
        for several in (tasks, plan.tasks):
            several.let_go()
        give_back()
        _finish(plan, judge, workers, output)
    output.log.write("finished")


def _arrived(config: RunConfig, tasks: Tasks, workers: Executor, output: _Output) -> dict[tuple[int, int], Task]:
    """Those of the tasks that were offered, when they are in the cache or known not to come."""
    waiting = tasks.offered()
    fill = IngestFile(config.worker_cache, config.flux_err)
    arriving = ingested(waiting, fill, config.downloads, workers, output.progress)
    arrived = {(task.tic, task.sector): task for task in _logged(arriving, output.log)}
    if arrived:
        Cache(config.cache).entries()  # opens what is new once, and keeps it for the next plan
    return arrived


def _ccd(task: Task) -> tuple[int, int, int]:
    match task.pixels:
        case Cached(camera=camera, ccd=ccd):
            return task.sector, camera, ccd
        case _:
            return task.sector, 0, 0


def _logged(arriving: Iterable[Task], log: EventLog) -> Iterator[Task]:
    for task in arriving:
        if isinstance(task.pixels, Missing):
            log.write("not ingested", tic=task.tic, sector=task.sector, error=task.pixels.problem.text)
        yield task


def _vet(n_rows: int, batches: Iterable[Chunk], work: VetChunk, workers: Executor, output: _Output) -> None:
    """Make rows, and judge the candidates that are whole with them."""
    output.progress.start("Vetting", n_rows)
    candidates = CandidateRows(output.directory, output.footer)
    suspects: list[Task] = []
    with ResultWriter(output.directory, output.footer) as writer, _closing_with(candidates.flush):

        def keep(chunk: Chunk, made: ChunkRows) -> None:
            writer.add(made.rows, chunk.place)
            if made.candidates is not None:
                candidates.add(made.candidates)
            rows = made.rows.tables["sectors"].select([*_LOGGED, "seconds"]).to_pylist()
            output.log.write_several("row", [{**row, "seconds": round(row["seconds"], 4)} for row in rows])
            for row in rows:
                output.progress.advance(1, failed=int(row["status"] == Status.ERROR))

        for chunk, made in workers.map(work, batches, lambda chunk: None, 1, _is_in_doubt):
            if made is None:  # one of its tasks kills workers: which?
                suspects += chunk.tasks
                writer.add((), chunk.place)
            else:
                keep(chunk, made)
        alone = (Chunk((task,)) for task in suspects)
        for chunk, made in workers.map(work, alone, killed_rows, 1, _is_in_doubt):
            keep(chunk, made)


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
    made_from, waiting = _standing(index, judge, rows)
    output.progress.start("Judging candidates", len(made_from))
    if n_judged := len(made_from) - len(waiting):  # where their last sector was measured, or before
        output.progress.advance(n_judged)
    candidates = (*plan.catalog.candidates, *plan.catalog.unusable)
    judgements = open_judgements(output.directory, index, waiting, candidates)
    for row in judge_all(judge, judgements, workers, rows):
        failed = "error" in row and row["error_kind"] not in FINAL_FAULTS
        output.progress.advance(1, failed=int(failed))
        if failed:
            output.log.write("not judged", **{name: row[name] for name in ("toi", "tic", "error_kind", "error")})
    n_not_judged = rows.write(made_from)
    wanted = plan.rows.wanted
    if not n_not_judged and bool(np.all(places_of(wanted.toi, wanted.sector, index.rows) >= 0)):
        write_success(output.directory, index, judge.settings)


def _standing(index: RowIndex, judge: Judge, rows: CandidateRows) -> tuple[dict[str, str], list[Standing]]:
    """By candidate what its row is to be made from, and those whose rows were made from something else."""
    known, made_from, waiting = rows.known(), {}, []
    for one in standings(index, judge):
        made_from[one.toi] = one.made_from
        if known.get(one.toi) != one.made_from:
            waiting.append(one)
    return made_from, waiting


def _needs_workers(judge: Judge, output: _Output) -> bool:
    """Whether judging alone is worth a cluster: many candidates, or one that may end its process."""
    rows = CandidateRows(output.directory, output.footer)
    known = rows.known()
    _, waiting = _standing(row_index(output.directory, COLUMNS), judge, rows)
    return len(waiting) > _FEW_TO_JUDGE or any(known.get(one.toi) == "" for one in waiting)
