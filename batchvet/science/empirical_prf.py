"""A PRF learned from the stamp itself, for when the official tables are not at hand (method: scene and PRF).

An elliptical Moffat times ``1 + sum c_k q_k``, integrated over the pixels; the q_k are the odd polynomials of first
and third degree, made to saturate in the wings: coma and trefoil. An elliptical Moffat alone misplaces a source by
1" on the official PRFs, because those are not symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.ndimage import correlate1d

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.bleeding import BledColumns
from batchvet.science.prf import TabulatedPrf
from batchvet.science.robust import huber_weights
from batchvet.science.stars import Star, relative_fluxes
from batchvet.vocabulary import EMPIRICAL

#: Systematic position error of an empirical PRF, pixels per axis: 0.4" rms on official PRFs of four CCDs, and a little
#: more beside neighbours, by the coverage of simulated scenes' error ellipses.
EMPIRICAL_POSITION_ERROR = 0.03

_TERMS = 6  # q_k: u, v, u³, v u², v² u, v³ with u along columns and v along rows
_SCALE = 1.5  # pixels at which the q_k begin to saturate
_ORIGIN_PRIOR = 0.5  # pixels
_SHAPE_MEAN = np.array([np.log(1.2), 0.0, 0.0, np.log(1.5), *np.zeros(_TERMS)])
_SHAPE_PRIOR = np.array([0.5, 0.4, 0.4, 1.0, *np.full(_TERMS, 0.3)])  # 1 sigma about that
_PRIOR_MEAN = np.concatenate([[0.0, 0.0], _SHAPE_MEAN])  # of origin and shape
_PRIOR_WEIGHT = np.concatenate([[_ORIGIN_PRIOR, _ORIGIN_PRIOR], _SHAPE_PRIOR]) ** -2.0
_QUADRATURE = 3  # Gauss-Legendre points a pixel and axis in the fit
_NODES, _WEIGHTS = (0.5 * each for each in leggauss(_QUADRATURE))  # over a pixel from -0.5 to 0.5
_SAMPLES = 8  # a pixel, in the table; even, for Simpson's rule
_HALF_WIDTH = 8  # pixels, of the table
_SIMPSON = np.array([1, 4, 2, 4, 2, 4, 2, 4, 1]) / (3.0 * _SAMPLES)
_SHAPING = 4  # brightest stars that shape the PRF
_SHAPING_FLUX = 0.05  # of the brightest one's light; fainter stars follow by their magnitudes
_FOLLOWING = 12  # most of those
_FOLLOWING_FLUX = 5e-3  # of the brightest one's light; what is fainter hardly matters to the shape
_RELATIVE_ERROR = 0.01  # of a pixel's flux, what this form cannot follow
_ABSOLUTE_ERROR = 0.0015  # of the brightest pixel, stars that no table has
_ROBUST_SIGMAS = 4.0
_ITERATIONS = 12
_REDRAWN = 2  # accepted steps after which the faint stars' light is drawn again
_CONVERGED = 1e-3  # relative fall of chi²
_LARGEST_STEP = 0.5  # of any parameter
_LARGEST_ELLIPTICITY = 0.6
_FIRST_DAMPING = 1e-3  # of Levenberg and Marquardt, over the diagonal


def fit_empirical_prf(
    image: FloatArray, image_error: FloatArray, stars: Sequence[Star], bled: BledColumns | None = None
) -> TabulatedPrf:
    """Fit the PRF's shape to an out-of-transit image.

    Parameters
    ----------
    image, image_error : array, e-/s, [row, col]; NaN where there is no usable data
    stars : sequence of Star
        Where the catalogue puts them; a common shift is fitted along and forgotten, as the PRF's origin is its own.
    bled : BledColumns, optional
        Full pixels; without them the wings alone would say what the PRF is.

    Returns
    -------
    TabulatedPrf
        Its origin is where the Moffat part is centred.
    """
    bled = BledColumns.of(np.zeros(image.shape, dtype=bool)) if bled is None else bled
    shape = _solve(_ShapeProblem.of(image, image_error, stars, bled))
    return TabulatedPrf(_table(shape), _SAMPLES, EMPIRICAL, EMPIRICAL_POSITION_ERROR)


def _surface(shape: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
    """Brightness on the grid y[:, None], x[None, :] (pixels from the star), total flux about 1."""
    parts = _parts(shape, y, x)
    return parts.moffat * (1.0 + np.tensordot(shape[4:], parts.odd, axes=1))


def _surface_and_gradient(shape: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
    """Brightness and its derivatives by the shape's parameters, [1 + parameter, y, x]."""
    parts = _parts(shape, y, x)
    bright = parts.moffat * (1.0 + np.tensordot(shape[4:], parts.odd, axes=1))
    base = 1.0 + parts.squared
    slope = -parts.beta / base
    return np.stack(
        [
            bright,
            bright * (-2.0 * parts.squared * slope - 2.0),
            bright * slope * parts.inverse * parts.stretch,
            bright * slope * parts.inverse * parts.shear,
            bright * (1.0 - (parts.beta - 1.0) * np.log(base)),
            *(parts.moffat * parts.odd),
        ]
    )


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a surface is made of on a grid [y, x]."""

    moffat: FloatArray  #: [y, x]
    odd: FloatArray  #: the saturating polynomials q_k, [k, y, x]
    squared: FloatArray  #: elliptical distance over the width, squared, [y, x]
    stretch: FloatArray  #: x² - y²
    shear: FloatArray  #: 2 x y
    inverse: float  #: 1 over the width squared
    beta: float  #: Moffat's exponent


def _parts(shape: FloatArray, y: FloatArray, x: FloatArray) -> _Parts:
    """Of a shape: log of the width, two ellipticities, log of (beta - 1) and the c_k."""
    inverse, beta = np.exp(-2.0 * shape[0]), 1.0 + np.exp(shape[3])
    y2, x2 = (y**2)[:, None], (x**2)[None, :]
    stretch, shear = x2 - y2, 2.0 * y[:, None] * x[None, :]
    squared = np.maximum(inverse * (x2 + y2 + shape[1] * stretch + shape[2] * shear), 0.0)
    moffat = inverse * (beta - 1.0) / np.pi * (1.0 + squared) ** (-beta)
    damping = 1.0 / np.sqrt(1.0 + (x2 + y2) / _SCALE**2)
    v, u = y[:, None] / _SCALE * damping, x[None, :] / _SCALE * damping
    v2, vu, u2 = v * v, v * u, u * u
    odd = np.stack([u, v, u2 * u, vu * u, vu * v, v2 * v])
    return _Parts(moffat, odd, squared, stretch, shear, inverse, beta)


def _table(shape: FloatArray) -> FloatArray:
    """Pixel-integrated samples with the origin in the middle; all of the light is inside."""
    half = _SAMPLES * _HALF_WIDTH + _SAMPLES // 2
    axis = np.arange(-half, half + 1) / _SAMPLES
    table = _surface(shape, axis, axis)
    for direction in (0, 1):
        table = correlate1d(table, _SIMPSON, axis=direction, mode="constant")
    edge = _SAMPLES // 2
    table = table[edge:-edge, edge:-edge]
    return np.asarray(table / (table.sum() / _SAMPLES**2))


@dataclass(frozen=True, eq=False)
class _Quadrature:
    """Points at which the pixels of a stamp are integrated, as a star sees them."""

    shape: tuple[int, int]  #: rows, columns of the stamp
    good: BoolArray  #: pixels that are wanted, [row, col]
    bled: BledColumns

    def points(self, row: float, col: float) -> tuple[FloatArray, FloatArray]:
        """Rows and columns of the points, from a star at (row, col)."""
        y, x = ((np.arange(size)[:, None] + _NODES).ravel() for size in self.shape)
        return y - row, x - col

    def integrated(self, surface: FloatArray) -> FloatArray:
        """Sum over the points [..., y, x] of each good pixel, [..., good pixel]."""
        q = _QUADRATURE
        blocks = surface.reshape(*surface.shape[:-2], self.shape[0], q, self.shape[1], q)
        pixels: FloatArray = np.einsum("...aibj,i,j->...ab", blocks, _WEIGHTS, _WEIGHTS)
        return self.bled.summed(pixels)[..., self.good]

    def star(self, shape: FloatArray, row: float, col: float) -> FloatArray:
        """Image of a star and derivatives by its row, its column and the shape, [3 + parameter, good pixel]."""
        y, x = self.points(row, col)
        surface = _surface_and_gradient(shape, y, x)
        by_row = -np.gradient(surface[0], y, axis=0, edge_order=2)
        by_col = -np.gradient(surface[0], x, axis=1, edge_order=2)
        return self.integrated(np.concatenate([surface[:1], by_row[None], by_col[None], surface[1:]]))


@dataclass(frozen=True, eq=False)
class _Linearisation:
    """The model at one set of parameters: whitened residual, its derivatives, chi² with priors."""

    residual: FloatArray
    jacobian: FloatArray
    cost: float


@dataclass(frozen=True, eq=False)
class _ShapeProblem:
    """What is fitted: good pixels in units of the brightest, and the stars that they show.

    Parameters are the origin (row, col) and the shape; star fluxes and a plane are solved for at every step.
    """

    image: FloatArray  #: [good pixel]
    error: FloatArray  #: what this form cannot follow included, [good pixel]
    plane: FloatArray  #: [good pixel, 3]
    quadrature: _Quadrature
    shaping: tuple[Star, ...]  #: stars whose light shapes the PRF, the brightest first
    others: tuple[tuple[float, Star], ...]  #: stars that follow the brightest, with their light over its

    @classmethod
    def of(cls, image: FloatArray, error: FloatArray, stars: Sequence[Star], bled: BledColumns) -> _ShapeProblem:
        """From the image [row, col] and the catalogue's stars."""
        shape = (image.shape[0], image.shape[1])
        known = np.isfinite(image) & np.isfinite(error) & ~bled.saturated
        peak = float(np.max(np.abs(image[known]), initial=0.0)) or 1.0
        image, error = bled.summed(image), np.sqrt(bled.summed(error**2))
        good = np.isfinite(image) & np.isfinite(error) & ~bled.left_out
        values = image[good] / peak
        floor = _RELATIVE_ERROR * np.abs(values) + _ABSOLUTE_ERROR
        rows, cols = np.indices(shape)
        plane = np.stack([np.ones(shape), rows / shape[0], cols / shape[1]])
        expected = relative_fluxes(stars)
        order = np.argsort(-expected, kind="stable")
        inside = [i for i in order if _inside(stars[i], shape)] or list(order[:1])
        brightest = expected[inside[0]]
        shaping = [stars[i] for i in inside[:_SHAPING] if expected[i] >= _SHAPING_FLUX * brightest]
        chosen = {star.source_id for star in shaping}
        others = [(float(expected[i] / brightest), stars[i]) for i in order if stars[i].source_id not in chosen]
        following = [(ratio, star) for ratio, star in others if ratio > _FOLLOWING_FLUX][:_FOLLOWING]
        return cls(
            image=values,
            error=np.hypot(error[good] / peak, floor),
            plane=bled.summed(plane)[:, good].T,
            quadrature=_Quadrature(shape, good, bled),
            shaping=tuple(shaping),
            others=tuple(following),
        )

    def light_of_others(self, parameters: FloatArray) -> FloatArray:
        """Light of the stars that follow the brightest one, for its flux 1, [good pixel]."""
        (row, col), shape = parameters[:2], parameters[2:]
        light = np.zeros(self.image.size)
        for ratio, star in self.others:
            surface = _surface(shape, *self.quadrature.points(star.row + row, star.col + col))
            light += ratio * self.quadrature.integrated(surface)
        return light

    def linearised(self, parameters: FloatArray, robust: FloatArray, following: FloatArray) -> _Linearisation:
        """The model there, with weights of the pixels and the light of the following stars, each [good pixel]."""
        (row, col), shape = parameters[:2], parameters[2:]
        cubes = [self.quadrature.star(shape, star.row + row, star.col + col) for star in self.shaping]
        images = np.array([cube[0] for cube in cubes])
        images[0] += following  # tied to the brightest star by magnitude
        weight = np.sqrt(robust) / self.error
        linear = np.column_stack([images.T, self.plane]) * weight[:, None]
        basis, triangle = np.linalg.qr(linear)
        data = self.image * weight
        flux = np.linalg.lstsq(triangle, basis.T @ data, rcond=None)[0][: len(cubes)]
        residual = data - basis @ (basis.T @ data)
        gradient = np.tensordot(flux, np.array([cube[1:] for cube in cubes]), axes=1)
        jacobian = gradient.T * weight[:, None]
        jacobian -= basis @ (basis.T @ jacobian)
        offset = parameters - _PRIOR_MEAN
        return _Linearisation(residual, jacobian, float(residual @ residual + offset**2 @ _PRIOR_WEIGHT))


