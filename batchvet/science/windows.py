"""Which cadences see a transit and its surroundings, and how much of the dip each of them sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Ephemeris

FloatArray = NDArray[np.float64]

#: SPOC quality bit of a reaction wheel desaturation: the pointing jumps.
MOMENTUM_DUMP = 32


@dataclass(frozen=True)
class WindowSettings:
    """What SCIENCE 2a leaves open."""

    ingress_fraction: float = 0.15  #: ingress over the whole duration, of the trapezoid
    gap_fraction: float = 0.15  #: least gap between dip and baseline, in durations
    gap_sigmas: float = 2.0  #: the gap is at least so many errors of the mid-time
    shortest_baseline_days: float = 1.5 / 24.0  #: a side, unless the period is too short
    longest_baseline_period: float = 0.3  #: a side, in periods
    break_days: float = 0.2  #: a jump in time longer than this separates two stretches of pointing
    least_in_transit: float = 3.0  #: cadences' worth of dip, or half of what a transit can have
    least_baseline: int = 3  #: cadences on a side


@dataclass(frozen=True, eq=False)
class Window:
    """One transit's cadences."""

    mid_time: float  #: BTJD, days
    cadences: NDArray[np.intp]  #: indices into the sector's cadences, increasing
    u: FloatArray  #: time from mid-transit, days, one a cadence
    m: FloatArray  #: dip's template averaged over the exposure, 0 out of transit to 1, one a cadence
    one_sided: bool  #: baseline on one side only

    @property
    def n_in(self) -> int:
        """Cadences that see the dip."""
        return int(np.count_nonzero(self.m))

    @property
    def n_out(self) -> int:
        """Cadences of baseline."""
        return len(self.m) - self.n_in


@dataclass(frozen=True)
class WindowLayout:
    """Extent of a window in time from mid-transit: dip, gap, baseline; days."""

    duration: float  #: first to fourth contact
    exposure: float  #: of a cadence
    inner: float  #: baseline begins
    outer: float  #: baseline ends
    ingress: float  #: first to second contact

    @classmethod
    def of(cls, ephemeris: Ephemeris, sigma: float, exposure: float, settings: WindowSettings) -> WindowLayout:
        """Layout for a mid-time known to `sigma` (days): gap and width of SCIENCE 2a.

        The baseline of a period under a few durations ends before the gap of the next transit.
        """
        duration = ephemeris.duration_days
        gap = max(exposure, settings.gap_fraction * duration, settings.gap_sigmas * sigma)
        width = max(duration, settings.shortest_baseline_days, (settings.least_baseline + 1) * exposure)
        inner = 0.5 * duration + gap
        outer = inner + width
        if not ephemeris.is_single:
            period = ephemeris.period_days
            outer = min(inner + min(width, settings.longest_baseline_period * period), period - inner)
        return cls(duration, exposure, inner, outer, settings.ingress_fraction * duration)

    def template(self, u: FloatArray) -> FloatArray:
        """Trapezoid of depth 1 averaged over the exposure, at times u (days) from mid-transit."""
        return trapezoid(u, self.duration, self.ingress, self.exposure)

    @property
    def expected_in_transit(self) -> float:
        """Sum of the template over the cadences of an unbroken transit."""
        return (self.duration - self.ingress) / self.exposure


def trapezoid(u: FloatArray, duration: float, ingress: float, exposure: float) -> FloatArray:
    """Trapezoid of depth 1 averaged over the exposure, at times u from mid-transit; all in days."""
    corners = np.array([0.5 * duration, 0.5 * duration - ingress])
    corners = np.concatenate([corners, -corners[::-1]])
    slopes = np.array([1.0, -1.0, -1.0, 1.0]) / ingress
    later = _ramp_integral(u + 0.5 * exposure, corners) @ slopes
    earlier = _ramp_integral(u - 0.5 * exposure, corners) @ slopes
    template = np.clip((later - earlier) / exposure, 0.0, 1.0)
    # The antiderivative leaves rounding errors where the dip is over.
    return np.where(np.abs(u) < 0.5 * (duration + exposure), template, 0.0)


def _ramp_integral(x: FloatArray, corners: FloatArray) -> FloatArray:
    """Integral up to x of ramps that start at -corners, [x, corner]."""
    return 0.5 * np.maximum(np.asarray(x)[:, None] + corners, 0.0) ** 2


