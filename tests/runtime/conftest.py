"""A small simulated survey, and configurations of it in fresh directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchvet.runtime.config import RunConfig
from batchvet.simulate import SimulatedSurvey, simulate


@pytest.fixture(scope="session")
def survey(tmp_path_factory) -> SimulatedSurvey:
    """Five targets in two sectors, 30-minute cadence."""
    return simulate(tmp_path_factory.mktemp("survey") / "sim", targets=5, sectors=2, seed=7)


@pytest.fixture
def config(survey: SimulatedSurvey, tmp_path: Path) -> RunConfig:
    """A serial run of the survey with its own cache and output."""
    return RunConfig(
        catalog=survey.catalog,
        neighbours=survey.neighbours,
        cache=str(tmp_path / "cache"),
        sources=[{"directory": survey.directory / "tpfs"}],
        cluster={"serial": True},
        output=tmp_path / "run",
    )
