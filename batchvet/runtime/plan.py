"""What a run will do: every task, what it stands on, and which rows of an earlier run still hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import batchvet
from batchvet.catalog.candidate import Candidate, Neighbour
from batchvet.catalog.neighbours import NeighbourTable, read_neighbours
from batchvet.catalog.reader import Catalog, read_catalog
from batchvet.pixels.entry import StampKey
from batchvet.pixels.sources import Offer
from batchvet.pixels.storage_location import open_storage
from batchvet.results.schema import HASH_NAMES
from batchvet.results.writer import read_parts
from batchvet.runtime.available import AvailablePixels, Problem
from batchvet.runtime.config import RunConfig, short_hash
from batchvet.runtime.prf_choice import PrfFiles
from batchvet.runtime.star_fields import star_fields

#: Reasons that may be gone the next time: rows that have one are done again.
PASSING_FAULTS = ("unreachable", "storage", "changed")

NO_SECTOR = 0  #: sector of a row whose target has no pixels anywhere

#: Where no run has measured it yet: seconds of one core for a task, by megabytes of flux, and to cache a file.
_SECONDS_PER_TASK, _SECONDS_PER_MB = 0.06, 0.006
_INGEST_BYTES_PER_SECOND = 40e6

RowKey = tuple[str, int]


@dataclass(frozen=True)
class Task:
    """One target in one sector: all its candidates."""

    tic: int
    sector: int
    candidates: tuple[Candidate, ...]  #: those whose row is to be made
    companions: tuple[Candidate, ...]  #: every candidate of the target, for each other's transits
    neighbours: tuple[Neighbour, ...] | None  #: stars of the field; None without a table
    entry: StampKey | None = None  #: in the cache; None: see `offer`, then `problem`
    offer: Offer | None = None  #: file to ingest first
    problem: Problem | None = None  #: why there are no pixels
    size: int = 0  #: bytes of the cached entry or offered file, 0 when not known
    camera: int = 0  #: 0 when not known before the file is read
    ccd: int = 0  #: likewise
    hashes: dict[str, str] = field(default_factory=dict)  #: what the rows stand on

    @property
    def keys(self) -> tuple[RowKey, ...]:
        """Keys of the rows that the task makes."""
        return tuple((candidate.toi, self.sector) for candidate in self.candidates)


@dataclass(frozen=True)
class Plan:
    """All tasks of a configuration, against what is in the cache and in the run's tables."""

    config: RunConfig
    catalog: Catalog
    tasks: tuple[Task, ...]  #: sorted by target and sector
    stale: dict[RowKey, tuple[str, ...]]  #: rows that no longer hold, with what has changed
    done: frozenset[RowKey]  #: rows that hold
    orphans: frozenset[RowKey]  #: rows of candidates or sectors that are no longer asked for
    row_status: dict[RowKey, str]  #: status of the rows that are there
    measured_seconds: float = math.nan  #: per task, from rows that are there
    not_asked: frozenset[int] = frozenset()  #: targets that an archive would have to be asked for
    neighbours_not_asked: frozenset[int] = frozenset()  #: targets whose stars would have to be asked for
    note: str = ""  #: what people should know of it

    @property
    def keys(self) -> set[RowKey]:
        """Every row that the finished table has."""
        return {key for task in self.tasks for key in task.keys}

    def to_do(self, *, retry_failed: bool = False) -> tuple[Task, ...]:
        """Tasks with the rows that are missing or stale, and on request those that failed."""
        remaining = []
        for task in self.tasks:
            open_rows = tuple(
                c
                for c in task.candidates
                if (c.toi, task.sector) not in self.done
                or (retry_failed and self.row_status.get((c.toi, task.sector)) == "error")
            )
            if open_rows:
                remaining.append(replace(task, candidates=open_rows))
        return tuple(remaining)

    def to_ingest(self) -> tuple[Task, ...]:
        """Tasks whose file is to be cached first."""
        return tuple(task for task in self.tasks if task.offer is not None)

    def estimated_seconds(self, tasks: Sequence[Task]) -> float:
        """Wall time for `tasks`, from this run's own rows when it has some."""
        workers = 1 if self.config.cluster.serial else self.config.cluster.workers or 2
        compute = sum(self._task_seconds(task) for task in tasks if task.problem is None)
        ingest = sum(task.size for task in tasks if task.offer is not None) / _INGEST_BYTES_PER_SECOND
        return (compute + ingest) / workers

    def summary(self) -> dict[str, Any]:
        """Counts for people and scripts."""
        to_do = self.to_do()
        return {
            "catalog": str(self.config.catalog),
            "layout": self.catalog.layout,
            "candidates": len(self.catalog.candidates),
            "rejected_candidates": len(self.catalog.rejected),
            "targets": len({task.tic for task in self.tasks}),
            "tasks": len(self.tasks),
            "rows": len(self.keys),
            "rows_done": len(self.done),
            "rows_stale": len(self.stale),
            "rows_to_do": sum(len(task.candidates) for task in to_do),
            "tasks_to_do": len(to_do),
            "tasks_cached": sum(task.entry is not None and task.offer is None for task in self.tasks),
            "tasks_to_ingest": len(self.to_ingest()),
            "tasks_missing": sum(task.problem is not None for task in self.tasks),
            "targets_not_asked": len(self.not_asked),
            "neighbours_not_asked": len(self.neighbours_not_asked),
            "bytes_cached": sum(task.size for task in self.tasks if task.entry is not None and task.offer is None),
            "bytes_to_ingest": sum(task.size for task in self.to_ingest()),
            "estimated_seconds": round(self.estimated_seconds(to_do), 1),
            "output": str(self.config.output),
        }

    def _task_seconds(self, task: Task) -> float:
        if math.isfinite(self.measured_seconds):
            return self.measured_seconds
        return _SECONDS_PER_TASK + _SECONDS_PER_MB * task.size / 1e6


