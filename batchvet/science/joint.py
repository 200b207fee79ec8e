"""All sectors of a candidate together: one offset, one host, one verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchvet.science.calibration import DEFAULT, Calibration
from batchvet.science.evidence import SectorEvidence


@dataclass(frozen=True)
class HostCandidate:
    """A star that may have the dip."""

    source_id: str
    probability: float  #: calibrated
    separation_arcsec: float  #: from the target
    depth_required: float  #: eclipse depth that the star would need, fraction of its flux


@dataclass(frozen=True)
class CandidateVerdict:
    """What all sectors together say about one candidate."""

    n_sectors_used: int
    verdict: str  #: ON_TARGET, OFF_TARGET, AMBIGUOUS or INCONCLUSIVE
    p_target: float  #: calibrated probability that the target has the dip
    p_target_raw: float  #: before calibration
    best_host_id: str  #: most probable star; empty when no star of the table is
    p_best_host: float  #: calibrated
    host_candidates: tuple[HostCandidate, ...]  #: stars by probability: those that make up 95 %, at least one
    offset_arcsec: float  #: dip minus target
    offset_ra_arcsec: float  #: east
    offset_dec_arcsec: float  #: north
    offset_cov_ra_ra: float  #: arcsec²
    offset_cov_ra_dec: float  #: arcsec²
    offset_cov_dec_dec: float  #: arcsec²
    significance_sigma: float  #: sqrt(offset' covariance^-1 offset)
    dv_offset_arcsec: float  #: weighted mean of the sectors' offsets, as SPOC's data validation has it
    dv_significance_sigma: float  #: of it, with 2.5" added to the error in quadrature
    sector_consistency_p: float  #: chance of sectors that differ this much; NaN for fewer than two
    flags: tuple[str, ...]
    calibration_version: str


def vet_candidate(evidence: Sequence[SectorEvidence], calibration: Calibration = DEFAULT) -> CandidateVerdict:
    """Judge a candidate by all its sectors (SCIENCE 2e to 2g).

    Parameters
    ----------
    evidence : sequence of SectorEvidence
        Of every sector that could be localised; may be empty, then the verdict is INCONCLUSIVE.
    calibration : Calibration
        How raw probabilities become calibrated ones.
    """
    raise NotImplementedError
