"""Every star of the table as an observer needs it: the eclipse it would need, what is seen there, and a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.attribution import Attribution
from batchvet.science.floors import LEAST_INFORMATION
from batchvet.science.hosts import DEEPEST
from batchvet.science.sky_likelihood import SectorSky
from batchvet.science.star_likelihoods import StarLikelihoods
from batchvet.vocabulary import HostWord

_SURE = 0.95
_CLEARED = 1e-3  #: probability below which a star is cleared
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
    log_likelihood = attribution.log_likelihood.hosts
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
                prior=float(np.exp(attribution.log_prior.hosts[i])),
                probability=float(p_hosts[i]),
                delta_chi2=float(2.0 * (log_likelihood.max() - log_likelihood[i])),
                word=_word(float(p_hosts[i]), conclusive=conclusive and power[i] > 0),
            )
        )
    return tuple(sorted(found, key=lambda star: -star.probability))


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

    Two stars share as much of a pixel's light as images of their width overlap. That width is what a sector's evidence
    says of places: the information of a place over that of the flux is ``1/(2 sigma²)`` of an image of width sigma,
    and two such images a distance d apart have the correlation ``exp(-d² / (4 sigma²))``.
    """
    measured, error = np.full(len(able), np.nan), np.full(len(able), np.nan)
    chosen = np.flatnonzero(able)
    if not len(chosen):
        return measured, error
    normal = np.eye(len(chosen)) / _PRIOR_DEPTH**2
    for j, sector in enumerate(stars.sectors):
        present = stars.present[chosen, j].astype(float)
        own = np.maximum(stars.information[chosen, j, 0, 0], LEAST_INFORMATION)
        width = np.average(stars.information[chosen, j, 1:, 1:], axis=0, weights=present + 1e-9)
        width = width / np.average(own, weights=present + 1e-9)
        place = sector.evidence.frame.displacement(*stars.offset[chosen, j].T).T
        apart = place[:, None] - place[None]
        overlap = np.exp(-0.5 * np.einsum("ika,ab,ikb->ik", apart, width, apart))
        root = np.sqrt(information[chosen, j]) * present
        normal += overlap * np.outer(root, root)
    covariance = np.linalg.inv(normal)
    measured[chosen] = covariance @ score[chosen].sum(axis=1)
    error[chosen] = np.sqrt(np.diag(covariance))
    return measured, error
