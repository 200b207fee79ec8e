"""All sectors of a candidate together: rows of ``candidates.parquet``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from batchvet.arrays import FloatArray
from batchvet.catalog.candidate import Candidate, move
from batchvet.errors import BatchvetError, Problem
from batchvet.results.evidence_rows import evidence_of_row
from batchvet.results.schema import HOST_NAMES
from batchvet.science.calibration import DEFAULT, Calibration
from batchvet.science.evidence import Part
from batchvet.science.joint import CandidateVerdict, HostCandidate, vet_candidate
from batchvet.science.joint_parts import JointParts, PartTogether
from batchvet.science.priors import Priors
from batchvet.science.sky import from_tangent_plane
from batchvet.science.star_verdicts import StarVerdict
from batchvet.vocabulary import ErrorKind, Flag, Verdict

_OF_A_PART = ("n_dips", "time_btjd", "depth_ppm", "depth_error_ppm", "significance_sigma")
_OF_TWO_PARTS = tuple(item.name for item in fields(JointParts) if item.name not in set(Part))
#: Middle of sector 1, and what is between two sectors: to a month, which no proper motion needs better.
_YEAR_OF_SECTOR_1, _YEARS_A_SECTOR = 2018.6, 0.075
_OF_A_STAR = tuple(item.name for item in fields(StarVerdict) if item.name not in ("east_arcsec", "north_arcsec"))
_OTHERWISE = ("parts", "stars", "host_candidates", "flags")  #: of a verdict, what has columns of other names


@dataclass(frozen=True)
class Judgement:
    """What is known of one candidate: its sectors' evidence, as the table holds it."""

    toi: str
    tic: int
    n_sectors: int  #: rows in `sectors`
    missing: bool  #: no sector could be used
    evidence: tuple[Mapping[str, Any], ...]  #: rows of `evidence`
    no_pixels: bool = False  #: no sector has pixels
    declared: Candidate | None = None  #: what the catalogue says of it
    made_from: str = ""  #: stands for all that the verdict depends on


@dataclass(frozen=True)
class Judge:
    """Work of a worker: what is known of a candidate into its row."""

    priors: Priors = field(default_factory=Priors)
    calibration: Calibration = DEFAULT

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the probabilities depend on, as JSON has it: candidates are judged again when it changes."""
        return self.calibration.judged_with(self.priors)

    def __call__(self, judgement: Judgement) -> dict[str, Any]:
        """The candidate's row, whatever happens: one that cannot be judged says why, and is judged again next time."""
        try:
            return self._judged(judgement)
        except BatchvetError as error:
            return not_judged(judgement, Problem.of(error), Flag.JUDGING_FAILED)
        except Exception as error:  # promise 1: the other candidates are judged
            return not_judged(judgement, Problem.internal(error), Flag.JUDGING_FAILED)

    def _judged(self, judgement: Judgement) -> dict[str, Any]:
        if judgement.declared is not None and judgement.declared.problem:
            problem = Problem(ErrorKind.BAD_CATALOGUE_ROW, judgement.declared.problem)
            return not_judged(judgement, problem, Flag.BAD_CATALOGUE_ROW) | {"verdict": Verdict.NO_DATA}
        evidence = [evidence_of_row(row) for row in judgement.evidence]
        verdict = vet_candidate(evidence, self.calibration, self.priors)
        flags = list(verdict.flags)
        if judgement.missing:
            flags.insert(0, Flag.NO_USABLE_SECTOR)
        changes = {"verdict": Verdict.NO_DATA} if judgement.no_pixels else {}
        return _row(judgement, verdict) | changes | {"flag_names": list(dict.fromkeys(flags))}


def judgement_lost(judgement: Judgement) -> dict[str, Any]:
    """A candidate under which workers died: its sectors' rows stand, the verdict is missing."""
    text = (
        f"TOI {judgement.toi}: its worker died three times while it was judged (out of memory, or longer than "
        "task_timeout_s); the next run tries again"
    )
    return not_judged(judgement, Problem(ErrorKind.KILLED, text), Flag.WORKER_KILLED)


def not_judged(judgement: Judgement, problem: Problem, flag: Flag) -> dict[str, Any]:
    """The row of a candidate whose verdict is missing, with the reason."""
    return {
        **_declared(judgement),
        "n_sectors_used": 0,
        "verdict": Verdict.INCONCLUSIVE,
        **host_columns(()),
        "flag_names": [flag],
        "error_kind": problem.kind,
        "error": problem.text,
    }


