"""Odd transits, even ones and secondary eclipses, measured and located by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_stamps import FLUX, made_stamp, star

from batchvet.catalog.candidate import Ephemeris
from batchvet.results.evidence_rows import evidence_of_row, evidence_row
from batchvet.science.evidence import Part
from batchvet.science.joint import vet_candidate
from batchvet.science.joint_parts import JointParts
from batchvet.science.localization import localize
from batchvet.science.timeline import Transits
from batchvet.vetting.judge import Judge, Judgement

DAILY = Ephemeris(1.5, 1000.9, 3.0)
BESIDE = (5.0, 8.0)


def dipping(stamp, ephemeris, depth, place=(5.0, 5.0)):
    """The stamp with further dips of a star at `place`; `depth` of the target's light."""
    half = ephemeris.duration_days / 2
    lost = np.clip((half - np.abs(ephemeris.time_from_transit(stamp.time))) / (0.3 * half), 0.0, 1.0)
    flux = stamp.flux - FLUX * depth * lost[:, None, None] * star(*place)
    return replace(stamp, flux=flux.astype(np.float32))


def judged(stamp, ephemeris=DAILY):
    return vet_candidate([localize(stamp, Transits(ephemeris, ())).evidence])


@pytest.fixture(scope="module")
def alike():
    """Planets: every transit as deep as every other."""
    return [judged(made_stamp(seed=seed, jitter=0.003, ephemeris=DAILY)).parts for seed in range(12)]


def test_odd_and_even_transits_of_a_planet_differ_by_their_errors(alike):
    difference = [(each.odd.depth_ppm - each.even.depth_ppm) / 1e4 for each in alike]
    sigma = [np.hypot(each.odd.depth_error_ppm, each.even.depth_error_ppm) / 1e4 for each in alike]
    assert 0.5 < np.std(np.array(difference) / sigma) < 1.6
    assert np.median([each.odd_even_offset_sigma for each in alike]) < 2.0
    assert not any("ODD_EVEN_DIFFER" in each.flags for each in alike)


def test_depths_are_those_of_the_light_curve(alike):
    for part in (Part.ODD, Part.EVEN):
        assert np.mean([getattr(each, part).depth_ppm for each in alike]) == pytest.approx(1e4, rel=0.03)


def test_every_dip_is_odd_or_even(alike):
    assert alike[0].odd.n_dips == 8
    assert alike[0].even.n_dips == 9
    assert alike[0].even.time_btjd == pytest.approx(1000.9, abs=0.01)
    assert alike[0].odd.time_btjd == pytest.approx(1002.4, abs=0.01)


def test_eclipses_in_turn_deep_and_shallow_are_seen():
    """As a binary whose period is taken for half of what it is."""
    twice = replace(DAILY, period_days=3.0)
    verdict = judged(dipping(made_stamp(jitter=0.003, ephemeris=DAILY), twice, 0.004))
    assert "ODD_EVEN_DIFFER" in verdict.flags
    assert verdict.parts.even.depth_ppm == pytest.approx(1.4e4, rel=0.1)
    assert verdict.parts.odd.depth_ppm == pytest.approx(1.0e4, rel=0.1)


def test_transits_that_come_every_other_time_are_seen():
    verdict = judged(made_stamp(jitter=0.003, ephemeris=replace(DAILY, period_days=3.0)))
    assert "ODD_EVEN_DIFFER" in verdict.flags
    assert abs(verdict.parts.odd.depth_ppm) < 4 * verdict.parts.odd.depth_error_ppm


@pytest.mark.parametrize(("place", "elsewhere"), [((5.0, 5.0), False), (BESIDE, True)])
def test_secondary_is_located_by_itself(place, elsewhere):
    later = replace(DAILY, t0_btjd=DAILY.t0_btjd + 0.42 * DAILY.period_days)
    stamp = dipping(made_stamp(jitter=0.003, ephemeris=DAILY), later, 0.006, place)
    verdict = judged(stamp)
    secondary = verdict.parts.secondary
    assert "SECONDARY_SEEN" in verdict.flags
    assert ("SECONDARY_ELSEWHERE" in verdict.flags) is elsewhere
    assert secondary.phase == pytest.approx(0.42, abs=0.05)
    assert secondary.depth_ppm == pytest.approx(6e3, rel=0.15)
    apart = 21.0 * (place[1] - 5.0)
    assert verdict.parts.secondary_from_dip_arcsec == pytest.approx(apart, abs=3.0)
    assert verdict.offset_arcsec < 2.0  # the dip's own place stays


def test_single_transit_is_neither_odd_nor_even():
    single = Ephemeris(0.0, 1012.0, 5.0)
    parts = judged(made_stamp(jitter=0.003, ephemeris=single), single).parts
    assert parts.odd.n_dips == parts.even.n_dips == 0
    assert np.isnan(parts.odd_even_depth_sigma)


def test_sectors_are_taken_together():
    found = [
        localize(
            replace(made_stamp(seed=seed, jitter=0.003, ephemeris=DAILY), sector=seed), Transits(DAILY, ())
        ).evidence
        for seed in range(1, 5)
    ]
    one, four = (vet_candidate(found[:n]).parts for n in (1, 4))
    assert four.odd.n_dips == 4 * one.odd.n_dips
    assert four.odd.depth_error_ppm == pytest.approx(one.odd.depth_error_ppm / 2, rel=0.2)


def test_parts_go_through_the_table():
    found = localize(made_stamp(jitter=0.003, ephemeris=DAILY), Transits(DAILY, ())).evidence
    again = evidence_of_row(evidence_row(found))
    assert [part.part for part in again.parts] == ["odd", "even"]
    for before, after in zip(found.parts, again.parts, strict=True):
        assert before.flux == after.flux
        assert before.covariance.tolist() == after.covariance.tolist()
    row = Judge()(Judgement("1.01", 1, 1, False, (evidence_row(found),)))
    assert row["odd_depth_ppm"] == pytest.approx(vet_candidate([found]).parts.odd.depth_ppm)
    assert row["secondary_depth_ppm"] is None
    assert row["secondary_n_dips"] == 0


def test_declared_place_without_light_has_no_depth():
    """Depths are of the target's light."""
    found = localize(made_stamp(jitter=0.003, ephemeris=DAILY), Transits(DAILY, ())).evidence
    dark = replace(found, hosts=replace(found.hosts, flux=np.zeros_like(found.hosts.flux)))
    parts = JointParts.of([dark], np.zeros(2), np.eye(2), 0.3)
    assert np.isnan(parts.odd.depth_ppm)
    assert np.isnan(parts.odd_even_depth_sigma)
    assert parts.odd.n_dips == 8
