"""Two names, one dip: ephemerides that agree along the chances of luck, of stars that can share light.

A bright eclipsing binary shows in its neighbours, along its CCD column, in the camera's other outputs and, reflected,
far across its camera. Its dips then have its period, or a multiple, and its epoch, or that of its secondary. After
Coughlin et al. 2014 (AJ 147, 119); their two fixed limits are replaced by the number of other stars that would agree
as well by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.science.detector_sharing import EXPECTED, Detector, shared

#: How two can share light, with its prior weight: of the ways that are open to nearly all, few matches are expected.
KINDS = {"same_place": 1.0, "near": 1.0, **dict.fromkeys(EXPECTED, 0.05), "same_camera": 0.02}
MAX_RATIO = 10  #: of the periods
RATIOS = (*range(1, MAX_RATIO + 1), *(1 / k for k in range(2, MAX_RATIO + 1)))
PHASES = {0.0: 0.8, 0.5: 0.2}  #: of the shorter period at which dips may come, with their prior weights
LIMIT = 3e-3  #: chance of luck below which a match is told; one in a thousand candidates at most is then told wrongly
_SIGMAS = 5.0  #: published errors are too small as often as not
_WIDTH = 0.05  #: in ln P, over which the density of periods is counted
_ROUNDING = 1e-7  #: of ln P: no agreement is believed beyond the digits that tables have
_CAMERA = 24.0  #: deg, side of a camera's field
_ACROSS = 34.0  #: deg, from corner to corner
_SAME_PLACE = 4.0  #: arcsec, the radius of a target's group of stars
_BASELINE_DAYS = 27.4  #: one sector: what a period without an error is thought to be measured on


@dataclass(frozen=True)
class Ephemerides:
    """Ephemerides and places, one entry each; NaN where not known, errors 0 when not known."""

    period_days: FloatArray
    period_err_days: FloatArray
    t0_btjd: FloatArray
    t0_err_days: FloatArray
    duration_days: FloatArray
    ra: FloatArray  #: deg
    dec: FloatArray  #: deg
    tmag: FloatArray  #: TESS magnitude
    star: FloatArray  #: number of the star; those of one star are not held against each other; NaN: nobody else's

    def __len__(self) -> int:
        return len(self.period_days)


class Match(NamedTuple):
    """One candidate and the other that has its ephemeris."""

    candidate: int
    other: int
    kind: str  #: of :data:`KINDS`
    p: float  #: chance of a match as good by luck
    ratio: float  #: period of the other over that of the candidate: an integer, or one over it
    phase: float  #: 0, or 0.5 where dips come half the shorter period after the other's, as at a secondary eclipse
    period_difference: float  #: of ln P, after that
    epoch_difference_days: float
    separation_arcsec: float


def match(
    entries: Ephemerides, n_candidates: int, detector: Detector | None = None, limit: float = LIMIT
) -> list[Match]:
    """Hold candidates against each other and against all further entries.

    Parameters
    ----------
    entries : Ephemerides
        The candidates first, then known binaries and variables.
    n_candidates : int
    detector : Detector, optional
        Says where two entries fall on the CCDs; without it no two are known to share a column, or to be opposite.
    limit : float
        Largest chance that is told.

    Returns
    -------
    list of Match
        The least likely match of luck first; one pair of candidates is two matches.

    Notes
    -----
    For a period ratio k the chance of an agreement as good is ``q (1 - ln q)`` with ``q = p_P p_T`` (Fisher):
    ``p_P = 2 |d ln P| n(ln P) / N`` from the density of the table's own periods, ``p_T = 2 |dT| / P`` of the shorter
    period; where the epoch of the one is lost for the other, p_P alone. It is divided by the prior weights of the ratio
    (1/2 for 1, 1/(4 k (k-1)) for k and for 1/k), of the phase (the other's epoch, or half the shorter period later:
    its secondary) and of the kind, and multiplied by the number of entries that could share light in that way. Pairs
    that differ by more than 5 sigma, and by more than half a duration, are none. An error that is not known is a tenth
    of the duration, for the period over one sector.
    """
    periodic = np.flatnonzero((entries.period_days > 0) & np.isfinite(entries.t0_btjd) & np.isfinite(entries.ra))
    if not len(periodic):
        return []
    errors = _errors(entries)
    sky = _Sky(entries, periodic, detector)
    best: dict[tuple[int, int], Match] = {}
    for ratio in RATIOS:
        pairs = _pairs(entries, errors, periodic, n_candidates, ratio)
        for phase in PHASES:
            for one in _judged(entries, errors, sky, pairs, phase, limit):
                if (known := best.get((one.candidate, one.other))) is None or one.p < known.p:
                    best[one.candidate, one.other] = one
    return sorted(best.values(), key=lambda one: one.p)


class _Pairs(NamedTuple):
    """Candidates and others whose periods have a ratio, one pair each."""

    ratio: float
    one: IndexArray
    other: IndexArray
    chance: FloatArray  #: of periods so alike


class _Errors(NamedTuple):
    log_period: FloatArray
    t0: FloatArray  #: days


def _errors(entries: Ephemerides) -> _Errors:
    """One sigma; where not known, a tenth of the duration, for the period over one sector."""
    period = np.where(entries.period_days > 0, entries.period_days, np.nan)
    duration = np.where(np.isfinite(entries.duration_days), entries.duration_days, 0.05 * period)
    guess = 0.1 * duration
    t0 = np.where(entries.t0_err_days > 0, entries.t0_err_days, guess)
    log_period = np.where(entries.period_err_days > 0, entries.period_err_days / period, guess / _BASELINE_DAYS)
    return _Errors(np.clip(log_period, _ROUNDING, 2e-3), t0)


def _pairs(entries: Ephemerides, errors: _Errors, periodic: IndexArray, n_candidates: int, ratio: float) -> _Pairs:
    """Those whose periods have that ratio within their errors."""
    log_period = np.log(entries.period_days[periodic])
    order = np.argsort(log_period, kind="stable")
    others, sorted_log = periodic[order], log_period[order]
    candidates = periodic[periodic < n_candidates]
    wanted = np.log(entries.period_days[candidates]) + np.log(ratio)
    widest = _SIGMAS * np.hypot(errors.log_period[candidates], errors.log_period[periodic].max())
    start, stop = np.searchsorted(sorted_log, wanted - widest), np.searchsorted(sorted_log, wanted + widest)
    counts = stop - start
    mine = np.repeat(np.arange(len(candidates)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(start, counts)
    difference = np.abs(sorted_log[place] - wanted[mine])
    one, other = candidates[mine], others[place]
    n_about = np.searchsorted(sorted_log, wanted + _WIDTH) - np.searchsorted(sorted_log, wanted - _WIDTH)
    chance = np.maximum(difference, _ROUNDING) / _WIDTH * np.maximum(n_about[mine], 1) / len(others)
    good = difference < _SIGMAS * np.hypot(errors.log_period[one], errors.log_period[other])
    good &= (one != other) & ~(entries.star[one] == entries.star[other])
    return _Pairs(ratio, one[good], other[good], chance[good])


def _judged(
    entries: Ephemerides, errors: _Errors, sky: _Sky, pairs: _Pairs, phase: float, limit: float
) -> Iterator[Match]:
    """Those pairs whose epochs agree too, and whose light can be the same."""
    ratio, one, other, chance = pairs
    difference, error, shorter = _epochs(entries, errors, one, other, ratio, phase)
    duration = np.fmax(entries.duration_days[one], entries.duration_days[other])
    duration = np.where(np.isfinite(duration), duration, 0.05 * shorter)
    q = np.clip(chance * np.maximum(2 * np.abs(difference), 1e-4) / shorter, 1e-300, 1.0)
    k = max(ratio, 1 / ratio)
    weight = (0.5 if k < 1.5 else 0.25 / (k * (k - 1))) * PHASES[phase]
    lost = error > 0.25 * shorter
    p = np.where(lost, chance, q * (1 - np.log(q))) / weight
    good = (p < limit) & (np.abs(difference) < np.maximum(_SIGMAS * error, 0.5 * duration))
    if phase > 0:
        good &= ~lost  # of an epoch that is lost nothing says that it is the secondary's
    chosen = sky.within_reach(one, other, p, good, limit)
    for n in chosen.tolist():
        kind, n_others, separation = sky.between(int(one[n]), int(other[n]))
        expected = n_others * p[n] / KINDS.get(kind, 1.0)
        if kind and expected < limit:
            log_ratio = np.log(entries.period_days[other[n]] / entries.period_days[one[n]] / ratio)
            yield Match(
                int(one[n]),
                int(other[n]),
                kind,
                float(-np.expm1(-expected)),
                ratio,
                phase,
                float(log_ratio),
                float(difference[n]),
                separation,
            )


def _epochs(
    entries: Ephemerides, errors: _Errors, one: IndexArray, other: IndexArray, ratio: float, phase: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """By how much dips come apart where the epochs are, its error, and the shorter period; all days.

    The time between the epochs is counted in periods of the entry that knows its period better.
    """
    period = np.where(
        errors.log_period[one] <= errors.log_period[other],
        entries.period_days[one] * min(ratio, 1.0),
        entries.period_days[other] / max(ratio, 1.0),
    )
    relative = np.minimum(errors.log_period[one], errors.log_period[other])
    apart = entries.t0_btjd[other] - entries.t0_btjd[one]
    cycles = apart / period - phase
    difference = period * (cycles - np.rint(cycles))
    error = np.sqrt(errors.t0[one] ** 2 + errors.t0[other] ** 2 + (apart * relative) ** 2)
    return difference, error, period


class _Sky:
    """Who is near whom: on the sky, and on the CCDs."""

    def __init__(self, entries: Ephemerides, periodic: IndexArray, detector: Detector | None) -> None:
        self._places = unit_vectors(entries.ra, entries.dec)
        self._tree = cKDTree(self._places[periodic])
        tmag = np.where(np.isfinite(entries.tmag), entries.tmag, 12.0)
        #: arcsec, to which a star's light is seen: seven pixels, more for a bright one as in Coughlin et al.
        self._reach = 150.0 * np.sqrt(10 ** (-0.4 * (tmag - 10.0)) + 1.0)
        self._detector = detector

    def within_reach(
        self, one: IndexArray, other: IndexArray, p: FloatArray, good: BoolArray, limit: float
    ) -> IndexArray:
        """Of good pairs those near enough to be looked at one by one: of far ones only what is far from luck."""
        among = np.flatnonzero(good)
        separation = self._arcsec(one[among], other[among])
        near = separation <= np.maximum(self._reach[one[among]], self._reach[other[among]])
        far = (separation <= _ACROSS * 3600) & (
            p[among] < limit * max(KINDS[kind] for kind in (*EXPECTED, "same_camera"))
        )
        return among[near | far]

    def _arcsec(self, one: IndexArray, other: IndexArray) -> FloatArray:
        chord = np.linalg.norm(self._places[one] - self._places[other], axis=-1)
        return np.asarray(np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1.0))) * 3600)

    def between(self, one: int, other: int) -> tuple[str, float, float]:
        """How two can share light, how many others could as well, and how far they are apart (arcsec)."""
        separation = float(self._arcsec(np.array(one), np.array(other)))
        reach = max(self._reach[one], self._reach[other])
        if separation <= reach:
            return "same_place" if separation <= _SAME_PLACE else "near", self._n_within(one, reach), separation
        if self._detector is not None:
            mine, theirs = self._detector.places(one, other)
            if kind := shared(mine, theirs):
                n_others = EXPECTED[kind] * len(mine) * self._n_within(one, _CAMERA * 3600)
                return kind, max(n_others, 1.0), separation
        if separation <= _CAMERA * 3600:
            return "same_camera", self._n_within(one, _CAMERA * 3600), separation
        return "", 0, separation

    def _n_within(self, one: int, arcsec: float) -> int:
        chord = 2 * np.sin(np.radians(arcsec / 3600) / 2) * (1 + 1e-9)
        return max(int(self._tree.query_ball_point(self._places[one], chord, return_length=True)) - 1, 1)


def unit_vectors(ra: FloatArray | float, dec: FloatArray | float) -> FloatArray:
    """Directions (degrees) as vectors, the last axis x, y and z."""
    alpha, delta = np.radians(np.nan_to_num(ra)), np.radians(np.nan_to_num(dec))
    return np.stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=-1)
