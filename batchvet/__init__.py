"""batchvet: whose dip is it? Pixel-level vetting of TESS Objects of Interest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Run", "RunConfig", "open_run", "run", "vet"]

if TYPE_CHECKING:
    from batchvet.api import Run, RunConfig, open_run, run, vet


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that a worker imports only what it needs."""
    if name not in __all__:
        raise AttributeError(f"module 'batchvet' has no attribute {name!r}")
    return getattr(import_module("batchvet.api"), name)


def __dir__() -> list[str]:
    """What a person who types ``batchvet.`` is offered: the public names, whatever has been imported."""
    return [*__all__, "__version__"]
