"""A plan keeps columns; a task is there while somebody looks at it, and is the same whoever looks."""

from __future__ import annotations

import gc

import numpy as np
import pyarrow as pa
import pytest

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.errors import Problem
from batchvet.pixels.entry import StampKey
from batchvet.pixels.entry_table import CacheEntry, EntryTable
from batchvet.pixels.sources import Offer
from batchvet.runtime.available import AvailablePixels
from batchvet.runtime.earlier_rows import RowsBefore
from batchvet.runtime.planned_tasks import Tasks
from batchvet.runtime.prf_choice import PrfChoice, PrfFiles
from batchvet.runtime.task_columns import CACHED, MISSING, NOWHERE, OFFERED, ColumnsOfTasks
from batchvet.runtime.task_maker import TaskMaker
from batchvet.runtime.tasks import Cached, Missing, Offered, Pixels, Task
from batchvet.vocabulary import ErrorKind


def pixels(tic: int, sector: int) -> Pixels:
    match (tic + sector) % 3:
        case 0:
            return Cached(
                StampKey(tic, sector, 120), 1000 * sector + tic, sector % 4 + 1, tic % 4 + 1, f"{tic:06d}{sector:06d}"
            )
        case 1:
            return Offered(Offer(tic, sector, 120, f"/{tic}-{sector}.fits", size=500 * sector), "abc")
        case _:
            kind = ErrorKind.MISSING_TPF if tic % 2 else ErrorKind.TRUNCATED
            return Missing(Problem(kind, ""), "not looked for")


def made(tic: int) -> list[Task]:
    """A target with two candidates in five sectors, one of them in the last only."""
    one, two = (Candidate(f"{tic}.0{n}", tic, Ephemeris(3.0, 1500.0, 2.0)) for n in (1, 2))
    return [
        Task(
            tic,
            sector,
            pixels(tic, sector),
            (one, two) if sector == 5 else (one,),
            candidate_hash=f"c{tic}",
            settings_hash="s",
        )
        for sector in (5, 2, 3, 4, 1)
    ]


def tasks(tics: list[int]) -> Tasks:
    collected = ColumnsOfTasks()
    for origin, tic in enumerate(tics):
        for number, task in enumerate(made(tic)):
            collected.add(task, origin, number)
    return Tasks(collected.columns(), lambda origin: made(tics[origin]))


def test_tasks_are_sorted_and_are_those_that_were_made():
    found = tasks([7, 3, 11])
    expected = sorted((task for tic in (3, 7, 11) for task in made(tic)), key=lambda task: (task.tic, task.sector))
    assert found == expected and len(found) == 15
    assert found[4] == expected[4] and found[2:5] == expected[2:5]
    assert found.names() == {key for task in expected for key in task.keys} and found.n_rows == 18
    for column, words in found.columns.hashes.items():
        rows = [task.hashes[column] for task in expected for _ in task.candidates]
        assert found.columns.hashes_of_rows(column).to_pylist() == rows, (column, words)


def test_open_rows_alone_are_to_be_made():
    found = tasks([3, 7])
    rows = [key for task in found for key in task.keys]
    is_open = np.array([key in {("3.02", 5), ("7.01", 2), ("7.01", 5), ("7.02", 5)} for key in rows])
    assert [task.keys for task in found.with_rows(is_open)] == [
        (("3.02", 5),),
        (("7.01", 2),),
        (("7.01", 5), ("7.02", 5)),
    ]
    assert found.with_rows(is_open).n_rows == 4
    assert [task.tic for task in found.with_rows(is_open).of_first_targets(1)] == [3]
    assert [task.keys for task in found.with_rows(is_open).of(7, 2)] == [(("7.01", 2),)]
    assert len(found.of(7, 9)) == 0
    assert found.with_rows(np.zeros(len(rows), dtype=bool)) == ()


def test_counts_of_tasks_are_those_of_their_pixels():
    found = tasks([3, 7, 11, 12])
    cached = [task.pixels for task in found if isinstance(task.pixels, Cached)]
    assert set(found.ccds()) == {(one.entry.sector, one.camera, one.ccd) for one in cached}
    assert [task.pixels for task in found.offered()] == [t.pixels for t in found if isinstance(t.pixels, Offered)]
    sizes = [task.pixels.size for task in found.examples() if isinstance(task.pixels, Cached)]
    assert {min(one.size for one in cached), max(one.size for one in cached)} <= set(sizes)
    rows_of = found.rows_of_targets()
    assert [rows_of(tic) for tic in (3, 7, 11, 12)] == [6, 6, 6, 6]


