"""Columns between NumPy and Arrow are what pyarrow's own conversions make of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchvet.columns import (
    no_rows,
    number_column,
    numbers_of,
    one_word,
    truth_column,
    truths_of,
    word_column,
    word_column_of_bytes,
)


@pytest.mark.parametrize("kind", ["int64", "int32", "int8", "float64", "float32"])
@pytest.mark.parametrize("values", [[], [1], [3, 1, 2, 7, 5]])
def test_numbers_go_into_a_column_and_come_back(kind, values):
    numbers = np.array(values, dtype=kind)
    column = number_column(numbers)
    assert column.equals(pa.array(numbers)) and column.type == pa.array(numbers).type
    for several in (column, pa.chunked_array([column, column]), pa.chunked_array([], column.type), column[1:]):
        back = numbers_of(several)
        assert back.dtype == kind and back.tolist() == several.to_pylist()


def test_numbers_that_are_not_side_by_side_are_taken_in_their_order():
    numbers = np.arange(20).reshape(4, 5)
    assert number_column(numbers[:, 2]).to_pylist() == [2, 7, 12, 17]


def test_numbers_with_a_null_among_them_are_refused():
    with pytest.raises(ValueError, match="1 nulls in a column of int64"):
        numbers_of(pa.array([1, None]))


@pytest.mark.parametrize("n", [0, 1, 8, 11])
def test_truth_values_go_into_a_column_and_come_back(n):
    truths = np.arange(n) % 3 == 0
    column = truth_column(truths)
    assert column.equals(pa.array(truths, pa.bool_()))
    for several in (column, pa.chunked_array([column, column[1:]]), column[1:]):
        assert truths_of(several).tolist() == several.to_pylist()


def test_a_null_is_not_true():
    assert truths_of(pa.array([True, None, False])).tolist() == [True, False, False]


@pytest.mark.parametrize("words", [[], [""], ["a", "", "bcd"], ["é", "aü", "", "星", "b"]])
def test_words_go_into_a_column(words):
    assert word_column(words).equals(pa.array(words, pa.string()))
    word_column(words).validate(full=True)


def test_words_that_numpy_holds_go_into_a_column_without_their_zeros():
    words = np.array([b"abc", b"", b"defghijk", b"l"], dtype="S8")
    column = word_column_of_bytes(words[::-1])
    column.validate(full=True)
    assert column.to_pylist() == ["l", "defghijk", "", "abc"]


def test_one_word_and_a_table_without_rows():
    assert one_word("é") == pa.scalar("é")
    schema = pa.schema([pa.field("toi", pa.string(), metadata={"unit": ""}), pa.field("tic", pa.int64())])
    assert no_rows(schema).equals(schema.empty_table(), check_metadata=True)
