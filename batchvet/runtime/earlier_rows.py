"""Rows that an earlier run left: which still hold, and why others do not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchvet.results.parts import undisturbed
from batchvet.results.row_index import RowIndex, lost_rows, row_index
from batchvet.results.schema import HASH_NAMES
from batchvet.runtime.tasks import RowKey
from batchvet.vocabulary import PASSING_FAULTS, Status

#: What has changed when a hash has, in a word.
_CHANGED = {
    "stamp_hash": "pixels",
    "candidate_hash": "catalogue",
    "neighbours_hash": "neighbours",
    "settings_hash": "settings",
    "software_version": "version",
}


@dataclass(frozen=True)
class EarlierRows:
    """The rows of a run's table `sectors` against those that are wanted now."""

    stale: Mapping[RowKey, tuple[str, ...]]  #: rows that no longer hold, with what has changed
    done: frozenset[RowKey]  #: rows that hold
    orphans: frozenset[RowKey]  #: rows of candidates or sectors that are no longer asked for
    failed: frozenset[RowKey]  #: rows that ended in an error
    seconds_per_row: float  #: that rows took, on average; NaN when there are none


def read_rows(output: Path) -> dict[RowKey, Mapping[str, Any]]:
    """What the table `sectors` of a run, which need not be there, says of its rows' state.

    Raises
    ------
    RunError
        A part of the table is damaged.
    """
    columns = (
        "status", "error_kind", "seconds", "camera", "ccd", "source_file", "has_image", "has_evidence", *HASH_NAMES
    )  # fmt: skip

    def read() -> tuple[RowIndex, dict[RowKey, str]]:
        index = row_index(output, columns)
        return index, lost_rows(output, index)

    index, lost = undisturbed(output, read)
    rows = {(row["toi"], row["sector"]): row for row in index.rows.to_pylist()}
    return {key: row | {"lost": lost.get(key, "")} for key, row in rows.items()}


def earlier_rows(rows: Mapping[RowKey, Mapping[str, Any]], wanted: Mapping[RowKey, Mapping[str, str]]) -> EarlierRows:
    """Hold what is there against what is wanted.

    Parameters
    ----------
    rows : mapping
        From :func:`read_rows`.
    wanted : mapping
        Every row to be, with its hashes by column.
    """
    stale = {key: why for key in wanted.keys() & rows.keys() if (why := _changed(rows[key], wanted[key]))}
    seconds = [row["seconds"] for row in rows.values() if row["status"] == Status.OK and row["seconds"] is not None]
    return EarlierRows(
        stale=stale,
        done=frozenset((wanted.keys() & rows.keys()) - stale.keys()),
        orphans=frozenset(rows.keys() - wanted.keys()),
        failed=frozenset(key for key, row in rows.items() if row["status"] == Status.ERROR),
        seconds_per_row=sum(seconds) / len(seconds) if seconds else math.nan,
    )


def _changed(row: Mapping[str, Any], hashes: Mapping[str, str]) -> tuple[str, ...]:
    """What has changed since the row was made, in words."""
    changed = tuple(_CHANGED[name] for name in HASH_NAMES if row[name] != hashes[name])
    changed = (*changed, f"lost {row['lost']}") if row["lost"] else changed
    return (*changed, "a passing fault") if row["error_kind"] in PASSING_FAULTS else changed
