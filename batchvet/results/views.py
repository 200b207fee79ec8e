"""Views of a run that the command line prints: rows for tables, JSON for scripts."""

from __future__ import annotations

from typing import Any

from batchvet.results.reader import RunResults
from batchvet.science.depth_map import METRICS

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
    for row in run.of(toi).to_dict("records"):
        metrics = {name: _typed(row[f"v09_{name}"], metric.kind) for name, metric in METRICS.items()}
        metrics |= {name: row[name] for name in _SHOWN}
        shown[str(row["sector"])] = {
            "status": row["v09_status"] or row["status"],
            "flags": list(row["v09_flags"]) if row["v09_flags"] is not None else [],
            "metrics": metrics,
            "error": row["error"] or None,
            "error_kind": row["error_kind"] or None,
            "localization_flags": list(row["localization_flags"]),
        }
    return shown


def overview(run: RunResults, most: int | None = None) -> list[dict[str, Any]]:
    """One line per candidate and sector for a table on the screen."""
    verdicts = dict(zip(run.candidates["toi"], run.candidates["verdict"], strict=True))
    rows = run.sectors if most is None else run.sectors.head(most)
    return [
        {
            "TOI": row["toi"],
            "TIC": row["tic"],
            "sector": row["sector"],
            "status": row["status"],
            "V09 depth [ppm]": row["v09_max_depth_ppm"],
            "V09": _short(row["v09_flags"]),
            "SNR": row["difference_snr"],
            "offset [arcsec]": row["target_offset_arcsec"],
            "sigma": row["significance_sigma"],
            "verdict": verdicts.get(row["toi"]),
            "reason": row["error"] or "",
        }
        for row in rows.to_dict("records")
    ]


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
    }


def _typed(value: Any, kind: str) -> Any:
    """A whole number as one: pandas makes it a float where another row of the column has none."""
    return int(value) if kind == "int" and value is not None and value == value else value


def _short(flags: Any) -> str:
    return " ".join(flag.removeprefix("DIFFIMG_") for flag in (flags if flags is not None else ()))
