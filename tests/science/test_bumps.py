"""Flares and asteroids beside the only transit: they must not become a dip, nor a host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_scenes import located

from batchvet.science.joint import vet_candidate
from batchvet.simulate import SimulationSettings, draw_scene, simulate_stamp
from batchvet.simulate.intruders import Asteroid, Flare
from batchvet.vocabulary import Flag, Verdict

SINGLE = SimulationSettings(
    seed=8,
    sectors=(1,),
    scenario="on_target",
    cadence_s=600.0,
    snr_range=(20.0, 25.0),
    single_fraction=1.0,
    multi_fraction=0.0,
    variable_fraction=0.0,
    close_neighbour_fraction=1.0,
    tmag_range=(9.5, 11.0),
    scattered_light=0.0,
    flags=False,
)


def of(scene):
    found = located(scene, simulate_stamp(scene, 1))
    return found, vet_candidate([found.evidence])


def lost(scene):
    """Flux that the dip takes, e-/s."""
    dip = scene.dips[0]
    return dip.depth * scene.stars.flux[dip.host]


def neighbour(scene):
    """The brightest other star on the stamp, at least a pixel from the target."""
    column, row = scene.positions(1)
    apart = np.hypot(column - column[0], row - row[0])
    inside = (column > 1) & (column < scene.shape[1] - 2) & (row > 1) & (row < scene.shape[0] - 2) & (apart > 1.0)
    return int(np.argmax(np.where(inside, scene.stars.flux, 0.0)))


def undisturbed(found, verdict, plain, before):
    """The dip is where it is without what shines beside it, and nobody else is blamed."""
    offset = np.array([found.offset_ra_arcsec, found.offset_dec_arcsec])
    covariance = np.array(
        [[found.offset_cov_ra_ra, found.offset_cov_ra_dec], [found.offset_cov_ra_dec, found.offset_cov_dec_dec]]
    )
    moved = offset - [plain.offset_ra_arcsec, plain.offset_dec_arcsec]
    assert before.verdict != Verdict.OFF_TARGET
    assert verdict.verdict != Verdict.OFF_TARGET
    assert moved @ np.linalg.solve(covariance, moved) < 9.0
    assert Flag.FLARE_OR_ASTEROID in found.localization_flags
    assert found.n_outlier_cadences > 0


@pytest.mark.parametrize("when", [-1.1, -0.9, 0.8])
@pytest.mark.parametrize("index", range(3))
def test_flare_of_a_neighbour_beside_the_transit_does_not_turn_the_verdict(index, when):
    """Eight times the dip's light at once, fading over an hour, `when` durations from mid-transit."""
    scene = draw_scene(SINGLE, index)
    dip = scene.dips[0].ephemeris
    flare = Flare(neighbour(scene), dip.t0_btjd + when * dip.duration_days, 8.0 * lost(scene), 1.0 / 24)
    undisturbed(*of(replace(scene, flares=(flare,))), *of(scene))


@pytest.mark.parametrize("when", [-1.0, 0.9])
@pytest.mark.parametrize("index", range(3))
def test_asteroid_that_crosses_the_stamp_does_not_turn_the_verdict(index, when):
    """Ten times the dip's light, 30 pixels a day, past the target at two pixels."""
    scene = draw_scene(SINGLE, index)
    dip, (column, row) = scene.dips[0].ephemeris, scene.positions(1)
    time = dip.t0_btjd + when * dip.duration_days
    asteroid = Asteroid(1, time, column[0] + 2.0, row[0], 5.0, 30.0, 10.0 * lost(scene))
    undisturbed(*of(replace(scene, asteroids=(asteroid,))), *of(scene))


@pytest.mark.parametrize("when", [-0.4, 0.0, 0.4])
@pytest.mark.parametrize(("index", "own"), [(0, False), (1, True)])
def test_flare_over_the_only_transit_leaves_a_spoilt_dip_and_no_verdict(index, own, when):
    """Eight times the dip's light at once, of a star a pixel away or of the target, `when` durations from mid-transit.

    What is left beside the neighbour's flare has a signal to noise over 10, on the target: it may be the flare's end.
    """
    scene = draw_scene(SINGLE, index)
    dip = scene.dips[0].ephemeris
    host = 0 if own else neighbour(scene)
    flare = Flare(host, dip.t0_btjd + when * dip.duration_days, 8.0 * lost(scene), 1.0 / 24)
    found, verdict = of(replace(scene, flares=(flare,)))
    assert {Flag.SPOILT_DIP, Flag.FLARE_OR_ASTEROID} <= set(found.localization_flags)
    assert verdict.verdict == Verdict.INCONCLUSIVE
    assert Flag.SPOILT_DIP in verdict.flags
    if not own:
        assert verdict.flags == (Flag.SPOILT_DIP,) and found.difference_snr > 10.0


@pytest.mark.parametrize("index", range(6))
def test_quiet_stamp_has_neither(index):
    found, _ = of(draw_scene(SINGLE, index))
    assert Flag.FLARE_OR_ASTEROID not in found.localization_flags
    assert found.n_outlier_cadences == 0
