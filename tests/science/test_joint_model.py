"""What all sectors together may and may not do: a shift that all share, sectors that see nothing, one that is wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_evidence import made_evidence

from batchvet.science.joint import POSITION_FLOOR_ARCSEC, vet_candidate, weigh
from batchvet.vocabulary import Verdict

STARS = [(0.0, 0.0, 11.0), (30.0, 20.0, 12.5)]
DIP = 25.0  # e-/s, 9 sigma in a sector
BRIGHT = 150.0


def numbered(found, first):
    return [replace(one, sector=first + i) for i, one in enumerate(found)]


@pytest.mark.parametrize("sectors", [1, 5, 20, 40])
def test_shift_that_all_sectors_share_does_not_add_up(sectors):
    """A third of an arcsecond, as with a PRF that is off, is nothing in one sector and many sigma in forty."""
    found = made_evidence(np.random.default_rng(sectors), STARS, (0.3, 0.0), BRIGHT, sectors=sectors)
    verdict = vet_candidate(found)
    assert verdict.verdict == Verdict.ON_TARGET
    assert verdict.p_target_raw >= 0.99
    assert verdict.p_target >= 0.99
    covariance = np.array(
        [
            [verdict.offset_cov_ra_ra, verdict.offset_cov_ra_dec],
            [verdict.offset_cov_ra_dec, verdict.offset_cov_dec_dec],
        ]
    )
    assert math.sqrt(np.linalg.eigvalsh(covariance)[0]) >= POSITION_FLOOR_ARCSEC
    assert verdict.significance_sigma < 3.0


def test_error_does_fall_with_sectors_down_to_the_floor():
    def error(sectors):
        found = made_evidence(np.random.default_rng(1), STARS, (0.0, 0.0), 60.0, sectors=sectors)
        return math.sqrt(vet_candidate(found).offset_cov_ra_ra)

    one, five, forty = (error(sectors) for sectors in (1, 5, 40))
    assert one > 1.4 * five
    assert forty < 1.25 * POSITION_FLOOR_ARCSEC


@pytest.mark.parametrize("host", [(0.0, 0.0), (30.0, 20.0)])
@pytest.mark.parametrize("sectors", [3, 5, 10, 20])
def test_sectors_without_a_dip_do_not_drown_those_that_have_one(sectors, host):
    rng = np.random.default_rng(5)
    seen = made_evidence(rng, STARS, host, DIP, sectors=sectors)
    blind = numbered(made_evidence(rng, STARS, host, 0.0, sectors=6), 11)
    before, after = vet_candidate(seen), vet_candidate([*seen, *blind])
    assert after.verdict == before.verdict != Verdict.INCONCLUSIVE
    assert after.p_target == pytest.approx(before.p_target, abs=0.02)
    (place, _), (with_blind, _) = weigh(seen), weigh([*seen, *blind])
    assert with_blind.snr == pytest.approx(place.snr, rel=0.05)
    assert np.hypot(*(with_blind.offset - place.offset)) < 1.0


@pytest.mark.parametrize("seed", range(4))
def test_one_wrong_sector_of_ten_does_not_decide(seed):
    """Four times as deep as the others, on the neighbour: it outweighs all of them in a plain sum."""
    rng = np.random.default_rng(seed)
    good = made_evidence(rng, STARS, (0.0, 0.0), 10.0, sectors=9)
    bad = numbered(made_evidence(rng, STARS, (30.0, 20.0), 40.0, sectors=1), 50)
    verdict = vet_candidate([*good, *bad])
    assert verdict.best_host_id == "0"
    assert verdict.p_target > 0.9
    assert verdict.offset_arcsec < 5.0
    assert verdict.verdict != Verdict.OFF_TARGET


def test_target_with_a_shared_shift_keeps_its_likelihood_beside_an_unlisted_star():
    """The shift is taken from the likelihood of the star, sector by sector the same: it costs once, not forty times.

    Were it each sector's own, it would cost 12.
    """
    cost = {}
    for sectors in (5, 40):
        values = []
        for shift in (0.0, 0.3):
            found = made_evidence(np.random.default_rng(9), STARS, (shift, 0.0), BRIGHT, sectors=sectors)
            values.append(vet_candidate(found).log_likelihood_target)
        cost[sectors] = values[0] - values[1]
    assert cost[40] < 6.0