def _solve(problem: _ShapeProblem) -> FloatArray:
    """Best shape, by Levenberg-Marquardt in origin and shape."""
    parameters, damping = _PRIOR_MEAN.copy(), _FIRST_DAMPING
    robust, following = np.ones(problem.image.size), problem.light_of_others(parameters)
    now = problem.linearised(parameters, robust, following)
    accepted = 0
    for _ in range(_ITERATIONS):
        offset = parameters - _PRIOR_MEAN
        normal = now.jacobian.T @ now.jacobian + np.diag(_PRIOR_WEIGHT)
        gradient = now.jacobian.T @ now.residual - _PRIOR_WEIGHT * offset
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
        trial = parameters + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        trial[3:5] = np.clip(trial[3:5], -_LARGEST_ELLIPTICITY, _LARGEST_ELLIPTICITY)
        then = problem.linearised(trial, robust, following)
        if then.cost >= now.cost:
            damping *= 10.0
            continue
        converged = now.cost - then.cost < _CONVERGED * now.cost
        parameters, damping = trial, damping / 10.0
        if converged:
            break
        if accepted < _REDRAWN:
            following = problem.light_of_others(parameters)
        accepted += 1
        robust = huber_weights(then.residual, _ROBUST_SIGMAS)
        now = problem.linearised(parameters, robust, following)
    return parameters[2:]


def _inside(star: Star, shape: tuple[int, int]) -> bool:
    """Whether a star lies on the stamp."""
    return all(-0.5 < place < size - 0.5 for place, size in zip((star.row, star.col), shape, strict=True))
