"""Where each row of a run lies.

A row of `sectors` counts when no later part has one of the same candidate and sector. Its image and its evidence lie
in the part of the same name in their own tables, so that nothing is taken for what an earlier row left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchvet.arrays import BoolArray, IndexArray, IntegerArray
from batchvet.columns import no_rows, number_column, numbers_of, one_word, truth_column, truths_of
from batchvet.results.parts import part_files, read_part
from batchvet.results.schema import TABLES

RowName = tuple[str, int]  #: candidate and sector

_KEY = ("tic", "toi", "sector")
_OWNED = {"images": "has_image", "evidence": "has_evidence"}  #: a table, and what `sectors` says of it
_NOWHERE = number_column(np.array([-1], dtype=np.int32))[0]
_NO_NAMES = no_rows(pa.schema([TABLES["sectors"].field(name).remove_metadata() for name in ("toi", "sector")]))
_ORDER: list[tuple[str, Literal["ascending"]]] = [(name, "ascending") for name in (*_KEY, "part", "row")]


@dataclass(frozen=True)
class RowIndex:
    """The rows that count, sorted by target, candidate and sector."""

    parts: tuple[str, ...]  #: names of all parts of `sectors`, oldest first
    rows: pa.Table  #: what was asked for of `sectors`, with `part` and `row`: which part, and where in it

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def part(self) -> IntegerArray:
        """Of each row, the number of its part."""
        return numbers_of(self.rows["part"])

    @property
    def tic(self) -> IntegerArray:
        """Of each row, its target."""
        return numbers_of(self.rows["tic"])

    @property
    def names(self) -> list[RowName]:
        """Of each row, candidate and sector."""
        return names_of(self.rows)

    def only(self, chosen: BoolArray) -> RowIndex:
        """The chosen rows."""
        return RowIndex(self.parts, self.rows.filter(truth_column(chosen)))

    def between(self, start: int, stop: int) -> RowIndex:
        """Rows from `start` on, before `stop`."""
        return RowIndex(self.parts, self.rows.slice(start, stop - start))


def row_index(directory: Path, columns: Iterable[str] = ()) -> RowIndex:
    """Index the rows of a run.

    Parameters
    ----------
    directory : path
    columns : iterable of str
        To read of `sectors`, besides those that name a row.

    Raises
    ------
    RunError
        A part is damaged; the message names it.
    """
    parts = part_files(directory, "sectors")
    wanted = list(dict.fromkeys((*_KEY, *columns)))
    tables = [_numbered(read_part(part, wanted), number) for number, part in enumerate(parts.values())]
    empty = no_rows(pa.schema([TABLES["sectors"].field(name).remove_metadata() for name in wanted]))
    rows = pa.concat_tables([_numbered(empty, 0), *tables]).combine_chunks()
    if not _are_in_order(rows):  # as parts are that were merged: to sort and to choose copies all of them
        rows = rows.take(pc.sort_indices(rows, sort_keys=_ORDER))
        rows = rows.filter(truth_column(_last_of_each(rows)))
    return RowIndex(tuple(parts), rows)


def places_of(toi: pa.Array[Any], sector: IntegerArray, rows: pa.Table) -> IntegerArray:
    """Where rows with these names are among those of a table; -1 for one that is not.

    Parameters
    ----------
    toi : Arrow array of str
    sector : array
        Together the names, of any number of rows.
    rows : pyarrow.Table
        With the columns `toi` and `sector`, each name once.
    """
    place: Any = pc.index_in(_keys(toi, number_column(sector)), value_set=_keys(rows["toi"], rows["sector"]))
    return numbers_of(place.fill_null(_NOWHERE)).astype(np.int64)


def _keys(toi: Any, sector: Any) -> Any:
    """Names as words."""
    joined: Any = pc.binary_join_element_wise(toi, pc.cast(sector, pa.string()), one_word("\x1f"))
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def lost_rows(directory: Path, index: RowIndex) -> dict[RowName, str]:
    """Rows whose image or evidence is gone, with the table that lacks it.

    Parameters
    ----------
    directory : path
    index : RowIndex
        With the columns `has_image` and `has_evidence`.
    """
    lost: dict[RowName, str] = {}
    for table, column in _OWNED.items():
        places = part_files(directory, table)
        owns = truths_of(index.rows[column])
        for number, mine in _by_part(index):
            mine = mine[owns[mine]]
            if mine.size:
                place = places.get(index.parts[number])
                there = read_part(place, ["toi", "sector"]) if place is not None else _NO_NAMES
                rows = index.rows.select(["toi", "sector"]).take(number_column(mine))
                if not rows.equals(there):  # as where nothing is lost and nothing was dropped
                    found = set(names_of(there))
                    lost.update({name: table for name in names_of(rows) if name not in found})
    return lost


def gathered(directory: Path, table: str, index: RowIndex, columns: Sequence[str] | None = None) -> pa.Table:
    """The indexed rows of a table, in their order; of `images` and `evidence` those that there are.

    Raises
    ------
    RunError
        A part is damaged.
    """
    schema = TABLES[table] if columns is None else pa.schema([TABLES[table].field(name) for name in columns])
    found, order = [no_rows(schema)], [np.empty(0, dtype=np.intp)]
    places = part_files(directory, table)
    for number, mine in _by_part(index):
        place = places.get(index.parts[number])
        if place is None:
            continue
        rows = read_part(place, None if columns is None else list(dict.fromkeys((*columns, "toi", "sector"))))
        if table == "sectors":
            rows = rows.take(index.rows["row"].take(number_column(mine)))
        elif not rows.select(["toi", "sector"]).equals(index.rows.select(["toi", "sector"]).take(number_column(mine))):
            wanted = dict(zip(names_of(index.rows.take(number_column(mine))), mine.tolist(), strict=True))
            there = [(n, wanted[name]) for n, name in enumerate(names_of(rows)) if name in wanted]
            rows = rows.take(number_column(np.array([n for n, _ in there], dtype=np.intp)))
            mine = np.array([where for _, where in there], dtype=np.intp)
        found.append(rows.select(schema.names).cast(schema))
        order.append(mine)
    return pa.concat_tables(found).take(number_column(np.argsort(np.concatenate(order), kind="stable")))


def _by_part(index: RowIndex) -> list[tuple[int, IndexArray]]:
    """The numbers of the parts that have indexed rows, each with the positions of its rows."""
    part = index.part
    order = np.argsort(part, kind="stable")
    numbers, starts = np.unique(part[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)) if numbers.size else []


def names_of(rows: pa.Table) -> list[RowName]:
    """Of each row, candidate and sector."""
    toi: list[Any] = rows["toi"].to_pylist()
    sector: list[Any] = rows["sector"].to_pylist()
    return list(zip(toi, sector, strict=True))


def _numbered(rows: pa.Table, number: int) -> pa.Table:
    n = rows.num_rows
    part, row = number_column(np.full(n, number, dtype=np.int64)), number_column(np.arange(n, dtype=np.int64))
    return rows.append_column("part", part).append_column("row", row)


def _are_in_order(rows: pa.Table) -> bool:
    """Whether rows are sorted by their names, and each name is there once."""
    one, next_one = rows.slice(0, max(rows.num_rows - 1, 0)), rows.slice(1)
    tic, sector = (np.diff(numbers_of(rows[name])) for name in ("tic", "sector"))
    is_after, same = (truths_of(compare(next_one["toi"], one["toi"])) for compare in (pc.greater, pc.equal))
    return bool(np.all((tic > 0) | ((tic == 0) & (is_after | (same & (sector > 0))))))


def _last_of_each(rows: pa.Table) -> BoolArray:
    """Of sorted rows, whether each is the last of its name."""
    last = np.ones(rows.num_rows, dtype=bool)
    if rows.num_rows > 1:
        same = [pc.equal(rows[name].slice(1), rows[name].slice(0, rows.num_rows - 1)) for name in ("toi", "sector")]
        last[:-1] = ~truths_of(pc.and_(*same))
    return last
