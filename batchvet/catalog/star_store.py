"""The stars of many targets, out of the way: in a file without a name, read target by target."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from batchvet.arrays import FloatArray

#: Targets, ascending, and names and numbers of their stars, row by row.
Block = tuple[NDArray[np.int64], Sequence[str], FloatArray]
_IN_MEMORY = 1 << 24  #: bytes that need no file


@dataclass(frozen=True)
class Record:
    """The stars of one target, as they are kept."""

    names: bytes  #: UTF-8, a line each, sorted
    numbers: bytes  #: float64, little endian, [star, number]


class StarStore:
    """Writes stars once, and gives those of one target.

    Parameters
    ----------
    blocks : iterable of Block
        Sorted by target; the stars of one target may be in two blocks.
    n_numbers : int
        Numbers of each star.
    refuse_twins : bool
        Whether two stars of one name and target are a ValueError.
    """

    def __init__(self, blocks: Iterable[Block], n_numbers: int, *, refuse_twins: bool = False) -> None:
        self._n_numbers = n_numbers
        self._lock = threading.Lock()
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  as long as the store lives
        weakref.finalize(self, self._file.close)
        tics: list[int] = []
        sizes: list[tuple[int, int]] = []
        for tic, names, numbers in _whole_targets(blocks):
            if refuse_twins and len(set(names)) < len(names):
                raise ValueError("two stars of one name")
            record = _record(names, numbers)
            self._file.write(record.names)
            self._file.write(record.numbers)
            tics.append(tic)
            sizes.append((len(record.names), len(record.numbers)))
        self._file.flush()
        self.tic: NDArray[np.int64] = np.array(tics, dtype=np.int64)  #: targets, ascending
        self._tics = array("q", tics)
        self._sizes = np.array(sizes, dtype=np.int64).reshape(-1, 2)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes.sum(axis=1))])

    def count(self, tic: int) -> int:
        """Stars of a target."""
        at = self._place(tic)
        return 0 if at is None else int(self._sizes[at, 1]) // (8 * self._n_numbers)

    def record(self, tic: int) -> Record | None:
        """The stars of a target; None when it has none."""
        at = self._place(tic)
        if at is None:
            return None
        start, (n_names, n_numbers) = int(self._starts[at]), self._sizes[at].tolist()
        with self._lock:
            self._file.seek(start, os.SEEK_SET)
            content = self._file.read(n_names + n_numbers)
        return Record(content[:n_names], content[n_names:])

    def rows_of(self, tic: int) -> tuple[list[str], FloatArray]:
        """Names and numbers of a target's stars, sorted by name."""
        record = self.record(tic)
        if record is None:
            return [], np.empty((0, self._n_numbers))
        numbers = np.frombuffer(record.numbers, dtype="<f8").reshape(-1, self._n_numbers)
        return record.names.decode().split("\n"), numbers.astype(np.float64)

    def _place(self, tic: int) -> int | None:
        at = bisect_left(self._tics, tic)  # unlike NumPy's search, this one never waits for threads of Dask's
        return at if at < len(self._tics) and self._tics[at] == tic else None


def _whole_targets(blocks: Iterable[Block]) -> Iterable[tuple[int, Sequence[str], FloatArray]]:
    """Target by target, also those that begin in one block and end in another."""
    before: tuple[int, list[str], list[FloatArray]] | None = None
    for tic, names, numbers in blocks:
        edges = [*np.flatnonzero(np.diff(tic, prepend=-1)).tolist(), len(tic)]
        for start, stop in pairwise(edges):
            one = int(tic[start])
            if before is not None and before[0] == one:
                before[1].extend(names[start:stop])
                before[2].append(numbers[start:stop])
                continue
            if before is not None:
                yield before[0], before[1], np.concatenate(before[2])
            before = one, list(names[start:stop]), [numbers[start:stop]]
    if before is not None:
        yield before[0], before[1], np.concatenate(before[2])


def _record(names: Sequence[str], numbers: FloatArray) -> Record:
    order = sorted(range(len(names)), key=names.__getitem__)
    if order != list(range(len(names))):
        names, numbers = [names[n] for n in order], numbers[order]
    return Record("\n".join(names).encode(), np.ascontiguousarray(numbers, dtype="<f8").tobytes())
