"""Windows take the cadences that the method names, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.catalog.candidate import Ephemeris
from batchvet.pixels.quality import MOMENTUM_DUMP
from batchvet.science.timeline import SectorTimeline, Transits
from batchvet.science.windows import WindowLayout, WindowSettings, transit_windows

HOUR = 1.0 / 24.0
SETTINGS = WindowSettings()


def sector(cadence_s: float = 120.0, days: float = 27.0, start: float = 1000.0):
    """Times, usable and quality of an unbroken sector."""
    time = start + np.arange(round(days * 86400 / cadence_s)) * cadence_s / 86400
    return time, np.ones(time.size, dtype=bool), np.zeros(time.size, dtype=np.int32)


def windows_of(ephemeris, cadence_s=120.0, others=(), usable=None, quality=None, days=27.0):
    time, all_usable, no_quality = sector(cadence_s, days)
    timeline = SectorTimeline(
        time,
        all_usable if usable is None else usable,
        no_quality if quality is None else quality,
        cadence_s / 86400,
    )
    return transit_windows(timeline, Transits(ephemeris, tuple(others)), SETTINGS)


def test_template_is_the_exposure_average_of_a_trapezoid():
    layout = WindowLayout.of(Ephemeris(5.0, 1003.0, 3.0), 0.0, 0.5 * HOUR, SETTINGS)
    u = np.linspace(-3, 3, 241) * HOUR
    fine = np.linspace(-0.25, 0.25, 2001) * HOUR  # over the exposure
    x = np.abs(u[:, None] + fine)
    trapezoid = np.clip((1.5 * HOUR - x) / (0.15 * 3.0 * HOUR), 0.0, 1.0)
    assert np.abs(layout.template(u) - trapezoid.mean(axis=1)).max() < 1e-3
    assert layout.template(np.array([0.0]))[0] == pytest.approx(1.0)
    assert (layout.template(u)[np.abs(u) > 1.76 * HOUR] == 0.0).all()


def test_window_extent_follows_the_specification():
    ephemeris = Ephemeris(10.0, 1003.0, 4.0)
    windows, left_out = windows_of(ephemeris)
    assert [round(w.mid_time, 6) for w in windows] == [1003.0, 1013.0, 1023.0]
    assert left_out == []
    u, m = windows[0].u / HOUR, windows[0].m
    baseline = np.abs(u[m == 0])
    assert baseline.min() == pytest.approx(2.0 + 0.6, abs=1 / 30)  # D/2 + 0.15 D
    assert baseline.max() == pytest.approx(2.0 + 0.6 + 4.0, abs=1 / 30)  # and D more
    assert np.abs(u[m > 0]).max() < 2.0 + 1 / 60
    assert not windows[0].one_sided


def test_uncertain_ephemeris_widens_the_gap():
    windows, _ = windows_of(Ephemeris(10.0, 1003.0, 4.0, t0_err_days=1.0 * HOUR))
    baseline = np.abs(windows[0].u[windows[0].m == 0])
    assert baseline.min() / HOUR == pytest.approx(2.0 + 2.0, abs=1 / 29)


def test_other_planets_transits_are_left_out():
    other = Ephemeris(0.0, 1003.0 + 5 * HOUR, 1.0)
    windows, _ = windows_of(Ephemeris(0.0, 1003.0, 4.0), others=[other])
    u = windows[0].u / HOUR
    assert not ((u > 4.49) & (u < 5.51)).any()
    assert ((u > 5.6) & (u < 6.5)).any()


def test_window_never_crosses_a_momentum_dump():
    time, _, quality = sector()
    quality[np.abs(time - (1003.0 + 3.5 * HOUR)) < 2 / 1440] = MOMENTUM_DUMP
    windows, _ = windows_of(Ephemeris(0.0, 1003.0, 4.0), quality=quality)
    assert windows[0].u.max() / HOUR < 3.5
    assert windows[0].u.min() / HOUR < -6.5


def test_window_never_crosses_an_orbit_gap_and_is_flagged_one_sided():
    time, usable, _ = sector()
    usable &= ~((time > 1003.0 + 2.2 * HOUR) & (time < 1004.0))
    time = time.copy()
    time[~usable] = np.nan
    timeline = SectorTimeline(time, usable, np.zeros(time.size, int), 120 / 86400)
    windows, _ = transit_windows(timeline, Transits(Ephemeris(0.0, 1003.0, 4.0)), SETTINGS)
    assert windows[0].one_sided
    assert windows[0].u.max() / HOUR <= 2.2


def test_transit_in_a_gap_is_left_out_with_a_reason():
    time, usable, _ = sector()
    usable &= np.abs(time - 1003.0) > 3 * HOUR
    windows, left_out = windows_of(Ephemeris(10.0, 1003.0, 4.0), usable=usable)
    assert len(windows) == 2
    assert len(left_out) == 1 and "1003.0000" in left_out[0] and "cadences in transit" in left_out[0]


def test_transit_without_baseline_is_left_out_with_a_reason():
    time, usable, _ = sector()
    usable &= np.abs(time - 1003.0) < 2.2 * HOUR
    windows, left_out = windows_of(Ephemeris(0.0, 1003.0, 4.0), usable=usable)
    assert windows == []
    assert "baseline" in left_out[0]


@pytest.mark.parametrize("cadence_s", [20.0, 120.0, 600.0, 1800.0])
@pytest.mark.parametrize("hours", [1.0, 2.0, 16.0])
def test_all_cadences_and_durations_have_windows(cadence_s, hours):
    windows, left_out = windows_of(Ephemeris(13.0, 1006.0, hours), cadence_s=cadence_s)
    assert len(windows) == 2 and left_out == []
    for window in windows:
        assert not window.one_sided
        assert np.sum(window.m) == pytest.approx(0.85 * hours * 3600 / cadence_s, rel=0.15)


def test_short_periods_leave_room_for_their_neighbours():
    ephemeris = Ephemeris(0.3, 1000.1, 1.5)
    windows, _ = windows_of(ephemeris)
    assert len(windows) > 80
    time, _, _ = sector()
    for window in windows:
        phase = np.abs(ephemeris.time_from_transit(time[window.cadences[window.m == 0]]))
        assert phase.min() > 0.75 * HOUR  # baseline is not in the next transit


def test_single_transit_has_one_window():
    windows, left_out = windows_of(Ephemeris(0.0, 1010.0, 8.0))
    assert len(windows) == 1 and left_out == []


def test_no_usable_cadence_says_so():
    time, usable, quality = sector()
    timeline = SectorTimeline(time, ~usable, quality, 1e-3)
    windows, left_out = transit_windows(timeline, Transits(Ephemeris(1.0, 1000.0, 2.0)), SETTINGS)
    assert windows == [] and "no cadence" in left_out[0]
