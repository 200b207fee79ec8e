"""Dips of the same sector that are not the dip: secondary eclipses, other stars' eclipses, and flares turned over.

They are found by what they look like in the stars' light curves, not by an ephemeris, and kept out of the epochs on
which the noise is measured (method: noise). A secondary eclipse is found by folding on the candidate's own period.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.science.floors import LEAST_WEIGHT
from batchvet.science.robust import spread
from batchvet.science.sector_fits import are_alike
from batchvet.science.star_curves import StarCurves
from batchvet.science.timeline import Transits
from batchvet.science.windows import WindowLayout

_LEAST_BINS = 2  # inside, and on each side
_STRANGE = 6.0  # signal to noise of a single dip that is no noise
_BEYOND = 1.75  # times the highest rise of the same curve
_SECONDARY = 7.0  # signal to noise of a folded dip anywhere in phase and on the stamp
_PHASES = 4.0  # a duration
_LEAST_OCCASIONS = 2  # of a secondary eclipse in a sector


@dataclass(frozen=True, eq=False)
class DipSeries:
    """How deep a dip of the candidate's duration would be at every time, in every star's curve."""

    time: FloatArray  #: BTJD, days, [bin]
    scaled: FloatArray  #: weighted light over the square root of `variance`, [bin, image]; NaN in bins not `measured`
    variance: FloatArray  #: of the light over that of one cadence, [bin]
    noise: FloatArray  #: 1 sigma of one cadence, as dips of this length see it, [image]
    measured: BoolArray  #: whether there is light within and on both sides, [bin]
    from_sums: csr_array  #: what makes `scaled` of running sums of the light, [bin, bin]

    def again(self, curves: StarCurves) -> DipSeries:
        """The same of other light in the same bins."""
        scaled = self.from_sums @ _running_sums(curves)
        scaled[~self.measured] = np.nan
        noise = np.maximum(spread(scaled[self.measured]), curves.noise) if self.measured.any() else curves.noise
        return replace(self, scaled=scaled, noise=noise)


def dip_series(curves: StarCurves, layout: WindowLayout) -> DipSeries:
    """Mean of the light beside less that within, around every bin; baselines on both sides."""
    time = curves.time
    ends = [-layout.outer, -layout.inner, -0.5 * layout.duration, 0.5 * layout.duration, layout.inner, layout.outer]
    edges = np.array([np.searchsorted(time, time + end) for end in ends])
    last = np.minimum(edges[5], len(time)) - 1
    whole = np.min(edges[1::2] - edges[::2], axis=0) >= _LEAST_BINS
    whole &= curves.stretch[edges[0].clip(max=len(time) - 1)] == curves.stretch[last]
    counted = np.concatenate([[0.0], np.cumsum(curves.count)])
    n = np.maximum(counted[edges[1::2]] - counted[edges[::2]], 1.0)
    variance = 0.25 / n[0] + 1.0 / n[1] + 0.25 / n[2]
    factors = np.array([[0.5], [-1.0], [0.5]]) / (n * np.sqrt(variance))
    nothing = DipSeries(time, curves.flux, variance, curves.noise, whole, _from_sums(edges, factors, whole))
    return nothing.again(curves)


def _running_sums(curves: StarCurves) -> FloatArray:
    """Light of all cadences up to each bin, its own included, [bin, image]."""
    return np.cumsum(np.multiply(curves.flux, curves.count[:, None], order="C"), axis=0)


def _from_sums(edges: IndexArray, factors: FloatArray, chosen: BoolArray) -> csr_array:
    """What turns running sums into factors [part, bin] times the sums between pairs of edges [2 part, bin].

    Rows that are not chosen are zero, and so are sums up to before the first bin.
    """
    n = edges.shape[1]
    values = np.where(chosen & (edges > 0), np.repeat(factors, 2, axis=0), 0.0)
    values[::2] *= -1.0
    columns = np.maximum(edges - 1, 0)
    starts = np.arange(0, 6 * n + 1, 6, dtype=np.int32)
    return csr_array((values.T.ravel(), columns.T.ravel().astype(np.int32), starts), shape=(n, n))


def strange_times(series: DipSeries, known: BoolArray) -> FloatArray:
    """Times (BTJD days) around which some star dips, other than the `known` bins.

    Noise rises as often as it falls: what rises as far elsewhere, as pointing that POS_CORR does not tell of, is noise.
    """
    free = series.measured & ~known
    lowest = np.min(series.scaled, axis=0, where=free[:, None], initial=0.0)
    limit = np.maximum(_STRANGE * series.noise, -_BEYOND * lowest)
    return np.asarray(series.time[free & (series.scaled > limit).any(axis=1)])


def deepest_elsewhere(series: DipSeries, known: BoolArray) -> FloatArray:
    """Weighted light that the deepest dip of every curve takes, the `known` bins left out; 0 for noise, [image]."""
    bins, images = np.nonzero(series.scaled > _STRANGE * series.noise)
    elsewhere = ~known[bins]
    bins, images = bins[elsewhere], images[elsewhere]
    deepest = np.zeros(series.scaled.shape[1])
    np.maximum.at(deepest, images, series.scaled[bins, images] * np.sqrt(series.variance[bins]))
    return deepest


def find_secondary(series: DipSeries, transits: Transits, layout: WindowLayout, shift: float = 0.0) -> float | None:
    """Phase of the strongest dip beside the candidate's own; None when there is none, or no period."""
    ephemeris = transits.ephemeris
    if ephemeris.is_single:
        return None
    period, duration = ephemeris.period_days, ephemeris.duration_days
    clear = (layout.outer + 0.5 * duration) / period  # nearer, the primary lies in the baseline of what is looked for
    n = math.floor((1.0 - 2.0 * clear) * period * _PHASES / duration)
    if n < 1:
        return None
    phases = clear + (np.arange(n) + 0.5) * (1.0 - 2.0 * clear) / n
    usable = series.measured.copy()
    for other in transits.others:
        usable &= np.abs(other.time_from_transit(series.time)) > 0.5 * (duration + other.duration_days)
    if not usable.any():
        return None
    times, bins = series.time[usable], np.flatnonzero(usable)
    epochs = np.arange(
        math.floor((times[0] - ephemeris.t0_btjd) / period) - 1, math.ceil((times[-1] - ephemeris.t0_btjd) / period) + 1
    )
    wanted = ephemeris.t0_btjd + shift + period * (epochs[:, None] + phases)
    place = np.searchsorted(times, wanted).clip(1, len(times) - 1)
    place -= wanted - times[place - 1] < times[place] - wanted
    there = np.abs(times[place] - wanted) < duration / _PHASES
    place = bins[place]
    error = np.sqrt(series.variance[place])
    weight = there / error**2
    total = weight.sum(axis=0)
    part = (there / error)[:, :, None] * series.scaled[place]
    # Without its strongest: what happens once is no secondary eclipse.
    rest = np.maximum(total - weight.max(axis=0), LEAST_WEIGHT)
    folded = (part.sum(axis=0) - part.max(axis=0)) * (np.sqrt(total) / rest)[:, None] / series.noise
    folded[(weight > 0).sum(axis=0) < _LEAST_OCCASIONS] = 0.0
    phase, image = np.nonzero(folded > _SECONDARY)
    information = weight[:, phase] / series.noise[image] ** 2
    alike = are_alike(part[:, phase, image] / series.noise[image] ** 2, information)
    if not alike.any():
        return None
    return float(phases[phase[alike][folded[phase[alike], image[alike]].argmax()]])
