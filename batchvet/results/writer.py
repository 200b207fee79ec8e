"""One writer of a run's tables: whole parts or none, and at the end one sorted file for each."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchvet.atomic import sync_directory, write_atomically
from batchvet.errors import RunError
from batchvet.results.schema import CANDIDATES_SCHEMA, TABLES

ROWS_PER_PART = 512
SECONDS_PER_PART = 30.0

#: In this order, so that a row of `sectors` is the commit: what belongs to it is there already.
_WRITE_ORDER = ("images", "evidence", "sectors")
_SORTED_BY = [("tic", "ascending"), ("toi", "ascending"), ("sector", "ascending")]


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
        self._rows: list[ResultRow] = []
        self._last_commit = time.monotonic()

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()

    def add(self, rows: Iterable[ResultRow]) -> None:
        """Take rows; commit a part when there are enough of them, or when the last one is old."""
        self._rows.extend(rows)
        old = time.monotonic() - self._last_commit > self._seconds_per_part
        if len(self._rows) >= self._rows_per_part or (old and self._rows):
            self.flush()

    def flush(self) -> None:
        """Commit what was taken."""
        if self._rows:
            name = f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:6]}.parquet"
            for table, rows in self._by_table().items():
                if rows:
                    write_table(self._directory / table / name, rows, TABLES[table], self._footer)
        self._rows = []
        self._last_commit = time.monotonic()

    def _by_table(self) -> dict[str, list[Mapping[str, Any]]]:
        parts = {
            "images": [row.image for row in self._rows if row.image is not None],
            "evidence": [row.evidence for row in self._rows if row.evidence is not None],
            "sectors": [row.sector for row in self._rows],
        }
        return {table: parts[table] for table in _WRITE_ORDER}


def write_table(
    path: Path, rows: list[Mapping[str, Any]] | pa.Table, schema: pa.Schema, footer: Mapping[str, str]
) -> None:
    """Write a Parquet file at once, with page checksums and `footer` in its metadata.

    Raises
    ------
    ValueError
        A row has a column that the schema does not know.
    RunError
        There is no room, or no permission.
    """
    if isinstance(rows, list):
        unknown = {name for row in rows for name in row} - set(schema.names)
        if unknown:
            raise ValueError(f"columns that the schema of {path.parent.name} does not have: {sorted(unknown)}")
        table = pa.Table.from_pylist(rows, schema=schema)
    else:
        table = rows
    table = table.replace_schema_metadata({f"batchvet.{key}": value for key, value in footer.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    with _writing(path):
        write_atomically(path, sink.getvalue())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file at once.

    Raises
    ------
    RunError
        There is no room, or no permission.
    """
    with _writing(path):
        write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def write_candidates(directory: Path, rows: list[Mapping[str, Any]], footer: Mapping[str, str]) -> None:
    """Write ``candidates.parquet``, sorted, at once."""
    table = pa.Table.from_pylist(rows, schema=CANDIDATES_SCHEMA).sort_by(_SORTED_BY[:2])
    write_table(directory / "candidates.parquet", table, CANDIDATES_SCHEMA, footer)


def read_parts(directory: Path, table: str, columns: list[str] | None = None) -> pa.Table:
    """All parts of a table, page checksums verified; an empty table when there is none.

    Raises
    ------
    RunError
        A part is damaged; the message names it.
    """
    parts = sorted((directory / table).glob("part-*.parquet"))
    tables = [_read_part(part, columns) for part in parts]
    if not tables:
        schema = TABLES[table]
        return (pa.schema([schema.field(name) for name in columns]) if columns else schema).empty_table()
    return pa.concat_tables([part.replace_schema_metadata(None) for part in tables])


def compact(
    directory: Path, footer: Mapping[str, str], keep: Callable[[str, int], bool] = lambda toi, sector: True
) -> None:
    """Rewrite each table as one sorted file with the rows to `keep`, given candidate and sector.

    A row that a crash left in `images` or `evidence` without its row in `sectors`, or twice, goes too.
    """
    kept: set[tuple[str, int]] = set()
    for table in reversed(_WRITE_ORDER):
        rows = read_parts(directory, table)
        order = pc.sort_indices(
            rows, sort_keys=_SORTED_BY
        ).to_pylist()  # moving the rows once saves a copy of all images
        toi, sector = (rows[name].to_pylist() for name in ("toi", "sector"))
        last = {(toi[number], sector[number]): number for number in order}
        if table == "sectors":
            kept = {key for key in last if keep(*key)}
        chosen = [number for key, number in last.items() if key in kept]
        _replace_parts(directory, table, rows.take(pa.array(chosen, pa.int64())), footer)


def recover(directory: Path) -> None:
    """Finish a compaction that was interrupted, and sweep what unfinished writes left."""
    for table in _WRITE_ORDER:
        fresh, place, old = _places(directory, table)
        if fresh.is_dir() and not place.is_dir():
            fresh.rename(place)
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
        if place.is_dir():
            for hidden in place.glob(".part-*"):
                hidden.unlink(missing_ok=True)


def _replace_parts(directory: Path, table: str, rows: pa.Table, footer: Mapping[str, str]) -> None:
    """Swap a table's directory for one with a single file: a reader sees the old rows or the new, none twice."""
    fresh, place, old = _places(directory, table)
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    with _writing(fresh):
        fresh.mkdir(parents=True)
    if rows.num_rows:
        write_table(fresh / "part-00000000000000000000.parquet", rows, TABLES[table], footer)
    if place.is_dir():
        place.rename(old)
    fresh.rename(place)
    sync_directory(directory)
    shutil.rmtree(old, ignore_errors=True)


def _read_part(part: Path, columns: list[str] | None) -> pa.Table:
    try:
        return pq.ParquetFile(part, page_checksum_verification=True).read(columns)
    except (pa.ArrowException, OSError) as error:
        raise RunError(
            f"{part}: damaged ({str(error).splitlines()[0]}); delete {part.name} in sectors, images and evidence "
            "and run again: its rows are made anew"
        ) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror}); what is done is kept, mend it and run again"
        ) from error


def _places(directory: Path, table: str) -> tuple[Path, Path, Path]:
    return directory / f".{table}.new", directory / table, directory / f".{table}.old"
