"""Which cadences see a transit and its surroundings, and how much of the dip each of them sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    least_in_transit: float = 3.0  #: of the file's cadences' worth of dip, or half of what a transit can have
    least_baseline: int = 3  #: of the file's cadences on a side


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
    def spoilt(self) -> IndexArray:
        """Cadences in which a bump was left out of some pixels."""
        return self.cadences[:0] if self.bump is None else self.cadences[self.bump.spoilt.any(axis=1)]

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
    template = np.zeros(np.shape(u))
    inside = np.abs(u) < 0.5 * (duration + exposure)
    near = np.asarray(u)[inside]
    within = _trapezoid_integral(near + 0.5 * exposure, duration, ingress)
    within -= _trapezoid_integral(near - 0.5 * exposure, duration, ingress)
    template[inside] = np.clip(within / exposure, 0.0, 1.0)
    return template


def _trapezoid_integral(x: FloatArray, duration: float, ingress: float) -> FloatArray:
    """Integral of the trapezoid from mid-transit to x."""
    away = np.minimum(np.abs(x), 0.5 * duration)
    return np.copysign(away - np.maximum(away - (0.5 * duration - ingress), 0.0) ** 2 / (2.0 * ingress), x)


#: Quadratic law, u1 and u2: about that of a star like the Sun in TESS's band (Claret 2017, A&A 600, A30).
_LIMB_DARKENING = (0.3, 0.25)
_SUBSTEPS = 9  # of an exposure


def darkened(u: FloatArray, duration: float, ingresses: Sequence[float], exposure: float) -> FloatArray:
    """The dips of a star whose limb is darker: trapezoids with a rounded floor, 1 at mid-transit; all in days.

    Parameters
    ----------
    u : array, [cadence]
        Time from mid-transit.
    duration : float
        First to fourth contact.
    ingresses : sequence of float
        First to second contact, of each shape.
    exposure : float

    Returns
    -------
    array, [cadence, shape]
    """
    dips = np.zeros((len(u), len(ingresses)))
    inside = np.abs(u) < 0.5 * (duration + exposure)
    steps = ((np.arange(_SUBSTEPS) + 0.5) / _SUBSTEPS - 0.5) * exposure
    x = np.minimum(np.abs(u[inside, None] + steps) / (0.5 * duration), 1.0)
    away = 1.0 - np.sqrt(1.0 - x * x)
    floor = 1.0 - (_LIMB_DARKENING[0] + _LIMB_DARKENING[1] * away) * away
    depth = (1.0 - x) * (0.5 * duration)
    for shape, ingress in enumerate(ingresses):
        dips[inside, shape] = (np.minimum(depth / ingress, 1.0) * floor) @ np.full(_SUBSTEPS, 1.0 / _SUBSTEPS)
    return dips


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
    if not len(mid_times):
        return []
    lengths = high - low
    owner = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    cadences = free.index[np.arange(lengths.sum()) + np.repeat(low - starts, lengths)]
    u = free.time[cadences] - np.repeat(mid_times, lengths)
    m = layout.template(u)
    near = _Near(cadences, u, m, owner, free.stretches[cadences], free.size)
    return near.windows(mid_times, layout, settings)


def window_at(mid_time: float, layout: WindowLayout, free: FreeCadences, settings: WindowSettings) -> Window | str:
    """As :func:`windows_at`, around one mid-time."""
    return windows_at(np.array([mid_time]), layout, free, settings)[0]


@dataclass(frozen=True, eq=False)
class _Near:
    """Cadences near some mid-times; those near several are there several times, [near]."""

    cadences: IndexArray
    u: FloatArray  #: time from mid-transit, days
    m: FloatArray  #: template
    owner: IndexArray  #: number of the mid-time, increasing
    stretch: IndexArray  #: of undisturbed pointing
    size: int  #: cadences of the file that each is the mean of

    def windows(self, mid_times: FloatArray, layout: WindowLayout, settings: WindowSettings) -> list[Window | str]:
        """A window for each mid-time, or why there is none.

        Of the stretches of pointing that a transit touches, the one that sees most of it is used.
        """
        n, u, m = len(mid_times), self.u, self.m
        base = int(self.stretch.min(initial=0))
        seen = np.zeros((n, int(self.stretch.max(initial=0)) - base + 1))
        np.add.at(seen, (self.owner, self.stretch - base), m)
        best, most = seen.argmax(axis=1) + base, self.size * seen.max(axis=1)
        kept = (self.stretch == best[self.owner]) & (np.abs(u) <= layout.outer)
        kept &= (m > 0) | (np.abs(u) >= layout.inner)
        cadences, u, m, owner = self.cadences[kept], u[kept], m[kept], self.owner[kept]
        before = self.size * np.bincount(owner[(m == 0) & (u < 0)], minlength=n)
        after = self.size * np.bincount(owner[(m == 0) & (u > 0)], minlength=n)
        ends = np.searchsorted(owner, np.arange(n + 1))
        needed = min(settings.least_in_transit, 0.5 * self.size * layout.expected_in_transit)
        found: list[Window | str] = []
        for i, mid_time in enumerate(mid_times.tolist()):
            own = slice(ends[i], ends[i + 1])
            if most[i] < needed:
                found.append(f"only {most[i]:.1f} cadences in transit, {needed:.1f} needed")
            elif max(before[i], after[i]) < settings.least_baseline:
                found.append(f"only {before[i]} and {after[i]} cadences of baseline beside it")
            else:
                one_sided = bool(min(before[i], after[i]) < settings.least_baseline)
                found.append(Window(mid_time, cadences[own], u[own], m[own], one_sided))
        return found
