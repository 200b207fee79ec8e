"""A hung piece of work ends its process, which is then replaced: one timer a process, wound up for each piece."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_seconds = 0.0  #: of the timer that runs in this process; 0: none does
_nowhere: IO[str] | None = None  #: where the timer writes


@contextmanager
def watched(seconds: float) -> Iterator[None]:
    """End this process when what is done within takes so long, or the last piece of it since :func:`next_piece`."""
    global _seconds, _nowhere
    with open(os.devnull, "w") as _nowhere:
        _seconds = seconds
        next_piece()
        try:
            yield
        finally:
            _seconds = 0.0
            faulthandler.cancel_dump_traceback_later()


def next_piece() -> None:
    """Another piece of the work begins: it has all of the time."""
    if _seconds and _nowhere is not None:
        faulthandler.dump_traceback_later(_seconds, exit=True, file=_nowhere)
