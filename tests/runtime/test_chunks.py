"""Tasks travel several at a time, whole targets together; one that kills its worker costs the others nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

import pytest
from same_tables import same_tables

from batchvet.api import open_run, run
from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.errors import Problem
from batchvet.runtime import watchdog
from batchvet.runtime.chunks import Chunk, VetChunk, chunks
from batchvet.runtime.executors import SerialExecutor
from batchvet.runtime.tasks import Missing, Task
from batchvet.runtime.worker import VetTask
from batchvet.vetting.judge import Judge
from batchvet.vetting.process import measuring
from batchvet.vocabulary import ErrorKind


def tasks(sectors: dict[int, int]) -> list[Task]:
    """So many sectors of each target, two candidates each."""
    nothing = Missing(Problem(ErrorKind.MISSING_TPF, ""), "missing")
    return [
        Task(tic, sector, nothing, tuple(Candidate(f"{tic}.0{n}", tic, Ephemeris(3.0, 1500.0, 2.0)) for n in (1, 2)))
        for tic, n_sectors in sectors.items()
        for sector in range(1, n_sectors + 1)
    ]


def rows_of(planned: list[Task]):
    rows = Counter(task.tic for task in planned for _ in task.candidates)
    return rows.__getitem__


def test_targets_are_not_divided_and_those_that_are_whole_are_known():
    planned = tasks({1: 2, 2: 3, 3: 1, 4: 2})
    found = list(chunks(planned[1:], 4, rows_of(planned)))  # a row of the first target is done already
    assert [[task.tic for task in chunk.tasks] for chunk in found] == [[1, 2, 2, 2], [3, 4, 4]]
    assert [chunk.whole for chunk in found] == [{2}, {3, 4}]


@pytest.mark.parametrize("size", [1, 5, 24])
def test_every_task_travels_once_and_none_of_a_large_target_too_many(size):
    planned = tasks({1: 1, 2: 70, 3: 3})
    found = list(chunks(planned, size, rows_of(planned)))
    assert [task for chunk in found for task in chunk.tasks] == planned
    assert max(len(chunk.tasks) for chunk in found) <= 32
    assert not any(2 in chunk.whole for chunk in found)
    assert any(3 in chunk.whole for chunk in found)


class Deadly(SerialExecutor):
    """Workers die under every chunk with a certain task."""

    def __init__(self, tic: int, sector: int) -> None:
        self.name = (tic, sector)

    def map(self, work, items, lost, batch_size, doubtful=lambda result: False):
        for item in items:
            dies = self.name in {(task.tic, task.sector) for task in getattr(item, "tasks", ())}
            with measuring():
                result = lost(item) if dies else work(item)
            yield item, result


def test_a_task_that_kills_its_worker_is_a_row_and_its_mates_are_computed(config, whole, monkeypatch):
    rows = open_run(whole).sectors
    tic, sector = int(rows["tic"].iloc[0]), int(rows["sector"].iloc[0])

    @contextmanager
    def deadly(settings, **options):
        yield Deadly(tic, sector)

    monkeypatch.setattr("batchvet.runtime.run.open_executor", deadly)
    done = run(config.model_copy(update={"batch_size": 6}))
    killed = done.sectors["error_kind"] == "killed"
    assert set(zip(done.sectors.loc[killed, "tic"], done.sectors.loc[killed, "sector"], strict=True)) == {(tic, sector)}
    assert "cluster.memory" in done.sectors.loc[killed, "error"].iloc[0]
    assert done.is_finished and len(done.sectors) == len(rows)
    monkeypatch.undo()
    run(config, retry_failed=True)
    assert same_tables(config.output, whole)


class Forgetful(SerialExecutor):
    """A worker whose cache cannot be read at first."""

    def __init__(self, config) -> None:
        self.config = config

    def map(self, work, items, lost, batch_size, doubtful=lambda result: False):
        for item in items:
            with measuring():
                if hasattr(item, "tasks"):
                    blind = type(work)(type(work.vet)("/nowhere", work.vet.settings), work.judge)
                    assert doubtful(blind(item))
                result = work(item)
            assert not hasattr(item, "tasks") or not doubtful(result)
            yield item, result


def test_rows_that_fail_by_what_may_be_the_place_are_in_doubt_and_others_are_not(config, whole, monkeypatch):
    @contextmanager
    def forgetful(settings, **options):
        yield Forgetful(config)

    monkeypatch.setattr("batchvet.runtime.run.open_executor", forgetful)
    run(config)
    assert same_tables(config.output, whole)


def test_each_task_of_a_chunk_and_each_candidate_has_all_of_the_time(config, monkeypatch):
    wound_up: list[float] = []
    monkeypatch.setattr(
        watchdog.faulthandler, "dump_traceback_later", lambda seconds, **options: wound_up.append(seconds)
    )
    several = tuple(tasks({7: 3, 8: 2}))
    work = VetChunk(VetTask("/nowhere", config.vet_settings()), Judge())
    with watchdog.watched(5.0):
        made = work(Chunk(several, frozenset({7})))
    assert made.rows.tables["sectors"].num_rows == 10 and made.candidates.candidates.num_rows == 2
    assert wound_up == [5.0] * (1 + len(several) + 2)
