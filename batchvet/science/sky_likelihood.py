"""The likelihood of the dip's place on the sky: one sector's, and all sectors' together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

from batchvet.science.evidence import SectorEvidence
from batchvet.science.position import SignificanceMap, with_the_rest

FloatArray = NDArray[np.float64]

#: A sector is wrong about everything with this probability, where others can outvote it (SCIENCE 2e).
BROAD = 0.05
#: Sectors agree on the dip's flux to this fraction: cameras, apertures and templates differ.
FLUX_SCATTER = 0.03
#: A star's light falls off in the target's aperture, where the dip was found, as a Gaussian of this width, arcsec.
APERTURE_ARCSEC = 30.0
#: Share of unlisted stars that are anywhere on the stamp.
ANYWHERE = 0.2

_WINDOW = 5.0  # half width of the fine grid, in standard deviations
_NODES = 41  # of the fine grid, each way
_COARSE_STEP = 4.0  # arcsec


@dataclass(frozen=True, eq=False)
class SectorSky:
    """One sector's likelihood on the sky; offsets are arcsec (east, north) of the target."""

    evidence: SectorEvidence
    broad: float  #: probability that this sector is wrong

    @cached_property
    def _pixel_from_sky(self) -> FloatArray:
        return np.linalg.inv(self.evidence.sky_from_pixel)

    @cached_property
    def _maps(self) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
        """First node and step (row, col) and spline of every map of the signal to noise, from coarse to fine."""
        found, root = self.evidence, np.sqrt(self.evidence.noise_scale)
        whole = ((found.map_row, found.map_col), (found.map_step, found.map_step), found.significance_map)
        near = (found.near_row, found.near_col), (found.near_row_step, found.near_col_step), found.near_map
        peak = (found.peak_row, found.peak_col), (found.peak_row_step, found.peak_col_step), found.peak_map
        return [(np.array(a), np.array(b), spline_filter(c / root)) for a, b, c in (whole, near, peak)]

    @cached_property
    def broad_log_likelihood(self) -> float:
        """Of a sector that is wrong: the dip is anywhere on its stamp."""
        squared = np.maximum(self.evidence.significance_map, 0.0) ** 2 / self.evidence.noise_scale
        return float(np.logaddexp.reduce(0.5 * squared, axis=None) - np.log(squared.size))

    @cached_property
    def _widening(self) -> tuple[float, float]:
        """What the systematic error does to a Gaussian: the factor on its exponent, the log of its height."""
        found = self.evidence
        peak = SignificanceMap(
            np.array([found.peak_row, found.peak_col]),
            np.array([found.peak_row_step, found.peak_col_step]),
            found.peak_map,
        )
        own, systematic = peak.moments(found.noise_scale)[1], found.systematic_covariance
        factor = np.trace(own) / max(np.trace(own + systematic), 1e-300)
        height = 0.5 * (np.linalg.slogdet(own)[1] - np.linalg.slogdet(own + systematic)[1])
        return float(factor), float(height)

    def _pixels(self, offsets: FloatArray) -> FloatArray:
        """Stamp pixels (row, col) of offsets [..., 2]."""
        return offsets @ self._pixel_from_sky.T + np.array([self.evidence.target_row, self.evidence.target_col])

    def reaches(self, offsets: FloatArray) -> NDArray[np.bool_]:
        """Whether the map of the stamp has the places `offsets` [..., 2], [...]."""
        start, step, spline = self._maps[0]
        nodes = (self._pixels(offsets) - start) / step
        return np.all((nodes >= 0) & (nodes <= np.array(spline.shape) - 1), axis=-1)

    def dip(self, offsets: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Signal to noise S of a dip at `offsets` [..., 2] and 1/sigma of its flux, each [...]."""
        found = self.evidence
        pixels = self._pixels(offsets)
        snr = np.zeros(offsets.shape[:-1])
        for start, step, spline in self._maps:
            nodes = (pixels - start) / step
            inside = np.all((nodes >= 0) & (nodes <= np.array(spline.shape) - 1), axis=-1)
            snr[inside] = map_coordinates(spline, nodes[inside].T, prefilter=False)
        coarse = np.moveaxis((pixels - [found.map_row, found.map_col]) / (2 * found.map_step), -1, 0)
        flux_information = map_coordinates(found.information_map, coarse, order=1, mode="nearest")
        factor, _ = self._widening
        best = max(float(found.peak_map.max()), 0.0) / np.sqrt(found.noise_scale)
        widened = np.sqrt(np.maximum(best**2 - factor * (best**2 - snr**2), 0.0))
        return np.where(snr > 0, widened, snr), np.sqrt(np.maximum(flux_information / found.noise_scale, 0.0))

    def log_likelihood(self, snr: FloatArray, weight: FloatArray, flux: FloatArray) -> FloatArray:
        """Of a dip of `flux` where it has signal to noise `snr` and 1/sigma `weight`, against no dip."""
        share = 1.0 + (FLUX_SCATTER * flux * weight) ** 2
        value = 0.5 * snr**2 - 0.5 * (flux * weight - snr) ** 2 / share - 0.5 * np.log(share)
        return self.mixed(value + self._widening[1])

    def mixed(self, log_likelihood: FloatArray) -> FloatArray:
        """With the possibility that this sector is wrong."""
        if self.broad == 0:
            return log_likelihood
        return np.logaddexp(np.log1p(-self.broad) + log_likelihood, np.log(self.broad) + self.broad_log_likelihood)


@dataclass(frozen=True, eq=False)
class JointPosition:
    """Where all sectors together see the dip."""

    offset: FloatArray  #: arcsec (east, north) of the target
    covariance: FloatArray  #: arcsec²
    snr: float  #: of the dip there, all sectors
    log_evidence: float  #: of a dip on a star that is in no table, anywhere on the stamps, against no dip


def joint_log_likelihood(sectors: Sequence[SectorSky], offsets: FloatArray) -> FloatArray:
    """Of a dip of one flux at `offsets` [..., 2] in all sectors, the flux profiled; [...]."""
    dips = [sector.dip(offsets) for sector in sectors]
    trust = [np.ones(offsets.shape[:-1]) for _ in sectors]
    best = np.full(offsets.shape[:-1], -np.inf)
    for _ in range(3):
        # The flux is the sectors' weighted mean; a sector that is probably wrong is left out of the next one.
        score = sum(r * snr * weight for r, (snr, weight) in zip(trust, dips, strict=True))
        information = sum(r * weight**2 for r, (_, weight) in zip(trust, dips, strict=True))
        flux = np.maximum(score, 0.0) / np.maximum(information, 1e-300)
        each = [sector.log_likelihood(*dip, flux) for sector, dip in zip(sectors, dips, strict=True)]
        best = np.maximum(best, sum(each))
        if len(sectors) == 1:
            break
        trust = [
            1.0 - np.exp(np.log(s.broad) + s.broad_log_likelihood - value)
            for s, value in zip(sectors, each, strict=True)
        ]
    return best


def locate_jointly(sectors: Sequence[SectorSky]) -> JointPosition:
    """Where the joint likelihood has its maximum, with the covariance of all of it (SCIENCE 2e); no floor yet."""
    reach = max(
        np.abs(s.evidence.sky_from_pixel).sum(axis=1).max() * (max(s.evidence.rows, s.evidence.cols) / 2 + 1)
        for s in sectors
    )
    axis = np.arange(-reach, reach + _COARSE_STEP, _COARSE_STEP)
    coarse = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    coarse_log = joint_log_likelihood(sectors, coarse)
    starts = np.array([coarse.reshape(-1, 2)[coarse_log.argmax()], *(s.evidence.offset for s in sectors)])
    start_log = joint_log_likelihood(sectors, starts)
    centre = starts[start_log.argmax()]
    area = min(abs(np.linalg.det(s.evidence.sky_from_pixel)) * s.evidence.rows * s.evidence.cols for s in sectors)
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
    return np.log((1.0 - ANYWHERE) * near + ANYWHERE / area)


def _joint_snr(sectors: Sequence[SectorSky], offset: FloatArray) -> float:
    """Signal to noise of one dip in all sectors at `offset`."""
    dips = [sector.dip(offset[None]) for sector in sectors]
    score = sum(float((snr * weight)[0]) for snr, weight in dips)
    return score / max(np.sqrt(sum(float(weight[0]) ** 2 for _, weight in dips)), 1e-300)
