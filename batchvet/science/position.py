"""A point source in a difference image: its likelihood everywhere, its best position and error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from batchvet.arrays import FloatArray
from batchvet.science.floors import LEAST_INFORMATION
from batchvet.science.likelihood_map import LikelihoodMap, noise_scale, with_the_rest
from batchvet.science.noisy_image import NoisyImage
from batchvet.science.prf import Prf

_PEAK_NODES = 21  # of the fine grid around the best position, each way
_PEAK_SIGMAS = 4.0  # half width of it, in standard deviations
_REACH = 1.75  # pixels, half width at first: a farther maximum is for the hosts' likelihood to weigh
_ZOOM = 6.0  # the grid shrinks at most so much at once, so that it cannot lose the maximum between nodes
_PEAK_ITERATIONS = 5


@dataclass(frozen=True, eq=False)
class SignificanceMap(LikelihoodMap):
    """A likelihood map measured on an image, with what a dip's flux could be known to at each node."""

    information: FloatArray  #: Fisher information of the dip's flux, 1/(e-/s)², [row, col]

    @classmethod
    def build(
        cls, image: NoisyImage, prf: Prf, start: ArrayLike, step: ArrayLike, size: tuple[int, int]
    ) -> SignificanceMap:
        """On a grid of `size` nodes from `start` (row, col) in steps of `step` (pixels)."""
        start, step = np.asarray(start, dtype=float), np.asarray(step, dtype=float)
        rows, cols = (start[axis] + step[axis] * np.arange(size[axis]) for axis in (0, 1))
        return cls.of_images(image, prf.grid_images(rows, cols, image.shape), start, step)

    @classmethod
    def of_images(cls, image: NoisyImage, images: FloatArray, start: FloatArray, step: FloatArray) -> SignificanceMap:
        """With the images [node row, node col, row, col] of stars at the nodes."""
        return cls(start, step, *image.significance(images))

    @classmethod
    def of_stamp(cls, image: NoisyImage, prf: Prf, step: float) -> SignificanceMap:
        """Over the stamp and one pixel around it."""
        return cls.of_images(image, prf.stamp_images(image.shape, step), np.full(2, -1.0), np.full(2, step))

    @classmethod
    def around(cls, image: NoisyImage, prf: Prf, centre: FloatArray, half: FloatArray) -> SignificanceMap:
        """Around a place (row, col), `half` pixels each way."""
        step = 2 * half / (_PEAK_NODES - 1)
        return cls.build(image, prf, centre - half, step, (_PEAK_NODES, _PEAK_NODES))


@dataclass(frozen=True, eq=False)
class PointSource:
    """The best point source in a difference image."""

    row: float  #: pixel
    col: float  #: pixel
    covariance: FloatArray  #: pixel², (row, col), from the noise; of the whole stamp's likelihood
    flux: float  #: e-/s; never negative
    flux_error: float  #: 1 sigma, e-/s
    snr: float
    chi2_reduced: float
    n_pixels: int  #: with data
    near: SignificanceMap  #: the likelihood within `_REACH` pixels of the map's best maximum
    peak: SignificanceMap  #: the likelihood around the position, finely

    @property
    def noise_scale(self) -> float:
        """What chi² is divided by where the fit is worse than the noise allows."""
        return noise_scale(self.chi2_reduced, max(self.n_pixels - 3, 1))


def fit_point_source(image: NoisyImage, grid: SignificanceMap, prf: Prf) -> PointSource:
    """Measure the likelihood around its maximum, ever finer, until its moments are known (method: position).

    The position is the mean of the likelihood's peak, the covariance that of the whole stamp's likelihood about it, at
    any signal to noise. The curvature at the maximum is not enough: a faint dip's likelihood is wide and skew, and
    that of a dip beside a bright star whose jitter looks like a shift has a second maximum on the star's other side.

    Parameters
    ----------
    image : NoisyImage
    grid : SignificanceMap
        Of the same image and PRF, over the whole stamp.
    prf : Prf
    """
    windows = [SignificanceMap.around(image, prf, place, np.full(2, _REACH)) for place in grid.maxima()]
    peak = near = max(windows, key=lambda window: float(window.values.max()))
    half, freedom = np.full(2, _REACH), max(image.n_pixels - 3, 1)
    for _ in range(_PEAK_ITERATIONS):
        chi2_reduced = (image.chi2 - peak.values.max() ** 2) / freedom
        scale = noise_scale(chi2_reduced, freedom)
        mean, covariance = peak.moments(scale)
        wanted = _PEAK_SIGMAS * np.sqrt(np.diag(covariance))
        if np.all(wanted > 0.6 * half):
            break
        half = np.clip(wanted, half / _ZOOM, half)
        peak = SignificanceMap.around(image, prf, mean, half)
    places, log_like = grid.log_likelihood(scale)
    outside = np.any((places < peak.start) | (places > peak.start + 2 * half), axis=-1)
    inside = float(np.logaddexp.reduce(peak.log_likelihood(scale)[1], axis=None))
    covariance = with_the_rest(mean, covariance, inside, places[outside], log_like[outside])
    best = np.unravel_index(np.argmax(peak.values), peak.values.shape)
    snr, error = float(peak.values[best]), max(float(peak.information[best]), LEAST_INFORMATION) ** -0.5
    flux = max(snr, 0.0) * error
    return PointSource(
        row=float(mean[0]),
        col=float(mean[1]),
        covariance=covariance,
        flux=flux,
        flux_error=error,
        snr=snr,
        chi2_reduced=float(chi2_reduced),
        n_pixels=image.n_pixels,
        near=near,
        peak=peak,
    )
