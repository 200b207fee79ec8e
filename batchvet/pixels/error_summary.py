"""What a cache entry keeps of FLUX_ERR: its mean square in every pixel, stretch by stretch of the sector.

The pipeline's error follows the background and changes slowly; scattered light raises it for hours. Stretches of about
ten hours show that, in a hundredth of the bytes (method: noise).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from batchvet.arrays import BoolArray, Float32Array, FloatArray, IndexArray, IntegerArray
from batchvet.pixels.quality import DEFAULT
from batchvet.pixels.series import by_pixel

STRETCHES = 64  #: of a sector, as long as each other


@dataclass(frozen=True, eq=False)
class ErrorSummary:
    """Mean square of FLUX_ERR over stretches of a sector."""

    mean_square: Float32Array  #: (e-/s)², zero where no cadence has an error, [stretch, row, col]
    stretch: IndexArray  #: number of the stretch of every cadence, [cadence]

    @classmethod
    def of(cls, flux_err: Float32Array, quality: IntegerArray) -> ErrorSummary:
        """Over each stretch's cadences without a flag of the default bitmask, or over all where there is none other.

        Parameters
        ----------
        flux_err : array, e-/s, [cadence, row, col]
        quality : array, SPOC flags, [cadence]
        """
        n, rows, cols = flux_err.shape
        series = by_pixel(flux_err).reshape(rows * cols, n)
        edges = _edges(n, min(STRETCHES, n))
        mean_square = np.zeros((len(edges) - 1, rows * cols), dtype=np.float32)
        good = (quality & DEFAULT) == 0
        for number, (start, stop) in enumerate(pairwise(edges)):
            chosen = good[start:stop]
            mean_square[number] = _mean_square(series[:, start:stop], chosen if chosen.any() else ~chosen)
        return cls.read(mean_square.reshape(-1, rows, cols), n)

    @classmethod
    def read(cls, mean_square: Float32Array, n_cadences: int) -> ErrorSummary:
        """Of a sector of so many cadences, as a cache entry has it."""
        edges = _edges(n_cadences, len(mean_square))
        return cls(mean_square, np.repeat(np.arange(len(mean_square)), np.diff(edges)))

    def select(self, cadences: BoolArray | slice) -> ErrorSummary:
        """The same of only those cadences."""
        return ErrorSummary(self.mean_square, self.stretch[cadences])

    def variance(self, cadences: BoolArray) -> FloatArray:
        """Mean square of the error in each pixel over those cadences, (e-/s)², zero where it is not known, [row, col].

        Parameters
        ----------
        cadences : bool array, [cadence]
        """
        count = np.bincount(self.stretch[cadences], minlength=len(self.mean_square)).astype(np.float64)
        known = np.tensordot(count, self.mean_square > 0, axes=1)
        total = np.tensordot(count, self.mean_square.astype(np.float64), axes=1)
        return np.asarray(total / np.maximum(known, 1.0))


def _edges(n_cadences: int, n_stretches: int) -> IndexArray:
    """Where stretches of a sector begin and the last one ends, [stretch + 1]."""
    return np.arange(n_stretches + 1) * n_cadences // n_stretches


def _mean_square(series: Float32Array, chosen: BoolArray) -> FloatArray:
    """Of the finite, positive errors of the chosen cadences of series [pixel, cadence], zero where there is none."""
    error = (series if chosen.all() else series[:, chosen]).astype(np.float64)
    known = (error > 0) & (error < np.inf)
    if known.all():
        return np.asarray(np.einsum("pn,pn->p", error, error) / error.shape[1])
    error[~known] = 0.0
    return np.asarray(np.einsum("pn,pn->p", error, error) / np.maximum(known.sum(axis=1), 1))
