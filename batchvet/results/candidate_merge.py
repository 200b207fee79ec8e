"""The tables `candidates` and `hosts` of what there is of them, a bounded number of rows in memory at once.

Rows lie in the tables of an earlier run and in parts that wait. Which of them count is seen from a few of their
columns; then the tables are written anew from one end to the other, first beside the old ones. While they take their
place, stars are in one directory or the other, never twice where people look, and never in none.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchvet.arrays import IntegerArray
from batchvet.atomic import sync_directory
from batchvet.results.astropy_header import columns_of_words, longest_words
from batchvet.results.directory import writing
from batchvet.results.memory import give_back
from batchvet.results.parts import write_table
from batchvet.results.schema import CANDIDATES_SCHEMA, HOSTS_SCHEMA
from batchvet.results.table_file import TableFile
from batchvet.vocabulary import FINAL_FAULTS

HOSTS_WAITING = "hosts"  #: within the directory of parts that wait: their stars
_NEW = "new-"  #: likewise, and a number: tables that are to take their place
_ROWS_AT_ONCE = 1024  #: candidates
_GROUPS_OPEN = 4  #: groups of rows that are kept in memory, as the next rows are likely to lie there too
_DAMAGE = (OSError, KeyError, ValueError, pa.ArrowException)


_PLACES = 2**32  #: rows that a group may have: a place is the number of a group and of a row in it
_INDEX = ["toi", "made_from", "tic", "error_kind"]
_NOTHING = pa.schema(
    [(name, pa.int64() if name in ("tic", "place") else pa.string()) for name in (*_INDEX, "place")]
).empty_table()


@dataclass(frozen=True)
class RowGroup:
    """Rows that lie together in a file."""

    path: Path
    number: int  #: in the file
    schema: pa.Schema

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows, page checksums verified. Raises OSError, KeyError or ArrowException when they are damaged."""
        names = list(columns or self.schema.names)
        with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
            rows = file.read_row_group(self.number, names).select(names)
        return rows.cast(pa.schema([self.schema.field(name) for name in names])).replace_schema_metadata(None)


@dataclass(frozen=True)
class CandidateFiles:
    """Where rows of candidates and of their stars lie."""

    table: Path
    hosts_directory: Path
    waiting: Path

    def candidates(self) -> Iterator[RowGroup]:
        """Rows of candidates, oldest first; those that are damaged are left out, and made anew by judging again."""
        for path in (self.table, *sorted(self.waiting.glob("part-*.parquet"))):
            yield from _groups(path, CANDIDATES_SCHEMA)

    def hosts(self) -> Iterator[RowGroup]:
        """Rows of stars, likewise."""
        interrupted = sorted(self.waiting.glob(f"{_NEW}*/{HOSTS_WAITING}"))
        for place in (self.hosts_directory, *interrupted, self.waiting / HOSTS_WAITING):
            for path in sorted(place.glob("part-*.parquet")):
                yield from _groups(path, HOSTS_SCHEMA)


def _groups(path: Path, schema: pa.Schema) -> list[RowGroup]:
    """The groups of a file; none when it is not there, is damaged, or lacks a column."""
    try:
        with pq.ParquetFile(path) as file:
            if not set(schema.names) <= set(file.schema_arrow.names):
                return []
            groups = [RowGroup(path, number, schema) for number in range(file.num_row_groups)]
        for group in groups:
            group.read()
    except _DAMAGE:
        return []
    return groups


@dataclass(frozen=True)
class _Chosen:
    """The candidates that the table will have, sorted, and where they lie."""

    names: pa.Table  #: toi, made_from, error_kind
    group: IntegerArray  #: of each candidate, the number of its rows' group
    row: IntegerArray  #: and which of its rows it is
    stars: IntegerArray  #: the number of its stars' group; -1: it has none


