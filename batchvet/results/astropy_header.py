"""What ``astropy.table.Table.read`` wants to know of a Parquet file: units, sentences, the longest words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def astropy_header(schema: pa.Schema, longest: Mapping[str, int]) -> dict[str, str]:
    """Metadata of a table's file, by key.

    Parameters
    ----------
    schema : pyarrow.Schema
        With unit and description in the metadata of its fields.
    longest : mapping of str to int
        From :func:`longest_words`.

    Notes
    -----
    ``table_meta_yaml`` is YAML, of which JSON is a part; ``table::len::NAME`` the longest word of a column
    (astropy.io.misc.parquet).
    """
    columns = []
    for field in schema:
        metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        unit, text = metadata.get("unit", ""), metadata.get("description", "")
        unit = unit.replace("e-/s", "electron / s")  # as astropy writes it
        if pa.types.is_list(field.type) and unit:  # a column of lists is no quantity
            columns.append({"name": field.name, "description": f"{text} In {unit}."})
        else:
            columns.append({"name": field.name, "description": text} | ({"unit": unit} if unit else {}))
    words = {f"table::len::{name}": str(n or 1) for name, n in longest.items()}
    return words | {"table_meta_yaml": json.dumps({"datatype": columns})}


def columns_of_words(schema: pa.Schema) -> list[str]:
    """Names of the columns that hold words, or lists of them."""
    return [
        field.name
        for field in schema
        if pa.types.is_string(field.type.value_type if pa.types.is_list(field.type) else field.type)
    ]


def longest_words(table: pa.Table) -> dict[str, int]:
    """Letters of the longest word of each column that holds words; 0 where it holds none."""
    longest = {}
    for name in columns_of_words(table.schema):
        words: Any = pc.list_flatten(table[name]) if pa.types.is_list(table.schema.field(name).type) else table[name]
        longest[name] = int(pc.max(pc.utf8_length(words)).as_py() or 0)
    return longest
