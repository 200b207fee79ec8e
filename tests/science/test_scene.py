"""The scene fit finds zero point and fluxes, with the official PRF and with one it learns from the stamp."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from batchvet.pixels.prf_files import read_prf
from batchvet.science.empirical_prf import fit_empirical_prf
from batchvet.science.prf import TabulatedPrf, spoc_prf
from batchvet.science.scene import fit_scene
from batchvet.science.stars import Star

SHAPE = (11, 11)
ROWS, COLS = np.indices(SHAPE)


def lopsided_table():
    """A core and a displaced halo, pixel-integrated by sums: a shape that no fitted form has."""
    axis = np.arange(-66, 67) / 9
    row, col = axis[:, None], axis[None, :]
    core = np.exp(-0.5 * ((row / 0.55) ** 2 + (col / 0.65) ** 2)) / (0.55 * 0.65)
    halo = np.exp(-0.5 * ((row - 0.45) ** 2 + (col + 0.3) ** 2) / 1.1**2) / 1.1**2
    fine = (0.75 * core + 0.25 * halo) / (2 * np.pi)
    sums = np.cumsum(np.cumsum(np.pad(fine, ((1, 0), (1, 0))), axis=0), axis=1)
    box = (sums[9:, 9:] - sums[:-9, 9:] - sums[9:, :-9] + sums[:-9, :-9]) / 81
    return box[4:-4, 4:-4]


TRUE = TabulatedPrf(lopsided_table(), 9, "spoc", 0.0)
STARS = (
    Star("a", 5.1, 4.8, 10.0, True),
    Star("b", 7.6, 6.9, 11.5, False),
    Star("c", 1.2, 8.8, 13.0, False),
    Star("d", -1.3, 3.0, 12.0, False),
)
FLUXES = np.array([1e4, 2.5e3, 7e2, 1.6e3])


def image_of(prf=TRUE, stars=STARS, fluxes=FLUXES, delta=(0.12, -0.07), noise=0.0, seed=0):
    image = 20.0 + 0.5 * ROWS - 0.3 * COLS
    for star, flux in zip(stars, fluxes, strict=True):
        image = image + flux * prf.image(star.row + delta[0], star.col + delta[1], SHAPE)
    return image + np.random.default_rng(seed).normal(0, 1, SHAPE) * noise


def test_true_prf_gives_zero_point_fluxes_and_background():
    scene = fit_scene(image_of(), np.full(SHAPE, 1.0), STARS, TRUE)
    assert (scene.delta_row, scene.delta_col) == pytest.approx((0.12, -0.07), abs=2e-3)
    assert scene.flux[:3] == pytest.approx(FLUXES[:3], rel=0.02)
    assert scene.model == pytest.approx(image_of(), abs=0.005 * image_of().max())
    assert scene.chi2_reduced < 0.1
    assert not scene.saturated.any()


def test_zero_point_error_covers_the_noise():
    z2 = []
    for seed in range(60):
        image = image_of(stars=STARS[:1], fluxes=FLUXES[:1], noise=60.0, seed=seed)
        scene = fit_scene(image, np.full(SHAPE, 60.0), STARS[:1], TRUE)
        offset = np.array([scene.delta_row - 0.12, scene.delta_col + 0.07])
        z2.append(offset @ np.linalg.solve(scene.delta_cov, offset))
    assert 0.5 < np.mean(z2) / 2 < 1.4


def test_zero_point_of_a_star_lost_in_noise_is_the_prior():
    for seed in range(5):
        image = image_of(stars=STARS[:1], fluxes=[20.0], noise=60.0, seed=seed)
        scene = fit_scene(image, np.full(SHAPE, 60.0), STARS[:1], TRUE)
        assert np.sqrt(np.diag(scene.delta_cov)) == pytest.approx(0.2, rel=0.3)
        assert np.hypot(scene.delta_row, scene.delta_col) < 0.4


@pytest.mark.parametrize("prf", [TRUE, None])
def test_flux_units_do_not_matter(prf):
    image, error = image_of(noise=1.0), np.full(SHAPE, 1.0)
    one, other = fit_scene(image, error, STARS, prf), fit_scene(1000 * image, 1000 * error, STARS, prf)
    assert other.delta_row == pytest.approx(one.delta_row, abs=1e-9)
    assert other.delta_cov == pytest.approx(one.delta_cov, rel=1e-6)
    assert other.flux == pytest.approx(1000 * one.flux, rel=1e-6)
    assert other.chi2_reduced == pytest.approx(one.chi2_reduced, rel=1e-6)


def test_pair_that_pixels_cannot_separate_follows_the_magnitudes():
    pair = (Star("a", 5.0, 5.0, 10.0, True), Star("b", 5.04, 5.0, 11.0, False))
    fluxes = np.array([1e4, 1e4 * 10**-0.4])
    scene = fit_scene(image_of(stars=pair, fluxes=fluxes, noise=20.0), np.full(SHAPE, 20.0), pair, TRUE)
    assert scene.flux == pytest.approx(fluxes, rel=0.15)
    assert scene.flux_err[1] > 0.05 * scene.flux[1]


@pytest.mark.parametrize("share", [0.0, 0.03])
def test_declared_place_beside_a_star_has_the_light_that_the_pixels_show_there(share):
    """No catalogue tells of any at a place a pixel off the star: little may be there, and the star does not move."""
    place = Star("a as declared", 5.1, 5.8, math.nan, True, is_listed=False)
    pair = (place, replace(STARS[0], is_target=False))
    image = image_of(stars=pair, fluxes=[share * FLUXES[0], FLUXES[0]])
    scene = fit_scene(image, np.full(SHAPE, 1.0), pair, TRUE)
    assert scene.flux[0] == pytest.approx(share * FLUXES[0], abs=0.002 * FLUXES[0])
    assert (scene.delta_row, scene.delta_col) == pytest.approx((0.12, -0.07), abs=2e-3)


def test_fluxes_are_never_negative():
    ghost = (*STARS, Star("ghost", 3.0, 2.0, 12.0, False))
    image = image_of() - 300 * TRUE.image(3.12, 1.93, SHAPE)
    assert (fit_scene(image, np.full(SHAPE, 1.0), ghost, TRUE).flux >= 0).all()


def test_dead_pixels_and_stars_that_the_table_lacks_do_not_move_the_zero_point():
    image = image_of() + 4000 * TRUE.image(9.0, 1.0, SHAPE)
    image[0] = np.nan
    scene = fit_scene(image, np.full(SHAPE, 1.0), STARS, TRUE)
    assert (scene.delta_row, scene.delta_col) == pytest.approx((0.12, -0.07), abs=0.03)
    assert np.isfinite(scene.model).all()


def dip_offset_arcsec(true, fitted, scene, places):
    """How far, without noise, a dip at each place comes out from where the scene's stars say it is."""
    offsets = []
    for row, col in places:
        dip = true.image(row + 0.12, col - 0.07, SHAPE)
        at = np.array([row + scene.delta_row, col + scene.delta_col])
        for _ in range(8):
            image, by_row, by_col = fitted.image_and_gradient(*at, SHAPE)
            design = np.column_stack([image.ravel(), by_row.ravel(), by_col.ravel()])
            flux, drow, dcol = np.linalg.lstsq(design, dip.ravel(), rcond=None)[0]
            at += np.clip([drow / flux, dcol / flux], -0.3, 0.3)
        offsets.append(21.0 * (at - [row + scene.delta_row, col + scene.delta_col]))
    return np.array(offsets)


