"""What stands on stdout: results, and nothing that a library writes past Python."""

from __future__ import annotations

import io
import os
import sys


def results_alone() -> None:
    """Keep stdout for what Python prints: what writes to its file descriptor (LAPACK does) goes to stderr from now on.

    Processes that are started later inherit that. Where stdout is not the process's own, nothing is done.
    """
    try:
        own = sys.__stdout__ is not None and sys.stdout is sys.__stdout__ and sys.__stdout__.fileno() == 1
        os.fstat(2)
    except (AttributeError, OSError, ValueError):  # no stdout, or no stderr to take it
        return
    if not own:
        return
    before = sys.stdout
    before.flush()
    results = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(results, "w")),
        encoding=before.encoding,
        errors=before.errors if before.encoding.lower().replace("-", "") == "utf8" else "replace",
        line_buffering=os.isatty(results),
    )
