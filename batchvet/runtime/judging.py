"""Which candidates are to be judged, and judging them: each from its own evidence, a few at a time in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batchvet.catalog.candidate import Candidate
from batchvet.results.candidate_rows import CandidateRows
from batchvet.results.row_index import RowIndex, gathered
from batchvet.results.schema import HASH_NAMES
from batchvet.results.writer import ResultRow
from batchvet.runtime.executors import Executor
from batchvet.runtime.hashes import short_hash
from batchvet.runtime.watchdog import next_piece
from batchvet.vetting.judge import Judge, Judgement, judgement_lost
from batchvet.vocabulary import ErrorKind, Status

#: Columns of `sectors` that a verdict depends on, besides those that name a row.
COLUMNS = ("status", "error_kind", "has_image", "has_evidence", *HASH_NAMES)

_ROWS_AT_ONCE = 2048  #: whose evidence is in memory, 11 kB each
_CANDIDATES_PER_BATCH = 16
_NO_PIXELS = (ErrorKind.MISSING_TPF, ErrorKind.NOT_ASKED, ErrorKind.BAD_CATALOGUE_ROW)


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate's rows of `sectors`."""

    toi: str
    tic: int
    start: int  #: its first row in the index
    stop: int  #: the first of the next candidate
    missing: bool  #: no sector could be used
    no_pixels: bool  #: no sector has pixels
    made_from: str  #: what its verdict depends on


def made_from(rows: Iterable[Mapping[str, Any]], judge: Judge) -> str:
    """What stands for all that a candidate's verdict depends on: its rows of `sectors`, calibration and priors.

    The evidence itself is not read: it depends on what the rows' hashes stand for and on nothing else.
    """
    names = ("sector", "status", "error_kind", "has_evidence", *HASH_NAMES)
    return short_hash([judge.settings, [[row.get(name) or "" for name in names] for row in rows]])


def judged_at_once(rows: Sequence[ResultRow], candidates: Iterable[Candidate], judge: Judge) -> list[dict[str, Any]]:
    """Rows of candidates all of whose sectors are here: judged where they were measured, evidence in hand.

    Parameters
    ----------
    rows : sequence of ResultRow
    candidates : iterable of Candidate
        As the catalogue has them; more than these may be among them.
    judge : Judge
    """
    declared = {candidate.toi: candidate for candidate in candidates}
    by_name: dict[str, list[ResultRow]] = {}
    for row in sorted(rows, key=lambda row: row.key):
        by_name.setdefault(row.key[0], []).append(row)
    found = []
    for toi, several in by_name.items():
        group = [{**row.sector, "has_evidence": row.evidence is not None} for row in several]
        judgement = Judgement(
            toi,
            group[0]["tic"],
            len(group),
            all(row["status"] != Status.OK for row in group),
            tuple(row.evidence for row in several if row.evidence is not None),
            all(row["error_kind"] in _NO_PIXELS for row in group),
            declared.get(toi),
            made_from(group, judge),
        )
        next_piece()
        found.append(judge(judgement))
    return found


def standings(index: RowIndex, judge: Judge) -> Iterator[Standing]:
    """Every candidate of the table `sectors`, sorted by target and name.

    Parameters
    ----------
    index : RowIndex
        With `COLUMNS`.
    judge : Judge
    """
    for first, last in _blocks(index):
        rows = index.between(first, last).rows.to_pylist()
        edges = [n for n in range(len(rows)) if n == 0 or rows[n]["toi"] != rows[n - 1]["toi"]]
        for start, stop in zip(edges, [*edges[1:], len(rows)], strict=True):
            group = rows[start:stop]
            yield Standing(
                group[0]["toi"],
                group[0]["tic"],
                first + start,
                first + stop,
                missing=all(row["status"] != Status.OK for row in group),
                no_pixels=all(row["error_kind"] in _NO_PIXELS for row in group),
                made_from=made_from(group, judge),
            )


def open_judgements(
    directory: Path, index: RowIndex, waiting: Iterable[Standing], candidates: Iterable[Candidate]
) -> Iterator[Judgement]:
    """What is known of each of the candidates that are to be judged, read as it is asked for.

    Raises
    ------
    RunError
        A part of the table `evidence` is damaged.
    """
    declared = {candidate.toi: candidate for candidate in candidates}
    for group in _grouped(waiting):
        chosen = np.zeros(len(index), dtype=bool)
        for one in group:
            chosen[one.start : one.stop] = True
        rows: dict[str, list[Mapping[str, Any]]] = {}
        for row in gathered(directory, "evidence", index.only(chosen)).to_pandas().to_dict("records"):
            rows.setdefault(row["toi"], []).append({str(name): value for name, value in row.items()})
        for one in group:
            yield Judgement(
                one.toi,
                one.tic,
                one.stop - one.start,
                one.missing,
                tuple(rows.pop(one.toi, ())),
                one.no_pixels,
                declared.get(one.toi),
                one.made_from,
            )


def judge_all(
    judge: Judge, waiting: Iterator[Judgement], workers: Executor, rows: CandidateRows
) -> Iterator[Mapping[str, Any]]:
    """Judge candidates; each row is given on when it is kept."""
    try:
        for _, row in workers.map(judge, waiting, judgement_lost, _CANDIDATES_PER_BATCH):
            rows.add([row])
            yield row
    finally:
        rows.flush()


def _grouped(waiting: Iterable[Standing]) -> Iterator[list[Standing]]:
    """Successive candidates, a bounded number of rows at once."""
    group: list[Standing] = []
    n_rows = 0
    for one in waiting:
        if group and n_rows + one.stop - one.start > _ROWS_AT_ONCE:
            yield group
            group, n_rows = [], 0
        group.append(one)
        n_rows += one.stop - one.start
    if group:
        yield group


def _blocks(index: RowIndex) -> Iterator[tuple[int, int]]:
    """Successive rows, whole targets."""
    tic = index.tic
    start = 0
    while start < len(tic):
        stop = min(start + _ROWS_AT_ONCE, len(tic))
        while stop < len(tic) and tic[stop] == tic[stop - 1]:
            stop += 1
        yield start, stop
        start = stop
