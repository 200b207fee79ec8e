"""Small records in a Parquet file that is always made anew when it is not just as it was written."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchvet.columns import number_column, word_column
from batchvet.errors import CacheError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")

_BATCH = 65_536  #: records that are unpacked together
_NUMPY = {"int": np.int64, "float": np.float64}
_ARROW = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}


def encode_records(kind: type[Record], records: Iterable[Record]) -> bytes:
    """A Parquet file with a row for each record; `kind` is a dataclass of str, int and float fields."""
    return encode_table(table_of(kind, records))


def table_of(kind: type[Record], records: Iterable[Record]) -> pa.Table:
    """The records as columns."""
    records = list(records)
    columns = []
    for f in fields(kind):
        values = [getattr(record, f.name) for record in records]
        columns.append(word_column(values) if f.type == "str" else number_column(np.array(values, _NUMPY[str(f.type)])))
    return pa.table(columns, schema=schema_of(kind))


def encode_table(rows: pa.Table) -> bytes:
    """The same of records that are columns already."""
    file = io.BytesIO()
    pq.write_table(rows, file, compression="zstd", write_page_checksum=True)
    return file.getvalue()


def decode_records(kind: type[Record], content: bytes) -> list[Record]:
    """The records of a file. Raises as :func:`decode_table`."""
    columns: dict[str, Any] = decode_table(kind, content).to_pydict()
    return [kind(*row) for row in zip(*columns.values(), strict=True)]


def decode_table(kind: type[Record], content: bytes) -> pa.Table:
    """The records of a file, as columns.

    Raises
    ------
    CacheError
        The file is damaged, or of another version of `kind`.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
        table = pa.Table.from_batches(file.iter_batches(_BATCH), file.schema_arrow)  # all at once takes twice the room
        if not table.schema.equals(schema_of(kind)):  # the header has no checksum: a flipped bit makes bytes of words
            raise ValueError(f"its columns are {table.schema.names}")
        if table.num_rows != file.metadata.num_rows:  # a page that says of itself that it is none ends a column
            raise ValueError("rows are missing")
        table.validate(full=True)  # a word that is no text
        return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CacheError("damaged index, or one of another version; it is made anew") from error


def schema_of(kind: type[Record]) -> pa.Schema:
    """Columns of a kind of records."""
    return pa.schema([pa.field(f.name, _ARROW[str(f.type)], nullable=False) for f in fields(kind)])
