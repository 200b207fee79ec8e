"""A catalogue of candidates from a file: own columns, ExoFOP or NASA archive; every row checked."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.catalog.cells import (
    Cell,
    btjd,
    declination,
    is_missing,
    number,
    number_between,
    right_ascension,
    sector_list,
    text,
    tic_number,
)
from batchvet.catalog.layouts import LAYOUTS
from batchvet.catalog.table import Table, bad_rows_error, open_table, shape_problem
from batchvet.errors import ConfigError

#: How each field is read. Upper limits only catch a value in a wrong unit or column.
PARSERS: dict[str, Callable[[Cell], object]] = {
    "toi": text,
    "tic": tic_number,
    "period_days": number_between(0.0, 1e6),
    "t0": btjd,
    "duration_hours": number_between(0.0, 1e4),
    "depth_ppm": number_between(0.0, 1e7),
    "ra": right_ascension,
    "dec": declination,
    "pmra": number,
    "pmdec": number,
    "tmag": number_between(-5.0, 40.0),
    "sectors": sector_list,
    "t0_err": number_between(0.0, 1e6),
    "period_err": number_between(0.0, 1e6),
}


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
    values: dict[str, Any] = {}
    problems: list[str] = []
    for ours, position in table.positions.items():
        cell = row[position]
        if is_missing(cell):
            continue
        try:
            values[ours] = PARSERS[ours](cell)
        except ValueError as problem:
            problems.append(f"{table.columns[position]} {problem}")
            values[ours] = None
    if table.layout.zero_is_missing and values.get("t0") == 0.0:
        del values["t0"]
    problems += _missing(values, table) + _contradictions(values, table)
    return (None, problems) if problems else (_build(values), problems)


def _missing(values: dict[str, Any], table: Table) -> list[str]:
    def column(ours: str) -> str:
        return table.columns[table.positions[ours]]

    needed = ("toi", "tic", "t0", "duration_hours")
    problems = [f"{column(ours)} is missing" for ours in needed if ours not in values]
    for one, other in (("ra", "dec"), ("dec", "ra")):
        if one in values and other not in values:
            problems.append(f"{column(one)} is given without the {other} that belongs to it")
    return problems


def _contradictions(values: dict[str, Any], table: Table) -> list[str]:
    duration, period = values.get("duration_hours"), values.get("period_days")
    name = table.columns[table.positions["duration_hours"]]
    if duration == 0.0:
        return [f"{name} is 0, it must be positive"]
    if duration and period and duration >= 24.0 * period:
        return [f"{name} ({duration:g} h) is not shorter than the period ({period:g} d)"]
    return []


def _build(values: dict[str, Any]) -> Candidate:
    names = ("ra", "dec", "pmra", "pmdec", "tmag")
    return Candidate(
        toi=values["toi"],
        tic=values["tic"],
        ephemeris=Ephemeris(
            period_days=values.get("period_days", 0.0),
            t0_btjd=values["t0"],
            duration_hours=values["duration_hours"],
            t0_err_days=values.get("t0_err", 0.0),
            period_err_days=values.get("period_err", 0.0),
        ),
        depth_ppm=values.get("depth_ppm") or math.nan,
        sectors=values.get("sectors"),
        **{name: values.get(name, math.nan) for name in names},
    )


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