def make_plan(
    config: RunConfig,
    *,
    keep_going: bool = False,
    progress: Callable[[int], None] | None = None,
    ask: bool = True,
    refresh: bool = False,
) -> Plan:
    """Work out every task of `config`. Changes nothing but the indexes that speed up the next plan.

    Parameters
    ----------
    config : RunConfig
    keep_going : bool
        Leave bad catalogue rows out, into ``OUTPUT/rejects.csv``, instead of refusing the catalogue.
    progress : callable, optional
        Called with the number of files looked at so far.
    ask : bool
        Whether archives are asked for what is not remembered of them; else the plan counts ``targets_not_asked``.
    refresh : bool
        Ask archives again, whatever is remembered.

    Raises
    ------
    CatalogError, ConfigError
    ArchiveError
        An archive did not answer; what it has answered is remembered.
    """
    rejects = config.output / "rejects.csv" if keep_going else None
    catalog = read_catalog(config.catalog, keep_going=keep_going, rejects=rejects)
    targets = catalog.by_target()
    neighbours, no_stars = _neighbours(config, targets, ask=ask, refresh=refresh, progress=progress)
    pixels = AvailablePixels.find(config, targets, progress, ask=ask, refresh=refresh)
    prf_files = PrfFiles(config, ask=ask)
    tasks = tuple(
        task for tic, group in targets.items() for task in _tasks_of(tic, group, config, pixels, neighbours, prf_files)
    )
    rows = _existing_rows(config.output)
    wanted = {key: task.hashes for task in tasks for key in task.keys}
    stale = {key: why for key in wanted.keys() & rows.keys() if (why := _changed(rows[key], wanted[key]))}
    return Plan(
        config=config,
        catalog=catalog,
        tasks=tasks,
        stale=stale,
        done=frozenset((wanted.keys() & rows.keys()) - stale.keys()),
        orphans=frozenset(rows.keys() - wanted.keys()),
        row_status={key: row["status"] for key, row in rows.items()},
        measured_seconds=_mean_seconds(rows.values()),
        not_asked=frozenset(pixels.not_asked),
        neighbours_not_asked=no_stars,
        note="; ".join(filter(None, (pixels.note, prf_files.note))),
    )


