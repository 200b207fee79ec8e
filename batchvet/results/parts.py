"""The tables `sectors`, `images` and `evidence` as files: parts that are whole or not there.

The three parts of one name hold the same rows, each what belongs to it. While tables are swapped (:mod:`.compaction`)
a manifest names every part that counts, so that a reader sees all of the old tables or all of the new ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchvet.errors import RunError
from batchvet.results.astropy_header import astropy_header, longest_words
from batchvet.results.directory import write_file
from batchvet.results.schema import TABLES

#: In this order, so that a row of `sectors` is the commit: what belongs to it is there already.
WRITE_ORDER = ("images", "evidence", "sectors")
MANIFEST = ".tables.json"  #: the parts that count, while they are swapped
STAGING = ".tables"  #: where new parts wait for the swap
_ATTEMPTS = 5  #: to read tables that are being swapped

Read = TypeVar("Read")


def part_files(directory: Path, table: str) -> dict[str, Path]:
    """Parts of a table by name, oldest first.

    Raises
    ------
    RunError
        The manifest of an interrupted swap cannot be read.
    """
    place = directory / table
    swap = manifest(directory)
    if swap is None:
        return {part.name: part for part in sorted(place.glob("part-*.parquet"))}
    waiting = directory / STAGING / table
    return {name: waiting / name if (waiting / name).exists() else place / name for name in sorted(swap[table])}


def manifest(directory: Path) -> dict[str, list[str]] | None:
    """Names of the parts that count, by table, while they are swapped; None at all other times."""
    path = directory / MANIFEST
    try:
        swap = json.loads(path.read_bytes())
        return {table: [str(name) for name in swap[table]] for table in TABLES}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); delete it and run again") from error


def undisturbed(directory: Path, read: Callable[[], Read]) -> Read:
    """What `read` gives; it is done again when parts went away meanwhile, as another process swapped the tables."""
    for _ in range(_ATTEMPTS - 1):
        before = part_files(directory, "sectors")
        try:
            found = read()
        except FileNotFoundError:
            continue
        if before.keys() <= part_files(directory, "sectors").keys():
            return found
    try:
        return read()
    except FileNotFoundError as error:
        raise RunError(f"{error.filename or error}: went away while it was read; try again") from error


def read_part(part: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A part, page checksums verified.

    Raises
    ------
    RunError
        It is damaged, or lacks a column; the message names it.
    FileNotFoundError
    """
    try:
        with pq.ParquetFile(part, page_checksum_verification=True) as file:
            rows = file.read(None if columns is None else list(columns))
        return (rows if columns is None else rows.select(list(columns))).replace_schema_metadata(None)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError) as error:
        raise RunError(
            f"{part}: damaged ({str(error).splitlines()[0]}); delete it and run again: its rows are made anew"
        ) from error


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
    table = rows if isinstance(rows, pa.Table) else as_table(rows, schema, path.parent.name)
    table = with_words(table.cast(schema))
    table = table.replace_schema_metadata(header(schema, longest_words(table), footer))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **encoding(schema))
    write_file(path, memoryview(sink.getvalue()))


def header(schema: pa.Schema, longest: Mapping[str, int], footer: Mapping[str, str]) -> dict[str, str]:
    """What stands in the metadata of a table's file."""
    return {f"batchvet.{key}": value for key, value in footer.items()} | astropy_header(schema, longest)


def encoding(schema: pa.Schema) -> dict[str, Any]:
    """How the columns of a table are packed, in the words of :func:`pyarrow.parquet.write_table`.

    A measured number is hardly ever there twice, so a dictionary of them only costs: with their bytes apart instead
    rows of `evidence` are written in a quarter of the time, and take two thirds of the room.
    """
    numbers: list[str] = []
    others: list[str] = []
    for field in schema:
        is_list = pa.types.is_list(field.type)
        leaf = field.type.value_type if is_list else field.type
        (numbers if pa.types.is_floating(leaf) else others).append(
            f"{field.name}.list.element" if is_list else field.name
        )
    return {
        "compression": "zstd",
        "write_page_checksum": True,
        "use_dictionary": others,
        "use_byte_stream_split": numbers,
    }


def with_words(table: pa.Table) -> pa.Table:
    """The table with an empty word, or no words, where one is null: that is what every reader understands."""
    nothing: dict[pa.DataType, Any] = {pa.string(): "", pa.list_(pa.string()): []}
    for index, field in enumerate(table.schema):
        if field.type in nothing:
            words: Any = pc.coalesce(table[index], pa.scalar(nothing[field.type], field.type))
            table = table.set_column(index, field, words)
    return table


def as_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema, name: str) -> pa.Table:
    """Rows as columns. Raises ValueError for a column that the schema does not know."""
    unknown = {column for row in rows for column in row} - set(schema.names)
    if unknown:
        raise ValueError(f"columns that the schema of {name} does not have: {sorted(unknown)}")
    return pa.Table.from_pylist(list(rows), schema=schema)
