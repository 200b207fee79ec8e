"""Evidence in its parts, and the row of the table that holds all of them."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from made_evidence import made_evidence

from batchvet.results.evidence_rows import evidence_of_row, evidence_row
from batchvet.results.schema import TABLES


@pytest.fixture(scope="module")
def evidence():
    stars = [(0.0, 0.0, 11.0), (30.0, 20.0, 12.5), (-25.0, 5.0, 13.0)]
    return made_evidence(np.random.default_rng(3), stars, (0, 0), 25.0, sectors=1)[0]


def numbers(part):
    """Every number of a dataclass and its parts, in order, as float32: what a row keeps of a map."""
    if is_dataclass(part):
        return np.concatenate([numbers(getattr(part, item.name)) for item in fields(part)] or [[]])
    if isinstance(part, str) or (isinstance(part, tuple) and part and isinstance(part[0], str)):
        return np.empty(0)
    return np.asarray(part, dtype=np.float32).ravel()


def test_row_of_a_row_is_the_row(evidence):
    row = evidence_row(evidence)
    again = evidence_row(evidence_of_row(row))
    assert list(again) == list(row)
    for name, value in row.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_row_keeps_every_part(evidence):
    again = evidence_of_row(evidence_row(evidence))
    for name in ("frame", "dip", "hosts"):
        np.testing.assert_array_equal(numbers(getattr(again, name)), numbers(getattr(evidence, name)), err_msg=name)
    for name in ("stamp", "near", "peak"):
        ours, theirs = getattr(again.maps, name), getattr(evidence.maps, name)
        np.testing.assert_array_equal(ours.start, theirs.start)
        np.testing.assert_array_equal(ours.step, theirs.step)
        np.testing.assert_array_equal(ours.values, theirs.values.astype(np.float32))
    assert again.hosts.source_id == evidence.hosts.source_id
    assert (again.flags, again.prf_source) == ((), "spoc")
    np.testing.assert_array_equal(again.offset, evidence.offset)
    np.testing.assert_array_equal(again.offset_covariance, evidence.offset_covariance)


def test_row_has_the_columns_of_the_table_in_their_order(evidence):
    assert TABLES["evidence"].names == ["toi", "tic", *evidence_row(evidence)]


def test_null_of_a_table_is_nan_and_unknown_columns_do_no_harm(evidence):
    found = evidence_of_row({**evidence_row(evidence), "chi2_reduced": None, "toi": "1.01"})
    assert math.isnan(found.dip.chi2_reduced)
    assert found.noise_scale == 1.0


def test_stars_lie_on_the_stamp_where_their_offsets_say(evidence):
    for place, east, north in zip(evidence.star_places.T, evidence.hosts.east, evidence.hosts.north, strict=True):
        assert evidence.frame.offset(place) == pytest.approx((east, north), abs=1e-9)
