"""A worker makes rows of whatever it is given, and loads no more than that takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.errors import Problem
from batchvet.pixels.entry import StampKey
from batchvet.pixels.sources import Offer
from batchvet.runtime.tasks import Cached, Missing, Offered, Pixels, Task
from batchvet.runtime.worker import VetTask, killed
from batchvet.vetting.settings import VetSettings
from batchvet.vocabulary import ErrorKind

CANDIDATES = tuple(Candidate(f"7.0{n}", 7, Ephemeris(3.0, 1500.0, 2.0)) for n in (1, 2))
NEEDLESS = (
    "astroquery",
    "batchvet.api",
    "batchvet.report",
    "batchvet.runtime.config",
    "dask",
    "lightkurve",
    "matplotlib",
    "pandas",
    "pydantic",
    "requests",
)


def task(pixels: Pixels) -> Task:
    return Task(7, 3, pixels, CANDIDATES, candidate_hash="c", neighbours_hash="n", settings_hash="s")


@pytest.mark.parametrize(
    ("pixels", "status", "kind"),
    [
        (Missing(Problem(ErrorKind.MISSING_TPF, "no pixels"), "missing"), "skipped", "missing_tpf"),
        (Missing(Problem(ErrorKind.TRUNCATED, "cut short"), "abc"), "error", "truncated"),
        (Cached(StampKey(7, 3, 120), 0, 0, 0, "abc"), "error", "cache"),  # deleted since it was planned
        (Offered.of(Offer(7, 3, 120, "tp.fits")), "error", "internal"),
    ],
)
def test_pixels_that_cannot_be_read_are_a_row_for_each_candidate(tmp_path, pixels, status, kind):
    rows = [row.sector for row in VetTask(str(tmp_path), VetSettings())(task(pixels))]
    assert [(row["toi"], row["tic"], row["sector"]) for row in rows] == [("7.01", 7, 3), ("7.02", 7, 3)]
    assert [(row["status"], row["error_kind"]) for row in rows] == [(status, kind)] * 2
    assert all(row["error"] and row["stamp_hash"] == pixels.stamp_hash for row in rows)


def test_a_task_under_which_workers_died_says_how_to_see_why(tmp_path):
    rows = [row.sector for row in killed(task(Cached(StampKey(7, 3, 120), 0, 0, 0, "abc")))]
    assert [row["error_kind"] for row in rows] == ["killed"] * 2
    assert "TIC 7, sector 3: its worker died three times" in rows[0]["error"]


def test_a_worker_loads_neither_the_client_s_rooms_nor_their_libraries():
    program = "import sys, batchvet.runtime.worker, batchvet.vetting.judge; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(NEEDLESS) & set(done.stdout.split())
