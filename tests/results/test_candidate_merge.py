"""Candidates and stars are merged block by block, and wherever that stops nothing is lost or there twice."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from batchvet.errors import RunError
from batchvet.results import candidate_merge, table_file
from batchvet.results.candidate_rows import CandidateRows


def row(tic: int, made_from: str, n_stars: int = 2) -> dict[str, object]:
    toi = f"{tic}.01"
    names = {"toi": toi, "tic": tic, "made_from": made_from}
    stars = [names | {"source_id": f"{made_from}{n}", "is_target": n == 0, "probability": 0.5} for n in range(n_stars)]
    return {**names, "flag_names": [f"FLAG_{tic}"], "n_sectors_used": min(1, n_stars), "hosts": stars}


def written(directory) -> tuple[list[tuple], list[tuple]]:
    candidates = pd.read_parquet(directory / "candidates.parquet")
    hosts = pd.read_parquet(directory / "hosts")
    return (
        list(zip(candidates["toi"], candidates["made_from"], strict=True)),
        list(zip(hosts["toi"], hosts["source_id"], strict=True)),
    )


def rows_of(directory, *several: dict[str, object]) -> CandidateRows:
    rows = CandidateRows(directory, {"plan": "p"})
    for one in several:
        rows.add([one])
        rows.flush()  # a part each
    return rows


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(candidate_merge, "_ROWS_AT_ONCE", 2)
    monkeypatch.setattr(candidate_merge, "_GROUPS_OPEN", 1)


def test_a_table_of_several_blocks_is_sorted_and_has_each_candidates_own_stars(tmp_path):
    rows = rows_of(tmp_path, *(row(tic, "a", tic % 3) for tic in (5, 2, 9, 10, 1)))
    rows.write({f"{tic}.01": "a" for tic in (1, 2, 5, 9, 10)})
    again = rows_of(tmp_path, row(9, "b", 3), row(4, "b", 1), row(2, "b", 0))
    wanted = {"1.01": "a", "2.01": "b", "4.01": "b", "5.01": "a", "9.01": "b"}
    assert again.known() == {"1.01": "a", "2.01": "b", "4.01": "b", "5.01": "a", "9.01": "b", "10.01": "a"}
    again.write(wanted)
    candidates, hosts = written(tmp_path)
    assert candidates == [("1.01", "a"), ("2.01", "b"), ("4.01", "b"), ("5.01", "a"), ("9.01", "b")]
    assert hosts == [
        ("1.01", "a0"),
        ("4.01", "b0"),
        ("5.01", "a0"),
        ("5.01", "a1"),
        *(("9.01", f"b{n}") for n in range(3)),
    ]
    with pq.ParquetFile(tmp_path / "candidates.parquet") as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [2, 2, 1]
        assert file.schema_arrow.metadata[b"batchvet.plan"] == b"p"
        assert file.schema_arrow.metadata[b"table::len::flag_names"] == b"6"


class Stopped(BaseException):
    """As when the process is killed."""


def test_wherever_the_tables_change_places_nothing_is_lost_or_twice_there(tmp_path):
    wanted = {f"{tic}.01": "a" for tic in range(1, 6)} | {"2.01": "b", "5.01": "b"}
    step, finished = 0, False
    while not finished:
        step += 1
        place = tmp_path / str(step)
        rows_of(place, *(row(tic, "a") for tic in range(1, 6))).write({f"{tic}.01": "a" for tic in range(1, 6)})
        rows = rows_of(place, row(2, "b"), row(5, "b"))
        with pytest.MonkeyPatch.context() as patcher:
            done = []

            def stopping(usual, done=done, step=step):
                def stop(*arguments, **options):
                    done.append(usual)
                    if len(done) >= step:
                        raise Stopped
                    return usual(*arguments, **options)

                return stop

            for name in ("replace", "unlink", "rmdir"):
                patcher.setattr(os, name, stopping(getattr(os, name)))
            try:
                rows.write(wanted)
                finished = True
            except Stopped:
                pass
        left = [path for path in (place / "hosts").glob("part-*.parquet")]
        stars = pd.concat([pd.read_parquet(path) for path in left])[["toi", "source_id"]] if left else pd.DataFrame()
        assert not stars.duplicated().any()
        again = CandidateRows(place, {"plan": "p"})
        assert again.known() == wanted, step
        again.write(wanted)
        assert written(place)[0] == sorted(wanted.items())
        assert len(written(place)[1]) == 10
    assert step > 10


def test_numbers_are_packed_without_a_dictionary_and_words_with_one(tmp_path):
    rows_of(tmp_path, row(1, "a")).write({"1.01": "a"})
    with pq.ParquetFile(next((tmp_path / "hosts").glob("part-*"))) as file:
        group = file.metadata.row_group(0)
        encodings = {group.column(n).path_in_schema: group.column(n).encodings for n in range(group.num_columns)}
    assert "BYTE_STREAM_SPLIT" in encodings["probability"] and "RLE_DICTIONARY" not in encodings["probability"]
    assert "RLE_DICTIONARY" in encodings["source_id"]


class FullDisk:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, content) -> int:
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(content)

    def __getattr__(self, name: str):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()


@pytest.mark.parametrize("room", [0, 10, 5000, 20_000])
def test_a_disk_that_fills_up_leaves_the_old_table_and_no_half_of_the_new(tmp_path, monkeypatch, room):
    wanted = {f"{tic}.01": "a" for tic in range(1, 5)}
    rows_of(tmp_path, *(row(tic, "a") for tic in range(1, 5))).write(wanted)
    before = written(tmp_path)
    rows = rows_of(tmp_path, row(3, "b"))
    monkeypatch.setattr(table_file, "open", lambda *how: FullDisk(Path.open(*how), room), raising=False)
    with pytest.raises(RunError, match=r"candidates.parquet: cannot be written \(No space left on device\)"):
        rows.write(wanted | {"3.01": "b"})
    assert written(tmp_path) == before
    assert list(tmp_path.rglob(".candidates.parquet.*")) == []
    monkeypatch.undo()
    CandidateRows(tmp_path, {}).write(wanted | {"3.01": "b"})
    assert ("3.01", "b") in written(tmp_path)[0]
