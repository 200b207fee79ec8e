"""Compaction happens at once: wherever it stops, the tables are the old ones or the new ones, all three."""

from __future__ import annotations

import errno
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest
from stopping import Stopping

from batchvet.errors import RunError
from batchvet.results import compaction
from batchvet.results import writer as writer_module
from batchvet.results.compaction import compact, recover
from batchvet.results.parts import read_part
from batchvet.results.row_index import gathered, row_index
from batchvet.results.writer import ResultRow, ResultWriter


def row(toi: str, sector: int, version: int, *, evidence: bool = True) -> ResultRow:
    """A row whose image and evidence say from which version they are."""
    key = {"toi": toi, "tic": int(toi.split(".")[0]), "sector": sector}
    return ResultRow(
        {**key, "status": "ok", "n_transits": version},
        {**key, "n_rows": version},
        {**key, "n_transits": version} if evidence else None,
    )


def write(directory: Path, *rows: ResultRow) -> None:
    with ResultWriter(directory, {}) as writer:
        writer.add(rows)


def content(directory: Path) -> dict[str, list[tuple[str, int, int]]]:
    """Of each table the rows that count: candidate, sector, version."""
    columns = {"sectors": "n_transits", "images": "n_rows", "evidence": "n_transits"}
    index = row_index(directory)
    return {
        table: [tuple(row.values()) for row in gathered(directory, table, index, ["toi", "sector", column]).to_pylist()]
        for table, column in columns.items()
    }


def in_files(directory: Path, table: str) -> list[tuple[str, int]]:
    """What a program that knows nothing of us reads."""
    frame = pd.read_parquet(directory / table, columns=["toi", "sector"])
    return list(zip(frame["toi"], frame["sector"], strict=True))


def one_stop(made: Path, place: Path, stop: Stopping, expected) -> bool:
    """Stop a compaction that drops a row, and see what is left; whether it had so many steps."""
    shutil.copytree(made, place)
    with pytest.MonkeyPatch.context() as patcher:
        stop.patch(patcher)
        try:
            compact(place, {}, lambda toi, sector: (toi, sector) != ("2.01", 1))
            finished = True
        except (KeyboardInterrupt, RunError, OSError):
            finished = False
    before, after = expected
    assert content(place) in (before, after)  # through the manifest, before anything is mended
    names = in_files(place, "sectors") if list((place / "sectors").glob("part-*")) else []
    assert len(names) == len(set(names)) or names == in_files(made, "sectors")
    recover(place)
    mended = content(place)
    assert mended in (before, after)
    assert mended == after or not finished
    assert set(in_files(place, "sectors")) == {(toi, n) for toi, n, _ in mended["sectors"]}
    left = sorted(path.name for path in place.rglob(".*"))
    assert left == []
    compact(place, {}, lambda toi, sector: (toi, sector) != ("2.01", 1))
    assert content(place) == after
    assert in_files(place, "sectors") == [(toi, n) for toi, n, _ in after["sectors"]]
    shutil.rmtree(place)
    return stop.steps >= stop.at


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    """Merged parts, of which some stay, and new ones: a row done again and one whose evidence is no more."""
    monkeypatch.setattr(compaction, "ROWS_PER_FILE", 4)
    place = tmp_path / "made"
    for sector in (2, 1):
        write(place, *(row(f"{n}.01", sector, 1) for n in (3, 1, 2, 9)))
    compact(place, {})
    assert len(list((place / "sectors").glob("part-*"))) == 2
    write(place, row("1.01", 2, 2), row("2.01", 2, 2, evidence=False), row("1.02", 5, 2))
    write(place, *(row(f"{n}.01", 1, 1) for n in (12, 13)))  # sorted and whole: it stays, under another name
    return place


@pytest.mark.parametrize(
    ("error", "once"),
    [
        (KeyboardInterrupt(), False),  # and nothing works from then on: as when the process is killed
        (OSError(errno.ENOSPC, "no room"), True),
    ],
)
def test_compaction_stopped_at_any_step_leaves_the_old_tables_or_the_new(made, tmp_path, error, once):
    before = content(made)
    assert ("1.01", 2, 1) not in before["evidence"]
    assert not [row for row in before["evidence"] if row[:2] == ("2.01", 2)]
    shutil.copytree(made, tmp_path / "whole")
    compact(tmp_path / "whole", {}, lambda toi, sector: (toi, sector) != ("2.01", 1))
    after_it = content(tmp_path / "whole")
    assert len(after_it["sectors"]) == len(before["sectors"]) - 1
    n = 1
    while one_stop(made, tmp_path / "stopped", Stopping(n, error, once=once), (before, after_it)):
        n += 1
    assert n > 20


