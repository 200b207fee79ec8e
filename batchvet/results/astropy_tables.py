"""A run's tables as astropy has them: columns with units and sentences, lists as arrays or text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from astropy.units import cds
from numpy.typing import NDArray

from batchvet.results.schema import HOST_NAMES, described

#: What the tables' units are to astropy, where it does not know their names.
_UNITS = {
    "ppm": cds.ppm,
    "ppm2": cds.ppm**2,
    "e-/s": u.electron / u.s,
    "(e-/s)-2": (u.electron / u.s) ** -2,
    "sigma": u.dimensionless_unscaled,
}


def astropy_table(frame: pd.DataFrame, table: str) -> QTable:
    """A table of a run with units.

    Parameters
    ----------
    frame : DataFrame
        Of a run.
    table : str
        Which of its tables that is.

    Returns
    -------
    QTable
        Numbers with a unit are quantities. Whole numbers that are not known are masked; other numbers are NaN. Lists
        of words are text with commas, lists of numbers rows of an array, filled up with NaN (0 for whole numbers).
        The columns ``host_*`` of `candidates` are left out: they are the table ``hosts``.
    """
    said = {column["name"]: column for column in described()[table]}
    made = QTable(meta={"table": table})
    for name in flat_names(frame, table):
        unit = said[name]["unit"]
        values = _values(frame[name], said[name]["type"])
        if unit:
            values = u.Quantity(values, _UNITS[unit] if unit in _UNITS else u.Unit(unit), copy=False)
        made[name] = values
        made[name].info.description = said[name]["text"]
    return made


def flat_names(frame: pd.DataFrame, table: str) -> list[str]:
    """Columns of a table that are no table of their own."""
    of_hosts = {f"host_{name}" for name in HOST_NAMES} if table == "candidates" else set()
    known = {column["name"] for column in described()[table]}
    return [name for name in frame.columns if name in known - of_hosts]


def words(values: Any) -> str:
    """A list as text: words with commas, numbers with blanks."""
    if values is None:
        return ""
    return ", ".join(values) if all(isinstance(value, str) for value in values) else " ".join(map(str, values))


def _values(column: pd.Series[Any], kind: str) -> NDArray[Any] | MaskedColumn:
    if kind == "string":
        return np.array(["" if value is None else str(value) for value in column], dtype=str)
    if kind == "list of string":
        return np.array([words(value) for value in column], dtype=str)
    if kind.startswith("list of "):
        return _padded([np.asarray([] if value is None else value) for value in column], kind)
    if kind in ("int64", "bool") and column.isna().any():
        dtype = np.int64 if kind == "int64" else np.bool_
        return MaskedColumn(column.fillna(0).astype(dtype).to_numpy(), mask=column.isna().to_numpy())
    return column.to_numpy(dtype={"int64": np.int64, "bool": np.bool_}.get(kind, float))


def _padded(lists: list[NDArray[Any]], kind: str) -> NDArray[Any]:
    whole = kind.endswith(("int32", "bool"))
    padded = np.full(
        (len(lists), max((len(values) for values in lists), default=0)),
        0 if whole else np.nan,
        dtype=kind.removeprefix("list of "),
    )
    for row, values in enumerate(lists):
        padded[row, : len(values)] = values
    return padded
