"""Celestial WCS of a stamp from the two places where a target pixel file keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from batchvet.errors import StampError
from batchvet.vocabulary import ErrorKind

if TYPE_CHECKING:
    from astropy.io.fits import Header

#: FITS keyword of a two-axis image: keyword of an image that is column {n} of a table (FITS 4.0, table 22).
_COLUMN_FORM = {
    "CTYPE1": "1CTYP{n}",
    "CTYPE2": "2CTYP{n}",
    "CRPIX1": "1CRPX{n}",
    "CRPIX2": "2CRPX{n}",
    "CRVAL1": "1CRVL{n}",
    "CRVAL2": "2CRVL{n}",
    "CUNIT1": "1CUNI{n}",
    "CUNIT2": "2CUNI{n}",
    "CDELT1": "1CDLT{n}",
    "CDELT2": "2CDLT{n}",
    "PC1_1": "11PC{n}",
    "PC1_2": "12PC{n}",
    "PC2_1": "21PC{n}",
    "PC2_2": "22PC{n}",
}
_OPTIONAL = ("RADESYS", "EQUINOX", "LONPOLE", "LATPOLE", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
_NEEDED = ("CTYPE1", "CTYPE2", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2")
MAX_DISAGREEMENT_PIXELS = 0.1


def from_flux_column(table: Header, column: int) -> dict[str, Any]:
    """WCS keywords of table column `column` (1-based); empty when any that is needed is missing."""
    found = {key: table[form.format(n=column)] for key, form in _COLUMN_FORM.items() if form.format(n=column) in table}
    return _complete(found)


def from_aperture(header: Header) -> dict[str, Any]:
    """WCS keywords of the aperture image; empty when any that is needed is missing."""
    return _complete({key: header[key] for key in (*_COLUMN_FORM, *_OPTIONAL) if key in header})


def agreed(column: Mapping[str, Any], aperture: Mapping[str, Any], shape: tuple[int, int], path: str) -> dict[str, Any]:
    """The complete one of the two; when both are, they must say the same.

    Raises
    ------
    StampError
        Kind ``wcs``: they put the stamp's corners more than 0.1 pixel apart.
    """
    if column and aperture:
        apart = _corner_distance(column, aperture, shape)
        if not apart <= MAX_DISAGREEMENT_PIXELS:
            raise StampError(
                f"{path}: the flux column's WCS and the aperture's differ by {apart:.2g} pixels; "
                "take the archive's file, not a cutout of it",
                kind=ErrorKind.WCS,
            )
    return dict(column or aperture)


def _complete(found: dict[str, Any]) -> dict[str, Any]:
    scale = {"CDELT1", "CDELT2"} <= found.keys() or {"CD1_1", "CD2_2"} <= found.keys()
    numbers = [found.get(key) for key in _NEEDED[2:]]
    if not scale or not set(_NEEDED) <= found.keys() or not all(isinstance(x, int | float) for x in numbers):
        return {}
    if not str(found["CTYPE1"]).startswith("RA--") or not np.all(np.isfinite(np.array(numbers, dtype=float))):
        return {}
    return found


def _corner_distance(first: Mapping[str, Any], second: Mapping[str, Any], shape: tuple[int, int]) -> float:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    rows, cols = shape
    corners = np.array([[0, 0], [cols - 1, 0], [0, rows - 1], [cols - 1, rows - 1]], dtype=float)
    one, other = (WCS(Header(dict(keywords)), naxis=2) for keywords in (first, second))
    back = other.wcs_world2pix(one.wcs_pix2world(corners, 0), 0)
    return float(np.max(np.abs(back - corners)))
