"""One writer of a run's tables: it collects rows and commits them in parts."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from batchvet.results.memory import give_back
from batchvet.results.parts import WRITE_ORDER, as_table, part_files, write_table
from batchvet.results.schema import BARE, TABLES

ROWS_PER_PART = 1024
SECONDS_PER_PART = 30.0
_MOST_EARLY = 2048  #: rows that wait for others: 30 MB


@dataclass(frozen=True)
class ResultRow:
    """What one task says of one candidate in one sector."""

    sector: Mapping[str, Any]  #: row of the table `sectors`
    image: Mapping[str, Any] | None = None  #: row of `images`, when there are pixels to show
    evidence: Mapping[str, Any] | None = None  #: row of `evidence`, when the dip was localised

    def that_took(self, seconds: float) -> ResultRow:
        """The row with the time that it took, which is known when all else is made."""
        return replace(self, sector={**self.sector, "seconds": seconds})

    @property
    def key(self) -> tuple[str, int]:
        """Candidate and sector, unique in a run."""
        return self.sector["toi"], self.sector["sector"]


@dataclass(frozen=True)
class RowTables:
    """Rows of several tasks as columns: small on their way, and cheap for the one who writes them."""

    tables: Mapping[str, pa.Table]  #: by name, each with its own rows

    @classmethod
    def of(cls, rows: Iterable[ResultRow]) -> Self:
        """The rows, each in its tables, by target, candidate and sector."""
        rows = sorted(rows, key=lambda row: (row.sector["tic"], *row.key))
        parts: dict[str, list[Mapping[str, Any]]] = {
            "images": [row.image for row in rows if row.image is not None],
            "evidence": [row.evidence for row in rows if row.evidence is not None],
            "sectors": [
                {**row.sector, "has_image": row.image is not None, "has_evidence": row.evidence is not None}
                for row in rows
            ],
        }
        return cls({table: as_table(parts[table], BARE[table], table) for table in WRITE_ORDER})

    def __reduce__(self) -> tuple[object, ...]:
        """As streams of Arrow: hundreds of columns pickled one by one would cost more than all the rest."""
        return _unpacked, ({name: packed(table) for name, table in self.tables.items()},)


def packed(table: pa.Table) -> bytes:
    """A table as a stream of Arrow."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def unpacked(content: bytes) -> pa.Table:
    """The table of a stream of Arrow."""
    with pa.ipc.open_stream(content) as stream:
        return stream.read_all()


def _unpacked(content: Mapping[str, bytes]) -> RowTables:
    return RowTables({name: unpacked(stream) for name, stream in content.items()})


class ResultWriter:
    """Collects rows and commits them in parts.

    Rows that have a place are committed in the order of their places, so that parts follow each other as they do in
    the finished table, and nothing is left to merge. For one that is late the others wait as long as a part may be
    old, or until there are too many of them.

    Parameters
    ----------
    directory : path
        Of the run.
    footer : mapping of str to str
        Written into every file: plan hash, versions.
    """

    def __init__(
        self,
        directory: Path,
        footer: Mapping[str, str],
        *,
        rows_per_part: int = ROWS_PER_PART,
        seconds_per_part: float = SECONDS_PER_PART,
    ) -> None:
        self._directory = directory
        self._footer = footer
        self._rows_per_part = rows_per_part
        self._seconds_per_part = seconds_per_part
        self._rows: list[RowTables] = []  #: that make up the next part
        self._early: dict[int, RowTables] = {}  #: by place, those that wait for a late one
        self._next = 0  #: the first place that has not come
        self._gone: set[int] = set()  #: places after it that are committed
        self._last_commit = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()

    def add(self, rows: Iterable[ResultRow] | RowTables, place: int | None = None) -> None:
        """Take rows; commit a part when there are enough of them, or when the last one is old.

        Parameters
        ----------
        rows : iterable of ResultRow, or RowTables
        place : int, optional
            Of these rows among all others, counted from 0. Of a place that stays empty, no rows.
        """
        rows = rows if isinstance(rows, RowTables) else RowTables.of(rows)
        if place is None or place < self._next:
            self._rows.append(rows)
        else:
            self._early[place] = rows
        while self._next in self._early or self._next in self._gone:
            if self._next in self._early:
                self._rows.append(self._early.pop(self._next))
            self._gone.discard(self._next)
            self._next += 1
        old = time.monotonic() - self._last_commit > self._seconds_per_part
        if old or _n_rows(self._early.values()) >= _MOST_EARLY:
            self.flush()
        elif _n_rows(self._rows) >= self._rows_per_part:
            self._commit(self._rows)

    def flush(self) -> None:
        """Commit what was taken."""
        self._commit(self._rows)
        places = sorted(self._early)
        self._commit([self._early[place] for place in places])
        self._gone.update(places)
        self._early.clear()

    def _commit(self, several: list[RowTables]) -> None:
        """Write a part, and forget the rows."""
        if _n_rows(several):
            name = f"part-{self._number():020d}-{uuid.uuid4().hex[:6]}.parquet"
            for table in WRITE_ORDER:
                rows = pa.concat_tables([one.tables[table] for one in several])
                if rows.num_rows:
                    write_table(self._directory / table / name, rows, TABLES[table], self._footer)
        several.clear()
        give_back()
        self._last_commit = time.monotonic()

    def _number(self) -> int:
        """The time, or one more than the last part has where the clock was set back: the later of two rows counts."""
        numbers = (re.match(r"part-(\d{20})-", name) for name in part_files(self._directory, "sectors"))
        return max([time.time_ns(), *(int(number[1]) + 1 for number in numbers if number)])


def _n_rows(several: Iterable[RowTables]) -> int:
    return sum(rows.tables["sectors"].num_rows for rows in several)
