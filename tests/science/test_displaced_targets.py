"""A place beside a star, declared under the star's number: the dip is the star's, at the star's place."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_scenes import CLEAN, simulated_prf

from batchvet.catalog.candidate import Candidate, Neighbour
from batchvet.science.joint import vet_candidate
from batchvet.science.localization import localize
from batchvet.science.stars import StarField, TargetPosition
from batchvet.science.timeline import Transits
from batchvet.simulate import draw_scene, simulate_stamp
from batchvet.simulate.sky import at_offset

SCENES = replace(CLEAN, scenario="on_target", snr_range=(150.0, 200.0), tmag_range=(9.5, 11.0))


def is_the_stars(verdict, name, east, north):
    """Off the place that is declared `east` and `north` (arcsec) of the star, and within an arcsecond on the star."""
    assert verdict.verdict == "OFF_TARGET"
    assert verdict.best_host_id == name
    assert verdict.p_target < 1e-6
    assert math.hypot(verdict.offset_ra_arcsec + east, verdict.offset_dec_arcsec + north) < 1.0


@pytest.fixture(scope="module")
def made():
    """A scene and its stamp."""
    scene = draw_scene(SCENES, 4)
    return scene, simulate_stamp(scene, 1)


@pytest.mark.parametrize("prf", ["known", "empirical"])
@pytest.mark.parametrize("apart", [10.0, 20.0])
def test_dip_of_a_made_star_is_not_of_the_place_beside_it(made, apart, prf):
    """Whether the table has the star alone or the field too; the place has the star's number and magnitude."""
    scene, stamp = made
    east, north, name = 0.6 * apart, 0.8 * apart, str(scene.tic)
    star = (float(x[0]) for x in scene.stars.at(stamp.epoch))
    ra, dec = (float(x) for x in at_offset(east, north, *star))
    target = TargetPosition(scene.tic, ra, dec, 0.0, 0.0, scene.candidates[0].tmag)
    known = simulated_prf(scene, 1) if prf == "known" else None
    for table in (scene.neighbours(), [one for one in scene.neighbours() if one.source_id == name]):
        found = localize(stamp, Transits(scene.candidates[0].ephemeris), StarField(target, table), known)
        is_the_stars(vet_candidate([found.evidence]), name, east, north)
        assert "TARGET_POSITION_DISAGREES" in found.localization_flags


@pytest.mark.parametrize("prf", ["known", "empirical"])
def test_place_without_a_magnitude_beside_a_star_of_another_name_is_not_that_star(made, prf):
    """A table of Gaia's names: that the place has no light of its own follows from where it lies."""
    scene, stamp = made
    star = (float(x[0]) for x in scene.stars.at(stamp.epoch))
    ra, dec = (float(x) for x in at_offset(6.0, 8.0, *star))
    table = [replace(one, source_id=f"Gaia {one.source_id}") for one in scene.neighbours()]
    known = simulated_prf(scene, 1) if prf == "known" else None
    field = StarField(TargetPosition(scene.tic, ra, dec, 0.0, 0.0), table)
    found = localize(stamp, Transits(scene.candidates[0].ephemeris), field, known)
    is_the_stars(vet_candidate([found.evidence]), f"Gaia {scene.tic}", 6.0, 8.0)


@pytest.mark.real_data
@pytest.mark.parametrize("prf", ["official", "empirical"])
@pytest.mark.parametrize(("direction", "apart", "tmag"), [("north", 10.0, math.nan), ("east", 20.0, 14.0)])
def test_dip_of_wasp126_is_not_of_the_place_beside_it(pixels, shared_data, direction, apart, tmag, prf):
    """From sector 1 alone, and from both sectors in four pieces."""
    import real_checks

    target = pixels.wasp126(shared_data)
    first, name = target.stamps[1], str(target.tic)
    east, north = apart * np.array(real_checks.DIRECTIONS[direction])
    ra, dec = (float(x) for x in at_offset(east, north, first.ra, first.dec))
    beside = Candidate("beside", target.tic, target.ephemeris, math.nan, ra, dec, first.pmra, first.pmdec, tmag=tmag)
    table = (Neighbour(name, first.ra, first.dec, target.tmag, first.pmra, first.pmdec, 2000.0),)
    for pieces in (1, 4):
        evidence = list(real_checks._evidence(target, pieces, beside, table, prf))
        assert len(evidence) == pieces
        is_the_stars(vet_candidate(evidence), name, east, north)
