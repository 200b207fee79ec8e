"""The folded light shows what was put in: odd and even transits, a secondary where it is, nothing elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.api import open_run
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.folded_light_curve import FIRST_PHASE, folded_light_curve

EPHEMERIS = Ephemeris(period_days=3.0, t0_btjd=1001.0, duration_hours=3.0)
APERTURE = np.zeros((5, 5), dtype=bool)
APERTURE[1:4, 1:4] = True


def light(dips, noise=200.0, drift=0.0, minutes=10.0):
    """A stamp whose middle has the dips ``(phase, odd depth, even depth)`` in ppm, drifting by a share a day."""
    rng = np.random.default_rng(5)
    time = np.arange(1000.0, 1027.0, minutes / 1440.0)
    cycles = (time - EPHEMERIS.t0_btjd) / EPHEMERIS.period_days
    relative = 1.0 + 1e-6 * noise * rng.standard_normal(len(time)) + drift * np.sin(2.0 * (time - 1000.0))
    for phase, odd, even in dips:
        epoch = np.round(cycles - phase)
        inside = np.abs(cycles - phase - epoch) * EPHEMERIS.period_days < EPHEMERIS.duration_days / 2.0
        relative[inside] -= 1e-6 * np.where(epoch % 2 == 1, odd, even)[inside]
    series = np.zeros((25, len(time)), dtype=np.float32)
    series[APERTURE.ravel()] = 1000.0 * relative
    return time, series


def test_odd_and_even_transits_have_their_own_depths_whatever_the_star_does_slowly():
    folded = folded_light_curve(*light([(0.0, 5000.0, 3000.0)], drift=0.003), APERTURE, EPHEMERIS)
    inside, outside = np.abs(folded.hours) < 1.2, np.abs(folded.hours) > 2.0
    assert np.median(folded.odd_ppm[inside]) == pytest.approx(-5000.0, abs=300.0)
    assert np.median(folded.even_ppm[inside]) == pytest.approx(-3000.0, abs=300.0)
    for ppm, error in ((folded.odd_ppm, folded.odd_error_ppm), (folded.even_ppm, folded.even_error_ppm)):
        assert np.abs(np.nanmedian(ppm[outside])) < 150.0
        assert 0.0 < np.nanmedian(error) < 200.0
    assert (folded.hours[0], folded.hours[-1]) == pytest.approx((-7.2581, 7.2581), abs=1e-4)  # 2.5 durations, 31 bins


def test_errors_are_those_of_the_noise():
    folded = folded_light_curve(*light([], noise=300.0), APERTURE, EPHEMERIS)
    pull = folded.even_ppm / folded.even_error_ppm
    assert 0.6 < np.nanstd(pull) < 1.5


def test_a_secondary_is_seen_where_it_is_and_in_the_whole_period():
    time, series = light([(0.0, 4000.0, 4000.0), (0.37, 1500.0, 1500.0)])
    folded = folded_light_curve(time, series, APERTURE, EPHEMERIS, secondary_phase=0.37)
    inside = np.abs(folded.hours) < 1.2
    assert np.median(folded.secondary_ppm[inside]) == pytest.approx(-1500.0, abs=200.0)
    phases = FIRST_PHASE + (np.arange(100) + 0.5) / 100.0
    assert abs(phases[folded.phase_ppm.argmin()]) < 0.025
    assert folded.phase_ppm[np.abs(phases - 0.37).argmin()] == pytest.approx(-1500.0, abs=300.0)


def test_other_candidates_transits_are_left_out():
    other = Ephemeris(period_days=3.0, t0_btjd=1001.25, duration_hours=3.2)
    time, series = light([(0.25 / 3.0, 9000.0, 9000.0)])
    folded = folded_light_curve(time, series, APERTURE, EPHEMERIS, (other,))
    assert np.nanmin(folded.even_ppm) > -1000.0
    assert np.nanmin(folded_light_curve(time, series, APERTURE, EPHEMERIS).even_ppm) < -5000.0


def test_a_single_transit_has_one_window_and_no_period():
    single = Ephemeris(period_days=0.0, t0_btjd=1010.0, duration_hours=6.0)
    time, series = light([])
    series[:, np.abs(time - 1010.0) < 0.125] *= 0.99
    folded = folded_light_curve(time, series, APERTURE, single)
    assert np.median(folded.even_ppm[np.abs(folded.hours) < 2.5]) == pytest.approx(-10000.0, abs=400.0)
    assert np.isnan(folded.odd_ppm).all() and np.isnan(folded.secondary_ppm).all()
    assert folded.phase_ppm.size == 0 and np.isnan(folded.secondary_phase)


def test_what_is_missing_is_no_number_and_no_error():
    time, series = light([(0.0, 5000.0, 5000.0)])
    series[:, ::2] = np.nan
    time[1::10] = np.nan
    folded = folded_light_curve(time, series, np.zeros((5, 5), dtype=bool), EPHEMERIS)
    assert np.isfinite(folded.even_ppm).any()
    nothing = folded_light_curve(time[:3], series[:, :3] * np.nan, APERTURE, EPHEMERIS)
    assert np.isnan(nothing.even_ppm).all() and np.isnan(nothing.phase_ppm).all()


def test_rows_of_a_run_hold_the_folded_light_of_their_sector(whole):
    """What the report draws needs no pixels; where the dip is strong it is seen in the aperture."""
    run = open_run(whole)
    rows = run.images.merge(run.sectors[["toi", "sector", "difference_snr"]], on=["toi", "sector"])
    assert (rows["folded_hours"].map(len) == 31).all() and set(rows["folded_phase_ppm"].map(len)) <= {0, 100}
    row = rows.loc[rows["difference_snr"].idxmax()]
    inside = np.abs(row["folded_hours"]) < 0.2 * row["folded_hours"].max() * 0.8  # 2.5 durations are the whole
    both = np.nanmedian(np.concatenate([row["folded_odd_ppm"][inside], row["folded_even_ppm"][inside]]))
    outside = np.concatenate([row["folded_odd_ppm"][~inside], row["folded_even_ppm"][~inside]])
    assert row["difference_snr"] > 10 and both < np.nanmedian(outside) - 3.0 * np.nanmedian(
        row["folded_even_error_ppm"]
    )
    assert (
        sum(
            row[name].nbytes
            for name in run.images.columns
            if name.startswith("folded_") and hasattr(row[name], "nbytes")
        )
        < 1500
    )
