"""A simulated target: its stars, its dips, and where the detector sees them in each sector."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from batchvet.arrays import BoolArray, FloatArray
from batchvet.catalog.candidate import Candidate, Neighbour, julian_year
from batchvet.simulate.intruders import Asteroid, Flare
from batchvet.simulate.prf import TabulatedPrf, callable_table, family_table, spoc_table
from batchvet.simulate.settings import PrfFunction, SimulationSettings
from batchvet.simulate.sky import TangentPlane, moved, offsets
from batchvet.simulate.timeline import Timeline, observed_span, timeline
from batchvet.simulate.transit import Dip

ZERO_POINT = 20.44  #: Tmag of 1 e-/s (TESS Instrument Handbook, section 6.1)
STAR_EPOCH = 2016.0  #: Julian year of the simulated stars' positions


@dataclass(frozen=True, eq=False)
class Stars:
    """The stars of a scene, the target first; arrays are [star]."""

    source_id: NDArray[np.int64]
    ra: FloatArray  #: deg, at STAR_EPOCH
    dec: FloatArray  #: deg, at STAR_EPOCH
    pmra: FloatArray  #: mas/yr, includes cos(dec)
    pmdec: FloatArray  #: mas/yr
    tmag: FloatArray  #: TESS magnitude
    known: BoolArray  #: whether the neighbour table has it
    amplitude: FloatArray  #: of a sinusoidal variation, fraction of the flux
    period: FloatArray  #: of that variation, days
    phase: FloatArray  #: of that variation, rad

    def __len__(self) -> int:
        return len(self.ra)

    @property
    def flux(self) -> FloatArray:
        """Mean flux, e-/s."""
        return 10 ** (-0.4 * (self.tmag - ZERO_POINT))

    def at(self, epoch: float) -> tuple[FloatArray, FloatArray]:
        """Positions (deg) at a Julian year."""
        return moved(self.ra, self.dec, self.pmra, self.pmdec, epoch - STAR_EPOCH)


@dataclass(frozen=True)
class Pointing:
    """Where one sector's detector sees a scene."""

    sector: int
    camera: int
    ccd: int
    column: int  #: CCD column of pixel [0, 0]
    row: int  #: CCD row of pixel [0, 0]
    plane: TangentPlane  #: what the file's WCS says
    wcs_error: tuple[float, float]  #: pixels, true minus WCS position, (column, row)
    zodiacal: float  #: e-/s per pixel
    scattered: tuple[float, float, float]  #: e-/s per pixel at an orbit's start; its slopes per column and row
    prf: str | PrfFunction  #: the family
    cadence_s: float  #: of the file
    pos_corr_error: float  #: pixels, 1 sigma of POS_CORR about the true motion, in this file's cadences


@dataclass(frozen=True, eq=False)
class Scene:
    """One target with everything that its files and its truth follow from."""

    settings: SimulationSettings
    index: int  #: number of the target in the simulation
    tic: int
    kind: str  #: one of KINDS
    shape: tuple[int, int]  #: rows and columns of the stamps
    stars: Stars
    dips: tuple[Dip, ...]
    pointings: dict[int, Pointing]  #: by sector
    candidates: tuple[Candidate, ...]  #: what the catalogue says, one for each dip
    snr: dict[tuple[str, int], float] = field(repr=False)  #: expected, by candidate and sector
    flares: tuple[Flare, ...] = ()
    asteroids: tuple[Asteroid, ...] = ()

    @property
    def sectors(self) -> tuple[int, ...]:
        return tuple(self.pointings)

    def in_table(self, star: int) -> bool:
        """Whether a neighbour table lists a star; the target is in none where there is none."""
        return self.settings.neighbour_table and bool(self.stars.known[star])

    def neighbours(self) -> tuple[Neighbour, ...]:
        """What the neighbour table says, where there is one: the target and the known stars, at the table's epoch.

        A table that does not know how the target moves has it at the right place at that epoch.
        """
        epoch = self.settings.neighbour_epoch
        ra, dec = self.stars.at(epoch)
        s = self.stars
        motion = np.stack([s.pmra, s.pmdec])
        motion[:, 0] = np.nan_to_num(stated_motion(self.settings, s, "table"))
        return tuple(
            Neighbour(
                str(s.source_id[i]),
                float(ra[i]),
                float(dec[i]),
                float(s.tmag[i]),
                float(motion[0, i]),
                float(motion[1, i]),
                epoch,
            )
            for i in np.flatnonzero(s.known)
        )

    def joint_snr(self, toi: str) -> float:
        """Expected SNR of a candidate, all sectors together."""
        return float(np.sqrt(sum(snr**2 for (name, _), snr in self.snr.items() if name == toi)))

    def offset_arcsec(self, star: int, sector: int | None = None) -> tuple[float, float]:
        """East and north of a star from the target in the middle of a sector, the first one if not told."""
        ra, dec = self.stars.at(mid_epoch(self.sectors[0] if sector is None else sector))
        east, north = offsets(ra[star], dec[star], ra[0], dec[0])
        return float(east), float(north)

    def timeline(self, sector: int) -> Timeline:
        """Cadences of a sector."""
        return pointing_timeline(self.settings, self.pointings[sector])

    def positions(self, sector: int) -> tuple[FloatArray, FloatArray]:
        """True stamp column and row of every star in mid-sector, at the mean pointing, 0-based."""
        return star_positions(self.stars, self.pointings[sector])

    def prf(self, sector: int) -> TabulatedPrf:
        """The PRF at the target in a sector."""
        return pointing_prf(self.settings, self.pointings[sector], self.shape)


def stated_motion(settings: SimulationSettings, stars: Stars, source: str) -> tuple[float, float]:
    """Proper motion of the target (mas/yr, east and north) that one of MOTION_SOURCES states; NaN if it knows none."""
    if source not in settings.motion_known_by:
        return math.nan, math.nan
    return float(stars.pmra[0]), float(stars.pmdec[0])


def pointing_timeline(settings: SimulationSettings, pointing: Pointing) -> Timeline:
    """Cadences of a sector at the cadence of one file."""
    return timeline(settings.seed, pointing.sector, pointing.cadence_s, settings.flags, settings.pointing)


def mid_epoch(sector: int) -> float:
    """Julian year of the middle of a sector."""
    (start, _), (_, stop) = observed_span(sector)
    return julian_year((start + stop) / 2)


def star_positions(stars: Stars, pointing: Pointing) -> tuple[FloatArray, FloatArray]:
    """True stamp column and row (0-based) of stars in mid-sector."""
    column, row = pointing.plane.pixels(*stars.at(mid_epoch(pointing.sector)))
    return column + pointing.wcs_error[0], row + pointing.wcs_error[1]


def pointing_prf(settings: SimulationSettings, pointing: Pointing, shape: tuple[int, int]) -> TabulatedPrf:
    """The PRF at the middle of a stamp."""
    column, row = pointing.column + (shape[1] - 1) / 2, pointing.row + (shape[0] - 1) / 2
    camera, ccd = pointing.camera, pointing.ccd
    if settings.prf_directory is not None:
        return spoc_table(settings.prf_directory, pointing.sector, camera, ccd, column, row)
    if callable(pointing.prf):
        return callable_table(pointing.prf, column, row)
    return family_table(pointing.prf, camera, ccd, column, row)
