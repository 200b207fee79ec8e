"""Views of a run that the command line prints: rows for tables, JSON for scripts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from batchvet.results.reader import RunResults
from batchvet.science.depth_map import METRICS
from batchvet.vocabulary import ErrorKind, Flag, Status, Verdict

if TYPE_CHECKING:
    import pandas as pd

#: Figures of the localisation that `show` gives next to V09's.
_SHOWN = (
    "target_offset_pixels",
    "target_offset_arcsec",
    "significance_sigma",
    "offset_ra_arcsec",
    "offset_dec_arcsec",
    "difference_snr",
    "prf_source",
)


#: What makes a candidate inconclusive, the first that holds first.
_OBSTACLES = (
    Flag.WORKER_KILLED,
    Flag.JUDGING_FAILED,
    Flag.LOW_SNR,
    Flag.ARTEFACT,
    Flag.SECTORS_INCONSISTENT,
    Flag.SPOILT_DIP,
    Flag.SOURCE_AT_EDGE,
    Flag.NO_VALID_TRANSIT,
    Flag.NO_USABLE_SECTOR,
)
#: Columns at the end of the overview that a narrow screen has no room for.
OPTIONAL_COLUMNS = 5


def show(run: RunResults, toi: str) -> dict[str, Any]:
    """Sector by sector what V09 says, with the offset and its significance from the localisation.

    Returns
    -------
    dict
        ``{"83": {"status", "flags", "metrics": {...}}}``; a metric is None where it could not be measured.

    Raises
    ------
    RunError
        No such candidate.
    """
    shown = {}
    for row in run.records_of(toi):
        metrics = {name: row[f"v09_{name}"] for name in METRICS}
        metrics |= {name: row[name] for name in _SHOWN}
        shown[str(row["sector"])] = {
            "status": row["v09_status"] or row["status"],
            "flags": _listed(row["v09_flags"]),
            "metrics": metrics,
            "error": row["error"] or None,
            "error_kind": row["error_kind"] or None,
            "localization_flags": _listed(row["localization_flags"]),
        }
    return shown


def overview(run: RunResults, most: int | None = None) -> list[dict[str, Any]]:
    """One line for each candidate, those that were looked at first: what fits a narrow screen, then more."""
    candidates = cast("list[dict[str, Any]]", run.candidates.to_dict("records"))
    if not candidates:  # the run has not come so far
        named = run.sectors[["toi", "tic"]].drop_duplicates().to_dict("records")
        candidates = [{"toi": row["toi"], "tic": row["tic"]} for row in named]
    sectors = {toi: group for toi, group in run.sectors.groupby("toi", sort=False)}
    lines = [(candidate, sectors.get(candidate["toi"], run.sectors.head(0))) for candidate in candidates]
    lines.sort(key=lambda line: not (line[1]["status"] == Status.OK).any())
    return [_line(candidate, rows) for candidate, rows in lines[:most]]


def _line(candidate: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    done = int((rows["status"] == Status.OK).sum())
    return {
        "verdict": candidate.get("verdict"),
        "TOI": _cut(candidate["toi"], 20),
        "TIC": candidate["tic"],
        "P": _probability(candidate.get("p_target")),
        "SNR": rows["difference_snr"].max(),
        'offset"': candidate.get("offset_arcsec"),
        "sigma": candidate.get("significance_sigma"),
        "sectors": f"{done}/{len(rows)}",
        "why": _why(candidate, rows),
        "host": candidate.get("best_host_id") or None,
        "Tmag": candidate.get("tmag"),
        "depth [ppm]": candidate.get("depth_ppm"),
        "V09 depth [ppm]": rows["v09_max_depth_ppm"].max(),
    }


def sector_lines(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line for each sector of a candidate."""

    def number(value: float | None) -> float:
        return math.nan if value is None else value

    return [
        {
            "sector": row["sector"],
            "status": row["status"],
            "transits": number(row["n_transits"]),
            "SNR": number(row["difference_snr"]),
            'offset"': number(row["target_offset_arcsec"]),
            "sigma": number(row["significance_sigma"]),
            "late [min]": number(row["timing_offset_minutes"]),
            "V09": row["v09_status"],
            "why": row["error"] or "",
        }
        for row in sorted(rows, key=lambda row: int(row["sector"]))
    ]


def _why(candidate: dict[str, Any], rows: pd.DataFrame) -> str:
    """What stands in the way: of a verdict, or of some sectors."""
    kinds = rows.loc[rows["status"] != Status.OK, "error_kind"].dropna()
    failed = ", ".join(dict.fromkeys(kind for kind in kinds if kind and kind != ErrorKind.MISSING_TPF))
    if candidate.get("verdict") == Verdict.NO_DATA:
        return failed
    flags = candidate.get("flag_names")
    obstacles = [flag for flag in (flags if flags is not None else ()) if flag in _OBSTACLES]
    return failed or (str(obstacles[0]) if obstacles and candidate.get("verdict") == Verdict.INCONCLUSIVE else "")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _probability(value: float | None) -> str | None:
    """Three digits that do not pretend to be certain."""
    if value is None or value != value:
        return None
    return ">.999" if value > 0.999 else "<.001" if value < 0.001 else f"{value:.3f}"


def counts(run: RunResults) -> dict[str, Any]:
    """How many rows by status and error, and candidates by verdict."""
    sectors, candidates = run.sectors, run.candidates
    errors = sectors.loc[sectors["error_kind"].fillna("") != "", "error_kind"]
    return {
        "run": str(run.directory),
        "finished": run.is_finished,
        "rows": len(sectors),
        "status": {name: int(n) for name, n in sectors["status"].value_counts().sort_index().items()},
        "error_kind": {name: int(n) for name, n in errors.value_counts().sort_index().items()},
        "candidates": len(candidates),
        "verdict": {name: int(n) for name, n in candidates["verdict"].value_counts().sort_index().items()},
        "not_judged": len(run.not_judged),
    }


def _listed(words: Any) -> list[str]:
    """A list of words; empty where the check was not asked for."""
    return [] if words is None else list(words)
