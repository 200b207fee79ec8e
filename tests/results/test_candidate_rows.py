"""A candidate's row is there once, the latest, and only where it was made from what is there now."""

from __future__ import annotations

import pickle

import pandas as pd

from batchvet.results.candidate_rows import WAITING, CandidateRows, CandidateTables


def row(toi: str, made_from: str, **more: object) -> dict[str, object]:
    return {"toi": toi, "tic": int(toi.split(".")[0]), "made_from": made_from, "flag_names": [], **more}


def test_rows_that_wait_are_known_to_the_next_run_and_the_latest_counts(tmp_path):
    first = CandidateRows(tmp_path, {})
    for one in (row("10.01", "a"), row("9.01", "a", error_kind="internal", error="singular")):
        first.add([one])
    first.flush()  # and the process is killed
    second = CandidateRows(tmp_path, {})
    assert second.known() == {"10.01": "a", "9.01": ""}
    second.add([row("9.01", "a")])
    assert second.write({"10.01": "a", "9.01": "a"}) == 0
    written = pd.read_parquet(tmp_path / "candidates.parquet")
    assert list(written["toi"]) == ["9.01", "10.01"]
    assert (written["error_kind"] == "").all()
    assert not (tmp_path / WAITING).exists()


def test_what_was_made_from_something_else_and_who_is_gone_are_dropped(tmp_path):
    rows = CandidateRows(tmp_path, {})
    for one in (row("1.01", "old"), row("2.01", "a"), row("3.01", "a", error_kind="killed", error="died")):
        rows.add([one])
    assert rows.write({"1.01": "new", "3.01": "a"}) == 1
    assert list(pd.read_parquet(tmp_path / "candidates.parquet")["toi"]) == ["3.01"]


def test_a_damaged_table_is_judged_again_and_not_believed(tmp_path):
    rows = CandidateRows(tmp_path, {})
    rows.add([row("1.01", "a")])
    rows.write({"1.01": "a"})
    table = tmp_path / "candidates.parquet"
    table.write_bytes(table.read_bytes()[:200])
    assert CandidateRows(tmp_path, {}).known() == {}


def test_stars_travel_beside_their_candidates(tmp_path):
    star = {"toi": "1.01", "tic": 1, "source_id": "7", "is_target": True, "probability": 0.5, "made_from": "a"}
    one = row("1.01", "a", n_sectors_used=1, hosts=[star, star | {"source_id": "8", "is_target": False}])
    sent = pickle.loads(pickle.dumps(CandidateTables.of([one, row("2.01", "a")])))
    rows = CandidateRows(tmp_path, {})
    rows.add(sent)
    rows.add([row("3.01", "a", n_sectors_used=1)])  # whose stars are lost
    rows.flush()
    assert CandidateRows(tmp_path, {}).known() == {"1.01": "a", "2.01": "a", "3.01": ""}
    rows.write({"1.01": "a", "2.01": "a"})
    written = pd.read_parquet(tmp_path / "hosts")
    assert list(written["source_id"]) == ["7", "8"] and set(written["toi"]) == {"1.01"}
