"""Columns of full pixels taken as one: the charge that does not fit moves along its column, none of it is lost.

A full pixel says nothing of the light that falls on it, and where the overflow ends says little; what a column's full
pixels hold together is the light that fell on all of them. In the scene they count as one pixel of that shape: without
them most of a bright star's light is left out. Where its dip lies is told by the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.science.prf import Prf


@dataclass(frozen=True, eq=False)
class BledColumns:
    """Runs of pixels that are full, or bled into, along their columns; a run's sum stands at its middle."""

    saturated: BoolArray  #: [row, col]
    label: IndexArray  #: of each pixel in a run, the number of the run, [pixel]
    pixel: IndexArray  #: those pixels, in the flattened image, [pixel]
    middle: IndexArray  #: of each run, in the flattened image, [run]

    @classmethod
    def of(cls, saturated: BoolArray) -> BledColumns:
        """From pixels [row, col]. A run whose charge leaves the stamp is none."""
        rows, cols = saturated.shape
        pixels: list[int] = []
        labels: list[int] = []
        middles: list[int] = []
        leaves = [_leaves(saturated[edge]) for edge in (0, -1)]
        for col in np.flatnonzero(saturated.any(axis=0)):
            steps = np.diff(np.concatenate([[0], saturated[:, col].astype(int), [0]]))
            for first, stop in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
                if (first == 0 and leaves[0][col]) or (stop == rows and leaves[1][col]):
                    continue
                pixels += [int(row * cols + col) for row in range(first, stop)]
                labels += [len(middles)] * int(stop - first)
                middles.append(int((first + stop - 1) // 2 * cols + col))
        return cls(saturated, *(np.array(values, dtype=np.intp) for values in (labels, pixels, middles)))

    @property
    def left_out(self) -> BoolArray:
        """Full pixels that no sum stands for or stands at, [row, col]."""
        out = self.saturated.copy().ravel()
        out[self.middle] = False
        return out.reshape(self.saturated.shape)

    def summed(self, images: FloatArray) -> FloatArray:
        """Images [..., row, col] with each run's sum at its middle; the run's other pixels stay as they are."""
        if not len(self.middle):
            return images
        flat = images.reshape(*images.shape[:-2], -1)
        result = flat.copy()
        starts = np.flatnonzero(np.diff(self.label, prepend=-1))
        result[..., self.middle] = np.add.reduceat(flat[..., self.pixel], starts, axis=-1)
        return result.reshape(images.shape)

    def seen_by(self, prf: Prf) -> Prf:
        """The PRF as these pixels show it."""
        return _SummedPrf(prf, self) if len(self.middle) else prf


def _leaves(edge: BoolArray) -> BoolArray:
    """Where a stamp's first or last row is full, not beside a full pixel only: that marks its neighbours too."""
    wide = np.pad(edge, 1, constant_values=True)
    return np.asarray(edge & wide[:-2] & wide[2:])


@dataclass(frozen=True, eq=False)
class _SummedPrf:
    """A PRF whose light in a run of full pixels stands at the run's middle."""

    prf: Prf
    bled: BledColumns

    @property
    def name(self) -> str:
        return self.prf.name

    @property
    def position_error_pixels(self) -> float:
        return self.prf.position_error_pixels

    def image(self, row: float, col: float, shape: tuple[int, int]) -> FloatArray:
        return self.bled.summed(self.prf.image(row, col, shape))

    def image_and_gradient(
        self, row: float, col: float, shape: tuple[int, int]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        image, by_row, by_col = (self.bled.summed(one) for one in self.prf.image_and_gradient(row, col, shape))
        return image, by_row, by_col

    def images_and_gradients(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        return self.bled.summed(self.prf.images_and_gradients(rows, cols, shape))

    def images(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        return self.bled.summed(self.prf.images(rows, cols, shape))

    def grid_images(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        return self.bled.summed(self.prf.grid_images(rows, cols, shape))

    def stamp_images(self, shape: tuple[int, int], step: float) -> FloatArray:
        return self.bled.summed(self.prf.stamp_images(shape, step))
