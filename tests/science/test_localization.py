"""From a stamp to an offset: simulated stamps with known truth, and real ones with known answers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_scenes import CLEAN, located, simulated_prf

from batchvet.catalog.candidate import Ephemeris, Neighbour
from batchvet.errors import InsufficientData
from batchvet.pixels.prf_files import find_prf
from batchvet.pixels.tpf import read_tpf
from batchvet.science.joint import vet_candidate
from batchvet.science.localization import localize
from batchvet.science.prf import spoc_prf
from batchvet.science.stars import StarField, TargetPosition
from batchvet.science.timeline import Transits
from batchvet.simulate import SimulationSettings, draw_scene, simulate_stamp

SCENES = replace(CLEAN, snr_range=(40.0, 60.0))


@pytest.mark.parametrize("prf", ["known", "empirical"])
@pytest.mark.parametrize("kind", ["on_target", "off_target"])
def test_dip_comes_back_where_it_was_put_on_the_sky(kind, prf):
    """Row against column, half pixels and the sign of east: at any roll, to a few sigma, for five scenes."""
    settings, pulls = replace(SCENES, scenario=kind), []
    for index in range(5):
        scene = draw_scene(settings, index)
        found = located(scene, simulate_stamp(scene, 1), prf=prf)
        truth = scene.offset_arcsec(scene.dips[0].host)
        error = np.array([found.offset_ra_arcsec, found.offset_dec_arcsec]) - truth
        covariance = [
            [found.offset_cov_ra_ra, found.offset_cov_ra_dec],
            [found.offset_cov_ra_dec, found.offset_cov_dec_dec],
        ]
        assert np.hypot(*error) < 4.0
        pulls.append(error @ np.linalg.solve(covariance, error) / 2)
        ra, dec = scene.stars.at(2018.6)
        host = scene.dips[0].host
        assert np.hypot(
            (found.source_ra - ra[host]) * np.cos(np.radians(dec[host])), found.source_dec - dec[host]
        ) * 3600 == pytest.approx(np.hypot(*error), abs=1.0)
    assert np.mean(pulls) < 3.0


def test_fluxes_times_a_thousand_change_nothing():
    scene = draw_scene(replace(SCENES, scenario="off_target"), 3)
    stamp = simulate_stamp(scene, 1)
    bright = replace(stamp, flux=stamp.flux * np.float32(1000), flux_err=stamp.flux_err * np.float32(1000))
    plain, scaled = located(scene, stamp), located(scene, bright)
    for name in ("offset_ra_arcsec", "offset_dec_arcsec", "offset_cov_ra_ra", "difference_snr"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), rel=2e-3, abs=2e-3), name
    assert scaled.localization_flags == plain.localization_flags
    first, second = vet_candidate([plain.evidence]), vet_candidate([scaled.evidence])
    assert second.verdict == first.verdict
    assert second.p_target == pytest.approx(first.p_target, abs=1e-3)


def test_half_bright_close_neighbour_gives_no_confident_off_target():
    """It biases every photocentre: the transit is on the target, the star 1.2 to 2.5 px away."""
    rng, settings = np.random.default_rng(6), replace(SCENES, scenario="on_target", snr_range=(15.0, 60.0))
    for index in range(6):
        scene = draw_scene(settings, index)
        angle, apart = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 2.5) * 21 / 3600
        stars = scene.stars
        ra, dec, tmag = stars.ra.copy(), stars.dec.copy(), stars.tmag.copy()
        ra[1] = ra[0] + apart * np.sin(angle) / np.cos(np.radians(dec[0]))
        dec[1] = dec[0] + apart * np.cos(angle)
        tmag[1] = tmag[0] + 0.75
        scene = replace(scene, stars=replace(stars, ra=ra, dec=dec, tmag=tmag))
        verdict = vet_candidate([located(scene, simulate_stamp(scene, 1), prf="empirical").evidence])
        assert verdict.verdict != "OFF_TARGET", index


def test_without_a_table_position_and_error_stand_and_a_flag_says_so():
    scene = draw_scene(replace(SCENES, scenario="on_target"), 1)
    found = located(scene, simulate_stamp(scene, 1), neighbours=False)
    assert "NO_NEIGHBOUR_TABLE" in found.localization_flags
    assert found.target_offset_arcsec < 4
    assert found.evidence.hosts.source_id == (str(scene.tic),)


@pytest.mark.parametrize("prf", ["known", "empirical"])
def test_target_that_the_table_leaves_out_and_whose_magnitude_nobody_states_shines_all_the_same(prf):
    """A table of the neighbours alone, a catalogue and a file without magnitudes: the light is in the pixels."""
    scene = draw_scene(replace(SCENES, scenario="on_target"), 4)
    stamp, candidate = replace(simulate_stamp(scene, 1), tmag=math.nan), scene.candidates[0]
    target = TargetPosition(scene.tic, candidate.ra, candidate.dec, candidate.pmra, candidate.pmdec)
    others = [star for star in scene.neighbours() if star.source_id != str(scene.tic)]
    known = simulated_prf(scene, 1) if prf == "known" else None
    found = localize(stamp, Transits(candidate.ephemeris), StarField(target, others), known)
    assert found.evidence.hosts.flux[0] == pytest.approx(scene.stars.flux[0], rel=0.1)
    assert found.target_offset_arcsec < 2.0
    assert vet_candidate([found.evidence]).verdict == "ON_TARGET"


def test_no_transit_in_the_sector_is_said():
    scene = draw_scene(SCENES, 0)
    stamp = simulate_stamp(scene, 1)
    with pytest.raises(InsufficientData, match="transit"):
        localize(stamp, Transits(Ephemeris(0.0, 9999.0, 3.0)))


WASP126 = Ephemeris(3.28878, 1327.5205, 3.49)


def real_stamps(shared_data):
    return [read_tpf(path) for path in sorted((shared_data / "wasp126").glob("*_tp.fits.gz"))]


def official(stamp, shared_data):
    nodes = find_prf(shared_data / "prf", stamp.sector, stamp.camera, stamp.ccd)
    return spoc_prf(nodes, stamp.row + (stamp.shape[0] - 1) / 2, stamp.column + (stamp.shape[1] - 1) / 2)


def real_verdict(stamps, target, neighbours, prfs):
    found = [
        localize(stamp, Transits(WASP126), StarField(target, neighbours), prf)
        for stamp, prf in zip(stamps, prfs, strict=True)
    ]
    return found, vet_candidate([one.evidence for one in found])


@pytest.mark.real_data
@pytest.mark.parametrize("source", ["spoc", "empirical"])
def test_wasp126_is_on_target_in_both_sectors(shared_data, source):
    stamps = real_stamps(shared_data)
    prfs = [official(stamp, shared_data) if source == "spoc" else None for stamp in stamps]
    star = stamps[0]
    table = [Neighbour("25155310", star.ra, star.dec, star.tmag, star.pmra, star.pmdec, 2000.0)]
    found, verdict = real_verdict(stamps, TargetPosition(25155310), table, prfs)
    assert [one.prf_source for one in found] == [source, source]
    assert all(one.target_offset_pixels < 0.06 for one in found)
    assert verdict.verdict == "ON_TARGET"
    assert verdict.offset_arcsec < 1.0
    assert verdict.p_target > 0.99
    assert verdict.sector_consistency_p > 0.01
    _, blind = real_verdict(stamps, TargetPosition(25155310), None, prfs)
    assert blind.verdict == "ON_TARGET" and "NO_NEIGHBOUR_TABLE" in blind.flags  # confined to its own place
    assert blind.offset_arcsec < 1.0


@pytest.mark.real_data
@pytest.mark.parametrize("with_table", [True, False])
def test_place_beside_wasp126_declared_the_target_is_off_target_by_that_much(shared_data, with_table):
    stamps = real_stamps(shared_data)
    star = stamps[0]
    wasp126 = Neighbour("25155310", star.ra, star.dec, star.tmag, star.pmra, star.pmdec, 2000.0)
    beside = TargetPosition(1, star.ra + 45 / 3600 / np.cos(np.radians(star.dec)), star.dec, 0.0, 0.0, 12.0)
    prfs = [official(stamp, shared_data) for stamp in stamps]
    _, verdict = real_verdict(stamps, beside, [wasp126] if with_table else None, prfs)
    assert verdict.verdict == ("OFF_TARGET" if with_table else "AMBIGUOUS")
    assert verdict.best_host_id == ("25155310" if with_table else "")
    # From the position declared for epoch 2000.0, that does not move, to where the star has moved by 2018.6.
    years = 18.62
    east, north = -45 + star.pmra * years / 1e3, star.pmdec * years / 1e3
    assert (verdict.offset_ra_arcsec, verdict.offset_dec_arcsec) == pytest.approx((east, north), abs=2.0)


@pytest.mark.real_data
def test_toi5807_lies_within_3_sigma_of_its_target_and_is_ambiguous_without_a_table(pixels, shared_data):
    stamp = pixels.toi5807_stamp(shared_data)
    ephemeris = Ephemeris(14.2423724, 3540.26317, 4.046)
    found = localize(stamp, Transits(ephemeris), StarField(TargetPosition(188646744)))
    assert {"NO_POS_CORR", "NO_NEIGHBOUR_TABLE"} <= set(found.localization_flags)
    assert found.significance_sigma < 3.0
    verdict = vet_candidate([found.evidence])
    assert verdict.verdict == "AMBIGUOUS"  # no table
    assert verdict.best_host_id == "188646744"
    assert verdict.host_candidates[0].depth_required == pytest.approx(254e-6, rel=0.35)


def test_star_fluxes_hold_where_the_target_is_blended_and_the_prf_is_poor():
    """The scale of the magnitudes is that of all the light, not of the one star whose flux is fitted best."""
    scene = draw_scene(SimulationSettings(seed=1001), 167)
    evidence = located(scene, simulate_stamp(scene, 3), prf="empirical").evidence
    true = dict(zip(map(str, scene.stars.source_id), scene.stars.flux, strict=True))
    ratio = evidence.hosts.flux / [true[name] for name in evidence.hosts.source_id]
    assert np.all((ratio > 0.75) & (ratio < 1.2))
