"""How many threads a measurement may use."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_thread() -> threadpool_limits:
    """Hold BLAS to one thread: workers share the cores, and the last bit must not depend on how many there are."""
    return threadpool_limits(limits=1)
