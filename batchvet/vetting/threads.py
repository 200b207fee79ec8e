"""How many threads a measurement may use."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Hold BLAS to one thread: workers share the cores, and the last bit must not depend on how many there are."""
    limited: AbstractContextManager[object] = _libraries(len(sys.modules)).limit(limits=1)
    return limited


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> ThreadpoolController:
    """The libraries with threads that are loaded. Finding them takes 10 ms, so it is done again only when another
    module, which may have brought one along, was imported."""
    return ThreadpoolController()
