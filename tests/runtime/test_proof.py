"""A worker proves itself before it gets work, and what is wrong with it is said with what to do."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from batchvet.pixels.cache import Cache
from batchvet.runtime import worker
from batchvet.runtime.fill import ingest
from batchvet.runtime.plan import make_plan
from batchvet.runtime.proof import Asked, asked_of, fault_of_worker, versions
from batchvet.runtime.worker import VetTask


def process(n_threads: int = 1, memory: float = 2e9) -> SimpleNamespace:
    """What Dask says of a worker."""
    state, manager = SimpleNamespace(nthreads=n_threads), SimpleNamespace(memory_limit=int(memory))
    return SimpleNamespace(state=state, memory_manager=manager)


def test_a_worker_like_the_client_is_fit():
    assert fault_of_worker(Asked(), process()) == ""


@pytest.mark.parametrize("name", ["batchvet", "numpy", "python"])
def test_other_versions_are_named(name):
    other = tuple((n, "0.0" if n == name else v) for n, v in versions())
    said = fault_of_worker(Asked(versions=other), process())
    assert said == f"has {name} {dict(versions())[name]}, the client 0.0: install the same there"


def test_several_threads_are_refused_as_a_hung_task_ends_its_whole_process():
    assert "--nthreads 1" in fault_of_worker(Asked(), process(n_threads=4))


def test_memory_must_be_enough_for_the_largest_stamp():
    assert fault_of_worker(Asked(largest_file=50_000_000), process(memory=614e6)) == ""
    said = fault_of_worker(Asked(largest_file=290_000_000), process(memory=614e6))
    assert "has 614 MB of memory, and the largest stamp needs about 1220 MB" in said and "cluster.memory" in said


def test_a_place_that_is_not_there_and_a_scratch_directory_without_room_are_named(tmp_path, monkeypatch):
    assert f"does not see {tmp_path / 'prf'}" in fault_of_worker(Asked(places=(str(tmp_path / "prf"),)))

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert "cannot write to its scratch directory (No space left on device)" in fault_of_worker(Asked())


def test_the_cache_is_read_back(config, tmp_path):
    ingest(config)
    asked = asked_of(make_plan(config).tasks, config.cache, config.cache, [])
    assert asked.entry is not None and asked.largest_entry > 0
    assert fault_of_worker(asked) == ""
    assert "does not see the cache" in fault_of_worker(replace(asked, cache=str(tmp_path / "elsewhere")))
    assert "sees another cache" in fault_of_worker(replace(asked, sha256="0" * 64))


def test_an_entry_that_was_replaced_since_the_plan_is_a_passing_fault_and_no_row_of_other_pixels(config):
    ingest(config)
    task = make_plan(config).tasks[0]
    cache = Cache(config.cache)
    stamp = cache.read(task.pixels.entry)
    cache.write(replace(stamp, sha256="f" * 64), replace=True)
    (row, *_) = VetTask(config.cache, config.vet_settings())(task)
    assert (row.sector["status"], row.sector["error_kind"]) == ("error", "changed")
    assert "was replaced by other pixels since the run was planned" in row.sector["error"]
    assert not worker.is_in_doubt([row])
