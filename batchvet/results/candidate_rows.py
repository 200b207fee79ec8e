"""Rows of ``candidates.parquet`` as they come: those of an earlier run that hold, and new ones.

New rows lie in parts of a hidden directory until the table is written, so that a run that is interrupted while judging
goes on where it stopped. Nothing is kept in memory but names.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchvet.results.directory import CANDIDATES, HOSTS, writing
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
        found: dict[str, str] = {}
        with_stars: set[tuple[Any, Any]] = set()
        for rows in self._star_tables(["toi", "made_from"]):
            with_stars.update(zip(rows["toi"].to_pylist(), rows["made_from"].to_pylist(), strict=True))
        for rows in self._tables(["toi", "made_from", "error_kind", "n_sectors_used"]):
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
        judged: list[Any] = table["toi"].to_pylist()
        made_from: list[Any] = table["made_from"].to_pylist()
        self._write_hosts(dict(zip(judged, made_from, strict=True)))
        write_table(self._table, table, CANDIDATES_SCHEMA, self._footer)
        with writing(self._waiting):
            shutil.rmtree(self._waiting, ignore_errors=True)
        return sum(bool(kind) and kind not in FINAL_FAULTS for kind in table["error_kind"].to_pylist())

    def _write_hosts(self, made_from: Mapping[str, str]) -> None:
        """Write the stars of those candidates, a part for each `_ROWS_PER_PART` candidates; older parts go."""
        chosen: dict[str, pa.Table] = {}
        for rows in self._star_tables(HOSTS_SCHEMA.names):
            for toi, group in _by_candidate(rows):
                if made_from.get(toi) == group["made_from"][0].as_py():
                    chosen[toi] = group
        ordered = [chosen[toi] for toi in made_from if toi in chosen]
        before = set(self._hosts.glob("part-*.parquet"))
        for start in range(0, len(ordered), _ROWS_PER_PART):
            path = self._hosts / f"part-{start // _ROWS_PER_PART:05d}.parquet"
            write_table(path, pa.concat_tables(ordered[start : start + _ROWS_PER_PART]), HOSTS_SCHEMA, self._footer)
            before.discard(path)
        with writing(self._hosts):
            for path in before:
                path.unlink(missing_ok=True)

    def _star_tables(self, columns: list[str]) -> Iterator[pa.Table]:
        """Parts of the table `hosts`, oldest first; one that cannot be read is made anew by judging again."""
        waiting = self._waiting / HOSTS
        for path in (*sorted(self._hosts.glob("part-*.parquet")), *sorted(waiting.glob("part-*.parquet"))):
            try:
                with pq.ParquetFile(path, page_checksum_verification=True) as file:
                    rows = file.read(columns).select(columns)
                yield rows.cast(pa.schema([HOSTS_SCHEMA.field(name) for name in columns]))
            except (OSError, KeyError, ValueError, pa.ArrowException):
                continue

    def _tables(self, columns: list[str]) -> Iterator[pa.Table]:
        """What is there, oldest first; a file that cannot be read, or lacks a column, is made anew by judging again."""
        for path in (self._table, *sorted(self._waiting.glob("part-*.parquet"))):
            try:
                with pq.ParquetFile(path, page_checksum_verification=True) as file:
                    if not set(CANDIDATES_SCHEMA.names) <= set(file.schema_arrow.names):
                        continue
                    rows = file.read(columns).select(columns)
                yield rows.cast(pa.schema([CANDIDATES_SCHEMA.field(name) for name in columns]))
            except (OSError, KeyError, ValueError, pa.ArrowException):
                continue


def _by_candidate(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Successive rows of one candidate."""
    names: list[Any] = rows["toi"].to_pylist()
    start = 0
    for n in range(1, len(names) + 1):
        if n == len(names) or names[n] != names[start]:
            yield names[start], rows.slice(start, n - start)
            start = n


def _last_of_each(rows: pa.Table) -> pa.Table:
    """Of rows, the older first, the last of each candidate, sorted by target and name."""
    rows = rows.append_column("place", pa.array(range(rows.num_rows), pa.int64()))
    last = rows.group_by("toi").aggregate([("place", "max")])["place_max"]
    rows = rows.filter(pc.is_in(rows["place"], value_set=last.combine_chunks()))
    return rows.sort_by([("tic", "ascending"), ("toi", "ascending")]).drop_columns("place")
