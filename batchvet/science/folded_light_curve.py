"""The light in the aperture folded on the ephemeris, binned: what people look at first.

It is for looking only. No figure of the verdict comes from it (method: odd, even, secondary).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

from batchvet.arrays import BoolArray, Float32Array, FloatArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.robust import medians, spread

N_BINS = 31  #: of a window about mid-transit
N_PHASES = 100  #: of a whole period
FIRST_PHASE = -0.25  #: where the folded period begins
_REACH = 2.5  # durations to either side of mid-transit
_KNOT_DURATIONS, _SHORTEST_KNOT = 3.0, 0.25  # durations and days between what the slow light is known by
_MEDIAN_ERROR = 1.2533  # of a median over that of a mean, for Gaussian noise


@dataclass(frozen=True, eq=False)
class FoldedLightCurve:
    """One candidate in one sector. A bin without a cadence is NaN."""

    hours: FloatArray  #: from mid-transit, middle of each bin, [bin]
    odd_ppm: FloatArray  #: of the light out of transit, minus 1: transits an odd number of periods from t0, [bin]
    odd_error_ppm: FloatArray  #: [bin]
    even_ppm: FloatArray  #: an even number of periods; a single transit is one of these, [bin]
    even_error_ppm: FloatArray  #: [bin]
    secondary_phase: float  #: where a secondary eclipse is looked at, periods after mid-transit; NaN: nowhere
    secondary_ppm: FloatArray  #: about that phase, [bin]
    secondary_error_ppm: FloatArray  #: [bin]
    phase_ppm: FloatArray  #: of a whole period from phase -0.25 on, [phase]; empty for a single transit


def folded_light_curve(
    time: FloatArray,
    series: Float32Array,
    aperture: BoolArray,
    ephemeris: Ephemeris,
    others: Sequence[Ephemeris] = (),
    secondary_phase: float = 0.5,
) -> FoldedLightCurve:
    """Fold the light in an aperture.

    Parameters
    ----------
    time : BTJD days, [cadence]
    series : e-/s, of the pixels row by row, [row * col, cadence]
    aperture : pixels that are summed, [row, col]; the middle of the stamp where there are none
    ephemeris : of the candidate
    others : of the target's other candidates, whose transits are left out
    secondary_phase : where a secondary eclipse is looked at
    """
    if not aperture.any():
        aperture = _middle(aperture.shape)
    light = series[aperture.ravel()].sum(axis=0, dtype=np.float64)
    known = np.isfinite(light) & np.isfinite(time)
    for other in others:
        known &= np.abs(other.time_from_transit(time)) > 0.5 * other.duration_days
    time, light = np.asarray(time[known], dtype=np.float64), light[known]
    away = ephemeris.time_from_transit(time)
    out = np.abs(away) > 0.6 * ephemeris.duration_days
    ppm = _relative(time, light, out, ephemeris.duration_days)
    noise = _noise(ppm[out])
    by_value = np.argsort(ppm)
    time, ppm, away = time[by_value], ppm[by_value], away[by_value]
    reach = _REACH * ephemeris.duration_days
    if not ephemeris.is_single:
        reach = min(reach, 0.5 * ephemeris.period_days)
    edges = np.linspace(-reach, reach, N_BINS + 1)
    odd = _is_odd(time, ephemeris)
    from_secondary = _from_phase(time, ephemeris, secondary_phase)
    odd_ppm, even_ppm, secondary_ppm = (
        _binned(x, ppm[use], edges, noise)
        for x, use in ((away[odd], odd), (away[~odd], ~odd), (from_secondary, slice(None)))
    )
    return FoldedLightCurve(
        hours=24.0 * (edges[1:] + edges[:-1]) / 2.0,
        odd_ppm=odd_ppm[0],
        odd_error_ppm=odd_ppm[1],
        even_ppm=even_ppm[0],
        even_error_ppm=even_ppm[1],
        secondary_phase=np.nan if ephemeris.is_single else secondary_phase,
        secondary_ppm=secondary_ppm[0],
        secondary_error_ppm=secondary_ppm[1],
        phase_ppm=_whole_period(time, ppm, ephemeris),
    )


def _middle(shape: tuple[int, ...]) -> BoolArray:
    row, col = np.ogrid[: shape[0], : shape[1]]
    near: BoolArray = (row - (shape[0] - 1) / 2.0) ** 2 + (col - (shape[1] - 1) / 2.0) ** 2 <= 1.5**2
    return near


def _relative(time: FloatArray, light: FloatArray, out: BoolArray, duration: float) -> FloatArray:
    """Light over what varies slowly out of transit, minus 1, ppm."""
    if not out.any():
        return np.full(len(time), np.nan)
    knot = np.floor((time[out] - time.min()) / max(_KNOT_DURATIONS * duration, _SHORTEST_KNOT))
    place = np.cumsum(np.diff(knot, prepend=knot[0]) != 0)
    n = np.bincount(place)
    at = np.bincount(place, time[out]) / n
    by_value = np.argsort(light[out])
    level = _medians(light[out][by_value], place[by_value], n)
    slow = Akima1DInterpolator(at, level)(np.clip(time, at[0], at[-1])) if len(at) > 2 else np.interp(time, at, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1e6 * (light / slow - 1.0))


def _noise(values: FloatArray) -> float:
    """1 sigma of a cadence about the median; NaN where nothing is known."""
    values = values[np.isfinite(values)]
    return float(spread(values - medians(values))) if values.size else np.nan


def _is_odd(time: FloatArray, ephemeris: Ephemeris) -> BoolArray:
    if ephemeris.is_single:
        return np.zeros(len(time), dtype=bool)
    return np.asarray(np.rint((time - ephemeris.t0_btjd) / ephemeris.period_days).astype(np.int64) & 1 == 1)


def _from_phase(time: FloatArray, ephemeris: Ephemeris, phase: float) -> FloatArray:
    """Days from the nearest time at that phase; NaN for a single transit."""
    if ephemeris.is_single:
        return np.full(len(time), np.nan)
    cycles = (time - ephemeris.t0_btjd) / ephemeris.period_days - phase
    return np.asarray((cycles - np.round(cycles)) * ephemeris.period_days)


def _binned(x: FloatArray, ppm: FloatArray, edges: FloatArray, noise: float) -> tuple[FloatArray, FloatArray]:
    """Median of each bin of increasing `ppm`, and its error."""
    use = np.isfinite(x) & np.isfinite(ppm) & (x >= edges[0]) & (x < edges[-1])
    place = _places(x[use], edges)
    n = np.bincount(place, minlength=len(edges) - 1)
    seen, errors = n > 0, np.full(len(n), np.nan)
    errors[seen] = noise * np.where(n[seen] > 2, _MEDIAN_ERROR, 1.0) / np.sqrt(n[seen])
    return _medians(ppm[use], place, n), errors


def _medians(values: FloatArray, place: NDArray[np.integer], n: NDArray[np.integer]) -> FloatArray:
    """Median of each place's own of increasing values, of which it has n; NaN where it has none, [place]."""
    ordered = values[np.argsort(place.astype(np.int16), kind="stable")]  # by place, and in each by value
    start, seen, found = np.cumsum(n) - n, n > 0, np.full(len(n), np.nan)
    low, high = (start + (n - 1) // 2)[seen], (start + n // 2)[seen]
    found[seen] = 0.5 * (ordered[low] + ordered[high])
    return found


def _places(x: FloatArray, edges: FloatArray) -> NDArray[np.int16]:
    """Numbers of the bins, all as wide as each other, that x lie in, as `numpy.digitize` has them."""
    n = len(edges) - 1
    place: NDArray[np.int16] = np.clip((x - edges[0]) * (n / (edges[-1] - edges[0])), 0, n - 1).astype(np.int16)
    place -= x < edges[place]  # rounding puts what is on an edge on either side of it
    place += x >= edges[place + 1]
    return place


def _whole_period(time: FloatArray, ppm: FloatArray, ephemeris: Ephemeris) -> FloatArray:
    if ephemeris.is_single:
        return np.empty(0)
    cycles = (time - ephemeris.t0_btjd) / ephemeris.period_days - FIRST_PHASE
    phase = cycles - np.floor(cycles)
    return _binned(phase, ppm, np.linspace(0.0, 1.0, N_PHASES + 1), np.nan)[0]
