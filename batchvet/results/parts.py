"""The tables `sectors`, `images` and `evidence` as files: parts that are whole or not there, and one sorted file at
the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchvet.atomic import sync_directory
from batchvet.errors import RunError
from batchvet.results.directory import part_files, write_file, writing
from batchvet.results.schema import TABLES

#: In this order, so that a row of `sectors` is the commit: what belongs to it is there already.
WRITE_ORDER = ("images", "evidence", "sectors")
_SORTED_BY: list[tuple[str, Literal["ascending"]]] = [(name, "ascending") for name in ("tic", "toi", "sector")]


def write_table(
    path: Path, rows: Sequence[Mapping[str, Any]] | pa.Table, schema: pa.Schema, footer: Mapping[str, str]
) -> None:
    """Write a Parquet file at once, with page checksums and `footer` in its metadata.

    Raises
    ------
    ValueError
        A row has a column that the schema does not know.
    RunError
        There is no room, or no permission.
    """
    if isinstance(rows, pa.Table):
        table = rows
    else:
        unknown = {name for row in rows for name in row} - set(schema.names)
        if unknown:
            raise ValueError(f"columns that the schema of {path.parent.name} does not have: {sorted(unknown)}")
        table = pa.Table.from_pylist(list(rows), schema=schema)
    table = table.replace_schema_metadata({f"batchvet.{key}": value for key, value in footer.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_file(path, memoryview(sink.getvalue()))


def read_parts(directory: Path, table: str, columns: list[str] | None = None) -> pa.Table:
    """All parts of a table, page checksums verified; an empty table when there is none.

    Raises
    ------
    RunError
        A part is damaged; the message names it.
    """
    tables = [_read_part(part, columns) for part in part_files(directory, table)]
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
    for table in reversed(WRITE_ORDER):
        rows = read_parts(directory, table)
        order: list[int] = pc.sort_indices(rows, sort_keys=_SORTED_BY).to_numpy().tolist()
        toi: list[Any] = rows["toi"].to_pylist()
        sector: list[Any] = rows["sector"].to_pylist()
        last: dict[tuple[str, int], int] = {(toi[number], sector[number]): number for number in order}
        if table == "sectors":
            kept = {key for key in last if keep(*key)}
        chosen = [number for key, number in last.items() if key in kept]
        # rows are moved once, here, which saves a copy of all images
        _replace_parts(directory, table, rows.take(pa.array(chosen, pa.int64())), footer)


def recover(directory: Path) -> None:
    """Finish a compaction that was interrupted, and sweep what unfinished writes left."""
    for table in WRITE_ORDER:
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
    with writing(fresh):
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


def _places(directory: Path, table: str) -> tuple[Path, Path, Path]:
    return directory / f".{table}.new", directory / table, directory / f".{table}.old"
