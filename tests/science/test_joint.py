"""All sectors together: position, host and verdict of made scenes with known truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_evidence import made_evidence

from batchvet.results.evidence_rows import evidence_of_row, evidence_row
from batchvet.results.schema import EVIDENCE
from batchvet.science.joint import classical_offset, sector_consistency, vet_candidate, weigh
from batchvet.science.priors import TableDepth
from batchvet.science.sky import SkyFrame

TARGET = (0.0, 0.0, 11.0)


def test_dip_on_the_target_is_on_target():
    found = made_evidence(np.random.default_rng(1), [TARGET, (30.0, 20.0, 12.5)], (0, 0), 25.0)
    verdict = vet_candidate(found)
    assert verdict.verdict == "ON_TARGET"
    assert verdict.best_host_id == "0"
    assert verdict.n_sectors_used == 3
    assert verdict.offset_arcsec < 3.5 * math.sqrt(verdict.offset_cov_ra_ra)
    assert verdict.host_candidates[0].depth_required == pytest.approx(25.0 / 10 ** (0.4 * (20.44 - 11.0)), rel=0.3)


def test_dip_on_a_neighbour_is_off_target_and_the_neighbour_is_named():
    found = made_evidence(np.random.default_rng(2), [TARGET, (30.0, 20.0, 12.5)], (30, 20), 25.0)
    verdict = vet_candidate(found)
    assert verdict.verdict == "OFF_TARGET"
    assert verdict.best_host_id == "1"
    assert verdict.p_best_host > 0.95
    assert (verdict.offset_ra_arcsec, verdict.offset_dec_arcsec) == pytest.approx((30, 20), abs=4)
    assert verdict.host_candidates[0].separation_arcsec == pytest.approx(math.hypot(30, 20))


def test_star_too_faint_for_the_dip_is_not_its_host():
    """The faint star lies where the dip is, but would have to lose more light than it has."""
    faint = (8.0, 0.0, 18.5)
    found = made_evidence(np.random.default_rng(3), [TARGET, faint], (2, 0), 25.0)
    verdict = vet_candidate(found)
    assert verdict.best_host_id == "0"
    assert all(host.source_id != "1" or host.probability < 0.01 for host in verdict.host_candidates)


def test_dip_where_no_star_of_the_table_is_is_off_target_without_a_host():
    found = made_evidence(np.random.default_rng(4), [TARGET], (40, -30), 30.0)
    verdict = vet_candidate(found)
    assert verdict.verdict == "OFF_TARGET"
    assert verdict.best_host_id == ""
    assert "HOST_NOT_IN_TABLE" in verdict.flags


def test_shallow_table_makes_unlisted_stars_likelier():
    """Three magnitudes less deep: the stars that the field must have down to a total eclipse's are not in it."""
    found = made_evidence(np.random.default_rng(5), [TARGET], (0, 0), 8.0, sectors=1)
    deep, shallow = (
        vet_candidate([replace(one, table=TableDepth(limit, 3e-4, 20.0)) for one in found]) for limit in (18.5, 14.0)
    )
    assert deep.prior_not_in_table == pytest.approx(0.01, abs=1e-3)
    assert shallow.prior_not_in_table > 0.3
    assert shallow.p_target < deep.p_target


@pytest.mark.parametrize("table", [TableDepth(14.0, 3e-4, 20.0), TableDepth(-math.inf, 0.0, 60.0)])
def test_target_whose_magnitude_nobody_knows_has_as_many_unlisted_rivals(table):
    """How faint a star may be that has the dip follows from the light lost, not from the target's share of its own."""
    found = made_evidence(np.random.default_rng(5), [TARGET, (30.0, 20.0, 12.5)], (0, 0), 8.0, sectors=2)

    def prior(tmag, share):
        """With that magnitude of the target, and that share of its own light."""
        hosts = [replace(o.hosts, tmag=np.array([tmag, 12.5]), flux=o.hosts.flux * [share, 1.0]) for o in found]
        changed = [replace(one, hosts=each, table=table) for one, each in zip(found, hosts, strict=True)]
        return vet_candidate(changed).prior_not_in_table

    known = prior(TARGET[2], 1.0)
    assert known > 0.05
    assert prior(math.nan, 1.0) == pytest.approx(known, rel=1e-6)
    assert prior(math.nan, 1e-3) == pytest.approx(known, rel=0.1)  # a place without any light of its own


