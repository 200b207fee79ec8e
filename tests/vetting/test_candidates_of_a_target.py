"""Candidates of a target share what does not depend on them, and that changes nothing."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.pixels.tpf import read_tpf
from batchvet.sample import DIRECTORY
from batchvet.science.sector_pixels import SectorPixels
from batchvet.vetting.measure import measure, observe
from batchvet.vetting.settings import Surroundings, VetSettings

#: Of the lengths of cadences that suit them, two are alike: 30, 20 and 20 minutes.
CANDIDATES = [
    Candidate(f"1.0{n}", 25155310, Ephemeris(5.1, 1327.5 + n, hours)) for n, hours in enumerate((12.0, 8.5, 8.2))
]


def same(one, other):
    """Every number of two results, to the last bit."""
    if is_dataclass(one):
        return all(same(getattr(one, item.name), getattr(other, item.name)) for item in fields(one))
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one == other or (one != one and other != other)


def test_pixels_are_sorted_out_once_and_averaged_once_for_each_length(monkeypatch):
    (path,) = (DIRECTORY / "tpfs").glob("*-s0001-*")
    stamp, settings = read_tpf(path), VetSettings()
    alone = [measure(observe(stamp, settings), one, Surroundings(), settings).localization for one in CANDIDATES]
    made = []
    of = SectorPixels.of.__func__
    monkeypatch.setattr(SectorPixels, "of", classmethod(lambda cls, *given: made.append(1) or of(cls, *given)))
    observation = observe(stamp, settings)
    together = [measure(observation, one, Surroundings(), settings).localization for one in (*CANDIDATES, *CANDIDATES)]
    assert len(made) == 1
    assert all(same(one, other) for one, other in zip([*alone, *alone], together, strict=True))
    pixels = observation.pixels(settings.quality_bitmask)
    assert pixels.averaged(2, 0.2) is pixels.averaged(2, 0.2) is not pixels.averaged(3, 0.2)
