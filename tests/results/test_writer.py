"""Tables are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import json
import random

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from batchvet.api import open_run
from batchvet.errors import RunError
from batchvet.results import directory as module
from batchvet.results.candidate_rows import CandidateRows
from batchvet.results.compaction import compact, recover
from batchvet.results.parts import read_part
from batchvet.results.row_index import gathered, row_index
from batchvet.results.schema import FORMAT_VERSION, SECTORS, TABLES
from batchvet.results.writer import ResultRow, ResultWriter

FOOTER = {"plan": "abc", "version": "0", "format_version": str(FORMAT_VERSION)}


def row(toi: str, sector: int, tic: int = 1, depth: float | None = 1.0) -> ResultRow:
    key = {"toi": toi, "tic": tic, "sector": sector}
    image = {**key, "n_rows": 1, "n_cols": 2, "difference": np.array([1, 2], dtype=np.float32)}
    return ResultRow({**key, "status": "ok", "flag_names": ["A"], "v09_max_depth_ppm": depth, "seconds": 0.1}, image)


def read_parts(directory, table: str, columns: list[str] | None = None):
    return gathered(directory, table, row_index(directory), columns)


def keys(directory) -> list[tuple[str, int]]:
    rows = read_parts(directory, "sectors", ["toi", "sector"]).to_pylist()
    return [(r["toi"], r["sector"]) for r in rows]


def test_a_part_is_committed_when_it_is_full_and_the_rest_at_the_end(tmp_path):
    with ResultWriter(tmp_path, FOOTER, rows_per_part=3) as writer:
        writer.add([row("1.01", 1), row("1.01", 2)])
        assert not (tmp_path / "sectors").exists()
        writer.add([row("1.01", 3)])
        assert len(keys(tmp_path)) == 3
        writer.add([row("1.01", 4)])
        assert len(keys(tmp_path)) == 3
    assert len(keys(tmp_path)) == 4


def test_a_part_is_committed_when_the_last_one_is_old(tmp_path):
    with ResultWriter(tmp_path, FOOTER, seconds_per_part=0.0) as writer:
        writer.add([row("1.01", 1)])
        assert keys(tmp_path) == [("1.01", 1)]


@pytest.mark.parametrize("failing", ["images", "sectors"])
def test_a_crash_while_writing_leaves_no_row_without_its_image(tmp_path, monkeypatch, failing):
    with ResultWriter(tmp_path, FOOTER) as writer:
        writer.add([row("1.01", 1)])

    def crash(path, content):
        if path.parent.name == failing:
            (path.parent).mkdir(exist_ok=True)
            (path.parent / f".{path.name}.part").write_bytes(content[:10])
            raise KeyboardInterrupt
        original(path, content)

    original = module.write_atomically
    monkeypatch.setattr(module, "write_atomically", crash)
    second = ResultWriter(tmp_path, FOOTER)
    second.add([row("2.01", 1)])
    with pytest.raises(KeyboardInterrupt):
        second.flush()
    monkeypatch.undo()
    assert keys(tmp_path) == [("1.01", 1)]
    recover(tmp_path)
    compact(tmp_path, FOOTER)
    assert read_parts(tmp_path, "images", ["toi"]).to_pylist() == [{"toi": "1.01"}]
    assert not list(tmp_path.rglob(".*part*"))


def test_compaction_sorts_and_keeps_one_row_each(tmp_path):
    for sector in (3, 1, 2):
        with ResultWriter(tmp_path, FOOTER) as writer:
            writer.add([row("9.01", sector, tic=2), row("1.01", sector, tic=5)])
    with ResultWriter(tmp_path, FOOTER) as writer:
        writer.add([row("9.01", 1, tic=2, depth=7.0)])  # done twice: the later one counts
    compact(tmp_path, FOOTER)
    assert keys(tmp_path) == [(toi, s) for toi in ("9.01", "1.01") for s in (1, 2, 3)]
    assert len(list((tmp_path / "sectors").glob("*"))) == 1
    depth = read_parts(tmp_path, "sectors").to_pandas().set_index(["toi", "sector"])["v09_max_depth_ppm"]
    assert depth["9.01", 1] == 7.0
    compact(tmp_path, FOOTER, lambda toi, sector: sector != 2)
    assert {sector for _, sector in keys(tmp_path)} == {1, 3}
    assert len(read_parts(tmp_path, "images")) == 4


def test_flipped_bit_in_a_part_is_an_error_that_names_it(tmp_path):
    with ResultWriter(tmp_path, FOOTER) as writer:
        writer.add([row(f"{n}.01", 1) for n in range(200)])
    (part,) = (tmp_path / "sectors").glob("part-*")
    content = bytearray(part.read_bytes())
    content[200] ^= 16
    part.write_bytes(content)
    (tmp_path / "plan.json").write_text(json.dumps({"format_version": FORMAT_VERSION, "n_rows": 1}))
    with pytest.raises(RunError, match=r"sectors/part-.*: damaged .* its rows are made anew"):
        _ = open_run(tmp_path).sectors


def test_a_flipped_bit_in_any_page_is_an_error_never_another_number(tmp_path):
    with ResultWriter(tmp_path, FOOTER) as writer:
        writer.add([row(f"{n}.01", 1, depth=1.0 + n / 7) for n in range(200)])
    (part,) = (tmp_path / "sectors").glob("part-*")
    whole, content = read_part(part), part.read_bytes()
    pages = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    chance, n_refused = random.Random(3), 0
    for _ in range(100):
        changed = bytearray(content)
        changed[chance.randrange(4, pages)] ^= 1 << chance.randrange(8)
        part.write_bytes(changed)
        try:
            assert read_part(part).equals(whole)
        except RunError:
            n_refused += 1
    assert n_refused > 60


def test_unknown_column_is_refused(tmp_path):
    writer = ResultWriter(tmp_path, FOOTER)
    with pytest.raises(ValueError, match="frobnication"):
        writer.add([ResultRow({"toi": "1.01", "tic": 1, "sector": 1, "frobnication": 3})])


def test_every_column_says_what_it_is(tmp_path):
    for table, schema in TABLES.items():
        for field in schema:
            assert field.metadata[b"description"], (table, field.name)
            assert b"unit" in field.metadata
    assert len({column.name for column in SECTORS}) == len(SECTORS)
    with ResultWriter(tmp_path, FOOTER) as writer:
        writer.add([row("1.01", 1)])
    (part,) = (tmp_path / "sectors").glob("part-*")
    assert pq.read_schema(part).metadata[b"batchvet.plan"] == b"abc"


def test_values_survive_the_table(tmp_path):
    with ResultWriter(tmp_path, FOOTER) as writer:
        writer.add([row("5807.10", 83, tic=2**40, depth=None)])
    candidate = {"toi": "5807.10", "tic": 2**40, "n_sectors": 1, "flag_names": [], "made_from": "a"}
    candidates = CandidateRows(tmp_path, FOOTER)
    candidates.add([candidate | {"host_source_id": ["x"], "host_probability": [0.5]}])
    assert candidates.write({"5807.10": "a"}) == 0
    rows = pd.read_parquet(tmp_path / "sectors")
    assert rows.loc[0, "toi"] == "5807.10"
    assert rows.loc[0, "tic"] == 2**40
    assert pd.isna(rows.loc[0, "v09_max_depth_ppm"])
    assert list(rows.loc[0, "flag_names"]) == ["A"]
    written = pd.read_parquet(tmp_path / "candidates.parquet").loc[0]
    assert (list(written["host_source_id"]), list(written["host_probability"])) == (["x"], [0.5])
    assert written["best_host_id"] == ""  # words are words
