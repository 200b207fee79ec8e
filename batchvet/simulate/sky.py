"""Tangent-plane geometry and proper motion of many stars; on its own, so that it can catch the analysis out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from batchvet.arrays import FloatArray

ARCSEC = 1.0 / 3600.0  #: deg


@dataclass(frozen=True)
class TangentPlane:
    """Gnomonic projection of a stamp; columns and rows are 0-based, an integer is the centre of a pixel."""

    ra: float  #: deg, of the reference point
    dec: float  #: deg
    column: float  #: stamp column of the reference point
    row: float  #: stamp row of the reference point
    scale_arcsec: float  #: of a pixel
    angle_deg: float  #: from east to the direction of growing columns, counter-clockwise with north up

    def pixels(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Column and row of sky positions (deg)."""
        east, north = offsets(ra, dec, self.ra, self.dec)
        cos, sin = self._rotation()
        x = (cos * east + sin * north) / self.scale_arcsec
        y = (cos * north - sin * east) / self.scale_arcsec
        return self.column + x, self.row + y

    def header(self) -> dict[str, Any]:
        """The WCS keywords of SPOC's files; the parity is TESS's: east, north turn as column, row do."""
        cos, sin = self._rotation()
        scale = self.scale_arcsec * ARCSEC
        return {
            "WCSAXES": 2,
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CRPIX1": self.column + 1.0,
            "CRPIX2": self.row + 1.0,
            "CRVAL1": self.ra,
            "CRVAL2": self.dec,
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CDELT1": -scale,
            "CDELT2": scale,
            "PC1_1": -cos,
            "PC1_2": sin,
            "PC2_1": sin,
            "PC2_2": cos,
            "RADESYS": "ICRS",
        }

    def _rotation(self) -> tuple[float, float]:
        angle = np.deg2rad(self.angle_deg)
        return float(np.cos(angle)), float(np.sin(angle))


def offsets(ra: FloatArray, dec: FloatArray, ra0: float, dec0: float) -> tuple[FloatArray, FloatArray]:
    """Gnomonic offsets east and north (arcsec) of sky positions (deg) from a point."""
    d_ra, dec, dec0 = np.deg2rad(np.asarray(ra) - ra0), np.deg2rad(dec), np.deg2rad(dec0)
    depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(d_ra)
    east = np.cos(dec) * np.sin(d_ra) / depth
    north = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(d_ra)) / depth
    return np.rad2deg(east) / ARCSEC, np.rad2deg(north) / ARCSEC


def at_offset(east: FloatArray, north: FloatArray, ra0: float, dec0: float) -> tuple[FloatArray, FloatArray]:
    """Sky positions (deg) at gnomonic offsets (arcsec) from a point; the inverse of :func:`offsets`."""
    x, y = np.deg2rad(np.asarray(east) * ARCSEC), np.deg2rad(np.asarray(north) * ARCSEC)
    sin0, cos0 = np.sin(np.deg2rad(dec0)), np.cos(np.deg2rad(dec0))
    ra = ra0 + np.rad2deg(np.arctan2(x, cos0 - y * sin0))
    dec = np.arctan2(sin0 + y * cos0, np.hypot(x, cos0 - y * sin0))
    return ra % 360.0, np.rad2deg(dec)


def moved(
    ra: FloatArray, dec: FloatArray, pmra: FloatArray, pmdec: FloatArray, years: float
) -> tuple[FloatArray, FloatArray]:
    """Positions (deg) after some years of proper motion (mas/yr, pmra with cos(dec))."""
    mas = ARCSEC / 1000.0
    ra_moved = ra + pmra * years * mas / np.cos(np.deg2rad(dec))
    return ra_moved % 360.0, dec + pmdec * years * mas
