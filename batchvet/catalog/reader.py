"""A catalogue of candidates from a file: own columns, ExoFOP or NASA archive; every row checked."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchvet.catalog.candidate import Candidate
from batchvet.catalog.cells import Cell
from batchvet.catalog.fields import candidate_of, read_fields
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

    candidates: tuple[Candidate, ...]  #: in the order of the file
    layout: str  #: own, exofop or nasa
    path: Path  #: where it was read from
    sha256: str  #: of the file as it lies on disk
    rejected: tuple[Rejected, ...] = ()  #: rows left out, with the reason; only with ``keep_going``

    def by_target(self) -> dict[int, tuple[Candidate, ...]]:
        """TIC number to its candidates, both sorted, whatever the order of the file."""
        targets: dict[int, list[Candidate]] = {}
        for candidate in sorted(self.candidates, key=lambda candidate: (candidate.tic, candidate.toi)):
            targets.setdefault(candidate.tic, []).append(candidate)
        return {tic: tuple(candidates) for tic, candidates in targets.items()}


def read_catalog(path: str | Path, *, keep_going: bool = False, rejects: str | Path | None = None) -> Catalog:
    """Read and check a catalogue of candidates.

    Parameters
    ----------
    path : CSV, CSV compressed by gzip, or Parquet; the layout is known by the columns
    keep_going : leave bad rows out instead of refusing the catalogue
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
    (`batchvet.catalog.cells.btjd`). In ExoFOP and NASA tables a time of 0 and a depth of 0 mean that none is known.
    Positions of all three layouts are TIC positions, epoch 2000.0 (method: scene and PRF).
    """
    table = open_table(path, LAYOUTS, "catalogue")
    good: list[Candidate] = []
    bad: list[Rejected] = []
    seen: dict[str, int] = {}
    for line, row in table.rows:
        candidate, problems = _candidate(row, table)
        if candidate is not None:
            first = seen.setdefault(candidate.toi, line)
            if first != line:
                problems = [f"TOI {candidate.toi} is already on {table.place} {first}"]
        if candidate is None or problems:
            bad.append(Rejected(line, "; ".join(problems), _as_written(row, len(table.columns))))
        else:
            good.append(candidate)
    if keep_going and rejects is not None:
        _write_rejects(Path(rejects), table.columns, bad)
    if not good or (bad and not keep_going):
        advice = "Mend these rows" + (", or leave them out with --keep-going." if good else ".")
        listed = [(rejected.line, rejected.reason) for rejected in bad]
        raise bad_rows_error(table, "catalogue", listed, len(good) + len(bad), advice)
    return Catalog(tuple(good), table.layout.name, table.path, table.sha256, tuple(bad))


def _candidate(row: Sequence[Cell], table: Table) -> tuple[Candidate | None, list[str]]:
    """The candidate of one row, or None and everything that is wrong with the row."""
    if problem := shape_problem(row, table):
        return None, [problem]
    cells = {ours: row[position] for ours, position in table.positions.items()}
    called = {ours: table.columns[position] for ours, position in table.positions.items()}
    values, problems = read_fields(cells, called, zero_is_missing=table.layout.zero_is_missing)
    return (None, problems) if problems else (candidate_of(values), problems)


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
