"""How far a run is, and how fast, while another process works on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from batchvet.api import run
from batchvet.pixels.sources import Asking
from batchvet.results.directory import LOG, sole_writer
from batchvet.results.reader import RunResults
from batchvet.results.writer import ResultRow, ResultWriter
from batchvet.runtime.bars import duration
from batchvet.runtime.plan import make_plan
from batchvet.runtime.status import run_status, work_in_words


def write_log(directory, *events, until=timedelta(0)):
    """A log whose events came one every two seconds until `until` ago."""
    last = datetime.now(UTC) - until
    times = [last - timedelta(seconds=2 * n) for n in reversed(range(len(events)))]
    lines = [{"time": time.isoformat(), "event": event} for time, event in zip(times, events, strict=True)]
    (directory / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"time": "20')


@pytest.fixture
def half_done(config):
    """Two of six rows, and a plan."""
    run(config, limit=1)
    return config.output


def test_a_run_at_work_says_so_with_its_rate_and_an_estimate(half_done):
    write_log(half_done, "row", "finished", "started", *["row"] * 5)
    with sole_writer(half_done):
        found = run_status(half_done)
    assert (found["at_work"], found["rows"], found["rows_done"], found["status"]) == (True, 6, 2, {"ok": 2})
    assert found["rows_per_second"] == pytest.approx(0.5)
    assert found["seconds_left"] == pytest.approx(8.0)
    said = work_in_words(found, duration)
    assert said == "at work: vetting, 2 of 6 rows in the table, 0.5 rows a second, about 8.0 s left"
    assert not run_status(half_done)["at_work"]


@pytest.mark.parametrize(
    ("events", "doing"),
    [(["row", "finished"], "planning"), (["row", "finished", "started"], "getting pixels ready"), ([], "planning")],
)
def test_a_run_at_work_without_rows_says_what_it_is_doing(half_done, events, doing):
    write_log(half_done, *events)
    with sole_writer(half_done):
        found = run_status(half_done)
    assert (found["doing"], found["rows_per_second"]) == (doing, None)


def test_a_run_that_hangs_is_seen_to(half_done):
    write_log(half_done, "started", "row", "row", until=timedelta(minutes=10))
    with sole_writer(half_done):
        assert "nothing has come for 10 min" in work_in_words(run_status(half_done), duration)


def test_a_run_that_has_no_plan_yet_is_planning(tmp_path):
    with sole_writer(tmp_path / "run"):
        assert run_status(tmp_path / "run")["doing"] == "planning"


class Told:
    """Remembers what progress was told."""

    def __init__(self):
        self.phases, self.done = {}, {}

    def start(self, phase, total):
        self.phases[phase] = total
        self.done[phase] = 0

    def advance(self, n=1, failed=0, n_bytes=0):
        self.done[list(self.phases)[-1]] += n

    def say(self, text): ...


def test_planning_many_targets_shows_progress_and_a_time_that_is_not_nothing(config, tmp_path):
    rows = [f"{n}.01,{n},3.0,1330.0,2.0,1" for n in range(1, 701)]
    (tmp_path / "toi.csv").write_text("\n".join(["toi,tic,period_days,t0_btjd,duration_hours,sectors", *rows]) + "\n")
    told = Told()
    plan = make_plan(config.model_copy(update={"catalog": tmp_path / "toi.csv"}), asking=Asking(), progress=told)
    assert told.phases["Planning targets"] == told.done["Planning targets"] == 700
    assert next(iter(told.phases)) == "Reading the catalogue"
    assert plan.summary()["tasks_missing"] == 700
    assert plan.summary()["estimated_seconds"] == pytest.approx(1.4)  # 2 ms each


def test_one_candidate_is_read_without_the_others(half_done, monkeypatch):
    row = {"toi": "9.01", "tic": 9, "sector": 3, "status": "ok"}
    with ResultWriter(half_done, {}) as writer:
        writer.add([ResultRow(row)])
    results = RunResults(half_done)
    alone = results.of("9.01")
    assert "sectors" not in vars(results)
    whole = results.sectors[results.sectors["toi"] == "9.01"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, whole)
    assert alone.attrs["units"]["target_offset_arcsec"] == "arcsec"
