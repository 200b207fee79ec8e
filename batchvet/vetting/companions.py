"""The target's other candidates: their dips are left out of this one's windows, unless they are this one's own."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from batchvet.catalog.candidate import Candidate, Ephemeris

_SPAN_DAYS = 27.0  # of a sector
_PERIODS = 1.5  # to either side: three transits that coincide are no chance


def others_of(
    candidate: Candidate, companions: Iterable[Candidate], mid_time: float
) -> tuple[tuple[Ephemeris, ...], bool]:
    """Ephemerides whose dips are not the candidate's.

    Parameters
    ----------
    candidate : Candidate
    companions : iterable of Candidate
        Of the same target; the candidate may be among them.
    mid_time : float
        Middle of the sector, BTJD.

    Returns
    -------
    others : tuple of Ephemeris
    has_twin : bool
        Whether another has the candidate's own dips: the same signal by another name, or at a fraction of its period.
        Were they left out, nothing of the candidate would be left.
    """
    others = [other.ephemeris for other in companions if other.toi != candidate.toi]
    own = [has_the_dips_of(other, candidate.ephemeris, mid_time) for other in others]
    return tuple(other for other, same in zip(others, own, strict=True) if not same), any(own)


def has_the_dips_of(other: Ephemeris, ephemeris: Ephemeris, mid_time: float) -> bool:
    """Whether each transit of `ephemeris` around `mid_time` (BTJD) is one of the other's too."""
    if ephemeris.is_single or other.is_single:
        both = ephemeris.is_single and other.is_single
        return both and abs(other.t0_btjd - ephemeris.t0_btjd) < _apart(other, ephemeris)
    reach = _PERIODS * max(ephemeris.period_days, _SPAN_DAYS)
    times = ephemeris.mid_times(mid_time - reach, mid_time + reach)
    return bool(times.size and (np.abs(other.time_from_transit(times)) < _apart(other, ephemeris)).all())


def _apart(one: Ephemeris, two: Ephemeris) -> float:
    """Days between mid-times up to which most of a dip is in the other's."""
    return max(one.duration_days, two.duration_days) / 2.0
