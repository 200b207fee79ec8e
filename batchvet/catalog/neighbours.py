"""The stars around each target, from a table: who else could have dimmed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from batchvet.arrays import FloatArray
from batchvet.catalog.candidate import Neighbour
from batchvet.catalog.cells import (
    Cell,
    declination,
    is_missing,
    number_between,
    right_ascension,
    text,
    tic_number,
)
from batchvet.catalog.plain_neighbours import HIGH, LIMITS, LOW, NEIGHBOURS, WHEN_EMPTY, plain_stars, sha256_of_file
from batchvet.catalog.star_store import StarStore
from batchvet.catalog.table import Table, bad_rows_error, open_table, shape_problem

#: Target, source, numbers and line of some rows.
_Block = tuple[NDArray[np.int64], NDArray[np.object_], FloatArray, NDArray[np.int64]]


def source_name(cell: Cell) -> str:
    """A source's name. A floating-point number is refused: it has lost the last digits of a Gaia number."""
    if isinstance(cell, float):
        raise ValueError(f'is the floating-point number "{cell}": write it as text or as an integer')
    return text(cell)


_NUMBERS = tuple(LIMITS)
_PARSERS: dict[str, Callable[[Cell], object]] = {
    **{name: number_between(*limits) for name, limits in LIMITS.items()},
    "tic": tic_number,
    "source_id": source_name,
    "ra": right_ascension,
    "dec": declination,
}
#: Rows that are read at a time, so that a million of them are not held as text.
_BLOCK = 50_000


@dataclass(frozen=True, eq=False)
class NeighbourTable:
    """All neighbours of all targets. What it says does not depend on the order of the file."""

    path: Path  #: where it was read from
    sha256: str  #: of the file as it lies on disk
    stars: StarStore  #: names, unique within one target, and (ra, dec, tmag, pmra, pmdec, epoch) as in `Neighbour`
    note: str = ""  #: what to know of it: rows left out, stars without a magnitude

    def of(self, tic: int) -> StarsOf | None:
        """Neighbours of a target sorted by source_id; None when the table does not speak of the target."""
        stars = StarsOf(self, tic)
        return stars if len(stars) else None

    def sha256_of(self, tic: int) -> str | None:
        """Hash of what the table says of one target: a changed neighbour makes only that target stale.

        It does not depend on the order of the rows or on the file's format; None when the target does not occur.
        """
        record = self.stars.record(tic)
        return None if record is None else hashlib.sha256(record.names + record.numbers).hexdigest()


