"""Whatever happened before, a run ends with the tables of one that nothing disturbed, and says what it does again."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from small_world import Key, State, World, made_world, measured_once, rows_of
from stopping import Stopping

from batchvet.api import open_run, run
from batchvet.errors import BatchvetError, RunError
from batchvet.pixels.sources import Asking
from batchvet.results.compaction import compact, recover
from batchvet.results.directory import sole_writer
from batchvet.runtime.fill import ingest
from batchvet.runtime.plan import make_plan
from batchvet.runtime.progress import Silent
from batchvet.runtime.status import run_status

STOPS = {
    "killed": (KeyboardInterrupt(), False),
    "interrupted": (KeyboardInterrupt(), True),
    "full for a moment": (OSError(errno.ENOSPC, "No space left on device"), True),
    "full": (OSError(errno.ENOSPC, "No space left on device"), False),
    "read only": (OSError(errno.EACCES, "Permission denied"), False),
}
DAMAGES = ("flip", "cut", "empty", "zero", "delete")
TABLES = ("sectors", "images", "evidence", "hosts", "candidates.parquet", "plan.json", "_SUCCESS.json")
MOST_REPAIRS = 8
numbers = itertools.count()


def damage(path: Path, how: str, where: float) -> None:
    """Spoil a file."""
    content = bytearray(path.read_bytes())
    at = min(int(where * len(content)), max(len(content) - 1, 0))
    if how == "delete":
        path.unlink()
        return
    if how == "flip" and content:
        content[at] ^= 1 << (at % 8)
    if how == "cut":
        content = content[:at]
    if how == "empty":
        content = bytearray()
    if how == "zero":
        content[at : at + 64] = bytes(len(content[at : at + 64]))
    path.write_bytes(content)


class SecondClient(Silent):
    """Tries to run too, whenever the first says something."""

    def __init__(self, config) -> None:
        self.config, self.refused = config, 0

    def advance(self, n=1, failed=0, n_bytes=0):
        with pytest.raises(RunError, match=f"another batchvet run is writing here .process {os.getpid()} on "):
            run(self.config)
        self.refused += 1


class History(RuleBasedStateMachine):
    """Things that happen to a run, against a dictionary of what each row must say."""

    world: World
    asked: list[Key]

    @initialize()
    def begin(self) -> None:
        self.place = self.world.directory / f"history-{next(numbers)}"
        self.state = State()
        self.spoilt_entries: set[tuple[int, int]] = set()
        self.spoilt_tables = False
        self.read_from: list[tuple[Path, int]] | None = None
        self.read: dict[Key, str] = {}
        self.config = self.world.lay_out(self.state, self.place)

    def change(self, state: State) -> None:
        self.state = state
        self.config = self.world.lay_out(state, self.place)

    # what people do between two runs

    @rule(n=st.integers(0, 3))
    def another_delivery_of_a_file(self, n: int) -> None:
        self.change(self.state.deliver(n))

    @rule(which=st.sampled_from(["all", "longer", "fewer"]))
    def another_catalogue(self, which: str) -> None:
        self.change(State(self.state.files, which, self.state.quality_bitmask, self.state.prior_target))

    @rule(bitmask=st.sampled_from([17087, 0]), prior=st.sampled_from([0.45, 0.05]))
    def another_setting(self, bitmask: int, prior: float) -> None:
        self.change(State(self.state.files, self.state.catalogue, bitmask, prior))

    @rule(n=st.integers(0, 3), how=st.sampled_from(DAMAGES), where=st.floats(0, 0.999))
    def a_cache_entry_is_damaged(self, n: int, how: str, where: float) -> None:
        tic, sector = self.world.keys[n]
        if not self.entries(tic, sector):
            self.ingest()
        for entry in self.entries(tic, sector):
            damage(entry, how, where)
            self.spoilt_entries.add((tic, sector))

    def entries(self, tic: int, sector: int) -> list[Path]:
        return list(self.place.glob(f"cache/s{sector:04d}/*{tic}-*.zarr.zip"))

    @rule()
    def damaged_entries_are_deleted(self) -> None:
        """As their rows say."""
        for tic, sector in self.spoilt_entries:
            for entry in self.entries(tic, sector):
                entry.unlink()
        self.spoilt_entries.clear()

    @rule(name=st.sampled_from(TABLES), how=st.sampled_from(DAMAGES), where=st.floats(0, 0.999), n=st.integers(0, 9))
    def a_file_of_the_run_is_damaged(self, name: str, how: str, where: float, n: int) -> None:
        path = self.config.output / name
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path] * path.exists()
        if files and not (name == "plan.json" and how in ("flip", "zero")):
            damage(files[n % len(files)], how, where)
            self.spoilt_tables = True

    @precondition(lambda self: not self.spoilt_tables)
    @rule()
    def tables_are_merged(self) -> None:
        if self.config.output.is_dir():
            before = rows_of(self.config.output)
            recover(self.config.output)
            compact(self.config.output, {})
            assert rows_of(self.config.output) == before
            (self.config.output / "_SUCCESS.json").unlink(missing_ok=True)  # it names files that are gone

    # what runs do

    @rule()
    def ingest(self) -> None:
        assert not ingest(self.config)["failed"]

    @rule(at=st.integers(1, 250), how=st.sampled_from(sorted(STOPS)), only_ingest=st.booleans())
    def a_run_is_stopped(self, at: int, how: str, only_ingest: bool) -> None:
        self.world.whole(self.state)
        error, once = STOPS[how]
        with pytest.MonkeyPatch.context() as patch:
            Stopping(at, error, once=once).patch(patch)
            try:
                (ingest if only_ingest else run)(self.config)
            except KeyboardInterrupt:
                assert isinstance(error, KeyboardInterrupt)
            except (BatchvetError, OSError) as said:  # an OSError is one line of the command line
                assert isinstance(error, OSError) or self.spoilt_tables, said

    @rule()
    def two_clients_run(self) -> None:
        second = SecondClient(self.config)
        self.run_to_its_end(second)

    @rule()
    def a_run_ends(self) -> None:
        self.run_to_its_end(Silent())

    def run_to_its_end(self, progress: Silent) -> None:
        whole = self.world.whole(self.state)
        expected = None if self.spoilt_tables or self.spoilt_entries else self.check_plan()
        self.asked.clear()
        for _ in range(MOST_REPAIRS):
            try:
                run(self.config, progress=progress)
                break
            except RunError as said:  # and what it says is done
                assert self.spoilt_tables, said
                Path(re.match(r"(\S+): .*delete it and run again", str(said))[1]).unlink()
        else:
            raise AssertionError("what errors say does not mend it")
        self.spoilt_tables = False
        assert expected is None or set(self.asked) == expected
        self.check_end(whole)

    def check_plan(self) -> set[Key]:
        """See that the plan explains what it does again; returns which rows it will make."""
        found = self.found() if self.config.output.is_dir() else {}
        wanted = self.world.wanted(self.state)
        plan = make_plan(self.config, asking=Asking(ask=False))
        offered = {key for task in plan.to_ingest() for key in task.keys}
        expected = {}
        for key in found.keys() & wanted:
            then, now = self.made_from(key, found[key]), self.world.stands_on(self.state, key)
            why = plan.rows.stale.get(key, ())
            if then is None:  # an error of the place: it is tried again, whatever else has changed
                assert "a passing fault" in why
                expected[key] = why
            elif then != now:
                words = zip(("pixels", "catalogue", "settings"), then, now, strict=True)
                expected[key] = tuple(word for word, a, b in words if a != b)
                if key in offered:  # its pixels are not in the cache as they are on offer: that is said too
                    expected[key] = tuple(dict.fromkeys(("pixels", *expected[key])))
        assert dict(plan.rows.stale) == expected
        assert plan.rows.orphans == found.keys() - wanted
        to_do = {key for task in plan.to_do() for key in task.keys}
        assert to_do == (wanted - found.keys()) | expected.keys()
        return to_do

    def check_end(self, whole: Path) -> None:
        """See that the tables are those of a run that nothing disturbed, but for what damaged entries cost."""
        done, found, expected = open_run(self.config.output), self.found(), rows_of(whole)
        assert done.is_finished
        wrong = {key for key in expected if found.get(key) != expected[key]}
        tics = self.world.catalogues["all"].set_index("toi")["tic"]
        assert {(int(tics[toi]), sector) for toi, sector in wrong} <= self.spoilt_entries
        names = pd.read_parquet(self.config.output / "sectors")[["toi", "sector"]]  # as anybody reads it
        assert sorted(map(tuple, names.to_numpy().tolist())) == sorted(expected)
        if not wrong:
            for table in ("candidates.parquet", "hosts"):
                ours, theirs = (pq.read_table(run / table).to_pylist() for run in (self.config.output, whole))
                assert repr(ours) == repr(theirs)
            status = run_status(self.config.output)
            assert (status["finished"], status["stale"], status["rows_to_do"]) == (True, {}, 0)

    def made_from(self, key: Key, content: str) -> tuple[str, str, int] | None:
        """What a row that is in the tables was made from; None when it says that its entry cannot be read."""
        for (name, *stood_on), said in self.world.rows.items():
            if (name, said) == (key, content):
                return tuple(stood_on)
        assert re.search(r"'error_kind': '(cache|storage|changed)'", content), content
        return None

    def found(self) -> dict[Key, str]:
        """What the tables say; read again when a file of theirs is another."""
        files = sorted(self.config.output.glob("[!.]*/part-*")) + sorted(self.config.output.glob(".tables*/**/*"))
        stands_on = [(path, path.stat().st_mtime_ns) for path in (*files, *self.config.output.glob(".tables.json"))]
        if stands_on != self.read_from:
            self.read_from, self.read = stands_on, rows_of(self.config.output)
        return self.read

    @invariant()
    def every_row_is_what_it_must_be(self) -> None:
        if hasattr(self, "config") and self.config.output.is_dir() and not self.spoilt_tables:
            for key, content in self.found().items():
                self.made_from(key, content)
            with sole_writer(self.config.output):  # nobody holds it
                pass

    def teardown(self) -> None:
        if hasattr(self, "config"):
            self.damaged_entries_are_deleted()
            self.run_to_its_end(Silent())
            assert rows_of(self.config.output) == rows_of(self.world.whole(self.state))
            shutil.rmtree(self.place)


def test_any_history_ends_with_the_tables_of_an_undisturbed_run(survey, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no power is cut here
    with measured_once() as asked:
        History.world, History.asked = made_world(survey, tmp_path), asked
        run_state_machine_as_test(
            History,
            settings=settings(
                max_examples=int(os.environ.get("BATCHVET_HISTORIES", "12")),
                stateful_step_count=10,
                deadline=None,
                derandomize=not os.environ.get("BATCHVET_HISTORIES"),
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate] if os.environ.get("NOSHRINK") else [Phase.generate, Phase.shrink],
            ),
        )
