"""Target pixel files to stamps: SPOC, TESS-SPOC and TESScut layouts, without lightkurve."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batchvet.arrays import Float32Array, FloatArray, IntegerArray
from batchvet.errors import StampError
from batchvet.pixels import wcs_keywords
from batchvet.pixels.fits_file import checked_identity, open_fits, read_bytes, understood, unpack
from batchvet.pixels.series import by_pixel
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.times import check_times
from batchvet.vocabulary import ErrorKind, Flag

if TYPE_CHECKING:
    from astropy.io import fits

BTJD_ZERO = 2457000.0  #: BJD of BTJD 0
_BLOCK = 256  #: cadences that are turned at a time: they stay in the processor's cache


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
    with understood(path), hdus:
        flags = () if checksums_match else (Flag.CHECKSUM_MISMATCH,)
        return stamp_of_hdus(hdus, path, content=content, sha256=sha256, flags=flags)


def stamp_of_hdus(
    hdus: fits.HDUList, path: str | Path, *, content: bytes | None = None, sha256: str = "", flags: tuple[str, ...] = ()
) -> Stamp:
    """The stamp of an open target pixel file, all its cadences. Raises as :func:`read_tpf`.

    Parameters
    ----------
    hdus : HDUList
    path : path, for messages
    content : bytes of the file that `hdus` was opened from, unpacked, if it was
    sha256 : of the file as it is on disk
    flags : what is known of it already
    """
    primary = hdus[0].header
    tic, sector = _target_and_sector(path, primary)
    hdu = _pixel_table(hdus, path)
    table, header = _Table.of(hdu, content), hdu.header
    flux_column = hdu.columns.names.index("FLUX") + 1
    flux = _cube(table, "FLUX", path)
    if not any(np.isfinite(pixel).any() for pixel in by_pixel(flux).reshape(-1, len(flux))):
        raise StampError(f"{path}: no pixel has a finite flux in any cadence", kind=ErrorKind.NO_PIXELS)
    n_cadences, rows, cols = flux.shape
    time = _time(table, path)
    aperture_header, aperture = _aperture(hdus, (rows, cols), path)
    if _includes_background(primary, header):
        flags += (Flag.BACKGROUND_INCLUDED,)
    return Stamp(
        tic=tic,
        sector=sector,
        camera=int(primary.get("CAMERA") or 0),
        ccd=int(primary.get("CCD") or 0),
        cadence_s=cadence_seconds(time, header),
        time=time,
        flux=flux,
        flux_err=_cube(table, "FLUX_ERR", path) if "FLUX_ERR" in table else None,
        quality=_column(table, "QUALITY", np.int32, n_cadences, default=0),
        cadenceno=_column(table, "CADENCENO", np.int32, n_cadences, default=None),
        pos_corr=_pos_corr(table),
        aperture=aperture,
        wcs_header=_agreed_wcs(header, aperture_header, flux_column, (rows, cols), path),
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


def _target_and_sector(path: str | Path, primary: fits.Header) -> tuple[int, int]:
    """TIC number, 0 where the file knows none, and sector."""
    mission = " ".join(str(primary.get(name, "")) for name in ("TELESCOP", "MISSION"))
    if re.search("kepler|k2", mission, re.IGNORECASE):
        raise StampError(f"{path}: a file of {mission.strip()}, not of TESS", kind=ErrorKind.LAYOUT)
    identity = checked_identity(path, primary)
    if identity.sector is None:
        raise StampError(f"{path}: neither header nor name gives a sector", kind=ErrorKind.LAYOUT)
    return identity.tic or 0, identity.sector


def _agreed_wcs(
    table: fits.Header, aperture: fits.Header, flux_column: int, shape: tuple[int, int], path: str | Path
) -> dict[str, Any]:
    of_flux = wcs_keywords.from_flux_column(table, flux_column)
    return wcs_keywords.agreed(of_flux, wcs_keywords.from_aperture(aperture), shape, str(path))


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
    from astropy.io import fits

    for hdu in hdus:
        if isinstance(hdu, fits.BinTableHDU) and {"TIME", "FLUX"} <= set(hdu.columns.names):
            if hdu.header["NAXIS2"] == 0:
                raise StampError(f"{path}: its pixel table has no cadence; fetch it again", kind=ErrorKind.NO_CADENCES)
            return hdu
    raise StampError(f"{path}: no table with TIME and FLUX, so not a target pixel file", kind=ErrorKind.LAYOUT)


@dataclass(frozen=True)
class _Table:
    """The pixel table, and its rows as they lie in the file: astropy would copy all of them, several times."""

    hdu: fits.BinTableHDU
    rows: NDArray[Any]

    @classmethod
    def of(cls, hdu: fits.BinTableHDU, content: bytes | None) -> _Table:
        """Out of the file's bytes; None: the HDU is open in memory, and may have been changed there."""
        dtype = hdu.columns.dtype.newbyteorder(">")
        if content is None or dtype.itemsize != hdu.header["NAXIS1"]:
            return cls(hdu, hdu.data.view(np.ndarray))
        return cls(hdu, np.ndarray(hdu.header["NAXIS2"], dtype, content, hdu.fileinfo()["datLoc"]))

    def __contains__(self, name: str) -> bool:
        return name in self.hdu.columns.names

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column; by astropy's way where its values are scaled."""
        column = self.hdu.columns[name]
        if any(getattr(column, how) not in (None, "") for how in ("bscale", "bzero")):
            return np.asarray(self.hdu.data[name])
        return self.rows[name]


