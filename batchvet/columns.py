"""Columns of Arrow from NumPy and Python, and back.

pyarrow's own conversions (``pa.array``, ``to_numpy``, a Python value or a NumPy array given to ``pc.…``, ``take`` or
``filter``) first ask pandas whether what they were given is of its kinds. To import it takes 0.3 s, a third of what
``batchvet status`` and ``show`` took altogether; these functions do without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from batchvet.arrays import BoolArray, IntegerArray

#: A column of a table, or an array by itself.
Column: TypeAlias = "pa.ChunkedArray[Any] | pa.Array[Any]"

_MOST_BYTES = 2**31 - 1  #: of the words of a column


def numbers_of(column: Column) -> NDArray[Any]:
    """The numbers of a column, [row]; not to be written to.

    Raises
    ------
    ValueError
        There is a null among them.
    """
    if column.null_count:
        raise ValueError(f"{column.null_count} nulls in a column of {column.type}")
    if not len(column):
        return np.empty(0, dtype=column.type.to_pandas_dtype())
    return np.asarray(np.from_dlpack(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column))


def truths_of(column: Column) -> BoolArray:
    """The truth values of a column, null being false, [row]."""
    no = truth_column(np.zeros(1, dtype=bool))[0]
    return numbers_of(column.fill_null(no).cast(pa.uint8())).astype(bool)


def number_column(values: NDArray[Any]) -> pa.Array[Any]:
    """A column of numbers [row], of their type."""
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values.data)])


def truth_column(values: BoolArray) -> pa.Array[Any]:
    """A column of truth values [row]."""
    bits = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits.data)])


def word_column(words: Sequence[str]) -> pa.Array[Any]:
    """A column of words."""
    together = "".join(words)
    content = together.encode()
    lengths: Iterable[int] = map(len, words)
    if len(content) != len(together):
        lengths = (len(one.encode()) for one in words)
    return _words(np.fromiter(lengths, dtype=np.int64, count=len(words)), content)


def word_column_of_bytes(words: NDArray[np.bytes_]) -> pa.Array[Any]:
    """A column of words that NumPy holds, [row], each filled up with zeros to the width of all."""
    letters = np.ascontiguousarray(words).view(np.uint8).reshape(len(words), words.dtype.itemsize)
    used = letters != 0
    return _words(used.sum(axis=1), letters[used].tobytes())


def one_word(text: str) -> pa.StringScalar:
    """One word, to compare a column with."""
    found: pa.StringScalar = word_column([text])[0]
    return found


def no_rows(schema: pa.Schema) -> pa.Table:
    """The empty table of a schema."""
    return pa.Table.from_batches([], schema)


def _words(lengths: IntegerArray, content: bytes) -> pa.Array[Any]:
    if len(content) > _MOST_BYTES:
        raise OverflowError(f"{len(content)} bytes of words in one column")
    ends = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=ends[1:])
    return pa.Array.from_buffers(pa.string(), len(lengths), [None, pa.py_buffer(ends.data), pa.py_buffer(content)])
