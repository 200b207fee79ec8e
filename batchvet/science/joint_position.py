"""Where all sectors together see the dip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.floors import LEAST_INFORMATION
from batchvet.science.likelihood_map import log_sum, with_the_rest
from batchvet.science.priors import APERTURE_ARCSEC
from batchvet.science.sky_likelihood import Dips, SectorSky, joint_log_likelihood, starts_of

#: Share of unlisted stars that are anywhere on the stamp.
ANYWHERE = 0.2

_WINDOW = 5.0  # half width of the fine grid, in standard deviations
_NODES = 41  # of the fine grid, each way
_COARSE_STEP = 4.0  # arcsec
_SEEN_ALONE = 5.0  # signal to noise of a sector that sees the dip by itself


@dataclass(frozen=True, eq=False)
class JointPosition:
    """Where all sectors together see the dip."""

    offset: FloatArray  #: arcsec (east, north) of the target
    covariance: FloatArray  #: arcsec²
    snr: float  #: of the dip there, all sectors
    log_evidence: float  #: of a dip on a star that is in no table, anywhere on the stamps, against no dip


def locate_jointly(sectors: Sequence[SectorSky]) -> JointPosition:
    """Where the joint likelihood has its maximum, with the covariance of all of it (method: all sectors).

    Without a floor on the error yet.
    """
    frames = [sector.evidence.frame for sector in sectors]
    reach = max(frame.reach for frame in frames)
    axis = np.arange(-reach, reach + _COARSE_STEP, _COARSE_STEP)
    coarse = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    coarse_log = _over_the_sky(sectors, coarse)
    starts = np.array([coarse.reshape(-1, 2)[coarse_log.argmax()], *(s.evidence.offset for s in sectors)])
    start_log = joint_log_likelihood(sectors, starts)
    centre = starts[start_log.argmax()]
    area = min(frame.pixel_area * frame.shape[0] * frame.shape[1] for frame in frames)
    covariance = np.linalg.inv(sum(np.linalg.inv(s.evidence.offset_covariance) for s in sectors))
    for _ in range(4):
        half = min(_WINDOW * np.sqrt(np.linalg.eigvalsh(covariance)[-1]), reach)
        middle = centre
        window = _Window.of(sectors, middle, half)
        centre, covariance = window.moments()
    log_inside, log_evidence = window.log_integrals(area)
    seen = np.any([sector.reaches(coarse) for sector in sectors], axis=0)
    outside = (np.abs(coarse - middle).max(axis=-1) > half) & seen
    rest = coarse_log[outside] + 2 * np.log(_COARSE_STEP)
    covariance = with_the_rest(centre, covariance, log_inside, coarse[outside], rest)
    weighted = coarse_log[outside] + _log_density(coarse[outside], area)
    elsewhere = float(log_sum(weighted)) + 2 * np.log(_COARSE_STEP)
    snr = _joint_snr(sectors, centre)
    return JointPosition(centre, covariance, snr, float(np.logaddexp(log_evidence, elsewhere)))


def _over_the_sky(sectors: Sequence[SectorSky], offsets: FloatArray) -> FloatArray:
    """`joint_log_likelihood` at `offsets` [..., 2]; where no sector has a map there is no dip, everywhere alike."""
    known = np.any([sector.knows(offsets) for sector in sectors], axis=0)
    log_like = np.empty(known.shape)
    log_like[known] = joint_log_likelihood(sectors, offsets[known])
    if not known.all():
        log_like[~known] = joint_log_likelihood(sectors, offsets[~known][:1])
    return log_like


@dataclass(frozen=True, eq=False)
class _Window:
    """The joint likelihood in a square, on a fine grid."""

    offsets: FloatArray  #: arcsec (east, north), [node, 2]
    log_likelihood: FloatArray  #: [node]
    step: float  #: arcsec

    @classmethod
    def of(cls, sectors: Sequence[SectorSky], centre: FloatArray, half: float) -> _Window:
        """About `centre`, `half` to every side."""
        axis = np.linspace(-half, half, _NODES)
        offsets = centre + np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        return cls(offsets, joint_log_likelihood(sectors, offsets), float(axis[1] - axis[0]))

    @cached_property
    def _weight(self) -> FloatArray:
        """Of each node, the likeliest having 1."""
        return np.asarray(np.exp(self.log_likelihood - self.log_likelihood.max()))

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and covariance."""
        total = self._weight.sum()
        mean = self._weight @ self.offsets / total
        residual = self.offsets - mean
        covariance = (self._weight[:, None] * residual).T @ residual / total
        return mean, covariance + np.eye(2) * self.step**2 / 12

    def log_integrals(self, area: float) -> tuple[float, float]:
        """Of the likelihood, and of it as the evidence of an unlisted star there."""
        cell = 2 * math.log(self.step)
        inside = float(np.log(self._weight.sum()) + self.log_likelihood.max() + cell)
        evidence = log_sum(self.log_likelihood + _log_density(self.offsets, area))
        return inside, float(evidence) + cell


def _log_density(offsets: FloatArray, area: float) -> FloatArray:
    """Prior density (ln 1/arcsec²) of an unlisted star's place: in the light of the aperture, or anywhere."""
    squares = np.sum(offsets**2, axis=-1) / APERTURE_ARCSEC**2
    near = np.exp(-0.5 * squares) / (2 * np.pi * APERTURE_ARCSEC**2)
    return np.asarray(np.log((1.0 - ANYWHERE) * near + ANYWHERE / area))


def _joint_snr(sectors: Sequence[SectorSky], offset: FloatArray) -> float:
    """Signal to noise of one dip at `offset` in all sectors that see it, less the price of having looked for its time.

    A sector in which the dip is not seen, though it should be, does not lower it, if any sector sees it by itself.
    Else it is at most what all sectors have together: of many, some always agree on some place.
    """
    dips = Dips.of(sectors, offset[None])
    snr, weight = dips.snr[:, 0], dips.weight[:, 0]
    found = -np.inf, np.ones(len(sectors))
    for share in starts_of(sectors):
        for _ in range(3):
            flux = max(float(share @ (snr * weight)), 0.0) / max(float(share @ weight**2), LEAST_INFORMATION)
            mixed, believed = dips.believed(np.array([flux]))
            share, total = believed[:, 0], float(mixed.sum())
        found = max(found, (total, share), key=lambda one: one[0])
    prices = np.array([sector.evidence.timing_price for sector in sectors])

    def together(share: FloatArray) -> float:
        score = float(share @ (snr * weight)) / max(float(np.sqrt(share @ weight**2)), LEAST_INFORMATION)
        return float(np.sqrt(max(score**2 - 2.0 * float(share @ prices), 0.0))) if score > 0 else score

    seen_alone = max(sector.evidence.dip.snr for sector in sectors) >= _SEEN_ALONE
    return together(found[1]) if seen_alone else min(together(found[1]), together(np.ones(len(sectors))))
