"""Robust scales and weights are the usual ones for a Gaussian and hold against bad samples."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.science.robust import clipped_variance, huber_weights, spread, winsorised


def samples(n=20_000, k=3):
    return np.random.default_rng(1).normal(0.0, [1.0, 5.0, 1e-3][:k], (n, k))


def test_spread_and_clipped_variance_of_a_gaussian_are_its_own():
    assert spread(samples()) == pytest.approx([1.0, 5.0, 1e-3], rel=0.03)
    assert clipped_variance(samples()) == pytest.approx([1.0, 25.0, 1e-6], rel=0.03)


def test_bad_samples_hardly_count():
    bad = samples(1000)
    bad[:20] *= 1e4
    assert spread(bad) == pytest.approx(spread(samples(1000)), rel=0.05)
    assert clipped_variance(bad) == pytest.approx(clipped_variance(samples(1000)), rel=0.2)


def test_winsorised_samples_keep_their_direction_and_the_good_ones_their_place():
    bad = samples(1000)
    bad[0] *= 1e4
    pulled = winsorised(bad)
    assert pulled[0] / bad[0] == pytest.approx(np.full(3, pulled[0, 0] / bad[0, 0]))
    assert np.linalg.norm(pulled[0] / [1.0, 5.0, 1e-3]) < 4.0
    assert np.mean(np.all(pulled == bad, axis=1)) == pytest.approx(0.975, abs=0.015)


def test_huber_weights_fall_as_one_over_the_residual():
    assert huber_weights(np.array([0.0, -4.0, 8.0, np.inf]), 4.0) == pytest.approx([1.0, 1.0, 0.5, 0.0])


def test_samples_that_are_all_alike_have_no_spread_and_do_no_harm():
    assert np.isfinite(winsorised(np.zeros((10, 2)))).all()
    assert clipped_variance(np.zeros((10, 2))) == pytest.approx([0.0, 0.0])