def pointing_stretches(time: FloatArray, quality: NDArray[np.integer], settings: WindowSettings) -> NDArray[np.intp]:
    """Number of the stretch of undisturbed pointing that each cadence belongs to, [cadence].

    A momentum dump and a jump in time both begin a new one: pointing, focus and background change there.
    """
    known = np.flatnonzero(np.isfinite(time) & (time != 0))
    starts = np.zeros(len(time), dtype=bool)
    jumps = np.diff(time[known]) > settings.break_days
    starts[known[1:][jumps]] = True
    starts |= (np.asarray(quality) & MOMENTUM_DUMP) != 0
    return np.cumsum(starts)


def transit_windows(
    time: FloatArray,
    usable: NDArray[np.bool_],
    quality: NDArray[np.integer],
    ephemeris: Ephemeris,
    others: Sequence[Ephemeris],
    exposure_days: float,
    settings: WindowSettings,
) -> tuple[list[Window], list[str]]:
    """The windows of all transits that can be measured, and why the others cannot (SCIENCE 2a).

    Parameters
    ----------
    time : array, BTJD days, [cadence], NaN where unknown
    usable : boolean array, [cadence]
        Finite time and flux and none of the unwanted quality flags.
    quality : integer array, [cadence]
        SPOC flags of all cadences: momentum dumps separate stretches of pointing.
    ephemeris : Ephemeris
    others : sequence of Ephemeris
        Of the target's other candidates: cadences in their transits are dropped.
    exposure_days : float
    settings : WindowSettings

    Returns
    -------
    windows : list of Window
    left_out : list of str
        One sentence for each transit within the sector that is not used.
    """
    if not usable.any():
        return [], ["no cadence with finite time and flux and a good quality flag"]
    stretches = pointing_stretches(time, quality, settings)
    free = usable & ~in_transit_of(time, others, exposure_days)
    index = np.flatnonzero(free)
    windows: list[Window] = []
    left_out: list[str] = []
    start, stop = time[usable].min(), time[usable].max()
    reach = 0.5 * ephemeris.duration_days
    for mid_time in ephemeris.mid_times(start - reach, stop + reach):
        layout = WindowLayout.of(ephemeris, ephemeris.mid_time_error(mid_time), exposure_days, settings)
        window = window_at(mid_time, layout, time, index, stretches, settings)
        if isinstance(window, Window):
            windows.append(window)
        else:
            left_out.append(f"transit at BTJD {mid_time:.4f}: {window}")
    return windows, left_out


def in_transit_of(time: FloatArray, others: Sequence[Ephemeris], exposure_days: float) -> NDArray[np.bool_]:
    """Cadences that see any part of a transit of the other candidates, with 2 sigma of their ephemerides."""
    inside = np.zeros(len(time), dtype=bool)
    known = time[np.isfinite(time)]
    for other in others:
        margin = 2.0 * max(
            (other.mid_time_error(t) for t in other.mid_times(known.min(initial=0.0), known.max(initial=0.0))),
            default=other.t0_err_days,
        )
        near = np.abs(other.time_from_transit(time)) < 0.5 * (other.duration_days + exposure_days) + margin
        inside |= near
    return inside


def window_at(
    mid_time: float,
    layout: WindowLayout,
    time: FloatArray,
    index: NDArray[np.intp],
    stretches: NDArray[np.intp],
    settings: WindowSettings,
) -> Window | str:
    """The window around one mid-time out of the cadences `index`; a phrase that says why there is none.

    Of the stretches of pointing that the transit touches, the one that sees most of it is used.
    """
    low, high = np.searchsorted(time[index], [mid_time - layout.outer, mid_time + layout.outer])
    cadences = index[low : high + 1]
    u = time[cadences] - mid_time
    m = layout.template(u)
    in_stretch = np.bincount(stretches[cadences], weights=m) if len(m) else np.zeros(1)
    needed = min(settings.least_in_transit, 0.5 * layout.expected_in_transit)
    if in_stretch.max() < needed:
        return f"only {in_stretch.max():.1f} cadences in transit, {needed:.1f} needed"
    keep = (stretches[cadences] == in_stretch.argmax()) & (np.abs(u) <= layout.outer)
    keep &= (m > 0) | (np.abs(u) >= layout.inner)
    cadences, u, m = cadences[keep], u[keep], m[keep]
    before = np.count_nonzero((m == 0) & (u < 0))
    after = np.count_nonzero((m == 0) & (u > 0))
    if max(before, after) < settings.least_baseline:
        return f"only {before} and {after} cadences of baseline beside it"
    return Window(float(mid_time), cadences, u, m, bool(min(before, after) < settings.least_baseline))
