"""Whether errors are honest: the significances of offsets that are none must be Rayleigh's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import kstest, rayleigh

from batchvet.arrays import FloatArray

_CUT = 3.0  #: scales: what is farther off may be something else than an error
_INSIDE = 1.0 - math.exp(-0.5 * _CUT**2)
_SHARE = 1.0 - 0.5 * _CUT**2 * math.exp(-0.5 * _CUT**2) / _INSIDE
_MEDIAN = math.sqrt(2.0 * math.log(2.0))


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


def rayleigh_scale(significance: FloatArray) -> RayleighScale:
    """Scale of a Rayleigh distribution that may have a tail of something else.

    Parameters
    ----------
    significance : array
        Length of each offset over its error, both axes together; NaN is left out.

    Notes
    -----
    Maximum likelihood of those below 3 scales, the cut allowed for: ``s² = <x²> / (2 k)`` with
    ``k = 1 - (c²/2) exp(-c²/2) / (1 - exp(-c²/2))``, c = 3, iterated from the median. Its error is ``s / (2 sqrt(n))``
    times what the cut costs.
    """
    x = np.asarray(significance, dtype=np.float64)
    x = x[np.isfinite(x)]
    if len(x) < 5:
        return RayleighScale(len(x), math.nan, math.nan, math.nan, math.nan)
    scale = float(np.median(x)) / _MEDIAN
    for _ in range(30):
        inside = x[x < _CUT * scale]
        scale = math.sqrt(float(np.mean(inside**2)) / (2.0 * _SHARE))
    # The variance of x²/2 under the cut, against 1 without it, tells what the cut costs.
    error = (
        0.5
        * scale
        / math.sqrt(len(inside))
        / math.sqrt(1.0 - (_CUT**2 / 2) ** 2 * math.exp(-0.5 * _CUT**2) / _INSIDE**2)
    )
    return RayleighScale(
        n=len(x),
        scale=scale,
        error=error,
        beyond_3_sigma=float(np.mean(x > 3.0)),
        ks_p=float(kstest(x, rayleigh.cdf).pvalue),
    )
