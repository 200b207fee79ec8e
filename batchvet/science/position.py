"""A point source in a difference image: its likelihood everywhere, its best position and error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter

from batchvet.science.prf import Prf

FloatArray = NDArray[np.float64]

_MAXIMA = 3  # of the significance map that are refined
_PEAK_NODES = 21  # of the fine grid around the best position, each way
_PEAK_SIGMAS = 4.0  # half width of it, in standard deviations
_PEAK_REACH = 2.5  # pixels: a farther maximum is for the hosts' likelihood to weigh
_PEAK_ITERATIONS = 4


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
        size = np.sqrt(np.maximum(np.diag(shape_cov), np.finfo(float).tiny))  # the shapes have different units
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
        return images.reshape(*images.shape[:-2], -1) @ self.data

    def information(self, images: FloatArray) -> FloatArray:
        """``p' C^-1 q`` for every pair of a set of images [..., image, row, col]: [..., image, image]."""
        white = images.reshape(*images.shape[:-2], -1) * self.weight
        noise = white @ self.shapes
        return white @ np.swapaxes(white, -1, -2) - noise @ np.swapaxes(noise, -1, -2)

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
        seen = power > 1e-6 * power.max(initial=0.0)
        result = np.where(seen, flat @ self.data, 0.0) / np.sqrt(np.where(seen, power, 1.0))
        return result.reshape(images.shape[:-2]), np.maximum(power, 0.0).reshape(images.shape[:-2])


@dataclass(frozen=True, eq=False)
class SignificanceMap:
    """Signal to noise S of a dip at every node of a grid; log likelihood against no dip: max(S, 0)²/2."""

    start: FloatArray  #: (row, col) of the first node
    step: FloatArray  #: (row, col), pixels
    values: FloatArray  #: [row, col]
    information: FloatArray  #: of the dip's flux, 1/(e-/s)², [row, col]

    @classmethod
    def build(
        cls, image: NoisyImage, prf: Prf, start: ArrayLike, step: ArrayLike, size: tuple[int, int]
    ) -> SignificanceMap:
        """On a grid of `size` nodes from `start` (row, col) in steps of `step` (pixels)."""
        start, step = np.asarray(start, dtype=float), np.asarray(step, dtype=float)
        rows, cols = (start[axis] + step[axis] * np.arange(size[axis]) for axis in (0, 1))
        return cls(start, step, *image.significance(prf.grid_images(rows, cols, image.shape)))

    @classmethod
    def of_stamp(cls, image: NoisyImage, prf: Prf, step: float) -> SignificanceMap:
        """Over the stamp and one pixel around it."""
        size = tuple(round((n + 1) / step) + 1 for n in image.shape)
        return cls.build(image, prf, (-1.0, -1.0), (step, step), size)

    def maxima(self) -> FloatArray:
        """Positions (row, col) of the highest local maxima, best first, [n, 2]."""
        peaks = np.argwhere(self.values == maximum_filter(self.values, size=3))
        order = np.argsort(-self.values[tuple(peaks.T)], kind="stable")[:_MAXIMA]
        return self.start + self.step * peaks[order]

    def moments(self, noise_scale: float) -> tuple[FloatArray, FloatArray]:
        """Mean (row, col) and covariance (pixel²) of the likelihood, chi² divided by `noise_scale`."""
        rows, cols = (self.start[axis] + self.step[axis] * np.arange(self.values.shape[axis]) for axis in (0, 1))
        log_like = 0.5 * np.maximum(self.values, 0.0) ** 2 / noise_scale
        weight = np.exp(log_like - log_like.max())
        weight /= weight.sum()
        mean = np.array([weight.sum(axis=1) @ rows, weight.sum(axis=0) @ cols])
        drow, dcol = rows - mean[0], cols - mean[1]
        cross = drow @ weight @ dcol
        covariance = np.array([[weight.sum(axis=1) @ drow**2, cross], [cross, weight.sum(axis=0) @ dcol**2]])
        return mean, covariance + np.diag((0.1 * self.step) ** 2)  # never singular


