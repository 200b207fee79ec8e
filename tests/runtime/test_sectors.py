"""Which sectors are looked at, when catalogue, sources and configuration each have their say."""

from __future__ import annotations

import pytest

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.runtime.sectors import NO_SECTOR, sectors_of, wanted_sectors

ALL = None


def candidate(sectors: tuple[int, ...] | None) -> Candidate:
    return Candidate("7.01", 7, Ephemeris(3.0, 1500.0, 2.0), sectors=sectors)


@pytest.mark.parametrize(
    ("in_catalogue", "with_pixels", "listed", "expected"),
    [
        ((1, 2), (2, 3), ALL, (1, 2)),
        (None, (2, 3), ALL, (2, 3)),
        (None, (), ALL, (NO_SECTOR,)),
        ((1, 2), (2, 3), (2, 7), (2,)),
        ((1, 2), (), (7,), ()),
        (None, (2, 3), (2, 7), (2, 7)),
    ],
)
def test_sectors_of_a_candidate(in_catalogue, with_pixels, listed, expected):
    assert sectors_of(candidate(in_catalogue), with_pixels, listed) == expected


def test_sources_are_asked_for_what_the_candidates_of_a_target_need_together():
    assert wanted_sectors([candidate((1, 2)), candidate((2, 5))], ALL) == {1, 2, 5}
    assert wanted_sectors([candidate((1, 2)), candidate(None)], ALL) is None
    assert wanted_sectors([candidate((1, 2)), candidate(None)], (2, 7)) == {2, 7}
