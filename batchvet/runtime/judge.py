"""All sectors of a candidate together: rows of ``candidates.parquet``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd

from batchvet.results.evidence_rows import evidence_of_row
from batchvet.science.joint import CandidateVerdict, vet_candidate


@dataclass(frozen=True)
class Judgement:
    """What is known of one candidate: its sectors' evidence, as the table holds it."""

    toi: str
    tic: int
    n_sectors: int  #: rows in `sectors`
    missing: bool  #: no sector has pixels
    evidence: tuple[Mapping[str, Any], ...]  #: rows of `evidence`


def judgements(sectors: pd.DataFrame, evidence: pd.DataFrame) -> list[Judgement]:
    """One for each candidate of `sectors`, sorted by target and name."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in evidence.sort_values(["toi", "sector"]).to_dict("records"):
        rows.setdefault(row["toi"], []).append(row)
    found = []
    for (tic, toi), group in sectors.groupby(["tic", "toi"], sort=True):
        nothing = bool((group["status"] != "ok").all())
        found.append(Judgement(toi, int(tic), len(group), nothing, tuple(rows.get(toi, ()))))
    return found


def judge(judgement: Judgement) -> dict[str, Any]:
    """The candidate's row."""
    evidence = [evidence_of_row(row) for row in judgement.evidence]
    verdict = vet_candidate(evidence)
    flags = list(verdict.flags)
    if judgement.missing:
        flags.insert(0, "NO_USABLE_SECTOR")
    return _row(judgement, verdict) | {"flags": list(dict.fromkeys(flags))}


def judgement_lost(judgement: Judgement) -> dict[str, Any]:
    """A candidate whose worker died: its sectors' rows stand, the verdict is missing."""
    return {
        "toi": judgement.toi,
        "tic": judgement.tic,
        "n_sectors": judgement.n_sectors,
        "n_sectors_used": 0,
        "verdict": "INCONCLUSIVE",
        "host_candidates": [],
        "flags": ["WORKER_KILLED"],
    }


def _row(judgement: Judgement, verdict: CandidateVerdict) -> dict[str, Any]:
    row = {"toi": judgement.toi, "tic": judgement.tic, "n_sectors": judgement.n_sectors}
    for item in fields(verdict):
        value = getattr(verdict, item.name)
        row[item.name] = None if isinstance(value, float) and math.isnan(value) else value
    row["host_candidates"] = [asdict(host) for host in verdict.host_candidates]
    return row
