"""Memory between this process and the system: kept while it is at work, given back when much of it is done."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import pyarrow as pa

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of mallopt's parameters, from GNU's malloc.h
_KEPT = 1 << 27  # bytes at most that are free and kept: a sector of 2-minute cadences needs 60 MB
_LARGEST_KEPT = 1 << 25  # bytes of a single piece


@cache
def keep() -> bool:
    """Let the C library keep what is freed for what comes next; whether it does: GNU's alone.

    Arrays of a sector come and go by the hundred. To fetch each from the system anew, page by page, takes a twentieth
    of the time; with the threshold that Dask gives its workers (``MALLOC_TRIM_THRESHOLD_``, 64 kB), a third.
    """
    set_option = _of_c_library("mallopt")
    return bool(set_option(_MMAP_THRESHOLD, _LARGEST_KEPT) and set_option(_TRIM_THRESHOLD, _KEPT))


def give_back() -> None:
    """Hand back what was freed: by Arrow's pool, and by the C library where that is GNU's."""
    pa.default_memory_pool().release_unused()
    _of_c_library("malloc_trim")(0)


@cache
def _of_c_library(name: str) -> Callable[..., int]:
    """A function of the C library; one that does nothing where it has none of that name."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):  # another C library
        return lambda *values: 0
    return found
