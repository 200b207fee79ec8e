"""A catalogue of candidates from a file: own columns or a published list; every row checked."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchvet.catalog.candidate import Candidate
from batchvet.catalog.cells import Cell
from batchvet.catalog.fields import candidate_of, read_fields, unusable_candidate, without_optional
from batchvet.catalog.layouts import LAYOUTS
from batchvet.catalog.table import Table, bad_rows_error, open_table, shape_problem
from batchvet.errors import ConfigError


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be used."""

    line: int  #: line in the file, comments and header counted; row number, from 1, in a Parquet file
    reason: str  #: everything that is wrong with it
    values: tuple[str, ...]  #: the row as written, one text per column


@dataclass(frozen=True)
class Catalog:
    """Everything that one catalogue says."""

    candidates: tuple[Candidate, ...]  #: those to vet, in the order of the file
    layout: str  #: own, exofop, nasa, mit or tce
    path: Path  #: where it was read from
    sha256: str  #: of the file as it lies on disk
    rejected: tuple[Rejected, ...] = ()  #: rows left out, with the reason; only with ``keep_going``
    unusable: tuple[Candidate, ...] = ()  #: rows of a published list that cannot be vetted, each with its `problem`
    companions: tuple[Candidate, ...] = ()  #: only there for their dips, which are left out of the others' windows
    left_out: tuple[str, ...] = ()  #: cells of a published list that are wrong and not needed, by line

    @property
    def size(self) -> int:
        """Candidates that a run has a row of."""
        return len(self.candidates) + len(self.unusable)

    @property
    def note(self) -> str:
        """What people should know of it, in a sentence; empty when there is nothing."""
        parts = []
        if self.unusable:
            first = self.unusable[0]
            n = len(self.unusable)
            parts.append(
                f"{n} candidate{'s' * (n > 1)} of the catalogue cannot be vetted and will be rows that say why, such "
                f"as TOI {first.toi}: {first.problem}"
            )
        if self.left_out:
            n = len(self.left_out)
            parts.append(f"{n} cell{'s' * (n > 1)} of the catalogue left out, such as {self.left_out[0]}")
        return "; ".join(parts)

    def by_target(self) -> dict[int, tuple[Candidate, ...]]:
        """TIC number to its candidates, both sorted, whatever the order of the file."""
        return _by_target(self.candidates)

    def all_by_target(self) -> dict[int, tuple[Candidate, ...]]:
        """The same with the companions."""
        return _by_target((*self.candidates, *self.companions))


def read_catalog(
    path: str | Path, *, keep_going: bool = False, strict: bool = False, rejects: str | Path | None = None
) -> Catalog:
    """Read and check a catalogue of candidates.

    Parameters
    ----------
    path : CSV, CSV compressed by gzip, or Parquet; the layout is known by the columns
    keep_going : leave bad rows out instead of refusing the catalogue
    strict : refuse a published list too for a row, or a cell, that cannot be used
    rejects : with `keep_going`, a CSV file for the bad rows: line, reason, then the catalogue's own columns.
        It is written even when there are none, so that it never speaks of an earlier run.

    Returns
    -------
    Catalog
        Times in BTJD, periods in days, durations in hours, positions in degrees (epoch 2000.0).

    Raises
    ------
    CatalogError
        The file is not a catalogue, has no usable row, or (without `keep_going`) has bad rows; all of them are
        listed with their lines.
    ConfigError
        The rejects file cannot be written.

    Notes
    -----
    A period that is missing or 0 is a single transit. Times above 2400000 are BJD and lose 2457000
    (`batchvet.catalog.cells.btjd`). In published lists (all layouts but one's own) a time of 0 and a depth of 0 mean
    that none is known, a row that lacks what is needed is `unusable`, not an error, and a cell that is wrong and not
    needed is left out: their user cannot mend them. A row that is cut or swallows others is an error of the file.
    Positions of all layouts are TIC positions, epoch 2000.0 (method: scene and PRF).
    """
    table = open_table(path, LAYOUTS, "catalogue")
    read = _Reading(table, lenient=table.layout.published and not strict, keep_going=keep_going)
    for line, row in table.rows:
        read.add(line, row)
    if keep_going and rejects is not None:
        _write_rejects(Path(rejects), table.columns, read.bad)
    if not read.good or (read.bad and not keep_going):
        advice = "Mend these rows" + (", or leave them out with --keep-going." if read.good else ".")
        raise bad_rows_error(table, "catalogue", read.problems, read.n_rows, advice)
    return Catalog(
        candidates=tuple(read.good),
        layout=table.layout.name,
        path=table.path,
        sha256=table.sha256,
        rejected=tuple(read.bad),
        unusable=tuple(read.unusable),
        companions=tuple(read.companions),
        left_out=tuple(read.left_out),
    )


