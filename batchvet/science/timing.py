"""When the dip happens: early or late against the ephemeris, sector by sector and transit by transit.

Ephemerides drift, planets pull at each other, catalogues err. A template at the wrong time loses the dip or half of it,
so the time is found on the dip's own light, with the price of having looked for it (method: timing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.floors import LEAST_WEIGHT
from batchvet.science.sector_fits import are_alike, dip_chi2
from batchvet.science.star_curves import StarCurves
from batchvet.science.windows import WindowLayout, trapezoid

_REACH = 1.25  # durations to either side that are searched, at least
_REACH_OF_SINGLE = 0.25  # durations, of a single transit
_MOST_REACH = 4.0  # durations, where the ephemeris is known to be worse
_SIGMAS = 3.0  # of the ephemeris that are searched
_STEPS = 10  # a duration
_OFF = 0.1  # prior probability that the ephemeris is off by more than it says
_FAR_SIGMAS = 3.0  # of the ephemeris and the time found: beyond, the ephemeris is off
_GAIN = 12.0  # in chi², beyond the prior's price, of a time that is believed: noise does so once in a hundred searches
_OF_ITS_OWN = 7.0  # signal to noise of a transit that may have a time of its own
_LEAST_BASELINE = 2  # bins
_AS_DEEP = 0.5  # of the dips at a shift: a place that dips so deep at other times too does not tell their time
_ALIKE = 0.7  # in the log of the depth: transits that may have times of their own are as deep as the others


@dataclass(frozen=True, eq=False)
class Timing:
    """How far the dips are off the ephemeris."""

    mid_times: FloatArray  #: of the transits by the ephemeris, BTJD days, [transit]
    shift: FloatArray  #: by how much each is late, days, 0 where the ephemeris serves, [transit]
    error: FloatArray  #: 1 sigma, days; inf where no time can be measured, [transit]
    price: float  #: log of what the search gave away: taken from the log likelihood of the dip
    sigma: float = 0.0  #: of the ephemeris at these times, days

    @classmethod
    def none(cls) -> Timing:
        """Of transits that could not be looked at."""
        return cls(np.empty(0), np.empty(0), np.empty(0), 0.0)

    def unshifted(self) -> Timing:
        """The same transits taken when the ephemeris has them."""
        nothing = np.zeros(len(self.mid_times))
        return Timing(self.mid_times, nothing, np.full(len(self.mid_times), np.inf), 0.0, self.sigma)

    @property
    def is_measured(self) -> bool:
        """Whether there were transits to look at."""
        return len(self.shift) > 0

    @property
    def common_error(self) -> float:
        """1 sigma of `common`, days."""
        return float(np.median(self.error)) if len(self.error) else math.inf

    @property
    def is_off(self) -> bool:
        """Whether the ephemeris and its error do not hold any more."""
        return bool(np.any(np.abs(self.shift) > _FAR_SIGMAS * np.hypot(self.error, self.sigma)))

    @property
    def common(self) -> float:
        """By how much they are late together, days."""
        return float(np.median(self.shift)) if len(self.shift) else 0.0

    @property
    def late(self) -> dict[float, float]:
        """By how much each transit is late, by its mid-time of the ephemeris; days."""
        return dict(zip(self.mid_times.tolist(), self.shift.tolist(), strict=True))

    @property
    def is_shifted(self) -> bool:
        """Whether any transit is off."""
        return bool(np.any(self.shift != 0.0))


@dataclass(frozen=True, eq=False)
class _Scan:
    """Dips fitted at shifted times in the curves of all images."""

    score: FloatArray  #: [transit, shift, image]
    information: FloatArray  #: [transit, shift, image]; 0 where the data do not reach


def find_timing(
    curves: StarCurves,
    mid_times: FloatArray,
    sigma: float,
    reach: float,
    layout: WindowLayout,
    elsewhere: FloatArray | None = None,
) -> Timing:
    """Find the shift of the transits in one sector.

    Parameters
    ----------
    curves : StarCurves
    mid_times : array
        Of the transits by the ephemeris, BTJD days.
    sigma : float
        Error of these, days.
    reach : float
        Days to either side that are searched, from `search_reach`.
    layout : WindowLayout
        Of their windows.
    elsewhere : array, [image], optional
        Depth of each curve's deepest dip far from the transits, from `deepest_elsewhere`.

    Notes
    -----
    The prior of a shift is a Gaussian of the ephemeris's own error, and with a tenth of the weight a time anywhere
    within reach. A common shift is believed when its chi² exceeds that of the ephemeris by more than the prior and the
    number of places and times that were looked at give away; transits of a signal to noise of 7 then by themselves.
    """
    if len(mid_times) == 0:
        return Timing(mid_times, mid_times, mid_times, 0.0)
    step = layout.duration / _STEPS
    half = math.ceil(reach / step)
    shifts = step * np.arange(-half, half + 1, dtype=np.float64)
    scan = _scan(curves, mid_times, shifts, layout)
    log_prior = _log_prior(shifts, max(sigma, step), reach)
    on_time = (shifts == 0.0)[:, None]  # of dips on time nothing is asked
    together = np.where(_tells_time(scan, elsewhere) | on_time, _without_any_one(scan), 0.0)
    value = together.max(axis=1) + 2.0 * log_prior
    best, own, n = int(np.argmax(value)), half, len(mid_times)
    if value[best] - value[own] < _GAIN or not 0 < best < len(shifts) - 1:
        best = own
    place = int(np.argmax(together[best]))
    common, error = _refined(shifts, together[:, place], best)
    if best == own:
        common = 0.0
    shift, errors = np.full(n, common), np.full(n, error)
    price = 0.0 if best == own else _price(log_prior[best], error, step)
    each = dip_chi2(scan.score[:, :, place], scan.information[:, :, place])
    local = each + 2.0 * _near(shifts - common, layout.duration)
    peak, rows = local.argmax(axis=1), np.arange(n)
    gain = local[rows, peak] - local[:, best]
    as_deep = _as_deep_as_usual(scan.score[:, :, place], scan.information[:, :, place], best, peak)
    alone = as_deep & (each[rows, peak] >= _OF_ITS_OWN**2)
    if np.sum(gain[alone]) > _GAIN + 2.0 * np.count_nonzero(alone):
        for j in np.flatnonzero(alone):
            shift[j], errors[j] = _refined(shifts, each[j], int(peak[j]))
            price += _price(float(_near(shifts - common, layout.duration)[peak[j]]), float(errors[j]), step)
    return Timing(np.asarray(mid_times), shift, errors, price, sigma)


def _as_deep_as_usual(score: FloatArray, information: FloatArray, best: int, peak: IndexArray) -> BoolArray:
    """Whether transits at the times that suit each best are as deep as they are at the common one, [transit]."""
    depth, rows = score / np.maximum(information, LEAST_WEIGHT), np.arange(len(score))
    measured = depth[:, best][information[:, best] > 0]
    usual = np.median(measured) if len(score) > 1 and measured.size else depth[0, peak[0]]
    off = np.log(np.maximum(depth[rows, peak], LEAST_WEIGHT) / max(float(usual), LEAST_WEIGHT))
    return np.asarray(np.abs(off) < _ALIKE)


def _log_prior(shifts: FloatArray, sigma: float, reach: float) -> FloatArray:
    """Log density of a common shift: of the ephemeris's own error, or anywhere within reach."""
    own = np.exp(-0.5 * (shifts / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    return np.log((1.0 - _OFF) * own + _OFF / (2.0 * reach))


def _tells_time(scan: _Scan, elsewhere: FloatArray | None) -> BoolArray:
    """Whether dips at a shift tell the time: alike, and not as deep at other times in the same curve."""
    told = are_alike(scan.score, scan.information)
    if elsewhere is not None:
        told &= scan.score.sum(axis=0) * _AS_DEEP > elsewhere * scan.information.sum(axis=0)
    return told


def search_reach(ephemeris: Ephemeris, sigma: float, layout: WindowLayout) -> float:
    """How far to either side of the ephemeris a dip is looked for, days.

    A single transit was seen where the catalogue says: no period carries an error to it.
    """
    if ephemeris.is_single:
        return float(np.clip(_SIGMAS * sigma, _REACH_OF_SINGLE * layout.duration, _MOST_REACH * layout.duration))
    return float(np.clip(_SIGMAS * sigma, _REACH * layout.duration, _MOST_REACH * layout.duration))


def _near(shifts: FloatArray, duration: float) -> FloatArray:
    """Log prior density of one transit's shift about the common one: a quarter of the duration."""
    sigma = 0.25 * duration
    return -0.5 * (shifts / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))


def _price(log_density: float, error: float, step: float) -> float:
    """Log of the prior's density at the time found over the likelihood's own width."""
    width = min(error, step) if math.isfinite(error) else step
    return max(-(log_density + math.log(width * math.sqrt(2 * math.pi))), 0.0)


def _without_any_one(scan: _Scan) -> FloatArray:
    """chi² that the transits take together, at least without any one of them if there are several, [shift, image].

    A flare beside one transit must not choose the time of all. The scale is that of all of them.
    """
    score, information = scan.score.sum(axis=0), scan.information.sum(axis=0)
    n = len(scan.score)
    if n == 1:
        return dip_chi2(score, information)
    least = np.min(
        [dip_chi2(score - one, information - own) for one, own in zip(scan.score, scan.information, strict=True)],
        axis=0,
    )
    return np.asarray(np.minimum(dip_chi2(score, information), least * n / (n - 1)))


def _refined(shifts: FloatArray, chi2: FloatArray, best: int) -> tuple[float, float]:
    """Maximum of the parabola through three points of chi² about the best, and its 1 sigma."""
    if not 0 < best < len(shifts) - 1:
        return float(shifts[best]), math.inf
    before, here, after = chi2[best - 1 : best + 2]
    curvature = before - 2.0 * here + after
    step = shifts[1] - shifts[0]
    if curvature >= 0:
        return float(shifts[best]), math.inf
    moved = 0.5 * (before - after) / curvature
    return float(shifts[best] + step * np.clip(moved, -1.0, 1.0)), float(step * math.sqrt(-2.0 / curvature))


def _scan(curves: StarCurves, mid_times: FloatArray, shifts: FloatArray, layout: WindowLayout) -> _Scan:
    n_images = curves.flux.shape[1]
    score = np.zeros((len(mid_times), len(shifts), n_images))
    information = np.zeros_like(score)
    exposure = layout.exposure
    bins = float(np.median(np.diff(curves.time))) if len(curves.time) > 1 else exposure
    for j, mid in enumerate(mid_times):
        low, high = np.searchsorted(
            curves.time, [mid + shifts[0] - layout.outer - bins, mid + shifts[-1] + layout.outer + bins]
        )
        if high - low < 2 * _LEAST_BASELINE + 1:
            continue
        u = (curves.time[low:high] - mid)[:, None] - shifts
        template = trapezoid(u.ravel(), layout.duration, layout.ingress, max(exposure, bins)).reshape(u.shape)
        stretch = curves.stretch[low:high]
        names, index = np.unique(stretch, return_inverse=True)
        seen = np.zeros((len(names), len(shifts)))
        np.add.at(seen, index, template * curves.count[low:high, None])
        mine = index[:, None] == seen.argmax(axis=0)
        inside = mine & (np.abs(u) <= layout.outer) & ((template > 0) | (np.abs(u) >= layout.inner))
        weight = inside * curves.count[low:high, None]
        dip, light = _without_line(u, weight, template, curves.flux[low:high])
        enough = _enough(u, weight, template, layout)
        score[j] = np.where(enough[:, None], -dip, 0.0) / curves.noise**2
        information[j] = np.where(enough, light, 0.0)[:, None] / curves.noise**2
    return _Scan(score, information)


def _without_line(
    u: FloatArray, weight: FloatArray, template: FloatArray, flux: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Products of the template, a line taken out, with the light [shift, image] and with itself [shift]."""
    total = np.maximum(weight.sum(axis=0), LEAST_WEIGHT)
    mean_u = (weight * u).sum(axis=0) / total
    centred = u - mean_u
    spread = np.maximum((weight * centred**2).sum(axis=0), LEAST_WEIGHT)
    mean = (weight * template).sum(axis=0) / total
    slope = (weight * template * centred).sum(axis=0) / spread
    column = weight * (template - mean - slope * centred)
    return column.T @ flux, (column * template).sum(axis=0)


def _enough(u: FloatArray, weight: FloatArray, template: FloatArray, layout: WindowLayout) -> FloatArray:
    """Whether enough of the dip and of a baseline are seen at each shift."""
    dip = (weight * template).sum(axis=0) >= 0.5 * layout.expected_in_transit
    out = weight * (template == 0)
    before, after = ((out * (u < 0)) > 0).sum(axis=0), ((out * (u > 0)) > 0).sum(axis=0)
    return np.asarray(dip & (np.maximum(before, after) >= _LEAST_BASELINE))
