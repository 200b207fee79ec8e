"""The tasks of a plan: columns of all of them, and a task by itself only while somebody looks at it."""

from __future__ import annotations

import hashlib
import heapq
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np

import batchvet
from batchvet.arrays import BoolArray, IndexArray, IntegerArray
from batchvet.runtime.task_columns import CACHED, OFFERED, TaskColumns
from batchvet.runtime.tasks import RowKey, Task

_EXAMPLES = 3  #: of the smallest entries

#: Makes the tasks of one origin, always the same ones.
Make = Callable[[int], Sequence[Task]]


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

    def let_go(self) -> None:
        """Give up what tasks are made of, the cache's index above all; the columns stay."""
        self._make, self._made = _gone, (-1, ())

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


def _gone(origin: int) -> Sequence[Task]:
    raise RuntimeError("tasks were asked for after they were let go")
