"""A run held against what is known: dispositions, published hosts, or another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batchvet.errors import CatalogError
from batchvet.results.directory import COMPARISON, now, write_json
from batchvet.results.reader import RunResults
from batchvet.sample import KNOWN_HOSTS
from batchvet.vocabulary import Verdict

_TOI = ("toi", "full toi id")
_DISPOSITION = ("tfopwg disposition", "tfopwg_disp", "tfopwg", "disposition", "toi disposition")
_HOST = ("host_tic", "host_id", "host", "host_source_id")
_PLANETS = ("CP", "KP")  #: confirmed and known planets: on target, whatever else the table says


def compare_run(run: RunResults, truth: str | Path) -> dict[str, Any]:
    """Hold a run's verdicts and hosts against a table, or against another run.

    Parameters
    ----------
    run : RunResults
    truth : path
        A directory of another run; or a CSV table (may be gzipped) with `toi` and a disposition (``TFOPWG
        Disposition``, ``tfopwg_disp``, ``disposition``), or a host (``host_tic``, ``host_id``: as the neighbour table
        names it), or both; or ``known_hosts``, the packaged list of TOIs whose host is published.

    Returns
    -------
    dict
        ``compared``: candidates in both; ``confusion``: of verdicts by disposition, or by the other run's verdict;
        ``hosts``: how many were named rightly, how many wrongly, and how many wrongly with P >= 0.95;
        ``disagreements``: rows, the surest first.

    Raises
    ------
    CatalogError
        The table has no name of a candidate, or nothing to compare with.
    RunError
        The other run cannot be read.
    """
    place = KNOWN_HOSTS if str(truth) == KNOWN_HOSTS.stem and not Path(truth).exists() else Path(truth)
    known = _of_run(place) if place.is_dir() else _of_table(place)
    mine = run.candidates[["toi", "tic", "verdict", "p_target", "best_host_id", "p_best_host"]]
    both = mine.assign(name=_names(mine["toi"])).merge(
        known.assign(name=_names(known["toi"])).drop(columns="toi").drop_duplicates("name"), on="name"
    )
    confusion = pd.crosstab(both["known"].fillna("none"), both["verdict"]).to_dict("index") if "known" in both else {}
    right = wrong = sure_wrong = 0
    if "known_host" in both:
        named = both[both["known_host"].notna() & ~both["verdict"].isin([Verdict.NO_DATA, Verdict.INCONCLUSIVE])]
        same = pd.Series([_is_host(row) for row in named.to_dict("records")], index=named.index, dtype=bool)
        right, wrong = int(same.sum()), int((~same).sum())
        sure_wrong = int((~same & (named["p_best_host"] >= 0.95)).sum())
    rows = [row for one in both.to_dict("records") if (row := _disagreement(one)) is not None]
    return {
        "run": str(run.directory),
        "truth": str(truth),
        "candidates": len(mine),
        "compared": len(both),
        "confusion": confusion,
        "hosts": {"right": right, "wrong": wrong, "wrong_with_p_above_0.95": sure_wrong},
        "disagreements": sorted(rows, key=lambda row: -row["sureness"]),
    }


def keep_comparison(run: RunResults, found: dict[str, Any]) -> None:
    """Keep what a run was held against as ``RUN/comparison.json``, for its report. Raises RunError if it cannot."""
    write_json(run.directory / COMPARISON, {**found, "written": now()})


def kept_comparison(directory: Path) -> dict[str, Any] | None:
    """What a run was last held against; None where it was held against nothing, or what was kept cannot be read."""
    try:
        found: dict[str, Any] = json.loads((directory / COMPARISON).read_text(encoding="utf-8"))
        return found if {"truth", "confusion", "hosts", "disagreements"} <= set(found) else None
    except (OSError, ValueError, TypeError):
        return None


def _disagreement(row: dict[Any, Any]) -> dict[str, Any] | None:
    """What of a candidate is not as it is known, and how sure we were; None where nothing is."""
    host, known = row.get("known_host"), row.get("known")
    said = {"toi": row["toi"], "tic": row["tic"], "verdict": row["verdict"], "best_host_id": row["best_host_id"]}
    if row["verdict"] in (Verdict.NO_DATA, Verdict.INCONCLUSIVE):
        return None
    named = isinstance(host, str)  # a planet of a neighbour is off target, as the table says itself
    if named and not _is_host(row):
        return {**said, "known": f"host {host}", "sureness": _number(row["p_best_host"])}
    if known in _PLANETS and row["verdict"] == Verdict.OFF_TARGET and not named:
        return {**said, "known": str(known), "sureness": 1.0 - _number(row["p_target"])}
    if known in tuple(Verdict) and known != row["verdict"]:
        return {**said, "known": str(known), "sureness": max(_number(row["p_best_host"]), _number(row["p_target"]))}
    return None


def _is_host(row: dict[Any, Any]) -> bool:
    """Whether the star that was named is the known host, which a list may call by its TIC: the target, at least."""
    known = str(row["known_host"])
    on_target = known == str(row["tic"]) and row["verdict"] == Verdict.ON_TARGET
    return on_target or known == str(row["best_host_id"])


def _names(tois: pd.Series[str]) -> pd.Series[str]:
    """As candidates are called on both sides: "TOI-700.10" as "700.1", which a spreadsheet makes of it."""
    bare = tois.astype(str).str.strip().str.replace(r"^TOI[- ]?(?=\d)", "", regex=True, case=False)
    return bare.str.replace(r"^(\d+\.\d)0$", r"\1", regex=True)


def _star(names: pd.Series[str]) -> pd.Series[str]:
    """A star's name as the tables of a run have it: without the catalogue's word, and the digits a spreadsheet adds."""
    bare = names.str.strip().str.replace(r"^TIC[- ]?(?=\d)", "", regex=True, case=False)
    return bare.str.replace(r"^(\d+)\.0$", r"\1", regex=True)


def _number(value: Any) -> float:
    return 0.0 if value is None or not np.isfinite(value) else float(value)


def _of_run(directory: Path) -> pd.DataFrame:
    theirs = RunResults(directory).candidates
    return pd.DataFrame({"toi": theirs["toi"], "known": theirs["verdict"]})


def _of_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, comment="#", dtype=str, low_memory=False)
    except (OSError, ValueError) as error:
        raise CatalogError(f"cannot read the truth {path}: {str(error).splitlines()[0]}") from None
    names = {" ".join(str(name).lower().split()): str(name) for name in table.columns}

    def column(several: tuple[str, ...]) -> str | None:
        return next((names[name] for name in several if name in names), None)

    toi, disposition, host = column(_TOI), column(_DISPOSITION), column(_HOST)
    if toi is None or (disposition is None and host is None):
        raise CatalogError(
            f"the truth {path} needs a column toi, and one of {', '.join((*_DISPOSITION[:2], *_HOST[:2]))}; "
            f"it has: {', '.join(list(names)[:12])}"
        )
    found = pd.DataFrame({"toi": table[toi].str.strip()})
    if disposition is not None:
        found["known"] = table[disposition].str.strip()
    if host is not None:
        found["known_host"] = _star(table[host])
    return found.dropna(subset=["toi"]).drop_duplicates("toi")
