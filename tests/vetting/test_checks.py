"""A check is known everywhere or nowhere: to configurations, to who measures, to the table and to the words."""

from __future__ import annotations

from batchvet.results.schema import CHECKS
from batchvet.vetting.measure import OTHER_CHECKS
from batchvet.vetting.settings import ALL_CHECKS
from batchvet.vocabulary import Layer


def test_every_check_that_can_be_asked_for_is_measured_and_has_columns():
    asked_for = set(ALL_CHECKS) - {"localization"}
    assert asked_for == {"V09", *OTHER_CHECKS}
    assert asked_for == set(CHECKS)


def test_every_check_has_a_layer_of_words():
    assert set(ALL_CHECKS) <= {str(layer) for layer in Layer}