class StarsOf(Sequence[Neighbour]):
    """Neighbours of one target: rows of the table until somebody looks at them, on another process too."""

    def __init__(self, table: NeighbourTable, tic: int) -> None:
        self._table, self._tic = table, tic

    def __len__(self) -> int:
        return self._table.stars.count(self._tic)

    @overload
    def __getitem__(self, index: int) -> Neighbour: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Neighbour, ...]: ...
    def __getitem__(self, index: int | slice) -> Neighbour | tuple[Neighbour, ...]:
        return _stars(*self._table.stars.rows_of(self._tic))[index]

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(_stars(*self._table.stars.rows_of(self._tic)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __reduce__(self) -> tuple[object, ...]:
        names, numbers = self._table.stars.rows_of(self._tic)
        return _stars, (names, numbers)


def _stars(names: Iterable[str], numbers: FloatArray) -> tuple[Neighbour, ...]:
    return tuple(
        Neighbour(name, ra, dec, tmag, pmra, pmdec, epoch)
        for name, (ra, dec, tmag, pmra, pmdec, epoch) in zip(names, numbers.tolist(), strict=True)
    )


def read_neighbours(path: str | Path, *, keep_going: bool = False) -> NeighbourTable:
    """Read and check a table of the stars around the targets.

    Parameters
    ----------
    path : CSV, CSV compressed by gzip, or Parquet. Columns: `tic` (the target), `source_id`, `ra`, `dec` (deg, at
        `epoch`), `tmag`; where known `pmra`, `pmdec` (mas/yr, pmra with cos(dec); 0 when empty) and `epoch` (Julian
        year; 2000.0 when empty, Gaia DR3 has 2016.0). A star whose `tmag` is empty has the light that is fitted to it.
        Further columns are not looked at
    keep_going : leave bad rows out, and say so in the table's `note`, instead of refusing the table

    Raises
    ------
    CatalogError
        The file is not such a table, or has bad rows; all of them are listed with their lines.
    """
    plain = plain_stars(Path(path))
    if plain is not None and len(plain.tic):
        return NeighbourTable(Path(path), sha256_of_file(Path(path)), plain)
    table = open_table(path, (NEIGHBOURS,), "neighbour table")
    blocks: list[_Block] = []
    bad: list[tuple[int, str]] = []
    total = 0
    while rows := list(islice(table.rows, _BLOCK)):
        blocks.append(_plain_block(rows, table) or _checked_block(rows, table, bad))
        total += len(rows)
    if not total:
        raise bad_rows_error(table, "neighbour table", bad, total, "")
    tic, name, numbers, line = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    bad += _duplicates(tic, name, line, table)
    sound = ~np.isin(line, [number for number, _ in bad])
    if bad and not (keep_going and sound.any()):
        advice = "Mend or delete these rows" + (", or leave them out with --keep-going." if sound.any() else ".")
        raise bad_rows_error(table, "neighbour table", sorted(bad), total, advice)
    order = np.flatnonzero(sound)[np.argsort(tic[sound], kind="stable")]
    note = _note(table, sorted(bad), int(np.isnan(numbers[order][:, _NUMBERS.index("tmag")]).sum()))
    stars = StarStore([(tic[order], name[order].tolist(), numbers[order])], len(_NUMBERS))
    return NeighbourTable(table.path, table.sha256, stars, note)


def _note(table: Table, bad: Sequence[tuple[int, str]], n_without_tmag: int) -> str:
    """What people should know of a table that is used although something is wrong with it."""
    said = []
    if bad:
        number, reason = bad[0]
        rows = "1 row is" if len(bad) == 1 else f"{len(bad)} rows are"
        said.append(f"{rows} left out ({table.place} {number}: {reason}{'; ...' if len(bad) > 1 else ''})")
    if n_without_tmag:
        said.append(f"{n_without_tmag} without a tmag, whose light is fitted")
    return f"{table.path}: {', '.join(said)}" if said else ""


def _plain_block(rows: Sequence[tuple[int, Sequence[Cell]]], table: Table) -> _Block | None:
    """Columns of rows in which every cell is plain and in range, fast; None when one is not.

    Consecutive line numbers say that no row but perhaps the last runs over several lines.
    """
    lines = [line for line, _ in rows]
    if lines[-1] - lines[0] != len(rows) - 1 or {len(row) for _, row in rows} != {len(table.columns)}:
        return None
    if shape_problem(rows[-1][1], table):
        return None
    every: list[tuple[Any, ...]] = list(zip(*(row for _, row in rows), strict=True))
    cells = {ours: every[at] for ours, at in table.positions.items()}
    try:
        targets = {cell: tic_number(cell) for cell in set(cells["tic"])}
        tic = np.array([targets[cell] for cell in cells["tic"]], dtype=np.int64)
        names = _plain_names(cells["source_id"])
        columns = [
            np.array(list(map(float, cells[ours]))) if ours in cells else np.full(len(rows), WHEN_EMPTY[ours])
            for ours in _NUMBERS
        ]
    except (TypeError, ValueError):
        return None
    numbers = np.column_stack(columns)
    in_range = bool(np.all((numbers >= LOW) & (numbers <= HIGH)))
    if not in_range or any(map(is_missing, names)):
        return None
    numbers[:, 0] %= 360.0
    return tic, np.array(names, dtype=object), numbers, np.array(lines)


def _plain_names(cells: Sequence[Cell]) -> list[str]:
    """Names of sources, all looked at together where all are text. Raises ValueError as :func:`source_name`."""
    if not all(isinstance(cell, str) for cell in cells):
        return [source_name(cell) for cell in cells]
    names = [str(cell).strip() for cell in cells]
    source_name("".join(names))
    return names


def _checked_block(rows: Sequence[tuple[int, Sequence[Cell]]], table: Table, bad: list[tuple[int, str]]) -> _Block:
    """Columns of the sound rows, read cell by cell; what is wrong with the others goes to `bad`."""
    stars: list[dict[str, object]] = []
    lines: list[int] = []
    for line, row in rows:
        values, problems = _star(row, table)
        if problems:
            bad.append((line, "; ".join(problems)))
        else:
            stars.append(values)
            lines.append(line)
    return (
        np.array([star["tic"] for star in stars], dtype=np.int64),
        np.array([star["source_id"] for star in stars], dtype=object),
        np.array([[star[ours] for ours in _NUMBERS] for star in stars], dtype=np.float64).reshape(-1, len(_NUMBERS)),
        np.array(lines, dtype=np.int64),
    )


def _star(row: Sequence[Cell], table: Table) -> tuple[dict[str, object], list[str]]:
    """Values of one row by field and everything that is wrong with it."""
    if problem := shape_problem(row, table):
        return {}, [problem]
    cells = {ours: row[position] for ours, position in table.positions.items()}
    return read_star(cells, {ours: table.columns[position] for ours, position in table.positions.items()})


def read_star(cells: Mapping[str, Cell], called: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Values of a star's fields, with those that are left out as `WHEN_EMPTY` says, and everything that is wrong.

    Parameters
    ----------
    cells : mapping of field to what is written there; those of no use are not looked at
    called : mapping of field to what its writer calls it, for messages
    """
    values: dict[str, object] = dict(WHEN_EMPTY)
    problems = []
    for ours, cell in cells.items():
        if ours not in _PARSERS:
            continue
        if not is_missing(cell):
            try:
                values[ours] = _PARSERS[ours](cell)
            except ValueError as problem:
                problems.append(f"{called[ours]} {problem}")
        elif ours not in WHEN_EMPTY:
            problems.append(f"{called[ours]} is missing")
    return values, problems


def _duplicates(
    tic: NDArray[np.int64], name: NDArray[np.object_], line: NDArray[np.int64], table: Table
) -> Iterator[tuple[int, str]]:
    """Number and reason of the rows that name a source of a target a second time."""
    order = np.argsort(tic, kind="stable")
    starts = np.flatnonzero(np.diff(tic[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        if len(set(name[rows])) == len(rows):
            continue
        first: dict[str, int] = {}
        for row in rows:
            there = first.setdefault(name[row], int(line[row]))
            if there != line[row]:
                reason = f"source {name[row]} of TIC {tic[row]} is already on {table.place} {there}"
                yield int(line[row]), reason
