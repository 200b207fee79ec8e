"""Target pixel files to stamps: SPOC, TESS-SPOC and TESScut layouts, without lightkurve."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from batchvet.arrays import Float32Array, FloatArray, IntegerArray
from batchvet.errors import StampError
from batchvet.pixels import wcs_keywords
from batchvet.pixels.fits_file import checked_identity, open_fits, read_bytes, unpack
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.times import check_times
from batchvet.vocabulary import ErrorKind, Flag

BTJD_ZERO = 2457000.0  #: BJD of BTJD 0


def read_tpf(path: str | Path) -> Stamp:
    """Read a target pixel file whole.

    Parameters
    ----------
    path : path
        ``.fits`` or ``.fits.gz``.

    Returns
    -------
    Stamp
        All cadences, flagged ones too; ``tic`` is 0 for a TESScut file, which knows a position only.

    Raises
    ------
    StampError
        The message names the file; ``kind`` is ``unreadable``, ``empty``, ``truncated``, ``corrupt``, ``not_fits``,
        ``layout``, ``identity``, ``wcs``, ``no_cadences`` or ``no_pixels``.

    Notes
    -----
    TESS Science Data Products Description Document (EXP-TESS-ARC-ICD-0014), section 5.
    """
    content, sha256 = read_bytes(path)
    return _stamp(content, sha256, path)


def read_tpf_bytes(packed: bytes, name: str) -> Stamp:
    """As :func:`read_tpf`, of a file's bytes; `name` is where they come from, and says whose pixels they should be."""
    return _stamp(unpack(packed, name), hashlib.sha256(packed).hexdigest(), name)


def _stamp(content: bytes, sha256: str, path: str | Path) -> Stamp:
    hdus, checksums_match = open_fits(content, path)
    with hdus:
        flags = () if checksums_match else (Flag.CHECKSUM_MISMATCH,)
        return stamp_of_hdus(hdus, path, sha256=sha256, flags=flags)


def stamp_of_hdus(hdus: fits.HDUList, path: str | Path, *, sha256: str = "", flags: tuple[str, ...] = ()) -> Stamp:
    """The stamp of an open target pixel file, all its cadences. Raises as :func:`read_tpf`."""
    primary = hdus[0].header
    identity = checked_identity(path, primary)
    mission = " ".join(str(primary.get(name, "")) for name in ("TELESCOP", "MISSION"))
    if re.search("kepler|k2", mission, re.IGNORECASE):
        raise StampError(f"{path}: a file of {mission.strip()}, not of TESS", kind=ErrorKind.LAYOUT)
    if identity.sector is None:
        raise StampError(f"{path}: neither header nor name gives a sector", kind=ErrorKind.LAYOUT)
    table = _pixel_table(hdus, path)
    flux_column = table.columns.names.index("FLUX") + 1
    flux = _cube(table, "FLUX", path)
    if not np.isfinite(flux).any():
        raise StampError(f"{path}: no pixel has a finite flux in any cadence", kind=ErrorKind.NO_PIXELS)
    n_cadences, rows, cols = flux.shape
    time = _time(table)
    check_times(time, str(path))
    aperture_header, aperture = _aperture(hdus, (rows, cols), path)
    wcs_header = wcs_keywords.agreed(
        wcs_keywords.from_flux_column(table.header, flux_column),
        wcs_keywords.from_aperture(aperture_header),
        (rows, cols),
        str(path),
    )
    header = table.header
    if _includes_background(primary, header):
        flags += (Flag.BACKGROUND_INCLUDED,)
    return Stamp(
        tic=identity.tic or 0,
        sector=identity.sector,
        camera=int(primary.get("CAMERA") or 0),
        ccd=int(primary.get("CCD") or 0),
        cadence_s=cadence_seconds(time, header),
        time=time,
        flux=flux,
        flux_err=_cube(table, "FLUX_ERR", path) if "FLUX_ERR" in table.columns.names else None,
        quality=_column(table, "QUALITY", np.int32, n_cadences, default=0),
        cadenceno=_column(table, "CADENCENO", np.int32, n_cadences, default=None),
        pos_corr=_pos_corr(table),
        aperture=aperture,
        wcs_header=wcs_header,
        column=_corner(header, aperture_header, flux_column, 1),
        row=_corner(header, aperture_header, flux_column, 2),
        ra=_number(primary.get("RA_OBJ")),
        dec=_number(primary.get("DEC_OBJ")),
        pmra=_number(primary.get("PMRA")),
        pmdec=_number(primary.get("PMDEC")),
        tmag=_number(primary.get("TESSMAG")),
        source=str(path),
        sha256=sha256,
        flags=flags,
    )


