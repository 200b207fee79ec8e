"""Where on the sky is the dip, in one sector: from a stamp to an offset with an error bar that can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Ephemeris, Neighbour
from batchvet.pixels.stamp import Stamp
from batchvet.science.evidence import SectorEvidence
from batchvet.science.prf import Prf

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LocalizationSettings:
    """What may be chosen about the localisation; the defaults are what the calibration was made with."""

    grid_step: float = 0.25  #: pixels, search for the dip
    map_step: float = 0.5  #: pixels, stored likelihood
    wcs_error_arcsec: float = 0.1  #: 1 sigma per axis, of star positions relative to each other on the stamp
    gaussian_snr: float = 8.0  #: below, the covariance is the likelihood's second moment
    artefact_spread: float = 5.0  #: an artefact's shapes are this many times those of transit-free epochs
    max_stars: int = 60  #: stars kept as possible hosts


@dataclass(frozen=True)
class TargetPosition:
    """The declared target, where a catalogue says it is; NaN: what the stamp's own header says."""

    tic: int = 0  #: TESS Input Catalog number
    ra: float = math.nan  #: deg, ICRS, epoch 2000.0
    dec: float = math.nan  #: deg, ICRS, epoch 2000.0
    pmra: float = math.nan  #: mas/yr, includes cos(dec)
    pmdec: float = math.nan  #: mas/yr
    tmag: float = math.nan  #: TESS magnitude


@dataclass(frozen=True, eq=False)
class SectorLocalization:
    """The dip of one candidate in one sector; what could not be measured is NaN, with a flag."""

    target_offset_pixels: float  #: dip minus target
    target_offset_arcsec: float  #: dip minus target
    offset_ra_arcsec: float  #: east on the sky: right ascension times cos(dec)
    offset_dec_arcsec: float  #: north
    offset_cov_ra_ra: float  #: arcsec², covariance of the offset
    offset_cov_ra_dec: float  #: arcsec²
    offset_cov_dec_dec: float  #: arcsec²
    significance_sigma: float  #: of the offset: sqrt(offset' covariance^-1 offset)
    difference_snr: float  #: of the dip as a point source in the difference image
    source_ra: float  #: deg, ICRS, of the dip
    source_dec: float  #: deg, ICRS, of the dip
    prf_source: str  #: spoc or empirical
    prf_chi2_reduced: float  #: of the point source fitted to the difference image
    zero_point_col: float  #: pixels, the scene minus the WCS
    zero_point_row: float  #: pixels
    localization_flags: tuple[str, ...]
    n_transits: int
    n_in_transit: int  #: cadences
    source_col: float  #: pixel of the stamp, of the dip
    source_row: float  #: pixel of the stamp, of the dip
    difference_image: NDArray[np.float32]  #: e-/s, [row, col]
    difference_error: NDArray[np.float32]  #: e-/s, [row, col]
    out_of_transit_image: NDArray[np.float32]  #: e-/s, [row, col]
    evidence: SectorEvidence


def localize(
    stamp: Stamp,
    ephemeris: Ephemeris,
    others: Sequence[Ephemeris],
    neighbours: Sequence[Neighbour] | None,
    target: TargetPosition,
    prf: Prf | None,
    bitmask: int,
    settings: LocalizationSettings,
) -> SectorLocalization:
    """Locate one candidate's dip in one sector (SCIENCE 2a to 2d).

    Parameters
    ----------
    stamp : Stamp
        All cadences of one target in one sector.
    ephemeris : Ephemeris
        Of the candidate.
    others : sequence of Ephemeris
        Of the target's other candidates: cadences in their transits are not used.
    neighbours : sequence of Neighbour or None
        Stars of the field; None when there is no table, and then attribution is not possible.
    target : TargetPosition
        The star that the candidate is declared for.
    prf : Prf or None
        Official PRF at this stamp; None: one is fitted to the stamp itself.
    bitmask : int
        Cadences with one of these quality flags are not used.
    settings : LocalizationSettings

    Raises
    ------
    InsufficientData
        No usable transit.
    """
    raise NotImplementedError
