#!/usr/bin/env python3
"""Make the package's embedded sample of real TESS pixels: python scripts/make_sample.py ../shared/data

Writes batchvet/sample/tpfs/*.fits.gz in SPOC's format. What is done to the pixels stands in batchvet/sample/README.md.
"""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

from batchvet.pixels.quality import DEFAULT

SAMPLE = Path(__file__).resolve().parent.parent / "batchvet" / "sample" / "tpfs"
CADENCES_PER_BIN = 5
ERROR_BITS = 6  # of FLUX_ERR's mantissa: 0.8 % at most, and a tenth of the size

#: Two-axis WCS of the TOI-5807 stamp; the file keeps it as a Python object, so its numbers stand here.
TOI_5807_WCS = {
    "CRPIX1": 5.5098298181259,
    "CRPIX2": 6.6374895910924,
    "PC1_1": -0.64109115229506,
    "PC1_2": 0.8017687053306,
    "PC2_1": 0.74816848654048,
    "PC2_2": 0.62415760963914,
    "CDELT1": -0.005498275066602,
    "CDELT2": 0.005498275066602,
    "CUNIT1": "deg",
    "CUNIT2": "deg",
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 308.56727623254,
    "CRVAL2": 43.360492135228,
}
COLUMN_KEYWORDS = {
    "CTYPE": "CTYP",
    "CRPIX": "CRPX",
    "CRVAL": "CRVL",
    "CUNIT": "CUNI",
    "CDELT": "CDLT",
}


def rounded(errors: np.ndarray) -> np.ndarray:
    """Positive float32 values with ERROR_BITS bits of mantissa, so that they compress."""
    drop = 23 - ERROR_BITS
    bits = np.ascontiguousarray(errors, dtype=np.float32).view(np.uint32).astype(np.uint64)
    kept = ((bits + (1 << (drop - 1))) >> drop << drop).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(errors), kept, np.float32(np.nan))


