"""Whether two runs agree to the last bit."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def same_tables(first: Path, second: Path) -> bool:
    """Whether two runs agree to the last bit in everything but the seconds they took."""
    return all(
        _table(first, name).equals(_table(second, name))
        for name in ("sectors", "images", "evidence", "candidates.parquet")
    )


def _table(run: Path, name: str) -> pa.Table:
    """A table of a run, without the seconds its rows took."""
    table = pq.read_table(run / name)
    return table.drop_columns("seconds") if "seconds" in table.column_names else table
