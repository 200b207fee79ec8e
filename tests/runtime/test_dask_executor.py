"""Dask does what the serial executor does, whatever becomes of its workers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass

import psutil
import pytest
from distributed import Client, LocalCluster, Nanny, Security, get_worker
from same_tables import same_tables

from batchvet.api import run
from batchvet.errors import RunError
from batchvet.runtime import clusters, crew, dask_executor, local_cluster
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.executors import SerialExecutor
from batchvet.runtime.local_cluster import n_workers
from batchvet.runtime.settings import ClusterSettings


@dataclass(frozen=True)
class Square:
    """Work with scripted accidents."""

    deadly: tuple[int, ...] = ()
    hanging: tuple[int, ...] = ()
    hungry: tuple[int, ...] = ()
    keeping: tuple[int, ...] = ()

    def __call__(self, n: int) -> int:
        if n in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if n in self.hanging:
            time.sleep(3600)
        if n in self.hungry:
            kept = [b"x" * 50_000_000 for _ in range(16)]
            time.sleep(len(kept))
        if n in self.keeping:
            limit, process = get_worker().memory_manager.memory_limit, psutil.Process()
            while process.memory_info().rss < 0.87 * limit:
                _kept.append(os.urandom(5_000_000))
            time.sleep(1)  # Dask looks every 0.1 s, and pauses a worker at 0.8
        return n * n


_kept: list[bytes] = []  #: of a worker, nothing that anybody could release


def lost(n: int) -> int:
    return -n


class Sealed:
    """What the process that made it must not unpack: there the scheduler would be looking into it."""

    def __init__(self) -> None:
        self.maker = os.getpid()

    def __setstate__(self, state: dict[str, int]) -> None:
        assert state["maker"] != os.getpid(), "unpacked where it was made"
        self.__dict__.update(state)


def pid(item: Sealed) -> int:
    return os.getpid()


@pytest.fixture(scope="module")
def workers():
    with (
        pytest.MonkeyPatch.context() as patch,
        open_executor(ClusterSettings(workers=2)) as executor,
    ):
        patch.setattr(dask_executor, "_FETCH_SECONDS", 5.0)
        yield executor


@pytest.fixture()
def unlucky_workers():
    """A cluster of their own for those that die, with the little memory of a laptop with many cores."""
    with open_executor(ClusterSettings(workers=2, memory="614MB"), item_timeout_s=3.0) as executor:
        yield executor


@pytest.fixture(scope="module")
def impatient_workers():
    """The same, where one death is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(clusters._DASK_SETTINGS, "distributed.scheduler.allowed-failures", 0)
        with open_executor(ClusterSettings(workers=2, memory="614MB"), item_timeout_s=3.0) as executor:
            yield executor


def test_the_scheduler_does_not_unpack_what_goes_to_the_workers(workers):
    items = [Sealed() for _ in range(6)]
    done = list(workers.map(pid, items, lambda item: -1, batch_size=2))
    assert len(done) == 6 and os.getpid() not in {found for _, found in done}


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


def test_item_that_hangs_is_given_up(impatient_workers):
    items = list(range(1, 5))
    results = dict(impatient_workers.map(Square(hanging=(2,)), items, lost, 2))
    assert results == {n: -2 if n == 2 else n * n for n in items}


def test_item_that_outgrows_its_worker_s_memory_is_given_up(monkeypatch):
    """In time that it has enough of: it is memory that ends it."""
    monkeypatch.setitem(clusters._DASK_SETTINGS, "distributed.scheduler.allowed-failures", 0)
    with open_executor(ClusterSettings(workers=1, memory="614MB"), item_timeout_s=120.0) as executor:
        assert dict(executor.map(Square(hungry=(2,)), [1, 2, 3], lost, 1)) == {1: 1, 2: -2, 3: 9}


def test_a_worker_whose_memory_is_nearly_full_works_on():
    """Dask would pause it, and with all workers paused a run waited for ever."""
    with open_executor(ClusterSettings(workers=1, memory="614MB", wait_s=10.0)) as executor:
        items = list(range(1, 9))
        assert dict(executor.map(Square(keeping=(2,)), items, lost, 1)) == {n: n * n for n in items}


