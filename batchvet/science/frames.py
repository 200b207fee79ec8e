"""The cadences of a stamp as V08, V09 and V10 see them: what depends on no ephemeris is worked out once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from batchvet.arrays import BoolArray, Float32Array, FloatArray
from batchvet.pixels.series import by_pixel, series_of
from batchvet.science.aperture_photometry import Photometry, photometry

#: Cadences that are centred at a time: 1 MB of pixels, which stays in the processor's cache.
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Centroids:
    """Where the light of each frame is."""

    place: FloatArray  #: column and row, pixels; NaN where the flux is not positive or not finite, [2, cadence]
    brightest: Float32Array  #: largest flux of any pixel, e-/s, -inf where there is none, [cadence]


@dataclass(frozen=True, eq=False)
class Frames:
    """Cadences without an excluded quality flag, and what the checks of every candidate take of them.

    Their light stays where the file's other cadences are too, until a check wants all of it without these.
    """

    whole_time: FloatArray  #: BTJD days, of all cadences of the file
    series: Float32Array  #: e-/s, contiguous, [row * col, cadence of the file]
    chosen: BoolArray  #: those that count, of all cadences of the file
    shape: tuple[int, int]  #: rows, columns

    @classmethod
    def of(cls, time: FloatArray, flux: Float32Array) -> Frames:
        """Of flux [cadence, row, col], e-/s, in either order of memory, all of whose cadences count."""
        series, every = by_pixel(flux).reshape(-1, len(flux)), np.ones(len(flux), dtype=bool)
        return cls(time, series, every, (flux.shape[1], flux.shape[2]))

    @cached_property
    def time(self) -> FloatArray:
        """BTJD days, [cadence]."""
        return self.whole_time[self.chosen]

    def __len__(self) -> int:
        return len(self.time)

    def select(self, cadences: BoolArray) -> Frames:
        """Only those cadences, [cadence]; itself where these are all."""
        return self if cadences.all() else replace(self, chosen=self._of_file(cadences))

    @cached_property
    def light(self) -> Float32Array:
        """Light curves, e-/s, [row * col, cadence]."""
        return series_of(self.series, self.chosen)

    def light_in(self, cadences: BoolArray) -> Float32Array:
        """The same of some of the cadences."""
        return series_of(self.series, self._of_file(cadences))

    def _of_file(self, cadences: BoolArray) -> BoolArray:
        """Some of the cadences, as all cadences of the file have it."""
        among_all = self.chosen.copy()
        among_all[among_all] = cadences
        return among_all

    @cached_property
    def _sum(self) -> Float32Array:
        """Sum of each frame: finite only if every pixel is, [cadence]."""
        with np.errstate(invalid="ignore", over="ignore"):
            total: Float32Array = np.ones(len(self.series), dtype=np.float32) @ self.series
        return total[self.chosen]

    @cached_property
    def all_finite(self) -> bool:
        """Whether every pixel of every frame is a number."""
        return bool(np.isfinite(self._sum).all())

    @cached_property
    def seen(self) -> BoolArray:
        """Which frames have a pixel that is a number, [cadence]."""
        finite = np.isfinite(self._sum)
        if not finite.all():
            finite[~finite] = np.isfinite(self.light_in(~finite)).any(axis=0)
        return finite

    @cached_property
    def photometry(self) -> Photometry:
        """Light in V10's apertures."""
        return photometry(self.light, self.shape)

    @cached_property
    def centroids(self) -> Centroids:
        """V08's centroids, weighted by the positive flux."""
        n_cadences = len(self)
        rows, cols = np.divmod(np.arange(len(self.series), dtype=np.float64), self.shape[1])
        moments = np.stack([np.ones_like(rows), cols, rows])
        place = np.empty((2, n_cadences))
        buffer = np.empty((len(self.series), min(_BLOCK, n_cadences)))
        brightest = np.empty(n_cadences, dtype=np.float32)
        for block in _blocks(n_cadences):
            chosen = self.light[:, block]
            pixels = buffer[:, : chosen.shape[1]]
            pixels[:] = chosen
            brightest[block] = np.fmax.reduce(chosen, axis=0, initial=-np.inf)
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                total = moments[0] @ pixels
                if not np.isfinite(total).all():
                    total = np.nansum(pixels, axis=0)
                weights = np.fmax(pixels, 0.0, out=pixels)  # NaN becomes 0
                light, along_x, along_y = moments @ weights
                place[0, block], place[1, block] = along_x / light, along_y / light
            place[:, block][:, ~((total > 0) & np.isfinite(total))] = np.nan
        return Centroids(place, brightest)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK))
