"""What a worker does with a task: read its stamp, check every candidate, and give rows whatever happens.

Workers import this and what it stands on, nothing that only the client needs: no configuration, no archive, no report.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from batchvet.catalog.candidate import Candidate
from batchvet.errors import BatchvetError, Problem
from batchvet.pixels.cache import Cache
from batchvet.results.writer import ResultRow
from batchvet.runtime.tasks import Cached, Missing, Offered, Task, version_of
from batchvet.vetting.measure import Observation, measure, observe
from batchvet.vetting.rows import failed_row, result_row
from batchvet.vetting.settings import VetSettings
from batchvet.vocabulary import FAULTS_OF_PLACES, ErrorKind


@dataclass(frozen=True)
class VetTask:
    """Work of a worker: tasks into rows."""

    cache: str  #: directory or address
    settings: VetSettings

    def __call__(self, task: Task) -> list[ResultRow]:
        """Rows of all of a task's candidates; whatever goes wrong becomes rows with the reason."""
        match task.pixels:
            case Missing(problem):
                return failed_rows(task, problem)
            case Offered(offer):
                text = f"a fault in batchvet, please report it: {offer.location} is not in the cache yet"
                return failed_rows(task, Problem(ErrorKind.INTERNAL, text))
            case Cached() as pixels:
                return self._rows(task, pixels)

    def _rows(self, task: Task, pixels: Cached) -> list[ResultRow]:
        start = time.perf_counter()
        try:
            stamp = Cache(self.cache).read(pixels.entry, with_errors=False)
            if version_of(stamp.sha256, stamp.source) != pixels.stamp_hash:
                return failed_rows(task, _replaced(self.cache, pixels))
            observation = observe(stamp, self.settings)
        except BatchvetError as error:
            return failed_rows(task, Problem.of(error))
        except Exception as error:  # promise 1: a fault of ours is a row too, with what to report
            return failed_rows(task, Problem.internal(error))
        share = (time.perf_counter() - start) / len(task.candidates)
        return [self._row(task, candidate, observation, share) for candidate in task.candidates]

    def _row(self, task: Task, candidate: Candidate, observation: Observation, read_seconds: float) -> ResultRow:
        start = time.perf_counter()
        try:
            measured = measure(observation, candidate, task.surroundings, self.settings)
            row = result_row(measured, task.hashes)
            return row.that_took(time.perf_counter() - start + read_seconds)
        except Exception as error:
            return failed_row(candidate, task.sector, Problem.internal(error), task.hashes)


def is_in_doubt(rows: Sequence[ResultRow]) -> bool:
    """Whether rows failed by what may be the fault of the place where they were made."""
    return any(row.sector["error_kind"] in FAULTS_OF_PLACES for row in rows)


def _replaced(cache: str, pixels: Cached) -> Problem:
    text = (
        f"{cache}/{pixels.entry.name}: was replaced by other pixels since the run was planned; run again to vet those"
    )
    return Problem(ErrorKind.CHANGED, text)


def killed(task: Task) -> list[ResultRow]:
    """Rows of a task under which workers died."""
    text = (
        f"TIC {task.tic}, sector {task.sector}: its worker died three times (out of memory: cluster.memory; or longer "
        "than task_timeout_s); try --only with --executor serial to see why"
    )
    return failed_rows(task, Problem(ErrorKind.KILLED, text))


def failed_rows(task: Task, problem: Problem) -> list[ResultRow]:
    """A row for each candidate of a task that could not be done."""
    return [failed_row(candidate, task.sector, problem, task.hashes) for candidate in task.candidates]
