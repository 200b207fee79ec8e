"""Known eclipsing binaries and other variables: whose dips a candidate's may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.catalog.cells import Cell, btjd, declination, is_missing, number_between, right_ascension, text
from batchvet.catalog.fields import TMAG_RANGE
from batchvet.catalog.layouts import Layout
from batchvet.catalog.table import open_table, shape_problem
from batchvet.errors import CatalogError

#: Own columns; those of the TESS eclipsing binary catalogue (Prsa et al. 2022, ApJS 258, 16); those of VSX in VizieR.
VARIABLES = Layout(
    name="variables",
    title="variable stars",
    required={
        "name": ("name", "tess_id", "tess id", "tic"),
        "ra": ("ra", "raj2000", "ra_icrs"),
        "dec": ("dec", "dej2000", "de_icrs"),
        "period_days": ("period_days", "period", "per"),
        "t0": ("t0_btjd", "bjd0", "epoch"),
    },
    optional={
        "tmag": ("tmag", "max"),
        "period_err": ("period_err", "period_uncert", "e_per"),
        "t0_err": ("t0_err", "bjd0_uncert", "e_bjd0"),
    },
)
_PARSERS: dict[str, Callable[[Cell], float]] = {
    "ra": right_ascension,
    "dec": declination,
    "period_days": number_between(1e-6, 1e6),
    "t0": btjd,
    "tmag": number_between(*TMAG_RANGE),
    "period_err": number_between(0.0, 1e6),
    "t0_err": number_between(0.0, 1e6),
}
_NEEDED = ("ra", "dec", "period_days", "t0")


@dataclass(frozen=True)
class Variables:
    """Variable stars with place and ephemeris, one entry each."""

    path: Path  #: where they were read from
    name: tuple[str, ...]
    #: ra, dec (deg), period_days, t0 (BTJD), tmag (NaN when not known), period_err, t0_err (days, 0 when not known)
    numbers: dict[str, FloatArray]
    n_left_out: int  #: rows without a place, a period or an epoch

    def __len__(self) -> int:
        return len(self.name)


def read_variables(path: str | Path) -> Variables:
    """Read a table of variable stars.

    Parameters
    ----------
    path : CSV, CSV compressed by gzip, or Parquet. Columns: `name`, `ra`, `dec` (deg, or sexagesimal), `period_days`,
        `t0_btjd` (BTJD or BJD; an HJD differs by seconds); where known `tmag`, `period_err`, `t0_err` (days). The
        columns of the TESS eclipsing binary catalogue and of VSX are known too

    Raises
    ------
    CatalogError
        The file is not such a table, or no row has a place, a period and an epoch.

    Notes
    -----
    A row that lacks one of these, or has it wrong, is left out and counted: much of such a catalogue has no period.
    """
    table = open_table(path, (VARIABLES,), "table of variables")
    names: list[str] = []
    values: dict[str, list[float]] = {ours: [] for ours in _PARSERS}
    n_left_out = 0
    for _, row in table.rows:
        try:
            if shape_problem(row, table):
                raise ValueError
            cells = {ours: row[position] for ours, position in table.positions.items()}
            read = {
                ours: math.nan if is_missing(cells.get(ours)) else parse(cells[ours])
                for ours, parse in _PARSERS.items()
            }
            name = text(cells["name"])
        except ValueError:
            n_left_out += 1
            continue
        if any(math.isnan(read[ours]) for ours in _NEEDED):
            n_left_out += 1
            continue
        names.append(name)
        for ours, value in read.items():
            values[ours].append(value)
    if not names:
        raise CatalogError(f"the table of variables {path}: no row has a place, a period and an epoch")
    numbers = {ours: np.array(column, dtype=np.float64) for ours, column in values.items()}
    numbers |= {ours: np.nan_to_num(numbers[ours]) for ours in ("period_err", "t0_err")}
    return Variables(table.path, tuple(names), numbers, n_left_out)
