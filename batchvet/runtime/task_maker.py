"""A target's tasks, of what is known of its pixels, its neighbours and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from batchvet.catalog.candidate import Candidate
from batchvet.catalog.neighbours import NeighbourTable
from batchvet.errors import Problem
from batchvet.runtime.available import AvailablePixels, is_of_same_pixels
from batchvet.runtime.earlier_rows import RowsBefore
from batchvet.runtime.hashes import short_hash
from batchvet.runtime.prf_choice import PrfFiles
from batchvet.runtime.sectors import NO_SECTOR, sectors_of
from batchvet.runtime.tasks import Cached, Missing, Offered, Pixels, RowKey, Task
from batchvet.vetting.settings import Surroundings
from batchvet.vocabulary import ErrorKind


@dataclass(frozen=True)
class TaskMaker:
    """Makes a target's tasks of what is known of all targets."""

    pixels: AvailablePixels
    neighbours: NeighbourTable | None
    prf_files: PrfFiles
    listed_sectors: tuple[int, ...] | None
    rows: RowsBefore  #: of an earlier run
    everybody: Mapping[int, tuple[Candidate, ...]]  #: candidates of each target, also those that are not vetted

    def tasks_of(self, tic: int, group: Sequence[Candidate]) -> list[Task]:
        """One task for each sector of a target."""
        with_pixels = self.pixels.sectors(tic)
        sectors = [sectors_of(candidate, with_pixels, self.listed_sectors) for candidate in group]
        stars = self.neighbours.of(tic) if self.neighbours else None
        everybody = self.everybody[tic]
        hashes = {
            "candidate_hash": short_hash([replace(candidate, sectors=None) for candidate in everybody]),
            "neighbours_hash": (self.neighbours.sha256_of(tic) or "none")[:12] if self.neighbours else "none",
        }
        before = self.rows.of(tic)
        tasks = []
        for sector in sorted({sector for several in sectors for sector in several}):
            pixels = self.pixels.of(tic, sector)
            task = Task(
                tic=tic,
                sector=sector,
                pixels=pixels,
                candidates=tuple(c for c, several in zip(group, sectors, strict=True) if sector in several),
                surroundings=Surroundings(everybody, stars),
                settings_hash=settings_hash(self.prf_files, sector, pixels),
                **hashes,
            )
            tasks.append(self._without_need(task, before) or task)
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
            settings_hash=settings_hash(self.prf_files, NO_SECTOR, pixels),
        )

    def _without_need(self, task: Task, before: Mapping[RowKey, Mapping[str, Any]]) -> Task | None:
        """The task with the hashes of its finished rows, when all of these hold but for pixels that are not in the
        cache any more: a finished row needs none until something else asks for them."""
        rows = [before.get(key) for key in task.keys]
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


def settings_hash(files: PrfFiles, sector: int, pixels: Pixels) -> str:
    """Of the settings that a task's numbers depend on, its CCD's PRF files among them."""
    match pixels:
        case Cached(camera=camera, ccd=ccd):
            return files.settings_hash(sector, camera, ccd)
        case Offered() | Missing():  # the CCD is not known before the file is read
            return files.settings_hash(sector, 0, 0)
