"""What a run will do: every task, what it stands on, and which rows of an earlier run still hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from batchvet.catalog.candidate import Candidate
from batchvet.catalog.reader import Catalog, read_catalog
from batchvet.pixels.cache import Cache
from batchvet.pixels.sources import Asking
from batchvet.results.memory import give_back
from batchvet.runtime.available import find_pixels
from batchvet.runtime.bars import counted
from batchvet.runtime.config import RunConfig
from batchvet.runtime.earlier_rows import EarlierRows, earlier_rows, read_rows
from batchvet.runtime.planned_tasks import Tasks
from batchvet.runtime.prf_choice import PrfFiles
from batchvet.runtime.progress import Progress, Silent
from batchvet.runtime.star_fields import stars_around
from batchvet.runtime.task_columns import CACHED, MISSING, NOWHERE, OFFERED, ColumnsOfTasks
from batchvet.runtime.task_maker import TaskMaker, settings_hash
from batchvet.runtime.tasks import RowKey, Task

#: Where no run has measured it yet: seconds of one core for a task, by megabytes of flux, and to cache a file.
_SECONDS_PER_TASK, _SECONDS_PER_MB = 0.06, 0.006
_SECONDS_WITHOUT_PIXELS = 0.002  #: for the row that says so, and for judging its candidate
_TARGETS_AT_A_TIME = 256  #: between two words to the progress
_INGEST_BYTES_PER_SECOND = 40e6


@dataclass(frozen=True)
class Plan:
    """All tasks of a configuration, against what is in the cache and in the run's tables."""

    catalog: Catalog
    tasks: Tasks  #: sorted by target and sector
    rows: EarlierRows
    output: Path  #: of the run
    n_workers: int  #: that are expected, for estimates
    not_asked: frozenset[int] = frozenset()  #: targets that an archive would have to be asked for
    neighbours_not_asked: frozenset[int] = frozenset()  #: targets whose stars would have to be asked for
    note: str = ""  #: what people should know of it
    n_left_out: int = 0  #: rows without pixels, where they are not wanted

    @property
    def keys(self) -> set[RowKey]:
        """Every row that the finished table has."""
        return self.tasks.names()

    def to_do(self, *, retry_failed: bool = False) -> Tasks:
        """Tasks with the rows that are missing or stale, and on request those that failed."""
        holds = self.rows.is_done & ~self.rows.is_failed if retry_failed else self.rows.is_done
        return self.tasks.with_rows(~holds)

    def to_ingest(self) -> Tasks:
        """Tasks whose file is to be cached first."""
        return self.tasks.offered()

    def estimated_seconds(self, tasks: Tasks, *, with_ingest: bool = True) -> float:
        """Wall time for `tasks`, from this run's own rows when it has some."""
        measured, size, kind = self.rows.seconds_per_row, tasks.size, tasks.kind
        each = _SECONDS_PER_TASK + _SECONDS_PER_MB * size / 1e6
        if math.isfinite(measured):
            each = np.full(len(tasks), measured)
        if with_ingest:
            each = each + np.where(kind == OFFERED, size / _INGEST_BYTES_PER_SECOND, 0.0)
        each = np.where(np.isin(kind, (MISSING, NOWHERE)), _SECONDS_WITHOUT_PIXELS, each)
        return float(each.sum()) / self.n_workers

    def summary(self) -> dict[str, Any]:
        """Counts for people and scripts."""
        to_do = self.to_do()
        kind, size = self.tasks.kind, self.tasks.size
        return {
            "catalog": str(self.catalog.path),
            "layout": self.catalog.layout,
            "candidates": self.catalog.size,
            "unusable_candidates": len(self.catalog.unusable),
            "rejected_candidates": len(self.catalog.rejected),
            "targets": len(np.unique(self.tasks.tic)),
            "tasks": len(self.tasks),
            "rows": self.tasks.n_rows,
            "rows_done": self.rows.n_done,
            "rows_stale": self.rows.n_stale,
            "rows_left_out": self.n_left_out,
            "rows_to_do": to_do.n_rows,
            "tasks_to_do": len(to_do),
            "tasks_cached": int((kind == CACHED).sum()),
            "tasks_to_ingest": int((kind == OFFERED).sum()),
            "tasks_missing": int(np.isin(kind, (MISSING, NOWHERE)).sum()),
            "targets_not_asked": len(self.not_asked),
            "neighbours_not_asked": len(self.neighbours_not_asked),
            "bytes_cached": int(size[kind == CACHED].sum()),
            "bytes_to_ingest": int(size[kind == OFFERED].sum()),
            "estimated_seconds": round(self.estimated_seconds(to_do), 1),
            "output": str(self.output),
        }


