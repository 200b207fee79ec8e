"""Which star has the dip: the likelihood of every star of the table, of none of them, and of an artefact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchvet.science.evidence import HostEvidence
from batchvet.science.hosts import DEEPEST
from batchvet.science.hypotheses import Hypotheses
from batchvet.science.joint_position import JointPosition
from batchvet.science.priors import Priors, aperture_weight, log_priors
from batchvet.science.sky_likelihood import SectorSky
from batchvet.science.star_likelihoods import StarLikelihoods
from batchvet.science.stars import ZERO_POINT

_LEAST_SNR = 0.1  # a sector without any dip counts as one of this signal to noise


@dataclass(frozen=True)
class PossibleHost:
    """A star of the table, all sectors together."""

    source_id: str
    is_target: bool
    east: float  #: arcsec from the target
    north: float  #: arcsec from the target
    tmag: float  #: TESS magnitude; NaN when unknown
    depth: float  #: eclipse depth that it would need, fraction of its flux
    log_likelihood: float  #: against no dip


@dataclass(frozen=True)
class Attribution:
    """Unnormalised posterior of all hypotheses."""

    hosts: tuple[PossibleHost, ...]  #: the target first
    log_likelihood: Hypotheses  #: of those hosts, and of none of them, against no dip
    log_prior: Hypotheses  #: of the same

    @property
    def log_weight(self) -> Hypotheses:
        """Of each hypothesis: likelihood times prior."""
        return Hypotheses(self.log_likelihood.values + self.log_prior.values)

    @property
    def target(self) -> int:
        """Number of the declared target among the hosts."""
        return next(i for i, host in enumerate(self.hosts) if host.is_target)


def attribute(
    sectors: Sequence[SectorSky], position: JointPosition, floor_arcsec: float, priors: Priors
) -> Attribution:
    """Weigh every hypothesis (method: hosts).

    Parameters
    ----------
    sectors : sequence of SectorSky
        At least one.
    position : JointPosition
        Of the same sectors.
    floor_arcsec : float
        Error of all stars' places that all sectors have in common.
    priors : Priors
    """
    hosts = _hosts(sectors, floor_arcsec)
    hosts.sort(key=lambda host: not host.is_target)
    artefact = sum((float(s.mixed(np.asarray(s.evidence.artefact))) for s in sectors), 0.0)
    log_likelihood = Hypotheses.of(
        hosts=np.array([host.log_likelihood for host in hosts]),
        not_in_table=position.log_evidence,
        artefact=artefact,
    )
    weight = aperture_weight(np.array([host.east for host in hosts]), np.array([host.north for host in hosts]))
    is_target = np.array([host.is_target for host in hosts])
    able = np.array([host.depth <= 1.5 * DEEPEST for host in hosts])
    of_hosts, not_in_table = log_priors(weight, is_target, able, _unlisted(sectors), priors)
    return Attribution(
        tuple(hosts), log_likelihood, Hypotheses.of(of_hosts, not_in_table, float(np.log(priors.artefact)))
    )


def _unlisted(sectors: Sequence[SectorSky]) -> float:
    """Expected weight of stars bright enough for the dip that the table does not go deep enough for."""
    evidence = [sector.evidence for sector in sectors]
    trust = np.array([max(found.dip.snr, _LEAST_SNR) ** 2 for found in evidence])
    lost = np.array([found.dip.flux * 10.0 ** (-0.4 * _zero_point(found.hosts)) for found in evidence])
    able_tmag = -2.5 * float(np.log10(trust @ lost / trust.sum()))
    return float(np.mean([found.table.unlisted(able_tmag) for found in evidence]))


def _zero_point(hosts: HostEvidence) -> float:
    """TESS magnitude of 1 e-/s on the scale of the stars whose magnitudes are known."""
    known = np.isfinite(hosts.tmag)
    if not known.any():
        return ZERO_POINT
    return float(np.median(hosts.tmag[known] + 2.5 * np.log10(hosts.flux[known])))


def _hosts(sectors: Sequence[SectorSky], floor_arcsec: float) -> list[PossibleHost]:
    """Every star of the table, in all sectors."""
    first: dict[str, tuple[HostEvidence, int]] = {}
    for sector in sectors:
        for number, source_id in enumerate(sector.evidence.hosts.source_id):
            first.setdefault(source_id, (sector.evidence.hosts, number))
    depth, log_likelihood = StarLikelihoods.of(sectors, list(first)).best(floor_arcsec)
    return [
        PossibleHost(
            source_id=source_id,
            is_target=bool(hosts.is_target[number]),
            east=float(hosts.east[number]),
            north=float(hosts.north[number]),
            tmag=float(hosts.tmag[number]),
            depth=float(depth[i]),
            log_likelihood=float(log_likelihood[i]),
        )
        for i, (source_id, (hosts, number)) in enumerate(first.items())
    ]
