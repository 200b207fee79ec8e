"""What a cache's index knows of its entries: as columns, so that two million of them are no burden."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batchvet.columns import numbers_of
from batchvet.pixels.entry import StampKey
from batchvet.pixels.index_file import table_of

_ORDER = ("tic", "sector", "cadence_s")
_BLOCK = 1024  #: entries that are looked at together, as a plan does target by target


@dataclass(frozen=True)
class CacheEntry:
    """What the index knows of one stamp."""

    tic: int
    sector: int
    cadence_s: int  #: s, rounded
    size: int  #: bytes of the entry
    version: int  #: of the entry's file, changes when it is replaced
    n_cadences: int
    camera: int
    ccd: int
    source: str  #: file or address that it was made from
    source_size: int  #: bytes
    source_mtime_ns: int
    source_sha256: str

    @property
    def key(self) -> StampKey:
        return StampKey(self.tic, self.sector, self.cadence_s)


class EntryTable:
    """Entries sorted by target, sector and cadence.

    Parameters
    ----------
    rows : pyarrow.Table
        With the columns of :class:`CacheEntry`, in any order of rows.
    """

    def __init__(self, rows: pa.Table) -> None:
        if not _is_sorted(rows):
            rows = rows.sort_by([(name, "ascending") for name in _ORDER])
        self.rows = rows.combine_chunks()
        self._tics = array("q", numbers_of(self.rows["tic"]).tobytes())
        self._sectors = array("q", numbers_of(self.rows["sector"]).tobytes())
        self._block: tuple[int, list[CacheEntry]] = (-1, [])  #: those that were looked at last

    @classmethod
    def of_entries(cls, entries: Iterable[CacheEntry]) -> EntryTable:
        """The table of some entries."""
        return cls(table_of(CacheEntry, entries))

    def __len__(self) -> int:
        return len(self._tics)

    def __iter__(self) -> Iterator[CacheEntry]:
        for batch in self.rows.to_batches(max_chunksize=10_000):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield CacheEntry(*row)

    def sectors(self, tic: int) -> frozenset[int]:
        """Sectors of a target that have an entry."""
        first, last = self._rows_of(tic)
        return frozenset(self._sectors[first:last])

    def has(self, tic: int, sector: int) -> bool:
        """Whether a target has an entry in a sector."""
        first, last = self._rows_of(tic)
        at = bisect_left(self._sectors, sector, lo=first, hi=last)
        return at < last and self._sectors[at] == sector

    def only_ones(self, tic: int) -> dict[int, int]:
        """By sector the row of a target's entry, where it has just one."""
        first, last = self._rows_of(tic)
        sectors = self._sectors[first:last]
        rows = dict(zip(sectors, range(first, last), strict=True))
        return rows if len(rows) == last - first else {s: row for s, row in rows.items() if sectors.count(s) == 1}

    def of(self, tic: int, sector: int) -> list[CacheEntry]:
        """Entries of a target in a sector, the shortest cadence first."""
        first, last = self._rows_of(tic)
        first = bisect_left(self._sectors, sector, lo=first, hi=last)
        last = bisect_right(self._sectors, sector, lo=first, hi=last)
        return [self._entry(row) for row in range(first, last)]

    def _entry(self, row: int) -> CacheEntry:
        block = row // _BLOCK
        if self._block[0] != block:
            rows = self.rows.slice(block * _BLOCK, _BLOCK)
            columns = (column.to_pylist() for column in rows.columns)
            self._block = block, [CacheEntry(*values) for values in zip(*columns, strict=True)]
        return self._block[1][row % _BLOCK]

    def _rows_of(self, tic: int) -> tuple[int, int]:
        # unlike NumPy's, this search never waits for threads of Dask's
        first = bisect_left(self._tics, tic)
        return first, bisect_right(self._tics, tic, lo=first)


def _is_sorted(rows: pa.Table) -> bool:
    """Whether rows are sorted already, as in an index that this program has written: to sort copies all of it."""
    same = np.ones(max(rows.num_rows - 1, 0), dtype=bool)
    for name in _ORDER:
        step = np.diff(numbers_of(rows[name]))
        if (step[same] < 0).any():
            return False
        same &= step == 0
    return True