def make_plan(
    config: RunConfig,
    *,
    keep_going: bool = False,
    strict: bool = False,
    asking: Asking = Asking(),
    rejects: Path | None = None,
    progress: Progress = Silent(),
) -> Plan:
    """Work out every task of `config`. Changes nothing but the indexes that speed up the next plan, and `rejects`.

    Parameters
    ----------
    config : RunConfig
    keep_going : bool
        Leave bad catalogue rows and bad neighbours out instead of refusing the tables.
    strict : bool
        Refuse a published list too for a row that cannot be vetted.
    asking : Asking
        Where archives are not asked for what is not remembered of them, the plan counts ``targets_not_asked``.
    rejects : path, optional
        File for the bad catalogue rows, with `keep_going`.
    progress : Progress
        Told of the steps, and of targets that are planned.

    Raises
    ------
    CatalogError, ConfigError, RunError
    ArchiveError
        An archive did not answer; what it has answered is remembered.
    """
    progress.start("Reading the catalogue", None)
    catalog = read_catalog(config.catalog, keep_going=keep_going, strict=strict, rejects=rejects)
    targets = catalog.by_target()
    progress.start("Looking at files", None)
    cache = Cache(config.cache)
    stars = stars_around(config.neighbours, targets, cache.storage, asking, keep_going=keep_going)
    give_back()
    entries = cache.entries()
    give_back()
    sources = [settings.open(cache.storage, asking) for settings in config.sources]
    pixels = find_pixels(entries, sources, targets, config.listed_sectors)
    prf_files = PrfFiles(config.prf_choice, config.science_settings(), ask=asking.ask)
    rows = read_rows(config.output)
    maker = TaskMaker(pixels, stars.table, prf_files, config.listed_sectors, rows, catalog.all_by_target())
    tasks, n_left_out, of_sectors = _planned(targets, catalog.unusable, maker, config.only_with_pixels, progress)
    give_back()
    notes = (catalog.note, of_sectors, stars.table.note if stars.table else "", pixels.note, prf_files.note)
    return Plan(
        catalog=catalog,
        tasks=tasks,
        rows=earlier_rows(rows, tasks.columns.wanted(), tasks.columns.hashes_of_rows),
        output=config.output,
        n_workers=config.cluster.expected_workers,
        not_asked=pixels.not_asked,
        neighbours_not_asked=stars.not_asked,
        n_left_out=n_left_out,
        note="; ".join(filter(None, notes)),
    )


def _planned(
    targets: Mapping[int, Sequence[Candidate]],
    unusable: Sequence[Candidate],
    maker: TaskMaker,
    only_with_pixels: bool,
    progress: Progress,
) -> tuple[Tasks, int, str]:
    """All tasks, while `progress` is told how many targets are planned; how many rows are left out, and a note."""
    groups = list(targets.items())

    def make(origin: int) -> Sequence[Task]:
        if origin < len(groups):
            return maker.tasks_of(*groups[origin])
        return (maker.task_without_ephemeris(unusable[origin - len(groups)]),)

    progress.start("Planning targets", len(groups))
    collected = ColumnsOfTasks(maker.pixels.entries, maker.prf_files.settings_hash)
    n_left_out, n_without = 0, 0
    for origin, (tic, group) in enumerate(groups):
        target = maker.target(tic, group)
        n_without += not target.candidates
        n_left_out += maker.collect(target, origin, collected, without_pixels=not only_with_pixels)
        if origin % _TARGETS_AT_A_TIME == _TARGETS_AT_A_TIME - 1:
            progress.advance(_TARGETS_AT_A_TIME)
    progress.advance(len(groups) % _TARGETS_AT_A_TIME)
    for origin in range(len(groups), len(groups) + len(unusable)):
        collected.add(make(origin)[0], origin, 0)
    return Tasks(collected.columns(), make), n_left_out, _without_sector(n_without)


def _without_sector(n_targets: int) -> str:
    """What to say of targets of which the catalogue names other sectors than the configuration does."""
    whose = counted(n_targets, "target")
    return f"{whose} left out: the catalogue's sectors are none of those listed with 'sectors'" if n_targets else ""


def with_prf(tasks: Iterable[Task], files: PrfFiles) -> Iterator[Task]:
    """Tasks whose pixels were looked for, with the PRF files of their CCDs counted in their hashes."""
    for task in tasks:
        wanted = settings_hash(files, task.sector, task.pixels)
        yield task if task.settings_hash == wanted else replace(task, settings_hash=wanted)
