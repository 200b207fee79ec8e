"""Every star of the table as an observer needs it: the eclipse it would need, what is seen there, and a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.science.attribution import Attribution
from batchvet.science.dip_shape import deepest_over_measured
from batchvet.science.evidence import SectorEvidence
from batchvet.science.floors import LEAST_INFORMATION
from batchvet.science.hosts import DEEPEST
from batchvet.science.sky_likelihood import SectorSky
from batchvet.science.star_likelihoods import StarLikelihoods
from batchvet.vocabulary import HostWord

_SURE = 0.95
_CLEARED = 1e-3  #: probability below which a star is cleared
_AT_DIP = 0.8  #: correlation of a star's image with one at the dip's place, from which it is the star of the dip
_PRF_ERROR = 0.02  #: of what the PRF says of the light that a dip sheds on another star
_FLUX_ERROR = 0.025  #: of a star's own light, which its depth is a fraction of: PRF, flux scale, magnitudes
_PRIOR_DEPTH = 1.0  #: of a star's eclipse, 1 sigma: holds the joint fit where two stars are one on the stamp


@dataclass(frozen=True)
class StarVerdict:
    """One star of the table, all sectors together."""

    source_id: str
    is_target: bool
    east_arcsec: float  #: of the target
    north_arcsec: float  #: of the target
    tmag: float  #: TESS magnitude; NaN when not known
    depth_required: float  #: of the eclipse that it would need, fraction of its light
    depth_required_error: float  #: 1 sigma
    depth_measured: float  #: of the eclipse that is seen there, all able stars fitted together, fraction of its light
    depth_measured_error: float  #: 1 sigma
    log_likelihood: float  #: that it has the dip, against no dip
    prior: float  #: before the pixels were asked
    probability: float  #: calibrated
    delta_chi2: float  #: between it and the likeliest star
    word: HostWord


def star_verdicts(
    sectors: Sequence[SectorSky], attribution: Attribution, p_hosts: FloatArray, *, conclusive: bool
) -> tuple[StarVerdict, ...]:
    """Every star of the table, the likeliest first (method: hosts).

    Parameters
    ----------
    sectors : sequence of SectorSky
    attribution : Attribution
        Of these sectors.
    p_hosts : array
        Calibrated probabilities of its hosts.
    conclusive : bool
        Whether the probabilities can be relied on: there is a table of neighbours, and a verdict.
    """
    hosts = attribution.hosts
    stars = StarLikelihoods.of(sectors, [host.source_id for host in hosts])
    score, information = stars.of_depth()
    power = information.sum(axis=1)
    required = np.array([host.depth for host in hosts])
    required_error = 1.0 / np.sqrt(np.maximum(power, LEAST_INFORMATION))
    able = (required <= 1.5 * DEEPEST) & (power > LEAST_INFORMATION)
    measured, measured_error = _measured(stars, score, information, able)
    deepest, shape_error = dip_depth([sector.evidence for sector in sectors])
    shape_error = math.hypot(shape_error, _FLUX_ERROR)
    required, required_error = deepest * required, deepest * np.hypot(required_error, shape_error * required)
    measured_error = deepest * np.hypot(measured_error, shape_error * measured)
    measured = deepest * measured
    delta_chi2 = 2.0 * (attribution.log_likelihood.hosts.max() - attribution.log_likelihood.hosts)
    prior = np.exp(attribution.log_prior.hosts)
    found = []
    for i, host in enumerate(hosts):
        found.append(
            StarVerdict(
                source_id=host.source_id,
                is_target=host.is_target,
                east_arcsec=host.east,
                north_arcsec=host.north,
                tmag=host.tmag,
                depth_required=float(required[i]),
                depth_required_error=float(required_error[i]) if able[i] else math.nan,
                depth_measured=float(measured[i]),
                depth_measured_error=float(measured_error[i]),
                log_likelihood=host.log_likelihood,
                prior=float(prior[i]),
                probability=float(p_hosts[i]),
                delta_chi2=float(delta_chi2[i]),
                word=_word(float(p_hosts[i]), conclusive=conclusive and power[i] > 0),
            )
        )
    return tuple(sorted(found, key=lambda star: -star.probability))


def dip_depth(evidence: Sequence[SectorEvidence]) -> tuple[float, float]:
    """Depth of a dip at its deepest over what the templates measure, and the error that its shape leaves, relative."""
    return deepest_over_measured([(found.shapes, found.dip.snr**2) for found in evidence])


def _word(probability: float, *, conclusive: bool) -> HostWord:
    if not conclusive:
        return HostWord.CANNOT_TELL
    if probability >= _SURE:
        return HostWord.HOST
    return HostWord.CLEARED if probability < _CLEARED else HostWord.POSSIBLE


def _measured(
    stars: StarLikelihoods, score: FloatArray, information: FloatArray, able: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Depth of every able star's eclipse, fitted together, and its error; NaN for the others.

    How much of its light a star shares with the dip's place is stored with each sector, so that the wings of the PRF
    are in it: with them the dip shines into its neighbours. Noise puts the dip beside its star, so what another shares
    is taken over what that star does itself; else the other would seem to have a part of the dip. Two other stars share
    as much of a pixel's light as images of their width overlap. That width is what a sector's evidence says of places:
    the information of a place over that of the flux is ``1/(2 sigma²)`` of an image of width sigma, and two such images
    a distance d apart have the correlation ``exp(-d² / (4 sigma²))``. What a star shares with the dip is not known
    better than the PRF and the dip's place are: that error is added, of sectors that are independent in it.
    """
    measured, error = np.full(len(able), np.nan), np.full(len(able), np.nan)
    chosen = np.flatnonzero(able)
    if not len(chosen):
        return measured, error
    normal = np.eye(len(chosen)) / _PRIOR_DEPTH**2
    leaked = np.zeros(len(chosen))
    for j, sector in enumerate(stars.sectors):
        present = stars.present[chosen, j].astype(float)
        root = np.sqrt(information[chosen, j]) * present
        overlap = _overlaps(stars, sector, chosen, j)
        shared, dip = stars.shared[chosen, j], sector.evidence.dip
        with_dip = np.divide(shared[:, 0], root, out=np.zeros(len(root)), where=root > 0)
        at_dip = int(np.argmax(present * with_dip))
        if with_dip[at_dip] > _AT_DIP:
            seen, by_width = with_dip / with_dip[at_dip], overlap[at_dip].copy()
            overlap += np.outer(seen, seen) - np.outer(by_width, by_width)  # its row is `seen`; still a covariance
        normal += overlap * np.outer(root, root)
        by_place = np.einsum("ia,ab,ib->i", shared[:, 1:], dip.systematic, shared[:, 1:])
        others = np.arange(len(chosen)) != at_dip  # of the star at the dip's place it is its own depth's error
        leaked += present * others * dip.snr**2 * ((_PRF_ERROR * shared[:, 0]) ** 2 + by_place)
    covariance = np.linalg.inv(normal)
    measured[chosen] = covariance @ score[chosen].sum(axis=1)
    error[chosen] = np.sqrt(np.diag(covariance) + covariance**2 @ leaked)
    return measured, error


def _overlaps(stars: StarLikelihoods, sector: SectorSky, chosen: IndexArray, j: int) -> FloatArray:
    """Correlation of the images of stars on a sector's stamp, by their distances, [star, star]."""
    weights = stars.present[chosen, j] + 1e-9
    own = np.average(np.maximum(stars.information[chosen, j, 0, 0], LEAST_INFORMATION), weights=weights)
    width = np.average(stars.information[chosen, j, 1:, 1:], axis=0, weights=weights) / own
    place = sector.evidence.frame.displacement(*stars.offset[chosen, j].T).T
    row, col = place[:, None, 0] - place[None, :, 0], place[:, None, 1] - place[None, :, 1]
    squares = width[0, 0] * row**2 + (width[0, 1] + width[1, 0]) * row * col + width[1, 1] * col**2
    here = stars.present[chosen, j]  # a star that the stamp does not reach has no place on it, and shares nothing
    overlap = np.exp(-0.5 * squares) * np.outer(here, here)
    np.fill_diagonal(overlap, 1.0)
    return np.asarray(overlap)
