"""How a process is set up while it measures: one thread, and memory at hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController

from batchvet.results.memory import keep


@contextmanager
def measuring() -> Iterator[None]:
    """Hold BLAS to one thread, as workers share the cores and the last bit must not depend on how many there are.

    And keep memory between one measurement and the next (:func:`.memory.keep`), from now on.
    """
    keep()
    with _libraries(len(sys.modules)).limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> ThreadpoolController:
    """The libraries with threads that are loaded. Finding them takes 10 ms, so it is done again only when another
    module, which may have brought one along, was imported."""
    return ThreadpoolController()
