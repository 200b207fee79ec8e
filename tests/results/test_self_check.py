"""`batchvet check`: a run whose errors are off says by how much, and in which cameras."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from batchvet.results.reader import RunResults
from batchvet.results.self_check import check_run, sure_candidates


def made_run(scale: float, *, of_camera_2: float = 1.0, n: int = 600) -> RunResults:
    """Sure on-target candidates, a sector in each of two cameras."""
    rng = np.random.default_rng(1)
    run = RunResults.__new__(RunResults)
    toi = [f"{number}.01" for number in range(n)]
    run.__dict__["candidates"] = pd.DataFrame(
        {
            "toi": toi,
            "flag_names": [["EMPIRICAL_PRF"]] * n,
            "offset_cov_ra_ra": 1.0,
            "offset_cov_ra_dec": 0.0,
            "offset_cov_dec_dec": 0.64,
            "calibration_version": "2026.11.3",
            "tmag": rng.uniform(7, 13, n),
            "significance_sigma": rng.rayleigh(scale, n),
            "sector_consistency_p": rng.random(n),
        }
    )
    run.__dict__["hosts"] = pd.DataFrame(
        {
            "toi": np.repeat(toi, 2),
            "is_target": np.tile([True, False], n),
            "depth_required": np.tile([0.01, 0.2], n),
            "separation_arcsec": np.tile([0.0, 40.0], n),
        }
    )
    run.__dict__["sectors"] = pd.DataFrame(
        {
            "toi": np.repeat(toi, 2),
            "sector": 1,
            "camera": np.tile([1, 2], n),
            "ccd": 3,
            "difference_snr": rng.uniform(6, 60, 2 * n),
            "significance_sigma": rng.rayleigh(1.0, 2 * n) * np.tile([1.0, of_camera_2], n),
            "prf_source": "spoc",
            "zero_point_col": np.tile([0.0, 0.3], n),
            "zero_point_row": 0.0,
            "status": "ok",
            "error_kind": "",
            "seconds": 0.1,
        }
    )
    return run


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_scale_of_all_errors_is_found_to_5_percent(scale):
    found = check_run(made_run(scale))
    assert found["scale"]["scale"] == pytest.approx(scale, rel=0.05)
    told = any("Errors of the joint offsets" in words for words in found["words"])
    assert told == (scale != 1.0)


def test_who_is_sure_is_told_by_the_surroundings_and_not_by_the_offset():
    """A blend whose dip is 6 errors off is nobody's; a star within 10 errors that could have the dip makes unsure."""
    run = made_run(1.0)
    assert len(sure_candidates(run)) == 600
    run.hosts.loc[1, "separation_arcsec"] = 9.9  # of the first candidate, whose errors reach to 10"
    run.hosts.loc[3, ["separation_arcsec", "depth_required"]] = 9.9, 1.2  # cannot have the second's
    run.candidates.loc[2, "significance_sigma"] = 6.0
    run.candidates.at[3, "flag_names"] = ["NO_NEIGHBOUR_TABLE"]
    run.candidates.at[4, "flag_names"] = ["SECTORS_INCONSISTENT"]  # as where errors are too small
    assert sorted(set(run.candidates["toi"]) - set(sure_candidates(run)["toi"])) == ["0.01", "2.01", "3.01"]


def test_what_is_off_in_one_camera_is_told_by_camera():
    words = " ".join(check_run(made_run(1.0, of_camera_2=1.5))["words"])
    assert "camera 2: honest errors are 1.5" in words and "camera 1:" not in words
    assert "Stars stand 0.30 pixels off the WCS in sector 1, camera 2, CCD 3" in words


def test_a_run_of_few_candidates_says_that_they_are_few(whole):
    found = check_run(RunResults(whole))
    assert "too few" in found["words"][0]
    json.dumps(found)