def test_star_that_cannot_be_told_from_the_target_is_flagged_and_grouped():
    found = made_evidence(np.random.default_rng(6), [TARGET, (1.5, 0.0, 11.2)], (0, 0), 12.0)
    verdict = vet_candidate(found)
    assert verdict.p_target < 0.95
    assert verdict.p_target_group >= 0.95  # of which the rule of ON_TARGET speaks
    assert "UNRESOLVED_NEIGHBOUR" in verdict.flags
    assert verdict.verdict in ("ON_TARGET", "AMBIGUOUS")


def test_shallow_dip_is_inconclusive():
    verdict = vet_candidate(made_evidence(np.random.default_rng(7), [TARGET], (0, 0), 2.0))
    assert verdict.verdict == "INCONCLUSIVE"
    assert "LOW_SNR" in verdict.flags


def test_one_bad_sector_cannot_decide():
    rng = np.random.default_rng(8)
    stars = [TARGET, (40.0, 0.0, 12.0)]
    good = made_evidence(rng, stars, (0, 0), 25.0, sectors=4)
    bad = replace(made_evidence(rng, stars, (40, 0), 25.0, sectors=1)[0], sector=9)
    verdict = vet_candidate([*good, bad])
    assert verdict.best_host_id == "0"
    assert verdict.offset_arcsec < 5
    assert verdict.verdict == "INCONCLUSIVE"
    assert "SECTORS_INCONSISTENT" in verdict.flags
    assert verdict.sector_consistency_p < 1e-3


def test_nothing_depends_on_flux_units():
    """All fluxes times 1000; stars and dip scale, the sky does not."""
    args = ([TARGET, (30.0, 20.0, 12.5)], (30, 20))
    plain = vet_candidate(made_evidence(np.random.default_rng(9), *args, 15.0))
    brighter = [(east, north, tmag - 7.5) for east, north, tmag in args[0]]
    bright_sky = TableDepth(18.0 - 7.5, 1e-4, 60.0)
    found = made_evidence(np.random.default_rng(9), brighter, args[1], 15e3, noise=1e3)
    scaled = vet_candidate([replace(one, table=bright_sky) for one in found])
    for name in ("p_target", "p_best_host", "offset_ra_arcsec", "offset_cov_ra_dec", "significance_sigma"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), rel=1e-6), name
    assert scaled.verdict == plain.verdict


def test_stored_evidence_gives_the_same_verdict_and_is_small():
    stars = [TARGET, *((x, y, 15.0) for x in range(-60, 61, 20) for y in range(-60, 61, 20) if x or y)]
    found = made_evidence(np.random.default_rng(10), stars, (0, 0), 20.0)
    rows = [evidence_row(one) for one in found]
    assert ["toi", "tic", *rows[0]] == [column.name for column in EVIDENCE]
    size = sum(value.nbytes for value in rows[0].values() if isinstance(value, np.ndarray))
    assert size < 12_000  # of 49 stars
    again, direct = vet_candidate([evidence_of_row(row) for row in rows]), vet_candidate(found)
    assert again.verdict == direct.verdict
    assert again.p_target == pytest.approx(direct.p_target, abs=1e-4)
    assert again.offset_arcsec == pytest.approx(direct.offset_arcsec, abs=1e-3)


def test_joint_error_falls_with_sectors_and_ellipses_cover():
    rng, squares, errors = np.random.default_rng(11), [], {1: [], 6: []}
    for sectors in errors:
        for _ in range(40):
            host = rng.uniform(-20, 20, 2)
            verdict = vet_candidate(made_evidence(rng, [TARGET], tuple(host), 18.0, sectors=sectors))
            error = np.array([verdict.offset_ra_arcsec, verdict.offset_dec_arcsec]) - host
            covariance = [
                [verdict.offset_cov_ra_ra, verdict.offset_cov_ra_dec],
                [verdict.offset_cov_ra_dec, verdict.offset_cov_dec_dec],
            ]
            errors[sectors].append(np.hypot(*error))
            squares.append(error @ np.linalg.solve(covariance, error))
    assert np.median(errors[6]) < 0.6 * np.median(errors[1])
    assert np.mean(np.array(squares) < 5.991) > 0.89


