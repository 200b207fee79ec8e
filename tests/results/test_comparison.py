"""`batchvet compare`: verdicts by disposition, hosts right or wrong, the surest disagreement first."""

from __future__ import annotations

import pandas as pd
import pytest

from batchvet.errors import CatalogError
from batchvet.results.comparison import compare_run
from batchvet.results.reader import RunResults


@pytest.fixture
def made(tmp_path) -> RunResults:
    run = RunResults.__new__(RunResults)
    run.directory = tmp_path / "run"
    run.__dict__["candidates"] = pd.DataFrame(
        {
            "toi": ["1.01", "2.01", "3.01", "4.01", "5.01"],
            "tic": [1, 2, 3, 4, 5],
            "verdict": ["ON_TARGET", "OFF_TARGET", "OFF_TARGET", "INCONCLUSIVE", "ON_TARGET"],
            "p_target": [0.99, 0.001, 0.01, 0.5, 0.97],
            "best_host_id": ["1", "22", "33", "4", "5"],
            "p_best_host": [0.99, 0.98, 0.90, 0.5, 0.97],
        }
    )
    return run


def test_verdicts_are_counted_by_disposition_and_planets_off_target_are_told(made, tmp_path):
    truth = tmp_path / "toi.csv"
    truth.write_text(
        "# a comment\nTIC ID,TOI,TFOPWG Disposition\n1,1.01,CP\n2,2.01,FP\n3,3.01,KP\n4,4.01,CP\n9,9.01,FP\n"
    )
    found = compare_run(made, truth)
    assert found["compared"] == 4
    assert found["confusion"]["CP"] == {"INCONCLUSIVE": 1, "OFF_TARGET": 0, "ON_TARGET": 1}
    assert [(row["toi"], row["known"]) for row in found["disagreements"]] == [("3.01", "KP")]


def test_hosts_are_right_or_wrong_and_the_surest_comes_first(made, tmp_path):
    truth = tmp_path / "hosts.csv"
    truth.write_text("toi,host_tic\n1.01,11\n2.01,22\n3.01,34\n4.01,44\n")
    found = compare_run(made, truth)
    assert found["hosts"] == {"right": 1, "wrong": 2, "wrong_with_p_above_0.95": 1}
    assert [row["toi"] for row in found["disagreements"]] == ["1.01", "3.01"]


def test_a_planet_of_a_neighbour_that_the_list_names_is_no_disagreement(made, tmp_path):
    truth = tmp_path / "hosts.csv"
    truth.write_text("toi,host_tic,disposition\n2.01,22,KP\n3.01,34,KP\n")
    found = compare_run(made, truth)
    assert [(row["toi"], row["known"]) for row in found["disagreements"]] == [("3.01", "host 34")]


def test_names_are_those_of_other_peoples_lists(made, tmp_path):
    """TOI-1.01, TIC 22 and what a spreadsheet makes of numbers; the target is called by its TIC, whoever named it."""
    made.candidates.loc[[0, 4], ["toi", "best_host_id"]] = [["1.10", "Gaia 1"], ["5.01", "Gaia 55"]]
    truth = tmp_path / "hosts.csv"
    truth.write_text("toi,host\n1.1,1\nTOI-2.01,TIC 22\n toi 3.01 ,33.0\n5.01,55\n")
    found = compare_run(made, truth)
    assert found["compared"] == 4 and found["hosts"]["right"] == 3
    assert [row["toi"] for row in found["disagreements"]] == ["5.01"]


def test_a_run_agrees_with_itself(whole):
    found = compare_run(RunResults(whole), whole)
    assert found["disagreements"] == [] and found["compared"] == found["candidates"] > 0


def test_what_is_no_truth_is_named(made, tmp_path):
    (tmp_path / "no.csv").write_text("toi,colour\n1.01,red\n")
    with pytest.raises(CatalogError, match=r"no\.csv needs a column toi, and one of .*it has: toi, colour"):
        compare_run(made, tmp_path / "no.csv")
    with pytest.raises(CatalogError, match="cannot read the truth"):
        compare_run(made, tmp_path / "nowhere.csv")
