"""A difference image with the covariance of its pixels, and products with the inverse of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.floors import LEAST_NOISE
from batchvet.science.prf import Prf

_SEEN = 1e-6  # of the best node's information: with less, the stamp hardly sees a star there


@dataclass(frozen=True, eq=False)
class NoisyImage:
    """A difference image with covariance ``C = diag(variance) + T Lambda T'``, ready for products with C^-1.

    By Woodbury ``C^-1 = W (1 - V V') W`` with W = 1/sqrt(variance), zero where there is no data.
    """

    shape: tuple[int, int]  #: rows, columns
    weight: FloatArray  #: W, one a pixel, 1/(e-/s)
    shapes: FloatArray  #: V, [pixel, k]: what noise of the shapes T takes away
    data: FloatArray  #: C^-1 D
    chi2: float  #: D' C^-1 D: chi² of no dip

    @classmethod
    def build(cls, flux: FloatArray, variance: FloatArray, shapes: FloatArray, shape_cov: FloatArray) -> NoisyImage:
        """From the image [row, col], its variance, noise shapes T [pixel, k] and their covariance [k, k]."""
        values, spread = flux.ravel().astype(np.float64), variance.ravel()
        good = np.isfinite(values) & np.isfinite(spread) & (spread > 0)
        weight = np.zeros(values.size)
        weight[good] = spread[good] ** -0.5
        size = np.sqrt(np.maximum(np.diag(shape_cov), LEAST_NOISE))  # the shapes have different units
        eigenvalues, vectors = np.linalg.eigh(shape_cov / np.outer(size, size))
        root = size[:, None] * vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
        whitened = weight[:, None] * np.where(good[:, None], shapes, 0.0) @ root
        inner = np.linalg.cholesky(np.eye(root.shape[1]) + whitened.T @ whitened)
        basis = np.linalg.solve(inner, whitened.T).T
        data = weight * np.where(good, values, 0.0)
        projected = data - basis @ (basis.T @ data)
        return cls(flux.shape, weight, basis, weight * projected, float(data @ projected))

    @property
    def log_determinant(self) -> float:
        """ln det C minus that of its diagonal part."""
        return -float(np.linalg.slogdet(np.eye(self.shapes.shape[1]) - self.shapes.T @ self.shapes)[1])

    @property
    def n_pixels(self) -> int:
        """Pixels with data."""
        return int(np.count_nonzero(self.weight))

    def score(self, images: FloatArray) -> FloatArray:
        """``p' C^-1 D`` for images p [..., row, col]."""
        score: FloatArray = images.reshape(*images.shape[:-2], -1) @ self.data
        return score

    def information(self, images: FloatArray) -> FloatArray:
        """``p' C^-1 q`` for every pair of a set of images [..., image, row, col]: [..., image, image]."""
        white = images.reshape(*images.shape[:-2], -1) * self.weight
        noise = white @ self.shapes
        information: FloatArray = white @ np.swapaxes(white, -1, -2) - noise @ np.swapaxes(noise, -1, -2)
        return information

    def score_and_information(self, prf: Prf, rows: FloatArray, cols: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Score [star, 3] and information [star, 3, 3] of flux, row and column of stars of unit flux."""
        images = np.moveaxis(prf.images_and_gradients(rows, cols, self.shape), 0, 1)
        return self.score(images), self.information(images)

    def significance(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Signal to noise of a dip that looks like each image [..., row, col], 0 where none is seen.

        And the Fisher information of its flux, 1/(e-/s)²; each [...].
        """
        flat = images.reshape(-1, self.weight.size)
        noise = flat @ (self.weight[:, None] * self.shapes)
        power = (flat * flat) @ self.weight**2 - np.einsum("ij,ij->i", noise, noise)
        seen = power > _SEEN * power.max(initial=0.0)
        result = np.where(seen, flat @ self.data, 0.0) / np.sqrt(np.where(seen, power, 1.0))
        return result.reshape(images.shape[:-2]), np.maximum(power, 0.0).reshape(images.shape[:-2])
