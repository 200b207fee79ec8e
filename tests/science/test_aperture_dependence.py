"""V10 agrees with tess-vetter figure for figure, and with what can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from side_by_side import assert_same, random_stamp, run_tess_vetter
from tess_vetter.validation.checks_pixel_wrapped import ApertureDependenceCheck

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.aperture_dependence import METRICS, aperture_dependence

TOI_5807 = Ephemeris(14.2423724, 3540.26317, 4.046)
WASP_126 = Ephemeris(3.28878, 1327.5205, 3.49)


def field(dip: float, dip_pixel: tuple[int, int], n: int = 600) -> tuple[np.ndarray, np.ndarray, Ephemeris]:
    """11 x 11 pixels of 10 e-/s with 1000 in the central one; `dip_pixel` loses `dip` e-/s in transit."""
    time = 2000.0 + 0.01 * np.arange(n)
    ephemeris = Ephemeris(2.0, 2001.003, 4.8)
    flux = np.full((n, 11, 11), 10.0, dtype=np.float32)
    flux[:, 5, 5] = 1000.0
    flux[np.abs(ephemeris.time_from_transit(time)) <= 0.1, dip_pixel[0], dip_pixel[1]] -= dip
    return time, flux, ephemeris


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_200_random_stamps_agree_with_tess_vetter(start):
    for seed in range(start, start + 50):
        time, flux, ephemeris = random_stamp(seed)
        theirs = run_tess_vetter(ApertureDependenceCheck(), time, np.ascontiguousarray(flux), ephemeris)
        assert_same(aperture_dependence(time, flux, ephemeris), theirs)


@pytest.mark.real_data
def test_toi_5807_agrees_with_tess_vetter(shared_data: Path):
    with np.load(shared_data / "toi5807" / "sector83_tpf.npz") as data:
        time, flux = data["time"].astype(np.float64), data["flux"].astype(np.float32)
    theirs = run_tess_vetter(ApertureDependenceCheck(), time, flux, TOI_5807)
    assert_same(aperture_dependence(time, flux, TOI_5807), theirs)


@pytest.mark.real_data
def test_wasp_126_agrees_with_tess_vetter(shared_data: Path):
    for path in sorted((shared_data / "wasp126").glob("*_tp.fits.gz")):
        with fits.open(path) as file:
            table = file[1].data
            time = table["TIME"].astype(np.float64)
            good = np.isfinite(time) & (table["QUALITY"] & 175 == 0)
            flux = table["FLUX"][good].astype(np.float32)
        theirs = run_tess_vetter(ApertureDependenceCheck(), time[good], flux, WASP_126)
        assert_same(aperture_dependence(time[good], flux, WASP_126), theirs)


def test_a_dip_on_the_target_has_the_same_depth_in_every_aperture():
    result = aperture_dependence(*field(dip=9.9, dip_pixel=(5, 5)))
    # the annulus (10 e-/s a pixel) is taken off, so 990 e-/s of star remain in every circle
    np.testing.assert_allclose(result.depth_by_radius, 10_000.0, rtol=1e-5)
    assert result.stability_metric == pytest.approx(1.0, abs=1e-4)
    assert result.n_background_pixels == 44
    assert result.n_transit_epochs == 3
    assert result.flags == ()


def test_a_dip_beside_the_target_is_seen_only_by_apertures_that_reach_it():
    result = aperture_dependence(*field(dip=9.9, dip_pixel=(5, 7)))
    np.testing.assert_allclose(result.depth_by_radius, [0, 0, 10_000, 10_000, 10_000], rtol=1e-5, atol=1e-9)
    assert result.stability_metric < 0.5


def test_the_edge_of_the_transit_is_in_transit():
    time = 1024.0 + np.arange(256) / 64  # exact in binary: four transits of 8 cadences' length
    result = aperture_dependence(time, np.ones((256, 5, 5), dtype=np.float32), Ephemeris(1.0, 1024.5, 3.0))
    assert (result.n_in_transit_cadences, result.n_out_of_transit_cadences) == (4 * 9, 256 - 4 * 9)


def test_memory_order_does_not_change_a_figure():
    time, flux, ephemeris = field(dip=9.9, dip_pixel=(5, 6))
    flux += np.random.default_rng(2).normal(0, 3, flux.shape).astype(np.float32)
    pixel_major = np.ascontiguousarray(flux.transpose(1, 2, 0)).transpose(2, 0, 1)
    assert aperture_dependence(time, flux, ephemeris) == aperture_dependence(time, pixel_major, ephemeris)


def test_a_single_transit_is_a_transit_with_an_endless_period():
    time, flux, ephemeris = field(dip=9.9, dip_pixel=(5, 5))
    single = Ephemeris(0.0, ephemeris.t0_btjd, ephemeris.duration_hours)
    endless = Ephemeris(1e4, ephemeris.t0_btjd, ephemeris.duration_hours)
    found = aperture_dependence(time, flux, single)
    assert found == aperture_dependence(time, flux, endless)
    assert found.n_transit_epochs == 1
    assert "low_n_transit_epochs" in found.flags


def test_no_cadence_in_transit_is_skipped_with_empty_figures():
    time, flux, _ = field(dip=0.0, dip_pixel=(5, 5))
    result = aperture_dependence(time, flux, Ephemeris(500.0, 2200.0, 3.0))
    assert (result.status, result.flags) == ("skipped", ("INSUFFICIENT_DATA",))
    assert set(result.metrics()) == set(METRICS)
    assert set(result.metrics().values()) == {None}


def test_an_ephemeris_that_is_none_is_an_error_as_in_tess_vetter():
    time, flux, _ = field(dip=9.9, dip_pixel=(5, 5))
    always = Ephemeris(0.1, 2001.0, 2.5)
    assert_same(
        aperture_dependence(time, flux, always),
        run_tess_vetter(ApertureDependenceCheck(), time, flux, always),
    )
    assert aperture_dependence(time, flux, Ephemeris(2.0, 2001.0, -1.0)).status == "error"
