"""How deep a dip is at its deepest, whatever template it was measured with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from batchvet.science.dip_shape import SHAPES, DipShapes, deepest_over_measured
from batchvet.science.windows import Window, darkened, trapezoid

DURATION, EXPOSURE = 0.125, 1800 / 86400
V = SHAPES.index((1.0, 0.5))
BOX = SHAPES.index((1.0, 0.08))


def window() -> Window:
    """A transit that was measured with the catalogue's template, a flat trapezoid."""
    u = np.arange(-0.25, 0.25, EXPOSURE / 4)
    return Window(0.0, np.arange(len(u)), u, trapezoid(u, DURATION, 0.15 * DURATION, EXPOSURE), False)


def test_a_darkened_dip_is_averaged_over_the_exposure():
    def instant(t: float) -> float:
        x = abs(t) / (DURATION / 2)
        if x >= 1:
            return 0.0
        mu = np.sqrt(1 - x**2)
        return min((1 - x) / 0.3, 1.0) * (1 - 0.3 * (1 - mu) - 0.25 * (1 - mu) ** 2)

    for t in (0.0, 0.03, 0.055, DURATION / 2 + 0.2 * EXPOSURE):
        mean = quad(instant, t - EXPOSURE / 2, t + EXPOSURE / 2, limit=200)[0] / EXPOSURE
        assert darkened(np.array([t]), DURATION, [0.15 * DURATION], EXPOSURE)[0, 0] == pytest.approx(mean, abs=3e-3)


def test_a_v_is_deeper_than_a_flat_template_measures_and_by_how_much():
    """The depth that least squares give for a noiseless V with a flat template, turned back."""
    one = window()
    found = DipShapes.of([one], DURATION, EXPOSURE, 1, np.ones(1))
    truth = darkened(one.u, DURATION, [0.5 * DURATION], EXPOSURE)[:, 0]
    design = np.column_stack([np.ones_like(one.u), one.u, one.m])
    measured = np.linalg.lstsq(design, truth, rcond=None)[0][2]
    assert measured * found.deepest[V] == pytest.approx(1.0, rel=1e-9)
    assert 1.3 < found.deepest[V] < 1.8 and 1.0 < found.deepest[BOX] < 1.1


def test_what_the_light_says_of_the_shape_decides_and_where_it_says_nothing_the_error_says_so():
    deepest = np.linspace(1.0, 1.6, len(SHAPES))
    sure = np.zeros(len(SHAPES))
    sure[V] = 60.0
    assert deepest_over_measured([(DipShapes(sure, deepest), 100.0)]) == pytest.approx((deepest[V], 0.0), abs=1e-6)
    mean, error = deepest_over_measured([(DipShapes(np.zeros(len(SHAPES)), deepest), 100.0)])
    assert 1.1 < mean < 1.5 and 0.05 < error < 0.25
    assert deepest_over_measured([]) == deepest_over_measured([(DipShapes(), 100.0)]) == (1.0, 0.2)


def test_sectors_know_one_shape_together_and_the_clear_ones_tell_how_it_was_measured():
    gain = np.zeros(len(SHAPES))
    gain[V] = 30.0
    flat, own = DipShapes(gain, np.full(len(SHAPES), 1.5)), DipShapes(gain, np.full(len(SHAPES), 1.1))
    mean, error = deepest_over_measured([(flat, 300.0), (own, 100.0)])
    assert mean == pytest.approx(1.4) and error == pytest.approx(0.0, abs=1e-6)
