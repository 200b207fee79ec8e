"""Scales and weights that a few bad samples cannot spoil."""

from __future__ import annotations

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.floors import LEAST_RESIDUAL, LEAST_SPREAD

#: Half of the samples of a Gaussian of unit variance lie nearer to its centre than this.
MEDIAN_DISTANCE = 0.6745
#: Standard deviation over median distance as tess-vetter rounds it: not 1 / 0.6745 to the last bit, so V08 keeps it.
TESS_VETTER_SIGMA = 1.4826

_TAIL = 0.975  # a sample beyond this quantile counts as if it were there: scattered light comes in bursts
_CLIPPED_VARIANCE = 0.955  # variance that a Gaussian of unit variance keeps when it is clipped there


def medians(series: FloatArray) -> FloatArray:
    """Median of each series [..., n]; NaN where there is one in it. To the last bit numpy's, several times as fast."""
    return _medians_of(np.array(series, dtype=np.float64, order="C"))


def spread(samples: FloatArray) -> FloatArray:
    """1 sigma of samples [n, k] about zero, by the median of their distances, [k]."""
    distances = np.empty(samples.shape[::-1])  # contiguous, whatever the order of the samples
    return np.asarray(_medians_of(np.abs(samples.T, out=distances)) / MEDIAN_DISTANCE)


def _medians_of(series: FloatArray) -> FloatArray:
    """Medians of series [..., n], which are left in another order.

    One point of partition, for which numpy has vector instructions: the lower of two middle values is the left part's
    largest.
    """
    n = series.shape[-1]
    series.partition(n // 2, axis=-1)
    middle = series[..., n // 2]
    if n % 2 == 0:
        middle = 0.5 * (series[..., : n // 2].max(axis=-1) + middle)
    return np.asarray(np.where(np.isnan(series[..., n // 2 :].max(axis=-1)), np.nan, middle))  # NaN come last


def winsorised(samples: FloatArray, tail: float = _TAIL) -> FloatArray:
    """Samples [n, k] with those beyond the distance of that quantile of chi² pulled back to it, as vectors."""
    from scipy.special import chdtri  # 0.1 s, which commands that measure nothing do not wait for

    distance = np.sum((samples / np.maximum(spread(samples), LEAST_SPREAD)) ** 2, axis=1)
    limit = chdtri(samples.shape[1], 1.0 - tail) * max(float(medians(distance)) / samples.shape[1], 1.0)
    pulled: FloatArray = samples * np.minimum(1.0, np.sqrt(limit / np.maximum(distance, LEAST_SPREAD)))[:, None]
    return pulled


def clipped_variance(samples: FloatArray) -> FloatArray:
    """Variance about zero of samples [n, k], outliers pulled in, [k]."""
    from scipy.special import chdtri

    limit = np.sqrt(chdtri(1, 1.0 - _TAIL)) * np.maximum(spread(samples), LEAST_SPREAD)
    return np.asarray(np.mean(np.clip(samples, -limit, limit) ** 2, axis=0) / _CLIPPED_VARIANCE)


def huber_weights(residual: FloatArray, sigmas: float) -> FloatArray:
    """Weights of residuals in units of their error: 1 within that many sigma, falling as 1/residual beyond."""
    return np.minimum(1.0, sigmas / np.maximum(np.abs(residual), LEAST_RESIDUAL))
