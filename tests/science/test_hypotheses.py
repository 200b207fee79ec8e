"""A number for each answer to "whose dip is it?", by name."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.science.hypotheses import Hypotheses


def test_parts_have_names():
    found = Hypotheses.of(np.array([-1.0, -2.0]), not_in_table=-3.0, artefact=-4.0)
    assert found.hosts == pytest.approx([-1.0, -2.0])
    assert (found.not_in_table, found.artefact) == (-3.0, -4.0)


def test_best_star_may_be_in_no_table_but_is_no_artefact():
    assert Hypotheses.of(np.array([0.1, 0.3]), 0.2, 0.4).best_star == 1
    assert Hypotheses.of(np.array([0.1, 0.2]), 0.3, 0.4).best_star is None


def test_normalised_sums_to_one_whatever_the_size_of_the_weights():
    p = Hypotheses.of(np.array([1e4, 1e4 + np.log(2.0)]), -1e4, -1e4).normalised()
    assert p.values == pytest.approx([1 / 3, 2 / 3, 0.0, 0.0])
    assert p.normalised(0.0).hosts == pytest.approx([0.25, 0.25])