PLACES = np.random.default_rng(5).uniform(2.0, 8.0, (12, 2))


def test_empirical_prf_places_a_dip_on_a_shape_it_does_not_know():
    scene = fit_scene(image_of(noise=1.0), np.full(SHAPE, 1.0), STARS, None)
    assert scene.prf.name == "empirical"
    assert np.sqrt(np.mean(dip_offset_arcsec(TRUE, scene.prf, scene, PLACES) ** 2)) < 0.4


def test_empirical_prf_of_a_saturated_or_empty_image_is_still_a_prf():
    image = np.full(SHAPE, np.nan)
    image[:2] = image_of()[:2]
    prf = fit_empirical_prf(image, np.full(SHAPE, 1.0), STARS)
    assert prf.table.sum() / prf.sampling**2 == pytest.approx(1.0)
    assert np.isfinite(prf.image(5.0, 5.0, SHAPE)).all()


@pytest.mark.real_data
def test_empirical_prf_places_a_dip_on_official_prfs(shared_data):
    """Four CCDs, 12 places on each, dips at 12 places in the stamp: better than 0.5" rms, where a Moffat has 1"."""
    rng = np.random.default_rng(8)
    offsets = []
    for sector, camera, ccd in ((1, 4, 1), (1, 4, 2), (5, 1, 1), (5, 3, 2)):
        nodes = read_prf(shared_data / "prf", sector, camera, ccd)
        for _ in range(12):
            true = spoc_prf(nodes, rng.uniform(1, 2048), rng.uniform(45, 2092))
            place = Star("a", *(5 + rng.uniform(-0.5, 0.5, 2)), 10.0, True)
            image = 1e4 * true.image(place.row + 0.12, place.col - 0.07, SHAPE)
            scene = fit_scene(image, np.full(SHAPE, 0.5), [place], None)
            offsets.append(dip_offset_arcsec(true, scene.prf, scene, PLACES))
    assert np.sqrt(np.mean(np.square(offsets))) < 0.5
