"""The command line: ``batchvet …`` and ``python -m batchvet …``."""

from batchvet.cli.frame import main

__all__ = ["main"]