def cadence_seconds(time: FloatArray, header: fits.Header) -> float:
    """Cadence length (s) from the times themselves; from TIMEDEL when there are too few.

    Headers are not always right (binned or cut files keep the original's), times are.
    """
    finite = time[np.isfinite(time) & (time != 0)]
    seconds = float(np.median(np.diff(finite))) * 86400.0 if finite.size > 1 else math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        seconds = _number(header.get("TIMEDEL")) * 86400.0
    if not (math.isfinite(seconds) and seconds > 0):
        return 120.0
    tens = round(seconds, -1)
    return tens if tens > 0 and abs(seconds - tens) < 0.005 * tens else float(round(seconds)) or seconds


def _pixel_table(hdus: fits.HDUList, path: str | Path) -> fits.BinTableHDU:
    for hdu in hdus:
        if isinstance(hdu, fits.BinTableHDU) and {"TIME", "FLUX"} <= set(hdu.columns.names):
            if len(hdu.data) == 0:
                raise StampError(f"{path}: its pixel table has no cadence; fetch it again", kind=ErrorKind.NO_CADENCES)
            return hdu
    raise StampError(f"{path}: no table with TIME and FLUX, so not a target pixel file", kind=ErrorKind.LAYOUT)


def _cube(table: fits.BinTableHDU, name: str, path: str | Path) -> Float32Array:
    cube = np.ascontiguousarray(table.data[name], dtype=np.float32)
    if cube.ndim != 3 or 0 in cube.shape:
        raise StampError(f"{path}: {name} is not an image per cadence (shape {cube.shape})", kind=ErrorKind.LAYOUT)
    return cube


def _time(table: fits.BinTableHDU) -> FloatArray:
    """BTJD, whatever reference the file states; zero, as some early files have it, means no time."""
    time = np.array(table.data["TIME"], dtype=np.float64)
    reference = _number(table.header.get("BJDREFI")) + (_number(table.header.get("BJDREFF")) or 0.0)
    time[time == 0] = np.nan
    return time + (reference - BTJD_ZERO) if math.isfinite(reference) and reference != BTJD_ZERO else time


def _column(table: fits.BinTableHDU, name: str, dtype: type, n_cadences: int, *, default: int | None) -> NDArray[Any]:
    if name in table.columns.names:
        return np.ascontiguousarray(table.data[name], dtype=dtype)
    return np.arange(n_cadences, dtype=dtype) if default is None else np.full(n_cadences, default, dtype=dtype)


def _pos_corr(table: fits.BinTableHDU) -> Float32Array | None:
    """POS_CORR1 (column) and POS_CORR2 (row), pixels; None when absent or without a single value."""
    if not {"POS_CORR1", "POS_CORR2"} <= set(table.columns.names):
        return None
    pos_corr = np.stack([table.data["POS_CORR1"], table.data["POS_CORR2"]], axis=1).astype(np.float32)
    return pos_corr if np.any(np.isfinite(pos_corr) & (pos_corr != 0)) else None


def _aperture(hdus: fits.HDUList, shape: tuple[int, int], path: str | Path) -> tuple[fits.Header, IntegerArray]:
    for hdu in hdus[1:]:
        if hdu.name == "APERTURE" and hdu.data is not None:
            if hdu.data.shape != shape:
                raise StampError(
                    f"{path}: aperture {hdu.data.shape} on pixels {shape}; replace the file", kind=ErrorKind.LAYOUT
                )
            return hdu.header, np.ascontiguousarray(hdu.data, dtype=np.int32)
    return fits.Header(), np.zeros(shape, dtype=np.int32)


def _corner(table: fits.Header, aperture: fits.Header, flux_column: int, axis: int) -> int:
    """CCD column (axis 1) or row (axis 2) of the first pixel, from either physical WCS."""
    for header, value, pixel in (
        (table, f"{axis}CRV{flux_column}P", f"{axis}CRP{flux_column}P"),
        (aperture, f"CRVAL{axis}P", f"CRPIX{axis}P"),
    ):
        at = _number(header.get(value))
        if math.isfinite(at):
            reference = _number(header.get(pixel))
            return round(at - ((reference if math.isfinite(reference) else 1.0) - 1.0))
    return 0


def _includes_background(primary: fits.Header, table: fits.Header) -> bool:
    """TESScut cuts full-frame images as they are; the SPOC products have the sky taken off (BACKAPP)."""
    return table.get("BACKAPP") is False or "astrocut" in str(primary.get("CREATOR", "")).lower()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