def _declared(judgement: Judgement) -> dict[str, Any]:
    """Name and target, and what the catalogue says; null where it says nothing."""
    row: dict[str, Any] = {name: getattr(judgement, name) for name in ("toi", "tic", "n_sectors", "made_from")}
    if judgement.declared is not None:
        names = ("depth_ppm", "tmag", "ra", "dec", "pmra", "pmdec")
        ephemeris = judgement.declared.ephemeris
        row |= {item.name: getattr(ephemeris, item.name) for item in fields(ephemeris)}
        row |= {name: getattr(judgement.declared, name) for name in names}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _row(judgement: Judgement, verdict: CandidateVerdict) -> dict[str, Any]:
    row = _declared(judgement)
    row |= {item.name: getattr(verdict, item.name) for item in fields(verdict) if item.name not in _OTHERWISE}
    row |= _part_columns(verdict.parts) | host_columns(verdict.host_candidates)
    east, north = verdict.offset_ra_arcsec, verdict.offset_dec_arcsec
    row["source_ra"], row["source_dec"] = map(float, _on_sky(judgement.declared, judgement.evidence, east, north))
    row["hosts"] = _star_rows(judgement, verdict.stars)
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def host_columns(hosts: Sequence[HostCandidate]) -> dict[str, list[Any]]:
    """Figures of the likely hosts: a list for each, in their order."""
    return {f"host_{name}": [getattr(host, name) for host in hosts] for name in HOST_NAMES}


def _star_rows(judgement: Judgement, stars: Sequence[StarVerdict]) -> list[dict[str, Any]]:
    """Rows of the table `hosts`, with places as the target stood in the first sector."""
    named = {name: getattr(judgement, name) for name in ("toi", "tic", "made_from")}
    tmag = judgement.declared.tmag if judgement.declared is not None else math.nan
    east, north = np.array([(star.east_arcsec, star.north_arcsec) for star in stars]).reshape(-1, 2).T
    ra, dec = _on_sky(judgement.declared, judgement.evidence[:1], east, north)
    rows = []
    for star, star_ra, star_dec in zip(stars, ra.tolist(), dec.tolist(), strict=True):
        row = named | {name: getattr(star, name) for name in _OF_A_STAR}
        row |= {
            "ra": star_ra,
            "dec": star_dec,
            "delta_tmag": star.tmag - tmag,
            "separation_arcsec": math.hypot(star.east_arcsec, star.north_arcsec),
            "position_angle_deg": math.degrees(math.atan2(star.east_arcsec, star.north_arcsec)) % 360.0,
            "depth_required_ppm": 1e6 * star.depth_required,
        }
        rows.append({name: None if value != value else value for name, value in row.items()})  # NaN is null
    return rows


def _on_sky(
    declared: Candidate | None, evidence: Sequence[Mapping[str, Any]], east: ArrayLike, north: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Right ascension and declination (deg) at offsets (arcsec) from where the target was in these sectors.

    Where the catalogue has no place, it is where the files had the target.
    """
    if not evidence:
        unknown = np.full(np.shape(east), math.nan)
        return unknown, unknown
    if declared is not None and math.isfinite(declared.ra):
        sector = sum(int(row["sector"]) for row in evidence) / len(evidence)
        years = _YEAR_OF_SECTOR_1 + _YEARS_A_SECTOR * (sector - 1.0) - 2000.0
        place = move(declared.ra, declared.dec, declared.pmra, declared.pmdec, years)
    else:
        ra = np.array([row["target_ra"] for row in evidence], dtype=np.float64)
        dec = np.array([row["target_dec"] for row in evidence], dtype=np.float64)
        place = float(ra[0] + np.mean((ra - ra[0] + 180.0) % 360.0 - 180.0)), float(np.mean(dec))
    return from_tangent_plane(east, north, *place)


def _part_columns(parts: JointParts) -> dict[str, Any]:
    """Figures of odd, even and secondary, and of how they differ."""
    columns: dict[str, Any] = {}
    for part in Part:
        found: PartTogether = getattr(parts, part)
        columns |= {f"{part}_{name}": getattr(found, name) for name in _OF_A_PART}
        columns[f"{part}_offset_arcsec"] = math.nan if found.offset is None else float(math.hypot(*found.offset))
    columns["secondary_phase"] = parts.secondary.phase
    return columns | {name: getattr(parts, name) for name in _OF_TWO_PARTS}