def write_sorted(files: CandidateFiles, wanted: Mapping[str, str], footer: Mapping[str, str]) -> int:
    """Write both tables, sorted by target and name; returns how many candidates could not be judged.

    Parameters
    ----------
    files : CandidateFiles
    wanted : mapping of str to str
        By name what a candidate's row is to be made from; others are dropped.
    footer : mapping of str to str
        Written into every file.

    Raises
    ------
    RunError
        There is no room, or no permission.
    """
    groups, hosts = list(files.candidates()), list(files.hosts())
    chosen = _chosen(groups, hosts, wanted)
    new = files.waiting / f"{_NEW}{uuid.uuid4().hex}"
    n_blocks = -(-len(chosen.row) // _ROWS_AT_ONCE) or 1
    blocks = [slice(n * _ROWS_AT_ONCE, (n + 1) * _ROWS_AT_ONCE) for n in range(n_blocks)]
    read = lru_cache(maxsize=_GROUPS_OPEN)(lambda number: hosts[number].read())
    for number, block in enumerate(blocks):
        stars = _stars(read, chosen, block)
        if stars.num_rows:
            write_table(new / HOSTS_WAITING / f"part-{number:05d}.parquet", stars, HOSTS_SCHEMA, footer)
    words = columns_of_words(CANDIDATES_SCHEMA)
    longest = dict.fromkeys(words, 0)
    for rows in _rows(groups, chosen, blocks, words):
        longest = {name: max(n, longest[name]) for name, n in longest_words(rows).items()}
    with TableFile(new / files.table.name, CANDIDATES_SCHEMA, longest, footer) as table:
        for rows in _rows(groups, chosen, blocks, CANDIDATES_SCHEMA.names):
            table.add(rows)
            give_back()
    _take_place(files, new)
    return sum(bool(kind) and kind not in FINAL_FAULTS for kind in chosen.names["error_kind"].to_pylist())


def _take_place(files: CandidateFiles, new: Path) -> None:
    """Put the new tables where the old ones were."""
    with writing(files.table):
        for path in files.hosts_directory.glob("part-*.parquet"):
            path.unlink(missing_ok=True)
        for path in sorted((new / HOSTS_WAITING).glob("part-*.parquet")):
            files.hosts_directory.mkdir(exist_ok=True)
            path.replace(files.hosts_directory / path.name)
        if files.hosts_directory.is_dir():
            sync_directory(files.hosts_directory)
        (new / files.table.name).replace(files.table)
        sync_directory(files.table.parent)
        shutil.rmtree(files.waiting, ignore_errors=True)


def _chosen(groups: Sequence[RowGroup], hosts: Sequence[RowGroup], wanted: Mapping[str, str]) -> _Chosen:
    names = pa.concat_tables(
        [_NOTHING, *(_wanted(number, group.read(_INDEX), wanted) for number, group in enumerate(groups))]
    )
    last = names.group_by("toi").aggregate([("place", "max")])["place_max"]
    names = names.filter(pc.is_in(names["place"], value_set=last.combine_chunks()))
    names = names.sort_by([("tic", "ascending"), ("toi", "ascending")]).combine_chunks()
    place = names["place"].to_numpy()
    stars = pa.concat_tables(
        [_NOTHING.select(["toi", "made_from", "place"])]
        + [_wanted(number, distinct_names(group), wanted) for number, group in enumerate(hosts)]
    )
    stars = stars.group_by("toi").aggregate([("place", "max")])
    where: Any = pc.index_in(names["toi"], value_set=stars["toi"].combine_chunks())
    found: Any = pc.take(stars["place_max"], where)
    with_stars: Any = pc.fill_null(found, -1)
    return _Chosen(names, place // _PLACES, place % _PLACES, np.asarray(with_stars.to_numpy()) // _PLACES)


def distinct_names(group: RowGroup) -> pa.Table:
    """Whose stars a group holds: toi and made_from of each candidate once."""
    return group.read(["toi", "made_from"]).group_by(["toi", "made_from"]).aggregate([])


def _wanted(number: int, rows: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    """The wanted rows of a group, with their places."""
    place = pa.array(number * _PLACES + np.arange(rows.num_rows, dtype=np.int64))
    pairs = zip(rows["toi"].to_pylist(), rows["made_from"].to_pylist(), strict=True)
    mine = pa.array([wanted.get(str(toi)) == made_from for toi, made_from in pairs], pa.bool_())
    return rows.append_column("place", place).filter(mine)


def _rows(
    groups: Sequence[RowGroup], chosen: _Chosen, blocks: Sequence[slice], columns: list[str]
) -> Iterator[pa.Table]:
    """Columns of the chosen candidates, a block at a time."""
    schema = pa.schema([CANDIDATES_SCHEMA.field(name) for name in columns])

    @lru_cache(maxsize=_GROUPS_OPEN)
    def read(number: int) -> pa.Table:
        return groups[number].read(columns)

    for block in blocks:
        group, row = chosen.group[block], chosen.row[block]
        found, order = [schema.empty_table()], [np.empty(0, dtype=np.intp)]
        for number in np.unique(group).tolist():
            mine = np.flatnonzero(group == number)
            found.append(read(number).take(row[mine]).cast(schema))
            order.append(mine)
        yield pa.concat_tables(found).take(np.argsort(np.concatenate(order), kind="stable"))


def _stars(read: Callable[[int], pa.Table], chosen: _Chosen, block: slice) -> pa.Table:
    """The stars of a block of candidates, in their order."""
    names = chosen.names.slice(block.start, block.stop - block.start)
    tois, made_from = names["toi"].combine_chunks(), names["made_from"].combine_chunks()
    found, order = [HOSTS_SCHEMA.empty_table()], [np.empty(0, dtype=np.intp)]
    for number in sorted({*chosen.stars[block].tolist()} - {-1}):
        rows = read(number)
        candidate: Any = pc.index_in(rows["toi"], value_set=tois)
        same: Any = pc.equal(rows["made_from"], pc.take(made_from, candidate))
        right: Any = pc.fill_null(same, False)
        rows, candidate = rows.filter(right), candidate.filter(right).to_numpy().astype(np.intp)
        mine = chosen.stars[block][candidate] == number
        found.append(rows.filter(pa.array(mine, pa.bool_())).cast(HOSTS_SCHEMA))
        order.append(candidate[mine])
    return pa.concat_tables(found).take(np.argsort(np.concatenate(order), kind="stable"))
