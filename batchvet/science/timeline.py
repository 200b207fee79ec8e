"""A sector's cadences in time: which can be used, where the pointing was disturbed, and whose transits they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from batchvet.arrays import BoolArray, FloatArray, IndexArray, IntegerArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.pixels.quality import MOMENTUM_DUMP


@dataclass(frozen=True)
class Transits:
    """When the candidate's dips happen, and when those of the target's other candidates do."""

    ephemeris: Ephemeris  #: of the candidate
    others: tuple[Ephemeris, ...] = ()  #: of the others, whose transits are left out


@dataclass(frozen=True, eq=False)
class SectorTimeline:
    """The cadences of one sector, flagged ones too."""

    time: FloatArray  #: BTJD days, mid-cadence, NaN where unknown, [cadence]
    usable: BoolArray  #: finite time and flux and none of the unwanted quality flags, [cadence]
    quality: IntegerArray  #: SPOC flags, [cadence]
    exposure_days: float  #: of a cadence
    size: int = 1  #: cadences of the file that each is the mean of
    counts: IndexArray | None = None  #: how many these were, where some are missing, [cadence]; None: all

    def count(self, cadences: IndexArray | BoolArray) -> int:
        """How many cadences of the file these are."""
        counts = np.full(len(self.time), self.size) if self.counts is None else self.counts
        return int(counts[cadences].sum())

    def starts_of_means(self, size: int, break_days: float) -> IndexArray:
        """Where means of `size` cadences begin, in the usable ones; none is longer, or crosses a break."""
        time, names = self.time[self.usable], self.stretches(break_days)[self.usable]
        first = np.flatnonzero(np.diff(names, prepend=names[0] - 1))
        since = time - np.repeat(time[first], np.diff(first, append=len(time)))
        number = np.floor((since / self.exposure_days + 0.5) / size)
        return np.flatnonzero((np.diff(number, prepend=-1.0) != 0) | (np.diff(names, prepend=names[0] - 1) != 0))

    def averaged(self, starts: IndexArray, size: int, break_days: float) -> SectorTimeline:
        """Of means that begin there, of `size` cadences; one of less than half of them is not usable."""
        names = self.stretches(break_days)[self.usable][starts]
        count = np.diff(starts, append=np.count_nonzero(self.usable))
        return SectorTimeline(
            time=np.add.reduceat(self.time[self.usable], starts) / count,
            usable=2 * count >= size,
            quality=np.where(np.diff(names, prepend=names[0]) != 0, MOMENTUM_DUMP, 0),
            exposure_days=size * self.exposure_days,
            size=size,
            counts=count,
        )

    def stretches(self, break_days: float) -> IndexArray:
        """Number of the stretch of undisturbed pointing that each cadence belongs to, [cadence].

        A momentum dump and a jump in time of more than `break_days` both begin a new one: pointing, focus and
        background change there.
        """
        known = np.flatnonzero(np.isfinite(self.time) & (self.time != 0))
        starts = np.zeros(len(self.time), dtype=bool)
        jumps = np.diff(self.time[known]) > break_days
        starts[known[1:][jumps]] = True
        starts |= (np.asarray(self.quality) & MOMENTUM_DUMP) != 0
        return np.cumsum(starts)

    def in_transit_of(self, ephemerides: Sequence[Ephemeris]) -> BoolArray:
        """Cadences that see any part of a transit of one of these, with 2 sigma of its mid-times, [cadence]."""
        inside = np.zeros(len(self.time), dtype=bool)
        known = self.time[np.isfinite(self.time)]
        if known.size == 0:
            return inside
        for each in ephemerides:
            margin = 2.0 * max(each.mid_time_error(float(t)) for t in (known.min(), known.max()))
            reach = 0.5 * (each.duration_days + self.exposure_days) + margin
            inside |= np.abs(each.time_from_transit(self.time)) < reach
        return inside

    def free_cadences(self, others: Sequence[Ephemeris], break_days: float) -> FreeCadences:
        """Usable cadences outside the transits of `others`."""
        index = np.flatnonzero(self.usable & ~self.in_transit_of(others))
        return FreeCadences(self.time, index, self.stretches(break_days), self.size)


@dataclass(frozen=True, eq=False)
class FreeCadences:
    """What windows are cut from."""

    time: FloatArray  #: BTJD days, of all cadences, [cadence]
    index: IndexArray  #: of the cadences that may be used, increasing
    stretches: IndexArray  #: from `SectorTimeline.stretches`, of all cadences, [cadence]
    size: int = 1  #: cadences of the file that each is the mean of

    @cached_property
    def times(self) -> FloatArray:
        """Times of the free cadences alone, BTJD days, [index]."""
        return self.time[self.index]
