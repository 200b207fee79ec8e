"""Where the real pixels are, and the fixtures that more than one folder uses."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from batchvet.api import run
from batchvet.runtime.config import RunConfig
from batchvet.simulate import SimulatedSurvey, simulate

ROOT = Path(__file__).resolve().parent.parent
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a suite in the background: its children would ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(os.environ.get("BATCHVET_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real TESS pixels and PRF files; a test that needs it is marked ``real_data``."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("real pixels not found: put them in ../shared/data or set BATCHVET_SHARED")
    return data


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


@pytest.fixture
def done_config(config: RunConfig, whole: Path) -> RunConfig:
    """The same when all of it is done: `whole` and its cache, copied; to run it again takes no time."""
    shutil.copytree(whole.parent / "cache", config.cache)
    shutil.copytree(whole, config.output)
    return config


def serial_config(survey: SimulatedSurvey, directory: Path) -> RunConfig:
    return RunConfig(
        catalog=survey.catalog,
        neighbours=survey.neighbours,
        cache=str(directory / "cache"),
        sources=[{"directory": survey.directory / "tpfs"}],
        cluster={"serial": True},
        output=directory / "run",
    )
