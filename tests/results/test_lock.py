"""One writer a directory: the second is told who the first is, and a lock that nobody holds is none."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys

import pytest

from batchvet.errors import RunError
from batchvet.results.directory import sole_writer

HOLD = """
import sys, time
from pathlib import Path
from batchvet.results.directory import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_names_the_first_and_a_killed_one_holds_nothing(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        who = rf"process {first.pid} on {socket.gethostname()} since 2"
        with pytest.raises(RunError, match=who), sole_writer(tmp_path):
            pass
        first.kill()
        first.wait()
    with sole_writer(tmp_path):
        pass


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without locks."""

    def refusing(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refusing)


@pytest.mark.parametrize(
    ("host", "process", "held"),
    [(socket.gethostname(), os.getpid(), True), (socket.gethostname(), 2**22 + 1, False), ("node7", 1, True)],
    ids=["this process", "no process", "another machine"],
)
def test_without_locks_of_the_file_system_what_is_written_counts(tmp_path, no_locks, host, process, held):
    (tmp_path / ".lock").write_text(json.dumps({"host": host, "process": process, "since": "2026-01-01"}))
    if held:
        with pytest.raises(RunError, match=rf"process {process} on {host}.*delete .*\.lock"), sole_writer(tmp_path):
            pass
    else:
        with sole_writer(tmp_path):
            pass
        with sole_writer(tmp_path):
            pass
