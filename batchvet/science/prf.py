"""What one star looks like on the pixels: the pixel response function (PRF).

Every PRF is a table of pixel-integrated values, evaluated as a cubic spline: the official SPOC tables, and
the empirical one after its fit. One way to evaluate, so one set of half pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import spline_filter
from scipy.sparse import csr_array

from batchvet.arrays import FloatArray, IndexArray
from batchvet.vocabulary import SPOC

if TYPE_CHECKING:
    from batchvet.pixels.prf_files import PrfNodes


#: Systematic position error of the official tables, pixels per axis.
SPOC_POSITION_ERROR = 0.01

_PAD = 8  # samples of zeros around a table: spline coefficients fall by 0.27 a sample, so beyond it all is zero


class Prf(Protocol):
    """The image of a star of flux 1: the fraction of its light in every pixel of a stamp.

    Positions are 0-based stamp coordinates (row, col), fractional, an integer being the centre of a pixel.
    The sum over a stamp is below 1 by what falls beside it.
    """

    @property
    def name(self) -> str:
        """`spoc` or `empirical`."""

    @property
    def position_error_pixels(self) -> float:
        """Systematic position error of this kind of PRF, 1 sigma per axis, pixels."""

    def image(self, row: float, col: float, shape: tuple[int, int]) -> FloatArray:
        """Image [row, col] of a star at (row, col)."""

    def image_and_gradient(
        self, row: float, col: float, shape: tuple[int, int]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Image and its derivatives by the star's row and by its column (per pixel), each [row, col]."""

    def images_and_gradients(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        """Images, derivatives by row and by column, [3, star, row, col], of stars at (rows[i], cols[i])."""

    def images(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        """Images [star, row, col] of stars at (rows[i], cols[i])."""

    def grid_images(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        """Images [i, j, row, col] of stars at (rows[i], cols[j]), every pair: much faster than `images`."""

    def stamp_images(self, shape: tuple[int, int], step: float) -> FloatArray:
        """`grid_images` of a grid of that step (pixels) over a stamp and one pixel around it; the last one is kept."""


@dataclass(frozen=True, eq=False)
class TabulatedPrf:
    """A PRF given by a square table of pixel-integrated samples.

    Sample ``[c + s i, c + s j]`` (centre c, s samples per pixel) is the fraction of the star's light in the
    pixel whose centre lies i rows and j columns above the star's position.
    """

    table: FloatArray  #: [row, col], fraction of the flux
    sampling: int  #: samples per pixel
    name: str  #: `spoc` or `empirical`
    position_error_pixels: float  #: systematic position error of this kind of PRF, 1 sigma per axis

    @cached_property
    def _coefficients(self) -> FloatArray:
        padded = np.pad(np.asarray(self.table, dtype=np.float64), _PAD)
        coefficients: FloatArray = spline_filter(padded, order=3)
        coefficients[[0, -1]] = coefficients[:, [0, -1]] = 0.0
        return coefficients

    def image(self, row: float, col: float, shape: tuple[int, int]) -> FloatArray:
        """Image [row, col] of a star of flux 1 at (row, col)."""
        image: FloatArray = self.grid_images([row], [col], shape)[0, 0]
        return image

    def image_and_gradient(
        self, row: float, col: float, shape: tuple[int, int]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Image and its derivatives by the star's row and by its column (per pixel), each [row, col]."""
        image, by_row, by_col = self.images_and_gradients([row], [col], shape)[:, 0]
        return image, by_row, by_col

    def images_and_gradients(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        """Images, derivatives by row and by column, [3, star, row, col], of stars at (rows[i], cols[i])."""
        row_taps, row_weights, row_slopes = self._taps(np.atleast_1d(rows), shape[0], 0)
        col_taps, col_weights, col_slopes = self._taps(np.atleast_1d(cols), shape[1], 1)
        block = self._coefficients[row_taps[:, :, :, None, None], col_taps[:, None, None]]
        column_terms = np.stack([col_weights, col_slopes], axis=-1)[:, None, None]
        value, slope = np.moveaxis(block @ column_terms, -1, 0)  # each [star, row, 4, col]
        by_row = np.einsum("kna,niaj->knij", np.stack([row_weights, row_slopes]), value)
        by_col = np.einsum("na,niaj->nij", row_weights, slope)
        return np.concatenate([by_row, by_col[None]])

    def images(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        """Images [star, row, col] of stars of flux 1 at (rows[i], cols[i])."""
        row_taps, row_weights, _ = self._taps(np.atleast_1d(rows), shape[0], 0)
        col_taps, col_weights, _ = self._taps(np.atleast_1d(cols), shape[1], 1)
        flat = self._coefficients.ravel()
        width = self._coefficients.shape[1]
        image = np.zeros((len(row_taps), *shape))
        for a in range(4):
            for b in range(4):
                weight = (row_weights[:, a] * col_weights[:, b])[:, None, None]
                image += weight * flat[row_taps[:, :, None, a] * width + col_taps[:, None, :, b]]
        return image

    def grid_images(self, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> FloatArray:
        """Images [i, j, row, col] of stars of flux 1 at (rows[i], cols[j]), every pair."""
        by_row = self._interpolation(np.atleast_1d(rows), shape[0], 0) @ self._coefficients
        image = self._interpolation(np.atleast_1d(cols), shape[1], 1) @ np.ascontiguousarray(by_row.T)
        return np.asarray(image.reshape(-1, shape[1], by_row.shape[0] // shape[0], shape[0]).transpose(2, 0, 3, 1))

    def _interpolation(self, position: FloatArray, size: int, axis: int) -> csr_array:
        """What takes coefficients along one axis to the pixels of stars there, [star pixel, coefficient]."""
        taps, weights, _ = self._taps(position, size, axis)
        values = np.repeat(weights, size, axis=0).ravel()
        starts = np.arange(0, len(values) + 1, 4, dtype=np.int32)
        shape = len(starts) - 1, self._coefficients.shape[axis]
        return csr_array((values, taps.ravel().astype(np.int32), starts), shape)

    def stamp_images(self, shape: tuple[int, int], step: float) -> FloatArray:
        """`grid_images` of a grid of that step (pixels) over a stamp and one pixel around it; the last one is kept."""
        kept = self._on_stamp.get((shape, step))
        if kept is None:
            rows, cols = (-1.0 + step * np.arange(round((n + 1) / step) + 1) for n in shape)
            kept = self.grid_images(rows, cols, shape)
            self._on_stamp.clear()
            self._on_stamp[shape, step] = kept
        return kept

    @cached_property
    def _on_stamp(self) -> dict[tuple[tuple[int, int], float], FloatArray]:
        return {}

    def _taps(self, position: FloatArray, size: int, axis: int) -> tuple[IndexArray, FloatArray, FloatArray]:
        """Coefficients [star, pixel, 4] under the pixels along one axis, weights and slopes [star, 4]."""
        length = self._coefficients.shape[axis]
        centre = (self.table.shape[axis] - 1) // 2 + _PAD
        sample = centre - self.sampling * np.asarray(position, dtype=np.float64)
        base = np.floor(sample)
        weights, slopes = _cubic_b_spline(sample - base)
        first = base.astype(np.intp)[:, None] + self.sampling * np.arange(size) - 1
        # What lies outside the padded table is read from its outermost, zero, coefficients.
        taps = np.clip(first[:, :, None] + np.arange(4), 0, length - 1)
        return taps, weights, -self.sampling * slopes


def _cubic_b_spline(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights and derivatives [n, 4] of the uniform cubic B-spline at fraction t of a knot interval."""
    s = 1.0 - t
    t2, s2 = t * t, s * s
    weights = np.stack([s2 * s, (3 * t - 6) * t2 + 4, (3 * s - 6) * s2 + 4, t2 * t], axis=-1) / 6.0
    slopes = np.stack([-s2, 3 * t2 - 4 * t, 4 * s - 3 * s2, t2], axis=-1) / 2.0
    return weights, slopes


def spoc_prf(nodes: PrfNodes, ccd_row: float, ccd_column: float) -> TabulatedPrf:
    """The official PRF at a place on the CCD: bilinear between the four nodes around it (method: scene and PRF).

    Parameters
    ----------
    nodes : PrfNodes
        Tables on a rectangular grid of CCD rows and columns.
    ccd_row, ccd_column : float
        As target pixel files count: science pixels are rows 1 to 2048, columns 45 to 2092. A place beyond the
        outermost nodes takes theirs.
    """
    i, row_fraction = _bracket(nodes.rows, ccd_row)
    j, col_fraction = _bracket(nodes.columns, ccd_column)
    table = np.einsum(
        "a,b,abxy->xy",
        [1.0 - row_fraction, row_fraction],
        [1.0 - col_fraction, col_fraction],
        nodes.tables[i : i + 2, j : j + 2],
    )
    return TabulatedPrf(table, nodes.sampling, SPOC, SPOC_POSITION_ERROR)


def _bracket(grid: FloatArray, value: float) -> tuple[int, float]:
    """Index of the lower of the two grid points around `value` and the fraction of the way to the upper."""
    value = float(np.clip(value, grid[0], grid[-1]))
    low = int(np.clip(np.searchsorted(grid, value, side="right") - 1, 0, len(grid) - 2))
    return low, (value - grid[low]) / (grid[low + 1] - grid[low])