def _neighbours(
    config: RunConfig, targets: Mapping[int, Sequence[Candidate]], **how: Any
) -> tuple[NeighbourTable | None, frozenset[int]]:
    """The stars around the targets, and the targets whose stars an archive has yet to be asked for."""
    if config.neighbours is None:
        return None, frozenset()
    if isinstance(config.neighbours, Path):
        return read_neighbours(config.neighbours), frozenset()
    positions = {tic: (group[0].ra, group[0].dec) for tic, group in targets.items()}
    found = star_fields(config.neighbours.mast, positions, open_storage(config.cache), **how)
    return found.table, found.not_asked


def _tasks_of(
    tic: int,
    group: Sequence[Candidate],
    config: RunConfig,
    pixels: AvailablePixels,
    neighbours: NeighbourTable | None,
    prf_files: PrfFiles,
) -> list[Task]:
    stars = neighbours.of(tic) if neighbours else None
    hashes = {
        "candidate_hash": short_hash([replace(candidate, sectors=None) for candidate in group]),
        "neighbours_hash": (neighbours.sha256_of(tic) or "none")[:12] if neighbours else "none",
        "software_version": batchvet.__version__,
    }
    sectors = {candidate: _sectors_of(candidate, config, pixels) for candidate in group}
    tasks = []
    for sector in sorted({sector for several in sectors.values() for sector in several}):
        found = pixels.of(tic, sector)
        tasks.append(
            Task(
                tic=tic,
                sector=sector,
                candidates=tuple(candidate for candidate in group if sector in sectors[candidate]),
                companions=tuple(group),
                neighbours=stars,
                entry=found.entry,
                offer=found.offer,
                problem=found.problem,
                size=found.size,
                camera=found.camera,
                ccd=found.ccd,
                hashes={
                    "stamp_hash": found.hash,
                    "settings_hash": prf_files.settings_hash(sector, found.camera, found.ccd),
                    **hashes,
                },
            )
        )
    return tasks


def _sectors_of(candidate: Candidate, config: RunConfig, pixels: AvailablePixels) -> tuple[int, ...]:
    """The catalogue's sectors, else all that have pixels; of these the ones that the configuration lists."""
    known = candidate.sectors or pixels.sectors(candidate.tic)
    if config.sectors == "all":
        return tuple(known) or (NO_SECTOR,)
    if candidate.sectors:
        return tuple(sector for sector in known if sector in config.sectors)
    return config.sectors


def _existing_rows(output: Path) -> dict[RowKey, dict[str, Any]]:
    columns = ["toi", "sector", "status", "error_kind", "seconds", *HASH_NAMES]
    rows = read_parts(output, "sectors", columns).to_pylist()
    return {(row["toi"], row["sector"]): row for row in rows}


def _changed(row: dict[str, Any], hashes: dict[str, str]) -> tuple[str, ...]:
    """What has changed since the row was made, in words."""
    words = {
        "stamp_hash": "pixels",
        "candidate_hash": "catalogue",
        "neighbours_hash": "neighbours",
        "settings_hash": "settings",
        "software_version": "version",
    }
    changed = tuple(words[name] for name in HASH_NAMES if row[name] != hashes[name])
    return (*changed, "a passing fault") if row["error_kind"] in PASSING_FAULTS else changed


def _mean_seconds(rows: Iterable[dict[str, Any]]) -> float:
    seconds = [row["seconds"] for row in rows if row["status"] == "ok" and row["seconds"] is not None]
    return sum(seconds) / len(seconds) if seconds else math.nan
