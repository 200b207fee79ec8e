"""`batchvet check --apply`: what the run's own check found is what the next judging is made with, without pixels."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from batchvet.api import open_run, run
from batchvet.errors import RunError
from batchvet.results import self_check
from batchvet.results.run_calibration import apply_scale, calibration_of
from batchvet.runtime.status import next_command, run_status
from batchvet.science.calibration import DEFAULT
from batchvet.science.self_check import RayleighScale

COVARIANCE = ["offset_cov_ra_ra", "offset_cov_ra_dec", "offset_cov_dec_dec"]


@pytest.fixture
def found(monkeypatch):
    """A check that finds a scale of 1.5 of 400 offsets."""
    scale = RayleighScale(400, 1.5, 0.03, 0.05, 1e-9)
    monkeypatch.setattr(self_check, "sure_scale", lambda run: scale)
    return scale


def test_errors_are_scaled_by_the_next_judging_which_asks_for_no_pixels(config, found):
    before = run(config)
    applied = before.check(apply=True)["applied"]
    assert applied["version"] == f"{DEFAULT.version}+errors*1.500" and applied["n_offsets"] == 400
    status = run_status(config.output)  # of the configuration with its sources
    assert not status["finished"] and status["judged_otherwise"] == len(before.candidates)
    assert next_command(status).startswith("next: batchvet run")
    shutil.rmtree(config.cache)
    rows_before = before.sectors
    after = run(config.model_copy(update={"sources": ()}))
    assert after.is_finished and after.sectors.equals(rows_before)
    assert set(after.candidates["calibration_version"]) == {applied["version"]}
    used = before.candidates["n_sectors_used"] > 0
    scaled, unscaled = after.candidates.loc[used, COVARIANCE], before.candidates.loc[used, COVARIANCE]
    np.testing.assert_allclose(scaled.to_numpy(), 1.5**2 * unscaled.to_numpy(), rtol=1e-9)
    assert run_status(config.output)["judged_otherwise"] == 0


def test_a_scale_counts_once_and_the_next_one_is_multiplied_with_it(config, found):
    apply_scale(run(config))
    with pytest.raises(RunError, match=r"judged with calibration .* check again"):
        apply_scale(open_run(config.output))
    again = apply_scale(run(config))
    assert again["error_scale"] == 2.25 and again["before"].endswith("*1.500")


def test_few_candidates_are_no_calibration(config, monkeypatch, found):
    monkeypatch.setattr(self_check, "sure_scale", lambda run: replace(found, n=49))
    with pytest.raises(RunError, match="49 sure on-target candidates do not tell a scale"):
        apply_scale(run(config))
    assert calibration_of(config.output) is DEFAULT


@pytest.mark.parametrize("content", ["", "{}", '{"error_scale": "x"}', '{"error_scale": 0}', '{"error_scale": NaN}'])
def test_a_damaged_calibration_is_refused_by_name(tmp_path, content):
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(RunError, match=r"calibration\.json: "):
        calibration_of(tmp_path)


def test_without_the_file_all_is_as_before(config, found):
    before = run(config).candidates
    apply_scale(open_run(config.output))
    run(config)
    (config.output / "calibration.json").unlink()
    assert run(config).candidates.equals(before)
    json.dumps(open_run(config.output).check())
