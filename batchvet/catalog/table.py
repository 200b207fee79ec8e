"""Rows of a table with the number of the line they stand on: CSV, compressed CSV or Parquet, known by content."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from batchvet.catalog.cells import Cell
from batchvet.catalog.layouts import Layout, is_unit_row, recognise
from batchvet.errors import CatalogError

#: How many bad rows a message lists before it says how many more there are.
MAX_LISTED = 20

#: Number (from 1) and cells of each row; can be walked through once.
Rows = Iterator[tuple[int, Sequence[Cell]]]

_DELIMITERS = (",", "|", "\t", ";")
#: A header further down than this is not looked for.
_HEADER_LINES = 1000


@dataclass(frozen=True)
class Table:
    """An opened table: its header is known, its rows are read when they are asked for."""

    path: Path  #: where it was read from
    sha256: str  #: of the file as it lies on disk
    place: str  #: what the number of a row counts: line of a text file (comments and header too), row of a Parquet file
    layout: Layout  #: the layout its columns belong to
    delimiter: str  #: between the cells of a text file; empty for Parquet
    columns: tuple[str, ...]  #: names as written in the file
    positions: dict[str, int]  #: our field: its column
    rows: Rows


def open_table(path: str | Path, layouts: Sequence[Layout], what: str) -> Table:
    """Open a table and find out which of `layouts` it has.

    Parameters
    ----------
    path : CSV (comma, bar, tab or semicolon; UTF-8), the same compressed by gzip, or Parquet
    layouts : the layouts it may have
    what : what the table is, for messages, such as "catalogue"

    Raises
    ------
    CatalogError
        Not a readable file, not a table, or a table without the columns that are needed.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as problem:
        reason = "it does not exist" if isinstance(problem, FileNotFoundError) else problem.strerror
        raise CatalogError(f"cannot read the {what} {path}: {reason}") from None
    sha256 = hashlib.sha256(data).hexdigest()
    if data[:4] == b"PAR1":
        place, delimiter = "row", ""
        columns, rows = _parquet(data, path, what)
        layout = recognise(columns, layouts)
    else:
        place = "line"
        layout, delimiter, columns, rows = _csv(_text(data, path, what), layouts, path, what)
    if layout is None:
        raise CatalogError(_unknown(columns, layouts, path, what))
    if missing := layout.missing(columns):
        names = ", ".join(f'"{name}"' for name in missing)
        raise CatalogError(f"the {what} {path} ({layout.title}) lacks the column {names}; {_has(columns)}")
    try:
        positions = layout.positions(columns)
    except ValueError as problem:
        raise CatalogError(f"the {what} {path}: {problem}; keep one") from None
    rows = _without_units(rows, positions)
    return Table(path, sha256, place, layout, delimiter, columns, positions, rows)


def shape_problem(row: Sequence[Cell], table: Table) -> str | None:
    """What is wrong with the row as a whole: too few or too many cells, or swallowed lines; None when it is sound."""
    columns = table.columns
    if len(row) != len(columns):
        return f"it has {len(row)} cells, the header has {len(columns)}"
    for name, cell in zip(columns, row, strict=True):
        if table.delimiter and isinstance(cell, str) and "\n" in cell:
            # A quote that nobody closed makes one cell of all the lines up to the next quote.
            swallowed = cell.split("\n")[1:]
            if any(line.count(table.delimiter) >= len(columns) - 1 for line in swallowed):
                return f"{name} holds {len(swallowed)} more lines: a quote is not closed"
    return None


def bad_rows_error(
    table: Table, what: str, problems: Sequence[tuple[int, str]], total: int, advice: str
) -> CatalogError:
    """One error for all bad rows: number and reason of the first `MAX_LISTED` of them, and how many more there are.

    The error also serves a table of no rows at all.
    """
    if total == 0:
        return CatalogError(f"the {what} {table.path} has a header and no rows: get it again")
    lines = [f"the {what} {table.path} has {len(problems)} bad row{'s' * (len(problems) > 1)} of {total}:"]
    lines += [f"  {table.place} {number}: {reason}" for number, reason in problems[:MAX_LISTED]]
    if len(problems) > MAX_LISTED:
        lines.append(f"  and {len(problems) - MAX_LISTED} more")
    return CatalogError("\n".join([*lines, advice]))


