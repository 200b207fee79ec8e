"""Transits of which the data have one side or less: they give a position or words, nothing breaks."""

from __future__ import annotations

import numpy as np
import pytest
from made_stamps import made_stamp

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.joint import vet_candidate
from batchvet.science.localization import localize
from batchvet.science.timeline import Transits

START, HOUR = 1000.0, 1 / 24  # BTJD of a made stamp's first cadence


def located(ephemeris, **stamp):
    found = localize(made_stamp(ephemeris=ephemeris, **stamp), Transits(ephemeris))
    assert np.isfinite([found.offset_ra_arcsec, found.offset_dec_arcsec, found.offset_cov_ra_ra]).all()
    return found, vet_candidate([found.evidence])


@pytest.mark.parametrize(("hours", "cadence_s", "days"), [(24.0, 120.0, 8.0), (6.0, 20.0, 3.0)])
def test_dip_that_ends_within_the_first_bin_of_the_curves_is_located(hours, cadence_s, days):
    """Its last three or so cadences' worth: mid-transit lies farther before the first bin than the dip reaches."""
    end = 0.9 * hours * HOUR / 24  # a bin is a twelfth of the duration
    found, verdict = located(Ephemeris(0.0, START - 0.5 * hours * HOUR + end, hours), cadence_s=cadence_s, days=days)
    assert found.n_transits == 1
    assert "ONE_SIDED" in found.localization_flags
    assert verdict.verdict != "OFF_TARGET"


@pytest.mark.parametrize("beyond_hours", [0.5, 1.5])
def test_two_transits_cut_by_both_ends_of_the_data_are_located(beyond_hours):
    """Less than half of either is seen, and that is too little for the search of their time."""
    period = 12.0 + 2 * beyond_hours * HOUR
    found, verdict = located(Ephemeris(period, START - beyond_hours * HOUR, 6.0), days=12.0)
    assert found.n_transits == 2
    assert found.timing_offset_minutes == 0.0
    assert np.isinf(found.transit_oc_error_minutes).all()
    assert found.significance_sigma < 4.0
    assert verdict.verdict != "OFF_TARGET"
