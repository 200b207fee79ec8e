"""What is asked of the file system, step by step, and the step at which it refuses, or the process dies."""

from __future__ import annotations

import os

import pytest

STEPS = ("replace", "rename", "link", "unlink", "mkdir", "rmdir", "fsync", "open")


class Stopping:
    """Counts what is asked of the file system; the chosen step fails, once or with all that follow."""

    def __init__(self, at: int, error: BaseException, *, once: bool) -> None:
        self.at, self.error, self.once, self.steps = at, error, once, 0

    def wrap(self, name: str, original):
        def step(*arguments, **options):
            self.steps += 1
            if self.steps == self.at or (self.steps > self.at and not self.once):
                raise self.error
            return original(*arguments, **options)

        return step

    def patch(self, patcher: pytest.MonkeyPatch) -> None:
        for name in STEPS:
            patcher.setattr(os, name, self.wrap(name, getattr(os, name)))
