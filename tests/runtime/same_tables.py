"""Whether two runs agree to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def same_tables(first: Path, second: Path) -> bool:
    """Whether two runs agree to the last bit in everything but the seconds they took."""
    return all(
        repr(_rows(first, name)) == repr(_rows(second, name))  # NaN is NaN, in lists too
        for name in ("sectors", "images", "evidence", "hosts", "candidates.parquet")
    )


def _rows(run: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table of a run, without the seconds they took."""
    table = pq.read_table(run / name)
    return (table.drop_columns("seconds") if "seconds" in table.column_names else table).to_pylist()
