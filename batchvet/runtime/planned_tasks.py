"""The tasks of a plan as columns: a hundred bytes each, and a task by itself only while somebody looks at it."""

from __future__ import annotations

import hashlib
import heapq
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import pyarrow as pa

import batchvet
from batchvet.arrays import BoolArray, IndexArray, IntegerArray
from batchvet.runtime.earlier_rows import WantedRows
from batchvet.runtime.tasks import Cached, Missing, Offered, Pixels, RowKey, Task
from batchvet.vocabulary import ErrorKind

CACHED, OFFERED, MISSING, NOWHERE = range(4)  #: kinds of pixels; nowhere: not even a file that cannot be used
_HASHES = ("stamp_hash", "candidate_hash", "neighbours_hash", "settings_hash")
_WIDTH = 16  #: letters of such a word, at most
_EXAMPLES = 3  #: of the smallest entries

#: Makes the tasks of one origin, always the same ones.
Make = Callable[[int], Sequence[Task]]


@dataclass(frozen=True)
class TaskColumns:
    """What is kept of each task, sorted by target and sector; rows are its candidates, task after task."""

    tic: IntegerArray
    sector: IntegerArray
    kind: IntegerArray  #: of its pixels
    size: IntegerArray  #: bytes of its pixels
    ccd: IntegerArray  #: eight times the camera, and the CCD
    origin: IntegerArray  #: of whom it is made
    number: IntegerArray  #: which of its origin's tasks it is
    first_row: IntegerArray  #: of each task, and the number of all rows
    toi: pa.Array[Any]  #: of each row
    hashes: dict[str, Any]  #: by the table's columns, a word each

    @property
    def n_rows(self) -> IntegerArray:
        """Rows of each task."""
        return np.diff(self.first_row)

    @cached_property
    def task_of_row(self) -> IndexArray:
        """Of each row its task."""
        return np.repeat(np.arange(len(self.tic)), self.n_rows)

    def wanted(self) -> WantedRows:
        """The rows by name."""
        return WantedRows(self.toi, self.sector[self.task_of_row])

    def hashes_of_rows(self, column: str) -> pa.Array[Any]:
        """What a column of hashes is to say of each row."""
        if column not in self.hashes:
            return pa.repeat(batchvet.__version__, int(self.first_row[-1]))
        words: pa.Array[Any] = pa.array(self.hashes[column][self.task_of_row]).cast(pa.string())
        return words


class ColumnsOfTasks:
    """Collects tasks into columns."""

    def __init__(self) -> None:
        self._numbers = {name: array("q") for name in ("tic", "sector", "kind", "size", "ccd", "origin", "number")}
        self._n_rows = array("q")
        self._toi: list[str] = []
        self._hashes = {name: bytearray() for name in _HASHES}

    def add(self, task: Task, origin: int, number: int) -> None:
        """Take a task, the `number`-th of its origin."""
        numbers = (task.tic, task.sector, _kind(task.pixels), _size(task.pixels), _ccd(task.pixels), origin, number)
        for each, value in zip(self._numbers.values(), numbers, strict=True):
            each.append(value)
        self._n_rows.append(len(task.candidates))
        self._toi.extend([candidate.toi for candidate in task.candidates])
        words = (task.pixels.stamp_hash, task.candidate_hash, task.neighbours_hash, task.settings_hash)
        for column, word in zip(self._hashes.values(), words, strict=True):
            column += word.encode().ljust(_WIDTH, b"\0")

    def columns(self) -> TaskColumns:
        """The tasks, sorted."""
        numbers = {name: np.frombuffer(column, dtype=np.int64) for name, column in self._numbers.items()}
        n_rows = np.frombuffer(self._n_rows, dtype=np.int64)
        order = np.lexsort((numbers["sector"], numbers["tic"]))
        before = np.concatenate([[0], np.cumsum(n_rows)])
        first_row = np.concatenate([[0], np.cumsum(n_rows[order])])
        row = np.arange(first_row[-1]) + np.repeat(before[:-1][order] - first_row[:-1], n_rows[order])
        return TaskColumns(
            **{name: column[order] for name, column in numbers.items()},
            first_row=first_row,
            toi=pa.array(self._toi, pa.string()).take(pa.array(row)),
            hashes={name: np.frombuffer(bytes(text), dtype=f"S{_WIDTH}")[order] for name, text in self._hashes.items()},
        )