def _cube(table: _Table, name: str, path: str | Path) -> Float32Array:
    cube = table[name]
    if cube.ndim != 3 or 0 in cube.shape:
        raise StampError(f"{path}: {name} is not an image per cadence (shape {cube.shape})", kind=ErrorKind.LAYOUT)
    series = np.empty((*cube.shape[1:], len(cube)), dtype=np.float32)  # as the checks and the cache want it
    for start in range(0, len(cube), _BLOCK):
        series[:, :, start : start + _BLOCK] = cube[start : start + _BLOCK].astype(np.float32).transpose(1, 2, 0)
    return series.transpose(2, 0, 1)


def _time(table: _Table, path: str | Path) -> FloatArray:
    """BTJD, whatever reference the file states; zero, as some early files have it, means no time."""
    time = np.array(table["TIME"], dtype=np.float64)
    reference = _number(table.hdu.header.get("BJDREFI")) + (_number(table.hdu.header.get("BJDREFF")) or 0.0)
    time[time == 0] = np.nan
    if math.isfinite(reference) and reference != BTJD_ZERO:
        time += reference - BTJD_ZERO
    check_times(time, str(path))
    return time


def _column(table: _Table, name: str, dtype: type, n_cadences: int, *, default: int | None) -> NDArray[Any]:
    if name in table:
        return np.ascontiguousarray(table[name], dtype=dtype)
    return np.arange(n_cadences, dtype=dtype) if default is None else np.full(n_cadences, default, dtype=dtype)


def _pos_corr(table: _Table) -> Float32Array | None:
    """POS_CORR1 (column) and POS_CORR2 (row), pixels; None when absent or without a single value."""
    if "POS_CORR1" not in table or "POS_CORR2" not in table:
        return None
    pos_corr = np.stack([table["POS_CORR1"], table["POS_CORR2"]], axis=1).astype(np.float32)
    return pos_corr if np.any(np.isfinite(pos_corr) & (pos_corr != 0)) else None


def _aperture(hdus: fits.HDUList, shape: tuple[int, int], path: str | Path) -> tuple[fits.Header, IntegerArray]:
    for hdu in hdus[1:]:
        if hdu.name == "APERTURE" and hdu.data is not None:
            if hdu.data.shape != shape:
                raise StampError(
                    f"{path}: aperture {hdu.data.shape} on pixels {shape}; replace the file", kind=ErrorKind.LAYOUT
                )
            return hdu.header, np.ascontiguousarray(hdu.data, dtype=np.int32)
    from astropy.io import fits

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
