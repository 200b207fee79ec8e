"""What judging works out for all places, stars and sectors at once is what its definition gives one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_evidence import made_evidence
from scipy.ndimage import map_coordinates

from batchvet.science.evidence import EVERY
from batchvet.science.joint_position import _log_density, _over_the_sky, _Window
from batchvet.science.likelihood_map import log_sum, with_the_rest
from batchvet.science.sky import from_tangent_plane
from batchvet.science.sky_likelihood import (
    _padded,
    all_sectors,
    joint_log_likelihood,
    starts_of,
    trust,
    with_doubt,
)
from batchvet.science.star_likelihoods import StarLikelihoods
from batchvet.science.star_verdicts import _overlaps

STARS = [(0.0, 0.0, 11.0), (30.0, 20.0, 12.5), (-25.0, 8.0, 14.0), (4.0, -60.0, 15.0)]


@pytest.fixture(scope="module")
def evidence():
    """Three sectors; the last finds the dip late, and fits worse than its noise allows."""
    found = made_evidence(np.random.default_rng(1), STARS, (3.0, 2.0), 25.0)
    found[2] = replace(found[2], timing_price=1.5, dip=replace(found[2].dip, chi2_reduced=2.0))
    return found


@pytest.fixture(scope="module")
def places():
    """Near the dip, across the stamps, and off them."""
    rng = np.random.default_rng(2)
    return np.concatenate([rng.normal(0, scale, (30, 2)) for scale in (3.0, 30.0, 200.0)])


def test_what_a_sector_says_of_a_place_comes_from_the_finest_map_that_has_it(evidence, places):
    for found, sector in zip(evidence, all_sectors(evidence), strict=True):
        maps, scale = found.maps, found.noise_scale
        each_map = zip(
            (maps.peak, maps.near, maps.stamp),
            (maps.peak_information, maps.near_information, maps.stamp_information),
            reversed(EVERY),
            (3, 3, 1),
            strict=True,
        )
        each_map = list(each_map)
        mean, own = maps.peak.moments(scale)
        inverse = np.linalg.inv(own + found.dip.systematic)
        factor = np.trace(own) / np.trace(own + found.dip.systematic)
        best = maps.peak.values.max() ** 2 / scale
        used = set()
        for place, snr, weight in zip(places, *sector.dip(places), strict=True):
            pixel = found.frame.target + np.linalg.solve(found.frame.sky_from_pixel, place)
            s, number = 0.0, 2
            for n, (each, *_) in enumerate(each_map):
                node = (pixel - each.start) / each.step
                if np.all((node >= 0) & (node <= np.array(each.values.shape) - 1)):
                    s, number = float(map_coordinates(each.values / math.sqrt(scale), node[:, None])[0]), n
                    used.add(n)
                    break
            each, information, every, order = each_map[number]
            stored = (pixel - each.start) / each.step / every + (12 if order == 3 else 0)
            padded = np.pad(information, 12, mode="edge") if order == 3 else information
            known = float(map_coordinates(padded, stored[:, None], order=order, mode="nearest")[0])
            if s > 0:
                below = max(best - s**2, 0.0)
                below = max(factor * below, min(below, (pixel - mean) @ inverse @ (pixel - mean)))
                s = math.sqrt(max(best - below, 0.0))
            assert snr == pytest.approx(s, rel=1e-9, abs=1e-9)
            assert weight == pytest.approx(math.sqrt(max(known / scale, 0.0)), rel=1e-9)
        assert used == {0, 1, 2}


def test_the_joint_likelihood_is_that_of_every_place_by_itself(evidence, places):
    for chosen in (evidence, evidence[:1]):
        sectors = all_sectors(chosen)
        found = joint_log_likelihood(sectors, places.reshape(9, 10, 2)).ravel()
        for place, value in zip(places, found, strict=True):
            dips = [sector.dip(place) for sector in sectors]
            best = -math.inf
            for start in starts_of(sectors):
                share = start.tolist()
                for _ in range(3):
                    score = sum(r * float(s * w) for r, (s, w) in zip(share, dips, strict=True))
                    power = sum(r * float(w) ** 2 for r, (_, w) in zip(share, dips, strict=True))
                    flux = np.array(max(score, 0.0) / max(power, 1e-300))
                    each = [float(one.log_likelihood(*dip, flux)) for one, dip in zip(sectors, dips, strict=True)]
                    if len(sectors) == 1:
                        best = max(best, each[0])
                        continue
                    doubts = [one.doubt for one in sectors]
                    mixed = [float(np.logaddexp(d[0] + x, d[1])) for x, d in zip(each, doubts, strict=True)]
                    share = [math.exp(d[0] + x - m) for x, m, d in zip(each, mixed, doubts, strict=True)]
                    best = max(best, sum(mixed))
            assert value == pytest.approx(best, rel=1e-10, abs=1e-10)


def test_where_no_sector_has_a_map_the_likelihood_is_everywhere_that_of_no_dip():
    found = made_evidence(np.random.default_rng(1), STARS, (105.0, 95.0), 25.0)  # its maps go beyond the stamp's
    axis = np.linspace(-250.0, 250.0, 101)
    offsets = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    for chosen in (found, found[:1], found[1:2], found[2:]):
        sectors = all_sectors(chosen)
        known, reached = (
            np.any([getattr(sector, name)(offsets) for sector in sectors], axis=0) for name in ("knows", "reaches")
        )
        assert 0.1 < known.mean() < 0.9 and (known | ~reached).all()
        assert np.array_equal(_over_the_sky(sectors, offsets), joint_log_likelihood(sectors, offsets))
    assert any((sector.knows(offsets) & ~sector.reaches(offsets)).any() for sector in all_sectors(found))


def test_moments_of_a_window_are_sums_over_its_nodes(evidence):
    sectors = all_sectors(evidence)
    window = _Window.of(sectors, np.array([2.0, 1.0]), 12.0)
    step = 24.0 / 40
    axis = np.arange(41) * step - 12.0
    offsets = np.array([(2.0 + east, 1.0 + north) for east in axis for north in axis])
    log_like = joint_log_likelihood(sectors, offsets)
    weight = np.exp(log_like - log_like.max())
    mean = sum(w * place for w, place in zip(weight, offsets, strict=True)) / weight.sum()
    spread = sum(w * np.outer(place - mean, place - mean) for w, place in zip(weight, offsets, strict=True))
    found, covariance = window.moments()
    assert found == pytest.approx(mean, rel=1e-10)
    assert covariance == pytest.approx(spread / weight.sum() + np.eye(2) * step**2 / 12, rel=1e-10)
    inside, unlisted = window.log_integrals(5e4)
    assert inside == pytest.approx(np.logaddexp.reduce(log_like) + 2 * math.log(step))
    density = _log_density(offsets, 5e4)
    assert unlisted == pytest.approx(np.logaddexp.reduce(log_like + density) + 2 * math.log(step))


def test_a_sector_that_may_be_wrong_is_a_sum_of_two_likelihoods():
    values = np.concatenate([np.linspace(-30.0, 30.0, 61), [-1e4, 1e4]])
    for otherwise in (-3.0, 5.0):
        mixed = np.logaddexp(values - 0.1, otherwise)
        assert with_doubt(values, -0.1, otherwise) == pytest.approx(mixed, rel=1e-14, abs=1e-14)
        assert trust(values, -0.1, otherwise) == pytest.approx(np.exp(values - 0.1 - mixed), rel=1e-12)


def test_log_sum_is_that_of_logaddexp():
    values = np.random.default_rng(3).normal(0.0, 300.0, (4, 5, 25))
    assert log_sum(values) == pytest.approx(np.logaddexp.reduce(values, axis=-1), rel=1e-14)
    assert log_sum(np.array([])) == log_sum(np.full(3, -np.inf)) == -np.inf
    assert log_sum(np.array([-np.inf, 2.0])) == 2.0


def test_padding_is_numpys():
    grid = np.random.default_rng(4).random((5, 11))
    assert np.array_equal(_padded(grid), np.pad(grid, 12, mode="edge"))


def test_the_rest_of_the_sky_widens_a_covariance_place_by_place():
    rng = np.random.default_rng(5)
    mean, covariance, log_outside = np.array([1.0, 2.0]), np.diag([2.0, 3.0]), rng.normal(-3.0, 1.0, 50)
    places = rng.normal(0.0, 40.0, (50, 2))
    weight = np.exp(log_outside - 0.5)
    outer = sum(w * np.outer(place - mean, place - mean) for w, place in zip(weight, places, strict=True))
    expected = (covariance + outer) / (1.0 + weight.sum())
    assert with_the_rest(mean, covariance, 0.5, places, log_outside) == pytest.approx(expected, rel=1e-12)


def test_stars_overlap_by_their_distances_pair_by_pair(evidence):
    sectors = all_sectors(evidence)
    stars = StarLikelihoods.of(sectors, evidence[0].hosts.source_id)
    chosen = np.arange(len(evidence[0].hosts.source_id))
    found = _overlaps(stars, sectors[0], chosen, 0)
    information = stars.information[:, 0]
    width = information[:, 1:, 1:].mean(axis=0) / information[:, 0, 0].mean()
    to_pixel = np.linalg.inv(evidence[0].frame.sky_from_pixel)
    for i in chosen:
        for k in chosen:
            apart = to_pixel @ (stars.offset[i, 0] - stars.offset[k, 0])
            assert found[i, k] == pytest.approx(math.exp(-0.5 * apart @ width @ apart), rel=1e-9)


def test_places_on_the_sky_are_worked_out_together():
    east, north = np.random.default_rng(6).normal(0.0, 100.0, (2, 20))
    ra, dec = from_tangent_plane(east, north, 359.99, -70.0)
    for place in zip(east, north, ra, dec, strict=True):
        assert from_tangent_plane(*place[:2], 359.99, -70.0) == pytest.approx(place[2:], rel=1e-14)
