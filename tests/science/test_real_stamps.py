"""Real pixels with known answers: both dips are on their targets, by windows, PRF and scene alone."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.catalog.candidate import Ephemeris
from batchvet.pixels.prf_files import find_prf
from batchvet.pixels.tpf import read_tpf
from batchvet.science.difference_image import difference_image
from batchvet.science.localization_settings import DifferenceSettings
from batchvet.science.prf import TabulatedPrf, spoc_prf
from batchvet.science.scene import fit_scene
from batchvet.science.stars import StarField, TargetPosition, find_target, place_stars
from batchvet.science.timeline import Transits

pytestmark = pytest.mark.real_data

WASP126 = Ephemeris(3.28878, 1327.5205, 3.49)
TOI5807 = Ephemeris(14.2423724, 3540.26317, 4.046)
BITMASK = 17087


@pytest.fixture(scope="module", params=[1, 2])
def wasp126(request, shared_data):
    path = next((shared_data / "wasp126").glob(f"*-s{request.param:04d}-*_tp.fits.gz"))
    stamp = read_tpf(path)
    return stamp, difference_image(stamp, Transits(WASP126), BITMASK, DifferenceSettings())


def official_prf(stamp, shared_data):
    nodes = find_prf(shared_data / "prf", stamp.sector, stamp.camera, stamp.ccd)
    return spoc_prf(nodes, stamp.row + (stamp.shape[0] - 1) / 2, stamp.column + (stamp.shape[1] - 1) / 2)


def dip_position(difference, prf, start):
    """Weighted fit of one PRF and a plane to the difference image, (row, col)."""
    place, weight = np.array(start), 1.0 / np.sqrt(difference.variance.ravel())
    for _ in range(10):
        images = prf.image_and_gradient(*place, difference.flux.shape)
        design = np.column_stack([*(x.ravel() for x in images), difference.shapes[:, :3]]) * weight[:, None]
        solution = np.linalg.lstsq(design, difference.flux.ravel() * weight, rcond=None)[0]
        place += np.clip(solution[1:3] / solution[0], -0.3, 0.3)
    return place


@pytest.mark.parametrize("source", ["spoc", "empirical"])
def test_wasp126_transits_lie_on_the_target(wasp126, shared_data, source):
    stamp, difference = wasp126
    assert difference.n_transits == 8
    stars = place_stars(stamp, find_target(stamp, StarField(TargetPosition(25155310))), None)
    prf = official_prf(stamp, shared_data) if source == "spoc" else None
    scene = fit_scene(difference.out_of_transit, difference.out_of_transit_error, stars, prf)
    assert scene.prf.name == source
    target = np.array([stars[0].row + scene.delta_row, stars[0].col + scene.delta_col])
    shift = dip_position(difference, scene.prf, target) - target
    assert np.hypot(*shift) < 0.06
    assert np.hypot(*shift) * 21 < 1.0


def test_wasp126_transits_scatter_as_the_null_epochs_say(wasp126):
    _, difference = wasp126
    assert difference.transit_chi2 / difference.transit_dof == pytest.approx(1.0, abs=0.1)
    assert "TRANSITS_DISAGREE" not in difference.flags


def test_wasp126_depth_is_that_of_the_light_curve(wasp126):
    _, difference = wasp126
    core = difference.out_of_transit > 0.05 * difference.out_of_transit.max()
    assert difference.flux[core].sum() / difference.out_of_transit[core].sum() == pytest.approx(0.0066, rel=0.08)


def test_official_prf_fits_as_published_and_not_turned(wasp126, shared_data):
    """A transposed or mirrored table, or one shifted by half a pixel's samples, explains the star worse."""
    stamp, difference = wasp126
    prf = official_prf(stamp, shared_data)
    stars = place_stars(stamp, find_target(stamp, StarField(TargetPosition(25155310))), None)

    def misfit(table):
        turned = TabulatedPrf(np.ascontiguousarray(table), 9, "spoc", 0.0)
        return fit_scene(difference.out_of_transit, difference.out_of_transit_error, stars, turned).chi2_reduced

    right = misfit(prf.table)
    assert all(misfit(table) > 1.2 * right for table in (prf.table.T, prf.table[::-1], prf.table[:, ::-1]))


def test_zero_point_of_the_official_prf_is_small(wasp126, shared_data):
    stamp, difference = wasp126
    stars = place_stars(stamp, find_target(stamp, StarField(TargetPosition(25155310))), None)
    scene = fit_scene(
        difference.out_of_transit, difference.out_of_transit_error, stars, official_prf(stamp, shared_data)
    )
    assert np.hypot(scene.delta_row, scene.delta_col) < 0.12


def test_toi5807_dip_lies_near_the_target(pixels, shared_data):
    stamp = pixels.toi5807_stamp(shared_data)
    difference = difference_image(stamp, Transits(TOI5807), BITMASK, DifferenceSettings())
    assert "NO_POS_CORR" in difference.flags
    stars = place_stars(stamp, find_target(stamp, StarField(TargetPosition(188646744))), None)
    scene = fit_scene(difference.out_of_transit, difference.out_of_transit_error, stars)
    target = np.array([stars[0].row + scene.delta_row, stars[0].col + scene.delta_col])
    assert np.hypot(*(dip_position(difference, scene.prf, target) - target)) < 0.3
