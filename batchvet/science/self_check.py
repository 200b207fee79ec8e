"""Whether errors are honest: the significances of offsets that are none must be Rayleigh's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import FloatArray

_CUT = 3.0  #: scales: what is farther off may be something else than an error
_MEDIAN = math.sqrt(2.0 * math.log(2.0))
_LARGEST = 20.0  #: scales that are looked for


@dataclass(frozen=True)
class RayleighScale:
    """By what errors are to be multiplied to be honest."""

    n: int  #: of offsets that it stands on
    scale: float  #: 1 where errors are honest; NaN for fewer than 5
    error: float  #: 1 sigma
    beyond_3_sigma: float  #: share of the offsets; 0.011 where errors are honest
    ks_p: float  #: chance that honest errors differ this much from Rayleigh's distribution

    @property
    def off_sigma(self) -> float:
        """How clearly the scale is not 1."""
        return (self.scale - 1.0) / self.error


def rayleigh_scale(significance: FloatArray, limit: float = math.inf) -> RayleighScale:
    """Scale of a Rayleigh distribution that may have a tail of something else.

    Parameters
    ----------
    significance : array
        Length of each offset over its error, both axes together; NaN is left out.
    limit : float
        Only offsets below it were chosen.

    Notes
    -----
    Maximum likelihood of those below c, the smaller of 3 scales and the limit. With ``u = c² / 2s²`` that is
    ``<x²> = 2 s² (1 - u / (e^u - 1))``, iterated from the median. Its error is ``s / 2 sqrt(n V)``, where
    ``V = 1 - u² e^-u / (1 - e^-u)²`` is what the cut leaves of the variance of x²/2s².
    """
    from scipy.stats import kstest, rayleigh  # half a second, which commands that check nothing do not wait for

    x = np.asarray(significance, dtype=np.float64)
    x = x[np.isfinite(x) & (x > 0) & (x < limit)]
    if len(x) < 5:
        return RayleighScale(len(x), math.nan, math.nan, math.nan, math.nan)
    scale = float(np.median(x)) / _MEDIAN
    for _ in range(30):
        cut = min(_CUT * scale, limit)
        inside = x[x < cut]
        scale = _scale_below(float(np.mean(inside**2)), cut)
    u = 0.5 * (cut / scale) ** 2
    variance = 1.0 - u**2 * math.exp(-u) / math.expm1(-u) ** 2
    whole = float(rayleigh.cdf(limit))
    return RayleighScale(
        n=len(x),
        scale=scale,
        error=0.5 * scale / math.sqrt(len(inside) * variance),
        beyond_3_sigma=float(np.mean(x > 3.0)),
        ks_p=float(kstest(x, lambda at: rayleigh.cdf(at) / whole).pvalue),
    )


def _scale_below(mean_square: float, cut: float) -> float:
    """Scale whose offsets below `cut` have that mean square."""
    from scipy.optimize import brentq

    def excess(scale: float) -> float:
        u = 0.5 * (cut / scale) ** 2
        return 2.0 * scale**2 * (1.0 - u / math.expm1(u)) - mean_square if u < 500 else 2.0 * scale**2 - mean_square

    low, high = 1e-3 * math.sqrt(mean_square), _LARGEST * cut
    return high if excess(high) < 0 else float(brentq(excess, low, high))
