"""From pixels of a stamp to arcseconds east and north, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.pixels.stamp import Stamp

FloatArray = NDArray[np.float64]

_STEP = 0.5  # pixels: half of the span over which the WCS is differenced


@dataclass(frozen=True, eq=False)
class LocalSky:
    """The tangent plane at one place of a stamp, linear there.

    East is right ascension times cos(dec) and grows eastwards; north is declination; both in arcsec.
    """

    row: float  #: stamp row of the place
    col: float  #: stamp column of the place
    ra: float  #: deg, of the place
    dec: float  #: deg, of the place
    to_sky: FloatArray  #: [[d east/d row, d east/d col], [d north/d row, d north/d col]], arcsec per pixel

    @classmethod
    def at(cls, stamp: Stamp, ra: float, dec: float) -> LocalSky:
        """At a sky position (deg, ICRS, at the stamp's epoch).

        Notes
        -----
        Differences of the stamp's own WCS half a pixel to either side, so that whatever it contains is in.
        """
        col, row = (float(x) for x in stamp.wcs.all_world2pix(ra, dec, 0))
        rows = row + np.array([-_STEP, _STEP, 0.0, 0.0])
        cols = col + np.array([0.0, 0.0, -_STEP, _STEP])
        east, north = tangent_plane(*stamp.wcs.all_pix2world(cols, rows, 0), ra, dec)
        matrix = np.array([[x[1] - x[0], x[3] - x[2]] for x in (east, north)]) / (2.0 * _STEP)
        return cls(row, col, ra, dec, matrix)

    def offset_arcsec(self, drow: float, dcol: float) -> tuple[float, float]:
        """East and north (arcsec) of a displacement in pixels."""
        east, north = self.to_sky @ (drow, dcol)
        return float(east), float(north)

    def offset_pixels(self, east: float, north: float) -> tuple[float, float]:
        """Rows and columns of a displacement in arcsec."""
        drow, dcol = np.linalg.solve(self.to_sky, (east, north))
        return float(drow), float(dcol)

    def covariance_arcsec(self, covariance: FloatArray) -> FloatArray:
        """Covariance of (row, col), pixel², as that of (east, north), arcsec²."""
        return self.to_sky @ covariance @ self.to_sky.T

    def position(self, east: float, north: float) -> tuple[float, float]:
        """Right ascension and declination (deg) at that offset (arcsec) in the tangent plane."""
        xi, eta = np.radians(np.array([east, north]) / 3600.0)
        dec0 = np.radians(self.dec)
        below = np.cos(dec0) - eta * np.sin(dec0)
        ra = np.radians(self.ra) + np.arctan2(xi, below)
        dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, below))
        return float(np.degrees(ra) % 360.0), float(np.degrees(dec))


def tangent_plane(ra: FloatArray, dec: FloatArray, ra0: float, dec0: float) -> tuple[FloatArray, FloatArray]:
    """Gnomonic projection: east and north (arcsec) of positions (deg) about (ra0, dec0) (deg)."""
    ra, dec = np.radians(ra) - np.radians(ra0), np.radians(dec)
    dec0 = np.radians(dec0)
    depth = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra)
    east = np.cos(dec) * np.sin(ra) / depth
    north = (np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra)) / depth
    return np.degrees(east) * 3600.0, np.degrees(north) * 3600.0
