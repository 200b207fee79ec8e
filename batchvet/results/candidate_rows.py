"""Rows of ``candidates.parquet`` as they come: those of an earlier run that hold, and new ones.

New rows lie in parts of a hidden directory until the table is written, so that a run that is interrupted while judging
goes on where it stopped. Nothing is kept in memory but names.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchvet.results.directory import CANDIDATES, writing
from batchvet.results.parts import as_table, write_table
from batchvet.results.schema import BARE, CANDIDATES_SCHEMA
from batchvet.vocabulary import FINAL_FAULTS

WAITING = ".candidates"  #: where rows wait for the table
_ROWS_PER_PART = 1024
_SECONDS_PER_PART = 30.0


class CandidateRows:
    """Collects rows of candidates.

    Parameters
    ----------
    directory : path
        Of the run.
    footer : mapping of str to str
        Written into every file.
    """

    def __init__(self, directory: Path, footer: Mapping[str, str]) -> None:
        self._table = directory / CANDIDATES
        self._waiting = directory / WAITING
        self._footer = footer
        self._rows: list[pa.Table] = []
        self._n_rows = 0
        self._last_commit = time.monotonic()

    def known(self) -> dict[str, str]:
        """By name what each row was made from, "" where the candidate could not be judged."""
        found: dict[str, str] = {}
        for rows in self._tables(["toi", "made_from", "error_kind"]):
            for toi, made_from, error_kind in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                found[toi] = "" if error_kind and error_kind not in FINAL_FAULTS else made_from or ""
        return found

    def add(self, rows: Sequence[Mapping[str, Any]] | pa.Table) -> None:
        """Take rows; commit a part when there are enough of them, or when the last one is old."""
        self._rows.append(rows if isinstance(rows, pa.Table) else as_table(rows, BARE["candidates"], "candidates"))
        self._n_rows += self._rows[-1].num_rows
        if self._n_rows >= _ROWS_PER_PART or time.monotonic() - self._last_commit > _SECONDS_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Commit what was taken. Raises RunError where there is no room, as all that writes here."""
        if self._n_rows:
            name = f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:6]}.parquet"
            write_table(self._waiting / name, pa.concat_tables(self._rows), CANDIDATES_SCHEMA, self._footer)
        self._rows, self._n_rows = [], 0
        self._last_commit = time.monotonic()

    def write(self, wanted: Mapping[str, str]) -> int:
        """Write the table, sorted, at once, of the rows that are wanted; returns how many could not be judged.

        Parameters
        ----------
        wanted : mapping of str to str
            By name what the row is to be made from.
        """
        self.flush()
        chosen = [CANDIDATES_SCHEMA.empty_table()]
        for rows in self._tables(CANDIDATES_SCHEMA.names):
            names = zip(rows["toi"].to_pylist(), rows["made_from"].to_pylist(), strict=True)
            chosen.append(rows.filter(pa.array([wanted.get(str(toi)) == made for toi, made in names], pa.bool_())))
        table = _last_of_each(pa.concat_tables(chosen))
        write_table(self._table, table, CANDIDATES_SCHEMA, self._footer)
        with writing(self._waiting):
            shutil.rmtree(self._waiting, ignore_errors=True)
        return sum(bool(kind) and kind not in FINAL_FAULTS for kind in table["error_kind"].to_pylist())

    def _tables(self, columns: list[str]) -> Iterator[pa.Table]:
        """What is there, oldest first; a file that cannot be read, or lacks a column, is made anew by judging again."""
        for path in (self._table, *sorted(self._waiting.glob("part-*.parquet"))):
            try:
                with pq.ParquetFile(path, page_checksum_verification=True) as file:
                    rows = file.read(columns).select(columns)
                yield rows.cast(pa.schema([CANDIDATES_SCHEMA.field(name) for name in columns]))
            except (OSError, KeyError, ValueError, pa.ArrowException):
                continue


def _last_of_each(rows: pa.Table) -> pa.Table:
    """Of rows, the older first, the last of each candidate, sorted by target and name."""
    rows = rows.append_column("place", pa.array(range(rows.num_rows), pa.int64()))
    last = rows.group_by("toi").aggregate([("place", "max")])["place_max"]
    rows = rows.filter(pc.is_in(rows["place"], value_set=last.combine_chunks()))
    return rows.sort_by([("tic", "ascending"), ("toi", "ascending")]).drop_columns("place")
