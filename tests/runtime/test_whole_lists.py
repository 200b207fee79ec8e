"""Every candidate of a published list comes out of a run, and what cannot be vetted is no failure of it."""

from __future__ import annotations

import pandas as pd
import pytest

from batchvet.api import run
from batchvet.errors import CatalogError
from batchvet.pixels.sources import Asking
from batchvet.runtime.config import RunConfig
from batchvet.runtime.fill import ingest
from batchvet.runtime.plan import make_plan

LIST = """TIC ID,TOI,Epoch (BJD),Period (days),Duration (hours),Sectors
12,2.01,2458326.5,3,2,"1,2"
11,1.01,2458326.5,3,,1
12,2.01,2458327.5,7,2,1
12,2.02,2458327.5,7,2,13368
"""


@pytest.fixture
def published(tmp_path) -> RunConfig:
    (tmp_path / "toi.csv").write_text(LIST)
    return RunConfig(
        catalog=tmp_path / "toi.csv", cache=str(tmp_path / "cache"), cluster={"serial": True}, output=tmp_path / "run"
    )


def test_as_many_candidates_come_out_as_went_in(published):
    done = run(published)
    assert done.is_finished and done.not_judged.empty
    assert sorted(done.candidates["toi"]) == ["1.01", "2.01", "2.01 (line 4)", "2.02"]
    assert set(done.candidates["verdict"]) == {"NO_DATA"}
    (row,) = done.sectors[done.sectors["toi"] == "1.01"].to_dict("records")
    assert (row["tic"], row["sector"], row["status"], row["error_kind"]) == (11, 0, "skipped", "bad_catalogue_row")
    assert row["error"] == "line 3: Duration (hours) is missing" and list(row["flag_names"]) == ["BAD_CATALOGUE_ROW"]
    (judged,) = done.candidates[done.candidates["toi"] == "1.01"].to_dict("records")
    assert (judged["error_kind"], judged["error"]) == (row["error_kind"], row["error"])
    assert done.sectors[done.sectors["toi"] == "2.02"]["sector"].tolist() == [0]


def test_such_a_run_is_finished_and_a_second_one_has_nothing_to_do(published):
    before = run(published).candidates
    plan = make_plan(published)
    assert plan.to_do() == () and plan.summary()["candidates"] == 4 and plan.summary()["unusable_candidates"] == 2
    pd.testing.assert_frame_equal(run(published).candidates, before)
    assert ingest(published)["failed"] == []


def test_what_was_left_out_is_told_before_anything_runs(published):
    note = make_plan(published, asking=Asking(ask=False)).note
    assert "2 candidates of the catalogue cannot be vetted" in note and 'line 5: Sectors has "13368"' in note


def test_strict_refuses_before_anything_runs(published):
    with pytest.raises(CatalogError, match="3 bad rows of 4"):
        run(published, strict=True)
    assert not (published.output / "plan.json").exists()


def test_companions_have_no_row_and_are_part_of_what_a_row_stands_on(published):
    plain = make_plan(published).tasks
    published.catalog.write_text(
        "toi,tic,period_days,t0_btjd,duration_hours,companion_only\n1.01,11,3,1400,2,0\n1.02,11,5,1401,2,1\n"
    )
    (task,) = make_plan(published).tasks
    assert [candidate.toi for candidate in task.candidates] == ["1.01"]
    assert [candidate.toi for candidate in task.surroundings.companions] == ["1.01", "1.02"]
    published.catalog.write_text("toi,tic,period_days,t0_btjd,duration_hours\n1.01,11,3,1400,2\n")
    (alone,) = make_plan(published).tasks
    assert alone.candidate_hash != task.candidate_hash and len(plain) == 5
