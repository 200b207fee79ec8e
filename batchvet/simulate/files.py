"""Write a simulated stamp as SPOC writes its target pixel files.

Layout and keywords follow a SPOC file of sector 1 (data release 42): primary header, PIXELS table whose image columns
each carry the WCS, APERTURE image. Cosmic-ray tables are left out; RAW_CNTS is filled with its null value, -1.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from batchvet.pixels.stamp import Stamp
from batchvet.simulate.detector import READ_NOISE, Exposure

Card = tuple[str, Any] | tuple[str, Any, str]

#: Unit and display format of each column; those of images carry a WCS each.
_COLUMNS = {
    "TIME": ("BJD - 2457000, days", "D14.7"),
    "TIMECORR": ("d", "E14.7"),
    "CADENCENO": (None, "I10"),
    "RAW_CNTS": ("count", "I8"),
    "FLUX": ("e-/s", "E14.7"),
    "FLUX_ERR": ("e-/s", "E14.7"),
    "FLUX_BKG": ("e-/s", "E14.7"),
    "FLUX_BKG_ERR": ("e-/s", "E14.7"),
    "QUALITY": (None, "B16.16"),
    "POS_CORR1": ("pixel", "E14.7"),
    "POS_CORR2": ("pixel", "E14.7"),
}
_IMAGES = ("RAW_CNTS", "FLUX", "FLUX_ERR", "FLUX_BKG", "FLUX_BKG_ERR")
_INTEGERS = ("CADENCENO", "RAW_CNTS", "QUALITY")


def file_name(stamp: Stamp, compressed: bool = False) -> str:
    """The archive's name for such a file: SPOC's at 20 s and 120 s, TESS-SPOC's for longer cadences."""
    ending = ".fits.gz" if compressed else ".fits"
    if stamp.cadence_s > 130:
        return f"hlsp_tess-spoc_tess_phot_{stamp.tic:016d}-s{stamp.sector:04d}_tess_v1_tp{ending}"
    date = Time(float(np.nanmin(stamp.time)) + 2457000.0, format="jd", scale="tdb").utc.yday
    stamped = date.replace(":", "").replace(".", "")[:13]
    kind = "fast-tp" if stamp.cadence_s < 60 else "tp"
    return (
        f"tess{stamped}-s{stamp.sector:04d}-{stamp.tic:016d}-0120-{'a_' if kind == 'fast-tp' else 's_'}{kind}{ending}"
    )


