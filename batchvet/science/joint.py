"""All sectors of a candidate together: one offset, one host, one verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaincc

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.attribution import Attribution, PossibleHost, attribute
from batchvet.science.calibration import DEFAULT, Calibration
from batchvet.science.circumstances import Circumstances
from batchvet.science.evidence import SectorEvidence
from batchvet.science.hypotheses import Hypotheses
from batchvet.science.joint_parts import JointParts
from batchvet.science.joint_position import JointPosition, locate_jointly
from batchvet.science.priors import Priors
from batchvet.science.sky_likelihood import SectorSky, all_sectors, joint_log_likelihood
from batchvet.science.star_verdicts import StarVerdict, dip_depth, star_verdicts
from batchvet.science.verdict import LEAST_SNR, VerdictInput, decide
from batchvet.vocabulary import EMPIRICAL, Flag, Verdict

#: Error of all positions that all sectors have in common and that does not average down, 1 sigma per axis (method: all
#: sectors). Simulated scenes have none; on the sky WASP-126 stands 0.6" off in both of its sectors, with either PRF.
POSITION_FLOOR_ARCSEC = 0.3
#: The same where the PRF is fitted: its error is alike in sectors in which the star stands alike. Dips put into
#: WASP-126's pixels come out 1 to 2.5" off in both sectors, in the same direction.
FITTED_PRF_FLOOR_ARCSEC = 0.5
#: What SPOC's data validation adds to the error of an offset (Twicken et al. 2018).
CLASSICAL_FLOOR_ARCSEC = 2.5
#: Stars closer to the target than this are one group with it (method: hosts), whatever the data: a group that shrank
#: as the errors do would turn a verdict into none when better data come.
GROUP_ARCSEC = 4.0

_DOUBT = 0.15  # without a table: share of the probability that is divided between the target and any other star
_IN_DOUBT = 0.3  # of the weight of all sectors: those whose stars' places are in doubt; one of three is enough
_SPOILT = 0.4  # where a bump may be the dip in every sector: share of the probability that it is
_PIXEL_ARCSEC = 21.0  # farther than stars that no table has could pull the target's place


@dataclass(frozen=True)
class HostCandidate:
    """A star that may have the dip."""

    source_id: str
    probability: float  #: calibrated
    separation_arcsec: float  #: from the target
    depth_required: float  #: eclipse that the star would need, at its deepest, fraction of its flux
    log_likelihood: float  #: that it has the dip, against no dip
    prior: float  #: before the pixels were asked


@dataclass(frozen=True)
class CandidateVerdict:
    """What all sectors together say about one candidate; NaN and empty where there was nothing to judge by."""

    n_sectors_used: int
    verdict: Verdict
    p_target: float = math.nan  #: calibrated probability that the target has the dip
    p_target_group: float = math.nan  #: the same of the target and the stars that cannot be told from it
    p_target_raw: float = math.nan  #: of the target, before calibration
    best_host_id: str = ""  #: most probable star; empty when no star of the table is
    p_best_host: float = math.nan  #: calibrated
    log_likelihood_target: float = math.nan  #: that the target has the dip, against no dip
    log_likelihood_not_in_table: float = math.nan  #: the same of a star that no table has, anywhere
    log_likelihood_artefact: float = math.nan  #: the same of an artefact
    prior_target: float = math.nan  #: of the target
    prior_not_in_table: float = math.nan  #: of a star that is not in the table
    host_candidates: tuple[HostCandidate, ...] = ()  #: stars by probability: those that make up 95 %, at least one
    offset_arcsec: float = math.nan  #: dip minus target
    offset_ra_arcsec: float = math.nan  #: east
    offset_dec_arcsec: float = math.nan  #: north
    offset_cov_ra_ra: float = math.nan  #: arcsec²
    offset_cov_ra_dec: float = math.nan  #: arcsec²
    offset_cov_dec_dec: float = math.nan  #: arcsec²
    significance_sigma: float = math.nan  #: sqrt(offset' covariance^-1 offset)
    dv_offset_arcsec: float = math.nan  #: weighted mean of the sectors' offsets, as SPOC's data validation has it
    dv_significance_sigma: float = math.nan  #: of it, with 2.5" added to the error in quadrature
    sector_consistency_p: float = math.nan  #: chance of sectors that differ this much; NaN for fewer than two
    stars: tuple[StarVerdict, ...] = ()  #: every star of the table, the likeliest first
    parts: JointParts = field(default_factory=JointParts)  #: odd and even transits, secondary eclipses
    flags: tuple[str, ...] = ()
    calibration_version: str = ""


def vet_candidate(  # house: one row of many columns
    evidence: Sequence[SectorEvidence], calibration: Calibration = DEFAULT, priors: Priors = Priors()
) -> CandidateVerdict:
    """Judge a candidate by all its sectors (method: all sectors; method: hosts; method: verdict).

    Parameters
    ----------
    evidence : sequence of SectorEvidence
        Of every sector that could be localised; may be empty, then the verdict is INCONCLUSIVE.
    calibration : Calibration
        How raw probabilities become calibrated ones.
    priors : Priors
    """
    if not evidence:
        verdict, flags = decide(VerdictInput(n_sectors=0))
        return CandidateVerdict(0, verdict, flags=flags, calibration_version=calibration.version)
    sectors = all_sectors(evidence)
    position, attribution = _weighed(sectors, priors)
    scale = calibration.error_scale
    covariance = scale**2 * (position.covariance + np.eye(2) * shared_error(evidence) ** 2)
    sigma = math.sqrt(position.offset @ np.linalg.solve(covariance, position.offset))
    raw, source = attribution.log_weight.normalised(), _prf_source(evidence)
    p = calibration.probabilities(_log_weight(sectors, position, attribution, calibration), position.snr, source)
    hosts, target = attribution.hosts, attribution.target
    has_table = any(found.has_neighbours for found in evidence)
    confined = _confined(evidence, position.offset, covariance)
    if not has_table and not confined:
        p = _doubted(p, target, far=np.hypot(*position.offset) > _PIXEL_ARCSEC)
    spoilt = all(Flag.SPOILT_DIP in found.flags for found in evidence)
    if spoilt:
        kept = 1.0 - _SPOILT
        p = Hypotheses.of(kept * p.hosts, kept * p.not_in_table, kept * p.artefact + _SPOILT)
    group = _unresolved(hosts, hosts[target])
    consistency = sector_consistency(evidence, scale)
    outside = position.snr >= LEAST_SNR and not calibration.holds(Circumstances.of(evidence, position.snr))
    verdict, flags = decide(
        VerdictInput(
            n_sectors=len(evidence),
            snr=position.snr,
            p_artefact=p.artefact,
            consistency_p=consistency,
            spoilt=spoilt,
            at_edge=all(Flag.SOURCE_AT_EDGE in found.flags for found in evidence),
            p_target=float(p.hosts[target]),
            p_target_group=float(p.hosts[group].sum()),
            p_best_other=float(np.delete(p.hosts, target).max(initial=0.0)),
            offset_sigma=sigma,
            has_table=has_table,
            confined=confined,
        )
    )
    best = p.best_star
    parts = JointParts.of(evidence, position.offset, scale**2 * position.covariance, scale * shared_error(evidence))
    dv_offset, dv_sigma = classical_offset(evidence)
    return CandidateVerdict(
        n_sectors_used=len(evidence),
        verdict=verdict,
        p_target=float(p.hosts[target]),
        p_target_group=float(p.hosts[group].sum()),
        p_target_raw=float(raw.hosts[target]),
        best_host_id="" if best is None else hosts[best].source_id,
        p_best_host=p.not_in_table if best is None else float(p.hosts[best]),
        log_likelihood_target=float(attribution.log_likelihood.hosts[target]),
        log_likelihood_not_in_table=attribution.log_likelihood.not_in_table,
        log_likelihood_artefact=attribution.log_likelihood.artefact,
        prior_target=float(np.exp(attribution.log_prior.hosts[target])),
        prior_not_in_table=float(np.exp(attribution.log_prior.not_in_table)),
        host_candidates=_likely(attribution, p.hosts, dip_depth(evidence)[0]),
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
        stars=star_verdicts(sectors, attribution, p.hosts, conclusive=has_table and verdict != Verdict.INCONCLUSIVE),
        parts=parts,
        flags=(*_flags(evidence, flags, p, group, outside), *parts.flags),
        calibration_version=calibration.version,
    )


def weigh(evidence: Sequence[SectorEvidence], priors: Priors = Priors()) -> tuple[JointPosition, Attribution]:
    """Joint position and raw weights of all hypotheses (method: all sectors; method: hosts).

    From at least one sector.
    """
    return _weighed(all_sectors(evidence), priors)


def _log_weight(
    sectors: Sequence[SectorSky], position: JointPosition, attribution: Attribution, calibration: Calibration
) -> Hypotheses:
    """Of every hypothesis, with errors of places as large as the calibration says."""
    if calibration.error_scale == 1.0:
        return attribution.log_weight
    there = float(joint_log_likelihood(sectors, position.offset[None])[0])
    best = max(there, float(attribution.log_likelihood.hosts.max()))
    stretched = calibration.stretched(attribution.log_likelihood, best)
    return Hypotheses(stretched.values + attribution.log_prior.values)


def _weighed(sectors: Sequence[SectorSky], priors: Priors) -> tuple[JointPosition, Attribution]:
    position = locate_jointly(sectors)
    return position, attribute(sectors, position, shared_error([sector.evidence for sector in sectors]), priors)


def shared_error(evidence: Sequence[SectorEvidence]) -> float:
    """Error of all positions that all sectors have in common, arcsec, 1 sigma per axis.

    Where most sectors' stars stand farther off than the WCS can err, something unlisted pulls them, in every sector
    the same way on the sky: their systematic error does not average down.
    """
    floor = FITTED_PRF_FLOOR_ARCSEC if _prf_source(evidence) == EMPIRICAL else POSITION_FLOOR_ARCSEC
    pulled = [found for found in evidence if Flag.ZERO_POINT_LARGE in found.flags]
    if 2 * len(pulled) <= len(evidence):
        return floor
    variance = [0.5 * np.trace(found.dip.systematic) * found.frame.pixel_area for found in pulled]
    return math.hypot(floor, math.sqrt(float(np.median(variance))))


def _prf_source(evidence: Sequence[SectorEvidence]) -> str:
    """The kind of PRF whose calibration holds: the worse one where sectors have different ones."""
    sources = {found.prf_source for found in evidence}
    return sources.pop() if len(sources) == 1 else EMPIRICAL


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


def sector_consistency(evidence: Sequence[SectorEvidence], error_scale: float = 1.0) -> float:
    """Chance of sectors that differ at least this much from one position; NaN for fewer than two.

    Sectors that see the dip by themselves are compared: below, a position is a matter of chance. Errors are multiplied
    by `error_scale`.
    """
    seen = [found for found in evidence if found.dip.snr >= LEAST_SNR]
    if len(seen) < 2:
        return math.nan
    inverse = [np.linalg.inv(found.offset_covariance + np.eye(2) * POSITION_FLOOR_ARCSEC**2) for found in seen]
    mean = np.linalg.solve(sum(inverse), sum(i @ found.offset for i, found in zip(inverse, seen, strict=True)))
    chi2 = sum((found.offset - mean) @ i @ (found.offset - mean) for i, found in zip(inverse, seen, strict=True))
    return float(gammaincc(len(seen) - 1, 0.5 * chi2 / error_scale**2))


def _doubted(p: Hypotheses, target: int, far: bool) -> Hypotheses:
    """Probabilities that give way: without a table nothing has been measured of the stars that may have the dip.

    A dip far from the target is not the target's all the same.
    """
    hosts, artefact = (1.0 - _DOUBT) * p.hosts, (1.0 - _DOUBT) * p.artefact
    hosts[target] += 0.0 if far else 0.5 * _DOUBT
    return Hypotheses.of(hosts, 1.0 - float(hosts.sum()) - artefact, artefact)


def _confined(evidence: Sequence[SectorEvidence], offset: FloatArray, covariance: FloatArray) -> bool:
    """Whether the dip lies, to 3 sigma, within the target's group, and nothing speaks against the stars' places.

    A few sectors of many in which something does are outvoted, as they are in the place: by their weight in it.
    """
    doubtful = {Flag.ZERO_POINT_LARGE, Flag.UNLISTED_BRIGHT_STAR, Flag.TARGET_POSITION_DISAGREES, Flag.POOR_PRF_FIT}
    reach = float(np.hypot(*offset)) + 3.0 * float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
    weight = np.array([np.trace(np.linalg.inv(found.offset_covariance)) for found in evidence])
    in_doubt = weight[[bool(doubtful & set(found.flags)) for found in evidence]].sum()
    return bool(reach < GROUP_ARCSEC and in_doubt < _IN_DOUBT * weight.sum())


def _unresolved(hosts: Sequence[PossibleHost], target: PossibleHost) -> BoolArray:
    """Which stars, the target included, are one group with the target."""
    return np.array([math.hypot(host.east - target.east, host.north - target.north) < GROUP_ARCSEC for host in hosts])


def _likely(attribution: Attribution, p_hosts: FloatArray, deepest: float) -> tuple[HostCandidate, ...]:
    """The most probable stars, as many as make up 95 %; the dip is so many times as deep as was measured."""
    order = np.argsort(-p_hosts, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(p_hosts[order])[:-1]])
    hosts = attribution.hosts
    return tuple(
        HostCandidate(
            source_id=hosts[i].source_id,
            probability=float(p_hosts[i]),
            separation_arcsec=math.hypot(hosts[i].east, hosts[i].north),
            depth_required=float(deepest * hosts[i].depth),
            log_likelihood=hosts[i].log_likelihood,
            prior=float(np.exp(attribution.log_prior.hosts[i])),
        )
        for i in order[before < 0.95]
    )


def _flags(
    evidence: Sequence[SectorEvidence], obstacles: tuple[str, ...], p: Hypotheses, group: BoolArray, outside: bool
) -> tuple[str, ...]:
    """What stands in the way of a verdict, and what else to know."""
    raised = {
        Flag.NO_NEIGHBOUR_TABLE: not any(found.has_neighbours for found in evidence),
        Flag.UNRESOLVED_NEIGHBOUR: bool(np.sum(group & (p.hosts > 0.01)) > 1),
        Flag.HOST_NOT_IN_TABLE: p.not_in_table > 0.5,
        Flag.OUTSIDE_CALIBRATION: outside,
        Flag.EMPIRICAL_PRF: any(found.prf_source == EMPIRICAL for found in evidence),
    }
    return (*obstacles, *(flag for flag, present in raised.items() if present))
