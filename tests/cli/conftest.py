"""A small simulated survey, and a finished run of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import program

from batchvet.simulate import simulate


@pytest.fixture(scope="session")
def survey(tmp_path_factory):
    made = simulate(tmp_path_factory.mktemp("cli") / "sim", targets=3, sectors=2, seed=11)
    config = made.config.read_text().replace("cluster: {workers: 2}", "cluster: {serial: true}")
    made.config.write_text(config)
    return made


@pytest.fixture(scope="session")
def finished(survey) -> Path:
    done = program("run", survey.config)
    assert done.returncode == 0, done.stderr
    return survey.directory / "run"
