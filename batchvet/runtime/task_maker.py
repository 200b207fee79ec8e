"""A target's tasks, of what is known of its pixels, its neighbours and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from batchvet.catalog.candidate import Candidate
from batchvet.catalog.neighbours import NeighbourTable
from batchvet.errors import Problem
from batchvet.runtime.available import AvailablePixels, is_of_same_pixels
from batchvet.runtime.earlier_rows import RowsBefore
from batchvet.runtime.hashes import short_hash
from batchvet.runtime.prf_choice import PrfFiles
from batchvet.runtime.sectors import NO_SECTOR, sectors_of
from batchvet.runtime.task_columns import CachedTask, ColumnsOfTasks, is_nowhere
from batchvet.runtime.tasks import Cached, Missing, Offered, Pixels, Task
from batchvet.vetting.settings import Surroundings
from batchvet.vocabulary import ErrorKind


@dataclass(frozen=True)
class Target:
    """What all tasks of a target have in common."""

    tic: int
    candidates: Mapping[int, tuple[Candidate, ...]]  #: by sector, in their order, those whose rows are to be made
    surroundings: Surroundings
    candidate_hash: str
    neighbours_hash: str


@dataclass(frozen=True)
class TaskMaker:
    """Makes a target's tasks of what is known of all targets."""

    pixels: AvailablePixels
    neighbours: NeighbourTable | None
    prf_files: PrfFiles
    listed_sectors: tuple[int, ...] | None
    rows: RowsBefore  #: of an earlier run
    everybody: Mapping[int, tuple[Candidate, ...]]  #: candidates of each target, also those that are not vetted

    def target(self, tic: int, group: Sequence[Candidate]) -> Target:
        """What is the same for all tasks of a target, and who is looked at in which sector."""
        with_pixels = self.pixels.sectors(tic)
        sectors = [sectors_of(candidate, with_pixels, self.listed_sectors) for candidate in group]
        everybody = self.everybody[tic]
        return Target(
            tic,
            _by_sector(group, sectors),
            Surroundings(everybody, self.neighbours.of(tic) if self.neighbours else None),
            short_hash([c if c.sectors is None else replace(c, sectors=None) for c in everybody]),
            (self.neighbours.sha256_of(tic) or "none")[:12] if self.neighbours else "none",
        )

    def tasks_of(self, tic: int, group: Sequence[Candidate]) -> list[Task]:
        """One task for each sector of a target."""
        target = self.target(tic, group)
        return [self.task_of(target, sector) for sector in target.candidates]

    def task_of(self, target: Target, sector: int) -> Task:
        """The task of a target in a sector."""
        pixels = self.pixels.of(target.tic, sector)
        task = Task(
            tic=target.tic,
            sector=sector,
            pixels=pixels,
            candidates=target.candidates[sector],
            surroundings=target.surroundings,
            candidate_hash=target.candidate_hash,
            neighbours_hash=target.neighbours_hash,
            settings_hash=settings_hash(self.prf_files, sector, pixels),
        )
        return task if isinstance(pixels, Cached) else self._without_need(task) or task

    def collect(self, target: Target, origin: int, into: ColumnsOfTasks, without_pixels: bool) -> int:
        """Add a target's tasks to the columns, those that just have their entry in the cache without making them.

        Returns how many rows were left out, as there is not even a file for them and they are not wanted then.
        """
        entries = self.pixels.certain_entries(target.tic)
        cached: list[CachedTask] = []
        n_left_out = 0
        for number, (sector, candidates) in enumerate(target.candidates.items()):
            if (row := entries.get(sector)) is not None:
                cached.append((sector, number, row, [candidate.toi for candidate in candidates]))
                continue
            task = self.task_of(target, sector)
            if is_nowhere(task.pixels) and not without_pixels:
                n_left_out += len(candidates)
            else:
                into.add(task, origin, number)
        if cached:
            into.add_cached(target.tic, origin, cached, (target.candidate_hash, target.neighbours_hash))
        return n_left_out

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
            settings_hash=settings_hash(self.prf_files, NO_SECTOR, pixels),
        )

    def _without_need(self, task: Task) -> Task | None:
        """The task with the hashes of its finished rows, when all of these hold but for pixels that are not in the
        cache any more: a finished row needs none until something else asks for them."""
        before = self.rows.of(task.tic)
        rows = [before.get(key) for key in task.keys]
        first = rows[0]
        if first is None or not is_of_same_pixels(task.pixels, first):
            return None
        camera, ccd = first["camera"] or 0, first["ccd"] or 0
        task = replace(
            task,
            pixels=replace(task.pixels, stamp_hash=first["stamp_hash"]),
            settings_hash=self.prf_files.settings_hash(task.sector, camera, ccd),
        )
        finished = all(row and row["source_file"] and task.hashes.items() <= row.items() for row in rows)
        return task if finished else None


def _by_sector(group: Sequence[Candidate], sectors: Sequence[tuple[int, ...]]) -> dict[int, tuple[Candidate, ...]]:
    """Candidates by sector, of the sectors of each."""
    if len({*sectors}) == 1:  # as nearly always
        return dict.fromkeys(sorted(set(sectors[0])), tuple(group))
    every = sorted({sector for several in sectors for sector in several})
    return {s: tuple(c for c, several in zip(group, sectors, strict=True) if s in several) for s in every}


def settings_hash(files: PrfFiles, sector: int, pixels: Pixels) -> str:
    """Of the settings that a task's numbers depend on, its CCD's PRF files among them."""
    match pixels:
        case Cached(camera=camera, ccd=ccd):
            return files.settings_hash(sector, camera, ccd)
        case Offered() | Missing():  # the CCD is not known before the file is read
            return files.settings_hash(sector, 0, 0)
