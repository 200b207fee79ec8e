"""A plan says what is to do and why, and changes nothing."""

from __future__ import annotations

import pandas as pd
import pytest

from batchvet.api import run
from batchvet.results.writer import ResultRow, ResultWriter
from batchvet.runtime.plan import make_plan
from batchvet.vocabulary import PASSING_FAULTS


def test_a_passing_fault_is_tried_again_and_another_is_not(config):
    plan = make_plan(config)
    for task, kind in zip(plan.tasks, [*PASSING_FAULTS, "truncated"], strict=False):
        (candidate, *_) = task.candidates
        row = {"toi": candidate.toi, "tic": task.tic, "sector": task.sector, "status": "error", "error_kind": kind}
        with ResultWriter(config.output, {}) as writer:
            writer.add([ResultRow(row | task.hashes)])
    again = make_plan(config)
    assert set(again.rows.stale.values()) == {("a passing fault",)}
    assert len(again.rows.stale) == len(PASSING_FAULTS)
    assert len(again.rows.done) == 1
    assert len(run(config).sectors) == len(plan.keys)


@pytest.mark.parametrize("sectors", [(1,), (2, 7)])
def test_listed_sectors_are_those_of_the_catalogue_that_are_listed(config, sectors):
    config = config.model_copy(update={"sectors": sectors})
    assert {sector for _, sector in make_plan(config).keys} == set(sectors) & {1, 2}


def test_listed_sectors_without_a_file_are_rows_when_the_catalogue_names_none(config, tmp_path):
    catalog = pd.read_csv(config.catalog, dtype={"toi": str}).drop(columns="sectors")
    config = config.model_copy(update={"catalog": tmp_path / "own.csv", "sectors": (2, 7)})
    catalog.to_csv(config.catalog, index=False)
    plan = make_plan(config)
    assert {sector for _, sector in plan.keys} == {2, 7}
    assert {task.pixels.problem.kind for task in plan.tasks if task.sector == 7} == {"missing_tpf"}


def test_summary_counts_what_is_cached_and_what_is_not(config):
    before = make_plan(config).summary()
    assert (before["tasks_to_ingest"], before["tasks_cached"], before["rows_done"]) == (6, 0, 0)
    assert before["bytes_to_ingest"] > 0 and before["estimated_seconds"] > 0
    run(config)
    after = make_plan(config).summary()
    assert (after["tasks_to_ingest"], after["tasks_cached"], after["rows_to_do"]) == (0, 6, 0)
