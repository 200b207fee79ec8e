"""A map of how well a dip fits at every node of a grid on the stamp."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray, FloatArray

_MAXIMA = 3  # of the map that are looked at closely
_COMPARABLE = 0.85  # of the highest: a maximum between two nodes loses less
_LEAST_WIDTH = 0.1  # of a step, 1 sigma: a covariance is never singular


@dataclass(frozen=True, eq=False)
class LikelihoodMap:
    """Signal to noise S of a dip at every node of a grid; log likelihood against no dip: max(S, 0)²/2."""

    start: FloatArray  #: (row, col) of the first node, pixels of the stamp
    step: FloatArray  #: (row, col), pixels
    values: FloatArray  #: S, [row, col]

    @property
    def axes(self) -> tuple[FloatArray, FloatArray]:
        """Rows and columns of the nodes."""
        rows, cols = (self.start[axis] + self.step[axis] * np.arange(self.values.shape[axis]) for axis in (0, 1))
        return rows, cols

    def nodes(self, rows: FloatArray, cols: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rows and columns [...], pixels, in steps from the first node."""
        return (rows - self.start[0]) / self.step[0], (cols - self.start[1]) / self.step[1]

    def has(self, row: FloatArray, col: FloatArray) -> BoolArray:
        """Which nodes [...], rows and columns, lie on the map, [...]."""
        last = self.values.shape[0] - 1, self.values.shape[1] - 1
        return np.asarray((row >= 0) & (row <= last[0]) & (col >= 0) & (col <= last[1]))

    def log_likelihood(self, scale: float) -> tuple[FloatArray, FloatArray]:
        """Every node's place [row, col, 2] and the log of its share of the likelihood's integral, pixel² [row, col].

        chi² is divided by `scale`.
        """
        places = np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1)
        return places, 0.5 * np.maximum(self.values, 0.0) ** 2 / scale + np.log(np.prod(self.step))

    def maxima(self) -> FloatArray:
        """Places (row, col) of the highest local maxima, best first, [n, 2]."""
        from scipy.ndimage import maximum_filter  # 0.3 s, which commands that measure nothing do not wait for

        peaks = np.argwhere(self.values == maximum_filter(self.values, size=3))
        height = self.values[tuple(peaks.T)]
        order = np.argsort(-height, kind="stable")[:_MAXIMA]
        near_best = height[order] >= _COMPARABLE * height.max()
        places: FloatArray = self.start + self.step * peaks[order[near_best | (np.arange(len(order)) == 0)]]
        return places

    def moments(self, scale: float) -> tuple[FloatArray, FloatArray]:
        """Mean (row, col) and covariance (pixel²) of the likelihood, chi² divided by `scale`."""
        rows, cols = self.axes
        log_like = 0.5 * np.maximum(self.values, 0.0) ** 2 / scale
        weight = np.exp(log_like - log_like.max())
        weight /= weight.sum()
        mean = np.array([weight.sum(axis=1) @ rows, weight.sum(axis=0) @ cols])
        drow, dcol = rows - mean[0], cols - mean[1]
        cross = drow @ weight @ dcol
        covariance = np.array([[weight.sum(axis=1) @ drow**2, cross], [cross, weight.sum(axis=0) @ dcol**2]])
        return mean, covariance + np.diag((_LEAST_WIDTH * self.step) ** 2)


def noise_scale(chi2_reduced: float, freedom: int) -> float:
    """What chi² is divided by where the model fits worse than the noise allows; 1 where it does not.

    Less its own scatter: the larger of 1 and the reduced chi² alone would widen every second good fit.
    """
    return max(1.0, chi2_reduced - math.sqrt(2.0 / max(freedom, 1))) if math.isfinite(chi2_reduced) else 1.0


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
    whole: FloatArray = (covariance + (weight[:, None] * away).T @ away) / (1.0 + weight.sum())
    return whole


def log_sum(values: FloatArray) -> FloatArray:
    """Log of the sum of exp(values) [..., n], [...]; -inf of none. Several times as fast as ``np.logaddexp.reduce``."""
    top = np.max(values, axis=-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(top[..., 0] + np.log(np.sum(np.exp(values - top), axis=-1)))
