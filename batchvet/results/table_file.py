"""One Parquet file that is written a few rows at a time, and is whole or not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from batchvet.atomic import sync_directory
from batchvet.results.directory import writing
from batchvet.results.parts import encoding, header, with_words


class TableFile:
    """Takes rows; at the end of its block the file takes its name, unless something was raised.

    Parameters
    ----------
    path : path
    schema : pyarrow.Schema
        With units and sentences.
    longest : mapping of str to int
        Letters of the longest word of each column, which must be known beforehand.
    footer : mapping of str to str
        Written into the file.

    Raises
    ------
    RunError
        There is no room, or no permission; at any method.
    """

    def __init__(self, path: Path, schema: pa.Schema, longest: Mapping[str, int], footer: Mapping[str, str]) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        self._schema = schema
        self._in_file = schema.with_metadata(header(schema, longest, footer))

    def __enter__(self) -> Self:
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._temporary, "wb")
            try:
                self._writer = pq.ParquetWriter(self._file, self._in_file, **encoding(self._schema))
            except BaseException:
                self._file.close()
                self._temporary.unlink(missing_ok=True)
                raise
        return self

    def add(self, rows: pa.Table) -> None:
        """Append rows, as a group of their own."""
        with writing(self._path):
            self._writer.write_table(with_words(rows.cast(self._schema)).cast(self._in_file))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with writing(self._path), self._file:
                self._writer.close()
                if error is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
            if error is None:
                with writing(self._path):
                    self._temporary.replace(self._path)
                    sync_directory(self._path.parent)
        finally:
            self._temporary.unlink(missing_ok=True)
