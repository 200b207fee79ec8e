"""All sectors of a candidate together: rows of ``candidates.parquet``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from batchvet.results.evidence_rows import evidence_of_row
from batchvet.science.calibration import DEFAULT
from batchvet.science.evidence import Part
from batchvet.science.joint import CandidateVerdict, vet_candidate
from batchvet.science.joint_parts import JointParts, PartTogether
from batchvet.science.priors import Priors
from batchvet.vocabulary import Flag, Status, Verdict

if TYPE_CHECKING:
    import pandas as pd  # for the client only: workers judge without it

_OF_A_PART = ("n_dips", "time_btjd", "depth_ppm", "depth_error_ppm", "significance_sigma")
_OF_TWO_PARTS = tuple(item.name for item in fields(JointParts) if item.name not in set(Part))


@dataclass(frozen=True)
class Judgement:
    """What is known of one candidate: its sectors' evidence, as the table holds it."""

    toi: str
    tic: int
    n_sectors: int  #: rows in `sectors`
    missing: bool  #: no sector has pixels
    evidence: tuple[Mapping[str, Any], ...]  #: rows of `evidence`


def judgements(sectors: pd.DataFrame, evidence: pd.DataFrame) -> list[Judgement]:
    """One for each candidate of `sectors`, sorted by target and name.

    Parameters
    ----------
    sectors : DataFrame
        With the columns `toi`, `tic` and `status` of that table.
    evidence : DataFrame
        That table whole.
    """
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in evidence.sort_values(["toi", "sector"]).to_dict("records"):
        rows.setdefault(row["toi"], []).append({str(name): value for name, value in row.items()})
    found = []
    for _, group in sectors.groupby(["tic", "toi"], sort=True):
        toi, tic = str(group["toi"].iloc[0]), int(group["tic"].iloc[0])
        nothing = bool((group["status"] != Status.OK).all())
        found.append(Judgement(toi, tic, len(group), nothing, tuple(rows.get(toi, ()))))
    return found


@dataclass(frozen=True)
class Judge:
    """Work of a worker: what is known of a candidate into its row."""

    priors: Priors = field(default_factory=Priors)

    @property
    def settings(self) -> dict[str, Any]:
        """What the probabilities depend on, as JSON has it: candidates are judged again when it changes."""
        return {"calibration": DEFAULT.version, **asdict(self.priors)}

    def __call__(self, judgement: Judgement) -> dict[str, Any]:
        evidence = [evidence_of_row(row) for row in judgement.evidence]
        verdict = vet_candidate(evidence, DEFAULT, self.priors)
        flags = list(verdict.flags)
        if judgement.missing:
            flags.insert(0, Flag.NO_USABLE_SECTOR)
        return _row(judgement, verdict) | {"flags": list(dict.fromkeys(flags))}


def judgement_lost(judgement: Judgement) -> dict[str, Any]:
    """A candidate whose worker died: its sectors' rows stand, the verdict is missing."""
    return {
        "toi": judgement.toi,
        "tic": judgement.tic,
        "n_sectors": judgement.n_sectors,
        "n_sectors_used": 0,
        "verdict": Verdict.INCONCLUSIVE,
        "host_candidates": [],
        "flags": [Flag.WORKER_KILLED],
    }


def _row(judgement: Judgement, verdict: CandidateVerdict) -> dict[str, Any]:
    row: dict[str, Any] = {"toi": judgement.toi, "tic": judgement.tic, "n_sectors": judgement.n_sectors}
    row |= {item.name: getattr(verdict, item.name) for item in fields(verdict) if item.name != "parts"}
    row |= _part_columns(verdict.parts)
    row["host_candidates"] = [asdict(host) for host in verdict.host_candidates]
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _part_columns(parts: JointParts) -> dict[str, Any]:
    """Figures of odd, even and secondary, and of how they differ."""
    columns: dict[str, Any] = {}
    for part in Part:
        found: PartTogether = getattr(parts, part)
        columns |= {f"{part}_{name}": getattr(found, name) for name in _OF_A_PART}
        columns[f"{part}_offset_arcsec"] = math.nan if found.offset is None else float(math.hypot(*found.offset))
    columns["secondary_phase"] = parts.secondary.phase
    return columns | {name: getattr(parts, name) for name in _OF_TWO_PARTS}
