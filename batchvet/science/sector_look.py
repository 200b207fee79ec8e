"""A first look at a sector before its dips are measured: are they on time, and what else is there?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.bump_search import Region, bump_of, bumps_near, without_bumps_in_curves
from batchvet.science.other_dips import deepest_elsewhere, dip_series, find_secondary, strange_times
from batchvet.science.sector_fits import SectorFits, star_weights
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.slow_light import without_slow_light
from batchvet.science.star_curves import StarCurves
from batchvet.science.timeline import Transits
from batchvet.science.timing import Timing, find_timing, search_reach
from batchvet.science.windows import Window, WindowLayout, WindowSettings

_BESIDE = 1.0  # durations around a strange dip in which no epoch counts as free of dips
_FILLED = 0.25  # of the cadences: strange dips that take more are not dips
_OWN = 0.75  # durations to either side of a transit that belong to it
_SECONDARY_ERROR = 0.25  # durations, of the time at which a secondary eclipse was found


@dataclass(frozen=True, eq=False)
class SectorLook:
    """What a first look finds."""

    pixels: SectorPixels
    curves: StarCurves
    layout: WindowLayout  #: of the transits' windows
    timing: Timing  #: how far the transits are off
    secondary: Ephemeris | None  #: when a secondary eclipse happens, if one is seen
    regions: dict[float, Region]  #: of transits near which there are bumps, by their mid-times
    strange: BoolArray  #: cadences in or near dips that no ephemeris tells of, [cadence]

    @property
    def moves_windows(self) -> bool:
        """Whether windows must be chosen anew."""
        return self.timing.is_shifted or self.secondary is not None

    def also(self, transits: Transits) -> Transits:
        """The transits, with the secondary eclipse among those that are left out."""
        if self.secondary is None:
            return transits
        return Transits(transits.ephemeris, (*transits.others, self.secondary))

    def dips(self) -> BoolArray:
        """Cadences in the candidate's dips, where these were found, and in strange ones, [cadence]."""
        time, dips = self.pixels.timeline.time, self.strange.copy()
        for mid in self.timing.mid_times + self.timing.shift:
            dips |= np.abs(time - mid) < _OWN * self.layout.duration
        return dips

    def without_bumps(self, windows: Sequence[Window]) -> list[Window]:
        """The windows with what of each a flare or an asteroid spoils."""
        timing, found = self.timing, []
        for window in windows:
            number = int(np.argmin(np.abs(timing.mid_times + timing.shift - window.mid_time)))
            region = self.regions.get(float(timing.mid_times[number]))
            if timing.shift[number] != 0.0:  # the dip is not where bumps were looked for beside it
                region = bumps_near(self.curves, window.mid_time, self.layout, 0.0)
            bump = None if region is None else bump_of(self.curves, window, region, self.pixels)
            found.append(window if bump is None else replace(window, bump=bump))
        return found


def first_look(pixels: SectorPixels, found: SectorFits, transits: Transits, settings: WindowSettings) -> SectorLook:
    """Look at the sector in the light of stars on every pixel.

    Parameters
    ----------
    pixels : SectorPixels
    found : SectorFits
        With a line as the baseline, from the ephemeris's own windows.
    transits : Transits
    settings : WindowSettings
    """
    ephemeris, timeline = transits.ephemeris, pixels.timeline
    weights, noise = star_weights(pixels, found)
    free = timeline.free_cadences(transits.others, settings.break_days)
    duration = max(ephemeris.duration_days, timeline.exposure_days)
    curves = StarCurves.of(pixels, free, weights, found.response, duration)
    curves = replace(curves, noise=np.maximum(curves.noise, noise))
    layout = WindowLayout.of(ephemeris, 0.0, timeline.exposure_days, settings)
    reach = 0.5 * ephemeris.duration_days
    seen = timeline.time[timeline.usable]
    mid_times = ephemeris.mid_times(seen.min() - reach, seen.max() + reach)
    sigma = max((ephemeris.mid_time_error(t) for t in mid_times), default=0.0)
    searched = search_reach(ephemeris, sigma, layout)
    quiet, regions = without_bumps_in_curves(curves, mid_times, layout, searched)
    series = dip_series(quiet, layout)
    steady, beside = without_slow_light(quiet, series, layout)
    own = _near_dips(curves.time, mid_times, searched + layout.outer + 0.5 * layout.duration, transits.others, layout)
    timing = find_timing(steady, mid_times, sigma, searched, layout, deepest_elsewhere(beside, own))
    if len(mid_times) == 1 and regions:  # one transit with a flare or an asteroid beside it does not tell the time
        timing = timing.unshifted()
    phase = find_secondary(series, transits, layout, timing.common)
    secondary = None
    if phase is not None:
        start = ephemeris.t0_btjd + timing.common + phase * ephemeris.period_days
        secondary = replace(ephemeris, t0_btjd=start, t0_err_days=_SECONDARY_ERROR * ephemeris.duration_days)
    others = (*transits.others, *([secondary] if secondary else []))
    found_at = timing.mid_times + timing.shift
    known = _near_dips(curves.time, found_at, layout.outer + 0.5 * layout.duration, others, layout)
    strange = _around(timeline.time, strange_times(series, known), _BESIDE * layout.duration)
    if np.count_nonzero(strange & timeline.usable) > _FILLED * np.count_nonzero(timeline.usable):
        strange[:] = False
    return SectorLook(pixels, curves, layout, timing, secondary, regions, strange)


def _near_dips(
    time: FloatArray, mid_times: FloatArray, distance: float, others: Sequence[Ephemeris], layout: WindowLayout
) -> BoolArray:
    """Which times lie within a distance (days) of a transit, or in another known dip."""
    near = _around(time, mid_times, distance)
    for one in others:
        near |= np.abs(one.time_from_transit(time)) < 0.5 * (one.duration_days + layout.duration)
    return near


def _around(time: FloatArray, centres: FloatArray, distance: float) -> BoolArray:
    """Which times lie within a distance of a centre, all in days."""
    inside = np.zeros(len(time), dtype=bool)
    for centre in centres:
        inside |= np.abs(time - centre) < distance
    return inside
