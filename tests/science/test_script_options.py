"""What the scripts are asked for is done or refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--matrix", "--pointing", "rough", "--snr", "7", "9"], "--snr, --pointing: the rows of --matrix have"),
        (["--matrix", "--sectors", "5"], "--sectors"),
        (["--matrix", "--compare"], "--compare"),
        (["--rows", "drift"], "--rows goes with --matrix"),
    ],
)
def test_options_that_would_be_ignored_are_refused(scripts, arguments, said):
    command = [sys.executable, str(scripts / "score_localization.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and said in done.stderr


def test_without_a_dip_there_is_no_calibration_error(scripts):
    from localization_figures import expected_calibration_error

    assert math.isnan(expected_calibration_error(np.array([]), np.array([])))


def test_a_calibration_says_of_how_many_scenes_it_was_made(scripts, monkeypatch, tmp_path):
    import make_calibration

    rows = [SimpleNamespace(name="a", share=0.5, options={}), SimpleNamespace(name="b", share=1.0, options={})]
    monkeypatch.setattr(make_calibration, "rows_named", lambda names: rows)
    monkeypatch.setattr(make_calibration, "_judged", lambda options, rows: {})
    arguments = ["--scenes", "101", "--rows", "a", "b", "--version", "1", "--output", str(tmp_path / "c.json")]
    monkeypatch.setattr(sys, "argv", ["make_calibration.py", *arguments, "--prf-directory", str(tmp_path)])
    make_calibration.main()
    assert json.loads((tmp_path / "c.json").read_text())["made_from"]["scenes"]["official"] == 51 + 101
