"""The dip that a simulated star has, and how well a sector can see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.catalog.candidate import Ephemeris


@dataclass(frozen=True, eq=False)
class Shifts:
    """By how much single transits come late (timing variations), by their number counted from t0."""

    first: int  #: number of the first transit that is listed
    days: FloatArray  #: late by so much, [transit]

    def of(self, number: IndexArray) -> FloatArray:
        """Days by which transits come late; those that are not listed come in time."""
        place = number - self.first
        listed = (place >= 0) & (place < len(self.days))
        return np.where(listed, self.days[np.where(listed, place, 0)], 0.0)


@dataclass(frozen=True)
class Dip:
    """A planet or an eclipse: which star loses how much, and when."""

    toi: str  #: name of the candidate
    ephemeris: Ephemeris  #: the true one
    depth: float  #: fraction of the host's flux lost at mid-transit
    host: int | None  #: index of the host among the scene's stars; None when there is no dip
    ingress_fraction: float = 0.15  #: of the duration, from first to second contact; 0.5 is V-shaped
    limb_darkening: tuple[float, float] = (0.3, 0.2)  #: quadratic law, u1 and u2
    secondary: float = 0.0  #: depth of a secondary eclipse of the same star, fraction of `depth`
    secondary_phase: float = 0.5  #: when it comes, in periods after a transit
    odd_even: float = 0.0  #: even transits (t0 is one) less odd ones, fraction of `depth`, which is their mean
    shifts: Shifts | None = None  #: of single transits from the ephemeris

    def loss(self, time: FloatArray, exposure_days: float) -> FloatArray:
        """Fraction of its flux that the host lacks at each cadence, averaged over the exposure."""
        lost = self.depth * self.shape(time, exposure_days)
        if self.secondary > 0 and not self.ephemeris.is_single:
            lost += self.depth * self.secondary * self._averaged(self._time_from_secondary(time), exposure_days, (0, 0))
        return lost

    def shape(self, time: FloatArray, exposure_days: float) -> FloatArray:
        """Fraction of the depth that transits take at each cadence, averaged over the exposure, in [0, 1].

        With `odd_even` the deeper half of the transits reaches 1 + odd_even / 2.
        """
        shape = self._averaged(self.time_from_transit(time), exposure_days, self.limb_darkening)
        if self.odd_even > 0:
            shape *= 1 + self.odd_even * (0.5 - self._number(time) % 2)
        return shape

    def time_from_transit(self, time: FloatArray) -> FloatArray:
        """Days from the nearest mid-transit, timing variations included."""
        from_mid = self.ephemeris.time_from_transit(time)
        return from_mid if self.shifts is None else from_mid - self.shifts.of(self._number(time))

    def mid_times(self, start: float, stop: float) -> FloatArray:
        """True mid-times (BTJD) of the transits that the ephemeris has in [start, stop]."""
        times = self.ephemeris.mid_times(start, stop)
        return times if self.shifts is None else times + self.shifts.of(self._number(times))

    def _number(self, time: FloatArray) -> IndexArray:
        """Number of the nearest transit, counted from t0."""
        if self.ephemeris.is_single:
            return np.zeros(len(time), dtype=np.intp)
        return np.round((time - self.ephemeris.t0_btjd) / self.ephemeris.period_days).astype(np.intp)

    def _time_from_secondary(self, time: FloatArray) -> FloatArray:
        return self.ephemeris.time_from_transit(time - self.secondary_phase * self.ephemeris.period_days)

    def _averaged(self, from_mid: FloatArray, exposure_days: float, limb_darkening: tuple[float, float]) -> FloatArray:
        half = self.ephemeris.duration_days / 2
        near = np.flatnonzero(np.abs(from_mid) < half + exposure_days)
        steps = max(5, 2 * int(10 * exposure_days / half) + 1)
        sub = ((np.arange(steps) + 0.5) / steps - 0.5) * exposure_days
        out = np.zeros(len(from_mid))
        out[near] = self._instant(from_mid[near, None] + sub, limb_darkening).mean(axis=1)
        return out

    def _instant(self, from_mid: FloatArray, limb_darkening: tuple[float, float]) -> FloatArray:
        """A trapezoid whose floor is rounded by quadratic limb darkening, 1 at mid-transit."""
        x = np.abs(from_mid) / (self.ephemeris.duration_days / 2)
        trapezoid = np.clip((1 - x) / (2 * self.ingress_fraction), 0, 1)
        u1, u2 = limb_darkening
        away = 1 - np.sqrt(np.clip(1 - x**2, 0, 1))
        return np.asarray(trapezoid * (1 - u1 * away - u2 * away**2))


def window_reach(ephemeris: Ephemeris, exposure_days: float) -> float:
    """Days from mid-transit to the end of the local baseline: half the dip, a gap, and a side.

    As of the windows (method: difference images). A side is as long as the transit, at least 1.5 h and at most 0.3 of a
    period.
    """
    longest = np.inf if ephemeris.is_single else 0.3 * ephemeris.period_days
    side = min(max(ephemeris.duration_days, 1.5 / 24), longest)
    return ephemeris.duration_days / 2 + max(exposure_days, 0.15 * ephemeris.duration_days) + side


def transit_weight(dip: Dip, time: FloatArray, usable: BoolArray, exposure_days: float) -> float:
    """How much information the cadences hold: 1 / variance of the dip's amplitude for unit noise per cadence.

    Around each transit a constant and a slope are fitted along with the dip, in the window of :func:`window_reach`.
    Cadences that are not usable do not count.
    """
    time, shape = time[usable], dip.shape(time[usable], exposure_days)
    if not len(time):
        return 0.0
    reach = window_reach(dip.ephemeris, exposure_days)
    total = 0.0
    for mid in dip.mid_times(time[0], time[-1]):
        first, last = np.searchsorted(time, (mid - reach, mid + reach))
        m = shape[first:last]
        if np.count_nonzero(m) == 0 or np.count_nonzero(m == 0) < 3:
            continue
        u = time[first:last] - mid
        m, u = m - m.mean(), u - u.mean()
        total += float(m @ m - (m @ u) ** 2 / (u @ u))
    return total
