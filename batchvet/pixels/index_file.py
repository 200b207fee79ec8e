"""Small records in a Parquet file that is always made anew when it is not just as it was written."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from batchvet.errors import CacheError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")

_ARROW = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}


def encode_records(kind: type[Record], records: Iterable[Record]) -> bytes:
    """A Parquet file with a row for each record; `kind` is a dataclass of str, int and float fields."""
    records = list(records)
    columns = {f.name: [getattr(record, f.name) for record in records] for f in fields(kind)}
    file = io.BytesIO()
    pq.write_table(pa.table(columns, schema=_schema(kind)), file, compression="zstd", write_page_checksum=True)
    return file.getvalue()


def decode_records(kind: type[Record], content: bytes) -> list[Record]:
    """The records of a file.

    Raises
    ------
    CacheError
        The file is damaged, or of another version of `kind`.
    """
    try:
        table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
        if not table.schema.equals(_schema(kind)):  # the header has no checksum: a flipped bit makes bytes of words
            raise ValueError(f"its columns are {table.schema.names}")
        columns: dict[str, Any] = table.to_pydict()
        return [kind(*row) for row in zip(*columns.values(), strict=True)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CacheError("damaged index, or one of another version; it is made anew") from error


def _schema(kind: type[Record]) -> pa.Schema:
    return pa.schema([pa.field(f.name, _ARROW[str(f.type)], nullable=False) for f in fields(kind)])