def binned(table: fits.FITS_rec) -> dict[str, np.ndarray]:
    """Means over CADENCES_PER_BIN cadences that pass the default bitmask; a bin with fewer than three is flagged."""
    n = len(table) // CADENCES_PER_BIN * CADENCES_PER_BIN
    good = (np.isfinite(table["TIME"]) & ((table["QUALITY"] & DEFAULT) == 0))[:n].reshape(-1, CADENCES_PER_BIN)
    use = good | (good.sum(axis=1) == 0)[:, None]  # a bin without good cadences keeps its bad ones, flagged
    count = use.sum(axis=1)

    def series(name: str) -> np.ndarray:
        values = np.array(table[name][:n], dtype=np.float64)
        return values.reshape(-1, CADENCES_PER_BIN, *values.shape[1:])

    def mean(values: np.ndarray, power: int = 1) -> np.ndarray:
        weight = use.reshape(use.shape + (1,) * (values.ndim - 2))
        total = np.where(weight, values**power, 0.0).sum(axis=1)
        return total / count.reshape(count.shape + (1,) * (values.ndim - 2))

    quality = np.array(table["QUALITY"][:n]).reshape(-1, CADENCES_PER_BIN)
    per_image = count[:, None, None]
    return {
        "TIME": mean(series("TIME")),
        "TIMECORR": mean(series("TIMECORR")),
        "CADENCENO": np.array(table["CADENCENO"][:n]).reshape(-1, CADENCES_PER_BIN)[:, CADENCES_PER_BIN // 2],
        "FLUX": mean(series("FLUX")),
        "FLUX_ERR": rounded(np.sqrt(mean(series("FLUX_ERR"), 2) / per_image)),
        "QUALITY": np.where(good.sum(axis=1) >= 3, 0, np.bitwise_or.reduce(quality, axis=1)),
        "POS_CORR1": mean(series("POS_CORR1")),
        "POS_CORR2": mean(series("POS_CORR2")),
    }


def shrink_wasp_126(path: Path) -> None:
    """WASP-126 as archived, in ten-minute bins; headers are kept but for what the binning changes."""
    with fits.open(path) as hdus:
        values = binned(hdus["PIXELS"].data)
        pixels = hdus["PIXELS"]
        table = fits.BinTableHDU.from_columns(pixels.columns, header=pixels.header, nrows=len(values["TIME"]))
        for name in table.columns.names:
            table.data[name] = values.get(name, -1 if name == "RAW_CNTS" else np.nan)
        header = table.header
        header["TIMEDEL"] *= CADENCES_PER_BIN
        header["NUM_FRM"] *= CADENCES_PER_BIN
        header.add_history(f"batchvet sample: means of {CADENCES_PER_BIN} cadences of 120 s without a default flag;")
        header.add_history(f"FLUX_ERR to {ERROR_BITS} bits of mantissa; RAW_CNTS and FLUX_BKG left out (null)")
        aperture = fits.ImageHDU(hdus["APERTURE"].data, hdus["APERTURE"].header)
        write(fits.HDUList([fits.PrimaryHDU(header=hdus[0].header), table, aperture]), path.name)


def shrink_toi_5807(path: Path) -> None:
    """TOI-5807 in sector 83: every cadence and the flux as it is, in a file of SPOC's layout."""
    with np.load(path, allow_pickle=False) as file:
        time, flux, errors = file["time"], file["flux"], rounded(file["flux_err"])
        quality, aperture = file["quality"], file["aperture_mask"]
    n, rows, cols = flux.shape
    image = f"{rows * cols}E", f"({cols},{rows})"
    nothing = np.full(n, np.nan)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("TIME", "D", unit="BJD - 2457000, days", array=time),
            fits.Column("CADENCENO", "J", array=np.round((time - time[0]) * 720).astype(np.int32)),
            fits.Column("FLUX", image[0], unit="e-/s", dim=image[1], array=flux),
            fits.Column("FLUX_ERR", image[0], unit="e-/s", dim=image[1], array=errors),
            fits.Column("QUALITY", "J", array=quality),
            fits.Column("POS_CORR1", "E", unit="pixel", array=nothing),
            fits.Column("POS_CORR2", "E", unit="pixel", array=nothing),
        ],
        name="PIXELS",
    )
    table.header.update(TELESCOP="TESS", OBJECT="TIC 188646744", TICID=188646744, BJDREFI=2457000, BJDREFF=0.0)
    table.header.update(TIMEDEL=120 / 86400, TIMEUNIT="d", TIMESYS="TDB", BACKAPP=True)
    for name in ("FLUX", "FLUX_ERR"):
        number = table.columns.names.index(name) + 1
        for key, value in TOI_5807_WCS.items():
            stem, axis = key[:-1], key[-1]
            column_key = f"{key[2]}{key[4]}PC{number}" if stem == "PC1_" or stem == "PC2_" else None
            table.header[column_key or f"{axis}{COLUMN_KEYWORDS[stem]}{number}"] = value
    table.header.add_history("batchvet sample: cadences already filtered by lightkurve's default bitmask,")
    table.header.add_history("cadence numbers counted from the first one, no POS_CORR;")
    table.header.add_history(f"FLUX_ERR to {ERROR_BITS} bits of mantissa")
    primary = fits.PrimaryHDU()
    primary.header.update(TELESCOP="TESS", OBJECT="TIC 188646744", TICID=188646744, SECTOR=83, RADESYS="ICRS")
    primary.header.update(ORIGIN="tess-vetter tutorial", CREATOR="batchvet sample TargetPixelFile")
    mask = fits.ImageHDU(np.where(aperture, 3, 1).astype(np.int32), fits.Header(TOI_5807_WCS), name="APERTURE")
    write(fits.HDUList([primary, table, mask]), "tess2024249191853-s0083-0000000188646744-0280-s_tp.fits.gz")


def write(hdus: fits.HDUList, name: str) -> None:
    """Write with checksums and without a date, so that the same input gives the same bytes."""
    for hdu in hdus:
        hdu.add_checksum(when="batchvet sample")
    plain = io.BytesIO()
    hdus.writeto(plain, output_verify="silentfix")
    SAMPLE.mkdir(parents=True, exist_ok=True)
    (SAMPLE / name).write_bytes(gzip.compress(plain.getvalue(), 9, mtime=0))
    print(f"{name}: {(SAMPLE / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    data = Path(sys.argv[1])
    shrink_toi_5807(data / "toi5807" / "sector83_tpf.npz")
    for tpf in sorted((data / "wasp126").glob("*_tp.fits.gz")):
        shrink_wasp_126(tpf)