@pytest.mark.parametrize("what", ["stamp_hash", "candidate_hash", "sector", "toi"])
def test_a_plan_with_another_task_is_another(what, monkeypatch):
    before = tasks([3, 7]).identity()
    assert tasks([3, 7]).identity() == tasks([7, 3]).identity() == before
    other = tasks([3, 7])
    if what == "toi":
        object.__setattr__(other.columns, "toi", tasks([3, 8]).columns.toi)
    elif what == "sector":
        other.columns.sector[3] += 1
    else:
        words = other.columns.hashes[what].copy()
        words[4] = b"other"
        other.columns.hashes[what] = words
    assert other.identity() != before


def test_tasks_that_nobody_looks_at_are_not_there():
    found = tasks(list(range(1, 400)))
    gc.collect()
    most = 0
    for n, _ in enumerate(found):
        if n % 500 == 0:
            most = max(most, sum(isinstance(one, Task) for one in gc.get_objects()))
    assert len(found) == 1995 and most <= 20


def entry(tic: int, sector: int, cadence_s: int = 120, camera: int = 2, sha256: str = "") -> CacheEntry:
    return CacheEntry(tic, sector, cadence_s, 10 * tic + sector, 1, 9, camera, 3, f"/{tic}-{sector}", 4, 5, sha256)


def maker_of(sky: dict[int, tuple[Candidate, ...]], listed: tuple[int, ...] | None, prf: PrfChoice) -> TaskMaker:
    """Targets in the cache once, twice, not at all; with a file on offer besides, the same or another."""
    entries = [entry(tic, sector, sha256=f"{tic:032d}{sector:032d}") for tic in (3, 5, 7) for sector in (1, 2, 4)]
    entries += [entry(3, 2, 20, sha256="2" * 64), entry(5, 6, 1800, camera=0), entry(7, 6, 600, camera=9)]
    offers = {
        (7, 1): Offer(7, 1, 120, "/7-1", size=4, mtime_ns=5),
        (7, 2): Offer(7, 2, 120, "/new-7-2", size=44, mtime_ns=55),
        (7, 5): Offer(7, 5, 120, "/7-5", size=50),
        (9, 1): Offer(9, 1, 120, "/9-1", error_kind=str(ErrorKind.TRUNCATED), error="cut"),
    }
    columns = {"toi": pa.string(), "tic": pa.int64(), "sector": pa.int64()}
    rows = RowsBefore(pa.table({name: pa.array([], kind) for name, kind in columns.items()}), {})
    pixels = AvailablePixels(EntryTable.of_entries(entries), offers)
    return TaskMaker(pixels, None, PrfFiles(prf, {"a": 1}, ask=False), listed, rows, sky)


@pytest.mark.parametrize("listed", [None, (1, 2, 3), (5, 6)])
def test_columns_say_of_a_task_what_it_says_itself(listed, tmp_path):
    folder = tmp_path / "start_s0001" / "cam2_ccd3"
    folder.mkdir(parents=True)
    (folder / "tess-prf.fits").write_bytes(b"1234")
    sky = {
        tic: tuple(
            Candidate(f"{tic}.0{n}", tic, Ephemeris(3.0, 1500.0, 2.0), sectors=(1, 4) if n == tic // 2 else None)
            for n in range(1, 3)
        )
        for tic in (3, 5, 7, 9, 11)
    }
    maker = maker_of(sky, listed, PrfChoice(str(tmp_path), tmp_path, may_fetch=False))
    collected = ColumnsOfTasks(maker.pixels.entries, maker.prf_files.settings_hash)
    for origin, (tic, group) in enumerate(sky.items()):
        assert maker.collect(maker.target(tic, group), origin, collected, without_pixels=True) == 0
    groups = list(sky.items())
    found = Tasks(collected.columns(), lambda origin: maker.tasks_of(*groups[origin]))
    kinds = {CACHED: Cached, OFFERED: Offered, MISSING: Missing, NOWHERE: Missing}
    assert len(found) > 8
    for n, task in enumerate(found):
        pixels = task.pixels
        assert (found.tic[n], found.sector[n]) == (task.tic, task.sector)
        assert isinstance(pixels, kinds[int(found.kind[n])])
        assert found.size[n] == (0 if isinstance(pixels, Missing) else pixels.size)
        whole = isinstance(pixels, Cached) and pixels.camera == 2
        assert found.columns.ccd[n] == (8 * 2 + 3 if whole else 0)
        words = {name: column[n].decode() for name, column in found.columns.hashes.items()}
        assert words.items() <= task.hashes.items()
    rows = [key for task in found for key in task.keys]
    assert found.columns.wanted().names(np.ones(len(rows), dtype=bool)) == rows
    if listed is None:
        assert set(found.columns.hashes["settings_hash"].tolist()) == {
            maker.prf_files.settings_hash(*where).encode() for where in ((1, 2, 3), (1, 0, 0))
        }
