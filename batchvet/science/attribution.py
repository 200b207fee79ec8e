"""Which star has the dip: the likelihood of every star of the table, of none of them, and of an artefact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.floors import LEAST_INFORMATION, LEAST_PRIOR
from batchvet.science.hosts import DEEPEST
from batchvet.science.hypotheses import Hypotheses
from batchvet.science.sky_likelihood import APERTURE_ARCSEC, FLUX_SCATTER, JointPosition, SectorSky

#: Prior probabilities; what they leave is the stars' of the table.
PRIOR_NOT_IN_TABLE = 0.01
PRIOR_ARTEFACT = 0.01
#: Of the table's share, the target's: about half of all candidates that pixels rule on are on it.
PRIOR_TARGET = 0.45
#: Beyond the aperture a neighbour's light falls to this share.
FAR_WEIGHT = 0.03

_LEAST_SHARE_SNR = 0.1  # a sector without any dip counts as one of this signal to noise among the others


@dataclass(frozen=True)
class PossibleHost:
    """A star of the table, all sectors together."""

    source_id: str
    is_target: bool
    east: float  #: arcsec from the target
    north: float  #: arcsec from the target
    depth: float  #: eclipse depth that it would need, fraction of its flux
    log_likelihood: float  #: against no dip


@dataclass(frozen=True)
class Attribution:
    """Unnormalised posterior of all hypotheses."""

    hosts: tuple[PossibleHost, ...]  #: the target first
    log_weight: Hypotheses  #: of those hosts, and of none of them

    @property
    def target(self) -> int:
        """Number of the declared target among the hosts."""
        return next(i for i, host in enumerate(self.hosts) if host.is_target)


def attribute(sectors: Sequence[SectorSky], position: JointPosition, floor_arcsec: float) -> Attribution:
    """Weigh every hypothesis (method: hosts).

    Parameters
    ----------
    sectors : sequence of SectorSky
        At least one.
    position : JointPosition
        Of the same sectors.
    floor_arcsec : float
        Position error that all sectors have in common.
    """
    hosts = [_host(star, sectors) for star in _stars(sectors, floor_arcsec)]
    hosts.sort(key=lambda host: not host.is_target)
    artefact = sum((float(s.mixed(np.asarray(s.evidence.artefact))) for s in sectors), 0.0)
    likelihood = np.array([host.log_likelihood for host in hosts])
    log_weight = Hypotheses.of(
        hosts=likelihood + log_prior(hosts),
        not_in_table=position.log_evidence + np.log(PRIOR_NOT_IN_TABLE),
        artefact=artefact + np.log(PRIOR_ARTEFACT),
    )
    return Attribution(tuple(hosts), log_weight)


def log_prior(hosts: Sequence[PossibleHost]) -> FloatArray:
    """`PRIOR_TARGET` for the target, the rest for neighbours bright enough for the dip, by their distance.

    A prior that is flat in the log of the depth gives every star that can have the dip the same weight. But the
    dip was found in the light of the target's aperture, and a far star's light hardly gets there.
    """
    is_target = np.array([host.is_target for host in hosts])
    able = np.array([host.depth <= 1.5 * DEEPEST for host in hosts])
    distance = np.array([np.hypot(host.east, host.north) for host in hosts])
    weight = np.exp(-0.5 * (distance / APERTURE_ARCSEC) ** 2) + FAR_WEIGHT
    of_able = max(weight[able & ~is_target].sum(), LEAST_PRIOR)
    of_table = 1.0 - PRIOR_NOT_IN_TABLE - PRIOR_ARTEFACT
    share = PRIOR_TARGET if np.any(able & ~is_target) else 1.0
    of_neighbour = (1.0 - share) * np.minimum(weight / of_able, 1.0) + LEAST_PRIOR
    return np.asarray(np.log(of_table * np.where(is_target, share, of_neighbour)))


@dataclass(frozen=True, eq=False)
class _StarInSector:
    """Quadratic log likelihood of the eclipse depth, flux error and shift of one star in one sector."""

    sector: SectorSky
    star: int  #: its number in that sector's evidence
    score: FloatArray  #: by (depth, row, col) at depth 0, [3]
    information: FloatArray  #: of (depth, row, col), [3, 3]
    nuisance: FloatArray  #: prior covariance of (relative flux error, row shift, column shift), [3, 3]

    @classmethod
    def build(cls, sector: SectorSky, star: int, floor_arcsec: float) -> _StarInSector:
        found = sector.evidence
        depth_unit = found.hosts.flux[star] / found.dip.flux  # the evidence is in units of the sector's own dip
        nuisance = np.zeros((3, 3))
        nuisance[0, 0] = FLUX_SCATTER**2
        floor = floor_arcsec**2 / found.frame.pixel_area
        nuisance[1:, 1:] = found.dip.systematic + floor * np.eye(2)
        scale = found.noise_scale
        return cls(
            sector,
            star,
            found.hosts.score[star] * depth_unit / scale,
            found.hosts.information[star] * depth_unit**2 / scale,
            nuisance,
        )

    def log_likelihood(self, depth: FloatArray) -> FloatArray:
        """Of each eclipse depth [n], errors of flux and position marginalised, the sector perhaps wrong."""
        depth = depth[:, None]
        gradient = depth * self.score - depth**2 * self.information[0]
        inner = np.eye(3) + self.nuisance @ (depth[:, :, None] ** 2 * self.information)
        moved = np.linalg.solve(inner, (gradient @ self.nuisance)[..., None])[..., 0]
        value = depth[:, 0] * self.score[0] - 0.5 * depth[:, 0] ** 2 * self.information[0, 0]
        value = value + 0.5 * np.einsum("ni,ni->n", gradient, moved) - 0.5 * np.linalg.slogdet(inner)[1]
        return self.sector.mixed(value)


def _stars(sectors: Sequence[SectorSky], floor_arcsec: float) -> list[list[_StarInSector]]:
    """Every star of the table, in all sectors."""
    # A floor that is to remain after averaging must be larger in each of the sectors that are averaged.
    share = np.array([max(sector.evidence.dip.snr, _LEAST_SHARE_SNR) ** 2 for sector in sectors])
    floor = floor_arcsec * np.sqrt(share.sum() ** 2 / (share**2).sum())
    seen: dict[str, list[_StarInSector]] = {}
    for sector in sectors:
        for number, source_id in enumerate(sector.evidence.hosts.source_id):
            seen.setdefault(source_id, []).append(_StarInSector.build(sector, number, floor))
    return list(seen.values())


def _host(star: Sequence[_StarInSector], sectors: Sequence[SectorSky]) -> PossibleHost:
    """One star as the host: its best eclipse depth, the same in all sectors, and the likelihood of that.

    A sector whose stamp does not reach the star says nothing about it: its log likelihood is that of no dip.
    """
    score = np.array([s.score[0] for s in star])
    information = np.array([s.information[0, 0] for s in star])
    own = score / np.maximum(information, LEAST_INFORMATION)
    depth = float(score.sum() / max(information.sum(), LEAST_INFORMATION))
    # A wrong sector may pull the mean: each sector's own depth is tried too.
    trials = np.clip(np.array([depth, *own]), 0.0, DEEPEST)
    seen = {id(s.sector) for s in star}
    unseen = sum((float(s.mixed(np.zeros(()))) for s in sectors if id(s) not in seen), 0.0)
    log_likelihood = unseen + sum(s.log_likelihood(trials) for s in star)
    hosts, number = star[0].sector.evidence.hosts, star[0].star
    return PossibleHost(
        source_id=hosts.source_id[number],
        is_target=bool(hosts.is_target[number]),
        east=float(hosts.east[number]),
        north=float(hosts.north[number]),
        depth=depth,
        log_likelihood=float(np.max(log_likelihood)),
    )
