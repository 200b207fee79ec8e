"""The likelihood of the dip's place on the sky: one sector's, and all sectors' together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.evidence import EVERY, SectorEvidence
from batchvet.science.floors import LEAST_INFORMATION, LEAST_PLACE_VARIANCE
from batchvet.science.likelihood_map import LikelihoodMap, with_the_rest
from batchvet.science.priors import APERTURE_ARCSEC

#: Where others can outvote it, a sector is wrong about the dip's place with this probability (method: all sectors).
WRONG = 0.05
#: And does not see the dip at all, as when the ephemeris has drifted, with one of these, the same in all sectors of a
#: candidate: few sectors, as a rule, but most of them where the dip is seen in a few of many.
UNSEEN = (0.05, 0.5, 0.9)
_UNSEEN_PRIOR = (0.9, 0.07, 0.03)
#: Sectors agree on the dip's flux to this fraction: cameras differ, and templates, of eclipses above all.
FLUX_SCATTER = 0.1
#: Share of unlisted stars that are anywhere on the stamp.
ANYWHERE = 0.2

_WINDOW = 5.0  # half width of the fine grid, in standard deviations
_NODES = 41  # of the fine grid, each way
_COARSE_STEP = 4.0  # arcsec
_PADDING = 12  # nodes around a spline, as scipy has them, so that its ends do not matter
_SEEN_ALONE = 5.0  # signal to noise of a sector that sees the dip by itself


@dataclass(frozen=True, eq=False)
class SectorSky:
    """One sector's likelihood on the sky; offsets are arcsec (east, north) of the target."""

    evidence: SectorEvidence
    alone: bool = False  #: one sector has nobody to outvote it
    unseen: float = UNSEEN[0]  #: probability that it does not see the dip at all

    @cached_property
    def _pixel_from_sky(self) -> FloatArray:
        return np.asarray(np.linalg.inv(self.evidence.frame.sky_from_pixel), dtype=np.float64)

    @cached_property
    def _splines(self) -> list[tuple[LikelihoodMap, FloatArray]]:
        """Every map, from coarse to fine, and a spline of its signal to noise over the noise's scale."""
        maps, root = self.evidence.maps, np.sqrt(self.evidence.noise_scale)
        return [(each, spline_filter(each.values / root)) for each in (maps.stamp, maps.near, maps.peak)]

    @cached_property
    def _informations(self) -> list[tuple[FloatArray, Literal[1, 3], int]]:
        """What the flux could be known to on every map: spline, its order, nodes of padding before the first."""
        maps = self.evidence.maps
        padded = (np.pad(each, _PADDING, mode="edge") for each in (maps.near_information, maps.peak_information))
        return [(maps.stamp_information, 1, 0), *((spline_filter(each), 3, _PADDING) for each in padded)]

    @cached_property
    def broad_log_likelihood(self) -> float:
        """Of a sector that is wrong: the dip is anywhere on its stamp, at the time that was found."""
        squared = np.maximum(self.evidence.maps.stamp.values, 0.0) ** 2 / self.evidence.noise_scale
        anywhere = float(np.logaddexp.reduce(0.5 * squared, axis=None) - np.log(squared.size))
        return anywhere - self.evidence.timing_price

    @cached_property
    def _peak(self) -> tuple[FloatArray, FloatArray]:
        """Mean (row, col) and covariance of the likelihood around its maximum, pixels and pixel²."""
        return self.evidence.maps.peak.moments(self.evidence.noise_scale)

    @cached_property
    def _widening(self) -> tuple[float, float]:
        """What the systematic error does to a Gaussian: the factor on its exponent, the log of its height."""
        own, systematic = self._peak[1], self.evidence.dip.systematic
        factor = np.trace(own) / max(np.trace(own + systematic), LEAST_PLACE_VARIANCE)
        height = 0.5 * (np.linalg.slogdet(own)[1] - np.linalg.slogdet(own + systematic)[1])
        return float(factor), float(height)

    def _pixels(self, offsets: FloatArray) -> FloatArray:
        """Stamp pixels (row, col) of offsets [..., 2]."""
        pixels: FloatArray = offsets @ self._pixel_from_sky.T + self.evidence.frame.target
        return pixels

    def reaches(self, offsets: FloatArray) -> BoolArray:
        """Whether the map of the stamp has the places `offsets` [..., 2], [...]."""
        stamp = self.evidence.maps.stamp
        return stamp.has(stamp.nodes(self._pixels(offsets)))

    def dip(self, offsets: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Signal to noise S of a dip at `offsets` [..., 2] and 1/sigma of its flux, each [...]."""
        found, maps = self.evidence, self.evidence.maps
        pixels = self._pixels(offsets)
        snr, flux_information = np.zeros((2, *offsets.shape[:-1]))
        left = np.ones(snr.shape, dtype=bool)
        each_map = [*zip(self._splines, self._informations, EVERY, strict=True)]
        for (each, spline), (information, order, padding), every in reversed(each_map):
            nodes = each.nodes(pixels)
            inside = left & each.has(nodes)
            if inside.any():
                nodes = nodes[inside].T
                snr[inside] = map_coordinates(spline, nodes, prefilter=False)
                stored = nodes / every + padding
                flux_information[inside] = map_coordinates(
                    information, stored, order=order, mode="nearest", prefilter=False
                )
                left &= ~inside
                if not left.any():
                    break
        if left.any():  # off the stamp's map
            stored = maps.stamp.nodes(pixels[left]).T / EVERY[0]
            flux_information[left] = map_coordinates(maps.stamp_information, stored, order=1, mode="nearest")
        factor, _ = self._widening
        best = max(float(maps.peak.values.max()), 0.0) / np.sqrt(found.noise_scale)
        # By as much as a Gaussian peak of this width; far from it the likelihood of no dip ends that.
        mean, own = self._peak
        away = pixels - mean
        (row_row, row_col), (_, col_col) = np.linalg.inv(own + found.dip.systematic)
        squares = (
            row_row * away[..., 0] ** 2 + 2.0 * row_col * away[..., 0] * away[..., 1] + col_col * away[..., 1] ** 2
        )
        below = np.maximum(best**2 - snr**2, 0.0)
        below = np.maximum(factor * below, np.minimum(below, squares))
        widened = np.sqrt(np.maximum(best**2 - below, 0.0))
        return np.where(snr > 0, widened, snr), np.sqrt(np.maximum(flux_information / found.noise_scale, 0.0))

    def log_likelihood(self, snr: FloatArray, weight: FloatArray, flux: FloatArray) -> FloatArray:
        """Of a dip of `flux` where it has signal to noise `snr` and 1/sigma `weight`, against no dip; if it is seen."""
        share = 1.0 + (FLUX_SCATTER * flux * weight) ** 2
        value = 0.5 * snr**2 - 0.5 * (flux * weight - snr) ** 2 / share - 0.5 * np.log(share)
        return value + (self._widening[1] - self.evidence.timing_price)

    def mixed(self, log_likelihood: FloatArray) -> FloatArray:
        """With the possibilities that this sector is wrong about the place, or does not see the dip."""
        if self.alone:
            return log_likelihood
        return np.asarray(np.logaddexp(self._log_right + log_likelihood, self._otherwise))

    def trust(self, log_likelihood: FloatArray, mixed: FloatArray) -> FloatArray:
        """Probability that this sector sees the dip where the dip has that likelihood, and `mixed` with the others."""
        if self.alone:
            return np.ones_like(log_likelihood)
        return np.asarray(np.exp(self._log_right + log_likelihood - mixed))

    @cached_property
    def _log_right(self) -> float:
        return math.log((1.0 - WRONG) * (1.0 - self.unseen))

    @cached_property
    def _otherwise(self) -> float:
        """Log likelihood, with its prior, of a sector that is wrong or sees nothing."""
        wrong = np.log(WRONG * (1.0 - self.unseen))
        return float(np.logaddexp(wrong + self.broad_log_likelihood, np.log(self.unseen)))


@dataclass(frozen=True, eq=False)
class JointPosition:
    """Where all sectors together see the dip."""

    offset: FloatArray  #: arcsec (east, north) of the target
    covariance: FloatArray  #: arcsec²
    snr: float  #: of the dip there, all sectors
    log_evidence: float  #: of a dip on a star that is in no table, anywhere on the stamps, against no dip


def all_sectors(evidence: Sequence[SectorEvidence]) -> list[SectorSky]:
    """The sectors, with that share of them which sees nothing that explains them best at the place of any of them."""
    sectors = [SectorSky(found, alone=len(evidence) == 1) for found in evidence]
    if len(sectors) == 1:
        return sectors
    places = np.array([found.offset for found in evidence])
    best, most = sectors, -np.inf
    dips = [sector.dip(places) for sector in sectors]
    for unseen, prior in zip(UNSEEN, _UNSEEN_PRIOR, strict=True):
        tried = [sector if sector.unseen == unseen else replace(sector, unseen=unseen) for sector in sectors]
        value = float(_best_profiled(tried, dips).max()) + np.log(prior)
        if value > most:
            best, most = tried, value
    return best


def joint_log_likelihood(sectors: Sequence[SectorSky], offsets: FloatArray) -> FloatArray:
    """Of a dip of one flux at `offsets` [..., 2] in all sectors, the flux profiled; [...]."""
    return _best_profiled(sectors, [sector.dip(offsets) for sector in sectors])


def _best_profiled(sectors: Sequence[SectorSky], dips: Sequence[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """`joint_log_likelihood` of what :meth:`SectorSky.dip` says of each sector."""
    best = np.full_like(dips[0][0], -np.inf)
    for start in _starts(sectors):
        best = np.maximum(best, _profiled(sectors, dips, start))
    return best


def _starts(sectors: Sequence[SectorSky]) -> list[FloatArray]:
    """How far each sector is believed at first: all alike, and the clearest alone, as where most do not see the dip."""
    everyone = np.ones(len(sectors))
    if len(sectors) == 1:
        return [everyone]
    clearest = int(np.argmax([sector.evidence.dip.snr for sector in sectors]))
    return [everyone, np.eye(len(sectors))[clearest]]


def _profiled(
    sectors: Sequence[SectorSky], dips: Sequence[tuple[FloatArray, FloatArray]], start: FloatArray
) -> FloatArray:
    """`joint_log_likelihood` from one start."""
    trust = [np.full_like(snr, share) for (snr, _), share in zip(dips, start, strict=True)]
    best = np.full_like(dips[0][0], -np.inf)
    for _ in range(3):
        # The flux is the sectors' weighted mean; a sector that is probably wrong is left out of the next one.
        score = sum(r * snr * weight for r, (snr, weight) in zip(trust, dips, strict=True))
        information = sum(r * weight**2 for r, (_, weight) in zip(trust, dips, strict=True))
        flux = np.maximum(score, 0.0) / np.maximum(information, LEAST_INFORMATION)
        each = [sector.log_likelihood(*dip, flux) for sector, dip in zip(sectors, dips, strict=True)]
        mixed = [sector.mixed(value) for sector, value in zip(sectors, each, strict=True)]
        best = np.maximum(best, sum(mixed))
        if len(sectors) == 1:
            break
        trust = [sector.trust(*pair) for sector, *pair in zip(sectors, each, mixed, strict=True)]
    return best


def locate_jointly(sectors: Sequence[SectorSky]) -> JointPosition:
    """Where the joint likelihood has its maximum, with the covariance of all of it (method: all sectors).

    Without a floor on the error yet.
    """
    frames = [sector.evidence.frame for sector in sectors]
    reach = max(frame.reach for frame in frames)
    axis = np.arange(-reach, reach + _COARSE_STEP, _COARSE_STEP)
    coarse = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    coarse_log = joint_log_likelihood(sectors, coarse)
    starts = np.array([coarse.reshape(-1, 2)[coarse_log.argmax()], *(s.evidence.offset for s in sectors)])
    start_log = joint_log_likelihood(sectors, starts)
    centre = starts[start_log.argmax()]
    area = min(frame.pixel_area * frame.shape[0] * frame.shape[1] for frame in frames)
    covariance = np.linalg.inv(sum(np.linalg.inv(s.evidence.offset_covariance) for s in sectors))
    for _ in range(4):
        half = min(_WINDOW * np.sqrt(np.linalg.eigvalsh(covariance)[-1]), reach)
        middle = centre
        centre, covariance, log_inside, log_evidence = _moments(sectors, middle, half, area)
    seen = np.any([sector.reaches(coarse) for sector in sectors], axis=0)
    outside = (np.abs(coarse - middle).max(axis=-1) > half) & seen
    rest = coarse_log[outside] + 2 * np.log(_COARSE_STEP)
    covariance = with_the_rest(centre, covariance, log_inside, coarse[outside], rest)
    weighted = coarse_log[outside] + _log_density(coarse[outside], area)
    elsewhere = np.logaddexp.reduce(weighted, initial=-np.inf) + 2 * np.log(_COARSE_STEP)
    snr = _joint_snr(sectors, centre)
    return JointPosition(centre, covariance, snr, float(np.logaddexp(log_evidence, elsewhere)))


def _moments(
    sectors: Sequence[SectorSky], centre: FloatArray, half: float, area: float
) -> tuple[FloatArray, FloatArray, float, float]:
    """Mean, covariance and log integral of the joint likelihood in a square about `centre`.

    And the log evidence of an unlisted star there.
    """
    axis = np.linspace(-half, half, _NODES)
    offsets = centre + np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    log_like = joint_log_likelihood(sectors, offsets)
    weight = np.exp(log_like - log_like.max())
    total = weight.sum()
    mean = np.einsum("ij,ijk->k", weight, offsets) / total
    residual = offsets - mean
    covariance = np.einsum("ij,ijk,ijl->kl", weight, residual, residual) / total
    step = axis[1] - axis[0]
    cell = 2 * np.log(step)
    inside = float(np.log(total) + log_like.max() + cell)
    evidence = float(np.logaddexp.reduce(log_like + _log_density(offsets, area), axis=None) + cell)
    return mean, covariance + np.eye(2) * step**2 / 12, inside, evidence


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
    dips = [sector.dip(offset[None]) for sector in sectors]
    snr, weight = (np.array([float(dip[i][0]) for dip in dips]) for i in (0, 1))
    found = -np.inf, np.ones(len(sectors))
    for trust in _starts(sectors):
        for _ in range(3):
            flux = np.array([max(trust @ (snr * weight), 0.0) / max(trust @ weight**2, LEAST_INFORMATION)])
            each = [s.log_likelihood(*dip, flux) for s, dip in zip(sectors, dips, strict=True)]
            mixed = [s.mixed(value) for s, value in zip(sectors, each, strict=True)]
            trust = np.array([float(s.trust(*pair)[0]) for s, *pair in zip(sectors, each, mixed, strict=True)])
            total = sum(float(value[0]) for value in mixed)
        found = max(found, (total, trust), key=lambda one: one[0])
    prices = np.array([sector.evidence.timing_price for sector in sectors])

    def together(trust: FloatArray) -> float:
        score = float(trust @ (snr * weight)) / max(float(np.sqrt(trust @ weight**2)), LEAST_INFORMATION)
        return float(np.sqrt(max(score**2 - 2.0 * float(trust @ prices), 0.0))) if score > 0 else score

    seen_alone = max(sector.evidence.dip.snr for sector in sectors) >= _SEEN_ALONE
    return together(found[1]) if seen_alone else min(together(found[1]), together(np.ones(len(sectors))))
