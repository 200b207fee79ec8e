"""A calibration's scale of errors: what it does to hypotheses, and that judging with a wrong one is found out."""

from __future__ import annotations

import numpy as np
import pytest
from made_evidence import made_evidence

from batchvet.science.calibration import DEFAULT
from batchvet.science.hypotheses import Hypotheses
from batchvet.science.joint import vet_candidate
from batchvet.science.self_check import rayleigh_scale
from batchvet.vocabulary import Verdict

STARS = [(0.0, 0.0, 10.0), (60.0, 0.0, 12.0), (-80.0, 50.0, 13.0)]


def test_errors_twice_as_large_make_a_quarter_of_a_stars_chi2_and_four_times_the_area():
    log_likelihood = Hypotheses.of(np.array([92.0, 100.0, 60.0]), 90.0, 20.0)
    twice = DEFAULT.with_error_scale(2.0).stretched(log_likelihood, 100.0)
    np.testing.assert_allclose(twice.hosts, [98.0, 100.0, 90.0])
    assert twice.not_in_table == pytest.approx(90.0 + np.log(4.0)) and twice.artefact == 20.0
    half = DEFAULT.with_error_scale(0.5).stretched(log_likelihood, 100.0)
    np.testing.assert_allclose(half.hosts, [68.0, 100.0, -60.0])
    assert half.not_in_table == pytest.approx(90.0 - np.log(4.0))
    assert DEFAULT.stretched(log_likelihood, 100.0) is log_likelihood
    assert DEFAULT.with_error_scale(1.0001).version == DEFAULT.version
    assert DEFAULT.with_error_scale(1.25).version == f"{DEFAULT.version}+errors*1.250"


def test_larger_errors_make_a_blend_that_was_clear_a_question():
    """A dip on a star 8" away, at a signal to noise of about 40."""
    stars = [STARS[0], (8.0, 0.0, 11.0)]
    evidence = made_evidence(np.random.default_rng(1), stars, stars[1][:2], 40.0)
    sharp, blunt = (vet_candidate(evidence, DEFAULT.with_error_scale(scale)) for scale in (1.0, 10.0))
    assert sharp.verdict == Verdict.OFF_TARGET and sharp.p_best_host > 0.99
    assert 0.05 < blunt.p_target < 0.95 and blunt.verdict == Verdict.AMBIGUOUS
    assert blunt.significance_sigma == pytest.approx(sharp.significance_sigma / 10.0)
    assert blunt.p_target_raw == sharp.p_target_raw  # what the pixels say is what it was


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_run_that_was_judged_with_a_wrong_scale_says_so(scale):
    """The offsets of 60 dips on their targets over errors that were scaled; those of candidates that were not judged
    are among them, as the self-check has them."""
    rng = np.random.default_rng(5)
    evidence = [made_evidence(rng, STARS, (0.0, 0.0), rng.uniform(10, 25), sectors=1) for _ in range(60)]
    verdicts = [vet_candidate(one, DEFAULT.with_error_scale(scale)) for one in evidence]
    found = rayleigh_scale(np.array([verdict.significance_sigma for verdict in verdicts]), 5.0)
    assert abs(found.scale - 1.0 / scale) < 3.0 * found.error and found.error < 0.15 / scale
    assert abs(found.off_sigma) > 4.0