class Tasks(Sequence[Task]):
    """Tasks, each made when it is asked for.

    Parameters
    ----------
    columns : TaskColumns
    make : callable
    chosen : array of int
        Positions in `columns`; None: all.
    is_open : array of bool
        Of each row of `columns`, whether it is to be made; None: all are.
    """

    def __init__(
        self, columns: TaskColumns, make: Make, chosen: IndexArray | None = None, is_open: BoolArray | None = None
    ) -> None:
        self.columns, self._make, self._is_open = columns, make, is_open
        self._chosen = np.arange(len(columns.tic)) if chosen is None else chosen
        self._made: tuple[int, Sequence[Task]] = (-1, ())  #: of the last origin

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Task]:
        for position in self._chosen:
            yield self._task(int(position))

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> Tasks: ...
    def __getitem__(self, index: int | slice) -> Task | Tasks:
        if isinstance(index, slice):
            return Tasks(self.columns, self._make, self._chosen[index], self._is_open)
        return self._task(int(self._chosen[index]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _task(self, position: int) -> Task:
        origin = int(self.columns.origin[position])
        if self._made[0] != origin:
            self._made = origin, self._make(origin)
        task = self._made[1][int(self.columns.number[position])]
        first, last = self.columns.first_row[position : position + 2].tolist()
        if self._is_open is None or self._is_open[first:last].all():
            return task
        return task.of_candidates(self._is_open[first:last].tolist())

    def where(self, chosen: BoolArray) -> Tasks:
        """Of these tasks the chosen ones."""
        return Tasks(self.columns, self._make, self._chosen[chosen], self._is_open)

    def with_rows(self, is_open: BoolArray) -> Tasks:
        """Of these tasks those that have an open row, with these rows alone."""
        n_open = np.bincount(self.columns.task_of_row, weights=is_open, minlength=len(self.columns.tic))
        return Tasks(self.columns, self._make, self._chosen[n_open[self._chosen] > 0], is_open)

    @property
    def tic(self) -> IntegerArray:
        """Target of each."""
        return self.columns.tic[self._chosen]

    @property
    def sector(self) -> IntegerArray:
        """Sector of each."""
        return self.columns.sector[self._chosen]

    @property
    def kind(self) -> IntegerArray:
        """Kind of each one's pixels."""
        return self.columns.kind[self._chosen]

    @property
    def size(self) -> IntegerArray:
        """Bytes of each one's pixels."""
        return self.columns.size[self._chosen]

    @property
    def rows(self) -> BoolArray:
        """Of each row of all tasks, whether these tasks make it."""
        mine = np.zeros(len(self.columns.tic), dtype=bool)
        mine[self._chosen] = True
        rows = mine[self.columns.task_of_row]
        return rows if self._is_open is None else rows & self._is_open

    @property
    def n_rows(self) -> int:
        """How many rows they make."""
        return int(np.count_nonzero(self.rows))

    def offered(self) -> Tasks:
        """Those whose file is to be cached first."""
        return self.where(self.kind == OFFERED)

    def ccds(self) -> list[tuple[int, int, int]]:
        """Sector, camera and CCD of pixels that are in the cache, each once."""
        cached = self._chosen[self.kind == CACHED]
        pairs = np.unique(np.stack([self.columns.sector[cached], self.columns.ccd[cached]]), axis=1)
        return [(sector, *divmod(ccd, 8)) for sector, ccd in pairs.T.tolist()]

    def examples(self) -> list[Task]:
        """A few that stand for all where it is about the size of their pixels: the smallest and the largest."""
        found: list[int] = []
        for kind in (CACHED, OFFERED):
            mine = np.flatnonzero(self.kind == kind).tolist()
            sizes = self.size
            found += heapq.nsmallest(_EXAMPLES, mine, key=lambda n: (sizes[n], n))
            found += heapq.nlargest(1, mine, key=lambda n: sizes[n])
        return [self[n] for n in dict.fromkeys(found)]

    def of_first_targets(self, limit: int) -> Tasks:
        """Those of the first so many targets."""
        return self.where(np.isin(self.tic, np.unique(self.tic)[:limit]))

    def of(self, tic: int, sector: int) -> Tasks:
        """The one of a target in a sector, if there is one."""
        return self.where((self.tic == tic) & (self.sector == sector))

    def rows_of_targets(self) -> Callable[[int], int]:
        """Tells how many rows a target has."""
        targets, target = np.unique(self.tic, return_inverse=True)
        n_rows = np.bincount(target, weights=self.columns.n_rows[self._chosen]).astype(np.int64)
        tics = array("q", targets.tobytes())
        return lambda tic: int(n_rows[bisect_left(tics, tic)])

    def names(self) -> set[RowKey]:
        """Of all of their rows."""
        return set(self.columns.wanted().names(self.rows))

    def identity(self) -> str:
        """Short hash of the tasks: their rows, and what these stand on."""
        columns = self.columns
        digest = hashlib.sha256(batchvet.__version__.encode())
        for numbers in (columns.tic, columns.sector, columns.first_row):
            digest.update(numbers.astype("<i8").tobytes())
        for words in columns.hashes.values():
            digest.update(words.tobytes())
        for start in range(0, len(columns.toi), 10_000):
            digest.update("\n".join(map(str, columns.toi.slice(start, 10_000).to_pylist())).encode())
        return digest.hexdigest()[:12]


def _kind(pixels: Pixels) -> int:
    match pixels:
        case Cached():
            return CACHED
        case Offered():
            return OFFERED
        case Missing():
            return NOWHERE if is_nowhere(pixels) else MISSING


def is_nowhere(pixels: Pixels) -> bool:
    """Whether there is not even a file that cannot be used."""
    return isinstance(pixels, Missing) and pixels.problem.kind in (ErrorKind.MISSING_TPF, ErrorKind.NOT_ASKED)


def _size(pixels: Pixels) -> int:
    return 0 if isinstance(pixels, Missing) else pixels.size


def _ccd(pixels: Pixels) -> int:
    return 8 * pixels.camera + pixels.ccd if isinstance(pixels, Cached) and pixels.camera and pixels.ccd else 0