@dataclass(frozen=True, eq=False)
class PointSource:
    """The best point source in a difference image."""

    row: float  #: pixel
    col: float  #: pixel
    covariance: FloatArray  #: pixel², (row, col), from the noise
    flux: float  #: e-/s; never negative
    snr: float
    chi2_reduced: float
    peak: SignificanceMap  #: the likelihood around it, finely


def fit_point_source(image: NoisyImage, grid: SignificanceMap, prf: Prf) -> PointSource:
    """Refine the map's best maxima, take the best, and measure the likelihood around it (SCIENCE 2d).

    Position and covariance are the likelihood's own moments at any signal to noise. The curvature at the maximum
    is not enough: a faint dip's likelihood is wide and skew, and so is that of a dip on a bright star whose
    jitter looks like a shift.

    Parameters
    ----------
    image : NoisyImage
    grid : SignificanceMap
        Of the same image and PRF, over the whole stamp.
    prf : Prf
    """
    fits = [_refine(image, prf, *start) for start in grid.maxima()]
    row, col, flux, snr, covariance = max(fits, key=lambda fit: fit[3])
    chi2_reduced = (image.chi2 - snr**2) / max(image.n_pixels - 3, 1)
    scale = max(1.0, chi2_reduced)
    mean, covariance = np.array([row, col]), covariance * scale
    for _ in range(_PEAK_ITERATIONS):
        sigma = np.clip(np.sqrt(np.diag(covariance)), 1e-4, _PEAK_REACH / _PEAK_SIGMAS)
        step = 2 * _PEAK_SIGMAS * sigma / (_PEAK_NODES - 1)
        peak = SignificanceMap.build(image, prf, mean - _PEAK_SIGMAS * sigma, step, (_PEAK_NODES, _PEAK_NODES))
        mean, covariance = peak.moments(scale)
        settled = np.sqrt(np.diag(covariance)) / sigma
        if np.all((settled > 0.7) & (settled < 1.2)):
            break
    return PointSource(float(mean[0]), float(mean[1]), covariance, flux, snr, chi2_reduced, peak)


def _refine(image: NoisyImage, prf: Prf, row: float, col: float) -> tuple[float, float, float, float, FloatArray]:
    """Damped Gauss-Newton on the profiled likelihood: row, col, flux, S, covariance of (row, col)."""
    lower, upper = -1.0, np.array(image.shape, dtype=float)
    position, damping = np.array([row, col]), 1e-3
    flux, snr, step, curvature = _profile(image, prf, position)
    for _ in range(12):
        moved = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), step)
        length = np.hypot(*moved)
        trial = np.clip(position + moved * min(1.0, 0.5 / max(length, 1e-12)), lower, upper)
        state = _profile(image, prf, trial)
        if state[1] >= snr:
            done = state[1] - snr <= 1e-7 * max(snr, 1.0)
            position, damping = trial, damping / 10
            flux, snr, step, curvature = state
            if done:
                break
        else:
            damping *= 30
            if damping > 1e6:
                break
    return position[0], position[1], flux, snr, np.linalg.inv(curvature)


def _profile(image: NoisyImage, prf: Prf, position: FloatArray) -> tuple[float, float, FloatArray, FloatArray]:
    """Best flux, S, gradient and Fisher information of the log likelihood by (row, col), flux profiled."""
    images = np.stack(prf.image_and_gradient(position[0], position[1], image.shape))
    score, information = image.score(images), image.information(images)
    if information[0, 0] <= 0:
        return 0.0, 0.0, np.zeros(2), np.eye(2)
    flux = max(score[0] / information[0, 0], 0.0)
    gradient = flux * (score[1:] - flux * information[0, 1:])
    curvature = flux**2 * (information[1:, 1:] - np.outer(information[0, 1:], information[0, 1:]) / information[0, 0])
    return flux, score[0] / np.sqrt(information[0, 0]), gradient, curvature + 1e-9 * np.eye(2)
