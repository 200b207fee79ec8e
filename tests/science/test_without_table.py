"""A universe of one star: without a neighbour table a place stands, and whose dip it is only where none could say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_evidence import made_evidence

from batchvet.science.joint import vet_candidate
from batchvet.science.priors import TableDepth

TARGET = (0.0, 0.0, 11.0)
MOST = 0.925  # what 15 % of doubt, shared between the target and any other star, leaves a target that is sure
FAINT, BRIGHT = 25.0, 200.0  # e-/s: a signal to noise of 8 and 60 a sector


def blind(host, dip, *, sectors=1, flags=()):
    """Evidence of a dip of whose surroundings nobody knows anything."""
    found = made_evidence(np.random.default_rng(5), [TARGET], host, dip, sectors=sectors)
    nothing = TableDepth(-math.inf, 0.0, 60.0)
    return [replace(one, has_neighbours=False, table=nothing, flags=flags) for one in found]


@pytest.mark.parametrize("place", [(0.0, 0.0), (40.0, 30.0)])
def test_without_a_neighbour_table_a_place_stands_but_no_verdict(place):
    """Every dip would be on the one star or off it: neither may be said."""
    verdict = vet_candidate(blind(place, FAINT))
    assert verdict.verdict == "AMBIGUOUS"
    assert "NO_NEIGHBOUR_TABLE" in verdict.flags
    assert (verdict.offset_ra_arcsec, verdict.offset_dec_arcsec) == pytest.approx(place, abs=4)


@pytest.mark.parametrize("sectors", [1, 3])
def test_target_of_a_dip_that_is_near_but_not_confined_keeps_some_doubt(sectors):
    verdict = vet_candidate(blind((0.0, 0.0), FAINT, sectors=sectors))
    assert verdict.offset_arcsec < 4.0
    assert 0.85 < verdict.p_target <= MOST
    assert verdict.verdict == "AMBIGUOUS"
    assert verdict.best_host_id == "0"


@pytest.mark.parametrize("host", [(3.0, 0.0), (6.0, 0.0), (0.0, 10.0)])
def test_dip_that_lies_a_few_arcseconds_off_may_still_be_the_targets(host):
    """Unlisted stars can pull the target's place by that much, whatever the dip's own error says."""
    verdict = vet_candidate(blind(host, BRIGHT))
    assert 0.07 < verdict.p_target <= MOST
    assert verdict.verdict == "AMBIGUOUS"


@pytest.mark.parametrize(("dip", "sectors"), [(FAINT, 1), (FAINT, 3), (BRIGHT, 1)])
def test_dip_a_minute_of_arc_off_is_not_the_targets_and_nobodys_by_name(dip, sectors):
    verdict = vet_candidate(blind((60.0, 0.0), dip, sectors=sectors))
    assert verdict.p_target < 1e-4
    assert verdict.best_host_id == "" and "HOST_NOT_IN_TABLE" in verdict.flags
    assert verdict.offset_ra_arcsec == pytest.approx(60.0, abs=4.0)
    assert verdict.verdict == "AMBIGUOUS"


@pytest.mark.parametrize(("dip", "sectors"), [(BRIGHT, 1), (FAINT, 10)])
def test_dip_confined_to_the_targets_own_place_is_on_target(dip, sectors):
    """To 3 sigma within 4", where no star could be told from it anyhow: one good sector, or ten poor ones."""
    verdict = vet_candidate(blind((0.0, 0.0), dip, sectors=sectors))
    error = math.sqrt(max(verdict.offset_cov_ra_ra, verdict.offset_cov_dec_dec))
    assert verdict.offset_arcsec + 3 * error < 4.0
    assert verdict.verdict == "ON_TARGET"
    assert verdict.p_target > 0.95
    assert "NO_NEIGHBOUR_TABLE" in verdict.flags


@pytest.mark.parametrize(
    "flag", ["ZERO_POINT_LARGE", "UNLISTED_BRIGHT_STAR", "TARGET_POSITION_DISAGREES", "POOR_PRF_FIT"]
)
def test_confined_dip_is_ambiguous_where_the_stars_places_are_in_doubt(flag):
    """In any sector: the place may be another star's."""
    sure, doubtful = blind((0.0, 0.0), BRIGHT, sectors=3), blind((0.0, 0.0), BRIGHT, sectors=3, flags=(flag,))
    for found in (doubtful, [*sure[:2], doubtful[2]]):
        verdict = vet_candidate(found)
        assert verdict.verdict == "AMBIGUOUS"
        assert 0.85 < verdict.p_target <= MOST


@pytest.mark.parametrize("flag", ["NO_POS_CORR", "ONE_SIDED", "SATURATED_SOURCE"])
def test_other_flags_of_a_confined_dip_say_nothing_of_the_stars_places(flag):
    assert vet_candidate(blind((0.0, 0.0), BRIGHT, flags=(flag,))).verdict == "ON_TARGET"


def test_few_doubtful_sectors_of_many_do_not_take_a_verdict_away():
    """Of many sectors some have a poor fit by chance: more data would else turn ON_TARGET into AMBIGUOUS."""
    sure, doubtful = (blind((0.0, 0.0), BRIGHT, sectors=16, flags=flags) for flags in ((), ("POOR_PRF_FIT",)))
    assert vet_candidate([*sure[:13], *doubtful[13:]]).verdict == "ON_TARGET"
    assert vet_candidate([*sure[:9], *doubtful[9:]]).verdict == "AMBIGUOUS"
