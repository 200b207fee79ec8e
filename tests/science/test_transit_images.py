"""A transit image is the least-squares dip of every pixel, with an honest variance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_stamps import BITMASK, EPHEMERIS, dip_image, made_stamp, vetted

from batchvet.catalog.candidate import Ephemeris
from batchvet.errors import InsufficientData
from batchvet.science.difference_image import difference_image
from batchvet.science.localization_settings import DifferenceSettings
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.timeline import Transits
from batchvet.science.transit_images import transit_image
from batchvet.science.windows import WindowSettings, transit_windows


def windows(stamp, ephemeris=EPHEMERIS):
    pixels = SectorPixels.of(stamp, BITMASK)
    found, _ = transit_windows(pixels.timeline, Transits(ephemeris), WindowSettings())
    return pixels, found


def test_transit_image_is_the_least_squares_solution_pixel_by_pixel():
    stamp = made_stamp(seed=1, jitter=0.01)
    pixels, found = windows(stamp)
    window = found[0]
    image = transit_image(pixels, window)
    flux = stamp.flux.reshape(len(stamp.time), -1)[window.cadences].astype(float)
    pos = stamp.pos_corr[window.cadences].astype(float) - np.median(stamp.pos_corr[pixels.timeline.usable], axis=0)
    motion = [pos[:, 0], pos[:, 1], pos[:, 0] ** 2, pos[:, 0] * pos[:, 1], pos[:, 1] ** 2]
    design = np.column_stack([np.ones(len(window.u)), window.u, *motion, -window.m])
    expected = np.linalg.lstsq(design, flux, rcond=None)[0][-1]
    assert image.flux.ravel() == pytest.approx(expected, abs=1e-6)


def test_dip_without_noise_comes_back_exactly():
    stamp = made_stamp(noise=0.0, dtype=np.float64)
    image = transit_image(*(x if i == 0 else x[0] for i, x in enumerate(windows(stamp))))
    assert image.flux == pytest.approx(dip_image(), abs=0.02 * dip_image().max())
    assert image.n_in > 0 and image.n_out > 0 and not image.one_sided


def test_scatter_over_noise_is_one():
    z = []
    for seed in range(6):
        pixels, found = windows(made_stamp(seed=seed, depth=0.0))
        z += [transit_image(pixels, w).flux / np.sqrt(transit_image(pixels, w).variance) for w in found]
    assert np.std(z) == pytest.approx(1.0, abs=0.06)


def test_variance_is_not_below_the_pipelines_error():
    stamp = made_stamp(seed=2)
    pixels, found = windows(stamp)
    louder = replace(stamp, flux_err=stamp.flux_err * 3.0)
    ratio = (
        transit_image(SectorPixels.of(louder, BITMASK), found[0]).variance / transit_image(pixels, found[0]).variance
    )
    assert np.median(ratio) == pytest.approx(9.0, rel=0.1)


def test_pointing_columns_remove_the_jitter_of_a_bright_star():
    stamp = made_stamp(seed=3, jitter=0.02)
    without = replace(stamp, pos_corr=None)
    error = [
        np.sqrt(np.max(vetted(s).transits[0].variance))
        for s in (replace(stamp, flux_err=None), replace(without, flux_err=None))
    ]
    assert error[1] > 4.0 * error[0]  # 58 e-/s of jitter on the steepest pixel against 10 of noise


@pytest.mark.parametrize("pos_corr", ["absent", "zero"])
def test_missing_pointing_is_carried_by_the_covariance(pos_corr):
    stamp = made_stamp(seed=4, jitter=0.02)
    stamp = replace(stamp, pos_corr=None if pos_corr == "absent" else np.zeros_like(stamp.pos_corr))
    difference = vetted(stamp)
    assert "NO_POS_CORR" in difference.flags
    residual = (difference.flux - dip_image()).ravel()
    covariance = np.diag(difference.variance.ravel())
    covariance += difference.shapes @ difference.shape_cov @ difference.shapes.T
    chi2 = residual @ np.linalg.solve(covariance, residual)
    assert 0.5 < chi2 / residual.size < 1.4
    assert np.sum(residual**2 / difference.variance.ravel()) > chi2  # shared noise is more than the diagonal


def test_flux_units_do_not_matter():
    stamp = made_stamp(seed=5, jitter=0.005)
    scaled = replace(stamp, flux=stamp.flux * np.float32(1024), flux_err=stamp.flux_err * np.float32(1024))
    one, other = (vetted(s) for s in (stamp, scaled))
    assert other.flux / 1024 == pytest.approx(one.flux, rel=1e-6, abs=1e-9)
    assert np.sqrt(other.variance) / 1024 == pytest.approx(np.sqrt(one.variance), rel=1e-6)
    total = [d.shapes @ d.shape_cov @ d.shapes.T for d in (one, other)]
    assert total[1] / 1024**2 == pytest.approx(total[0], rel=1e-4, abs=1e-6 * np.abs(total[0]).max())
    assert other.transit_chi2 == pytest.approx(one.transit_chi2, rel=1e-6)
    assert other.flags == one.flags


def test_dead_pixels_are_nan_and_occasional_nan_cadences_do_not_count():
    stamp = made_stamp(seed=6)
    flux = stamp.flux.copy()
    flux[:, 0, 0] = np.nan
    flux[:, 10, :] = 0.0  # beyond the edge of the CCD
    flux[::50, 4, 4] = np.nan
    difference = vetted(replace(stamp, flux=flux))
    dead = np.zeros((11, 11), dtype=bool)
    dead[0, 0] = dead[10] = True
    assert (np.isnan(difference.flux) == dead).all()
    assert (np.isnan(difference.variance) == dead).all()
    assert not difference.shapes[dead.ravel()].any()


def test_no_usable_transit_is_an_error_with_its_reason():
    stamp = made_stamp(seed=7)
    with pytest.raises(InsufficientData, match="no transit falls into the sector") as caught:
        vetted(stamp, Ephemeris(0.0, 5000.0, 3.0))
    assert caught.value.kind == "no_transit"
    quality = np.where(np.abs(stamp.time - 1010.0) < 0.2, 1, 0).astype(np.int32)
    with pytest.raises(InsufficientData, match=r"cadences in transit") as caught:
        difference_image(
            replace(stamp, quality=quality), Transits(Ephemeris(0.0, 1010.0, 3.0)), 1, DifferenceSettings()
        )
    assert caught.value.kind == "gap"
    with pytest.raises(InsufficientData) as caught:
        vetted(replace(stamp, flux=np.full_like(stamp.flux, np.nan)))
    assert caught.value.kind == "no_pixels"
