"""What is thought of every hypothesis before the pixels are asked (method: hosts).

The target has a share that is a setting. The rest belongs to its neighbours that are bright enough for the dip, by
their light in the target's aperture, where the dip was found: to those of the table, and to those that the table is
not deep enough to hold, by the number of them that the sky is expected to have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.floors import LEAST_PRIOR

#: A star's light falls off in the target's aperture, where the dip was found, as a Gaussian of this width, arcsec.
APERTURE_ARCSEC = 30.0
#: Beyond the aperture a neighbour's light falls to this share.
FAR_WEIGHT = 0.03
#: Side of the field in which far stars count, arcsec: a stamp.
_FAR_ARCSEC = 230.0
#: Growth of the number of stars with their magnitude, d log10 N / d Tmag, between the galactic plane and the poles.
SLOPE = 0.3
#: Stars of Tmag < 16 per square degree at the galactic poles and in the plane: Gaia DR3's counts of G < 16.5, rounded.
_AT_POLES, _IN_PLANE = 1.0e3, 2.0e4


@dataclass(frozen=True)
class Priors:
    """Settings of the prior; the defaults are what the calibration was made with."""

    target: float = 0.45  #: the target's share: about half of all candidates that pixels rule on are on it
    not_in_table: float = 0.01  #: least share of a star that no table has: tables miss stars at any magnitude
    artefact: float = 0.01  #: share of an artefact


@dataclass(frozen=True)
class TableDepth:
    """How deep a table of neighbours goes."""

    limit_tmag: float  #: stars fainter than this are not in it; -inf without a table
    density: float  #: stars brighter than `limit_tmag`, 1/arcsec²
    galactic_latitude: float  #: deg

    @classmethod
    def of(cls, tmag: FloatArray, distance_arcsec: FloatArray, galactic_latitude: float) -> TableDepth:
        """Depth of a table with stars of these magnitudes at these distances from the target.

        Few stars do not tell the density of the field; the galactic latitude does, to a factor of two or so.
        """
        known = np.isfinite(tmag)
        if np.count_nonzero(known) < _FEW_STARS:
            limit = float(np.max(tmag[known], initial=-math.inf))
            return cls(limit, density_at(limit, galactic_latitude), galactic_latitude)
        limit = float(np.quantile(tmag[known], _DEEPEST))
        radius = float(np.max(distance_arcsec[known]))
        density = float(np.count_nonzero(tmag[known] <= limit)) / (math.pi * radius**2)
        return cls(limit, density, galactic_latitude)

    def unlisted(self, able_tmag: float) -> float:
        """Expected weight of stars down to `able_tmag` that the table is not deep enough to hold."""
        if not able_tmag > self.limit_tmag:
            return 0.0
        if math.isfinite(self.limit_tmag):
            density = self.density * (10.0 ** (SLOPE * (able_tmag - self.limit_tmag)) - 1.0)
        else:
            density = density_at(able_tmag, self.galactic_latitude)
        return float(density) * (2.0 * math.pi * APERTURE_ARCSEC**2 + FAR_WEIGHT * _FAR_ARCSEC**2)


_FEW_STARS = 10
_SCALE_HEIGHT_DEG = 15.0  # of the plane's surplus of stars
_POLE = math.radians(192.85948), math.radians(27.12825)  # north galactic, ICRS (Hipparcos catalogue, vol. 1, 1.5.3)
_DEEPEST = 0.98  # of the stars of a table are brighter than where it ends


def density_at(tmag: float, galactic_latitude: float) -> float:
    """Stars brighter than `tmag` at a galactic latitude, 1/arcsec²: a smooth sky, to a factor of two or so."""
    towards_plane = math.exp(-abs(galactic_latitude) / _SCALE_HEIGHT_DEG)
    per_square_degree = (_AT_POLES + _IN_PLANE * towards_plane) * 10.0 ** (SLOPE * (tmag - 16.0))
    return float(per_square_degree) / 3600.0**2


def galactic_latitude(ra: float, dec: float) -> float:
    """Galactic latitude (deg) of a position (deg, ICRS)."""
    (ra_pole, dec_pole), ra, dec = _POLE, math.radians(ra), math.radians(dec)
    sine = math.sin(dec) * math.sin(dec_pole) + math.cos(dec) * math.cos(dec_pole) * math.cos(ra - ra_pole)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))


def aperture_weight(east: FloatArray, north: FloatArray) -> FloatArray:
    """How much of a star's light gets into the target's aperture, [star]."""
    return np.asarray(np.exp(-0.5 * (east**2 + north**2) / APERTURE_ARCSEC**2) + FAR_WEIGHT)


def log_priors(
    weight: FloatArray, is_target: BoolArray, able: BoolArray, unlisted: float, priors: Priors
) -> tuple[FloatArray, float]:
    """Log prior of every star of the table [star], and of a star that is not in it.

    Parameters
    ----------
    weight : array, [star]
        `aperture_weight`.
    is_target : bool array, [star]
    able : bool array, [star]
        Whether the star is bright enough for the dip.
    unlisted : float
        Expected weight of able stars that the table does not hold.
    priors : Priors
    """
    base = 1.0 - priors.not_in_table - priors.artefact
    listed = float(weight[able & ~is_target].sum())
    missing = unlisted / (listed + unlisted) if listed > 0 else -math.expm1(-unlisted)
    for_others = base * (1.0 - priors.target)
    target = base * priors.target if listed > 0 else base - for_others * missing
    share = for_others * (1.0 - missing) * np.minimum(weight / max(listed, LEAST_PRIOR), 1.0)
    return np.log(np.where(is_target, target, share + LEAST_PRIOR)), math.log(
        priors.not_in_table + for_others * missing
    )
