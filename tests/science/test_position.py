"""A point source in a difference image: as exact as the noise allows, and honest about it."""

from __future__ import annotations

import numpy as np
import pytest
from made_evidence import SHAPE, made_image, made_prf

from batchvet.science.likelihood_map import with_the_rest
from batchvet.science.noisy_image import NoisyImage
from batchvet.science.position import SignificanceMap, fit_point_source


def located(rng, snr, place, **options):
    image, prf, flux = made_image(rng, snr, place, **options)
    return fit_point_source(image, SignificanceMap.of_stamp(image, prf, 0.5), prf), image, prf, flux


def test_products_with_the_inverse_covariance_are_those_of_the_dense_matrix():
    rng = np.random.default_rng(1)
    flux, variance = rng.normal(size=SHAPE), rng.uniform(0.5, 2, SHAPE)
    shapes = rng.normal(size=(121, 3)) * [1.0, 1e3, 1e-4]
    root = rng.normal(size=(3, 3))
    shape_cov = root @ root.T / np.outer([1.0, 1e3, 1e-4], [1.0, 1e3, 1e-4])
    image = NoisyImage.build(flux, variance, shapes, shape_cov)
    dense = np.linalg.inv(np.diag(variance.ravel()) + shapes @ shape_cov @ shapes.T)
    probes = rng.normal(size=(2, *SHAPE))
    flat = probes.reshape(2, -1)
    assert image.score(probes) == pytest.approx(flat @ dense @ flux.ravel(), rel=1e-9)
    assert image.information(probes) == pytest.approx(flat @ dense @ flat.T, rel=1e-9)
    assert image.chi2 == pytest.approx(flux.ravel() @ dense @ flux.ravel(), rel=1e-9)
    assert image.log_determinant == pytest.approx(-np.linalg.slogdet(dense)[1] - np.log(variance).sum(), rel=1e-9)


def test_pixels_without_data_count_for_nothing():
    rng = np.random.default_rng(2)
    flux, shapes = rng.normal(size=SHAPE), np.ones((121, 1))
    flux[3, 4] = np.nan
    image = NoisyImage.build(flux, np.ones(SHAPE), shapes, np.eye(1))
    assert image.n_pixels == 120
    assert np.isfinite(image.chi2)


def test_noiseless_dip_is_found_where_it_is():
    prf = made_prf()
    for place in ((5.3, 4.8), (1.1, 8.9), (0.0, 5.5)):
        data = 1e4 * prf.image(*place, SHAPE)
        image = NoisyImage.build(data, np.ones(SHAPE), np.ones((121, 1)), np.full((1, 1), 1e-6))
        found = fit_point_source(image, SignificanceMap.of_stamp(image, prf, 0.5), prf)
        assert (found.row, found.col) == pytest.approx(place, abs=1e-3)
        assert found.flux == pytest.approx(1e4, rel=1e-4)


@pytest.mark.parametrize("snr", [8.0, 20.0])
def test_error_reaches_the_cramer_rao_limit_and_the_ellipses_cover(snr):
    rng, n = np.random.default_rng(3), 150
    of_limit, squares = [], []
    for _ in range(n):
        place = 5 + rng.uniform(-1, 1, 2)
        found, image, prf, flux = located(rng, snr, place)
        error = np.array([found.row, found.col]) - place
        derivatives = np.stack(prf.image_and_gradient(*place, SHAPE)) * np.array([1, flux, flux])[:, None, None]
        limit = np.linalg.inv(image.information(derivatives))[1:, 1:]
        of_limit.append(error @ np.linalg.solve(limit, error))
        squares.append(error @ np.linalg.solve(found.covariance, error))
    assert np.mean(of_limit) / 2 < 1.15**2
    assert np.mean(np.array(squares) < 2.279) == pytest.approx(0.68, abs=0.09)
    assert np.mean(np.array(squares) < 5.991) == pytest.approx(0.95, abs=0.045)


def test_jitter_that_looks_like_a_shift_widens_the_ellipse_as_much_as_it_moves_the_dip():
    rng, squares, error = np.random.default_rng(4), [], []
    for _ in range(80):
        place = 5 + rng.uniform(-1, 1, 2)
        found, *_ = located(rng, 20.0, place, jitter=0.12)
        shift = np.array([found.row, found.col]) - place
        error.append(np.hypot(*shift))
        squares.append(shift @ np.linalg.solve(found.covariance, shift))
    assert np.median(error) > 0.1  # twice what white noise alone gives
    assert np.mean(np.array(squares) < 5.991) > 0.9


def test_no_dip_gives_a_finite_answer_of_low_significance():
    image = NoisyImage.build(np.full(SHAPE, -1.0), np.ones(SHAPE), np.zeros((121, 1)), np.eye(1))
    prf = made_prf()
    found = fit_point_source(image, SignificanceMap.of_stamp(image, prf, 0.5), prf)
    assert found.flux == 0.0
    assert found.snr <= 0.0
    assert np.isfinite(found.covariance).all()


def test_covariance_with_the_rest_is_that_of_the_whole_likelihood():
    """Two Gaussians, one of them known by its moments only, against sums over one fine grid of both."""
    axis = np.arange(-30, 30, 0.05)
    places = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    near = np.exp(-0.5 * np.sum((places - [1.0, 0.0]) ** 2, axis=-1))
    far = 0.1 * np.exp(-0.5 * np.sum(((places - [12.0, -9.0]) / 2.0) ** 2, axis=-1))
    inside = np.all(np.abs(places) < 6.0, axis=-1)
    together, mean = near + far, np.array([1.0, 0.0])
    away = places - mean
    whole = np.einsum("ij,ijk,ijl->kl", together, away, away) / together.sum()
    covariance = with_the_rest(
        mean, np.eye(2), np.log(near.sum()), places[~inside], np.log(np.maximum(together[~inside], 1e-300))
    )
    assert covariance == pytest.approx(whole, rel=1e-3, abs=1e-3)


def test_dip_that_is_hardly_seen_may_be_anywhere():
    """At SNR 3 noise is often higher somewhere else: the 95 % ellipse has to reach there."""
    rng, inside, n = np.random.default_rng(8), 0, 100
    for _ in range(n):
        place = 5 + rng.uniform(-1, 1, 2)
        found, *_ = located(rng, 3.0, place)
        error = np.array([found.row, found.col]) - place
        inside += error @ np.linalg.solve(found.covariance, error) < 5.99
    assert inside / n > 0.88