def test_parts_that_follow_each_other_are_not_written_again(tmp_path, monkeypatch):
    written = []
    usual = compaction.write_table
    monkeypatch.setattr(compaction, "write_table", lambda path, *more: (written.append(path), usual(path, *more)))
    monkeypatch.setattr(compaction, "ROWS_PER_FILE", 16)
    tics = [1, 2, 3, 20, 21, 22, 100, 101, 102]
    with ResultWriter(tmp_path, {}, rows_per_part=8) as writer:
        for place in (1, 2, 0, 3, 5, 4, 6, 8, 7):  # as they come from several workers; a few are late
            tic = tics[place]
            writer.add([row(f"{tic}.0{n}", sector, 1) for sector in (1, 2) for n in (1, 2)], place)
    parts = {path.stat().st_ino for path in (tmp_path / "evidence").glob("part-*")}
    compact(tmp_path, {})
    assert written == []
    assert {path.stat().st_ino for path in (tmp_path / "evidence").glob("part-*")} == parts
    assert in_files(tmp_path, "sectors") == [(f"{t}.0{n}", s) for t in tics for n in (1, 2) for s in (1, 2)]
    compact(tmp_path, {})
    assert {path.stat().st_ino for path in (tmp_path / "evidence").glob("part-*")} == parts


def test_a_late_place_holds_the_others_up_only_until_they_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "_MOST_EARLY", 4)
    writer = ResultWriter(tmp_path, {}, rows_per_part=2)
    for place in (1, 2, 3):
        writer.add([row(f"{place}.01", 1, 1)], place)
    assert not (tmp_path / "sectors").exists()
    writer.add([row("4.01", 1, 1)], 4)
    assert len(in_files(tmp_path, "sectors")) == 4
    writer.add([], 0)  # it has no rows after all
    writer.add([row("5.01", 1, 1), row("5.02", 1, 1)], 5)
    assert len(list((tmp_path / "sectors").glob("part-*"))) == 2
    writer.flush()
    assert [toi for toi, _ in in_files(tmp_path, "sectors")] == [f"{n}.01" for n in range(1, 6)] + ["5.02"]


def test_small_parts_are_merged_and_one_that_stands_alone_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "ROWS_PER_FILE", 8)
    for tics in ([1], [2], range(3, 11), [11], range(12, 20)):
        write(tmp_path, *(row(f"{tic}.01", 1, 1) for tic in tics))
    before = {path.stat().st_ino for path in (tmp_path / "sectors").glob("part-*")}
    compact(tmp_path, {})
    after = {path.stat().st_ino for path in (tmp_path / "sectors").glob("part-*")}
    assert (len(before), len(after), len(before & after)) == (5, 4, 3)
    compact(tmp_path, {})
    assert {path.stat().st_ino for path in (tmp_path / "sectors").glob("part-*")} == after


def test_recovery_stopped_at_any_step_is_taken_up_again(made, tmp_path):
    before = content(made)
    interrupted = tmp_path / "interrupted"
    shutil.copytree(made, interrupted)
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setattr(compaction, "_roll_forward", lambda *arguments: None)  # dies after the manifest
        compact(interrupted, {})
    after = content(interrupted)
    assert after == before
    n, stopped = 1, True
    while stopped:
        place = tmp_path / "again"
        shutil.copytree(interrupted, place)
        with pytest.MonkeyPatch.context() as patcher:
            Stopping(n, KeyboardInterrupt(), once=False).patch(patcher)
            try:
                recover(place)
                stopped = False
            except KeyboardInterrupt:
                pass
        assert content(place) == after
        recover(place)
        assert content(place) == after
        assert not list(place.rglob(".*"))
        shutil.rmtree(place)
        n += 1
    assert n > 10


def test_merged_files_are_sorted_bounded_and_left_alone_where_nothing_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "ROWS_PER_FILE", 8)
    keys = [(f"{n}.01", sector) for n in range(1, 31) for sector in (1, 2, 3)]
    shuffled = random.Random(3).sample(keys, len(keys))
    for start in range(0, len(keys), 7):
        write(tmp_path, *(row(*key, 1) for key in shuffled[start : start + 7]))
    compact(tmp_path, {})
    assert in_files(tmp_path, "sectors") == in_files(tmp_path, "evidence") == keys
    parts = sorted((tmp_path / "sectors").glob("part-*"))
    assert max(read_part(part).num_rows for part in parts) <= 8 + 2
    targets = [set(read_part(part)["tic"].to_pylist()) for part in parts]
    assert sum(map(len, targets)) == len(set.union(*targets))  # no target in two files
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*")}
    compact(tmp_path, {})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*")} == before
    write(tmp_path, row("15.01", 2, 2))
    compact(tmp_path, {})
    still = [path for path in before if path.exists()]
    assert len(before) - len(still) <= 3 * 2
    assert in_files(tmp_path, "sectors") == in_files(tmp_path, "images") == keys
    assert ("15.01", 2, 2) in content(tmp_path)["evidence"]


def test_of_a_row_that_is_there_twice_the_later_counts_and_its_evidence_alone(tmp_path, monkeypatch):
    write(tmp_path, row("1.01", 1, 1))
    monkeypatch.setattr("time.time_ns", lambda: 5)  # the clock was set back by years
    write(tmp_path, row("1.01", 1, 2, evidence=False))
    found = content(tmp_path)
    assert found["sectors"] == found["images"] == [("1.01", 1, 2)]
    assert found["evidence"] == []
    compact(tmp_path, {})
    assert content(tmp_path) == found
    assert not list((tmp_path / "evidence").glob("*"))


def test_evidence_without_its_row_is_swept(tmp_path, monkeypatch):
    write(tmp_path, row("1.01", 1, 1))
    (part,) = (tmp_path / "sectors").glob("part-*")
    part.unlink()
    recover(tmp_path)
    assert not list(tmp_path.rglob("part-*"))
