"""Pointing that nobody tells of: learnt from the stamp, worse in some hours than in others, far off now and then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_stamps import BITMASK, DEPTH, EPHEMERIS, FLUX, SIGMA, made_stamp, star, vetted
from scipy.special import chdtri

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.combination import combine
from batchvet.science.difference_image import DifferenceSettings
from batchvet.science.first_fit import FirstFit
from batchvet.science.null_epochs import measure_noise
from batchvet.science.sector_fits import best_baseline
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.timeline import Transits
from batchvet.science.windows import transit_windows

SETTINGS = DifferenceSettings()


def fitted(stamp, ephemeris=EPHEMERIS):
    """Fits of transits and epochs, and the noise model."""
    transits = Transits(ephemeris, ())
    pixels = SectorPixels.of(stamp, BITMASK)
    windows, _ = transit_windows(pixels.timeline, transits, SETTINGS.windows)
    first = FirstFit.of(pixels, windows, transits, SETTINGS.windows, SETTINGS.noise)
    found, _ = best_baseline(pixels, first.transits, first.epochs, first.line)
    noise = measure_noise(pixels, found.nulls, found.shapes, np.median(found.fits.scatter, axis=0), SETTINGS.noise)
    return windows, first, found, noise


def epoch_chi2(found, noise):
    """chi² of every transit-free epoch by the noise model, over the number of pixels."""
    covariance = np.diag(noise.variance) + noise.shapes @ noise.shape_cov @ noise.shapes.T
    scaled = found.nulls.flux / np.sqrt(found.nulls.leverage * found.nulls.unrest)[:, None]
    return np.einsum("ep,pe->e", scaled, np.linalg.solve(covariance, scaled.T)) / scaled.shape[1]


def moved_by(stamp, motion, depth=DEPTH):
    """The same stamp without POS_CORR, its star moved by `motion` [cadence, 2] (column, row) besides, pixels."""
    light = FLUX * (star(5.0 + motion[:, 1], 5.0 + motion[:, 0]) - star())
    return replace(stamp, flux=(stamp.flux + light).astype(np.float32), pos_corr=None)


def test_motion_seen_in_the_stamp_is_the_derivative():
    """Of a Gaussian star the derivative is known; differences of pixels are wider than that."""
    pixels = SectorPixels.of(replace(made_stamp(seed=1, jitter=0.02, depth=0.0), pos_corr=None), BITMASK)
    rows, cols = np.indices((11, 11)) - 5.0
    for number, steps in enumerate((rows, cols)):
        true = (FLUX * steps / SIGMA**2 * star()).ravel()
        wide = (np.gradient(FLUX * star(), axis=number)).ravel()
        seen = pixels.motion[:, number]
        assert abs(np.corrcoef(seen, true)[0, 1]) > 0.999
        assert abs(np.corrcoef(wide, true)[0, 1]) < 0.98


def test_motion_that_photons_drown_is_a_difference_of_pixels():
    pixels = SectorPixels.of(replace(made_stamp(seed=2, jitter=0.0, noise=200.0, depth=0.0), pos_corr=None), BITMASK)
    level = np.gradient(FLUX * star(), axis=0).ravel()
    assert np.corrcoef(pixels.motion[:, 0], level)[0, 1] > 0.85


def test_noise_model_holds_for_motion_seen_in_the_stamp():
    """A slow drift of a bright star to and fro, which no POS_CORR tells: epochs scatter as the model says."""
    stamp = made_stamp(seed=3, jitter=0.01, noise=2.0, depth=0.0)
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(0, 0.002, (stamp.time.size, 2)), axis=0)
    slow -= np.linspace(0, 1, stamp.time.size)[:, None] * slow[-1]
    _, _, found, noise = fitted(moved_by(stamp, slow))
    assert np.mean(epoch_chi2(found, noise)) == pytest.approx(1.0, abs=0.15)


def restless(seed=5):
    """A sector whose camera shakes six times as much around the second of its six transits, for a day."""
    stamp = made_stamp(seed=seed, jitter=0.01)
    shaken = np.abs(stamp.time - (EPHEMERIS.t0_btjd + EPHEMERIS.period_days)) < 0.5
    motion = np.random.default_rng(seed).normal(0, 0.06, (stamp.time.size, 2)) * shaken[:, None]
    return moved_by(stamp, motion)


def test_transit_in_a_restless_hour_counts_less():
    windows, _, found, noise = fitted(restless())
    calm = [number for number in range(len(windows)) if number != 1]
    assert found.fits.unrest[1] > 5 and found.fits.unrest[calm] == pytest.approx(1.0)
    weights = combine(found.fits, noise).weights
    assert weights[1] < 0.3 * np.median(weights[calm])


def test_quiet_sectors_have_no_unrest():
    for seed in range(4):
        for pos_corr in (True, False):
            stamp = made_stamp(seed=seed, jitter=0.01, depth=0.0)
            _, _, found, _ = fitted(stamp if pos_corr else replace(stamp, pos_corr=None))
            assert np.mean(found.nulls.unrest > 1) < 0.05


def test_epochs_far_out_are_as_many_as_the_noise_model_says():
    """In every tenth stretch of eight hours the star stands 0.02 pixel beside its place; short dips meet its edges."""
    stamp = made_stamp(seed=6, jitter=0.003, depth=0.0, noise=4.0)
    rng = np.random.default_rng(1)
    block = ((stamp.time - stamp.time[0]) * 3).astype(int)
    beside = rng.normal(0, 0.02, (block.max() + 1, 2)) * (rng.uniform(size=block.max() + 1) < 0.15)[:, None]
    _, _, found, noise = fitted(moved_by(stamp, beside[block]))
    covariance = np.diag(noise.variance) + noise.shapes @ noise.shape_cov @ noise.shapes.T
    scaled = found.nulls.flux / np.sqrt(found.nulls.leverage * found.nulls.unrest)[:, None]
    inverse = np.linalg.inv(covariance)
    information = noise.shapes.T @ inverse @ noise.shapes
    amplitudes = scaled @ inverse @ noise.shapes
    chi2 = np.einsum("ek,kl,el->e", amplitudes, np.linalg.pinv(information, hermitian=True), amplitudes)
    assert np.mean(chi2 > chdtri(noise.shapes.shape[1], 0.1)) <= 0.11


def test_transit_that_pointing_moved_counts_less_though_its_chi2_is_small():
    """Seven sigma of one shape, among a hundred pixels that know nothing of it."""
    _, _, found, noise = fitted(replace(made_stamp(seed=7, jitter=0.01), pos_corr=None))
    fits = found.fits
    flux = fits.flux.copy()
    flux[2] += 7.0 * np.sqrt(noise.shape_cov[3, 3] * fits.leverage[2]) * noise.shapes[:, 3]
    moved, plain = (combine(some, noise).weights for some in (replace(fits, flux=flux), fits))
    assert moved[2] < 0.5 * plain[2]


def test_transit_that_is_deeper_is_as_good_as_the_others():
    """By eight sigma of its depth, on a star beside the target: part of that looks like the target shifted."""
    _, _, found, noise = fitted(replace(made_stamp(seed=7, jitter=0.01), pos_corr=None))
    covariance = np.diag(noise.variance) + noise.shapes @ noise.shape_cov @ noise.shapes.T
    beside = star(5.0, 6.0).ravel()
    sigma = np.sqrt(found.fits.leverage[2] / (beside @ np.linalg.solve(covariance, beside)))
    deep = found.fits.flux + 60.0 * sigma * beside
    deeper = deep.copy()
    deeper[2] += 8.0 * sigma * beside
    weights = [combine(replace(found.fits, flux=flux), noise).weights for flux in (deep, deeper)]
    assert weights[1][2] == pytest.approx(weights[0][2], rel=0.05)


def test_another_star_s_eclipses_do_not_tell_the_time():
    """They lie beside both transits, deeper than these, and elsewhere too."""
    ephemeris, other = Ephemeris(12.0, 1002.0, 3.0, t0_err_days=1e-3), Ephemeris(4.0, 1002.1, 3.0)
    stamp = made_stamp(seed=8, jitter=0.003, noise=20.0, ephemeris=ephemeris)
    during = np.abs(other.time_from_transit(stamp.time)) < other.duration_days / 2
    flux = stamp.flux - 0.05 * FLUX * during[:, None, None] * star(5.0, 8.0)
    assert not vetted(replace(stamp, flux=flux.astype(np.float32)), ephemeris).timing.is_shifted
