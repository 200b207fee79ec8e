"""A small simulated survey, of a name of its own: `whole` is made of the other one. And a finished run of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import program

from batchvet.simulate import simulate


@pytest.fixture(scope="session")
def cli_survey(tmp_path_factory):
    made = simulate(tmp_path_factory.mktemp("cli") / "sim", targets=3, sectors=2, seed=11)
    config = made.config.read_text().replace("cluster: {workers: 2}", "cluster: {serial: true}")
    made.config.write_text(config)
    return made


@pytest.fixture(scope="session")
def finished(cli_survey) -> Path:
    done = program("run", cli_survey.config)
    assert done.returncode == 0, done.stderr
    return cli_survey.directory / "run"
