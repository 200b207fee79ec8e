"""The sector as light curves of stars: what the whole stamp would show if a star stood on each pixel.

Pixels are weighted so that light which looks like a star counts, and what the background and the pointing do does not
(method: difference images). In these curves dips are found that no ephemeris tells of: a transit that comes early, a
secondary eclipse, another star's eclipses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchvet.arrays import FloatArray, IndexArray
from batchvet.science.robust import spread
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.timeline import FreeCadences

_PER_DURATION = 12.0  # bins in a dip: finer than any shift that matters
_GAP = 1.5  # bins without data end a run of them


@dataclass(frozen=True, eq=False)
class StarCurves:
    """Binned light curves of stars on every live pixel."""

    time: FloatArray  #: BTJD, days, of the middle of a bin's cadences, increasing, [bin]
    count: FloatArray  #: cadences in a bin, [bin]
    stretch: IndexArray  #: of undisturbed pointing, [bin]
    flux: FloatArray  #: weighted light, mean over the bin, [bin, image]
    noise: FloatArray  #: 1 sigma of one cadence, as dips see it, [image]
    white_noise: FloatArray  #: the same from what neighbouring bins differ by, [image]
    pixels: FloatArray  #: the pixels' own light without pointing motion, e-/s, [bin, live pixel]
    pixel_noise: FloatArray  #: 1 sigma of one cadence, e-/s, [live pixel]

    @classmethod
    def of(
        cls,
        pixels: SectorPixels,
        free: FreeCadences,
        weights: FloatArray,
        response: FloatArray,
        duration: float,
    ) -> StarCurves:
        """Curves with about twelve bins in a duration (days).

        Parameters
        ----------
        pixels : SectorPixels
        free : FreeCadences
            Of the candidate: outside other candidates' transits.
        weights : array, [image, live pixel]
        response : array, [p, live pixel]
            From `pointing_response`: what the pointing does to the pixels, taken out.
        duration : float
        """
        chosen, time, names = free.index, free.times, free.stretches[free.index]
        spacing = float(np.median(np.diff(time))) if len(time) > 1 else duration
        size = max(round(duration / _PER_DURATION / spacing), 1)
        breaks = np.flatnonzero((np.diff(time) > _GAP * size * spacing) | (np.diff(names) != 0)) + 1
        runs = np.split(chosen, breaks)
        reference = pixels.values(chosen[:1])
        series = pixels.series if pixels.live.size == len(pixels.series) else pixels.series[pixels.live]
        light = np.concatenate([_means(series, run, size) for run in runs], axis=1) - reference
        middle = np.concatenate([_means(free.time, run, size) for run in runs])
        count = np.concatenate([_counts(len(run), size) for run in runs])
        names = np.concatenate([np.full(-(-len(run) // size), free.stretches[run[0]]) for run in runs])
        if pixels.pointing is not None:
            motion = pixels.pointing.T
            light -= response.T @ np.concatenate([_means(motion, run, size) for run in runs], axis=1)
        binned = light.T
        flux = (weights @ light).T
        white = _noise(flux, count)
        return cls(middle, count, names, flux, white, white, binned, _noise(binned, count))


def _means(values: NDArray[Any], run: IndexArray, size: int) -> FloatArray:
    """Means of `size` values each [..., cadence] of a run of cadences, the last of what is left."""
    unbroken = run[-1] - run[0] + 1 == len(run)
    chosen = values[..., run[0] : run[-1] + 1] if unbroken else values[..., run]
    whole = len(run) // size * size
    means = np.zeros((*values.shape[:-1], -(-len(run) // size)))
    for first in range(size):  # a few long sums are faster than many short ones
        means[..., : whole // size] += chosen[..., first:whole:size]
    means[..., : whole // size] /= size
    if whole < len(run):
        means[..., -1] = chosen[..., whole:].mean(axis=-1, dtype=np.float64)
    return means


def _counts(n: int, size: int) -> FloatArray:
    """Cadences in the bins of a run of n."""
    return np.array([size] * (n // size) + ([n % size] if n % size else []), dtype=np.float64)


def _noise(flux: FloatArray, count: FloatArray) -> FloatArray:
    """Scatter of a cadence, from second differences of bins: free from what varies slowly."""
    second = flux[1:-1] - 0.5 * (flux[:-2] + flux[2:])
    share = 1.0 / count[1:-1] + 0.25 / count[:-2] + 0.25 / count[2:]
    return spread(second / np.sqrt(share)[:, None])
