"""A run's candidates held against each other and against known variables: the table ``matches.parquet``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from batchvet.arrays import FloatArray
from batchvet.catalog.variables import Variables, read_variables
from batchvet.errors import RunError
from batchvet.results.ccd_places import CcdPlaces
from batchvet.results.directory import MATCHES, sole_writer
from batchvet.results.parts import write_table
from batchvet.results.reader import RunResults
from batchvet.results.schema import MATCHES_SCHEMA
from batchvet.science.ephemeris_match import Ephemerides, Match, match

_MINUTES = 24 * 60.0


def match_run(run: RunResults, variables: str | Path | None = None) -> pd.DataFrame:
    """Match the ephemerides of a run's candidates and write ``RUN/matches.parquet``.

    Parameters
    ----------
    run : RunResults
    variables : path, optional
        Table of known eclipsing binaries and variables (`batchvet.catalog.variables.read_variables`).

    Returns
    -------
    DataFrame
        As `RunResults.matches`.

    Raises
    ------
    RunError
        The run has no candidates yet, or another process writes it.
    CatalogError
        The table of variables cannot be used.

    Notes
    -----
    Candidates without a period, an epoch or a position are held against nobody.
    """
    known = read_variables(variables) if variables is not None else None
    candidates = run.candidates
    if candidates.empty:
        raise RunError(f"{run.directory}: no candidate is judged yet; 'batchvet run CONFIG' goes on")
    entries = _entries(candidates, known)
    found = match(entries, len(candidates), CcdPlaces(run, entries.ra, entries.dec))
    rows = [_row(one, candidates, known, entries) for one in found]
    table = pa.Table.from_pylist(rows, schema=MATCHES_SCHEMA).sort_by([("toi", "ascending"), ("match_p", "ascending")])
    with sole_writer(run.directory):
        write_table(run.directory / MATCHES, table, MATCHES_SCHEMA, {"plan": str(run.plan["hashes"]["tasks"])})
    run.__dict__.pop("matches", None)  # read anew
    return run.matches


def _entries(candidates: pd.DataFrame, known: Variables | None) -> Ephemerides:
    def both(name: str, theirs: str) -> FloatArray:
        mine = candidates[name].to_numpy(dtype=np.float64, na_value=np.nan)
        return mine if known is None else np.concatenate([mine, known.numbers[theirs]])

    n_known = 0 if known is None else len(known)
    unknown = np.full(n_known, np.nan)
    return Ephemerides(
        period_days=both("period_days", "period_days"),
        period_err_days=np.nan_to_num(both("period_err_days", "period_err")),
        t0_btjd=both("t0_btjd", "t0"),
        t0_err_days=np.nan_to_num(both("t0_err_days", "t0_err")),
        duration_days=np.concatenate([candidates["duration_hours"].to_numpy(dtype=np.float64) / 24, unknown]),
        ra=both("ra", "ra"),
        dec=both("dec", "dec"),
        tmag=both("tmag", "tmag"),
        star=np.concatenate([candidates["tic"].to_numpy(dtype=np.float64), unknown]),
    )


def _row(one: Match, candidates: pd.DataFrame, known: Variables | None, entries: Ephemerides) -> dict[str, object]:
    mine = candidates.iloc[one.candidate]
    n = one.other - len(candidates)
    return {
        "toi": mine["toi"],
        "tic": int(mine["tic"]),
        "ephemeris_match": str(candidates["toi"].iloc[one.other]) if n < 0 or known is None else known.name[n],
        "match_kind": one.kind,
        "match_p": one.p,
        "match_table": "run" if n < 0 or known is None else known.path.name,
        "period_ratio": one.ratio,
        "match_phase": one.phase,
        "period_difference_ppm": 1e6 * one.period_difference,
        "epoch_difference_minutes": _MINUTES * one.epoch_difference_days,
        "separation_arcsec": one.separation_arcsec,
        "match_tmag": float(entries.tmag[one.other]),
    }
