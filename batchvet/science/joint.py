"""All sectors of a candidate together: one offset, one host, one verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from batchvet.science.attribution import Attribution, PossibleHost, attribute
from batchvet.science.calibration import DEFAULT, Calibration, normalised
from batchvet.science.evidence import SectorEvidence
from batchvet.science.sky_likelihood import BROAD, JointPosition, SectorSky, locate_jointly
from batchvet.science.verdict import LEAST_SNR, VerdictInput, decide

#: Error of a joint position that does not average down (SCIENCE 2e starts at 1.0"). With the zero point, PRF and
#: WCS errors in every sector's covariance already, simulated scenes leave none, WASP-126 about that.
POSITION_FLOOR_ARCSEC = 0.1
#: The same where stars are weighed against each other.
ATTRIBUTION_FLOOR_ARCSEC = 1.0
#: What SPOC's data validation adds to the error of an offset (Twicken et al. 2018).
CLASSICAL_FLOOR_ARCSEC = 2.5
#: Stars closer to the target than this, in errors of the joint position, are one group with it (SCIENCE 2f), but
#: only so near that no deeper dip or further sector would tell them apart: farther ones leave it ambiguous.
GROUP_SIGMA = 2.0
GROUP_ARCSEC = 4.0


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
    if not evidence:
        return _without_evidence(calibration)
    position, attribution = weigh(evidence)
    covariance = position.covariance + np.eye(2) * POSITION_FLOOR_ARCSEC**2
    sigma = math.sqrt(position.offset @ np.linalg.solve(covariance, position.offset))
    raw = normalised(attribution.log_weight)
    sources = {found.prf_source for found in evidence}
    source = sources.pop() if len(sources) == 1 else "empirical"
    p = calibration.probabilities(attribution.log_weight, position.snr, source)
    hosts, p_hosts = attribution.hosts, p[: len(attribution.hosts)]
    target = next(i for i, host in enumerate(hosts) if host.is_target)
    group = _unresolved(hosts, hosts[target], covariance)
    consistency = sector_consistency(evidence)
    verdict, flags = decide(
        VerdictInput(
            n_sectors=len(evidence),
            snr=position.snr,
            p_artefact=float(p[-1]),
            consistency_p=consistency,
            saturated=all("SATURATED_SOURCE" in found.flags for found in evidence),
            at_edge=all("SOURCE_AT_EDGE" in found.flags for found in evidence),
            p_target=float(p_hosts[target]),
            p_target_group=float(p_hosts[group].sum()),
            p_best_other=float(np.delete(p_hosts, target).max(initial=0.0)),
            offset_sigma=sigma,
        )
    )
    best = int(np.argmax(p[:-1]))
    dv_offset, dv_sigma = classical_offset(evidence)
    return CandidateVerdict(
        n_sectors_used=len(evidence),
        verdict=verdict,
        p_target=float(p_hosts[target]),
        p_target_raw=float(raw[target]),
        best_host_id=hosts[best].source_id if best < len(hosts) else "",
        p_best_host=float(p[best]),
        host_candidates=_likely(hosts, p_hosts),
        offset_arcsec=float(np.hypot(*position.offset)),
        offset_ra_arcsec=float(position.offset[0]),
        offset_dec_arcsec=float(position.offset[1]),
        offset_cov_ra_ra=float(covariance[0, 0]),
        offset_cov_ra_dec=float(covariance[0, 1]),
        offset_cov_dec_dec=float(covariance[1, 1]),
        significance_sigma=sigma,
        dv_offset_arcsec=dv_offset,
        dv_significance_sigma=dv_sigma,
        sector_consistency_p=consistency,
        flags=_flags(evidence, flags, p_hosts, group, p),
        calibration_version=calibration.version,
    )


def weigh(evidence: Sequence[SectorEvidence]) -> tuple[JointPosition, Attribution]:
    """Joint position, and raw weights of all hypotheses, from at least one sector (SCIENCE 2e, 2f)."""
    # One sector alone has nobody to outvote it.
    sectors = [SectorSky(found, BROAD if len(evidence) > 1 else 0.0) for found in evidence]
    position = locate_jointly(sectors)
    return position, attribute(sectors, position, ATTRIBUTION_FLOOR_ARCSEC)


def classical_offset(evidence: Sequence[SectorEvidence]) -> tuple[float, float]:
    """Weighted mean of the sectors' offsets (arcsec) and its significance with 2.5" of error added.

    As SPOC's data validation reports it (Twicken et al. 2018): independent axes, and an error of 2.5" added in
    quadrature to that of the mean's length.
    """
    offset = np.array([found.offset for found in evidence])
    variance = np.array([np.diag(found.offset_covariance) for found in evidence])
    mean_variance = 1.0 / (1.0 / variance).sum(axis=0)
    mean = mean_variance * (offset / variance).sum(axis=0)
    length = float(np.hypot(*mean))
    direction = mean / length if length > 0 else np.full(2, math.sqrt(0.5))
    return length, length / math.sqrt(direction**2 @ mean_variance + CLASSICAL_FLOOR_ARCSEC**2)


def sector_consistency(evidence: Sequence[SectorEvidence]) -> float:
    """Chance of sectors that differ at least this much from one position; NaN for fewer than two.

    Sectors that see the dip by themselves are compared: below, a position is a matter of chance.
    """
    seen = [found for found in evidence if found.snr >= LEAST_SNR]
    if len(seen) < 2:
        return math.nan
    inverse = [np.linalg.inv(found.offset_covariance + np.eye(2) * POSITION_FLOOR_ARCSEC**2) for found in seen]
    mean = np.linalg.solve(sum(inverse), sum(i @ found.offset for i, found in zip(inverse, seen, strict=True)))
    chi2 = sum((found.offset - mean) @ i @ (found.offset - mean) for i, found in zip(inverse, seen, strict=True))
    return float(gammaincc(len(seen) - 1, 0.5 * chi2))


def _unresolved(
    hosts: Sequence[PossibleHost], target: PossibleHost, covariance: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which stars, the target included, are one group with the target."""
    apart = np.array([[host.east - target.east, host.north - target.north] for host in hosts])
    squares = np.einsum("ni,ij,nj->n", apart, np.linalg.inv(covariance), apart)
    return (squares < GROUP_SIGMA**2) & (np.hypot(*apart.T) < GROUP_ARCSEC)


