"""The sector as light curves of stars: what the whole stamp would show if a star stood on each pixel.

Pixels are weighted so that light which looks like a star counts, and what the background and the pointing do does not
(method: difference images). In these curves dips are found that no ephemeris tells of: a transit that comes early, a
secondary eclipse, another star's eclipses.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

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
        ends = np.array([0, *breaks, len(chosen)])
        starts = np.concatenate([np.arange(low, high, size) for low, high in pairwise(ends)])
        count = np.diff(starts, append=len(chosen)).astype(np.float64)
        light = pixels.binned(chosen, starts, size)
        if pixels.pointing is not None:
            light -= response.T @ (np.add.reduceat(pixels.pointing[chosen], starts, axis=0).T / count)
        binned = light.T
        flux = (weights @ light).T
        white = _noise(flux, count)
        return cls(
            np.add.reduceat(time, starts) / count,
            count,
            names[starts],
            flux,
            white,
            white,
            binned,
            _noise(binned, count),
        )


def _noise(flux: FloatArray, count: FloatArray) -> FloatArray:
    """Scatter of a cadence, from second differences of bins: free from what varies slowly."""
    second = flux[:-2] + flux[2:]
    second *= -0.5
    second += flux[1:-1]
    second /= np.sqrt(1.0 / count[1:-1] + 0.25 / count[:-2] + 0.25 / count[2:])[:, None]
    return spread(second)
