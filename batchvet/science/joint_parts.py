"""Odd transits, even ones and secondary eclipses of all sectors together: how deep they are, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.evidence import Part, PartDip, SectorEvidence
from batchvet.science.verdict import LEAST_SNR
from batchvet.vocabulary import Flag

_CLEAR = 4.0  # sigma of a difference that is flagged: one time in 16,000 by chance in depth, in 3,000 in place
_SAMPLING = 0.01  # of the depth: exposures cut ingress and egress of odd and even transits differently
_SAME_PHASE = 2.0  # sigma between the sectors' phases of one secondary eclipse


@dataclass(frozen=True, eq=False)
class PartTogether:
    """One kind of dips in all sectors; what could not be measured is NaN."""

    n_dips: int = 0
    time_btjd: float = math.nan  #: mid-time of the first that was seen, BTJD, days
    phase: float = math.nan  #: of the candidate's period
    depth_ppm: float = math.nan  #: of the light of the target
    depth_error_ppm: float = math.nan  #: 1 sigma, from the noise
    offset: FloatArray | None = None  #: from the target, arcsec (east, north); None where it is too faint
    covariance: FloatArray | None = None  #: of `offset`, arcsec², from the noise
    significance_sigma: float = math.nan  #: of `offset`, all errors included

    def apart(self, offset: FloatArray, covariance: FloatArray) -> tuple[float, float]:
        """Arcsec and sigma between this and another place of that covariance."""
        if self.offset is None or self.covariance is None:
            return math.nan, math.nan
        difference = self.offset - offset
        sigma = math.sqrt(difference @ np.linalg.solve(self.covariance + covariance, difference))
        return float(np.hypot(*difference)), sigma


@dataclass(frozen=True, eq=False)
class JointParts:
    """Odd, even and secondary, and how they differ (method: odd, even, secondary)."""

    odd: PartTogether = PartTogether()
    even: PartTogether = PartTogether()
    secondary: PartTogether = PartTogether()
    odd_even_depth_sigma: float = math.nan  #: difference of the depths over its error
    odd_even_offset_arcsec: float = math.nan  #: between the two places
    odd_even_offset_sigma: float = math.nan  #: over its error
    secondary_from_dip_arcsec: float = math.nan  #: between the secondary eclipse and the dip
    secondary_from_dip_sigma: float = math.nan  #: over its error

    @classmethod
    def of(
        cls, evidence: Sequence[SectorEvidence], offset: FloatArray, covariance: FloatArray, shared_arcsec: float
    ) -> JointParts:
        """All sectors' parts.

        Parameters
        ----------
        evidence : sequence of SectorEvidence
        offset, covariance : array, arcsec and arcsec², [2] and [2, 2]
            Of the candidate's dip, all sectors together, from the noise.
        shared_arcsec : float
            Error of all positions that all sectors have in common, 1 sigma per axis.
        """
        odd, even, secondary = (_together(part, evidence, shared_arcsec) for part in Part)
        floor = np.eye(2) * shared_arcsec**2
        depth_sigma = apart = apart_sigma = math.nan
        if odd.n_dips and even.n_dips:
            error = math.hypot(odd.depth_error_ppm, even.depth_error_ppm, _SAMPLING * (odd.depth_ppm + even.depth_ppm))
            depth_sigma = abs(odd.depth_ppm - even.depth_ppm) / error
        if even.offset is not None and even.covariance is not None:
            apart, apart_sigma = odd.apart(even.offset, even.covariance + floor)
        return cls(odd, even, secondary, depth_sigma, apart, apart_sigma, *secondary.apart(offset, covariance + floor))

    @property
    def flags(self) -> tuple[str, ...]:
        """What is clearly not as a planet's dips are."""
        raised = {
            Flag.ODD_EVEN_DIFFER: self.odd_even_depth_sigma > _CLEAR or self.odd_even_offset_sigma > _CLEAR,
            Flag.SECONDARY_SEEN: self.secondary.n_dips > 0,
            Flag.SECONDARY_ELSEWHERE: self.secondary_from_dip_sigma > _CLEAR,
        }
        return tuple(flag for flag, present in raised.items() if present)


def _together(part: Part, evidence: Sequence[SectorEvidence], shared_arcsec: float) -> PartTogether:
    """One part: inverse variance means of the depths, inverse covariance means of the places that can be trusted."""
    seen = [(found, own) for found in evidence for own in found.parts if own.part == part]
    if not seen:
        return PartTogether()
    clearest = max((own for _, own in seen), key=lambda own: own.snr)
    seen = [(found, own) for found, own in seen if _same_phase(own, clearest)]
    light = np.array([float(found.hosts.flux[found.hosts.is_target][0]) for found, _ in seen])
    flux, error = np.array([(own.flux, own.flux_error) for _, own in seen]).T
    measured = (light > 0) & np.isfinite(flux) & np.isfinite(error)
    weight = (light[measured] / error[measured]) ** 2
    total = float(weight.sum())
    placed = [(found, own) for found, own in seen if own.snr >= LEAST_SNR]
    offset = covariance = None
    sigma = math.nan
    if placed:
        each = [found.frame.offset(own.place) for found, own in placed]
        offset, covariance = _mean(each, [found.frame.offset_covariance(own.covariance) for found, own in placed])
        _, whole = _mean(
            each, [found.frame.offset_covariance(own.covariance + found.dip.systematic) for found, own in placed]
        )
        sigma = math.sqrt(offset @ np.linalg.solve(whole + np.eye(2) * shared_arcsec**2, offset))
    return PartTogether(
        n_dips=sum(own.n_dips for _, own in seen),
        time_btjd=min(own.mid_time for _, own in seen),
        phase=clearest.phase,
        depth_ppm=1e6 * float(weight @ (flux[measured] / light[measured])) / total if total else math.nan,
        depth_error_ppm=1e6 * total**-0.5 if total else math.nan,
        offset=offset,
        covariance=covariance,
        significance_sigma=sigma,
    )


def _same_phase(one: PartDip, other: PartDip) -> bool:
    apart = (one.phase - other.phase + 0.5) % 1.0 - 0.5
    return abs(apart) <= _SAME_PHASE * math.hypot(one.phase_error, other.phase_error)


def _mean(offsets: Sequence[FloatArray], covariances: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Inverse covariance mean, arcsec, and its covariance, arcsec²."""
    inverse = np.linalg.inv(np.array(covariances))
    covariance = np.linalg.inv(inverse.sum(axis=0))
    return np.einsum("ij,njk,nk->i", covariance, inverse, np.array(offsets)), covariance
