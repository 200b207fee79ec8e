"""A plan says what is to do and why, and changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from astropy.io import fits

from batchvet.api import run
from batchvet.errors import CatalogError
from batchvet.results.writer import ResultRow, ResultWriter
from batchvet.runtime.plan import make_plan
from batchvet.runtime.status import run_status
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


def test_targets_of_which_no_sector_is_listed_are_told(config):
    made = make_plan(config.model_copy(update={"sectors": (7,)}))
    n = made.catalog.size
    assert not made.tasks and f"{n} targets left out: the catalogue's sectors are none of those listed" in made.note
    assert not make_plan(config).note


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


def test_a_finished_row_needs_no_pixels_until_something_asks_for_them(done_config):
    first = run(done_config)
    shutil.rmtree(done_config.cache)
    assert make_plan(done_config).to_do() == ()
    assert not list(Path(done_config.cache).glob("s*/*.zip"))
    without_source = done_config.model_copy(update={"sources": ()})  # nor the files
    assert make_plan(without_source).to_do() == ()
    assert run_status(done_config.output)["finished"]
    again = run(done_config.model_copy(update={"quality_bitmask": 0}))  # something asks
    assert list(again.sectors["status"]) == list(first.sectors["status"])
    assert len(list(Path(done_config.cache).glob("s*/*.zip"))) == 6


def test_another_file_makes_its_rows_stale_with_the_cache_or_without(config, tmp_path):
    shutil.copytree(config.sources[0].directory, tmp_path / "tpfs")
    config = config.model_copy(
        update={"sources": (config.sources[0].model_copy(update={"directory": tmp_path / "tpfs"}),)}
    )
    run(config)
    shutil.rmtree(config.cache)
    changed = sorted((tmp_path / "tpfs").glob("*.fits*"))[0]
    with fits.open(changed) as hdus:
        hdus[1].data["FLUX"] *= 1.01
        hdus.writeto(tmp_path / "changed.fits")
    (tmp_path / "changed.fits").replace(changed)
    stale = make_plan(config).rows.stale
    assert len(stale) == 1 and set(stale.values()) == {("pixels",)}


def test_plan_and_status_write_nothing_into_a_run(config, tmp_path):
    bad = config.catalog.read_text() + "9.01,9,1,1500,-3\n"
    (tmp_path / "toi.csv").write_text(bad)
    config = config.model_copy(update={"catalog": tmp_path / "toi.csv"})
    assert len(make_plan(config, keep_going=True).catalog.rejected) == 1
    assert not config.output.exists()


def test_bad_neighbours_are_left_out_on_request_and_told(config, tmp_path):
    bad = config.neighbours.read_text() + "1,x,400,1,9,,,\n"
    (tmp_path / "stars.csv").write_text(bad)
    config = config.model_copy(update={"neighbours": tmp_path / "stars.csv"})
    with pytest.raises(CatalogError, match="--keep-going"):
        make_plan(config)
    assert "1 row is left out" in make_plan(config, keep_going=True).note
