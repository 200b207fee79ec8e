"""All transits of a sector in one image: where the stamp lost light, with the covariance of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Ephemeris
from batchvet.pixels.stamp import Stamp
from batchvet.science.null_epochs import NoiseSettings
from batchvet.science.transit_images import TransitImage
from batchvet.science.windows import WindowSettings

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class DifferenceSettings:
    """What may be chosen about the difference image."""

    windows: WindowSettings = field(default_factory=WindowSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)


@dataclass(frozen=True, eq=False)
class DifferenceImage:
    """The difference image of one candidate in one sector.

    Its covariance over the pixels (flat, row by row) is ``diag(variance) + shapes shape_cov shapes'``. A pixel
    without data is NaN in `flux` and `variance` and 0 in `shapes`.
    """

    flux: FloatArray  #: out minus in transit, all transits together, e-/s, [row, col]
    variance: FloatArray  #: of each pixel alone, (e-/s)², [row, col]
    shapes: FloatArray  #: T: noise that pixels share, first 1, row, col, dI/drow, dI/dcol; [pixel, k]
    shape_cov: FloatArray  #: covariance of the amplitudes of `shapes`, [k, k]
    out_of_transit: FloatArray  #: the stamp beside the transits, e-/s, [row, col]
    out_of_transit_error: FloatArray  #: 1 sigma of it, photons and scatter only, e-/s, [row, col]
    n_transits: int  #: transits used
    n_in_transit: int  #: cadences that see a dip
    transit_chi2: float  #: of the single transits' images about the combined one
    transit_dof: int  #: degrees of freedom of that
    max_leave_one_out_shift_pixels: float  #: photocentre without any one transit; NaN for a single one
    n_null_epochs: int  #: transit-free epochs that the noise was measured on
    transits: tuple[TransitImage, ...]  #: one by one
    left_out: tuple[str, ...]  #: why other transits of the sector are not used
    flags: tuple[str, ...]  #: ONE_SIDED, FEW_NULL_EPOCHS, NO_POS_CORR, TRANSITS_DISAGREE


def difference_image(
    stamp: Stamp,
    ephemeris: Ephemeris,
    others: Sequence[Ephemeris],
    bitmask: int,
    settings: DifferenceSettings,
) -> DifferenceImage:
    """Fit every transit, measure the noise and combine (SCIENCE 2a and 2b).

    Parameters
    ----------
    stamp : Stamp
    ephemeris : Ephemeris
        Of the candidate.
    others : sequence of Ephemeris
        Of the target's other candidates.
    bitmask : int
        Cadences with one of these quality flags are not used.
    settings : DifferenceSettings

    Raises
    ------
    InsufficientData
        No usable transit (kinds ``no_transit``, ``gap``), cadence (``no_cadences``) or pixel (``no_pixels``).
    """
    raise NotImplementedError
