"""A client that dies at any file that it writes, half way or right after: the same command gives the same tables.

Where files only change places, `test_compaction` and `test_candidate_merge` stop it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from same_tables import same_tables
from small_world import measured_once
from stopping import Stopping

from batchvet.api import open_run, run
from batchvet.results import directory
from batchvet.runtime.fill import ingest

#: Files of a run in the order in which they are written.
FILES = (
    "plan.json",
    ".candidates/hosts/part-",
    ".candidates/part-",
    "images/part-",
    "evidence/part-",
    "sectors/part-",
    ".tables.json",
    ".candidates/new-",
    "_SUCCESS.json",
)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """What is measured once is known."""
    with measured_once() as asked:
        yield asked


class Dies:
    """Writes files until one of them, of which it writes a half, or all; from then on nothing works any more."""

    def __init__(self, run: Path, name: str, *, half: bool, patch: pytest.MonkeyPatch) -> None:
        self.beginning, self.half, self.patch, self.met = str(run / name), half, patch, False
        self.usual = directory.write_atomically
        patch.setattr(directory, "write_atomically", self.write)

    def write(self, path: Path, content: bytes) -> None:
        met = str(path).startswith(self.beginning)
        if met and self.half:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.0123456789abcdef").write_bytes(bytes(content)[: len(content) // 2])
        else:
            self.usual(path, content)
        if met:
            self.met = True
            Stopping(1, KeyboardInterrupt(), once=False).patch(self.patch)
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", FILES)
def test_a_client_that_dies_at_a_file_loses_nothing_and_the_next_one_mends_it(config, whole, monkeypatch, name):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    ingest(config)
    for half in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            dies = Dies(config.output, name, half=half, patch=patch)
            with pytest.raises(KeyboardInterrupt):
                run(config)
        assert dies.met
        assert not half or not (config.output / "_SUCCESS.json").exists()
    done = run(config)
    assert done.is_finished
    assert same_tables(config.output, whole)
    assert [path.name for path in config.output.rglob(".*")] == [".lock"]
    assert open_run(config.output).sectors.equals(done.sectors)
