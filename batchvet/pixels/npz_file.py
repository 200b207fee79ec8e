"""Stamps from NumPy's ``.npz`` files: pixels that were cut, cleaned or made without FITS."""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from batchvet.errors import StampError
from batchvet.pixels import wcs_keywords
from batchvet.pixels.stamp import MOST_BYTES, Stamp
from batchvet.pixels.times import check_times
from batchvet.pixels.tpf import cadence_seconds
from batchvet.vocabulary import ErrorKind

_NEEDED = ("time", "flux", "sector")
_NUMBERS = ("ra", "dec", "pmra", "pmdec", "tmag")
_WHOLE_NUMBERS = ("tic", "camera", "ccd", "column", "row")


def read_npz(path: str | Path) -> Stamp:
    """Read a stamp from the arrays of a ``.npz`` file.

    Parameters
    ----------
    path : path
        With ``time`` (BTJD, [cadence]), ``flux`` (e-/s, [cadence, row, col]) and ``sector``; optionally ``tic``,
        ``flux_err``, ``quality``, ``cadenceno``, ``pos_corr``, ``aperture`` (or ``aperture_mask``), ``camera``,
        ``ccd``, ``column``, ``row``, ``ra``, ``dec``, ``pmra``, ``pmdec``, ``tmag``, and ``wcs_header``: the text of
        a FITS header, or its keywords as JSON.

    Raises
    ------
    StampError
        It lacks something, or has a pickled object in it, which is not read: that would run code of whoever wrote it.
    """
    try:
        packed = Path(path).read_bytes()
        with np.load(io.BytesIO(packed), allow_pickle=False) as file:
            if sum(member.file_size for member in file.zip.infolist()) > MOST_BYTES:
                raise StampError(f"{path}: unpacks to more than {MOST_BYTES / 1e9:g} GB, which no stamp does")
            arrays = {name: _array(file, name, path) for name in file.files}
    except OSError as error:
        raise StampError(f"{path}: cannot be read ({error.strerror or error})", kind=ErrorKind.UNREADABLE) from error
    except (zipfile.BadZipFile, AttributeError, EOFError, ValueError) as error:
        if isinstance(error, StampError):
            raise
        raise StampError(f"{path}: not a .npz file that can be read; write it with numpy.savez") from error
    lacking = [name for name in _NEEDED if name not in arrays]
    if lacking:
        raise StampError(f"{path}: there is no {', no '.join(lacking)} in it", kind=ErrorKind.LAYOUT)
    return _stamp(arrays, path, hashlib.sha256(packed).hexdigest())


def _array(file: Any, name: str, path: str | Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = file[name]
    except ValueError as error:  # numpy's word for a pickled object
        raise StampError(
            f"{path}: {name} is a pickled object, which is not read; save it as an array, a header as text: "
            "json.dumps(dict(header))",
            kind=ErrorKind.LAYOUT,
        ) from error
    return array


def _stamp(arrays: dict[str, NDArray[Any]], path: str | Path, sha256: str) -> Stamp:
    time = np.asarray(arrays["time"], dtype=np.float64)
    flux = np.ascontiguousarray(arrays["flux"], dtype=np.float32)
    n = len(time) if time.ndim == 1 else 0
    if flux.ndim != 3 or len(flux) != n or 0 in flux.shape:
        raise StampError(
            f"{path}: time {time.shape} and flux {flux.shape} are not a series of images [cadence, row, col]",
            kind=ErrorKind.LAYOUT,
        )
    if not np.isfinite(flux).any():
        raise StampError(f"{path}: no pixel has a finite flux in any cadence", kind=ErrorKind.NO_PIXELS)

    def of_shape(name: str, dtype: type, shape: tuple[int, ...]) -> NDArray[Any] | None:
        if name not in arrays:
            return None
        if arrays[name].shape != shape:
            found = arrays[name].shape
            raise StampError(f"{path}: {name} has the shape {found}, not {shape}", kind=ErrorKind.LAYOUT)
        return np.ascontiguousarray(arrays[name], dtype=dtype)

    image = flux.shape[1:]
    aperture = of_shape("aperture", np.int32, image)
    mask = of_shape("aperture_mask", np.bool_, image)
    cadenceno, quality = of_shape("cadenceno", np.int32, (n,)), of_shape("quality", np.int32, (n,))
    if aperture is None:
        aperture = np.zeros(image, np.int32) if mask is None else np.where(mask, 3, 1).astype(np.int32)
    time[time == 0] = np.nan
    check_times(time, str(path))
    numbers: dict[str, Any] = {name: int(_number(arrays, name, path, 0)) for name in _WHOLE_NUMBERS}
    numbers |= {name: _number(arrays, name, path, math.nan) for name in _NUMBERS}
    return Stamp(
        sector=int(_number(arrays, "sector", path, 0)),
        cadence_s=cadence_seconds(time, fits.Header()),
        time=time,
        flux=flux,
        quality=np.zeros(n, np.int32) if quality is None else quality,
        cadenceno=np.arange(n, dtype=np.int32) if cadenceno is None else cadenceno,
        aperture=aperture,
        wcs_header=_wcs(arrays.get("wcs_header"), path),
        flux_err=of_shape("flux_err", np.float32, flux.shape),
        pos_corr=of_shape("pos_corr", np.float32, (n, 2)),
        source=str(path),
        sha256=sha256,
        **numbers,
    )


def _number(arrays: dict[str, NDArray[Any]], name: str, path: str | Path, default: float) -> float:
    try:
        return float(arrays[name].item()) if name in arrays else default
    except (TypeError, ValueError):
        raise StampError(f"{path}: {name} is not a number", kind=ErrorKind.LAYOUT) from None


def _wcs(written: NDArray[Any] | None, path: str | Path) -> dict[str, Any]:
    """Keywords of a two-axis celestial WCS; empty without one."""
    if written is None:
        return {}
    text = str(written.item()) if written.size == 1 else ""
    try:
        if text.lstrip().startswith("{"):
            return wcs_keywords.from_aperture(fits.Header(json.loads(text)))
        with warnings.catch_warnings():
            warnings.simplefilter("error", AstropyWarning)
            return wcs_keywords.from_aperture(fits.Header(dict(fits.Header.fromstring(text))))
    except (ValueError, AstropyWarning) as error:
        raise StampError(
            f"{path}: wcs_header is neither the text of a FITS header nor its keywords as JSON", kind=ErrorKind.WCS
        ) from error
