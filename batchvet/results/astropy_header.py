"""What ``astropy.table.Table.read`` wants to know of a Parquet file: units, sentences, the longest words."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def astropy_header(table: pa.Table) -> dict[str, str]:
    """Metadata of a table's file, by key.

    Parameters
    ----------
    table : pyarrow.Table
        With unit and description in the metadata of its fields.

    Notes
    -----
    ``table_meta_yaml`` is YAML, of which JSON is a part; ``table::len::NAME`` the longest word of a column
    (astropy.io.misc.parquet).
    """
    columns = []
    header = {}
    for field in table.schema:
        metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        unit, text = metadata.get("unit", ""), metadata.get("description", "")
        unit = unit.replace("e-/s", "electron / s")  # as astropy writes it
        is_list = pa.types.is_list(field.type)
        if is_list and unit:  # a column of lists is no quantity
            columns.append({"name": field.name, "description": f"{text} In {unit}."})
        else:
            columns.append({"name": field.name, "description": text} | ({"unit": unit} if unit else {}))
        inner = field.type.value_type if is_list else field.type
        if pa.types.is_string(inner):
            words: Any = pc.list_flatten(table[field.name]) if is_list else table[field.name]
            header[f"table::len::{field.name}"] = str(pc.max(pc.utf8_length(words)).as_py() or 1)
    return header | {"table_meta_yaml": json.dumps({"datatype": columns})}
