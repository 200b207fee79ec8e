"""Two names, one dip: ephemerides that agree along the chances of luck, of stars that can share light.

A bright eclipsing binary shows in its neighbours, along its CCD column and, reflected, far across its camera. Its dips
then have its period, or a multiple, and its epoch. After Coughlin et al. 2014 (AJ 147, 119); their two fixed limits
are replaced by the number of other stars that would agree as well by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from batchvet.arrays import FloatArray, IndexArray

#: How two can share light, with its prior weight: of the ways that are open to nearly all, few matches are expected.
KINDS = {"same_place": 1.0, "near": 1.0, "same_column": 0.05, "same_camera": 0.05}
MAX_RATIO = 10  #: of the periods
LIMIT = 3e-3  #: chance of luck below which a match is told; one in a thousand candidates at most is then told wrongly
_SIGMAS = 5.0  #: published errors are too small as often as not
_WIDTH = 0.05  #: in ln P, over which the density of periods is counted
_ROUNDING = 1e-7  #: of ln P: no agreement is believed beyond the digits that tables have
_CAMERA = 24.0  #: deg, side of a camera's field
_SAME_PLACE = 4.0  #: arcsec, the radius of a target's group of stars
_COLUMNS = 2.0  #: pixels, half width of a bleed trail or of what charge transfer leaves
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


class OnCcd(NamedTuple):
    """Where entries were seen; an entry may be seen many times, or never."""

    entry: IndexArray
    ccd: IndexArray  #: a number for each sector, camera and CCD
    column: FloatArray  #: pixels


class Match(NamedTuple):
    """One candidate and the other that has its ephemeris."""

    candidate: int
    other: int
    kind: str  #: of :data:`KINDS`
    p: float  #: chance of a match as good by luck
    ratio: float  #: period of the other over that of the candidate: an integer, or one over it
    period_difference: float  #: of ln P, after that
    epoch_difference_days: float
    separation_arcsec: float


def match(entries: Ephemerides, n_candidates: int, seen: OnCcd | None = None, limit: float = LIMIT) -> list[Match]:
    """Hold candidates against each other and against all further entries.

    Parameters
    ----------
    entries : Ephemerides
        The candidates first, then known binaries and variables.
    n_candidates : int
    seen : OnCcd, optional
        Without it no two are known to share a column.
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
    (1/2 for 1, 1/(4 k (k-1)) for k and for 1/k) and of the kind, and multiplied by the number of entries that could
    share light in that way. Pairs that differ by more than 5 sigma, and by more than half a duration, are none. An
    error that is not known is a tenth of the duration, for the period over one sector.
    """
    periodic = np.flatnonzero((entries.period_days > 0) & np.isfinite(entries.t0_btjd) & np.isfinite(entries.ra))
    if not len(periodic):
        return []
    errors = _errors(entries)
    sky = _Sky(entries, periodic, seen)
    found = [
        one
        for ratio in (*range(1, MAX_RATIO + 1), *(1 / k for k in range(2, MAX_RATIO + 1)))
        for one in _judged(entries, errors, sky, _pairs(entries, errors, periodic, n_candidates, ratio), limit)
    ]
    best: dict[tuple[int, int], Match] = {}
    for one in sorted(found, key=lambda one: one.p):
        best.setdefault((one.candidate, one.other), one)
    return list(best.values())


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
    entries: Ephemerides,
    errors: _Errors,
    sky: _Sky,
    pairs: _Pairs,
    limit: float,
) -> Iterator[Match]:
    """Those pairs whose epochs agree too, and whose light can be the same."""
    ratio, one, other, chance = pairs
    difference, error, shorter = _epochs(entries, errors, one, other, ratio)
    duration = np.fmax(entries.duration_days[one], entries.duration_days[other])
    duration = np.where(np.isfinite(duration), duration, 0.05 * shorter)
    q = np.clip(chance * np.maximum(2 * np.abs(difference), 1e-4) / shorter, 1e-300, 1.0)
    k = max(ratio, 1 / ratio)
    weight = 0.5 if k < 1.5 else 0.25 / (k * (k - 1))
    p = np.where(error > 0.25 * shorter, chance, q * (1 - np.log(q))) / weight
    good = (p < limit) & (np.abs(difference) < np.maximum(_SIGMAS * error, 0.5 * duration))
    for n in np.flatnonzero(good):
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
                float(log_ratio),
                float(difference[n]),
                separation,
            )


def _epochs(
    entries: Ephemerides, errors: _Errors, one: IndexArray, other: IndexArray, ratio: float
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
    difference = apart - period * np.rint(apart / period)
    error = np.sqrt(errors.t0[one] ** 2 + errors.t0[other] ** 2 + (apart * relative) ** 2)
    return difference, error, period


class _Sky:
    """Who is near whom: on the sky, and on the CCDs."""

    def __init__(self, entries: Ephemerides, periodic: IndexArray, seen: OnCcd | None) -> None:
        self._places = _unit_vectors(entries.ra, entries.dec)
        self._tree = cKDTree(self._places[periodic])
        tmag = np.where(np.isfinite(entries.tmag), entries.tmag, 12.0)
        #: arcsec, to which a star's light is seen: seven pixels, more for a bright one as in Coughlin et al.
        self._reach = 150.0 * np.sqrt(10 ** (-0.4 * (tmag - 10.0)) + 1.0)
        self._seen: dict[int, list[tuple[int, float]]] = {}
        self._columns: dict[int, FloatArray] = {}
        if seen is not None:
            for entry, ccd, column in zip(seen.entry.tolist(), seen.ccd.tolist(), seen.column.tolist(), strict=True):
                self._seen.setdefault(entry, []).append((ccd, column))
            self._columns = {int(ccd): np.sort(seen.column[seen.ccd == ccd]) for ccd in np.unique(seen.ccd)}

    def between(self, one: int, other: int) -> tuple[str, int, float]:
        """How two can share light, how many others could as well, and how far they are apart (arcsec)."""
        chord = float(np.linalg.norm(self._places[one] - self._places[other]))
        separation = float(np.degrees(2 * np.arcsin(min(chord / 2, 1.0))) * 3600)
        reach = max(self._reach[one], self._reach[other])
        if separation <= reach:
            return "same_place" if separation <= _SAME_PLACE else "near", self._n_within(one, reach), separation
        if n_on_column := self._n_on_column(one, other):
            return "same_column", n_on_column, separation
        if separation <= _CAMERA * 3600:
            return "same_camera", self._n_within(one, _CAMERA * 3600), separation
        return "", 0, separation

    def _n_within(self, one: int, arcsec: float) -> int:
        chord = 2 * np.sin(np.radians(arcsec / 3600) / 2) * (1 + 1e-9)
        return max(int(self._tree.query_ball_point(self._places[one], chord, return_length=True)) - 1, 1)

    def _n_on_column(self, one: int, other: int) -> int:
        """How many share a column with it; 0 when the other does not."""
        theirs = dict[int, list[float]]()
        for ccd, column in self._seen.get(other, ()):
            theirs.setdefault(ccd, []).append(column)
        mine = self._seen.get(one, [])
        if not any(abs(column - at) <= _COLUMNS for ccd, column in mine for at in theirs.get(ccd, ())):
            return 0
        several = [
            int(np.diff(np.searchsorted(self._columns[ccd], (column - _COLUMNS, column + _COLUMNS)))[0]) - 1
            for ccd, column in mine
        ]
        return max(sum(several), 1)


def _unit_vectors(ra: FloatArray, dec: FloatArray) -> FloatArray:
    alpha, delta = np.radians(np.nan_to_num(ra)), np.radians(np.nan_to_num(dec))
    return np.column_stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)])


def one_of_each(matches: list[Match]) -> list[Match]:
    """The best match of each candidate."""
    best: dict[int, Match] = {}
    for one in sorted(matches, key=lambda one: one.p):
        best.setdefault(one.candidate, one)
    return list(best.values())
