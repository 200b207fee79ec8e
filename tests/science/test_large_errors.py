"""Where a place errs much, or PRF or depth are not what they should be: what is said gives way as far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_evidence import SCALE, made_evidence, made_image, made_prf
from made_scenes import located
from made_stamps import made_stamp

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.joint import vet_candidate, weigh
from batchvet.science.localization import localize, misfit_error
from batchvet.science.position import SignificanceMap, fit_point_source
from batchvet.science.prf import TabulatedPrf
from batchvet.science.sky_likelihood import SectorSky
from batchvet.science.timeline import Transits
from batchvet.simulate import SimulationSettings, draw_scene, simulate_stamp

ERROR = 0.5  # pixels per axis


def erring(found, pixels=ERROR):
    return [replace(one, dip=replace(one.dip, systematic=pixels**2 * np.eye(2))) for one in found]


@pytest.mark.parametrize("east", [15.0, 25.0, 35.0])
def test_stars_are_told_apart_as_far_as_a_gaussian_of_that_width_tells_them(east):
    """Two stars alike, one at the dip and one beside it: half the squared distance over the error between them."""
    found = erring(made_evidence(np.random.default_rng(3), [(0, 0, 10.0), (east, 0, 10.0)], (0, 0), 400.0, sectors=1))
    at, beside = weigh(found)[1].log_likelihood.hosts
    assert at - beside == pytest.approx(0.5 * (east / (ERROR * SCALE)) ** 2, rel=0.35, abs=0.3)


@pytest.mark.parametrize("sectors", [1, 3])
def test_far_dip_with_a_large_error_is_no_place_like_any_other(sectors):
    """Its significance is that of the error, and a star that cannot have it does not get it."""
    found = erring(made_evidence(np.random.default_rng(4), [(0, 0, 10.0)], (80.0, 0), 400.0, sectors=sectors))
    verdict = vet_candidate(found)
    assert verdict.verdict == "OFF_TARGET"
    assert verdict.significance_sigma == pytest.approx(80.0 / (ERROR * SCALE) * sectors**0.5, rel=0.15)


@pytest.mark.parametrize("index", [5, 13, 27])
def test_sectors_of_an_eclipse_have_their_place_together(index):
    """Its flux differs by the template that suits it in each sector; the place must not move to make them agree."""
    scene = draw_scene(SimulationSettings(seed=950, secondary=0.5, snr_range=(200.0, 2500.0)), index)
    found = [located(scene, simulate_stamp(scene, sector), prf="empirical").evidence for sector in scene.sectors]
    for one in found:  # signal to noise is flux over error, in what is stored as in what was measured
        snr, weight = SectorSky(one).dip(one.offset[None])
        assert one.dip.flux * weight == pytest.approx(snr, rel=0.01)
    own = np.array([one.offset for one in found])
    joint = weigh(found)[0].offset
    assert np.all(own.min(axis=0) - 0.6 < joint) and np.all(joint < own.max(axis=0) + 0.6)


def lopsided_prf():
    """A PRF with a wing on one side, as coma makes it; the middle of its light stays where it was."""
    table = made_prf().table
    return TabulatedPrf(0.75 * np.roll(table, -3, axis=0) + 0.25 * np.roll(table, 9, axis=0), 9, "spoc", 0.01)


@pytest.mark.parametrize("place", [(5.2, 4.9), (5.5, 5.0), (4.8, 5.3)])
def test_prf_that_does_not_fit_errs_the_place(place):
    """By a good deal more than the noise does, which alone would make the offset significant."""
    image, _, _ = made_image(np.random.default_rng(1), 1500.0, place, prf=lopsided_prf())
    prf = made_prf()
    source = fit_point_source(image, SignificanceMap.of_stamp(image, prf, 0.5), prf)
    off = np.hypot(source.row - place[0], source.col - place[1])
    assert off > 2.5 * np.sqrt(0.5 * np.trace(source.covariance))
    assert off < 2.5 * misfit_error(source)


def test_prf_that_fits_errs_no_place():
    image, prf, _ = made_image(np.random.default_rng(1), 1500.0, (5.2, 4.9))
    assert misfit_error(fit_point_source(image, SignificanceMap.of_stamp(image, prf, 0.5), prf)) == 0.0


def test_deep_eclipse_that_no_prf_fits_is_no_artefact():
    """The misfit counts for the artefact as it does for the stars."""
    binary = Ephemeris(2.5, 1001.2, 4.0)
    stamp = made_stamp(jitter=0.003, noise=10.0, depth=0.3, ephemeris=binary)
    found = localize(stamp, Transits(binary, ()), prf=made_prf(0.5, 0.9))
    assert found.evidence.dip.snr > 500
    assert found.evidence.dip.chi2_reduced > 20
    assert "ARTEFACT" not in vet_candidate([found.evidence]).flags


def test_probabilities_give_way_where_a_bump_may_be_the_dip():
    """In every sector: one that is not spoilt tells."""
    found = made_evidence(np.random.default_rng(6), [(0, 0, 10.0)], (0, 0), 200.0)
    spoilt = [replace(one, flags=(*one.flags, "SPOILT_DIP")) for one in found]
    assert vet_candidate(found).p_target > 0.98
    assert vet_candidate(spoilt).p_target < 0.61
    assert vet_candidate([*spoilt[:2], found[2]]).p_target > 0.98
