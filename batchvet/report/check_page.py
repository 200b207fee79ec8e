"""What stands on the page about a run's own errors, and on that about what it was held against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from batchvet.report.check_drawing import TITLES, offset_drawings, tenths_drawing
from batchvet.report.words import plain, probability
from batchvet.results.reader import RunResults
from batchvet.results.self_check import check_run, sure_sectors
from batchvet.vocabulary import ErrorKind, explain

_SURE_FIRST = 200  #: disagreements that a page has
_WORST = 5  #: that the first page has


def check_context(run: RunResults) -> dict[str, Any]:
    """What the template of the page about the run's errors is filled with."""
    found = check_run(run)
    scales = [("All sectors together", "all", found["scale"])]
    scales += [(TITLES[name], one["group"], one) for name, several in found["by"].items() for one in several]
    seconds = found["seconds"]
    return {
        "words": found["words"],
        "drawings": offset_drawings(sure_sectors(run)),
        "tenths": tenths_drawing(found["consistency"]) if found["consistency"]["n"] else None,
        "scales": [_scale(*each) for each in scales],
        "zero_points": [_zero_point(place) for place in found["zero_points"]],
        "failures": [{"kind": kind, "n": n, "text": _why(kind)} for kind, n in found["failures"].items()],
        "seconds": {name: plain(value) for name, value in seconds.items() if value is not None},
        "calibration": ", ".join(found["calibration"]) or "none yet",
        "n_sure": found["scale"]["n"],
    }


def _why(kind: str) -> str:
    """The sentence of a kind of failure; none of one of another version."""
    words = next((known.text for known in ErrorKind if known == kind), "")
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _scale(by: str, group: str, scale: Mapping[str, Any]) -> dict[str, str]:
    known = np.isfinite(scale["scale"])
    return {
        "by": by,
        "group": group,
        "n": str(scale["n"]),
        "scale": f"{scale['scale']:.2f} ± {scale['error']:.2f}" if known else "–",
        "beyond": f"{100 * scale['beyond_3_sigma']:.1f} %" if known else "–",
        "chance": probability(scale["ks_p"]) if known else "–",
        "off": "off" if known and abs(scale["scale"] - 1.0) > 3.0 * scale["error"] else "",
    }


def _zero_point(place: Mapping[str, Any]) -> dict[str, str]:
    column, row = float(place["zero_point_col"]), float(place["zero_point_row"])
    return {
        "sector": str(int(place["sector"])),
        "camera": str(int(place["camera"])),
        "ccd": str(int(place["ccd"])),
        "column": f"{column:+.3f}".replace("-", "−"),
        "row": f"{row:+.3f}".replace("-", "−"),
        "length": f"{np.hypot(column, row):.3f}",
        "n": str(int(place["n"])),
    }


def compare_context(found: Mapping[str, Any], pages: Mapping[str, str]) -> dict[str, Any]:
    """What the template of the page of a comparison is filled with.

    Parameters
    ----------
    found : mapping
        From `batchvet.results.comparison.compare_run`.
    pages : mapping of str to str
        By candidate its page.
    """
    verdicts = sorted({verdict for row in found["confusion"].values() for verdict in row})
    lines = [
        {"known": known, "explained": explain(known), "cells": [int(row.get(verdict, 0)) for verdict in verdicts]}
        for known, row in found["confusion"].items()
    ]
    disagreements = [_disagreement(row, pages) for row in found["disagreements"]]
    return {
        "truth": found["truth"],
        "truth_name": Path(str(found["truth"])).name,
        "candidates": found["candidates"],
        "compared": found["compared"],
        "verdicts": verdicts,
        "lines": lines,
        "hosts": found["hosts"],
        "has_hosts": found["hosts"]["right"] + found["hosts"]["wrong"] > 0,
        "disagreements": disagreements[:_SURE_FIRST],
        "n_disagreements": len(disagreements),
        "worst": disagreements[:_WORST],
        "compared_at": str(found.get("written", ""))[:16].replace("T", " "),
    }


def _disagreement(row: Mapping[str, Any], pages: Mapping[str, str]) -> dict[str, str]:
    return {
        "toi": str(row["toi"]),
        "page": pages.get(str(row["toi"]), ""),
        "tic": str(row["tic"]),
        "verdict": str(row["verdict"]),
        "host": str(row["best_host_id"] or ""),
        "known": str(row["known"]),
        "sureness": probability(float(row["sureness"])),
    }