class _Reading:
    """A catalogue's rows as they are read.

    Parameters
    ----------
    table : Table
    lenient : bool
        Whether what cannot be used is no error.
    keep_going : bool
        Whether a row that cannot be vetted is left out all the same.
    """

    def __init__(self, table: Table, *, lenient: bool, keep_going: bool) -> None:
        self._table, self._lenient, self._keep_going = table, lenient, keep_going
        self._called = {ours: table.columns[position] for ours, position in table.positions.items()}
        self._seen: dict[str, int] = {}
        self.good: list[Candidate] = []
        self.companions: list[Candidate] = []
        self.unusable: list[Candidate] = []
        self.bad: list[Rejected] = []
        self.left_out: list[str] = []
        self.problems: list[tuple[int, str]] = []  #: line and what is wrong with it
        self.n_rows = 0

    def add(self, line: int, row: Sequence[Cell]) -> None:
        """Take one row."""
        self.n_rows += 1
        if problem := shape_problem(row, self._table):
            self._reject(line, row, problem)
            return
        zero_is_missing = self._table.layout.zero_is_missing
        cells = {ours: row[position] for ours, position in self._table.positions.items()}
        values, problems = read_fields(cells, self._called, zero_is_missing=zero_is_missing)
        if problems and self._lenient:
            cells, left_out = without_optional(cells, self._called, zero_is_missing=zero_is_missing)
            self.left_out += [f"{self._table.place} {line}: {problem}" for problem in left_out]
            values, problems = read_fields(cells, self._called, zero_is_missing=zero_is_missing)
        name = values.get("toi") or ""
        first = self._seen.setdefault(name, line) if name else line
        if not problems and first != line:
            problems = [f"TOI {name} is already on {self._table.place} {first}"]
        if not problems:
            (self.companions if values.get("companion_only") else self.good).append(candidate_of(values))
        elif self._lenient and not self._keep_going:
            self.problems.append((line, "; ".join(problems)))
            where = f"{self._table.place} {line}"
            unique = name if name and first == line else f"{name} ({where})".strip()
            self.unusable.append(unusable_candidate(values, unique, f"{where}: {'; '.join(problems)}"))
        else:
            self._reject(line, row, "; ".join(problems))

    def _reject(self, line: int, row: Sequence[Cell], reason: str) -> None:
        self.problems.append((line, reason))
        self.bad.append(Rejected(line, reason, _as_written(row, len(self._table.columns))))


def _by_target(candidates: Sequence[Candidate]) -> dict[int, tuple[Candidate, ...]]:
    targets: dict[int, list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda candidate: (candidate.tic, candidate.toi)):
        targets.setdefault(candidate.tic, []).append(candidate)
    return {tic: tuple(several) for tic, several in targets.items()}


def _as_written(row: Sequence[Cell], width: int) -> tuple[str, ...]:
    """One text per column: a short row is filled up, what is too long goes into the last column."""
    values = ["" if cell is None else str(cell) for cell in row]
    values += [""] * (width - len(values))
    return (*values[: width - 1], ",".join(values[width - 1 :]))


def _write_rejects(path: Path, columns: Sequence[str], bad: Sequence[Rejected]) -> None:
    """Write the bad rows under a temporary name, then rename: the file is whole or not there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("line", "reason", *columns))
            writer.writerows((row.line, row.reason, *row.values) for row in bad)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"cannot write the rejects file {path}: {problem.strerror}") from None