def _text(data: bytes, path: Path, what: str) -> TextIO:
    """The file's text; bytes that are not UTF-8 become U+FFFD, which no cell that we use may hold."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as problem:
            raise CatalogError(f"the {what} {path} is a damaged gzip file ({problem}): get it again") from None
    if not data.strip():
        raise CatalogError(f"the {what} {path} is empty")
    if b"\x00" in data:
        raise CatalogError(f"the {what} {path} is not text in UTF-8: save it as CSV in UTF-8, or as Parquet")
    start = data[:500].decode("utf-8-sig", errors="replace").lstrip().lower()
    if start.startswith(("<!doctype", "<html", "<head", "<?xml")):
        raise CatalogError(f"the {what} {path} is a web page, not a table: download it again")
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", errors="replace", newline="")


def _csv(
    stream: TextIO, layouts: Sequence[Layout], path: Path, what: str
) -> tuple[Layout | None, str, tuple[str, ...], Rows]:
    """Layout, delimiter, columns and rows of a text; the header is the first line that has columns of a layout."""
    first: tuple[str, ...] = ()
    for number in range(1, _HEADER_LINES + 1):
        line = stream.readline()
        if not line:
            break
        if not line.strip() or line.startswith(("#", "\\")):
            continue
        for delimiter in _DELIMITERS:
            try:
                cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
            except csv.Error:  # a line of many thousand characters without a delimiter is no header
                continue
            columns = tuple(cell.strip() for cell in cells)
            layout = recognise(columns, layouts)
            if layout is not None:
                return layout, delimiter, columns, _csv_rows(stream, delimiter, number, path, what)
            first = first or columns
    return None, "", first, iter(())


def _csv_rows(stream: TextIO, delimiter: str, header: int, path: Path, what: str) -> Rows:
    """Line number and cells of the rows below the header; blank lines and comments (#, \\) are left out."""
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
    line = header + 1
    try:
        for row in reader:
            if any(map(str.strip, row)) and not row[0].startswith(("#", "\\")):
                yield line, row
            line = header + reader.line_num + 1
    except csv.Error as problem:
        raise CatalogError(
            f"cannot read the {what} {path} from line {line} on: {problem}; is a quote not closed?"
        ) from None


def _parquet(data: bytes, path: Path, what: str) -> tuple[tuple[str, ...], Rows]:
    """Columns and rows of a Parquet file."""

    def unreadable(problem: Exception) -> CatalogError:
        reason = str(problem).splitlines()[0]
        return CatalogError(f"the {what} {path} is a damaged Parquet file ({reason}): write it again")

    def rows() -> Rows:
        line = 0
        try:
            for batch in file.iter_batches(batch_size=50_000):
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    line += 1
                    yield line, row
        except (pa.ArrowException, OSError) as problem:
            raise unreadable(problem) from None

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as problem:
        raise unreadable(problem) from None
    return tuple(file.schema_arrow.names), rows()


def _without_units(rows: Rows, positions: dict[str, int]) -> Rows:
    for line, row in rows:
        if not is_unit_row(row, positions):
            yield line, row
            break
    yield from rows


def _unknown(columns: Sequence[str], layouts: Sequence[Layout], path: Path, what: str) -> str:
    if any("\ufffd" in name for name in columns):
        return f"the {what} {path} is not text in UTF-8: save it as CSV in UTF-8, or as Parquet"
    known = "; ".join(
        f"{layout.title} ({', '.join(names[0] for names in layout.required.values())})" for layout in layouts
    )
    return f"the columns of the {what} {path} are not known; {_has(columns)}. It needs those of: {known}"


def _has(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:12]) + (f", and {len(columns) - 12} more" if len(columns) > 12 else "")
    return f"it has: {shown[:300] or 'none'}"
