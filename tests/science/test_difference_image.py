"""All transits of a sector in one image, with the noise that transit-free epochs show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_stamps import COLS, DEPTH, EPHEMERIS, FLUX, ROWS, dip_image, made_stamp, star, vetted

from batchvet.catalog.candidate import Ephemeris


def covariance(difference):
    shared = difference.shapes @ difference.shape_cov @ difference.shapes.T
    return np.diag(difference.variance.ravel()) + shared


def reduced_chi2(difference, truth):
    residual = (difference.flux - truth).ravel()
    return residual @ np.linalg.solve(covariance(difference), residual) / residual.size


def with_added(stamp, signal):
    return replace(stamp, flux=(stamp.flux + signal).astype(np.float32))


def red_noise(n, correlation_cadences, seed):
    """Unit red noise: white noise averaged over a boxcar."""
    white = np.random.default_rng(seed).normal(0, 1, n + correlation_cadences)
    series = np.convolve(white, np.ones(correlation_cadences), mode="valid")[:n]
    return series / series.std()


def test_combined_image_is_the_dip():
    difference = vetted(made_stamp(seed=1, jitter=0.005))
    assert difference.n_transits == 6
    assert reduced_chi2(difference, dip_image()) < 1.4
    assert difference.flux.max() / np.sqrt(difference.variance[5, 5]) > 20
    assert difference.flags == ()
    assert difference.max_leave_one_out_shift_pixels < 0.3


def test_white_noise_is_not_inflated():
    stamp = made_stamp(seed=2, depth=0.0)
    difference = vetted(stamp)
    white = 1.0 / np.sum([1.0 / t.variance for t in difference.transits], axis=0)
    assert np.median(difference.variance / white) == pytest.approx(1.0, abs=0.12)
    chi2 = [reduced_chi2(vetted(made_stamp(seed=s, depth=0.0)), 0.0) for s in range(3, 33)]
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.08)


def test_red_noise_of_one_pixel_inflates_that_pixel():
    stamp = made_stamp(seed=3, depth=0.0)
    noisy = np.zeros((11, 11))
    noisy[2, 8] = 1.0
    stamp = with_added(stamp, 10.0 * red_noise(len(stamp.time), 18, 1)[:, None, None] * noisy)
    difference = vetted(stamp)
    variance = np.diag(covariance(difference)).reshape(11, 11)
    ratio = variance / np.median(variance)
    assert ratio[2, 8] > 4.0
    assert np.median(ratio) < 1.2


@pytest.mark.parametrize("pattern", ["background", "tilt", "variable_neighbour"])
def test_noise_that_pixels_share_goes_into_the_shapes(pattern):
    shape = {
        "background": np.ones((11, 11)),
        "tilt": (ROWS - 5.0) / 5.0,
        "variable_neighbour": 60.0 * star(2.3, 7.9),
    }[pattern]
    chi2, diagonal = [], []
    for seed in range(4):
        stamp = made_stamp(seed=seed, depth=0.0)
        stamp = with_added(stamp, 12.0 * red_noise(len(stamp.time), 25, seed)[:, None, None] * shape)
        difference = vetted(stamp)
        chi2.append(reduced_chi2(difference, 0.0))
        unit = shape.ravel() / np.linalg.norm(shape)
        diagonal.append(unit @ covariance(difference) @ unit / (unit**2 @ difference.variance.ravel()))
    assert 0.7 < np.mean(chi2) < 1.3
    assert np.mean(diagonal) > 3.0  # along the pattern the noise is far above that of the pixels


def test_star_that_varies_is_followed_by_a_curve_and_a_quiet_one_is_not():
    """A line leaves a hundred times the photons' noise; the dip of 1 % stays what it is."""
    stamp = made_stamp(seed=6, jitter=0.003)
    assert "CURVED_BASELINE" not in vetted(stamp).flags
    light = 0.02 * np.sin(2 * np.pi * stamp.time / 0.9) * FLUX
    difference = vetted(with_added(stamp, light[:, None, None] * star()))
    assert "CURVED_BASELINE" in difference.flags
    unit = star().ravel() / np.sum(star() ** 2)
    error = np.sqrt(unit @ covariance(difference) @ unit)
    dip = unit @ difference.flux.ravel()
    assert error < 0.1 * FLUX * DEPTH
    assert abs(dip - FLUX * DEPTH) < 3 * error + 0.02 * FLUX * DEPTH


