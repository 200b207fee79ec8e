"""A point source in a difference image: its likelihood everywhere, its best position and error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter

from batchvet.science.evidence import noise_scale
from batchvet.science.prf import Prf

FloatArray = NDArray[np.float64]

_MAXIMA = 3  # of the significance map that are looked at closely
_COMPARABLE = 0.85  # of the highest: a maximum between two nodes loses less
_PEAK_NODES = 21  # of the fine grid around the best position, each way
_PEAK_SIGMAS = 4.0  # half width of it, in standard deviations
_REACH = 1.75  # pixels, half width at first: a farther maximum is for the hosts' likelihood to weigh
_ZOOM = 6.0  # the grid shrinks at most so much at once, so that it cannot lose the maximum between nodes
_PEAK_ITERATIONS = 5


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
    information: FloatArray | None = None  #: of the dip's flux, 1/(e-/s)², [row, col]

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

    @property
    def _axes(self) -> tuple[FloatArray, FloatArray]:
        """Rows and columns of the nodes."""
        rows, cols = (self.start[axis] + self.step[axis] * np.arange(self.values.shape[axis]) for axis in (0, 1))
        return rows, cols

    def log_likelihood(self, scale: float) -> tuple[FloatArray, FloatArray]:
        """Every node's place [row, col, 2] and the log of its share of the likelihood's integral, pixel² [row, col]."""
        places = np.stack(np.meshgrid(*self._axes, indexing="ij"), axis=-1)
        return places, 0.5 * np.maximum(self.values, 0.0) ** 2 / scale + np.log(np.prod(self.step))

    def maxima(self) -> FloatArray:
        """Positions (row, col) of the highest local maxima, best first, [n, 2]."""
        peaks = np.argwhere(self.values == maximum_filter(self.values, size=3))
        height = self.values[tuple(peaks.T)]
        order = np.argsort(-height, kind="stable")[:_MAXIMA]
        near_best = height[order] >= _COMPARABLE * height.max()
        return self.start + self.step * peaks[order[near_best | (np.arange(len(order)) == 0)]]

    def moments(self, scale: float) -> tuple[FloatArray, FloatArray]:
        """Mean (row, col) and covariance (pixel²) of the likelihood, chi² divided by `scale`."""
        rows, cols = self._axes
        log_like = 0.5 * np.maximum(self.values, 0.0) ** 2 / scale
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
    covariance: FloatArray  #: pixel², (row, col), from the noise; of the whole stamp's likelihood
    flux: float  #: e-/s; never negative
    flux_error: float  #: 1 sigma, e-/s
    snr: float
    chi2_reduced: float
    near: SignificanceMap  #: the likelihood within `_REACH` pixels of the map's best maximum
    peak: SignificanceMap  #: the likelihood around the position, finely


def fit_point_source(image: NoisyImage, grid: SignificanceMap, prf: Prf) -> PointSource:
    """Measure the likelihood around its maximum, ever finer, until its moments are known (SCIENCE 2d).

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
    windows = [_window(image, prf, place, np.full(2, _REACH)) for place in grid.maxima()]
    peak = near = max(windows, key=lambda window: window.values.max())
    half, freedom = np.full(2, _REACH), max(image.n_pixels - 3, 1)
    for _ in range(_PEAK_ITERATIONS):
        chi2_reduced = (image.chi2 - peak.values.max() ** 2) / freedom
        scale = noise_scale(chi2_reduced, freedom)
        mean, covariance = peak.moments(scale)
        wanted = _PEAK_SIGMAS * np.sqrt(np.diag(covariance))
        if np.all(wanted > 0.6 * half):
            break
        half = np.clip(wanted, half / _ZOOM, half)
        peak = _window(image, prf, mean, half)
    places, log_like = grid.log_likelihood(scale)
    outside = np.any((places < peak.start) | (places > peak.start + 2 * half), axis=-1)
    inside = np.logaddexp.reduce(peak.log_likelihood(scale)[1], axis=None)
    covariance = with_the_rest(mean, covariance, inside, places[outside], log_like[outside])
    best = np.unravel_index(np.argmax(peak.values), peak.values.shape)
    snr, error = float(peak.values[best]), max(float(peak.information[best]), 1e-300) ** -0.5
    flux = max(snr, 0.0) * error
    return PointSource(float(mean[0]), float(mean[1]), covariance, flux, error, snr, float(chi2_reduced), near, peak)


def with_the_rest(
    mean: FloatArray, covariance: FloatArray, log_inside: float, places: FloatArray, log_outside: FloatArray
) -> FloatArray:
    """Covariance about `mean` of a likelihood whose maximum is known finely and whose rest is known at `places`.

    A faint dip may be anywhere: the best place's own covariance would leave that out.

    Parameters
    ----------
    mean, covariance : array, [2] and [2, 2]
        Of the likelihood in a window around its maximum.
    log_inside : float
        Log of its integral there.
    places, log_outside : array, [n, 2] and [n]
        Outside the window: places and the log of the integral that each stands for.
    """
    weight = np.exp(np.minimum(log_outside - log_inside, 50.0))
    away = places - mean
    return (covariance + np.einsum("n,ni,nj->ij", weight, away, away)) / (1.0 + weight.sum())


def _window(image: NoisyImage, prf: Prf, centre: FloatArray, half: FloatArray) -> SignificanceMap:
    """The likelihood around a place (row, col), `half` pixels each way."""
    step = 2 * half / (_PEAK_NODES - 1)
    return SignificanceMap.build(image, prf, centre - half, step, (_PEAK_NODES, _PEAK_NODES))
