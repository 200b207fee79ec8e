"""Small target pixel files as SPOC lays them out, quickly made, with checksums that hold."""

from __future__ import annotations

import io

import numpy as np
from astropy.io import fits
from loopback import Stored

COLUMNS = (("TIME", "D", ()), ("FLUX", "E", (3, 3)), ("FLUX_ERR", "E", (3, 3)), ("QUALITY", "J", ()))


def stamp_file(tic: int, sector: int, *, n_cadences: int = 40, exptime: float = 120.0, cut: bool = False) -> bytes:
    """Bytes of a 3 x 3 stamp whose flux begins with its TIC number; `cut`: as TESScut makes it, without one."""
    rng = np.random.default_rng(tic * 1000 + sector)
    primary = fits.PrimaryHDU()
    primary.header.update({"SECTOR": sector, "CAMERA": 1, "CCD": 2, "RA_OBJ": 10.0, "DEC_OBJ": -20.0})
    if cut:
        primary.header["CREATOR"] = "astrocut"
    else:
        primary.header["TICID"] = tic
    flux = rng.normal(1000, 10, (n_cadences, 3, 3)).astype(np.float32)
    flux[0, 0, 0] = tic
    time = 1500.0 + np.arange(n_cadences) * exptime / 86400
    data = {"TIME": time, "FLUX": flux, "FLUX_ERR": np.ones_like(flux), "QUALITY": np.zeros(n_cadences, dtype=int)}
    columns = [
        fits.Column(name, f"{9 if shape else ''}{code}", dim="(3,3)" if shape else None, array=data[name])
        for name, code, shape in COLUMNS
    ]
    table = fits.BinTableHDU.from_columns(columns, name="PIXELS")
    wcs = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 2.0, "CRPIX2": 2.0, "CRVAL1": 10.0, "CRVAL2": -20.0}
    wcs |= {"CUNIT1": "deg", "CUNIT2": "deg", "CDELT1": -0.00583, "CDELT2": 0.00583}
    aperture = fits.ImageHDU(np.full((3, 3), 3, dtype=np.int32), name="APERTURE")
    aperture.header.update(wcs)
    table.header.update({"BJDREFI": 2457000, "BJDREFF": 0.0, "TIMEDEL": exptime / 86400, "BACKAPP": not cut})
    hdus = fits.HDUList([primary, table, aperture])
    for hdu in hdus:
        hdu.add_checksum()
    file = io.BytesIO()
    hdus.writeto(file)
    return file.getvalue()


def stored(tic: int, sector: int, author: str = "SPOC", exptime: int = 120, *, n_cadences: int = 40) -> Stored:
    """The same as the archive keeps it."""
    if author == "SPOC":
        kind = "a_fast-tp" if exptime == 20 else "s_tp"
        name = f"tess{2018000000000 + sector}-s{sector:04d}-{tic:016d}-0120-{kind}.fits"
        uri = f"mast:TESS/product/{name}"
    else:
        name = f"hlsp_tess-spoc_tess_phot_{tic:016d}-s{sector:04d}_tess_v1_tp.fits"
        uri = f"mast:HLSP/tess-spoc/s{sector:04d}/target/{name}"
    content = stamp_file(tic, sector, n_cadences=n_cadences, exptime=float(exptime))
    return Stored(tic, sector, author, float(exptime), uri, content)
