"""The dip that a simulated star has, and how well a sector can see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Ephemeris

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Dip:
    """A planet or an eclipse: which star loses how much, and when."""

    toi: str  #: name of the candidate
    ephemeris: Ephemeris  #: the true one
    depth: float  #: fraction of the host's flux lost at mid-transit
    host: int | None  #: index of the host among the scene's stars; None when there is no dip
    ingress_fraction: float = 0.15  #: of the duration, from first to second contact; 0.5 is V-shaped
    limb_darkening: tuple[float, float] = (0.3, 0.2)  #: quadratic law, u1 and u2

    def shape(self, time: FloatArray, exposure_days: float) -> FloatArray:
        """Fraction of the depth that is missing at each cadence, averaged over the exposure, in [0, 1]."""
        half = self.ephemeris.duration_days / 2
        from_mid = self.ephemeris.time_from_transit(time)
        near = np.flatnonzero(np.abs(from_mid) < half + exposure_days)
        steps = max(5, 2 * int(10 * exposure_days / half) + 1)
        sub = ((np.arange(steps) + 0.5) / steps - 0.5) * exposure_days
        out = np.zeros(len(time))
        out[near] = self._instant(from_mid[near, None] + sub).mean(axis=1)
        return out

    def _instant(self, from_mid: FloatArray) -> FloatArray:
        """A trapezoid whose floor is rounded by quadratic limb darkening, 1 at mid-transit."""
        x = np.abs(from_mid) / (self.ephemeris.duration_days / 2)
        trapezoid = np.clip((1 - x) / (2 * self.ingress_fraction), 0, 1)
        u1, u2 = self.limb_darkening
        away = 1 - np.sqrt(np.clip(1 - x**2, 0, 1))
        return trapezoid * (1 - u1 * away - u2 * away**2)


def transit_weight(dip: Dip, time: FloatArray, usable: NDArray[np.bool_], exposure_days: float) -> float:
    """How much information the cadences hold: 1 / variance of the dip's amplitude for unit noise per cadence.

    Around each transit a constant and a slope are fitted along with the dip, in a window that is as long on each
    side as the transit (at least 1.5 h, at most 0.3 of a period) beyond a gap: the window of SCIENCE 2a.
    Cadences that are not usable do not count.
    """
    ephemeris = dip.ephemeris
    time, shape = time[usable], dip.shape(time[usable], exposure_days)
    if not len(time):
        return 0.0
    longest = np.inf if ephemeris.is_single else 0.3 * ephemeris.period_days
    side = min(max(ephemeris.duration_days, 1.5 / 24), longest)
    reach = ephemeris.duration_days / 2 + max(exposure_days, 0.15 * ephemeris.duration_days) + side
    total = 0.0
    for mid in ephemeris.mid_times(time[0], time[-1]):
        first, last = np.searchsorted(time, (mid - reach, mid + reach))
        m = shape[first:last]
        if np.count_nonzero(m) == 0 or np.count_nonzero(m == 0) < 3:
            continue
        u = time[first:last] - mid
        m, u = m - m.mean(), u - u.mean()
        total += float(m @ m - (m @ u) ** 2 / (u @ u))
    return total
