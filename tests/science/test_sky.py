"""Pixels become arcseconds east and north as the stamp's own WCS says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from made_stamps import made_stamp

from batchvet.catalog.candidate import Neighbour
from batchvet.science.sky import SkyFrame, from_tangent_plane, tangent_plane
from batchvet.science.stars import (
    FoundTarget,
    StarField,
    TargetPosition,
    find_target,
    place_stars,
    relative_fluxes,
    saturated_pixels,
)


@pytest.fixture(scope="module")
def stamp():
    return made_stamp(days=2.0)


def at(stamp, row, col):
    ra, dec = stamp.wcs.all_pix2world(col, row, 0)
    return SkyCoord(float(ra), float(dec), unit="deg")


@pytest.mark.parametrize("shift", [(1.0, 0.0), (0.0, 1.0), (-2.0, 3.0)])
def test_offset_agrees_with_astropy(stamp, shift):
    here = at(stamp, 4.7, 5.2)
    sky = SkyFrame.at(stamp, here.ra.deg, here.dec.deg)
    there = at(stamp, 4.7 + shift[0], 5.2 + shift[1])
    east, north = here.spherical_offsets_to(there)
    assert sky.target == pytest.approx((4.7, 5.2))
    assert sky.offset(sky.target + shift) == pytest.approx((east.arcsec, north.arcsec), abs=0.01)
    assert sky.displacement(east.arcsec, north.arcsec) == pytest.approx(shift, abs=1e-3)


def test_east_is_the_side_of_larger_right_ascension(stamp):
    here = at(stamp, 5.0, 5.0)
    sky = SkyFrame.at(stamp, here.ra.deg, here.dec.deg)
    col, row = stamp.wcs.all_world2pix(here.ra.deg + 0.005, here.dec.deg, 0)
    east, north = sky.offset(np.array([row, col]))
    assert east == pytest.approx(0.005 * 3600 * math.cos(here.dec.rad), rel=1e-3)
    assert north == pytest.approx(0.0, abs=0.01)


def test_position_undoes_the_tangent_plane():
    ra, dec = from_tangent_plane(35.0, -120.0, 359.999, 70.0)
    assert tangent_plane(ra, dec, 359.999, 70.0) == pytest.approx((35.0, -120.0), abs=1e-6)
    assert ra < 1.0  # over the meridian


def test_covariance_turns_with_the_stamp(stamp):
    sky = SkyFrame.at(stamp, 120.0, -40.0)
    along_row = sky.offset_covariance(np.diag([1.0, 0.0]))
    assert along_row == pytest.approx(np.outer(sky.sky_from_pixel[:, 0], sky.sky_from_pixel[:, 0]))


def declared(place, tmag=math.nan):
    """The target at mid-sector, TIC 1."""
    return Neighbour("1", place.ra.deg, place.dec.deg, tmag)


def neighbour(name, stamp, row, col, tmag, **motion):
    place = at(stamp, row, col)
    return Neighbour(name, place.ra.deg, place.dec.deg, tmag, epoch=stamp.epoch, **motion)


def test_stars_lie_where_the_table_says(stamp):
    here = at(stamp, 5.0, 5.0)
    table = [
        neighbour("faint", stamp, 8.0, 2.0, 15.0),
        neighbour("target", stamp, 5.0, 5.0, 10.0),
        neighbour("bright", stamp, 1.0, 9.5, 12.0),
        neighbour("beside", stamp, -2.5, 5.0, 13.0),
        neighbour("far", stamp, 30.0, 5.0, 5.0),
    ]
    found = find_target(stamp, StarField(TargetPosition(1, here.ra.deg, here.dec.deg, 0.0, 0.0, 10.1), table))
    stars = place_stars(stamp, found, table)
    assert [s.source_id for s in stars] == ["target", "bright", "beside", "faint"]
    assert [s.is_target for s in stars] == [True, False, False, False]
    assert (stars[1].row, stars[1].col) == pytest.approx((1.0, 9.5))
    east, north = here.spherical_offsets_to(at(stamp, 1.0, 9.5))
    assert (stars[1].east, stars[1].north) == pytest.approx((east.arcsec, north.arcsec), abs=1e-3)


def test_stars_move_to_mid_sector(stamp):
    here = at(stamp, 5.0, 5.0)
    place = at(stamp, 8.0, 8.0)
    years = stamp.epoch - 2000.0
    moving = Neighbour("m", place.ra.deg, place.dec.deg - years * 1000 / 3.6e6, 12.0, pmdec=1000.0, epoch=2000.0)
    star = place_stars(stamp, FoundTarget(declared(here), False), [moving])[1]
    assert (star.row, star.col) == pytest.approx((8.0, 8.0), abs=1e-3)


def test_target_is_known_by_name_before_place(stamp):
    here = at(stamp, 5.0, 5.0)
    table = [neighbour("7", stamp, 5.01, 5.0, 10.0), neighbour("1", stamp, 5.05, 5.0, 10.0)]
    stars = place_stars(stamp, FoundTarget(declared(here, 10.0), False), table)
    assert stars[0].source_id == "1" and [s.source_id for s in stars[1:]] == ["7"]


def test_target_missing_from_the_table_is_added(stamp):
    here = at(stamp, 5.0, 5.0)
    stars = place_stars(stamp, FoundTarget(declared(here, 10.0), False), [neighbour("7", stamp, 5.0, 6.0, 10.0)])
    assert [(s.source_id, s.is_target) for s in stars] == [("1", True), ("7", False)]


def test_no_table_leaves_the_target_alone(stamp):
    stars = place_stars(
        replace(stamp, tmag=9.0), FoundTarget(declared(SkyCoord(120.0, -40.0, unit="deg")), False), None
    )
    assert len(stars) == 1 and stars[0].is_target
    assert relative_fluxes(stars) == pytest.approx([1.0])


def test_only_a_bright_star_saturates_in_whatever_units(stamp):
    image = np.full((11, 11), 100.0)
    image[2:9, 5] = 1.5e5
    here = SkyCoord(120.0, -40.0, unit="deg")
    star = place_stars(stamp, FoundTarget(declared(here, 6.0), False), None)
    full = saturated_pixels(image, star)
    assert full[1:10, 5].all() and not full[:, :3].any()
    assert (saturated_pixels(image * 1000, star) == full).all()
    faint = place_stars(stamp, FoundTarget(declared(here, 10.0), False), None)
    assert not saturated_pixels(image * 1000, faint).any()