def write_target_pixel_file(exposure: Exposure, directory: Path, *, compressed: bool = False) -> Path:
    """Write one file under its archive name and return its path.

    The same exposure gives the same bytes: the file carries no date of writing.
    """
    stamp = exposure.stamp
    hdus = fits.HDUList([_primary(stamp), _pixels(exposure), _aperture(stamp)])
    for hdu in hdus:
        hdu.add_checksum(when="simulated")
    path = directory / file_name(stamp, compressed)
    if compressed:
        with open(path, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as out:
            hdus.writeto(out)
    else:
        hdus.writeto(path, overwrite=True)
    return path


def _identity(stamp: Stamp) -> list[Card]:
    return [
        ("SIMDATA", True, "file is based on simulated data"),
        ("TELESCOP", "TESS", "telescope"),
        ("INSTRUME", "TESS Photometer", "detector type"),
        ("OBJECT", f"TIC {stamp.tic}", "string version of target id"),
        ("TICID", stamp.tic, "unique tess target identifier"),
        ("RADESYS", "ICRS", "reference frame of celestial coordinates"),
        ("EQUINOX", 2000.0, "equinox of celestial coordinate system"),
    ]


def _span(stamp: Stamp) -> list[Card]:
    half = stamp.exposure_days / 2
    start, stop = float(np.nanmin(stamp.time)) - half, float(np.nanmax(stamp.time)) + half
    dates = Time([start + 2457000.0, stop + 2457000.0], format="jd", scale="tdb").utc.isot
    return [
        ("TSTART", start, "observation start time in BTJD"),
        ("TSTOP", stop, "observation stop time in BTJD"),
        ("DATE-OBS", f"{dates[0]}Z", "TSTART as UTC calendar date"),
        ("DATE-END", f"{dates[1]}Z", "TSTOP as UTC calendar date"),
    ]


def _primary(stamp: Stamp) -> fits.PrimaryHDU:
    cards: list[Card] = [
        ("NEXTEND", 2, "number of standard extensions"),
        ("EXTNAME", "PRIMARY", "name of extension"),
        ("ORIGIN", "batchvet simulate", "who created this file"),
        *_span(stamp),
        ("CREATOR", "batchvet simulate TargetPixelFile", "program; lightkurve goes by it"),
        ("PROCVER", "batchvet-simulate", "SW version"),
        ("FILEVER", "1.0", "file format version"),
        ("DATA_REL", 0, "data release version number"),
        *_identity(stamp),
        ("SECTOR", stamp.sector, "Observing sector"),
        ("CAMERA", stamp.camera, "Camera number"),
        ("CCD", stamp.ccd, "CCD chip number"),
        ("RA_OBJ", stamp.ra, "[deg] right ascension"),
        ("DEC_OBJ", stamp.dec, "[deg] declination"),
        ("PMRA", _known(stamp.pmra), "[mas/yr] RA proper motion"),
        ("PMDEC", _known(stamp.pmdec), "[mas/yr] Dec proper motion"),
        ("PMTOTAL", _known(float(np.hypot(stamp.pmra, stamp.pmdec))), "[mas/yr] total proper motion"),
        ("TESSMAG", stamp.tmag, "[mag] TESS magnitude"),
        ("TICVER", "simulated", "TIC version"),
    ]
    return fits.PrimaryHDU(header=fits.Header(cards))


def _known(value: float) -> float | None:
    """A header's value, none where it is not known."""
    return value if np.isfinite(value) else None


def _pixels(exposure: Exposure) -> fits.BinTableHDU:
    stamp = exposure.stamp
    layout = [
        (
            name,
            ">f8" if name == "TIME" else ">i4" if name in _INTEGERS else ">f4",
            stamp.shape if name in _IMAGES else (),
        )
        for name in _COLUMNS
    ]
    table = np.empty(len(stamp.time), dtype=layout)
    table["TIME"], table["TIMECORR"] = stamp.time, 0.0
    table["CADENCENO"], table["QUALITY"] = stamp.cadenceno, stamp.quality
    table["RAW_CNTS"], table["FLUX"], table["FLUX_ERR"] = -1, stamp.flux, stamp.flux_err
    table["FLUX_BKG"] = exposure.background
    table["FLUX_BKG_ERR"] = 0.1 * np.nanmin(table["FLUX_ERR"])
    pos_corr = np.full((len(table), 2), np.nan) if stamp.pos_corr is None else stamp.pos_corr
    table["POS_CORR1"], table["POS_CORR2"] = pos_corr.T
    cards = [card for n, name in enumerate(_COLUMNS, 1) if name in _IMAGES for card in _column_wcs(stamp, n)]
    header = fits.Header([*cards, *_identity(stamp), *_position(stamp), *_timing(stamp)])
    hdu = fits.BinTableHDU(data=table, header=header, name="PIXELS")
    for name, (unit, display) in _COLUMNS.items():
        column = hdu.columns[name]
        column.disp = display
        if unit is not None:
            column.unit = unit
    hdu.columns["RAW_CNTS"].null = -1
    hdu.update_header()  # astropy would do it when writing, after the checksum was taken
    return hdu


def _position(stamp: Stamp) -> list[Card]:
    return [
        ("RA_OBJ", stamp.wcs_header["CRVAL1"], "[deg] right ascension at mid-sector"),
        ("DEC_OBJ", stamp.wcs_header["CRVAL2"], "[deg] declination at mid-sector"),
    ]


def _timing(stamp: Stamp) -> list[Card]:
    frames = round(stamp.cadence_s / 2)
    reads = frames if stamp.cadence_s < 60 else round(frames * 0.8)
    dead = 0.99 * reads / frames
    span = float(np.nanmax(stamp.time) - np.nanmin(stamp.time)) + stamp.exposure_days
    noise = [(f"READNOI{c}", READ_NOISE, f"[electrons] read noise CCD output {c}") for c in "ABCD"]
    return [
        ("EXPOSURE", len(stamp.time) * stamp.exposure_days * dead, "[d] time on source"),
        ("TIMEREF", "SOLARSYSTEM", "barycentric correction applied to times"),
        ("TASSIGN", "SPACECRAFT", "where time is assigned"),
        ("TIMESYS", "TDB", "time system is Barycentric Dynamical Time (TDB)"),
        ("BJDREFI", 2457000, "integer part of BTJD reference date"),
        ("BJDREFF", 0.0, "fraction of the day in BTJD reference date"),
        ("TIMEUNIT", "d", "time unit for TIME, TSTART and TSTOP"),
        ("TELAPSE", span, "[d] TSTOP - TSTART"),
        ("LIVETIME", span * dead, "[d] TELAPSE multiplied by DEADC"),
        *_span(stamp),
        ("DEADC", dead, "deadtime correction"),
        ("TIMEPIXR", 0.5, "bin time beginning=0 middle=0.5 end=1"),
        ("INT_TIME", 1.98, "[s] photon accumulation time per frame"),
        ("READTIME", 0.02, "[s] readout time per frame"),
        ("FRAMETIM", 2.0, "[s] frame time (INT_TIME + READTIME)"),
        ("NUM_FRM", frames, "number of frames per time stamp"),
        ("TIMEDEL", stamp.exposure_days, "[d] time resolution of data"),
        ("BACKAPP", True, "background is subtracted"),
        ("DEADAPP", True, "deadtime applied"),
        ("VIGNAPP", True, "vignetting or collimator correction applied"),
        *noise,
        ("NREADOUT", reads, "number of read per cadence"),
    ]


def _column_wcs(stamp: Stamp, n: int) -> list[Card]:
    w = stamp.wcs_header
    cards: list[Card] = [(f"WCSN{n}P", "PHYSICAL"), (f"WCAX{n}P", 2)]
    for axis, letter, first in ((1, "X", stamp.column), (2, "Y", stamp.row)):
        cards += [(f"{axis}CTY{n}P", f"RAW{letter}"), (f"{axis}CUN{n}P", "PIXEL"), (f"{axis}CRV{n}P", first)]
        cards += [(f"{axis}CDL{n}P", 1.0), (f"{axis}CRP{n}P", 1)]
    cards.append((f"WCAX{n}", 2))
    for axis in (1, 2):
        cards += [(f"{axis}CTYP{n}", w[f"CTYPE{axis}"]), (f"{axis}CRPX{n}", w[f"CRPIX{axis}"])]
        cards += [(f"{axis}CRVL{n}", w[f"CRVAL{axis}"]), (f"{axis}CUNI{n}", "deg")]
        cards += [(f"{axis}CDLT{n}", w[f"CDELT{axis}"])]
        cards += [(f"{axis}{other}PC{n}", w[f"PC{axis}_{other}"]) for other in (1, 2)]
    return cards


def _aperture(stamp: Stamp) -> fits.ImageHDU:
    cards: list[Card] = [*_identity(stamp), *_position(stamp)]
    cards += [(key, value) for key, value in stamp.wcs_header.items() if key != "RADESYS"]
    cards += [("WCSNAMEP", "PHYSICAL"), ("WCSAXESP", 2)]
    for axis, letter, first in ((1, "X", stamp.column), (2, "Y", stamp.row)):
        cards += [(f"CTYPE{axis}P", f"RAW{letter}"), (f"CUNIT{axis}P", "PIXEL"), (f"CRPIX{axis}P", 1)]
        cards += [(f"CRVAL{axis}P", first), (f"CDELT{axis}P", 1.0)]
    cards.append(("NPIXSAP", int(np.count_nonzero(stamp.aperture & 2)), "Number of pixels in optimal aperture"))
    return fits.ImageHDU(data=stamp.aperture, header=fits.Header(cards), name="APERTURE")
