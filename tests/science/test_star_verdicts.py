"""Every star of a table: the depth it would need, the depth that is seen there, and a word that can be relied on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_evidence import made_evidence

from batchvet.science import star_verdicts
from batchvet.science.joint import vet_candidate
from batchvet.science.star_verdicts import _measured, _overlaps, _word
from batchvet.vocabulary import HostWord, Verdict

#: (east, north, tmag): the target, a bright neighbour 40" away, one that is too faint, one behind the first neighbour.
STARS = [(0.0, 0.0, 10.0), (40.0, 0.0, 12.0), (-30.0, 30.0, 18.5), (40.0, 8.0, 13.0)]


def light(tmag: float) -> float:
    return float(10 ** (-0.4 * (tmag - 20.44)))


@pytest.fixture(scope="module")
def on_target():
    """A dip of 60 e-/s on the target, 3 sectors with a noise of 1 e-/s a pixel."""
    return vet_candidate(made_evidence(np.random.default_rng(1), STARS, STARS[0][:2], 60.0))


def by_id(verdict):
    return {star.source_id: star for star in verdict.stars}


def test_the_host_is_named_and_the_others_are_cleared(on_target):
    assert on_target.verdict == Verdict.ON_TARGET
    words = {name: star.word for name, star in by_id(on_target).items()}
    assert words == {"0": HostWord.HOST, "1": HostWord.CLEARED, "3": HostWord.CLEARED}  # the faint one is not able
    assert on_target.stars[0].source_id == "0" and on_target.stars[0].delta_chi2 == 0.0


def test_the_required_depth_of_the_host_is_its_true_depth(on_target):
    host = by_id(on_target)["0"]
    true = 60.0 / light(10.0)
    assert host.depth_required == pytest.approx(true, rel=0.1)
    assert abs(host.depth_required - true) < 4 * host.depth_required_error
    assert host.depth_required_error < 0.1 * true


def test_what_is_seen_at_the_others_is_no_dip(on_target):
    stars = by_id(on_target)
    assert abs(stars["0"].depth_measured - 60.0 / light(10.0)) < 4 * stars["0"].depth_measured_error
    assert abs(stars["1"].depth_measured) < 4 * stars["1"].depth_measured_error


def test_two_stars_that_are_one_on_the_stamp_have_larger_errors_together():
    rng = np.random.default_rng(2)
    alone = by_id(vet_candidate(made_evidence(rng, STARS[:2], STARS[1][:2], 60.0)))
    rng = np.random.default_rng(2)
    close = by_id(vet_candidate(made_evidence(rng, [*STARS[:2], STARS[3]], STARS[1][:2], 60.0)))
    assert close["1"].depth_measured_error > 1.2 * alone["1"].depth_measured_error


def test_a_dip_that_cannot_be_seen_clears_nobody_that_could_have_it():
    verdict = vet_candidate(made_evidence(np.random.default_rng(3), STARS, STARS[0][:2], 2.0))
    assert verdict.verdict == Verdict.INCONCLUSIVE
    assert by_id(verdict)["0"].word == HostWord.CANNOT_TELL


def test_without_a_table_nobody_is_cleared():
    """A star that nobody lists may pull the places, or have the dip."""
    found = made_evidence(np.random.default_rng(1), STARS[:2], (60.0, 30.0), 60.0)
    assert by_id(vet_candidate(found))["0"].word == HostWord.CLEARED
    alone = [replace(one, has_neighbours=False) for one in found]
    assert {star.word for star in vet_candidate(alone).stars} == {HostWord.CANNOT_TELL}


def test_stars_that_a_stamp_does_not_reach_share_nothing_on_it():
    """They have no place there; taken for stars at the target's, they had a part of its dip."""
    offset = np.array([[0.0, 0.0], [11.0, 0.0], [0.0, 0.0], [0.0, 0.0]])[:, None]
    information = np.tile(np.diag([1.0, 0.5, 0.5]), (4, 1, 1, 1))
    information[2:] = 0.0
    stars = SimpleNamespace(
        present=np.array([[True], [True], [False], [False]]), information=information, offset=offset
    )
    frame = SimpleNamespace(displacement=lambda east, north: np.array([north, east]) / 20.6)
    overlap = _overlaps(stars, SimpleNamespace(evidence=SimpleNamespace(frame=frame)), np.arange(4), 0)
    assert overlap[0, 1] == pytest.approx(np.exp(-0.25 * (11 / 20.6) ** 2))
    assert np.all(overlap[2:] == np.eye(4)[2:]) and np.all(np.diag(overlap) == 1.0)


def test_what_neighbours_share_with_the_dip_is_no_dip_of_theirs():
    """Noise put the dip beside its star. Two others share with it what the PRF says, not what Gaussian images would."""
    root, with_dip, snr = np.array([100.0, 80.0, 60.0]), np.array([0.95, 0.5, 0.9]), 20.0
    information = np.tile(np.diag([1.0, 0.5, 0.5]), (3, 1, 1, 1)) * root[:, None, None, None] ** 2
    shared = np.zeros((3, 1, 3))
    shared[:, 0, 0] = with_dip * root
    frame = SimpleNamespace(displacement=lambda east, north: np.array([north, east]) / 20.6)
    dip = SimpleNamespace(snr=snr, systematic=1e-6 * np.eye(2))
    stars = SimpleNamespace(
        present=np.ones((3, 1), dtype=bool),
        information=information,
        offset=np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 12.0]])[:, None],
        shared=shared,
        sectors=[SimpleNamespace(evidence=SimpleNamespace(frame=frame, dip=dip))],
    )
    score = (with_dip * root * snr)[:, None]
    measured, error = _measured(stars, score, root[:, None] ** 2, np.ones(3, dtype=bool))
    assert measured[0] == pytest.approx(0.95 * snr / root[0], rel=0.01)
    assert np.all(np.abs(measured[1:]) < 0.1 * error[1:])


def test_words_say_what_the_documentation_says_of_probabilities():
    told = {0.9501: "HOST", 0.9499: "POSSIBLE", 0.00101: "POSSIBLE", 0.00099: "CLEARED", 0.0: "CLEARED"}
    assert {p: _word(p, conclusive=True).value for p in told} == told
    assert {_word(p, conclusive=False) for p in told} == {HostWord.CANNOT_TELL}


def test_depths_are_those_at_the_deepest_and_errors_know_of_the_shape(on_target, monkeypatch):
    """A V measured with a flat template is half as deep again: of this dip, 1.5 +- 0.3 times what was measured."""
    monkeypatch.setattr(star_verdicts, "dip_depth", lambda evidence: (1.0, 0.0))
    flat = by_id(vet_candidate(made_evidence(np.random.default_rng(1), STARS, STARS[0][:2], 60.0)))["0"]
    monkeypatch.setattr(star_verdicts, "dip_depth", lambda evidence: (1.5, 0.3))
    pointed = by_id(vet_candidate(made_evidence(np.random.default_rng(1), STARS, STARS[0][:2], 60.0)))["0"]
    assert pointed.depth_required == pytest.approx(1.5 * flat.depth_required)
    assert pointed.depth_measured == pytest.approx(1.5 * flat.depth_measured)
    added = 1.5 * 0.3 * flat.depth_required
    assert pointed.depth_required_error**2 == pytest.approx((1.5 * flat.depth_required_error) ** 2 + added**2, rel=1e-6)
    assert pointed.depth_measured_error > added * 0.9
