"""Which cadences see a transit and its surroundings, and how much of the dip each of them sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchvet.arrays import FloatArray, IndexArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.timeline import FreeCadences, SectorTimeline, Transits

if TYPE_CHECKING:
    from batchvet.science.bumps import Bump


@dataclass(frozen=True)
class WindowSettings:
    """What may be chosen about the windows (method: difference images)."""

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
    cadences: IndexArray  #: indices into the sector's cadences, increasing
    u: FloatArray  #: time from mid-transit, days, one a cadence
    m: FloatArray  #: dip's template averaged over the exposure, 0 out of transit to 1, one a cadence
    one_sided: bool  #: baseline on one side only
    bump: Bump | None = None  #: a flare or an asteroid in it

    @property
    def n_in(self) -> int:
        """Cadences that see the dip."""
        return int(np.count_nonzero(self.m))

    @property
    def n_spoilt(self) -> int:
        """Cadences in which a bump was left out of some pixels."""
        return 0 if self.bump is None else int(np.count_nonzero(self.bump.spoilt.any(axis=1)))

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
        """Layout for a mid-time known to `sigma` (days): gap and width (method: difference images).

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


#: Quadratic law, u1 and u2: about that of a star like the Sun in TESS's band (Claret 2017, A&A 600, A30).
_LIMB_DARKENING = (0.3, 0.25)
_SUBSTEPS = 9  # of an exposure


def darkened(u: FloatArray, duration: float, ingress: float, exposure: float) -> FloatArray:
    """The dip of a star whose limb is darker: a trapezoid with a rounded floor, 1 at mid-transit; all in days."""
    steps = ((np.arange(_SUBSTEPS) + 0.5) / _SUBSTEPS - 0.5) * exposure
    x = np.abs(np.asarray(u)[:, None] + steps) / (0.5 * duration)
    away = 1.0 - np.sqrt(np.clip(1.0 - x**2, 0.0, 1.0))
    floor = 1.0 - _LIMB_DARKENING[0] * away - _LIMB_DARKENING[1] * away**2
    return np.asarray((np.clip((1.0 - x) * 0.5 * duration / ingress, 0.0, 1.0) * floor).mean(axis=1))


def _ramp_integral(x: FloatArray, corners: FloatArray) -> FloatArray:
    """Integral up to x of ramps that start at -corners, [x, corner]."""
    return 0.5 * np.maximum(np.asarray(x)[:, None] + corners, 0.0) ** 2


def transit_windows(
    timeline: SectorTimeline,
    transits: Transits,
    settings: WindowSettings,
    late: Mapping[float, float] | None = None,
) -> tuple[list[Window], list[str]]:
    """The windows of all transits that can be measured, and why the others cannot (method: difference images).

    Parameters
    ----------
    timeline : SectorTimeline
        Momentum dumps and gaps separate stretches of pointing, which no window crosses.
    transits : Transits
        Cadences in the other candidates' transits are dropped.
    settings : WindowSettings
    late : mapping of float to float, optional
        By how many days the transit with a mid-time of the ephemeris comes late, where that was found.

    Returns
    -------
    windows : list of Window
    left_out : list of str
        One sentence for each transit within the sector that is not used.
    """
    if not timeline.usable.any():
        return [], ["no cadence with finite time and flux and a good quality flag"]
    ephemeris = transits.ephemeris
    free = timeline.free_cadences(transits.others, settings.break_days)
    windows: list[Window] = []
    left_out: list[str] = []
    seen = timeline.time[timeline.usable]
    reach = 0.5 * ephemeris.duration_days
    for mid_time in ephemeris.mid_times(seen.min() - reach, seen.max() + reach):
        sigma = ephemeris.mid_time_error(mid_time) if late is None else 0.0
        layout = WindowLayout.of(ephemeris, sigma, timeline.exposure_days, settings)
        window = window_at(mid_time + (late or {}).get(float(mid_time), 0.0), layout, free, settings)
        if isinstance(window, Window):
            windows.append(window)
        else:
            left_out.append(f"transit at BTJD {mid_time:.4f}: {window}")
    return windows, left_out


def windows_at(
    mid_times: FloatArray, layout: WindowLayout, free: FreeCadences, settings: WindowSettings
) -> list[Window | str]:
    """The windows around some mid-times out of the free cadences; a phrase that says why there is none."""
    low = np.searchsorted(free.times, mid_times - layout.outer)
    high = np.minimum(np.searchsorted(free.times, mid_times + layout.outer) + 1, free.index.size)
    near = [free.index[start:stop] for start, stop in zip(low, high, strict=True)]
    if not near:
        return []
    ends = np.cumsum([len(cadences) for cadences in near])
    u = free.time[np.concatenate(near)] - np.repeat(mid_times, np.diff(ends, prepend=0))
    m = layout.template(u)
    times, templates = np.split(u, ends[:-1]), np.split(m, ends[:-1])
    return [
        _window(float(mid_times[i]), near[i], times[i], templates[i], layout, free, settings) for i in range(len(near))
    ]


def window_at(mid_time: float, layout: WindowLayout, free: FreeCadences, settings: WindowSettings) -> Window | str:
    """As :func:`windows_at`, around one mid-time."""
    return windows_at(np.array([mid_time]), layout, free, settings)[0]


def _window(  # house: what a window is made of
    mid_time: float,
    cadences: IndexArray,
    u: FloatArray,
    m: FloatArray,
    layout: WindowLayout,
    free: FreeCadences,
    settings: WindowSettings,
) -> Window | str:
    """A window out of the cadences near it, with their times and templates.

    Of the stretches of pointing that the transit touches, the one that sees most of it is used.
    """
    in_stretch = np.bincount(free.stretches[cadences], weights=m) if len(m) else np.zeros(1)
    needed = min(settings.least_in_transit, 0.5 * layout.expected_in_transit)
    if in_stretch.max() < needed:
        return f"only {in_stretch.max():.1f} cadences in transit, {needed:.1f} needed"
    keep = (free.stretches[cadences] == in_stretch.argmax()) & (np.abs(u) <= layout.outer)
    keep &= (m > 0) | (np.abs(u) >= layout.inner)
    cadences, u, m = cadences[keep], u[keep], m[keep]
    before = np.count_nonzero((m == 0) & (u < 0))
    after = np.count_nonzero((m == 0) & (u > 0))
    if max(before, after) < settings.least_baseline:
        return f"only {before} and {after} cadences of baseline beside it"
    return Window(mid_time, cadences, u, m, bool(min(before, after) < settings.least_baseline))
