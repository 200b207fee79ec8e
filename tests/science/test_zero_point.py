"""Stars that seem to stand where the WCS does not have them: how far a zero point is believed, and what says so."""

from __future__ import annotations

import numpy as np
import pytest
from made_stamps import EPHEMERIS, SIGMA, made_stamp

from batchvet.catalog.candidate import Neighbour
from batchvet.science.localization import localize, trusted_zero_point
from batchvet.science.prf import TabulatedPrf
from batchvet.science.scene import Scene
from batchvet.science.stars import Star, StarField, TargetPosition
from batchvet.science.timeline import Transits

COVARIANCE = np.diag([0.01, 0.02]) ** 2


def made_prf(name="spoc"):
    """The star of the made stamps."""
    x = (np.arange(117) - 58) / 9
    profile = np.exp(-0.5 * (x / SIGMA) ** 2) / np.sqrt(2 * np.pi) / SIGMA
    return TabulatedPrf(np.outer(profile, profile), 9, name, 0.01)


def scene(row, col, name="spoc"):
    blank, flux = np.zeros((11, 11)), np.ones(1)
    star = Star("1", 5.0, 5.0, 10.0, is_target=True)
    return Scene((star,), flux, flux, row, col, COVARIANCE, blank, blank, 1.0, blank.astype(bool), made_prf(name))


@pytest.mark.parametrize("has_neighbours", [True, False])
@pytest.mark.parametrize(("name", "length"), [("spoc", 0.2), ("empirical", 0.45)])
def test_small_zero_point_is_taken_as_it_is(name, length, has_neighbours):
    fitted = scene(0.6 * length, -0.8 * length, name)
    assert trusted_zero_point(fitted, has_neighbours) is fitted


@pytest.mark.parametrize(("name", "large"), [("spoc", 0.25), ("empirical", 0.5)])
def test_what_a_large_zero_point_exceeds_is_an_error_where_a_table_tells_of_the_stars(name, large):
    found = trusted_zero_point(scene(0.6, -0.8, name), has_neighbours=True)
    assert (found.delta_row, found.delta_col) == (0.6, -0.8)
    assert found.delta_cov == pytest.approx(COVARIANCE + (1.0 - large) ** 2 * np.eye(2))


@pytest.mark.parametrize(("name", "large"), [("spoc", 0.25), ("empirical", 0.5)])
def test_large_zero_point_gives_way_to_the_wcs_without_a_table(name, large):
    found = trusted_zero_point(scene(0.6, -0.8, name), has_neighbours=False)
    assert (found.delta_row, found.delta_col) == (0.0, 0.0)
    assert found.delta_cov == pytest.approx(large**2 * np.eye(2))


@pytest.mark.parametrize("with_table", [True, False])
@pytest.mark.parametrize(("prf", "apart"), [(made_prf(), 0.4), (None, 1.0)])
def test_large_zero_point_is_flagged_with_a_table_and_without(prf, apart, with_table):
    """The star stands `apart` pixels from where the catalogue has it; the flag is of what was fitted, not believed."""
    stamp = made_stamp(days=12.0)

    def flags(distance):
        ra, dec = (float(x) for x in stamp.wcs.all_pix2world(5.0, 5.0 + distance, 0))
        table = [Neighbour("1", ra, dec, 10.0, epoch=stamp.epoch)] if with_table else None
        field = StarField(TargetPosition(1, ra, dec, 0.0, 0.0, 10.0), table)
        return localize(stamp, Transits(EPHEMERIS), field, prf).localization_flags

    assert "ZERO_POINT_LARGE" in flags(apart)
    assert "ZERO_POINT_LARGE" not in flags(0.1)
