"""Rows that an earlier run left, as columns: which still hold, and why others do not."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchvet.arrays import BoolArray, IntegerArray
from batchvet.columns import number_column, numbers_of, one_word, truth_column, truths_of, word_column
from batchvet.results.parts import undisturbed
from batchvet.results.row_index import RowIndex, RowName, lost_rows, names_of, places_of, row_index
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
#: Why a row may not hold: bits of a number, in this order.
_REASONS = (*(_CHANGED[name] for name in HASH_NAMES), "lost images", "lost evidence", "a passing fault")
_COLUMNS = (
    "status", "error_kind", "seconds", "camera", "ccd", "source_file", "has_image", "has_evidence", *HASH_NAMES
)  # fmt: skip


@dataclass(frozen=True)
class RowsBefore:
    """What the table `sectors` of a run says of its rows' state."""

    rows: pa.Table  #: sorted by target, candidate and sector
    lost: Mapping[RowName, str]  #: those whose image or evidence is gone, with the table that lacks it

    @cached_property
    def _tics(self) -> array[int]:
        return array("q", numbers_of(self.rows["tic"]).tobytes())

    def of(self, tic: int) -> dict[RowKey, Mapping[str, Any]]:
        """The rows of one target."""
        first = bisect_left(self._tics, tic)
        last = bisect_right(self._tics, tic, lo=first)
        rows = self.rows.slice(first, last - first).to_pylist() if last > first else []
        return {(row["toi"], row["sector"]): row for row in rows}


@dataclass(frozen=True)
class WantedRows:
    """Every row that the finished table has, in the order of the tasks."""

    toi: pa.Array[Any]
    sector: IntegerArray

    def __len__(self) -> int:
        return len(self.sector)

    def names(self, chosen: BoolArray) -> list[RowKey]:
        """Candidate and sector of the chosen ones."""
        toi: list[Any] = self.toi.filter(truth_column(chosen)).to_pylist()
        return list(zip(toi, self.sector[chosen].tolist(), strict=True))


@dataclass(frozen=True)
class EarlierRows:
    """The rows of a run's table `sectors` against those that are wanted now."""

    wanted: WantedRows
    is_done: BoolArray  #: of each wanted row, whether it is there and holds
    why_stale: IntegerArray  #: of each wanted row, bits of `_REASONS`; 0: it holds, or is not there
    is_failed: BoolArray  #: of each wanted row, whether it ended in an error
    orphans: frozenset[RowKey]  #: rows of candidates or sectors that are no longer asked for
    seconds_per_row: float  #: that rows took, on average; NaN when there are none

    @property
    def n_done(self) -> int:
        return int(np.count_nonzero(self.is_done))

    @property
    def n_stale(self) -> int:
        return int(np.count_nonzero(self.why_stale))

    @property
    def done(self) -> frozenset[RowKey]:
        """Rows that hold."""
        return frozenset(self.wanted.names(self.is_done))

    @property
    def failed(self) -> frozenset[RowKey]:
        """Rows that ended in an error."""
        return frozenset(self.wanted.names(self.is_failed))

    @property
    def stale(self) -> dict[RowKey, tuple[str, ...]]:
        """Rows that no longer hold, with what has changed."""
        is_stale = self.why_stale != 0
        words = {mask: _in_words(mask) for mask in np.unique(self.why_stale).tolist()}
        names, masks = self.wanted.names(is_stale), self.why_stale[is_stale].tolist()
        return {name: words[mask] for name, mask in zip(names, masks, strict=True)}


def _in_words(mask: int) -> tuple[str, ...]:
    return tuple(word for bit, word in enumerate(_REASONS) if mask >> bit & 1)


def read_rows(output: Path) -> RowsBefore:
    """What the table `sectors` of a run, which need not be there, says of its rows' state.

    Raises
    ------
    RunError
        A part of the table is damaged.
    """

    def read() -> tuple[RowIndex, dict[RowName, str]]:
        index = row_index(output, _COLUMNS)
        return index, lost_rows(output, index)

    index, lost = undisturbed(output, read)
    return RowsBefore(index.rows, lost)


def earlier_rows(before: RowsBefore, wanted: WantedRows, hashes: Callable[[str], pa.Array[Any]]) -> EarlierRows:
    """Hold what is there against what is wanted.

    Parameters
    ----------
    before : RowsBefore
    wanted : WantedRows
    hashes : callable
        Given a column of hashes, what it is to say of each wanted row.
    """
    place = places_of(wanted.toi, wanted.sector, before.rows)
    there = np.flatnonzero(place >= 0)
    rows = before.rows.take(number_column(place[there]))
    mask = np.zeros(len(there), dtype=np.uint8)
    for bit, name in enumerate(HASH_NAMES):
        same = truths_of(pc.equal(rows[name], hashes(name).take(number_column(there))))
        mask |= (~same).astype(np.uint8) << bit
    if before.lost:
        lost = [before.lost.get(name, "") for name in names_of(rows)]
        for bit, table in ((5, "images"), (6, "evidence")):
            mask |= np.array([one == table for one in lost], dtype=np.uint8) << bit
    kinds = word_column(sorted(PASSING_FAULTS))
    mask |= truths_of(pc.is_in(rows["error_kind"], value_set=kinds)).astype(np.uint8) << 7
    why_stale = np.zeros(len(wanted), dtype=np.int64)
    why_stale[there] = mask
    is_done, is_failed = np.zeros(len(wanted), dtype=bool), np.zeros(len(wanted), dtype=bool)
    is_done[there] = mask == 0
    is_failed[there] = truths_of(pc.equal(rows["status"], one_word(Status.ERROR)))
    asked_for = np.zeros(before.rows.num_rows, dtype=bool)
    asked_for[place[there]] = True
    orphans = before.rows.select(["toi", "sector"]).filter(truth_column(~asked_for))
    return EarlierRows(
        wanted=wanted,
        is_done=is_done,
        why_stale=why_stale,
        is_failed=is_failed,
        orphans=frozenset(names_of(orphans)),
        seconds_per_row=_seconds_per_row(before.rows),
    )


def _seconds_per_row(rows: pa.Table) -> float:
    """Of rows that went well."""
    well: Any = pc.equal(rows["status"], one_word(Status.OK))
    mean = pc.mean(rows["seconds"].filter(well)).as_py()
    return math.nan if mean is None else float(mean)
