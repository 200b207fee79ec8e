"""What one sector says about where the dip is: small enough to store, enough to judge the candidate again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum, unique

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.dip_shape import DipShapes
from batchvet.science.likelihood_map import LikelihoodMap, noise_scale
from batchvet.science.priors import TableDepth
from batchvet.science.sky import SkyFrame


@dataclass(frozen=True, eq=False)
class DipPosition:
    """The best point source in a sector's difference image; places and covariances are (row, col)."""

    place: FloatArray  #: where it is, pixels of the stamp, [2]
    covariance: FloatArray  #: of the place, from the noise, pixel², [2, 2]
    systematic: FloatArray  #: covariance of zero point, PRF and WCS, pixel², [2, 2]
    snr: float  #: its significance
    flux: float  #: e-/s; at least its error, so that likelihoods can be stored in units of it
    chi2_reduced: float  #: of the fit

    @property
    def least_flux(self) -> float:
        """What the dip loses at least, e-/s: two errors below what is seen; 0 where it may be nothing."""
        return self.flux * max(1.0 - 2.0 / max(self.snr, 1.0), 0.0)


def symmetric(covariance: FloatArray) -> FloatArray:
    """A covariance whose two off-diagonal elements agree to the last bit, which inverting does not promise, [2, 2]."""
    return np.array([[covariance[0, 0], covariance[0, 1]], [covariance[0, 1], covariance[1, 1]]])


#: Of how many nodes of the maps `stamp`, `near` and `peak` one has its information stored.
EVERY = (2, 2, 5)


@dataclass(frozen=True, eq=False)
class DipMaps:
    """The likelihood of the dip's place on the stamp, from coarse to fine: where a fine map has a place, it counts."""

    stamp: LikelihoodMap  #: the stamp and a pixel around it
    near: LikelihoodMap  #: around the best maximum
    peak: LikelihoodMap  #: around the best position, finely
    #: Fisher information of the dip's flux at every so many nodes of each map, (e-/s)^-2, [row, col]
    stamp_information: FloatArray
    near_information: FloatArray
    peak_information: FloatArray


@dataclass(frozen=True, eq=False)
class HostEvidence:
    """The stars of the scene, the target first, with what the likelihood needs of each as the dip's host."""

    source_id: tuple[str, ...]  #: as in the neighbour table
    is_target: BoolArray  #: which of them is the declared target, [star]
    east: FloatArray  #: of the target, arcsec, [star]
    north: FloatArray  #: of the target, arcsec, [star]
    tmag: FloatArray  #: TESS magnitude, [star]
    flux: FloatArray  #: out of transit, e-/s, [star]
    score: FloatArray  #: of a dip of flux `DipPosition.flux`, derivatives by flux, row and column at no dip, [star, 3]
    information: FloatArray  #: Fisher information of the same, [star, 3, 3]
    #: Score of each star, in the same unit, of a dip of signal to noise 1 at the sector's place, and its derivatives by
    #: that place's row and column, [star, 3].
    shared: FloatArray


@unique
class Part(StrEnum):
    """Dips of one kind, that are measured and located by themselves (method: odd, even, secondary)."""

    ODD = "odd"  # an odd number of periods from t0
    EVEN = "even"
    SECONDARY = "secondary"  # at another phase


@dataclass(frozen=True, eq=False)
class PartDip:
    """The odd transits of a sector, the even ones or its secondary eclipses, measured and located by themselves."""

    part: Part
    n_dips: int  #: that were seen
    mid_time: float  #: of the first, BTJD, days
    phase: float  #: of the candidate's period
    phase_error: float  #: 1 sigma
    flux: float  #: lost at the place of the sector's dip, a secondary eclipse's at its own; e-/s
    flux_error: float  #: 1 sigma, e-/s
    place: FloatArray  #: where it is, pixels of the stamp (row, col), [2]
    covariance: FloatArray  #: of the place, from the noise, pixel², [2, 2]

    @property
    def snr(self) -> float:
        """Signal to noise of the flux."""
        return self.flux / self.flux_error


@dataclass(frozen=True, eq=False)
class SectorEvidence:
    """One sector's likelihood of the dip's position, and of each star as its host.

    Likelihoods are relative to "there is no dip" and dimensionless, so that flux units cancel. The frame's target is
    where the stamp shows it, the astrometric zero point included, so that the offset of the dip does not contain it
    (method: position; method: hosts).
    """

    sector: int  #: TESS sector
    n_transits: int  #: in the difference image
    n_in_transit: int  #: cadences
    cadence_s: float  #: seconds
    duration_hours: float  #: of the dip, by the ephemeris
    frame: SkyFrame  #: the stamp about the target
    dip: DipPosition
    maps: DipMaps
    hosts: HostEvidence
    artefact: float  #: log likelihood of an artefact that has no point source
    timing_price: float  #: log of what looking for the dip's time gave away
    table: TableDepth  #: how deep the neighbour table goes
    prf_source: str  #: spoc or empirical
    has_neighbours: bool  #: whether a neighbour table was given
    flags: tuple[str, ...]  #: what to know about this sector
    parts: tuple[PartDip, ...] = ()  #: odd, even and secondary, where they were seen
    shapes: DipShapes = field(default_factory=DipShapes)  #: what the dip says of its shape
    target_ra: float = math.nan  #: deg, ICRS, where the target was in this sector
    target_dec: float = math.nan  #: deg, ICRS

    @property
    def offset(self) -> FloatArray:
        """The dip minus the target, arcsec (east, north)."""
        return self.frame.offset(self.dip.place)

    @property
    def offset_covariance(self) -> FloatArray:
        """Covariance of `offset`, arcsec²: noise, zero point, PRF and WCS."""
        return self.frame.offset_covariance(self.dip.covariance + self.dip.systematic)

    @property
    def noise_scale(self) -> float:
        """What chi² is divided by where a point source explains the stamp worse than the noise allows."""
        rows, cols = self.frame.shape
        return noise_scale(self.dip.chi2_reduced, rows * cols - 3)

    @property
    def star_places(self) -> FloatArray:
        """Rows and columns of the hosts on the stamp, pixels, [2, star]."""
        places: FloatArray = self.frame.target[:, None] + self.frame.displacement(self.hosts.east, self.hosts.north)
        return places
