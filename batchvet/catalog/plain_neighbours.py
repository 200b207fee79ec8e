"""A neighbour table whose cells need no care: numbers and names, sorted by target, read in passing."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from batchvet.arrays import FloatArray
from batchvet.catalog.cells import MAX_TIC, is_missing
from batchvet.catalog.fields import TMAG_RANGE
from batchvet.catalog.layouts import Layout
from batchvet.catalog.star_store import Block, StarStore
from batchvet.columns import numbers_of

NEIGHBOURS = Layout(
    name="neighbours",
    title="neighbour columns",
    required={name: (name,) for name in ("tic", "source_id", "ra", "dec", "tmag")},
    optional={name: (name,) for name in ("pmra", "pmdec", "epoch")},
)
#: Numbers of a star in their order, and between what they must lie.
LIMITS = {
    "ra": (0.0, 360.0),
    "dec": (-90.0, 90.0),
    "tmag": TMAG_RANGE,
    "pmra": (-1e5, 1e5),
    "pmdec": (-1e5, 1e5),
    "epoch": (1900.0, 2100.0),
}
#: A star without a magnitude is fitted to the stamp.
WHEN_EMPTY = {"tmag": math.nan, "pmra": 0.0, "pmdec": 0.0, "epoch": 2000.0}
LOW, HIGH = np.array(list(LIMITS.values())).T

_ROWS_AT_ONCE = 65_536
_BYTES_AT_ONCE = 1 << 23
#: What may change the cells or lines of a text: quotes, comments, another system's line ends.
_SIGNS = (b'"', b"#", b"\\", b"\r")


class _NeedsCare(Exception):
    """Something that is to be looked at cell by cell."""


def plain_stars(path: Path) -> StarStore | None:
    """The stars of a table that is plain; None of one that is not, or cannot be read at all."""
    try:
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        if not is_parquet:
            return StarStore(_blocks(*_of_text(path.read_bytes())), len(LIMITS), refuse_twins=True)
        with pq.ParquetFile(path) as table:
            columns = _columns(table.schema_arrow)
            batches = table.iter_batches(_ROWS_AT_ONCE, columns=list(columns.values()))
            return StarStore(_blocks(batches, columns), len(LIMITS), refuse_twins=True)
    except (_NeedsCare, OSError, ValueError, pa.ArrowException):
        return None


def sha256_of_file(path: Path) -> str:
    """Of its bytes, not all in memory at once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _columns(schema: pa.Schema) -> dict[str, str]:
    """Our field: the column's name, where all are of plain types."""
    if NEIGHBOURS.missing(schema.names):
        raise _NeedsCare
    columns = {ours: schema.names[at] for ours, at in NEIGHBOURS.positions(schema.names).items()}
    for ours, name in columns.items():
        kind = schema.field(name).type
        is_number = pa.types.is_integer(kind) or (pa.types.is_float64(kind) and ours not in ("tic", "source_id"))
        if not (is_number or (ours == "source_id" and (pa.types.is_string(kind) or pa.types.is_large_string(kind)))):
            raise _NeedsCare
    return columns


def _of_text(data: bytes) -> tuple[Iterable[pa.RecordBatch], dict[str, str]]:
    """Rows of a CSV file whose first line is its header; and our field: the column's name."""
    if any(sign in data for sign in _SIGNS):
        raise _NeedsCare
    header = data[: data.index(b"\n")].decode("ascii").split(",")
    if NEIGHBOURS.missing(header):
        raise _NeedsCare
    columns = {ours: header[at] for ours, at in NEIGHBOURS.positions(header).items()}
    words = ("tic", "source_id")  # a TIC number too: of numbers there are more ways to write one
    kinds = {name: pa.string() if ours in words else pa.float64() for ours, name in columns.items()}
    return pcsv.open_csv(
        io.BytesIO(data),
        read_options=pcsv.ReadOptions(use_threads=False, block_size=_BYTES_AT_ONCE),
        parse_options=pcsv.ParseOptions(quote_char=False),
        convert_options=pcsv.ConvertOptions(column_types=kinds, include_columns=list(kinds), null_values=[]),
    ), columns


def _blocks(batches: Iterable[pa.RecordBatch], columns: Mapping[str, str]) -> Iterator[Block]:
    last = 0
    for batch in batches:
        cells: dict[str, Any] = {ours: batch.column(name) for ours, name in columns.items()}
        if pa.types.is_string(cells["tic"].type):
            if not pc.all(pc.match_substring_regex(cells["tic"], "^[0-9]{1,18}$")).as_py():
                raise _NeedsCare
            cells["tic"] = cells["tic"].cast(pa.int64())
        if any(each.null_count for each in cells.values()):
            raise _NeedsCare
        tic = numbers_of(cells["tic"]).astype(np.int64)
        if not len(tic):
            continue
        if tic[0] < max(last, 1) or tic.max() > MAX_TIC or (np.diff(tic) < 0).any():
            raise _NeedsCare
        last = int(tic[-1])
        numbers: FloatArray = np.column_stack(
            [
                numbers_of(cells[ours]).astype(np.float64) if ours in cells else np.full(len(tic), WHEN_EMPTY[ours])
                for ours in LIMITS
            ]
        )
        if not np.all((numbers >= LOW) & (numbers <= HIGH)):  # nor where one is NaN
            raise _NeedsCare
        numbers[:, list(LIMITS).index("ra")] %= 360.0
        yield tic, _names(cells["source_id"]), numbers


def _names(cells: Any) -> list[str]:
    if not pa.types.is_integer(cells.type):
        plain = pc.and_(pc.string_is_ascii(cells), pc.utf8_is_printable(cells))
        if not pc.all(plain).as_py() or not pc.all(pc.equal(pc.utf8_trim_whitespace(cells), cells)).as_py():
            raise _NeedsCare
        are_numbers: Any = pc.match_substring_regex(cells, "^[0-9]")  # most names, and none of the words for nothing
        if any(is_missing(str(name)) for name in cells.filter(pc.invert(are_numbers)).to_pylist()):
            raise _NeedsCare
    return [str(name) for name in cells.to_pylist()]
