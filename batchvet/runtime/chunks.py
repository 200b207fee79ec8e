"""What travels: several targets at a time to a worker, their rows and verdicts back as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from batchvet.results.candidate_rows import CandidateTables
from batchvet.results.writer import ResultRow, RowTables
from batchvet.runtime.judging import judged_at_once
from batchvet.runtime.tasks import Task
from batchvet.runtime.watchdog import next_piece
from batchvet.runtime.worker import VetTask, is_in_doubt, killed
from batchvet.vetting.judge import Judge

_MOST = 32  #: tasks of one target that travel together


@dataclass(frozen=True)
class Chunk:
    """Tasks that one worker does one after another."""

    tasks: tuple[Task, ...]
    whole: frozenset[int] = frozenset()  #: targets all of whose rows are made here: they are judged at once
    place: int | None = None  #: among all chunks, from 0


@dataclass(frozen=True)
class ChunkRows:
    """What came of a chunk."""

    rows: RowTables
    candidates: CandidateTables | None  #: those that were judged and their stars; None when none was
    in_doubt: bool  #: whether something failed by what may be the fault of the place


@dataclass(frozen=True)
class VetChunk:
    """Work of a worker: tasks into rows, and whole targets into verdicts."""

    vet: VetTask
    judge: Judge

    def __call__(self, chunk: Chunk) -> ChunkRows:
        rows: list[ResultRow] = []
        whole: list[ResultRow] = []
        in_doubt = False
        for task in chunk.tasks:
            next_piece()
            made = self.vet(task)
            rows += made
            whole += made if task.tic in chunk.whole else ()
            in_doubt = in_doubt or is_in_doubt(made)
        declared = {candidate for task in chunk.tasks for candidate in task.candidates}
        judged = judged_at_once(whole, declared, self.judge)
        return ChunkRows(RowTables.of(rows), CandidateTables.of(judged) if judged else None, in_doubt)


def killed_rows(chunk: Chunk) -> ChunkRows:
    """What there is of a chunk under which workers died."""
    return ChunkRows(RowTables.of([row for task in chunk.tasks for row in killed(task)]), None, in_doubt=False)


def chunks(tasks: Sequence[Task], size: int, planned: Iterable[Task]) -> Iterator[Chunk]:
    """Successive tasks, about `size` at a time; a target is not divided unless it alone has more.

    Parameters
    ----------
    tasks : sequence of Task
        Sorted by target.
    size : int
    planned : iterable of Task
        Those of the whole plan: a target is judged with its chunk when all of its rows are made there.
    """
    wanted: Counter[int] = Counter()
    for task in planned:
        wanted[task.tic] += len(task.candidates)
    start = place = 0
    while start < len(tasks):
        stop = min(start + size, len(tasks))
        while start < stop < len(tasks) and tasks[stop].tic == tasks[stop - 1].tic:
            stop -= 1
        if stop == start:  # one target has more
            stop = min(start + size, len(tasks))
            if size < _MOST:  # but not so many that they must be divided
                while stop < min(start + _MOST, len(tasks)) and tasks[stop].tic == tasks[start].tic:
                    stop += 1
        several = tuple(tasks[start:stop])
        made: Counter[int] = Counter()
        for task in several:
            made[task.tic] += len(task.candidates)
        yield Chunk(several, frozenset(tic for tic, n in made.items() if n == wanted[tic]), place)
        start, place = stop, place + 1
