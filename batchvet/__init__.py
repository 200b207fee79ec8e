"""batchvet: whose dip is it? Pixel-level vetting of TESS Objects of Interest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Run", "RunConfig", "open_run", "run", "vet"]

if TYPE_CHECKING:
    from batchvet.results.reader import Run, open_run
    from batchvet.runtime.config import RunConfig
    from batchvet.runtime.run import run
    from batchvet.runtime.vet import vet

_HOMES = {
    "Run": "batchvet.results.reader",
    "RunConfig": "batchvet.runtime.config",
    "open_run": "batchvet.results.reader",
    "run": "batchvet.runtime.run",
    "vet": "batchvet.runtime.vet",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that a worker imports only what it needs."""
    if name not in _HOMES:
        raise AttributeError(f"module 'batchvet' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
