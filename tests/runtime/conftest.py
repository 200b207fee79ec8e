"""A small simulated survey, and configurations of it in fresh directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchvet.runtime.config import RunConfig
from batchvet.runtime.run import run
from batchvet.simulate import SimulatedSurvey, simulate


@pytest.fixture(scope="session")
def survey(tmp_path_factory) -> SimulatedSurvey:
    """Three targets in two sectors, 30-minute cadence."""
    return simulate(tmp_path_factory.mktemp("survey") / "sim", targets=3, sectors=2, seed=7)


@pytest.fixture(scope="session")
def whole(survey: SimulatedSurvey, tmp_path_factory) -> Path:
    """Output of a serial run of the survey that nothing disturbed: what every other one is held against."""
    directory = tmp_path_factory.mktemp("whole")
    run(serial_config(survey, directory))
    return directory / "run"


@pytest.fixture
def config(survey: SimulatedSurvey, tmp_path: Path) -> RunConfig:
    """A serial run of the survey with its own cache and output."""
    return serial_config(survey, tmp_path)


def serial_config(survey: SimulatedSurvey, directory: Path) -> RunConfig:
    return RunConfig(
        catalog=survey.catalog,
        neighbours=survey.neighbours,
        cache=str(directory / "cache"),
        sources=[{"directory": survey.directory / "tpfs"}],
        cluster={"serial": True},
        output=directory / "run",
    )
