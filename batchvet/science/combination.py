"""Several dips of a sector in one image, with the covariance of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, solve_triangular

from batchvet.arrays import FloatArray
from batchvet.science.bumps import pattern_noise, pixel_variance
from batchvet.science.floors import LEAST_WEIGHT
from batchvet.science.null_epochs import NoiseModel, orthonormal
from batchvet.science.robust import medians
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.transit_images import DipFits
from batchvet.science.windows import Window

_ITERATIONS_PER_TRANSIT = 3


@dataclass(frozen=True, eq=False)
class Combination:
    """Transits weighted by the inverse of their covariance."""

    flux: FloatArray  #: e-/s, [live pixel]
    leverage: float  #: of the combination: its covariance is this times the noise model's
    weights: FloatArray  #: of the transits, sum 1
    chi2: float  #: of the transits about the combination, before any was weighted down


def combine(fits: DipFits, noise: NoiseModel) -> Combination:
    """Weighted mean of the transits' images; one that disagrees counts less.

    All transits share one covariance up to a factor, the leverage times the scatter of that transit over the
    sector's, so that inverse covariance weights are numbers. While the chi² of a transit about the mean, in all pixels
    or in the shapes that they share, exceeds what noise gives in the 5 sigma tail, the worst one has its factor raised
    by its reduced chi²: it alone, as it has pulled the mean away from the others too.
    """
    usual = fits.leverage * medians(fits.scatter / noise.scatter)
    factors = np.maximum(usual, fits.leverage * fits.unrest)
    n = len(fits)
    white, shapes = _whitened(fits.flux, noise)
    degrees = np.array([[white.shape[1]], [max(shapes.shape[1], 1)]], dtype=np.float64)
    limits: FloatArray = degrees + 5.0 * np.sqrt(2.0 * degrees)
    first_chi2 = 0.0
    if n > 1:
        each, expected = _disagreement(white, shapes, usual)
        first_chi2 = float(np.sum(each[0] * expected / usual))
    for _ in range(_ITERATIONS_PER_TRANSIT * (n - 1)):
        each, _ = _disagreement(white, shapes, factors)
        excess: FloatArray = np.max(each / limits, axis=0)
        if excess.max() <= 1.0:
            break
        worst = excess > 0.99 * excess.max()  # two that disagree blame each other alike
        factors[worst] *= np.max(each[:, worst] / degrees, axis=0)
    weights = (1.0 / factors) / np.sum(1.0 / factors)
    return Combination(weights @ fits.flux, float(1.0 / np.sum(1.0 / factors)), weights, first_chi2)


def _disagreement(white: FloatArray, shapes: FloatArray, factors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """chi² of each transit about the mean, over its expected variance there, [2, transit]; and that variance.

    In all pixels; and in the shapes alone, where a transit may be deeper than another without disagreeing.
    """
    total = np.sum(1.0 / factors)
    expected = factors - 1.0 / total
    mean = (1.0 / factors) @ white / total
    off = white - mean
    shared, usual = off @ shapes, mean @ shapes
    depth = shared @ usual / max(float(usual @ usual), LEAST_WEIGHT)
    shared = shared - depth[:, None] * usual
    return np.array([np.sum(off**2, axis=1), np.sum(shared**2, axis=1)]) / expected, expected


def _whitened(images: FloatArray, noise: NoiseModel) -> tuple[FloatArray, FloatArray]:
    """Images [n, live pixel] turned into ones of unit covariance, per unit of leverage; a basis of the shapes then."""
    covariance = np.diag(noise.variance) + noise.shapes @ noise.shape_cov @ noise.shapes.T
    deviation = np.sqrt(np.diag(covariance))
    factor = np.linalg.cholesky(covariance / np.outer(deviation, deviation))
    both = solve_triangular(factor, np.vstack([images, noise.shapes.T]).T / deviation[:, None], lower=True)
    return both[:, : len(images)].T, orthonormal(both[:, len(images) :])


@dataclass(frozen=True, eq=False)
class DipImage:
    """What the stamp lost, with its covariance ``diag(variance) + shapes shape_cov shapes'`` over the pixels.

    Flat, row by row. A pixel without data is NaN in `flux` and `variance` and 0 in `shapes`.
    """

    flux: FloatArray  #: out minus in transit, e-/s, [row, col]
    variance: FloatArray  #: of each pixel alone, (e-/s)², [row, col]
    shapes: FloatArray  #: T: noise that pixels share, first 1, row, col, dI/drow, dI/dcol; [pixel, k]
    shape_cov: FloatArray  #: covariance of the amplitudes of `shapes`, [k, k]
    bump_height: FloatArray  #: of flares and asteroids that were left out, as they would weigh in, e-/s, [row, col]

    @classmethod
    def of(cls, pixels: SectorPixels, windows: Sequence[Window], noise: NoiseModel, combined: Combination) -> DipImage:
        """The combination of these windows on the stamp, with the noise of the bumps in them."""
        spoilt = [
            (weight, window.bump, window)
            for weight, window in zip(combined.weights, windows, strict=True)
            if window.bump is not None
        ]
        patterns = [weight * pattern_noise(bump, window) for weight, bump, window in spoilt]
        hidden, height = np.zeros(pixels.live.size), np.zeros(pixels.live.size)
        for weight, bump, window in spoilt:
            hidden += weight**2 * pixel_variance(bump, window)
            height += weight * bump.height
        shapes = np.column_stack([noise.shapes, *patterns])
        on_stamp = np.zeros((pixels.shape[0] * pixels.shape[1], shapes.shape[1]))
        on_stamp[pixels.live] = shapes
        of_patterns = np.eye(shapes.shape[1] - noise.shapes.shape[1])
        return cls(
            flux=pixels.image(combined.flux),
            variance=pixels.image(noise.variance * combined.leverage + hidden),
            shapes=on_stamp,
            shape_cov=block_diag(noise.shape_cov * combined.leverage, of_patterns),
            bump_height=np.nan_to_num(pixels.image(height)),
        )
