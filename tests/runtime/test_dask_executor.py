"""Dask does what the serial executor does, whatever becomes of its workers."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import pytest
from distributed import Client, LocalCluster
from same_tables import same_tables

from batchvet.api import run
from batchvet.errors import RunError
from batchvet.runtime import dask_executor
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.executors import SerialExecutor
from batchvet.runtime.settings import ClusterSettings


@dataclass(frozen=True)
class Square:
    """Work with scripted accidents."""

    deadly: tuple[int, ...] = ()
    hanging: tuple[int, ...] = ()

    def __call__(self, n: int) -> int:
        if n in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if n in self.hanging:
            time.sleep(3600)
        return n * n


def lost(n: int) -> int:
    return -n


@pytest.fixture(scope="module")
def workers():
    with (
        pytest.MonkeyPatch.context() as patch,
        open_executor(ClusterSettings(workers=2), item_timeout_s=1.0) as executor,
    ):
        patch.setattr(dask_executor, "_REVIVE_SECONDS", 8.0)  # a worker is back before that, unless it is lost
        patch.setattr(dask_executor, "_FETCH_SECONDS", 5.0)
        yield executor


@pytest.fixture()
def unlucky_workers(monkeypatch):
    """A cluster of their own for those that die: Dask takes its time to replace the last one."""
    monkeypatch.setattr(dask_executor, "_REVIVE_SECONDS", 8.0)
    with open_executor(ClusterSettings(workers=2), item_timeout_s=1.0) as executor:
        yield executor


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_same_results_as_the_serial_executor(workers, batch_size):
    items = list(range(20))
    serial = dict(SerialExecutor().map(Square(), items, lost, batch_size))
    assert dict(workers.map(Square(), items, lost, batch_size)) == serial


def test_nothing_to_do_is_done_at_once(workers):
    assert list(workers.map(Square(), [], lost, 4)) == []


def test_item_that_kills_its_worker_is_found_and_the_others_are_done(unlucky_workers):
    items = list(range(1, 9))
    results = dict(unlucky_workers.map(Square(deadly=(5,)), items, lost, 4))
    assert results == {n: -5 if n == 5 else n * n for n in items}


def test_item_that_hangs_is_given_up(unlucky_workers):
    items = list(range(1, 5))
    results = dict(unlucky_workers.map(Square(hanging=(2,)), items, lost, 2))
    assert results == {n: -2 if n == 2 else n * n for n in items}


def test_results_that_went_with_their_worker_are_computed_again(workers, monkeypatch):
    real, lost_once = dask_executor._results, []

    def first_never_comes(future):
        if not lost_once:
            lost_once.append(future.key)
            raise TimeoutError
        return real(future)

    monkeypatch.setattr(dask_executor, "_results", first_never_comes)
    items = list(range(6))
    assert dict(workers.map(Square(), items, lost, 2)) == {n: n * n for n in items}
    assert lost_once


def test_window_is_bounded(workers):
    taken = []

    def endless():
        n = 0
        while True:
            taken.append(n)
            yield [n]
            n += 1

    window = workers._window(lambda items: [n for n in items], endless(), 6)
    done = [next(window) for _ in range(30)]
    assert len(done) == 30
    assert len(taken) <= 30 + 6
    window.close()


def test_dashboard_listens_on_loopback_only(workers):
    assert "127.0.0.1" in workers.description


@pytest.mark.parametrize("batch_size", [3, 100])
def test_table_does_not_depend_on_workers_or_batches(workers, config, whole, batch_size):
    address = workers._client.scheduler.address
    run(config.model_copy(update={"batch_size": batch_size}), scheduler=address)
    assert same_tables(config.output, whole)


def test_running_scheduler_is_used_by_its_address_and_stays(config, whole):
    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        run(config.model_copy(update={"batch_size": 1}), scheduler=cluster.scheduler_address)
        with Client(cluster.scheduler_address) as client:
            assert len(client.nthreads()) == 1  # a cluster that is not ours stays
    assert same_tables(config.output, whole)


def test_scheduler_that_does_not_answer_is_one_line(monkeypatch):
    monkeypatch.setattr("batchvet.runtime.clusters._CONNECT_SECONDS", 1)
    with (
        pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        open_executor(ClusterSettings(scheduler="tcp://127.0.0.1:9")),
    ):
        pass


def test_worker_that_is_slow_to_go_does_not_cost_what_is_done(monkeypatch):
    def late(cluster):
        close(cluster)
        raise TimeoutError("a nanny waits for a worker that it has killed")

    close = LocalCluster.close
    monkeypatch.setattr(LocalCluster, "close", late)
    with open_executor(ClusterSettings(workers=1)) as executor:
        done = list(executor.map(Square(), [2, 3], lost, 1))
    assert done == [(2, 4), (3, 9)]
