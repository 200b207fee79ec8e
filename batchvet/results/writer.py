"""One writer of a run's tables: it collects rows and commits them in parts."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from batchvet.results.parts import WRITE_ORDER, as_table, part_files, write_table
from batchvet.results.schema import BARE, TABLES

ROWS_PER_PART = 1024
SECONDS_PER_PART = 30.0


@dataclass(frozen=True)
class ResultRow:
    """What one task says of one candidate in one sector."""

    sector: Mapping[str, Any]  #: row of the table `sectors`
    image: Mapping[str, Any] | None = None  #: row of `images`, when there are pixels to show
    evidence: Mapping[str, Any] | None = None  #: row of `evidence`, when the dip was localised

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
        """The rows, each in its tables."""
        rows = list(rows)
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
        self._rows: list[RowTables] = []
        self._n_rows = 0
        self._last_commit = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()

    def add(self, rows: Iterable[ResultRow] | RowTables) -> None:
        """Take rows; commit a part when there are enough of them, or when the last one is old."""
        rows = rows if isinstance(rows, RowTables) else RowTables.of(rows)
        self._rows.append(rows)
        self._n_rows += rows.tables["sectors"].num_rows
        old = time.monotonic() - self._last_commit > self._seconds_per_part
        if self._n_rows >= self._rows_per_part or (old and self._n_rows):
            self.flush()

    def flush(self) -> None:
        """Commit what was taken."""
        if self._n_rows:
            name = f"part-{self._number():020d}-{uuid.uuid4().hex[:6]}.parquet"
            for table in WRITE_ORDER:
                rows = pa.concat_tables([several.tables[table] for several in self._rows])
                if rows.num_rows:
                    write_table(self._directory / table / name, rows, TABLES[table], self._footer)
        self._rows, self._n_rows = [], 0
        self._last_commit = time.monotonic()

    def _number(self) -> int:
        """The time, or one more than the last part has where the clock was set back: the later of two rows counts."""
        numbers = (re.match(r"part-(\d{20})-", name) for name in part_files(self._directory, "sectors"))
        return max([time.time_ns(), *(int(number[1]) + 1 for number in numbers if number)])
