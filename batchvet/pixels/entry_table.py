"""What a cache's index knows of its entries: as columns, so that two million of them are no burden."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from batchvet.arrays import IntegerArray
from batchvet.pixels.entry import StampKey
from batchvet.pixels.index_file import schema_of

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
        order = [(name, "ascending") for name in ("tic", "sector", "cadence_s")]
        self.rows = rows.sort_by(order).combine_chunks()  # type: ignore[arg-type]
        self._tics = array("q", self.rows["tic"].to_numpy().tobytes())
        self._sector: IntegerArray = np.asarray(self.rows["sector"].to_numpy())
        self._block: tuple[int, list[CacheEntry]] = (-1, [])  #: those that were looked at last

    @classmethod
    def of_entries(cls, entries: Iterable[CacheEntry]) -> EntryTable:
        """The table of some entries."""
        entries = list(entries)
        columns = {f.name: [getattr(entry, f.name) for entry in entries] for f in fields(CacheEntry)}
        return cls(pa.table(columns, schema=schema_of(CacheEntry)))

    def __len__(self) -> int:
        return len(self._tics)

    def __iter__(self) -> Iterator[CacheEntry]:
        for batch in self.rows.to_batches(max_chunksize=10_000):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield CacheEntry(*row)

    def sectors(self, tic: int) -> frozenset[int]:
        """Sectors of a target that have an entry."""
        first, last = self._rows_of(tic)
        return frozenset(self._sector[first:last].tolist())

    def of(self, tic: int, sector: int) -> list[CacheEntry]:
        """Entries of a target in a sector, the shortest cadence first."""
        first, last = self._rows_of(tic)
        return [entry for entry in map(self._entry, range(first, last)) if entry.sector == sector]

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
