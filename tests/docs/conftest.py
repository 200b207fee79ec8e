"""The demo's run, which the documentation's examples look at."""

from __future__ import annotations

from pathlib import Path

import pytest

import batchvet
from batchvet.sample import write_sample


@pytest.fixture(scope="session")
def demo_directory(tmp_path_factory) -> Path:
    """A directory in which ``runs/demo/run`` is the demo's run."""
    directory = tmp_path_factory.mktemp("examples")
    batchvet.run(write_sample(directory / "runs" / "demo"), executor="serial")
    return directory
