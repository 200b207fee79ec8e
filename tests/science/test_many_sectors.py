"""Forty sectors, of which some see nothing or all are pulled the same way: more true data never cost the target."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_evidence import SCALE, made_evidence

from batchvet.science.joint import FITTED_PRF_FLOOR_ARCSEC, POSITION_FLOOR_ARCSEC, shared_error, vet_candidate
from batchvet.science.sky_likelihood import all_sectors

STARS = [(0.0, 0.0, 11.0), (30.0, 20.0, 12.5)]  # the target and a neighbour that could have the dip
DIP = 25.0  # e-/s: a signal to noise of 8 a sector
PULL = 4.0  # arcsec, east
COUNTS = (1, 3, 12, 40)


def sectors(seed, count, host=(0.0, 0.0), dip=DIP):
    return made_evidence(np.random.default_rng(seed), STARS, host, dip, sectors=count)


@pytest.fixture(scope="module")
def pulled():
    """Forty sectors in which something unlisted moves the stars, so that the target's dip seems to lie east of it.

    Each zero point exceeds what the WCS can err by a tenth of a pixel: half as much as the dip is off.
    """
    found, beyond = sectors(3, 40, host=(PULL, 0.0)), 0.1**2 * np.eye(2)
    dips = [replace(one.dip, systematic=one.dip.systematic + beyond) for one in found]
    return [replace(one, flags=("ZERO_POINT_LARGE",), dip=dip) for one, dip in zip(found, dips, strict=True)]


def test_pull_that_forty_sectors_share_does_not_take_the_dip_from_the_target(pulled):
    verdict = vet_candidate(pulled)
    assert verdict.offset_ra_arcsec == pytest.approx(PULL, abs=0.5)
    assert verdict.significance_sigma < 3.0
    assert verdict.offset_cov_ra_ra > (0.1 * SCALE) ** 2  # the pull does not average down
    assert verdict.verdict != "OFF_TARGET"
    assert verdict.p_target > 0.95


def test_same_offset_of_sectors_that_nothing_pulls_is_off_target():
    verdict = vet_candidate(sectors(3, 40, host=(PULL, 0.0)))
    assert verdict.verdict == "OFF_TARGET"
    assert verdict.significance_sigma > 5.0


def test_pull_in_less_than_half_of_the_sectors_is_not_shared(pulled):
    quiet = sectors(5, 2)
    assert shared_error([*pulled[:2], *quiet]) == POSITION_FLOOR_ARCSEC
    assert shared_error([*pulled[:3], *quiet]) > 0.1 * SCALE


def test_few_faint_sectors_of_many_that_agree_on_a_place_are_noise():
    """Where no sector sees the dip by itself, those that do not see it count."""
    faint = sectors(31, 2, host=(30.0, 20.0), dip=0.55 * DIP)
    assert all(4.0 < found.dip.snr < 5.0 for found in faint)
    nothing = sectors(7, 18, dip=0.0)
    assert max(found.dip.snr for found in nothing) < 5.0
    assert vet_candidate(faint).verdict == "OFF_TARGET"  # alone they are right
    assert "LOW_SNR" in vet_candidate([*faint, *nothing]).flags


def test_error_of_a_fitted_prf_does_not_average_down():
    found = sectors(4, 20)
    fitted = [replace(one, prf_source="empirical") for one in found]
    assert shared_error(found) == POSITION_FLOOR_ARCSEC
    assert shared_error(fitted) == shared_error([*found[:1], *fitted[1:]]) == FITTED_PRF_FLOOR_ARCSEC
    assert math.sqrt(vet_candidate(fitted).offset_cov_ra_ra) >= FITTED_PRF_FLOOR_ARCSEC > POSITION_FLOOR_ARCSEC


@pytest.mark.parametrize("is_pulled", [False, True])
def test_probability_of_the_true_host_does_not_fall_as_sectors_are_added(pulled, is_pulled):
    found = pulled if is_pulled else sectors(0, 40)
    p = [vet_candidate(found[:count]).p_target for count in COUNTS]
    assert np.all(np.diff(p) > -2e-3)
    assert p[-1] > 0.99


@pytest.mark.parametrize(("seen", "blind", "share"), [(8, 0, 0.05), (4, 4, 0.5), (3, 37, 0.9)])
def test_share_of_sectors_that_see_nothing_is_the_one_that_explains_them(seen, blind, share):
    found = [*sectors(1, seen, dip=1.6 * DIP), *sectors(101, blind, dip=0.0)]
    assert {one.unseen for one in all_sectors(found)} == {share}


@pytest.mark.parametrize(("seen", "blind", "dip"), [(3, 37, DIP), (1, 4, 1.6 * DIP)])
@pytest.mark.parametrize("seed", [1, 2])
def test_sectors_that_see_nothing_do_not_take_the_dip_from_the_target(seed, seen, blind, dip):
    clear, nothing = sectors(seed, seen, dip=dip), sectors(100 + seed, blind, dip=0.0)
    alone, verdict = vet_candidate(clear), vet_candidate([*clear, *nothing])
    assert verdict.verdict == "ON_TARGET"
    assert verdict.best_host_id == "0" and verdict.p_target > 0.95
    joint = [np.array([one.offset_ra_arcsec, one.offset_dec_arcsec]) for one in (alone, verdict)]
    assert np.hypot(*(joint[1] - joint[0])) < 3.0


def test_sectors_that_see_nothing_do_not_hide_a_neighbours_dip():
    clear, nothing = sectors(3, 3, host=STARS[1][:2]), sectors(103, 37, dip=0.0)
    verdict = vet_candidate([*clear, *nothing])
    assert verdict.verdict == "OFF_TARGET"
    assert verdict.best_host_id == "1"


def test_sectors_without_any_dip_are_not_made_a_dip_by_their_number():
    verdict = vet_candidate(sectors(7, 40, dip=0.0))
    assert verdict.verdict == "INCONCLUSIVE" and "LOW_SNR" in verdict.flags
