"""How noisy a difference image is, measured where there is no transit (SCIENCE 2b)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.transit_images import DipFit, SectorPixels, fit_dip
from batchvet.science.windows import Window, WindowLayout, WindowSettings, in_transit_of, window_at

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class NoiseSettings:
    """How the noise is measured."""

    most_epochs: int = 100  #: transit-free epochs used
    few_epochs: int = 30  #: fewer of them: the dips are filled in and epochs anywhere are used
    grid_per_duration: float = 6.0  #: candidate epochs per duration
    most_components: int = 3  #: further common shapes found in the epochs themselves
    outlier_dof: float = 6.0  #: degrees of freedom of the t distribution that epochs are weighted by


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Covariance of a dip fit: ``leverage * (diag(kappa scatter) + T Lambda T')``.

    Everything is per unit of the fit's leverage, so that it serves windows with fewer or more cadences.
    """

    scatter: FloatArray  #: variance of one cadence, (e-/s)², [live pixel]
    kappa: FloatArray  #: inflation of the white noise, at least 1, [live pixel]
    shapes: FloatArray  #: T: 1, row, col, dI/drow, dI/dcol and what else the epochs share, [live pixel, k]
    shape_cov: FloatArray  #: Lambda, [k, k], per unit of leverage
    n_epochs: int  #: transit-free epochs it was measured on
    filled_in: bool  #: whether dips had to be filled in to find enough epochs