def _likely(hosts: Sequence[PossibleHost], p_hosts: NDArray[np.float64]) -> tuple[HostCandidate, ...]:
    """The most probable stars, as many as make up 95 %."""
    order = np.argsort(-p_hosts, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(p_hosts[order])[:-1]])
    return tuple(
        HostCandidate(hosts[i].source_id, float(p_hosts[i]), math.hypot(hosts[i].east, hosts[i].north), hosts[i].depth)
        for i in order[before < 0.95]
    )


def _flags(
    evidence: Sequence[SectorEvidence],
    obstacles: tuple[str, ...],
    p_hosts: NDArray[np.float64],
    group: NDArray[np.bool_],
    p: NDArray[np.float64],
) -> tuple[str, ...]:
    flags = list(obstacles)
    if not any(found.has_neighbours for found in evidence):
        flags.append("NO_NEIGHBOUR_TABLE")
    if np.sum(group & (p_hosts > 0.01)) > 1:
        flags.append("UNRESOLVED_NEIGHBOUR")
    if p[-2] > 0.5:
        flags.append("HOST_NOT_IN_TABLE")
    if any(found.prf_source == "empirical" for found in evidence):
        flags.append("EMPIRICAL_PRF")
    return tuple(flags)


def _without_evidence(calibration: Calibration) -> CandidateVerdict:
    """No sector could be localised."""
    verdict, flags = decide(VerdictInput(0, 0.0, 0.0, math.nan, False, False, 0.0, 0.0, 0.0, math.nan))
    text = {"verdict": verdict, "best_host_id": "", "calibration_version": calibration.version}
    known = {"n_sectors_used": 0, "host_candidates": (), "flags": flags, **text}
    numbers = (item.name for item in fields(CandidateVerdict) if item.name not in known)
    return CandidateVerdict(**known, **dict.fromkeys(numbers, math.nan))
