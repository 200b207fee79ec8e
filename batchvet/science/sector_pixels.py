"""The cadences and pixels of a stamp that can be fitted, and how the pointing moved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from batchvet.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from batchvet.errors import InsufficientData
from batchvet.pixels.stamp import Stamp
from batchvet.science.image_motion import image_motion
from batchvet.science.robust import medians
from batchvet.science.timeline import SectorTimeline
from batchvet.vocabulary import ErrorKind

#: Columns of `SectorPixels.pointing`: POS_CORR is (column, row), and keeps its order here.
POINTING_TERMS = ("col", "row", "col col", "col row", "row row")
POINTING_COL, POINTING_ROW = POINTING_TERMS.index("col"), POINTING_TERMS.index("row")

_LEAST_PIXELS = 9  # a source and what surrounds it
_LEAST_FINITE = 0.9  # a pixel that is NaN more often is left out; else the cadences where it is NaN are
_MOST_STEPS = 8192  # from cadence to cadence, to see how the image moves: more tell nothing new
_LEAST_IN_MEANS = 0.9  # of the usable cadences
_SAMPLED_CADENCES = 256  # enough to see whether a pixel changes at all, and what the image looks like


@dataclass(frozen=True, eq=False)
class SectorPixels:
    """The cadences and pixels of a stamp that can be fitted."""

    shape: tuple[int, int]  #: rows, columns of the stamp
    live: IndexArray  #: flat indices of the pixels with data
    timeline: SectorTimeline
    series: Float32Array | FloatArray  #: light curves of the live pixels, e-/s, each contiguous, [live pixel, cadence]
    error_variance: FloatArray  #: mean FLUX_ERR², (e-/s)², zero when unknown, [live pixel]
    pointing: FloatArray | None  #: `POINTING_TERMS` of POS_CORR, pixels and pixels², [cadence, 5]; None without it

    @classmethod
    def of(cls, stamp: Stamp, bitmask: int) -> SectorPixels:
        """Sort out dead pixels and unusable cadences.

        Raises
        ------
        InsufficientData
            No good cadence or no pixel with data.
        """
        series = stamp.series
        good = stamp.good(bitmask)
        if not good.any():
            raise InsufficientData("no cadence has a time and a good quality flag", kind=ErrorKind.NO_CADENCES)
        live, finite = _finite_part(series, good)
        if live.size < _LEAST_PIXELS or min(stamp.shape) < 2:
            size = f"{stamp.shape[0]} x {stamp.shape[1]}"
            raise InsufficientData(f"only {live.size} pixels of the {size} stamp have data", kind=ErrorKind.NO_PIXELS)
        usable = good & finite
        pointing = _pointing(stamp, usable)
        if pointing is not None:
            usable &= np.isfinite(pointing).all(axis=1)
        variance = _error_variance(stamp, usable)[live]
        timeline = SectorTimeline(stamp.time, usable, stamp.quality, stamp.exposure_days)
        series = series if live.size == len(series) else series[live]
        return cls(stamp.shape, live, timeline, series, variance, pointing)

    def averaged(self, size: int, break_days: float) -> SectorPixels:
        """The same of longer cadences, means of `size` each; the pixels themselves for fewer than two.

        Light, dip and pointing add up in what is fitted to a cadence, so it holds for their means as well. Where so
        many cadences are missing that means would lose a tenth of the others, the pixels stay as they are.

        Parameters
        ----------
        size : int
        break_days : float
            From `WindowSettings`: no mean crosses a break.
        """
        if size < 2 or not self.timeline.usable.any():
            return self
        if (size, break_days) not in self._averaged:
            self._averaged.clear()
            self._averaged[size, break_days] = self._means(size, break_days)
        return self._averaged[size, break_days]

    @cached_property
    def _averaged(self) -> dict[tuple[int, float], SectorPixels]:
        """The last means: another candidate of the target often wants the same."""
        return {}

    def _means(self, size: int, break_days: float) -> SectorPixels:
        chosen, starts = np.flatnonzero(self.timeline.usable), self.timeline.starts_of_means(size, break_days)
        timeline, count = self.timeline.averaged(starts, size, break_days), np.diff(starts, append=len(chosen))
        if timeline.count(timeline.usable) < _LEAST_IN_MEANS * len(chosen):
            return self
        light = self.binned(chosen, starts, int(count.max()))
        light += self.series[:, chosen[:1]]
        variance = self.error_variance * np.mean(1.0 / count[timeline.usable])
        pointing = None
        if self.pointing is not None:
            pointing = np.add.reduceat(self.pointing[chosen], starts, axis=0) / count[:, None]
        return SectorPixels(self.shape, self.live, timeline, light, variance, pointing)

    def span(self, cadences: IndexArray) -> FloatArray:
        """Flux from the first of the cadences to the last, e-/s, [live pixel, cadence]; 0 in others between them.

        A slice is converted much faster than cadences are gathered.
        """
        first, last = cadences[0], cadences[-1]
        flux: FloatArray = self.series[:, first : last + 1].astype(np.float64, order="C")
        if last - first + 1 > len(cadences):
            others = np.ones(last - first + 1, dtype=bool)
            others[cadences - first] = False
            flux[:, others] = 0.0
        return flux

    def binned(self, cadences: IndexArray, starts: IndexArray, size: int) -> FloatArray:
        """Mean flux less that of the first cadence in bins, e-/s, [live pixel, bin].

        Parameters
        ----------
        cadences : array, increasing
        starts : array
            Of the bins, in `cadences`.
        size : int
            Of the largest bin.
        """
        count = np.diff(starts, append=len(cadences))
        place = starts + np.arange(size)[:, None]
        filled = np.arange(size)[:, None] < count
        taken = cadences[np.where(filled, place, 0)]  # the first, which adds nothing, where a bin is smaller
        means, light = np.empty((self.live.size, len(starts))), np.empty(taken.shape)
        for pixel, series in enumerate(self.series):  # one by one, as a pixel's light stays in the processor's cache
            light[:] = series.take(taken)
            light -= series[cadences[0]]
            np.add.reduce(light, axis=0, out=means[pixel])
        means /= count
        return means

    @cached_property
    def background(self) -> FloatArray:
        """A level and two slopes, in stamp half-widths, [live pixel, 3]."""
        rows, cols = np.divmod(self.live, self.shape[1])
        slopes = [2.0 * at / max(size - 1, 1) - 1.0 for at, size in zip((rows, cols), self.shape, strict=True)]
        return np.column_stack([np.ones(len(rows)), *slopes])

    @cached_property
    def motion(self) -> FloatArray:
        """What a shift of the image does to every pixel, as its own cadences show, e-/s, [live pixel, 2]: row, col."""
        usable = self.timeline.usable
        first = np.flatnonzero(usable[:-1] & usable[1:])
        first = first[:: max(1, -(-len(first) // _MOST_STEPS))]
        chosen = np.flatnonzero(usable)
        image = self.image(medians(self.values(chosen[:: max(1, len(chosen) // _SAMPLED_CADENCES)])))
        image = np.where(np.isfinite(image), image, np.nanmedian(image))
        differences = np.column_stack([slope.ravel()[self.live] for slope in np.gradient(image)])
        steps = self.values(first + 1) - self.values(first) if len(first) else np.empty((self.live.size, 0))
        return image_motion(steps.T, differences, self.background)

    def image(self, values: FloatArray) -> FloatArray:
        """Values of the live pixels as an image [row, col], NaN elsewhere."""
        image = np.full(self.shape[0] * self.shape[1], np.nan)
        image[self.live] = values
        return image.reshape(self.shape)

    def values(self, cadences: IndexArray) -> FloatArray:
        """Flux of the live pixels in those cadences, contiguous, [live pixel, cadence]."""
        first, last = cadences[0], cadences[-1]
        unbroken = last - first + 1 == len(cadences)  # a slice is read much faster than a list of cadences
        chosen = self.series[:, first : last + 1] if unbroken else self.series[:, cadences]
        return chosen.astype(np.float64, order="C")


def _finite_part(series: Float32Array, good: BoolArray) -> tuple[IndexArray, BoolArray]:
    """Pixels with data, and the cadences in which all of those are finite."""
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(np.ones(len(series), dtype=np.float32) @ series)
    kept: BoolArray = np.ones(len(series), dtype=bool)
    if np.count_nonzero(good & ~finite) > 0.001 * np.count_nonzero(good):
        known = np.isfinite(series)
        kept = np.asarray(known[:, good].mean(axis=1) >= _LEAST_FINITE)
        finite = np.asarray(known[kept].all(axis=0))
    chosen = np.flatnonzero(good & finite)
    sample = series[:, chosen[:: max(1, len(chosen) // _SAMPLED_CADENCES)]]
    if sample.size:  # beyond the edge of the CCD all cadences hold the same number
        kept &= np.ptp(np.where(kept[:, None], sample, 0.0), axis=1) > 0
    return np.flatnonzero(kept), finite


def _pointing(stamp: Stamp, usable: BoolArray) -> FloatArray | None:
    """`POINTING_TERMS` about the sector's median; None where POS_CORR is missing, mostly unknown or all zero."""
    if stamp.pos_corr is None:
        return None
    motion = np.asarray(stamp.pos_corr, dtype=np.float64)
    known = np.isfinite(motion).all(axis=1) & usable
    if np.count_nonzero(known) < 0.5 * np.count_nonzero(usable) or not motion[known].any():
        return None
    col, row = motion.T - medians(motion[known].T)[:, None]
    return np.column_stack([col, row, col * col, col * row, row * row])


def _error_variance(stamp: Stamp, usable: BoolArray) -> FloatArray:
    """Mean FLUX_ERR² of every pixel over the usable cadences; zero where the file has none."""
    if stamp.errors is None:
        return np.zeros(stamp.shape[0] * stamp.shape[1])
    return stamp.errors.variance(usable).ravel()
