"""Workers that are killed with results in hand, frozen, or at fault: nothing is lost, and who it was is said."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from batchvet.runtime import crew, dask_executor, local_cluster
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.proof import Asked
from batchvet.runtime.settings import ClusterSettings

ITEMS = list(range(1, 13))
SQUARES = {n: n * n for n in ITEMS}


def lost(n: int) -> int:
    return -n


@dataclass(frozen=True)
class Square:
    """Work that says who does it; one worker may be at fault, or asked to be slow."""

    place: Path
    wrong_in: int = 0  #: process whose results are in doubt
    slow_at: int = 0  #: item that its first worker is slow at

    def __call__(self, n: int) -> int:
        begun = self.place / f"{n}"
        if n == self.slow_at and not begun.exists():
            begun.write_text(str(os.getpid()))
            time.sleep(600)
        return -n if os.getpid() == self.wrong_in else n * n


@dataclass(frozen=True)
class Patiently(Square):
    """The same, and it takes its time."""

    def __call__(self, n: int) -> int:
        time.sleep(0.05)
        return super().__call__(n)


@pytest.fixture(scope="module")
def workers():
    """Two, of whom one that says nothing for some seconds is started again."""
    assert "distributed.scheduler.worker-ttl" in local_cluster._SETTINGS  # Dask's own is five minutes
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(local_cluster._SETTINGS, "distributed.scheduler.worker-ttl", "5s")
        patch.setattr(crew, "_LOOK_SECONDS", 0.5)
        with open_executor(ClusterSettings(workers=2)) as executor:
            yield executor


def pids(executor) -> list[int]:
    return sorted(executor._client.run(os.getpid).values())


def wait_for_two(executor) -> None:
    """Until both are there, as at the beginning of every test."""
    deadline = time.monotonic() + 120
    while len(executor._client.nthreads()) < 2 and time.monotonic() < deadline:
        executor.crew.look(at_once=True)
        time.sleep(0.2)


def test_a_worker_killed_with_finished_results_in_hand_costs_nothing(workers, tmp_path, monkeypatch):
    wait_for_two(workers)
    usual, killed = dask_executor._results, []

    def fetched_too_late(client, future):
        if not killed:
            (address,) = workers._client.who_has([future])[future.key]
            (pid,) = workers._client.run(os.getpid, workers=[address]).values()
            os.kill(pid, signal.SIGKILL)
            psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
            killed.append(pid)
        return usual(client, future)

    monkeypatch.setattr(dask_executor, "_results", fetched_too_late)
    assert dict(workers.map(Square(tmp_path), ITEMS, lost, 2)) == SQUARES
    assert killed


def test_workers_killed_at_random_twenty_times_cost_nothing(workers, tmp_path):
    wait_for_two(workers)
    chance, over = random.Random(14), threading.Event()
    killed: list[int] = []

    def kill():
        while len(killed) < 20 and not over.wait(chance.uniform(0.1, 1.0)):
            working = [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]
            with suppress(psutil.Error):
                unlucky = chance.choice(working)
                unlucky.kill()
                killed.append(unlucky.pid)

    killer = threading.Thread(target=kill)
    many = list(range(1, 200))
    killer.start()
    try:
        while len(killed) < 20:
            assert dict(workers.map(Patiently(tmp_path), many, lost, 3)) == {n: n * n for n in many}
    finally:
        over.set()
        killer.join()
    assert len(killed) == 20
    wait_for_two(workers)


def test_a_frozen_worker_s_task_is_done_by_another_and_it_is_started_again(workers, tmp_path):
    wait_for_two(workers)
    frozen: list[int] = []

    def freeze():
        begun = tmp_path / "5"
        while not (begun.exists() and begun.read_text()):
            time.sleep(0.05)
        frozen.append(int(begun.read_text()))
        os.kill(frozen[0], signal.SIGSTOP)

    freezer = threading.Thread(target=freeze)
    freezer.start()
    try:
        assert dict(workers.map(Square(tmp_path, slow_at=5), ITEMS, lost, 1)) == SQUARES
        wait_for_two(workers)
        assert frozen and frozen[0] not in pids(workers)
    finally:
        freezer.join()
        with suppress(OSError):
            os.kill(frozen[0], signal.SIGCONT)
    assert dict(workers.map(Square(tmp_path), ITEMS, lost, 1)) == SQUARES


def test_a_worker_whose_faults_go_well_elsewhere_is_left_out_and_named(workers, tmp_path):
    wait_for_two(workers)
    said: list[str] = []
    workers.ask(Asked(), said.append)
    wrong, good = pids(workers)
    work = Square(tmp_path, wrong_in=wrong)
    many = list(range(1, 40))
    assert dict(workers.map(work, many, lost, 1, lambda result: result < 0)) == {n: n * n for n in many}
    (text,) = said
    assert "is left out: it failed at 3 tasks that went well elsewhere: see its logs" in text
    assert workers.crew.choice() == [a for a, pid in workers._client.run(os.getpid).items() if pid == good]
