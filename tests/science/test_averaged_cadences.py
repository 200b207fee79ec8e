"""Cadences many times shorter than the dip are averaged: what a fit to each of them says, it says of their means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_stamps import BITMASK, DEPTH, EPHEMERIS, FLUX, dip_image, made_stamp, snr_of

from batchvet.errors import InsufficientData
from batchvet.science.difference_image import difference_image
from batchvet.science.localization_settings import DifferenceSettings
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.timeline import Transits

EVERY = DifferenceSettings(cadences_per_duration=10_000)  #: cadence by cadence
BREAK_DAYS = 0.2


def torn_pixels():
    """With cadences missing one by one, in a gap and flagged; two momentum dumps; a dead pixel."""
    stamp = made_stamp(jitter=0.01, seed=3, cadence_s=200.0, days=14.0)
    kept = np.random.default_rng(0).random(len(stamp.time)) > 0.1
    kept[800:1000] = False
    stamp = stamp.select(kept)
    stamp.quality[[1500, 1504]] = 32  # between them no more than one mean
    stamp.flux[:, 0, 0] = np.nan
    return SectorPixels.of(stamp, BITMASK)


def image(stamp, settings=DifferenceSettings(), ephemeris=EPHEMERIS):
    return difference_image(stamp, Transits(ephemeris), BITMASK, settings)


def test_each_is_the_mean_of_its_own_cadences():
    pixels = torn_pixels()
    means = pixels.averaged(5, BREAK_DAYS)
    timeline, every = means.timeline, np.flatnonzero(pixels.timeline.usable)
    stretches = pixels.timeline.stretches(BREAK_DAYS)
    assert timeline.counts.sum() == len(every) and means.live.tolist() == pixels.live.tolist()
    assert timeline.exposure_days == pytest.approx(5 * 200 / 86400)
    ends = np.cumsum(timeline.counts)
    for number, end in enumerate(ends):
        own = every[end - timeline.counts[number] : end]
        assert means.series[:, number] == pytest.approx(pixels.series[:, own].mean(axis=1, dtype=float), rel=1e-12)
        assert means.pointing[number] == pytest.approx(pixels.pointing[own].mean(axis=0), abs=1e-15)
        assert timeline.time[number] == pytest.approx(pixels.timeline.time[own].mean(), abs=1e-9)
        assert np.ptp(pixels.timeline.time[own]) < 5 * 200 / 86400 and len(set(stretches[own])) == 1
        assert timeline.usable[number] == (len(own) >= 3)
    assert 0 < np.count_nonzero(~timeline.usable) < 0.1 * len(ends)
    first = every[ends - timeline.counts]
    ours = timeline.stretches(BREAK_DAYS)
    assert (np.diff(ours) > 0).tolist() == (np.diff(stretches[first]) > 0).tolist() and ours[-1] >= 2
    shares = 1.0 / timeline.counts[timeline.usable]
    assert means.error_variance == pytest.approx(pixels.error_variance * shares.mean())


def test_cadences_that_are_not_short_stay_as_they_are():
    pixels = torn_pixels()
    assert pixels.averaged(1, BREAK_DAYS) is pixels and pixels.averaged(0, BREAK_DAYS) is pixels


@pytest.mark.parametrize("share", [0.25, 0.4])
def test_cadences_of_which_most_are_missing_are_fitted_one_by_one(share):
    """Of such, hardly a mean would have half of its cadences, and the dip would be lost with them."""
    stamp = made_stamp(cadence_s=60.0, seed=4)
    thinned = stamp.select(np.random.default_rng(1).random(len(stamp.time)) < share)
    assert image(thinned).flux == pytest.approx(image(thinned, EVERY).flux, abs=1e-9)
    assert image(thinned).n_transits == image(stamp).n_transits


def test_a_stamp_of_which_no_cadence_is_whole_says_so():
    stamp = made_stamp(cadence_s=60.0, days=9.0)
    stamp.flux[np.random.default_rng(2).random(stamp.flux.shape) < 0.08] = np.nan
    for settings in (EVERY, DifferenceSettings()):
        with pytest.raises(InsufficientData):
            image(stamp, settings)


@pytest.mark.parametrize("cadence_s", [20.0, 120.0])
def test_a_dip_without_noise_is_as_deep_as_it_is(cadence_s):
    stamp = made_stamp(cadence_s=cadence_s, days=9.0, noise=0.0, jitter=0.02, dtype=np.float64)
    found = image(stamp)
    assert found.flux == pytest.approx(dip_image(), abs=2e-3 * FLUX * DEPTH)


def test_means_know_the_dip_as_well_as_every_cadence_does():
    stamp = made_stamp(cadence_s=120.0, seed=5, jitter=0.02, noise=100.0)
    whole, means = image(stamp, EVERY), image(stamp)
    unit = dip_image(1.0)
    assert snr_of(means, unit) == pytest.approx(snr_of(whole, unit), rel=0.05)
    error = np.sqrt(whole.variance)
    assert np.sqrt(np.mean(((means.flux - whole.flux) / error) ** 2)) < 0.3
    assert np.median(means.variance / whole.variance) == pytest.approx(1.0, abs=0.05)
    assert means.n_transits == whole.n_transits and means.flags == whole.flags


def test_cadences_are_counted_as_the_file_has_them():
    stamp = made_stamp(cadence_s=120.0, seed=6)
    whole, means = image(stamp, EVERY), image(stamp)
    assert whole.n_in_transit <= means.n_in_transit <= whole.n_in_transit + 6 * whole.n_transits
    flux = stamp.flux.copy()
    from_mid = EPHEMERIS.time_from_transit(stamp.time)
    flux[(from_mid > 0.1) & (from_mid < 0.13), 5, 5] += 3000.0  # something bright beside every dip
    spoilt = replace(stamp, flux=flux)
    assert image(spoilt).n_outlier_cadences == pytest.approx(image(spoilt, EVERY).n_outlier_cadences, rel=0.3)
    assert image(spoilt).n_outlier_cadences > 20 * whole.n_transits