def test_dip_of_another_shape_than_the_catalogue_says_keeps_its_depth():
    """A V of 1 %: a template with the usual short ingress sees six tenths of its depth."""
    unit, depths = star().ravel() / np.sum(star() ** 2), []
    for seed in range(7, 12):
        stamp = made_stamp(seed=seed, depth=0.0, noise=20.0)
        half = EPHEMERIS.duration_days / 2
        fall = np.clip(1.0 - np.abs(EPHEMERIS.time_from_transit(stamp.time)) / half, 0.0, 1.0)
        difference = vetted(with_added(stamp, -fall[:, None, None] * dip_image()))
        depths.append(unit @ difference.flux.ravel())
    assert np.mean(depths) == pytest.approx(FLUX * DEPTH, rel=0.1)


def test_one_spoilt_transit_does_not_choose_the_template():
    """A short deep event within one of six transits: a V would suit it, not the dip."""
    chosen = 0
    for seed in range(8):
        stamp = made_stamp(seed=seed, depth=0.003)
        event = 0.01 * np.exp(-0.5 * ((stamp.time - 1010.0) / 0.02) ** 2)
        difference = vetted(with_added(stamp, -FLUX * event[:, None, None] * star()))
        chosen += "OTHER_DIP_SHAPE" in difference.flags
    assert chosen <= 1


@pytest.mark.parametrize("spoilt", [1002.0, 1010.0])
def test_of_two_transits_that_disagree_neither_is_believed(spoilt):
    ephemeris = Ephemeris(8.0, 1002.0, 3.0)
    stamp = made_stamp(seed=6, days=14, depth=0.003, ephemeris=ephemeris)
    during = np.abs(stamp.time - spoilt) < 0.0625
    difference = vetted(with_added(stamp, -400.0 * during[:, None, None] * star(2.0, 2.0)), ephemeris)
    weights = [transit.weight for transit in difference.transits]
    assert weights == pytest.approx([0.5, 0.5], abs=0.05)
    assert "TRANSITS_DISAGREE" in difference.flags


def test_part_of_a_transit_and_a_narrow_dip_can_be_fitted():
    """The catalogue's template sees the start of the last transit, the shorter one that suits the dip sees none."""
    ephemeris = Ephemeris(4.0, 1002.0, 12.0)
    stamp = made_stamp(seed=4, cadence_s=120.0, depth=0.0, ephemeris=ephemeris)
    fall = np.clip(1.0 - np.abs(ephemeris.time_from_transit(stamp.time)) / 0.2, 0.0, 1.0)
    cut = (stamp.time > 1010.0 - 0.25 + 45 / 1440) & (stamp.time < 1010.6)
    stamp = replace(with_added(stamp, -fall[:, None, None] * 2 * dip_image()), quality=np.where(cut, 128, 0))
    difference = vetted(stamp, ephemeris)
    assert np.isfinite(difference.flux).all()
    assert "OTHER_DIP_SHAPE" in difference.flags


def test_pointing_that_steps_only_in_a_gap_is_no_motion():
    stamp = made_stamp(seed=3)
    step = np.where(stamp.time > 1012.0, 0.37, 0.0)[:, None] * [1.0, -0.57]
    in_gap = (stamp.time > 1012.0) & (stamp.time < 1012.7)
    still = replace(stamp, pos_corr=np.zeros((len(stamp.time), 2), np.float32), quality=np.where(in_gap, 128, 0))
    stepped = vetted(replace(still, pos_corr=step.astype(np.float32)))
    assert stepped.flux == pytest.approx(vetted(still).flux, abs=0.2)


def test_one_transit_that_disagrees_does_not_widen_the_others():
    stamp = made_stamp(seed=5)
    spoilt = np.abs(stamp.time - 1010.0) < 0.12
    difference = vetted(with_added(stamp, 400.0 * spoilt[:, None, None] * star(2.0, 2.0) * 4.0))
    assert np.median(difference.variance / vetted(stamp).variance) < 1.5


