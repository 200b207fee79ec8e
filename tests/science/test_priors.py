"""What is thought of every hypothesis before the pixels are asked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchvet.science.priors import (
    APERTURE_ARCSEC,
    Priors,
    TableDepth,
    aperture_weight,
    density_at,
    galactic_latitude,
    log_priors,
)

DENSITY_AT_18 = 2.0 / 60.0**2  # stars per arcsec²


def made_field(rng, limit, *, radius=180.0, slope=0.3):
    """Magnitudes and distances of the stars of a field down to `limit`, whose numbers grow as 10^(slope m)."""
    deepest = 22.0
    n = rng.poisson(DENSITY_AT_18 * 10 ** (slope * (deepest - 18.0)) * math.pi * radius**2)
    tmag = deepest + np.log10(rng.random(n)) / slope
    distance = radius * np.sqrt(rng.random(n))
    return tmag[tmag < limit], distance[tmag < limit]


def test_density_of_the_sky():
    """A thousand stars of Tmag < 16 a square degree at the poles, twenty times that in the plane, and its growth."""
    square_degree = 3600.0**2
    assert density_at(16.0, 90.0) * square_degree == pytest.approx(1.05e3, rel=0.01)
    assert density_at(16.0, 0.0) * square_degree == pytest.approx(2.1e4, rel=0.01)
    assert density_at(16.0, -40.0) == density_at(16.0, 40.0)
    latitudes = [density_at(17.0, b) for b in (0.0, 5.0, 20.0, 50.0, 90.0)]
    assert np.all(np.diff(latitudes) < 0)
    assert density_at(18.0 + 10 / 3, 30.0) / density_at(18.0, 30.0) == pytest.approx(10.0)
    assert density_at(-math.inf, 30.0) == 0.0


@pytest.mark.parametrize(
    ("ra", "dec", "latitude"),
    [(192.85948, 27.12825, 90.0), (266.40499, -28.93617, 0.0), (0.0, 90.0, 27.12825), (12.85948, -27.12825, -90.0)],
)
def test_galactic_latitude_of_known_places(ra, dec, latitude):
    """Both poles, the centre of the galaxy and the pole of the sky."""
    assert galactic_latitude(ra, dec) == pytest.approx(latitude, abs=2e-3)


@pytest.mark.parametrize("limit", [19.5, 17.5])
def test_depth_of_a_long_table_is_counted(limit):
    tmag, distance = made_field(np.random.default_rng(1), limit)
    table = TableDepth.of(tmag, distance, 60.0)
    assert len(tmag) > 30
    assert limit - 0.2 < table.limit_tmag <= limit
    expected = DENSITY_AT_18 * 10 ** (0.3 * (table.limit_tmag - 18.0))
    assert table.density == pytest.approx(expected, rel=4 / math.sqrt(len(tmag)))


def test_stars_missing_from_a_shallow_table_are_those_that_the_field_has():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(40):
        tmag, distance = made_field(rng, 17.0, radius=240.0)
        found.append(TableDepth.of(tmag, distance, 60.0).unlisted(20.0))
    area = 2 * math.pi * APERTURE_ARCSEC**2 + 0.03 * 230.0**2
    expected = (DENSITY_AT_18 * 10**0.6 - DENSITY_AT_18 * 10**-0.3) * area
    assert np.mean(found) == pytest.approx(expected, rel=0.15)


def test_short_table_takes_the_density_of_the_sky():
    """Two stars do not tell how many there are: two faint ones by chance would make a crowd."""
    table = TableDepth.of(np.array([10.0, 14.0, math.nan]), np.array([0.0, 5.0, 7.0]), 30.0)
    assert table.limit_tmag == 14.0
    assert table.density == density_at(14.0, 30.0)
    empty = TableDepth.of(np.array([math.nan]), np.array([0.0]), 30.0)
    assert empty.limit_tmag == -math.inf


@pytest.mark.parametrize("table", [TableDepth(16.0, 1e-4, 60.0), TableDepth(-math.inf, 0.0, 60.0)])
def test_fainter_able_stars_are_more(table):
    magnitudes = np.linspace(8.0, 24.0, 65)
    weight = np.array([table.unlisted(m) for m in magnitudes])
    assert np.all(np.diff(weight) >= 0)
    assert np.all(np.diff(weight[magnitudes > 16.0]) > 0)
    assert np.all(weight[magnitudes <= table.limit_tmag] == 0)
    assert table.unlisted(math.nan) == 0.0


@pytest.mark.parametrize("unlisted", [0.0, 0.02, 0.5, 30.0])
@pytest.mark.parametrize("n", [1, 2, 5, 60])
def test_priors_of_all_that_can_be_are_at_most_one(n, unlisted):
    """Of the target, the able stars, those that the table lacks, and an artefact; and nobody's is negative."""
    rng, priors = np.random.default_rng(n), Priors()
    for able in (np.ones(n, dtype=bool), rng.random(n) < 0.5, np.arange(n) == 0):
        able[0] = True
        is_target = np.arange(n) == 0
        weight = aperture_weight(*(rng.normal(0, 60, (2, n)) * ~is_target))
        of_hosts, not_in_table = log_priors(weight, is_target, able, unlisted, priors)
        total = np.exp(of_hosts[able]).sum() + math.exp(not_in_table) + priors.artefact
        assert total == pytest.approx(1.0, abs=1e-9)
        assert math.exp(not_in_table) >= priors.not_in_table
        if able.sum() > 1:
            assert math.exp(of_hosts[0]) == pytest.approx(priors.target * (1 - priors.not_in_table - priors.artefact))


def test_more_missing_stars_make_listed_ones_less_likely():
    weight, is_target, able = np.array([1.03, 0.5, 0.2]), np.array([True, False, False]), np.ones(3, dtype=bool)
    few, many = (log_priors(weight, is_target, able, missing, Priors()) for missing in (0.01, 1.0))
    assert np.all(many[0][1:] < few[0][1:])
    assert many[1] > few[1]
    assert few[0][1] - few[0][2] == pytest.approx(math.log(0.5 / 0.2))
