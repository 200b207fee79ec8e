"""Which cadences see the transits of the target's other planets."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.timeline import SectorTimeline

EXPOSURE = 120 / 86400
PERIOD, DURATION_HOURS, PERIOD_ERROR = 3.0, 3.0, 1e-4


def timeline(time):
    return SectorTimeline(time, np.isfinite(time), np.zeros(time.size, dtype=np.int32), EXPOSURE)


def sector(start):
    """Times of 27 days: nine periods."""
    return start + np.arange(round(27 / EXPOSURE)) * EXPOSURE


@pytest.mark.parametrize("since_t0", [0.0, 900.0, -900.0])
def test_transits_are_masked_within_the_period_error_run_up_since_t0(since_t0):
    """To 2 sigma either side, by how many periods t0 lies away from the sector, whenever that is in BTJD."""
    start = 3000.0
    other = Ephemeris(PERIOD, start - since_t0, DURATION_HOURS, period_err_days=PERIOD_ERROR)
    masked = timeline(sector(start)).in_transit_of([other])
    epochs = max(abs(since_t0), abs(since_t0 + 27.0)) / PERIOD
    expected = (DURATION_HOURS / 24 + EXPOSURE + 4 * epochs * PERIOD_ERROR) / PERIOD
    assert masked.mean() == pytest.approx(expected, abs=2e-3)
    assert expected < 0.1


def test_single_transit_of_another_planet_is_masked_within_its_own_error():
    time = sector(3000.0)
    other = Ephemeris(0.0, 3010.0, DURATION_HOURS, t0_err_days=0.05, period_err_days=1.0)
    masked = timeline(time).in_transit_of([other])
    assert np.ptp(time[masked]) == pytest.approx(DURATION_HOURS / 24 + EXPOSURE + 4 * 0.05, abs=2 * EXPOSURE)


def test_no_cadence_without_a_time_is_in_transit():
    time = sector(3000.0)
    other = Ephemeris(PERIOD, 3000.0, DURATION_HOURS)
    assert not timeline(np.full(100, np.nan)).in_transit_of([other]).any()
    gaps = np.where(np.arange(time.size) % 2 == 0, time, np.nan)
    masked = timeline(gaps).in_transit_of([other])
    assert masked.any() and not masked[1::2].any()