def test_transit_that_disagrees_counts_less():
    stamp = made_stamp(seed=5)
    spoilt = np.abs(stamp.time - 1010.0) < 0.12
    difference = vetted(with_added(stamp, 400.0 * spoilt[:, None, None] * star(2.0, 2.0) * 4.0))
    weights = np.array([t.weight for t in difference.transits])
    assert weights.sum() == pytest.approx(1.0)
    assert np.argmin(weights) == 2 and weights[2] < 0.5 * np.median(weights)
    assert "TRANSITS_DISAGREE" in difference.flags
    assert "TRANSITS_DISAGREE" not in vetted(stamp).flags


def test_short_period_fills_dips_in_to_measure_the_noise():
    ephemeris = Ephemeris(0.35, 1000.1, 2.0)
    difference = vetted(made_stamp(seed=6, ephemeris=ephemeris), ephemeris)
    assert difference.n_null_epochs >= 30
    assert difference.n_transits > 60
    assert reduced_chi2(difference, dip_image()) < 1.5
    assert difference.flux[5, 5] == pytest.approx(dip_image()[5, 5], rel=0.05)


def test_few_epochs_are_said():
    stamp = made_stamp(seed=7, days=3.2, ephemeris=Ephemeris(0.0, 1001.6, 20.0))
    difference = vetted(stamp, Ephemeris(0.0, 1001.6, 20.0))
    assert "FEW_NULL_EPOCHS" in difference.flags
    assert np.isfinite(difference.flux).all()


def test_other_planets_dips_do_not_leak_in():
    """Dips within the candidate's own windows, too faint to be found one by one (below 6 sigma each), eight times."""
    other = Ephemeris(4.0, 1002.13, 3.0)
    place = star(8.0, 8.0).ravel()
    masked, unknown, chi2 = [], [], []
    for seed in range(8, 16):
        quiet = made_stamp(seed=seed)
        in_other = np.abs(other.time_from_transit(quiet.time)) < other.duration_days / 2
        stamp = with_added(quiet, -40.0 * in_other[:, None, None] * star(8.0, 8.0))
        free = vetted(stamp, others=(other,))
        chi2.append(reduced_chi2(free, dip_image()))
        masked.append(place @ free.flux.ravel() / (place @ place))
        unknown.append(place @ vetted(stamp).flux.ravel() / (place @ place))
    assert np.mean(chi2) < 1.2
    assert np.mean(unknown) < -10.0  # e-/s of the 40: in the baseline they look like light gained
    assert abs(np.mean(masked)) < 3 * 5.0 / np.sqrt(len(masked))  # noise: 5 e-/s in one image


def test_out_of_transit_image_is_the_star():
    difference = vetted(made_stamp(seed=9))
    residual = difference.out_of_transit - (20000.0 * star() + 3.0)
    assert np.std(residual / difference.out_of_transit_error) == pytest.approx(1.0, abs=0.2)


def test_single_transit_has_no_leave_one_out():
    ephemeris = Ephemeris(0.0, 1010.0, 3.0)
    difference = vetted(made_stamp(seed=10), ephemeris)
    assert difference.n_transits == 1 and difference.transit_dof == 0
    assert np.isnan(difference.max_leave_one_out_shift_pixels)


def photocentre(difference):
    light = np.where(difference.flux > 5 * np.sqrt(difference.variance), difference.flux, 0.0)
    rows, cols = np.indices(light.shape)
    return (light * rows).sum() / light.sum(), (light * cols).sum() / light.sum()


def test_dip_elsewhere_is_seen_elsewhere():
    stamp = made_stamp(seed=11, depth=0.0)
    in_transit = np.abs(EPHEMERIS.time_from_transit(stamp.time)) < EPHEMERIS.duration_days / 2
    difference = vetted(with_added(stamp, -300.0 * in_transit[:, None, None] * star(3.0, 7.5)))
    assert photocentre(difference) == pytest.approx((3.0, 7.5), abs=0.1)
    assert COLS[0, 7] == 7
