"""Rows of ``candidates.parquet`` as they come: those of an earlier run that hold, and new ones.

New rows lie in parts of a hidden directory until the table is written, so that a run that is interrupted while judging
goes on where it stopped. Nothing is kept in memory but names.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from batchvet.results.candidate_merge import CandidateFiles, distinct_names, write_sorted
from batchvet.results.directory import CANDIDATES, HOSTS
from batchvet.results.parts import as_table, write_table
from batchvet.results.schema import BARE, CANDIDATES_SCHEMA, HOSTS_SCHEMA
from batchvet.results.writer import packed, unpacked
from batchvet.vocabulary import FINAL_FAULTS

WAITING = ".candidates"  #: where rows wait for the table
_ROWS_PER_PART = 1024
_SECONDS_PER_PART = 30.0


@dataclass(frozen=True)
class CandidateTables:
    """Rows of several candidates as columns, and beside them those of their stars."""

    candidates: pa.Table
    hosts: pa.Table

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Self:
        """Rows of candidates, each with its stars' rows under the name ``hosts``, when it has any."""
        stars = [star for row in rows for star in row.get("hosts", ())]
        candidates = [{name: value for name, value in row.items() if name != "hosts"} for row in rows]
        return cls(
            as_table(candidates, BARE["candidates"], "candidates"),
            as_table(stars, BARE["hosts"], "hosts"),
        )

    def __reduce__(self) -> tuple[object, ...]:
        """As streams of Arrow, like rows of the other tables."""
        return _unpacked, (packed(self.candidates), packed(self.hosts))


def _unpacked(candidates: bytes, hosts: bytes) -> CandidateTables:
    return CandidateTables(unpacked(candidates), unpacked(hosts))


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
        self._hosts = directory / HOSTS
        self._rows: list[CandidateTables] = []
        self._n_rows = 0
        self._last_commit = time.monotonic()

    def known(self) -> dict[str, str]:
        """By name what each row was made from, "" where the candidate could not be judged or its stars are lost."""
        files = CandidateFiles(self._table, self._hosts, self._waiting)
        found: dict[str, str] = {}
        with_stars: set[tuple[Any, Any]] = set()
        for stars in files.hosts():
            names = distinct_names(stars)
            with_stars.update(zip(names["toi"].to_pylist(), names["made_from"].to_pylist(), strict=True))
        for file in files.candidates():
            rows = file.read(["toi", "made_from", "error_kind", "n_sectors_used"])
            for toi, made_from, error_kind, n_used in zip(*(each.to_pylist() for each in rows.columns), strict=True):
                holds = (not error_kind or error_kind in FINAL_FAULTS) and (
                    not n_used or (toi, made_from) in with_stars
                )
                found[toi] = made_from or "" if holds else ""
        return found

    def add(self, rows: Sequence[Mapping[str, Any]] | CandidateTables) -> None:
        """Take rows; commit a part when there are enough of them, or when the last one is old."""
        self._rows.append(rows if isinstance(rows, CandidateTables) else CandidateTables.of(rows))
        self._n_rows += self._rows[-1].candidates.num_rows
        if self._n_rows >= _ROWS_PER_PART or time.monotonic() - self._last_commit > _SECONDS_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Commit what was taken. Raises RunError where there is no room, as all that writes here."""
        if self._n_rows:
            name = f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:6]}.parquet"
            stars = pa.concat_tables([several.hosts for several in self._rows])
            write_table(self._waiting / HOSTS / name, stars, HOSTS_SCHEMA, self._footer)
            rows = pa.concat_tables([several.candidates for several in self._rows])
            write_table(self._waiting / name, rows, CANDIDATES_SCHEMA, self._footer)
        self._rows, self._n_rows = [], 0
        self._last_commit = time.monotonic()

    def write(self, wanted: Mapping[str, str]) -> int:
        """Write the tables, sorted, of the rows that are wanted; returns how many could not be judged.

        Parameters
        ----------
        wanted : mapping of str to str
            By name what the row is to be made from.
        """
        self.flush()
        return write_sorted(CandidateFiles(self._table, self._hosts, self._waiting), wanted, self._footer)
