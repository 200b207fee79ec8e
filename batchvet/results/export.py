"""Tables of a run as files of other formats, with units: ECSV, FITS, CSV, VOTable."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.units import Unit

from batchvet.atomic import write_atomically
from batchvet.errors import ConfigError
from batchvet.results.astropy_tables import astropy_table, flat_names, words
from batchvet.results.ours import refuse_file_of_a_run
from batchvet.results.reader import RunResults
from batchvet.results.schema import described

_BY_SUFFIX = {".ecsv": "ecsv", ".fits": "fits", ".fit": "fits", ".csv": "csv", ".vot": "votable", ".xml": "votable"}


def export(run: RunResults, table: str, path: Path, format: str | None = None) -> Path:
    """Write a table of a run into a file, which is replaced when it is there.

    Parameters
    ----------
    run : RunResults
    table : str
        candidates, hosts, matches, sectors, images or evidence.
    path : Path
    format : str, optional
        ecsv, fits, csv or votable; without it what the file's name ends in.

    Raises
    ------
    ConfigError
        No such table or format, no directory for the file, or it is a file of a run.
    """
    if table not in described():
        raise ConfigError(f"there is no table {table!r}; there are {', '.join(described())}")
    chosen = (format or _BY_SUFFIX.get(path.suffix.lower(), "")).lower()
    if chosen not in WRITERS:
        what = f"{format!r} is no format" if format else f"{path}: its name does not say which format"
        raise ConfigError(f"{what}; --format may be {', '.join(WRITERS)}")
    if path.is_dir():
        raise ConfigError(f"{path}: is a directory; name a file in it")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no directory {path.parent}; make it first")
    refuse_file_of_a_run(path)
    frame = run.table(table)
    write_atomically(path, WRITERS[chosen](frame, table, str(run.directory)))
    return path


def _csv(frame: pd.DataFrame, table: str, run: str) -> bytes:
    """What is not known is empty; units stand in the columns' names."""
    kinds = {column["name"]: column["type"] for column in described()[table]}
    flat = frame[flat_names(frame, table)].copy()
    for name in flat:
        if kinds[str(name)].startswith("list"):
            flat[name] = flat[name].map(words)
        elif kinds[str(name)] == "int64":
            flat[name] = flat[name].astype("Int64")
    return flat.to_csv(index=False).encode()


def _ecsv(frame: pd.DataFrame, table: str, run: str) -> bytes:
    made = astropy_table(frame, table)
    made.meta["run"] = run
    text = io.StringIO()
    made.write(text, format="ascii.ecsv")
    return text.getvalue().encode()


def _fits(frame: pd.DataFrame, table: str, run: str) -> bytes:
    """Units as the FITS standard has them, of which ppm is none; texts in ASCII."""
    made = astropy_table(frame, table)
    units = {name: made[name].unit for name in made.colnames}
    plain = Table(made, copy=False)
    for name in plain.colnames:
        plain[name].unit = None
        if np.issubdtype(plain[name].dtype, np.str_):
            plain[name] = np.char.encode(np.asarray(plain[name]), "ascii", "replace")
    plain.meta.clear()
    hdu = fits.table_to_hdu(plain)
    hdu.name = table.upper()
    for number, name in enumerate(plain.colnames, start=1):
        unit = units[name]
        if unit is not None and str(unit):
            hdu.header[f"TUNIT{number}"] = _fits_unit(unit)
        hdu.header[f"TCOMM{number}"] = made[name].info.description
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file)
    return file.getvalue()


def _fits_unit(unit: Unit) -> str:
    try:
        return str(unit.to_string("fits"))
    except ValueError:  # electrons are no unit of the standard
        return str(unit.to_string()).replace(" ", "")


def _votable(frame: pd.DataFrame, table: str, run: str) -> bytes:
    made: QTable = astropy_table(frame, table)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # units that the standard lacks are written as they are called
        made.write(file, format="votable")
    return file.getvalue()


WRITERS: dict[str, Callable[[pd.DataFrame, str, str], bytes]] = {
    "ecsv": _ecsv,
    "fits": _fits,
    "csv": _csv,
    "votable": _votable,
}
