"""V08 agrees with tess-vetter figure for figure, and with what can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.stats import binom
from side_by_side import assert_same, own_metrics, random_stamp, run_tess_vetter
from tess_vetter.validation.checks_pixel_wrapped import CentroidShiftCheck

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.centroid_shift import METRICS, CentroidShiftSettings, centroid_shift
from batchvet.science.median_bootstrap import median_shift_draws

#: What tess-vetter draws at random.
RANDOM = ("significance_sigma", "shift_uncertainty_pixels", "shift_ci_lower_pixels", "shift_ci_upper_pixels")

TOI_5807 = Ephemeris(14.2423724, 3540.26317, 4.046)
WASP_126 = Ephemeris(3.28878, 1327.5205, 3.49)


def two_stars(n: int = 400, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, Ephemeris]:
    """A star of 300 e-/s at (row 2, col 2) and one of 100 at (row 2, col 6); the second dips to half."""
    time = 1000.0 + 0.01 * np.arange(n)
    ephemeris = Ephemeris(1.0, 1000.503, 2.4)
    flux = np.zeros((n, 5, 9), dtype=np.float32)
    flux[:, 2, 2] = 300.0
    flux[:, 2, 6] = 100.0
    flux[np.abs(ephemeris.time_from_transit(time)) <= 0.05, 2, 6] = 50.0
    return time, flux + np.random.default_rng(1).normal(0, noise, flux.shape).astype(np.float32), ephemeris


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_200_random_stamps_agree_with_tess_vetter(start):
    settings = CentroidShiftSettings(n_bootstrap=10)
    for seed in range(start, start + 50):
        time, flux, ephemeris = random_stamp(seed)
        theirs = run_tess_vetter(CentroidShiftCheck(), time, np.ascontiguousarray(flux), ephemeris, n_bootstrap=10)
        ours = centroid_shift(time, flux, ephemeris, settings)
        assert_same(ours, theirs, without=RANDOM)
        for name in RANDOM:
            assert np.isnan(getattr(ours, name)) == np.isnan(theirs.metrics[name]), (seed, name)


@pytest.mark.real_data
def test_toi_5807_agrees_with_tess_vetter(shared_data: Path):
    with np.load(shared_data / "toi5807" / "sector83_tpf.npz") as data:
        time, flux = data["time"].astype(np.float64), data["flux"].astype(np.float32)
    theirs = run_tess_vetter(CentroidShiftCheck(), time, flux, TOI_5807, bootstrap_seed=1)
    assert_same(centroid_shift(time, flux, TOI_5807), theirs, without=RANDOM)


@pytest.mark.real_data
def test_wasp_126_agrees_with_tess_vetter_and_does_not_move(shared_data: Path):
    for path in sorted((shared_data / "wasp126").glob("*_tp.fits.gz")):
        with fits.open(path) as file:
            table = file[1].data
            time = table["TIME"].astype(np.float64)
            good = np.isfinite(time) & (table["QUALITY"] & 175 == 0)
            flux = table["FLUX"][good].astype(np.float32)
        theirs = run_tess_vetter(CentroidShiftCheck(), time[good], flux, WASP_126, bootstrap_seed=1)
        ours = centroid_shift(time[good], flux, WASP_126)
        assert_same(ours, theirs, without=RANDOM)
        assert ours.centroid_shift_pixels < 0.06


@pytest.mark.parametrize("n", [300, 1501])
def test_significance_lies_within_the_scatter_of_tess_vetters_resampling(n):
    time, flux, ephemeris = two_stars(n, noise=4.0)
    theirs = [
        own_metrics(run_tess_vetter(CentroidShiftCheck(), time, flux, ephemeris, bootstrap_seed=seed))
        for seed in range(1, 51)
    ]
    ours = centroid_shift(time, flux, ephemeris)
    assert 0 < ours.significance_sigma <= 8
    for name in ("shift_uncertainty_pixels", "shift_ci_lower_pixels", "shift_ci_upper_pixels"):
        drawn = np.array([metrics[name] for metrics in theirs])
        assert abs(getattr(ours, name) - drawn.mean()) < 2 * drawn.std(ddof=1), name
    sigma = np.array([metrics["significance_sigma"] for metrics in theirs])
    assert abs(ours.significance_sigma - sigma.mean()) <= max(2 * sigma.std(ddof=1), 1e-9)


def test_an_eclipsed_neighbour_moves_the_centroid_by_what_the_light_says():
    time, flux, ephemeris = two_stars()
    result = centroid_shift(time, flux, ephemeris)
    # columns: (300*2 + 100*6)/400 = 3 out of transit, (300*2 + 50*6)/350 = 18/7 in transit
    assert result.out_of_transit_centroid_x == 3.0
    assert result.in_transit_centroid_x == pytest.approx(18 / 7, rel=1e-14)
    assert result.in_transit_centroid_y == result.out_of_transit_centroid_y == 2.0
    assert result.centroid_shift_pixels == pytest.approx(3 - 18 / 7, rel=1e-12)
    assert result.centroid_shift_arcsec == pytest.approx(9.0, rel=1e-12)


def test_the_edge_of_the_transit_is_in_and_the_edge_of_the_buffer_is_not_out():
    time = 1024.0 + np.arange(256) / 64  # exact in binary: four transits of 8 cadences' length
    ephemeris = Ephemeris(1.0, 1024.5, 3.0)
    result = centroid_shift(time, np.ones((256, 3, 3), dtype=np.float32), ephemeris)
    assert result.n_in_transit_cadences == 4 * 9
    assert result.n_out_of_transit_cadences == 4 * (64 - 17)


def test_neither_memory_order_nor_repetition_changes_a_figure():
    time, flux, ephemeris = two_stars(noise=5.0)
    pixel_major = np.ascontiguousarray(flux.transpose(1, 2, 0)).transpose(2, 0, 1)
    assert centroid_shift(time, flux, ephemeris) == centroid_shift(time, pixel_major, ephemeris)
    assert centroid_shift(time, flux, ephemeris) == centroid_shift(time, flux, ephemeris)


def test_a_single_transit_is_a_transit_with_an_endless_period():
    time, flux, ephemeris = two_stars(150, noise=5.0)
    single = Ephemeris(0.0, ephemeris.t0_btjd, ephemeris.duration_hours)
    endless = Ephemeris(1e4, ephemeris.t0_btjd, ephemeris.duration_hours)
    assert centroid_shift(time, flux, single).n_in_transit_cadences == 10
    found, expected = (centroid_shift(time, flux, e).metrics() for e in (single, endless))
    for name, value in expected.items():
        assert found[name] == value, name


def test_without_a_duration_it_is_an_error_with_empty_figures():
    time, flux, _ = two_stars(50)
    result = centroid_shift(time, flux, Ephemeris(1.0, 1000.5, 0.0))
    assert (result.status, result.flags) == ("error", ("ERROR:ValidationError",))
    assert set(result.metrics()) == set(METRICS)
    assert set(result.metrics().values()) == {None}


def test_bootstrap_median_of_many_points_follows_the_binomial_law():
    """P(median of a resample <= i-th of n sorted) is P(at least (n+1)/2 of n draws fall among the first i)."""
    n = 101
    x = np.arange(n, dtype=float)
    far = np.full((2, 1), -1e6)
    drawn = median_shift_draws(np.array([x, np.zeros(n)]), far)
    medians = np.round(np.sqrt(drawn**2 - 1e12) - 1e6)
    below = np.array([(medians <= i).mean() for i in range(n)])
    expected = binom.sf(n // 2, n, (x + 1) / n)
    assert np.abs(below - expected).max() < 0.01


@pytest.mark.parametrize(("n", "rho"), [(12, 0.8), (60, -0.9), (201, 0.6)])
def test_bootstrap_of_correlated_points_agrees_with_resampling(n, rho):
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((2, n))
    inside = np.array([x + 0.7, rho * x + np.sqrt(1 - rho**2) * y])
    outside = rng.standard_normal((2, 301))
    rows_in, rows_out = rng.integers(0, n, (20_000, n)), rng.integers(0, 301, (20_000, 301))
    shift = [np.median(inside[k][rows_in], axis=1) - np.median(outside[k][rows_out], axis=1) for k in range(2)]
    resampled = np.hypot(*shift)
    drawn = median_shift_draws(inside, outside)
    assert drawn.mean() == pytest.approx(resampled.mean(), rel=0.02)
    assert drawn.std() == pytest.approx(resampled.std(), rel=0.03)