def test_workers_killed_while_they_start_are_replaced(monkeypatch, caplog):
    monkeypatch.setattr(crew, "_LOOK_SECONDS", 0.5)
    killed: set[int] = set()
    others = {process.pid for process in psutil.Process().children()}

    def kill_the_first_two():
        while len(killed) < 2:
            for process in psutil.Process().children():
                with suppress(psutil.Error):
                    if process.pid not in others | killed and "spawn_main" in " ".join(process.cmdline()):
                        process.kill()
                        killed.add(process.pid)
            time.sleep(0.05)

    killer = threading.Thread(target=kill_the_first_two)
    killer.start()
    with open_executor(ClusterSettings(workers=2)) as executor:
        killer.join()
        deadline = time.monotonic() + 90
        while len(executor._client.nthreads()) < 2 and time.monotonic() < deadline:
            assert dict(executor.map(Square(), range(20), lost, 1)) == {n: n * n for n in range(20)}
            time.sleep(0.5)
        assert len(executor._client.nthreads()) == 2
    assert "Traceback" not in caplog.text


def test_nobody_else_can_speak_to_our_workers_and_nothing_listens_beyond_loopback(workers):
    address = workers._client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    with pytest.raises((OSError, TimeoutError)):
        Client(address.replace("tls", "tcp"), timeout=1, set_as_default=False)
    with pytest.raises((OSError, TimeoutError)):
        Client(address, timeout=1, set_as_default=False, security=Security.temporary())
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in processes for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert set(listening) == {"127.0.0.1"}


def test_workers_are_as_many_as_memory_bears():
    assert n_workers(None, 8_000_000_000) <= 3
    assert n_workers(None, 1_000_000_000) == 1
    assert n_workers(7, 1_000_000_000) == 7


def test_paused_workers_end_the_run_with_a_word_of_memory(impatient_workers, monkeypatch):
    workers = impatient_workers
    monkeypatch.setattr(crew, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(workers.crew, "_patience", crew.Patience(1.0, 0.5))
    paused = {"tcp://x": {"status": "paused", "nthreads": 1}, "tcp://y": {"status": "paused", "nthreads": 1}}
    monkeypatch.setattr(workers.crew, "_info", lambda: paused)
    with pytest.raises(RunError, match="all workers are paused, as their memory is full"):
        list(workers.map(Square(hanging=(1,)), [1], lost, 1))


def test_results_that_went_with_their_worker_are_computed_again(workers, monkeypatch):
    real, lost_once = dask_executor._results, []

    def first_never_comes(client, future):
        if not lost_once:
            lost_once.append(future.key)
            raise dask_executor._DoAgain
        return real(client, future)

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

    window = workers._window(dask_executor.pickle.dumps(dask_executor.Batch(Square(), 1.0)), endless(), most=6)
    done = [next(window) for _ in range(30)]
    assert len(done) == 30
    assert len(taken) <= 30 + 6
    window.close()


def test_dashboard_listens_on_loopback_only(workers):
    assert "127.0.0.1" in workers.description


@pytest.mark.parametrize("batch_size", [3, 100])
def test_table_does_not_depend_on_workers_or_batches(workers, config, whole, batch_size, monkeypatch):
    monkeypatch.setattr("batchvet.runtime.run.open_executor", lambda *_, **__: nullcontext(workers))
    run(config.model_copy(update={"batch_size": batch_size}))
    assert same_tables(config.output, whole)


def test_running_scheduler_is_used_with_its_certificates_and_stays(config, whole, tmp_path):
    made = Security.temporary()
    tls = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    for name, content in tls.items():
        (tmp_path / f"{name}.pem").write_text(content)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", security=made
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        settings = ClusterSettings(scheduler=address, tls={name: tmp_path / f"{name}.pem" for name in tls})
        run(config.model_copy(update={"batch_size": 1, "cluster": settings}))
        with Client(address, security=made) as client:
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
    def late(cluster, timeout=None):
        close(cluster, timeout)
        raise TimeoutError("a nanny waits for a worker that it has killed")

    close = LocalCluster.close
    monkeypatch.setattr(LocalCluster, "close", late)
    with open_executor(ClusterSettings(workers=1)) as executor:
        done = list(executor.map(Square(), [2, 3], lost, 1))
    assert done == [(2, 4), (3, 9)]


def test_worker_that_does_not_hear_of_the_end_is_ended_by_force(monkeypatch):
    async def never(nanny, *_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(local_cluster, "_SECONDS_TO_END", 2.0)
    with open_executor(ClusterSettings(workers=1)) as executor:
        assert list(executor.map(Square(), [2], lost, 1)) == [(2, 4)]
        (worker,) = executor._client.run(os.getpid).values()
        monkeypatch.setattr(Nanny, "close", never)
        begun = time.monotonic()
    assert time.monotonic() - begun < 20
    psutil.Process(worker).wait(10) if psutil.pid_exists(worker) else None
    assert not psutil.pid_exists(worker)
