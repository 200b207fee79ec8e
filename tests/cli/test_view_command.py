"""`batchvet view` on the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from urllib.request import urlopen

from command_line import batchvet


def test_it_serves_until_it_is_ended(whole):
    process = subprocess.Popen(
        [sys.executable, "-m", "batchvet", "view", str(whole)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    with process:
        address = process.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urlopen(address, timeout=120) as page:
            assert b"Is the run sound?" in page.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0 and process.stderr.read() == ""


def test_what_is_no_run_is_said(tmp_path):
    done = batchvet("view", tmp_path)
    assert done.returncode == 2 and "not a batchvet run" in done.stderr
