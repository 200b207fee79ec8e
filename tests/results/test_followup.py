"""`batchvet followup`: the stars that are not cleared, at each coming dip."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.api import open_run
from batchvet.errors import ConfigError, RunError
from batchvet.results.followup import COLUMNS, followup


def test_every_coming_dip_and_every_star_that_is_not_cleared_is_listed(whole):
    run = open_run(whole)
    listed = followup(run, "2027-03-01", 30)
    assert tuple(listed.columns) == COLUMNS and listed["mid_time_bjd_tdb"].is_monotonic_increasing
    for row in run.candidates.to_dict("records"):
        mine = listed[listed["toi"] == row["toi"]]
        first = 2461465.5 + 69.184 / 86400  # 2027 March 1, UTC, as TDB
        n_dips = sum(
            first <= 2457000 + row["t0_btjd"] + n * row["period_days"] <= first + 30
            for n in (
                range(int(3000 / row["period_days"]), int(6000 / row["period_days"])) if row["period_days"] else [0]
            )
        )
        assert mine["epoch"].nunique() == n_dips
        stars = run.hosts[(run.hosts["toi"] == row["toi"]) & (run.hosts["word"] != "CLEARED")]
        assert set(mine["source_id"]) <= set(stars["source_id"])
        if len(mine):
            error = np.hypot(row["t0_err_days"], mine["epoch"].iloc[0] * row["period_err_days"]) * 1440
            assert mine["mid_time_error_minutes"].iloc[0] == pytest.approx(error)


def test_an_ephemeris_without_errors_has_no_error(whole):
    run = open_run(whole)
    run.candidates[["t0_err_days", "period_err_days"]] = 0.0
    listed = followup(run, "2027-03-01", 30)
    assert len(listed) and listed["mid_time_error_minutes"].isna().all()


def test_one_candidate_can_be_asked_for_and_mistakes_are_named(whole):
    run = open_run(whole)
    toi = run.candidates["toi"].iloc[0]
    assert set(followup(run, "2027-03-01", 60, [toi])["toi"]) <= {toi}
    with pytest.raises(RunError, match=r"no candidate '77\.01'"):
        followup(run, "2027-03-01", 60, ["77.01"])
    with pytest.raises(ConfigError, match="--from: 'soon' is not a date"):
        followup(run, "soon", 60)
    with pytest.raises(ConfigError, match="--days: 1e\\+09 is more than 3660"):  # else gigabytes of rows
        followup(run, "2027-03-01", 1e9)
    with pytest.raises(ConfigError, match="--days: -1 is not a positive number"):
        followup(run, "2027-03-01", -1)
