"""Merging the parts of a run into sorted files, in bounded memory, and at once.

New parts are written beside the tables. Then a manifest that names every part that counts, of all three tables, takes
its place by one rename: before it the old tables stand, after it the new ones. What follows only moves and deletes,
and is taken up where it stopped by :func:`recover`. Someone who reads the directories with other programs meanwhile
sees rows missing, as in any run that is not finished, but none twice and none that is no longer true.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from batchvet.atomic import sync_directory
from batchvet.results.directory import HOSTS, write_file, writing
from batchvet.results.memory import give_back
from batchvet.results.parts import MANIFEST, STAGING, WRITE_ORDER, manifest, part_files, write_table
from batchvet.results.row_index import RowIndex, gathered, lost_rows, row_index
from batchvet.results.schema import TABLES

ROWS_PER_FILE = 2048  #: 30 MB of images and evidence while they are merged
_MERGED = re.compile(
    r"part-0{5}\d{15}-"
)  #: names of merged parts begin with a TIC number, those of new ones with a time


@dataclass(frozen=True)
class _Piece:
    """Successive rows that make up one part; no target is in two."""

    start: int
    stop: int
    name: str
    there: str = ""  #: name of the part that it is as it stands, perhaps another; empty when it is to be made


def compact(directory: Path, footer: Mapping[str, str], keep: Callable[[str, int], bool] | None = None) -> None:
    """Rewrite the tables as sorted files with the rows to `keep`, given candidate and sector.

    A part that is sorted and whole already stays as it is, under a name that sorts by target. Of a row
    that is there twice the later one counts; one whose image or evidence is lost goes too, so that it is made anew.

    Raises
    ------
    RunError
        A part is damaged, or there is no room: the tables stand as they were.
    """
    index = row_index(directory, ("has_image", "has_evidence"))
    lost = lost_rows(directory, index)
    if lost or keep is not None:
        wanted = (name not in lost and (keep is None or keep(*name)) for name in index.names)
        index = index.only(np.fromiter(wanted, bool, len(index)))
    pieces = _pieces(directory, index)
    if all(piece.there == piece.name for piece in pieces) and {piece.name for piece in pieces} == set(index.parts):
        return
    swap: dict[str, list[str]] = {table: [] for table in WRITE_ORDER}
    staging = directory / STAGING
    with writing(staging):
        _remove(staging)
        for table in WRITE_ORDER:
            (staging / table).mkdir(parents=True)
    for piece in pieces:
        for table in WRITE_ORDER:
            swap[table] += [piece.name] if _merged(directory, index, piece, table, footer) else []
        give_back()
    with writing(staging):
        for place in (*(staging / table for table in WRITE_ORDER), staging, directory):
            sync_directory(place)
    write_file(directory / MANIFEST, json.dumps(swap).encode())
    _roll_forward(directory, swap)


def _merged(directory: Path, index: RowIndex, piece: _Piece, table: str, footer: Mapping[str, str]) -> bool:
    """Write a new part where it waits for the swap; whether there is one, new or old."""
    if piece.there:
        there = directory / table / piece.there
        if piece.there != piece.name and there.exists():
            with writing(directory):
                _linked(there, directory / STAGING / table / piece.name)
        return there.exists()
    rows = gathered(directory, table, index.between(piece.start, piece.stop))
    if rows.num_rows:
        write_table(directory / STAGING / table / piece.name, rows, TABLES[table], footer)
    return bool(rows.num_rows)


def _linked(there: Path, name: Path) -> None:
    """Give a whole file a second name."""
    try:
        os.link(there, name)
    except OSError:  # a file system that has no such thing, or no room
        write_file(name, there.read_bytes())


def recover(directory: Path) -> None:
    """Finish a swap of tables that was interrupted, and sweep what unfinished writes left.

    Raises
    ------
    RunError
        The file system refuses.
    """
    swap = manifest(directory)
    if swap is not None:
        _roll_forward(directory, swap)
    with writing(directory):
        _remove(directory / STAGING)
        hosts = (directory / HOSTS).glob(".part-*")
        for left in (*directory.glob(".*.json.*"), *directory.glob(".*.parquet.*"), *hosts):
            left.unlink(missing_ok=True)
        rows = part_files(directory, "sectors")
        for table in WRITE_ORDER:
            for left in (directory / table).glob(".part-*"):
                left.unlink(missing_ok=True)
            for name, part in part_files(directory, table).items():
                if name not in rows:  # an image or evidence whose row was never written
                    part.unlink(missing_ok=True)


def _roll_forward(directory: Path, swap: Mapping[str, list[str]]) -> None:
    """Make the directories what the manifest says; rows go first and come last: none is without its evidence."""
    with writing(directory):
        for table in reversed(WRITE_ORDER):
            for part in sorted((directory / table).glob("part-*.parquet")):
                if part.name not in swap[table]:
                    part.unlink(missing_ok=True)
        for table in WRITE_ORDER:
            place, waiting = directory / table, directory / STAGING / table
            place.mkdir(exist_ok=True)
            for name in swap[table]:
                if (waiting / name).exists():
                    (waiting / name).replace(place / name)
            sync_directory(place)
        (directory / MANIFEST).unlink(missing_ok=True)
        sync_directory(directory)
        _remove(directory / STAGING)


def _pieces(directory: Path, index: RowIndex) -> list[_Piece]:
    """The parts to be: those that can stay, and between them new ones of about the same size."""
    blocks = _blocks(directory, index)
    by_extent = {(start, stop): name for start, stop, name in blocks}
    large = [block for block in blocks if block[1] - block[0] >= ROWS_PER_FILE // 4]
    pieces: list[_Piece] = []
    edge = 0
    for start, stop, name in [*large, (len(index), len(index), "")]:
        if between := by_extent.get((edge, start)):  # a small one that has no other beside it
            pieces.append(_kept(index, edge, start, between))
        else:
            pieces += _cut(index, edge, start)
        if name:
            pieces.append(_kept(index, start, stop, name))
        edge = stop
    return pieces


def _kept(index: RowIndex, start: int, stop: int, name: str) -> _Piece:
    """A part that stays, under a name that sorts by target."""
    return _Piece(start, stop, name if _MERGED.match(name) else _name(index, start), there=name)


def _name(index: RowIndex, start: int) -> str:
    return f"part-{int(index.tic[start]):020d}-{uuid.uuid4().hex[:6]}.parquet"


def _blocks(directory: Path, index: RowIndex) -> list[tuple[int, int, str]]:
    """Parts that are sorted, whole and among the rows as one block of whole targets: start, stop, name."""
    part, tic, row = index.part, index.tic, np.asarray(index.rows["row"].to_numpy())
    places = part_files(directory, "sectors")
    numbers, starts, counts = np.unique(part, return_index=True, return_counts=True)
    blocks = []
    for number, start, count in zip(numbers, starts, counts, strict=True):
        name, stop = index.parts[int(number)], int(start + count)
        if (
            bool(np.all(part[start:stop] == number))
            and bool(np.all(np.diff(row[start:stop]) == 1))
            and count == pq.read_metadata(places[name]).num_rows
            and (start == 0 or tic[start - 1] != tic[start])
            and (stop == len(tic) or tic[stop - 1] != tic[stop])
        ):
            blocks.append((int(start), stop, name))
    return sorted(blocks)


def _cut(index: RowIndex, start: int, stop: int) -> list[_Piece]:
    """New parts of the rows from `start` to `stop`, cut where the target changes."""
    if start == stop:
        return []
    tic = index.tic
    edges = [start]
    for wanted in np.linspace(start, stop, -(-(stop - start) // ROWS_PER_FILE) + 1).astype(int)[1:-1]:
        edge = int(wanted)
        while edge < stop and tic[edge] == tic[edge - 1]:
            edge += 1
        if edges[-1] < edge < stop:
            edges.append(edge)
    return [_Piece(a, b, _name(index, a)) for a, b in pairwise([*edges, stop])]


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
