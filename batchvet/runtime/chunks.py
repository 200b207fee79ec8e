"""What travels: several targets at a time to a worker, their rows and verdicts back as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

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


def chunks(tasks: Iterable[Task], size: int, rows_of: Callable[[int], int]) -> Iterator[Chunk]:
    """Successive tasks, about `size` at a time; a target is not divided unless it alone has more.

    Parameters
    ----------
    tasks : iterable of Task
        Sorted by target.
    size : int
    rows_of : callable
        How many rows a target has in the whole plan: it is judged with its chunk when all of them are made there.
    """
    for place, several in enumerate(_several(tasks, size)):
        made: Counter[int] = Counter()
        for task in several:
            made[task.tic] += len(task.candidates)
        yield Chunk(several, frozenset(tic for tic, n in made.items() if n == rows_of(tic)), place)


def _several(tasks: Iterable[Task], size: int) -> Iterator[tuple[Task, ...]]:
    most = max(size, _MOST)
    several: list[Task] = []
    for _, group in groupby(tasks, key=lambda task: task.tic):
        target = list(group)
        if several and len(several) + len(target) > size:
            yield tuple(several)
            several = []
        while len(target) > most:  # but not so many that they must be divided
            yield tuple(target[:most])
            target = target[most:]
        several += target
    if several:
        yield tuple(several)
