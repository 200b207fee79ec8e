"""What a command answers at once it answers without the libraries that it has no use for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_line import ENVIRONMENT, batchvet

#: Each takes a tenth of a second to a second to import.
HEAVY = {
    *("astropy", "astroquery", "dask", "distributed", "lightkurve", "matplotlib", "numcodecs", "pandas", "requests"),
    *("scipy", "yaml", "zarr"),
}
COMMAND = """
import sys
from batchvet.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
IN_WORDS = """
import sys
from batchvet.cli.candidate import print_candidate
from batchvet.results.reader import RunResults
print_candidate(RunResults(sys.argv[1]), sys.argv[2])
print(*sys.modules, file=sys.stderr)
"""


def loaded(program: str, *arguments: object) -> set[str]:
    """Names of all modules that are loaded when a program has done its work."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT, check=False)
    assert done.returncode == 0 and done.stdout, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.fixture
def toi(cli_survey) -> str:
    return str(cli_survey.catalog.read_text().splitlines()[1].split(",")[0])


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_waits_for_no_library(option):
    assert (HEAVY | {"numpy", "pyarrow", "rich"}) & loaded(COMMAND, option) == set()


def test_status_waits_for_what_a_plan_needs_and_no_more(finished):
    assert batchvet("status", finished).returncode == 0  # indexes of files are made anew
    assert HEAVY & loaded(COMMAND, "status", finished) == set()


def test_show_waits_for_the_tables_alone(finished, toi):
    assert (HEAVY | {"batchvet.runtime.config"}) & loaded(COMMAND, "show", finished, toi) == set()
    assert (HEAVY | {"batchvet.runtime.config"}) & loaded(IN_WORDS, finished, toi) == set()
