"""What stands on the report's first page and on the page about it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from batchvet.report.candidate_page import CandidateRows
from batchvet.report.raster import data_url, png
from batchvet.report.style import SIGNED_MAP, scale
from batchvet.report.view import SectorView, number, text
from batchvet.report.words import plain, probability
from batchvet.vocabulary import Flag, Status, Verdict, explain

#: Label, whether it sorts as a number, and a sentence.
COLUMNS = (
    ("Candidate", False, "Name of the candidate"),
    ("TIC", True, "TESS Input Catalog number of the target"),
    ("Verdict", False, "All sectors together"),
    ("P(target)", True, "Calibrated probability that the dip is the target's"),
    ("Offset (″)", True, "Dip minus target, all sectors together"),
    ("Offset (σ)", True, "The offset over its error"),
    ("S/N", True, "Of the dip in its best sector's difference image"),
    ("Sectors", True, "Sectors whose localisation counts, of those asked for"),
    ("Likeliest host", False, "The star that most likely has the dip"),
    ("Status", False, "How many sectors were measured, skipped or failed"),
    ("Flags", False, "Of the candidate and its sectors"),
)


def index_row(rows: CandidateRows, page: str) -> dict[str, Any]:
    """A candidate's line of the table."""
    candidate = rows.candidate or {}
    status = Counter(str(row["status"]) for row in rows.sectors)
    snr = [number(row, "difference_snr") for row in rows.sectors]
    best = max(snr, key=lambda value: -math.inf if math.isnan(value) else value, default=math.nan)
    used = number(candidate, "n_sectors_used")
    thumbnail, sector = _thumbnail(rows)
    return {
        "toi": rows.toi,
        "tic": rows.tic,
        "page": page,
        "verdict": rows.verdict,
        "cells": [
            _cell(number(candidate, "p_target"), probability),
            _cell(number(candidate, "offset_arcsec"), plain),
            _cell(number(candidate, "significance_sigma"), plain),
            _cell(best, plain),
            _cell(used, lambda n: f"{n:.0f} of {number(candidate, 'n_sectors'):.0f}"),
        ],
        "host": text(candidate, "best_host_id"),
        "status": ", ".join(f"{n} {name}" for name, n in sorted(status.items())),
        "statuses": " ".join(sorted(status)),
        "flags": " ".join(rows.flags()),
        "n_rows": len(rows.sectors),
        "thumbnail": thumbnail,
        "thumbnail_sector": sector,
    }


def index_context(run: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the template of the first page is filled with."""
    n_rows = sum(row["n_rows"] for row in rows)
    verdicts = Counter(row["verdict"] for row in rows if row["verdict"])
    statuses: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    for row in rows:
        statuses.update(row["statuses"].split())
        flags.update(row["flags"].split())
    counts = [
        ("Verdict", "verdict", _counted(verdicts, list(Verdict))),
        ("Status", "status", _counted(statuses, list(Status))),
        ("Flag", "flag", _counted(flags, [])),
    ]
    columns = [{"label": label, "numeric": numeric, "text": sentence} for label, numeric, sentence in COLUMNS]
    n_planned = int(run.plan.get("n_rows", n_rows))
    return {"rows": rows, "n_rows": n_rows, "n_planned": n_planned, "counts": counts, "columns": columns}


def about_context(run: Any) -> dict[str, Any]:
    """What the template of the page about the report is filled with."""
    plan = run.plan
    provenance = [
        ("Run", str(run.directory.resolve())),
        ("Made by", f"batchvet {plan.get('software_version', '')}".strip()),
        ("Plan written", plan.get("written", "–")),
        ("Format", plan.get("format_version", "–")),
        *((name.replace("_", " "), value) for name, value in plan.get("hashes", {}).items()),
    ]
    success = run.directory / "_SUCCESS.json"
    finished = json.loads(success.read_text(encoding="utf-8")) if success.exists() else {}
    provenance.append(("Finished", finished.get("finished", "not yet")))
    seen: set[str] = set()
    return {
        "provenance": provenance,
        "configuration": json.dumps(plan.get("config", {}), indent=2, default=str),
        "files": sorted(finished.get("sha256", {}).items()),
        "glossary": [
            ("Verdicts", [(verdict, verdict.text) for verdict in Verdict]),
            ("Flags", [(flag, flag.text) for flag in Flag]),
        ],
        "columns": [
            ("Columns of a sector", _lines(run.sectors.attrs, seen)),
            ("Columns of a candidate, all sectors together", _lines(run.candidates.attrs, seen)),
        ],
    }


def _lines(attrs: dict[str, dict[str, str]], seen: set[str]) -> list[dict[str, Any]]:
    """Columns with unit and sentence; the first table that has a column is where links to it lead."""
    lines = []
    for name, sentence in attrs.get("text", {}).items():
        unit = attrs.get("units", {}).get(name, "")
        lines.append({"name": name, "unit": unit, "text": sentence, "anchor": name not in seen})
        seen.add(name)
    return lines


def _counted(counter: Counter[str], known: Sequence[str]) -> list[tuple[str, int, str]]:
    """Name, count and sentence; in the order of `known` where given, else the commonest first."""
    order = sorted(counter, key=lambda name: (known.index(name) if name in known else 99, -counter[name], name))
    return [(name, counter[name], explain(name)) for name in order]


def _cell(value: float, form: Any) -> dict[str, Any]:
    return {
        "value": f"{value:.9g}" if math.isfinite(value) else None,
        "shown": form(value) if math.isfinite(value) else "–",
    }


def thumbnail_png(rows: CandidateRows) -> bytes | None:
    """The difference image of the sector that shows the dip best; None where there is none."""
    best = _best_view(rows)
    return None if best is None else png(best.images["difference"], scale(best, "difference"), SIGNED_MAP)


def _thumbnail(rows: CandidateRows) -> tuple[str, int]:
    """The same as an address, and its sector."""
    best, image = _best_view(rows), thumbnail_png(rows)
    return ("", 0) if best is None or image is None else (data_url(image), best.sector)


def _best_view(rows: CandidateRows) -> SectorView | None:
    views = [view for view in rows.views if "difference" in view.images]
    return max(views, key=lambda view: view.figures.get("difference_snr") or 0.0, default=None)
