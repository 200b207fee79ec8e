"""The stars that a stamp shows: where they are, how bright, and how far the stamp's WCS is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Neighbour
from batchvet.pixels.stamp import Stamp
from batchvet.science.prf import Prf

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Star:
    """A star of the scene, where the catalogue and the stamp's WCS put it at mid-sector."""

    source_id: str  #: as in the neighbour table; the TIC number for a target without one
    row: float  #: stamp row, 0-based, an integer is a pixel's centre
    col: float  #: stamp column
    tmag: float  #: TESS magnitude; NaN when unknown
    is_target: bool  #: whether it is the declared target
    east: float = 0.0  #: from the declared target, right ascension times cos(dec), arcsec
    north: float = 0.0  #: from the declared target, arcsec


@dataclass(frozen=True, eq=False)
class Scene:
    """The out-of-transit image explained by stars, a background plane and a zero point."""

    stars: tuple[Star, ...]  #: at the catalogue's places, without the zero point
    flux: FloatArray  #: e-/s, [star]
    flux_err: FloatArray  #: 1 sigma, e-/s, [star]
    delta_row: float  #: zero point: the stars lie at row + delta_row
    delta_col: float  #: zero point: the stars lie at col + delta_col
    delta_cov: FloatArray  #: covariance of (delta_row, delta_col), pixel², [2, 2]
    background: FloatArray  #: the plane, e-/s, [row, col]
    model: FloatArray  #: stars and background, e-/s, [row, col]
    chi2_reduced: float  #: of the fit, with the image's own error
    saturated: NDArray[np.bool_]  #: pixels left out because they are full or bleed, [row, col]
    prf: Prf  #: the PRF used; fitted here when none was given


def place_stars(
    stamp: Stamp,
    neighbours: Sequence[Neighbour] | None,
    target_id: str,
    ra: float,
    dec: float,
    tmag: float,
    margin: float = 3.0,
) -> tuple[Star, ...]:
    """Put the neighbour table on the stamp (SCIENCE 2c).

    Parameters
    ----------
    stamp : Stamp
    neighbours : sequence of Neighbour or None
        The target among them, or not; None when there is no table: the scene is the target alone.
    target_id : str
        `source_id` of the target if it is in the table; else the star of the table within 2" of its place and
        nearest in magnitude is the target, and without one the target is added.
    ra, dec : float
        The declared target at mid-sector, deg.
    tmag : float
        Its TESS magnitude; NaN when unknown.
    margin : float
        Pixels around the stamp whose stars are kept: their light falls into it.

    Returns
    -------
    tuple of Star
        The target first, the others by magnitude.
    """
    raise NotImplementedError


def fit_scene(image: FloatArray, image_error: FloatArray, stars: Sequence[Star], prf: Prf | None) -> Scene:
    """Fit star fluxes, a zero point and a background plane to the out-of-transit image (SCIENCE 2c).

    Parameters
    ----------
    image, image_error : array, e-/s, [row, col]; NaN where there is no data
    stars : sequence of Star
    prf : Prf or None
        None: an empirical one is fitted together with the scene.
    """
    raise NotImplementedError