def test_faint_dips_of_many_sectors_add_up():
    """Ten sectors of SNR 3 locate together what none locates alone."""
    rng = np.random.default_rng(12)
    found = made_evidence(rng, [TARGET, (45.0, 0.0, 12.0)], (45, 0), 9.0, sectors=10)
    assert np.median([one.dip.snr for one in found]) < 4.5
    verdict = vet_candidate(found)
    assert verdict.best_host_id == "1"
    assert verdict.offset_ra_arcsec == pytest.approx(45, abs=8)


@pytest.mark.parametrize("prices", [(6.0,), (0.0, 1.0, 4.0), (10.0, 10.0, 10.0)])
def test_price_of_times_that_were_looked_for_lowers_the_squared_joint_snr_by_twice_as_much(prices):
    found = made_evidence(np.random.default_rng(16), [TARGET], (0, 0), 60.0, sectors=len(prices))
    paid = [replace(one, timing_price=price) for one, price in zip(found, prices, strict=True)]
    before, after = weigh(found)[0].snr, weigh(paid)[0].snr
    assert before**2 - after**2 == pytest.approx(2 * sum(prices), rel=0.01)


def test_price_beyond_the_signal_leaves_no_signal_to_noise():
    found = made_evidence(np.random.default_rng(17), [TARGET], (0, 0), 10.0, sectors=1)
    assert weigh([replace(found[0], timing_price=1e3)])[0].snr == 0.0


def test_classical_offset_is_the_weighted_mean_with_its_floor():
    base = made_evidence(np.random.default_rng(13), [TARGET], (0, 0), 25.0, sectors=1)[0]

    def sector(row, variance):
        frame = SkyFrame(base.frame.shape, np.array([5.0, 5.0]), 20.0 * np.eye(2))
        place, covariance = np.array([row, 5.0]), variance * np.eye(2)
        dip = replace(base.dip, place=place, covariance=covariance, systematic=np.zeros((2, 2)))
        return replace(base, frame=frame, dip=dip)

    pair = [sector(5.1, 0.01), sector(5.4, 0.02)]  # 2" and 8", variances 4 and 8 arcsec²
    length, sigma = classical_offset(pair)
    assert length == pytest.approx((2 / 4 + 8 / 8) / (1 / 4 + 1 / 8))
    assert sigma == pytest.approx(4.0 / math.sqrt(1 / (1 / 4 + 1 / 8) + 2.5**2))
    assert math.isnan(sector_consistency(pair[:1]))


def test_candidate_without_any_evidence_is_inconclusive():
    verdict = vet_candidate([])
    assert verdict.verdict == "INCONCLUSIVE"
    assert verdict.flags == ("NO_VALID_TRANSIT",)
    assert math.isnan(verdict.p_target)


@pytest.mark.parametrize("dip", [100.0, 1000.0])
def test_one_sector_alone_is_its_own_joint_position(dip):
    """However sharp the likelihood is: the maps that stand for it must not make a maximum of their own."""
    rng = np.random.default_rng(14)
    for _ in range(5):
        host = rng.uniform(-30, 30, 2)
        found = made_evidence(rng, [TARGET], tuple(host), dip, sectors=1)
        verdict = vet_candidate(found)
        joint = (verdict.offset_ra_arcsec, verdict.offset_dec_arcsec)
        assert joint == pytest.approx(tuple(found[0].offset), abs=0.1)
        assert joint == pytest.approx(tuple(host), abs=4.0)


def test_image_without_any_dip_gives_finite_numbers():
    found = made_evidence(np.random.default_rng(15), [TARGET, (30.0, 0.0, 12.0)], (0, 0), -50.0, sectors=2)
    verdict = vet_candidate(found)
    assert verdict.verdict == "INCONCLUSIVE"
    assert "LOW_SNR" in verdict.flags
    assert 0 <= verdict.p_target <= 1
    assert np.isfinite([verdict.offset_arcsec, verdict.offset_cov_ra_ra, verdict.significance_sigma]).all()
