"""Every star of the table as the host of the dip, all sectors together (method: hosts)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.science.floors import LEAST_INFORMATION
from batchvet.science.hosts import DEEPEST
from batchvet.science.likelihood_map import log_sum
from batchvet.science.sky_likelihood import FLUX_SCATTER, SectorSky, trust, with_doubt

#: Pixels: a sector whose systematic error is larger is read off its maps, as no image is linear so far from its place.
_LINEAR = 0.15


@dataclass(frozen=True, eq=False)
class StarLikelihoods:
    """Quadratic log likelihoods of every star of the table in every sector: of its eclipse's depth and its shift.

    Of (relative flux error, row, column) by which the star's image is off what the catalogue says.
    """

    sectors: Sequence[SectorSky]
    present: BoolArray  #: whether the sector's stamp reaches the star, [star, sector]
    score: FloatArray  #: by (depth, row, col) at depth 0, [star, sector, 3]
    information: FloatArray  #: of (depth, row, col), [star, sector, 3, 3]
    shared: FloatArray  #: score of a dip of S/N 1 at the sector's place, and by (row, col), [star, sector, 3]
    nuisance: FloatArray  #: prior covariance of (relative flux error, row, col), a sector's own, [sector, 3, 3]
    shift: FloatArray  #: (flux error, row, col) for a shift (east, north) of all stars, [sector, 3, 2]
    offset: FloatArray  #: of the stars from the target, arcsec (east, north), [star, sector, 2]
    light: FloatArray  #: of the stars out of transit, e-/s, [star, sector]

    @classmethod
    def of(cls, sectors: Sequence[SectorSky], names: Sequence[str]) -> StarLikelihoods:
        n, m = len(names), len(sectors)
        number = {name: i for i, name in enumerate(names)}
        present, score, information = np.zeros((n, m), dtype=bool), np.zeros((n, m, 3)), np.zeros((n, m, 3, 3))
        shared = np.zeros((n, m, 3))
        nuisance, shift = np.zeros((m, 3, 3)), np.zeros((m, 3, 2))
        offset, light = np.zeros((n, m, 2)), np.zeros((n, m))
        for j, sector in enumerate(sectors):
            found, scale = sector.evidence, sector.evidence.noise_scale
            rows = [number[name] for name in found.hosts.source_id]
            unit = found.hosts.flux / found.dip.flux  # the evidence is in units of the sector's own dip
            present[rows, j] = True
            score[rows, j] = found.hosts.score * unit[:, None] / scale
            information[rows, j] = found.hosts.information * unit[:, None, None] ** 2 / scale
            shared[rows, j] = found.hosts.shared * unit[:, None] / scale**0.5
            nuisance[j, 0, 0] = FLUX_SCATTER**2
            nuisance[j, 1:, 1:] = found.dip.systematic
            shift[j, 1:] = np.linalg.inv(found.frame.sky_from_pixel)
            offset[rows, j] = np.column_stack([found.hosts.east, found.hosts.north])
            light[rows, j] = found.hosts.flux
        return cls(sectors, present, score, information, shared, nuisance, shift, offset, light)

    def of_stars(self, stars: IndexArray) -> StarLikelihoods:
        """Those of some of the stars, by their numbers."""
        rows = ("present", "score", "information", "shared", "offset", "light")
        return replace(self, **{name: getattr(self, name)[stars] for name in rows})

    @property
    def _by_map(self) -> BoolArray:
        """Which sectors are read off their maps, [sector]."""
        return np.asarray(0.5 * np.trace(self.nuisance[:, 1:, 1:], axis1=1, axis2=2) > _LINEAR**2)

    @property
    def _is_alone(self) -> bool:
        """Whether there is one sector, which is believed whatever it says: depths and trust stay what they are."""
        return all(sector.alone for sector in self.sectors)

    def best(self, floor_arcsec: float) -> tuple[FloatArray, FloatArray]:
        """Every star's best depth and the log likelihood of that, the shared shift marginalised, each [star]."""
        own, power = self.of_depth()
        pooled = own.sum(axis=1) / np.maximum(power.sum(axis=1), LEAST_INFORMATION)
        if self._is_alone:
            return pooled, self._shared(np.clip(pooled, 0.0, DEEPEST), floor_arcsec)[0]
        # A sector that is wrong may pull the mean: the sectors' middle is tried too.
        each = np.where(self.present, own / np.maximum(power, LEAST_INFORMATION), np.nan)
        with np.errstate(invalid="ignore"):
            middle = np.nanmedian(each, axis=1)
        # Where most sectors do not see the dip, the one that sees it best tells how deep it is.
        clearest = int(np.argmax([sector.evidence.dip.snr for sector in self.sectors]))
        starts = (pooled, middle, np.where(self.present[:, clearest], each[:, clearest], pooled))
        # Of a star too faint for the dip all starts are the same, a total eclipse: each is followed once.
        different = np.unique([(i, d) for start in starts for i, d in enumerate(np.clip(start, 0.0, DEEPEST))], axis=0)
        star, depth = different[:, 0].astype(np.intp), different[:, 1]
        every, best = self.of_stars(star), np.full(len(own), -np.inf)
        own, power = own[star], power[star]
        for _ in range(3):
            value, believed = every._shared(np.clip(depth, 0.0, DEEPEST), floor_arcsec)
            np.maximum.at(best, star, value)
            depth = np.sum(believed * own, axis=1) / np.maximum(np.sum(believed * power, axis=1), LEAST_INFORMATION)
        return pooled, best

    def of_depth(self) -> tuple[FloatArray, FloatArray]:
        """Score and information of every star's depth at its place, [star, sector] each."""
        own, power = self.score[..., 0].copy(), self.information[..., 0, 0].copy()
        for j in map(int, np.flatnonzero(self._by_map)):
            snr, weight = self.sectors[j].dip(self.offset[:, j])
            reached, light = self.present[:, j], self.light[:, j]
            own[reached, j] = (snr * weight * light)[reached]
            power[reached, j] = (weight * light)[reached] ** 2
        return own, power

    def _shared(self, depth: FloatArray, floor: float) -> tuple[FloatArray, FloatArray]:
        """Log likelihood of those depths [star], and how far each sector is believed to see it [star, sector]."""
        constant, slope, curvature = self._of_shift(depth)
        slope[:, self._by_map], curvature[:, self._by_map] = 0.0, 0.0
        upper = [curvature[..., 0, 0], curvature[..., 0, 1], curvature[..., 1, 1]]
        of_shift = constant, np.concatenate([slope, np.stack(upper, axis=-1)], axis=-1)
        believed = self.present.astype(float)
        for _ in range(3):
            precision = np.eye(2) / floor**2 + np.einsum("is,isab->iab", believed, curvature)
            mean = np.linalg.solve(precision, np.einsum("is,isa->ia", believed, slope)[..., None])[..., 0]
            if self._is_alone:
                break
            there = self._at(depth, of_shift, mean[:, None])[:, 0]
            believed = np.where(self.present, trust(self._seen(there), *self._doubt), 0.0)
        root = np.linalg.cholesky(np.linalg.inv(precision))
        nodes = np.einsum("iab,nb->ina", root, _HERMITE_NODES) + mean[:, None]
        log_prior = -0.5 * np.sum(nodes**2, axis=-1) / floor**2 - np.log(2 * np.pi * floor**2)
        each = self._seen(self._at(depth, of_shift, nodes))
        total = (each if self._is_alone else with_doubt(each, *self._doubt)).sum(axis=-1) + log_prior
        volume = np.log(np.linalg.det(root))
        return np.asarray(volume + log_sum(total + _LOG_HERMITE_WEIGHTS)), believed

    def _of_shift(self, depth: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log likelihood as a quadratic of the shared shift, the sector's own errors marginalised.

        Its constant [star, sector], slope [star, sector, 2] and curvature [star, sector, 2, 2].
        """
        d = depth[:, None, None]
        gradient = d * self.score - d**2 * self.information[..., 0, :]
        hessian = d[..., None] ** 2 * self.information
        inner = np.eye(3) + self.nuisance @ hessian
        moved = np.linalg.solve(inner, np.broadcast_to(self.nuisance, hessian.shape))
        down = np.einsum("isab,isb->isa", moved, gradient)
        constant = depth[:, None] * self.score[..., 0] - 0.5 * depth[:, None] ** 2 * self.information[..., 0, 0]
        constant = constant + 0.5 * np.sum(gradient * down, axis=-1) - 0.5 * np.linalg.slogdet(inner)[1]
        constant = constant - np.array([sector.evidence.timing_price for sector in self.sectors])
        slope = gradient - np.einsum("isab,isb->isa", hessian, down)
        curvature = hessian - hessian @ moved @ hessian
        turn = np.swapaxes(self.shift, -1, -2)
        return constant, np.einsum("sab,isb->isa", turn, slope), turn @ curvature @ self.shift

    def _at(self, depth: FloatArray, of_shift: tuple[FloatArray, ...], shift: FloatArray) -> FloatArray:
        """Log likelihood of those depths [star] at shifts [star, node, 2], [star, node, sector].

        `of_shift` has its constant [star, sector]; slope, and curvature above the diagonal, [star, sector, 5].
        """
        constant, factors = of_shift
        east, north = shift[..., 0], shift[..., 1]
        squares = np.stack([east, north, -0.5 * east**2, -east * north, -0.5 * north**2], axis=-1)
        value = np.asarray(constant[:, None] + squares @ np.swapaxes(factors, -1, -2))
        for j in map(int, np.flatnonzero(self._by_map)):
            snr, weight = self.sectors[j].dip(self.offset[:, None, j] + shift)
            value[..., j] = self.sectors[j].log_likelihood(snr, weight, (depth * self.light[:, j])[:, None])
        return value

    def _seen(self, value: FloatArray) -> FloatArray:
        """Log likelihoods [star, ..., sector] in which a sector whose stamp does not reach the star says nothing.

        That is the log likelihood of no dip.
        """
        return np.where(self.present.reshape(len(value), *[1] * (value.ndim - 2), -1), value, 0.0)

    @cached_property
    def _doubt(self) -> FloatArray:
        """Of every sector how far it is right, and what it says otherwise, as `SectorSky.doubt`, [2, sector]."""
        return np.array([sector.doubt for sector in self.sectors]).T


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_HERMITE_NODES = np.stack(np.meshgrid(_NODES, _NODES, indexing="ij"), axis=-1).reshape(-1, 2)
#: Of an integral over a plane: the weight function exp(-z'z/2) is taken out again.
_LOG_HERMITE_WEIGHTS = np.log(np.outer(_WEIGHTS, _WEIGHTS)).ravel() + 0.5 * np.sum(_HERMITE_NODES**2, axis=-1)
