"""From pixels of a stamp to arcseconds east and north of the target, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from batchvet.arrays import FloatArray
from batchvet.pixels.stamp import Stamp

_STEP = 0.5  # pixels: half of the span over which the WCS is differenced


def stamp_places(stamp: Stamp, ra: ArrayLike, dec: ArrayLike) -> tuple[Any, Any]:
    """Rows and columns of sky positions (deg, ICRS, at the stamp's epoch): here a WCS's (x, y) is turned."""
    cols, rows = stamp.wcs.all_world2pix(ra, dec, 0)
    return rows, cols


def sky_positions(stamp: Stamp, rows: ArrayLike, cols: ArrayLike) -> tuple[Any, Any]:
    """Right ascension and declination (deg) of places on the stamp: the way back of `stamp_places`."""
    ra, dec = stamp.wcs.all_pix2world(cols, rows, 0)
    return ra, dec


@dataclass(frozen=True, eq=False)
class SkyFrame:
    """How the pixels of a stamp lie on the sky about the target, linear as its WCS is there.

    East is right ascension times cos(dec) and grows eastwards; north is declination.
    """

    shape: tuple[int, int]  #: of the stamp, rows and columns
    target: FloatArray  #: where the target is, (row, col), pixels
    sky_from_pixel: FloatArray  #: arcsec (east, north) for one pixel of (row, col), [2, 2]

    @classmethod
    def at(cls, stamp: Stamp, ra: float, dec: float) -> SkyFrame:
        """About a sky position (deg, ICRS, at the stamp's epoch).

        Notes
        -----
        Differences of the stamp's own WCS half a pixel to either side, so that whatever it contains is in.
        """
        row, col = (float(x) for x in stamp_places(stamp, ra, dec))
        rows = row + np.array([-_STEP, _STEP, 0.0, 0.0])
        cols = col + np.array([0.0, 0.0, -_STEP, _STEP])
        east, north = tangent_plane(*sky_positions(stamp, rows, cols), ra, dec)
        matrix = np.array([[x[1] - x[0], x[3] - x[2]] for x in (east, north)]) / (2.0 * _STEP)
        return cls(stamp.shape, np.array([row, col]), matrix)

    def shifted(self, drow: float, dcol: float) -> SkyFrame:
        """With the target that much farther on: the zero point of the stars over their WCS, pixels."""
        return replace(self, target=self.target + np.array([drow, dcol]))

    @property
    def pixel_area(self) -> float:
        """Of one pixel, arcsec²."""
        return float(abs(np.linalg.det(self.sky_from_pixel)))

    @property
    def reach(self) -> float:
        """East or north, how far a stamp with the target in its middle goes and a pixel more, arcsec."""
        return float(np.abs(self.sky_from_pixel).sum(axis=1).max() * (max(self.shape) / 2 + 1))

    def offset(self, place: FloatArray) -> FloatArray:
        """Arcsec (east, north) of the target of a place (row, col) on the stamp."""
        offset: FloatArray = self.sky_from_pixel @ (place - self.target)
        return offset

    def displacement(self, east: ArrayLike, north: ArrayLike) -> FloatArray:
        """Pixels (row, col), [2, ...], for offsets on the sky, arcsec, each [...]."""
        return np.linalg.solve(self.sky_from_pixel, np.stack([np.asarray(east), np.asarray(north)]))

    def offset_covariance(self, covariance: FloatArray) -> FloatArray:
        """Covariance of (row, col), pixel², as that of (east, north), arcsec²."""
        turned: FloatArray = self.sky_from_pixel @ covariance @ self.sky_from_pixel.T
        return turned


def tangent_plane(ra: ArrayLike, dec: ArrayLike, ra0: float, dec0: float) -> tuple[FloatArray, FloatArray]:
    """Gnomonic projection: east and north (arcsec) of positions (deg) about (ra0, dec0) (deg)."""
    ra, dec = np.radians(ra) - np.radians(ra0), np.radians(dec)
    dec0 = np.radians(dec0)
    depth = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra)
    east = np.cos(dec) * np.sin(ra) / depth
    north = (np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra)) / depth
    return np.degrees(east) * 3600.0, np.degrees(north) * 3600.0


def from_tangent_plane(east: ArrayLike, north: ArrayLike, ra0: float, dec0: float) -> tuple[FloatArray, FloatArray]:
    """Right ascensions and declinations (deg) at offsets (arcsec) in the tangent plane of (ra0, dec0) (deg)."""
    xi, eta = np.radians(np.array([east, north]) / 3600.0)
    dec0 = np.radians(dec0)
    below = np.cos(dec0) - eta * np.sin(dec0)
    ra = np.radians(ra0) + np.arctan2(xi, below)
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, below))
    return np.degrees(ra) % 360.0, np.degrees(dec)
