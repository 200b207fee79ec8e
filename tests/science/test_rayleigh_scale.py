"""The scale of offsets over their errors is found, with an error that is honest, whatever a few of them are."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.science.self_check import rayleigh_scale


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_scale_is_found_to_5_percent_and_told_from_1(scale):
    rng = np.random.default_rng(1)
    found = rayleigh_scale(rng.rayleigh(scale, 1000))
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert (abs(found.off_sigma) > 10) == (scale != 1.0) and (found.ks_p < 1e-3) == (scale != 1.0)


def test_its_error_is_honest():
    rng = np.random.default_rng(2)
    found = [rayleigh_scale(rng.rayleigh(1.0, 200)) for _ in range(1000)]
    off = np.array([one.off_sigma for one in found])
    assert abs(np.mean(off)) < 0.15 and 0.93 < np.std(off) < 1.07


def test_a_few_that_are_something_else_do_not_move_it():
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.rayleigh(1.0, 970), rng.uniform(5, 60, 30)])
    assert rayleigh_scale(x).scale == pytest.approx(1.0, abs=0.05)


def test_too_few_say_nothing():
    assert np.isnan(rayleigh_scale(np.array([1.0, np.nan, 2.0])).scale)


@pytest.mark.parametrize("limit", [3.0, 5.0])
def test_offsets_that_were_chosen_by_their_size_tell_the_scale_of_all(limit):
    x = np.random.default_rng(4).rayleigh(2.0, 20000)
    found = rayleigh_scale(x, limit)
    assert found.scale == pytest.approx(2.0, abs=3.0 * found.error) and found.error < 0.06
    assert rayleigh_scale(np.random.default_rng(4).rayleigh(1.0, 2000), limit).ks_p > 0.01
    assert rayleigh_scale(x[x < limit]).scale < 2.0 - 5.0 * found.error  # not knowing of the choice
