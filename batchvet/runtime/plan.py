"""What a run will do: every task, what it stands on, and which rows of an earlier run still hold."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchvet.catalog.candidate import Candidate
from batchvet.catalog.neighbours import NeighbourTable
from batchvet.catalog.reader import Catalog, read_catalog
from batchvet.errors import Problem
from batchvet.pixels.cache import Cache
from batchvet.pixels.sources import Asking, Offer
from batchvet.runtime.available import AvailablePixels, find_pixels, is_of_same_pixels
from batchvet.runtime.bars import counted
from batchvet.runtime.config import RunConfig
from batchvet.runtime.earlier_rows import EarlierRows, earlier_rows, read_rows
from batchvet.runtime.hashes import short_hash
from batchvet.runtime.prf_choice import PrfFiles
from batchvet.runtime.progress import Progress, Silent
from batchvet.runtime.sectors import NO_SECTOR, sectors_of
from batchvet.runtime.star_fields import stars_around
from batchvet.runtime.tasks import Cached, Missing, Offered, Pixels, RowKey, Task
from batchvet.vetting.settings import Surroundings
from batchvet.vocabulary import ErrorKind

#: Where no run has measured it yet: seconds of one core for a task, by megabytes of flux, and to cache a file.
_SECONDS_PER_TASK, _SECONDS_PER_MB = 0.06, 0.006
_SECONDS_WITHOUT_PIXELS = 0.002  #: for the row that says so, and for judging its candidate
_TARGETS_AT_A_TIME = 256  #: between two words to the progress
_INGEST_BYTES_PER_SECOND = 40e6


@dataclass(frozen=True)
class Plan:
    """All tasks of a configuration, against what is in the cache and in the run's tables."""

    catalog: Catalog
    tasks: tuple[Task, ...]  #: sorted by target and sector
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
        return {key for task in self.tasks for key in task.keys}

    def to_do(self, *, retry_failed: bool = False) -> tuple[Task, ...]:
        """Tasks with the rows that are missing or stale, and on request those that failed."""
        holds = self.rows.done - self.rows.failed if retry_failed else self.rows.done
        remaining = []
        for task in self.tasks:
            open_rows = tuple(c for c in task.candidates if (c.toi, task.sector) not in holds)
            if open_rows:
                remaining.append(task if open_rows == task.candidates else replace(task, candidates=open_rows))
        return tuple(remaining)

    def to_ingest(self) -> tuple[Task, ...]:
        """Tasks whose file is to be cached first."""
        return tuple(task for task in self.tasks if isinstance(task.pixels, Offered))

    def estimated_seconds(self, tasks: Sequence[Task]) -> float:
        """Wall time for `tasks`, from this run's own rows when it has some."""
        return sum(_seconds(task.pixels, self.rows.seconds_per_row) for task in tasks) / self.n_workers

    def summary(self) -> dict[str, Any]:
        """Counts for people and scripts."""
        to_do = self.to_do()
        cached = [task.pixels for task in self.tasks if isinstance(task.pixels, Cached)]
        offered = [task.pixels for task in self.tasks if isinstance(task.pixels, Offered)]
        return {
            "catalog": str(self.catalog.path),
            "layout": self.catalog.layout,
            "candidates": self.catalog.size,
            "unusable_candidates": len(self.catalog.unusable),
            "rejected_candidates": len(self.catalog.rejected),
            "targets": len({task.tic for task in self.tasks}),
            "tasks": len(self.tasks),
            "rows": len(self.keys),
            "rows_done": len(self.rows.done),
            "rows_stale": len(self.rows.stale),
            "rows_left_out": self.n_left_out,
            "rows_to_do": sum(len(task.candidates) for task in to_do),
            "tasks_to_do": len(to_do),
            "tasks_cached": len(cached),
            "tasks_to_ingest": len(offered),
            "tasks_missing": sum(isinstance(task.pixels, Missing) for task in self.tasks),
            "targets_not_asked": len(self.not_asked),
            "neighbours_not_asked": len(self.neighbours_not_asked),
            "bytes_cached": sum(pixels.size for pixels in cached),
            "bytes_to_ingest": sum(pixels.size for pixels in offered),
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
    entries = list(cache.index().values())
    sources = [settings.open(cache.storage, asking) for settings in config.sources]
    pixels = find_pixels(entries, sources, targets, config.listed_sectors)
    prf_files = PrfFiles(config.prf_choice, config.science_settings(), ask=asking.ask)
    rows = read_rows(config.output)
    maker = _TaskMaker(pixels, stars.table, prf_files, config.listed_sectors, rows, catalog.all_by_target())
    made = [*_told(targets, maker, progress), *map(maker.task_without_ephemeris, catalog.unusable)]
    tasks = tuple(sorted(made, key=lambda task: (task.tic, task.sector)))
    wanted = tuple(task for task in tasks if not (config.only_with_pixels and _is_nowhere(task.pixels)))
    n_left_out = sum(len(task.keys) for task in tasks) - sum(len(task.keys) for task in wanted)
    of_stars = stars.table.note if stars.table else ""
    notes = (catalog.note, _without_sector(targets, tasks), of_stars, pixels.note, prf_files.note)
    return Plan(
        catalog=catalog,
        tasks=wanted,
        rows=earlier_rows(rows, {key: task.hashes for task in wanted for key in task.keys}),
        output=config.output,
        n_workers=config.cluster.expected_workers,
        not_asked=pixels.not_asked,
        neighbours_not_asked=stars.not_asked,
        n_left_out=n_left_out,
        note="; ".join(filter(None, notes)),
    )


def _without_sector(targets: Collection[int], tasks: Sequence[Task]) -> str:
    """What to say of targets of which the catalogue names other sectors than the configuration does."""
    n_without = len(set(targets) - {task.tic for task in tasks})
    whose = counted(n_without, "target")
    return f"{whose} left out: the catalogue's sectors are none of those listed with 'sectors'" if n_without else ""


def _told(targets: Mapping[int, Sequence[Candidate]], maker: _TaskMaker, progress: Progress) -> Iterator[Task]:
    """Every target's tasks, while `progress` is told how many targets are planned."""
    progress.start("Planning targets", len(targets))
    for number, (tic, group) in enumerate(targets.items(), start=1):
        yield from maker.tasks_of(tic, group)
        if number % _TARGETS_AT_A_TIME == 0:
            progress.advance(_TARGETS_AT_A_TIME)
    progress.advance(len(targets) % _TARGETS_AT_A_TIME)


def with_prf(tasks: Sequence[Task], files: PrfFiles) -> list[Task]:
    """Tasks whose pixels were looked for, with the PRF files of their CCDs fetched and counted in their hashes."""
    return [replace(task, settings_hash=_settings_hash(files, task.sector, task.pixels)) for task in tasks]


@dataclass(frozen=True)
class _TaskMaker:
    """Makes a target's tasks of what is known of all targets."""

    pixels: AvailablePixels
    neighbours: NeighbourTable | None
    prf_files: PrfFiles
    listed_sectors: tuple[int, ...] | None
    rows: Mapping[RowKey, Mapping[str, Any]]  #: of an earlier run
    everybody: Mapping[int, tuple[Candidate, ...]]  #: candidates of each target, also those that are not vetted

    def tasks_of(self, tic: int, group: Sequence[Candidate]) -> list[Task]:
        """One task for each sector of a target."""
        with_pixels = self.pixels.sectors(tic)
        sectors = {candidate: sectors_of(candidate, with_pixels, self.listed_sectors) for candidate in group}
        stars = self.neighbours.of(tic) if self.neighbours else None
        everybody = self.everybody[tic]
        hashes = {
            "candidate_hash": short_hash([replace(candidate, sectors=None) for candidate in everybody]),
            "neighbours_hash": (self.neighbours.sha256_of(tic) or "none")[:12] if self.neighbours else "none",
        }
        tasks = []
        for sector in sorted({sector for several in sectors.values() for sector in several}):
            pixels = self.pixels.of(tic, sector)
            task = Task(
                tic=tic,
                sector=sector,
                pixels=pixels,
                candidates=tuple(candidate for candidate in group if sector in sectors[candidate]),
                surroundings=Surroundings(everybody, stars),
                settings_hash=_settings_hash(self.prf_files, sector, pixels),
                **hashes,
            )
            tasks.append(self._without_need(task) or task)
        return tasks

    def task_without_ephemeris(self, candidate: Candidate) -> Task:
        """The one task of a candidate that cannot be vetted: a row that says why."""
        pixels = Missing(Problem(ErrorKind.BAD_CATALOGUE_ROW, candidate.problem), "not looked for")
        return Task(
            tic=candidate.tic,
            sector=NO_SECTOR,
            pixels=pixels,
            candidates=(candidate,),
            candidate_hash=short_hash([candidate]),
            neighbours_hash="none",
            settings_hash=_settings_hash(self.prf_files, NO_SECTOR, pixels),
        )

    def _without_need(self, task: Task) -> Task | None:
        """The task with the hashes of its finished rows, when all of these hold but for pixels that are not in the
        cache any more: a finished row needs none until something else asks for them."""
        rows = [self.rows.get(key) for key in task.keys]
        first = rows[0]
        if isinstance(task.pixels, Cached) or first is None or not is_of_same_pixels(task.pixels, first):
            return None
        camera, ccd = first["camera"] or 0, first["ccd"] or 0
        task = replace(
            task,
            pixels=replace(task.pixels, stamp_hash=first["stamp_hash"]),
            settings_hash=self.prf_files.settings_hash(task.sector, camera, ccd),
        )
        finished = all(row and row["source_file"] and task.hashes.items() <= row.items() for row in rows)
        return task if finished else None


def _is_nowhere(pixels: Pixels) -> bool:
    return isinstance(pixels, Missing) and pixels.problem.kind in (ErrorKind.MISSING_TPF, ErrorKind.NOT_ASKED)


def _settings_hash(files: PrfFiles, sector: int, pixels: Pixels) -> str:
    match pixels:
        case Cached(camera=camera, ccd=ccd):
            return files.settings_hash(sector, camera, ccd)
        case Offered() | Missing():  # the CCD is not known before the file is read
            return files.settings_hash(sector, 0, 0)


def _seconds(pixels: Pixels, measured: float) -> float:
    """Of one core for a task; what was measured on other rows counts where there are any."""
    match pixels:
        case Missing():
            return _SECONDS_WITHOUT_PIXELS
        case Cached(size=size):
            ingest = 0.0
        case Offered(offer=Offer(size=size)):
            ingest = size / _INGEST_BYTES_PER_SECOND
    return ingest + (measured if math.isfinite(measured) else _SECONDS_PER_TASK + _SECONDS_PER_MB * size / 1e6)
