"""A scheduler and workers that are not ours, started by Dask's own commands: some of them unfit, all of them mortal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from same_tables import same_tables

from batchvet.api import run
from batchvet.errors import RunError
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.fill import ingest
from batchvet.runtime.progress import Silent
from batchvet.runtime.settings import ClusterSettings

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


class Listening(Silent):
    """Keeps what is said, and does something when rows come."""

    def __init__(self, then=lambda: None):
        self.said: list[str] = []
        self.then = then
        self.phase = ""

    def start(self, phase, total):
        self.phase = phase

    def say(self, text):
        self.said.append(text)

    def advance(self, n=1, failed=0, n_bytes=0):
        if self.phase == "Vetting":
            self.then()


@contextmanager
def dask(command: str, *arguments: str, cwd: Path, **environment: str):
    """One of Dask's processes."""
    argv = [sys.executable, "-m", f"distributed.cli.dask_{command}", *arguments, "--no-dashboard"]
    process = subprocess.Popen(
        argv, cwd=cwd, env=os.environ | ONE_THREAD | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def scheduler(tmp_path):
    file = tmp_path / "scheduler.json"
    with dask(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), cwd=tmp_path
    ) as process:
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield process


def a_worker(tmp_path: Path, *options: str, cwd: Path, **environment: str):
    common = ("--scheduler-file", str(tmp_path / "scheduler.json"), "--nthreads", "1", "--no-nanny")
    return dask("worker", *common, "--death-timeout", "30", *options, cwd=cwd, **environment)


def test_workers_that_are_unfit_are_left_out_and_named_and_no_row_is_about_them(config, whole, tmp_path, scheduler):
    """One does not see the cache, one has no batchvet; both would fail fastest and so eat the work."""
    ingest(config)
    elsewhere, without = tmp_path / "elsewhere", tmp_path / "without" / "batchvet"
    elsewhere.mkdir()
    without.mkdir(parents=True)
    (without / "__init__.py").write_text("raise ImportError('no batchvet here')")
    settings = ClusterSettings(scheduler_file=tmp_path / "scheduler.json", worker_cache="cache")  # from where each is
    with ExitStack() as stack:
        stack.enter_context(a_worker(tmp_path, cwd=elsewhere))
        stack.enter_context(a_worker(tmp_path, cwd=tmp_path, PYTHONPATH=str(without.parent)))
        stack.enter_context(a_worker(tmp_path, cwd=tmp_path))
        with open_executor(ClusterSettings(scheduler_file=tmp_path / "scheduler.json")) as executor:
            executor._client.wait_for_workers(3, timeout=60)
        listening = Listening()
        run(config.model_copy(update={"cluster": settings, "batch_size": 1}), progress=listening)
    assert same_tables(config.output, whole)
    left_out = [text for text in listening.said if "is left out" in text]
    assert len(left_out) == 2
    assert any("does not see the cache cache" in text and "cluster.worker_cache" in text for text in left_out)
    assert any("cannot run batchvet" in text and "no batchvet here" in text for text in left_out)


def test_a_scheduler_that_dies_is_said_in_words_and_what_is_done_is_kept(config, whole, tmp_path, scheduler):
    settings = ClusterSettings(scheduler_file=tmp_path / "scheduler.json")
    with (
        a_worker(tmp_path, cwd=tmp_path),
        pytest.raises(RunError, match=r"the Dask scheduler at tcp://127\.0\.0\.1:\d+ is gone; what is done is kept"),
    ):
        run(config.model_copy(update={"cluster": settings, "batch_size": 1}), progress=Listening(scheduler.kill))
    run(config)
    assert same_tables(config.output, whole)


def test_when_no_worker_is_fit_the_run_says_why_and_makes_no_row(config, tmp_path, scheduler, monkeypatch):
    monkeypatch.setattr("batchvet.runtime.crew._UNFIT_SECONDS", 1.0)
    settings = ClusterSettings(scheduler_file=tmp_path / "scheduler.json")
    with (
        a_worker(tmp_path, "--nthreads", "2", cwd=tmp_path),
        pytest.raises(RunError, match="no worker can be used: one has 2 threads: start it with --nthreads 1"),
    ):
        run(config.model_copy(update={"cluster": settings}))
    assert not list((config.output / "sectors").glob("*"))


def test_when_no_worker_ever_comes_that_is_said(config, tmp_path, scheduler):
    settings = ClusterSettings(scheduler_file=tmp_path / "scheduler.json", wait_s=0.5)
    with pytest.raises(RunError, match=r"no Dask worker came within 0\.5 s; see the cluster's queue.*cluster\.wait_s"):
        run(config.model_copy(update={"cluster": settings}))
