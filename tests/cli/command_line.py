"""The program as a test runs it: within this process, or as a process of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from batchvet.cli import frame, main

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def batchvet(*arguments: object) -> Done:
    """The program within this process: what starting Python anew for every command would only make slower."""
    argv, handlers = sys.argv, {number: signal.getsignal(number) for number in frame._ENDING}
    sys.argv = ["batchvet", *map(str, arguments)]
    output, errors = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Done(ended.value.code, output.getvalue(), errors.getvalue())


def program(*arguments: object, timeout: float = 240.0) -> subprocess.CompletedProcess[str]:
    """The program as a process of its own."""
    command = [sys.executable, "-m", "batchvet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT, check=False)
