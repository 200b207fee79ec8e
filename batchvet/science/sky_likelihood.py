"""The likelihood of the dip at a place on the sky: one sector's, and all sectors' together."""

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
from batchvet.science.likelihood_map import LikelihoodMap, log_sum

#: Where others can outvote it, a sector is wrong about the dip's place with this probability (method: all sectors).
WRONG = 0.05
#: And does not see the dip at all, as when the ephemeris has drifted, with one of these, the same in all sectors of a
#: candidate: few sectors, as a rule, but most of them where the dip is seen in a few of many.
UNSEEN = (0.05, 0.5, 0.9)
_UNSEEN_PRIOR = (0.9, 0.07, 0.03)
#: Sectors agree on the dip's flux to this fraction: cameras differ, and templates, of eclipses above all.
FLUX_SCATTER = 0.1

_PADDING = 12  # nodes around a spline, as scipy has them, so that its ends do not matter


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
        padded = (_padded(each) for each in (maps.near_information, maps.peak_information))
        return [(maps.stamp_information, 1, 0), *((spline_filter(each), 3, _PADDING) for each in padded)]

    @cached_property
    def broad_log_likelihood(self) -> float:
        """Of a sector that is wrong: the dip is anywhere on its stamp, at the time that was found."""
        squared = np.maximum(self.evidence.maps.stamp.values, 0.0) ** 2 / self.evidence.noise_scale
        anywhere = float(log_sum(0.5 * squared.ravel()) - np.log(squared.size))
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

    @cached_property
    def _around_peak(self) -> tuple[float, FloatArray]:
        """The highest signal to noise, squared, over the noise's scale; inverse covariance of the place, pixel^-2."""
        best = max(float(self.evidence.maps.peak.values.max()), 0.0) / np.sqrt(self.evidence.noise_scale)
        return float(best**2), np.asarray(np.linalg.inv(self._peak[1] + self.evidence.dip.systematic))

    def _pixels(self, offsets: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rows and columns on the stamp of offsets [..., 2], pixels, [...] each."""
        east, north = offsets[..., 0], offsets[..., 1]
        (row_east, row_north), (col_east, col_north) = self._pixel_from_sky
        row, col = self.evidence.frame.target
        return east * row_east + north * row_north + row, east * col_east + north * col_north + col

    def reaches(self, offsets: FloatArray) -> BoolArray:
        """Whether the map of the stamp has the places `offsets` [..., 2], [...]."""
        stamp = self.evidence.maps.stamp
        return stamp.has(*stamp.nodes(*self._pixels(offsets)))

    def knows(self, offsets: FloatArray) -> BoolArray:
        """Whether any map has the places `offsets` [..., 2], [...]; those about the dip go beyond the stamp's."""
        rows, cols = self._pixels(offsets)
        return np.asarray(np.any([each.has(*each.nodes(rows, cols)) for each, _ in self._splines], axis=0))

    def dip(self, offsets: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Signal to noise S of a dip at `offsets` [..., 2] and 1/sigma of its flux, each [...]."""
        rows, cols = (each.ravel() for each in self._pixels(offsets))
        snr, information = self._on_maps(rows, cols)
        weight = np.sqrt(np.maximum(information / self.evidence.noise_scale, 0.0))
        return self._widened(snr, rows, cols).reshape(offsets.shape[:-1]), weight.reshape(offsets.shape[:-1])

    def _widened(self, snr: FloatArray, rows: FloatArray, cols: FloatArray) -> FloatArray:
        """S at places [place] with the systematic error of the place."""
        factor, _ = self._widening
        # By as much as a Gaussian peak of this width; far from it the likelihood of no dip ends that.
        best, ((row_row, row_col), (_, col_col)) = self._around_peak
        row, col = rows - self._peak[0][0], cols - self._peak[0][1]
        squares = row_row * row**2 + 2.0 * row_col * row * col + col_col * col**2
        below = np.maximum(best - snr**2, 0.0)
        below = np.maximum(factor * below, np.minimum(below, squares))
        return np.where(snr > 0, np.sqrt(np.maximum(best - below, 0.0)), snr)

    def _on_maps(self, rows: FloatArray, cols: FloatArray) -> tuple[FloatArray, FloatArray]:
        """S and the information of the flux, each [place], from the finest map that has a place; off them S is 0."""
        snr, found = np.zeros((2, rows.size))
        left = np.arange(rows.size)
        each_map = [*zip(self._splines, self._informations, EVERY, strict=True)]
        for (each, spline), (information, order, padding), every in reversed(each_map):
            nodes = np.array(each.nodes(rows[left], cols[left]))
            inside = each.has(*nodes)
            if inside.any():
                here, nodes = left[inside], nodes[:, inside]
                stored = nodes / every + padding
                snr[here] = map_coordinates(spline, nodes, prefilter=False)
                found[here] = map_coordinates(information, stored, order=order, mode="nearest", prefilter=False)
                left = left[~inside]
                if not left.size:
                    return snr, found
        maps = self.evidence.maps
        stored = np.array(maps.stamp.nodes(rows[left], cols[left])) / EVERY[0]
        found[left] = map_coordinates(maps.stamp_information, stored, order=1, mode="nearest")
        return snr, found

    def log_likelihood(self, snr: FloatArray, weight: FloatArray, flux: FloatArray) -> FloatArray:
        """Of a dip of `flux` where it has signal to noise `snr` and 1/sigma `weight`, against no dip; if it is seen."""
        return _log_likelihood(snr, weight, flux) + self.height

    @cached_property
    def height(self) -> float:
        """Log of what a systematic error and looking for the dip's time take off every likelihood."""
        return self._widening[1] - self.evidence.timing_price

    def mixed(self, log_likelihood: FloatArray) -> FloatArray:
        """With the possibilities that this sector is wrong about the place, or does not see the dip."""
        return log_likelihood if self.alone else with_doubt(log_likelihood, *self.doubt)

    @cached_property
    def doubt(self) -> tuple[float, float]:
        """Log prior of a sector that is right; log likelihood, prior included, of one that is wrong or sees nothing."""
        wrong = np.log(WRONG * (1.0 - self.unseen))
        otherwise = float(np.logaddexp(wrong + self.broad_log_likelihood, np.log(self.unseen)))
        return math.log((1.0 - WRONG) * (1.0 - self.unseen)), otherwise


def _padded(grid: FloatArray) -> FloatArray:
    """A grid with its edges drawn out by `_PADDING` nodes to every side, as ``np.pad`` does it more slowly."""
    rows, cols = (np.clip(np.arange(-_PADDING, n + _PADDING), 0, n - 1) for n in grid.shape)
    return np.asarray(grid[np.ix_(rows, cols)])


def _log_likelihood(snr: FloatArray, weight: FloatArray, flux: FloatArray) -> FloatArray:
    """Of a dip of `flux` that every sector sees to `FLUX_SCATTER`, against no dip."""
    expected = flux * weight
    share = 1.0 + (FLUX_SCATTER * expected) ** 2
    return np.asarray(0.5 * snr**2 - 0.5 * (expected - snr) ** 2 / share - 0.5 * np.log(share))


def with_doubt(log_likelihood: FloatArray, log_right: float | FloatArray, otherwise: float | FloatArray) -> FloatArray:
    """Log likelihood of a sector that may be wrong: ``logaddexp(log_right + log_likelihood, otherwise)``.

    In NumPy's functions of whole arrays, which take a fifth of the time.

    Parameters
    ----------
    log_likelihood : array
        If the sector is right.
    log_right, otherwise : float or array
        As :attr:`SectorSky.doubt`.
    """
    right = log_right + log_likelihood
    return np.asarray(np.maximum(right, otherwise) + np.log1p(np.exp(-np.abs(right - otherwise))))


def trust(log_likelihood: FloatArray, log_right: float | FloatArray, otherwise: float | FloatArray) -> FloatArray:
    """Probability that the sector is right; parameters as of `with_doubt`."""
    more = log_right + log_likelihood - otherwise
    small = np.exp(-np.abs(more))
    return np.asarray(np.where(more > 0, 1.0, small) / (1.0 + small))


def all_sectors(evidence: Sequence[SectorEvidence]) -> list[SectorSky]:
    """The sectors, with that share of them which sees nothing that explains them best at the place of any of them."""
    sectors = [SectorSky(found, alone=len(evidence) == 1) for found in evidence]
    if len(sectors) == 1:
        return sectors
    places = np.array([found.offset for found in evidence])
    best, most = sectors, -np.inf
    dips = Dips.of(sectors, places)
    for unseen, prior in zip(UNSEEN, _UNSEEN_PRIOR, strict=True):
        tried = [sector if sector.unseen == unseen else replace(sector, unseen=unseen) for sector in sectors]
        value = float(replace(dips, sectors=tried).best_profiled().max()) + np.log(prior)
        if value > most:
            best, most = tried, value
    return best


def joint_log_likelihood(sectors: Sequence[SectorSky], offsets: FloatArray) -> FloatArray:
    """Of a dip of one flux at `offsets` [..., 2] in all sectors, the flux profiled; [...]."""
    return Dips.of(sectors, offsets.reshape(-1, 2)).best_profiled().reshape(offsets.shape[:-1])


@dataclass(frozen=True, eq=False)
class Dips:
    """What every sector says of a dip at some places."""

    sectors: Sequence[SectorSky]
    snr: FloatArray  #: signal to noise, [sector, place]
    weight: FloatArray  #: 1/sigma of its flux, [sector, place]

    @classmethod
    def of(cls, sectors: Sequence[SectorSky], offsets: FloatArray) -> Dips:
        """At `offsets` [place, 2]."""
        snr, weight = zip(*(sector.dip(offsets) for sector in sectors), strict=True)
        return cls(sectors, np.array(snr), np.array(weight))

    def best_profiled(self) -> FloatArray:
        """`joint_log_likelihood`, [place]."""
        return np.asarray(np.max([self._profiled(start) for start in starts_of(self.sectors)], axis=0))

    def believed(self, flux: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log likelihood of a dip of that flux, and how far each sector is believed, [sector, place] each."""
        height = np.array([[sector.height] for sector in self.sectors])
        each = _log_likelihood(self.snr, self.weight, flux) + height
        if self.sectors[0].alone:
            return each, np.ones_like(each)
        log_right, otherwise = np.array([sector.doubt for sector in self.sectors]).T[..., None]
        return with_doubt(each, log_right, otherwise), trust(each, log_right, otherwise)

    def _profiled(self, start: FloatArray) -> FloatArray:
        """The same from one start."""
        share = start[:, None]
        score, information = self.snr * self.weight, self.weight**2
        best = np.full(self.snr.shape[1], -np.inf)
        for _ in range(3):
            # The flux is the sectors' weighted mean; a sector that is probably wrong is left out of the next one.
            total = np.maximum(np.sum(share * information, axis=0), LEAST_INFORMATION)
            mixed, share = self.believed(np.maximum(np.sum(share * score, axis=0), 0.0) / total)
            best = np.maximum(best, mixed.sum(axis=0))
            if len(self.sectors) == 1:
                break
        return best


def starts_of(sectors: Sequence[SectorSky]) -> list[FloatArray]:
    """How far each sector is believed at first: all alike, and the clearest alone, as where most do not see the dip."""
    everyone = np.ones(len(sectors))
    if len(sectors) == 1:
        return [everyone]
    clearest = int(np.argmax([sector.evidence.dip.snr for sector in sectors]))
    return [everyone, np.eye(len(sectors))[clearest]]
