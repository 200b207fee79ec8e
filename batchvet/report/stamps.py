"""The pixels behind a row: from a run back to the cache that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from matplotlib.figure import Figure

from batchvet.catalog.candidate import Ephemeris
from batchvet.catalog.reader import read_catalog
from batchvet.errors import RunError
from batchvet.pixels.cache import Cache
from batchvet.pixels.entry import StampKey
from batchvet.pixels.stamp import Stamp
from batchvet.report.light_curves import light_curves_figure


class Results(Protocol):
    """What is needed of a run."""

    directory: Path
    plan: dict[str, Any]

    def of(self, toi: str) -> pd.DataFrame: ...


def light_curves_of(run: Results, toi: str, sector: int) -> Figure:
    """Each pixel's folded light curve for one row of a run.

    Raises
    ------
    RunError
        The run has no such row, or its catalogue has changed since.
    CacheError
        The stamp is no longer in the cache.
    InsufficientData
        No transit has cadences in it and beside it.
    """
    stamp, ephemeris = stamp_of_row(run, toi, sector)
    return light_curves_figure(stamp, ephemeris, run.plan["config"]["quality_bitmask"], run.of(toi)["toi"].iloc[0])


def stamp_of_row(run: Results, toi: str, sector: int) -> tuple[Stamp, Ephemeris]:
    """The stamp and the ephemeris that a row was made from. Raises as :func:`light_curves_of`."""
    rows = run.of(toi)
    rows = rows[(rows["sector"] == sector) & rows["cadence_s"].notna()]
    if rows.empty:
        raise RunError(f"{run.directory}: candidate {toi} has no pixels in sector {sector}")
    row = rows.iloc[0]
    config = run.plan["config"]
    candidates = {c.toi: c for c in read_catalog(config["catalog"], keep_going=True).candidates}
    if row["toi"] not in candidates:
        raise RunError(f"{config['catalog']}: no longer lists candidate {row['toi']}; run 'batchvet run CONFIG' again")
    key = StampKey(int(row["tic"]), int(sector), max(1, round(row["cadence_s"])))
    return Cache(config["cache"]).read(key), candidates[row["toi"]].ephemeris
