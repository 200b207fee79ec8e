"""A PRF learned from the stamp itself, for when the official tables are not at hand (SCIENCE 2c).

An elliptical Moffat times ``1 + sum c_k q_k``, integrated over the pixels; the q_k are the odd polynomials of first
and third degree, made to saturate in the wings: coma and trefoil. An elliptical Moffat alone misplaces a source by
1" on the official PRFs, because those are not symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from batchvet.science.prf import TabulatedPrf
from batchvet.science.stars import Star, relative_fluxes

FloatArray = NDArray[np.float64]

#: Systematic position error of an empirical PRF, pixels per axis: 0.4" rms on official PRFs of four CCDs, and a little
#: more beside neighbours, by the coverage of simulated scenes' error ellipses.
EMPIRICAL_POSITION_ERROR = 0.03

_TERMS = 6  # q_k: u, v, u³, v u², v² u, v³ with u along columns and v along rows
_SCALE = 1.5  # pixels at which the q_k begin to saturate
_START = np.array([np.log(1.2), 0.0, 0.0, np.log(1.5), *np.zeros(_TERMS)])
_PRIOR = np.array([0.5, 0.4, 0.4, 1.0, *np.full(_TERMS, 0.3)])  # 1 sigma of the shape about _START
_ORIGIN_PRIOR = 0.5  # pixels
_QUADRATURE = 3  # Gauss-Legendre points a pixel and axis in the fit
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


def fit_empirical_prf(image: FloatArray, image_error: FloatArray, stars: Sequence[Star]) -> TabulatedPrf:
    """Fit the PRF's shape to an out-of-transit image.

    Parameters
    ----------
    image, image_error : array, e-/s, [row, col]; NaN where there is no usable data
    stars : sequence of Star
        Where the catalogue puts them; a common shift is fitted along and forgotten, as the PRF's origin is its own.

    Returns
    -------
    TabulatedPrf
        Its origin is where the Moffat part is centred.
    """
    shape = _ShapeFit(image, image_error, stars).solve()
    return TabulatedPrf(_table(shape), _SAMPLES, "empirical", EMPIRICAL_POSITION_ERROR)


def _surface(shape: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
    """Brightness on the grid y[:, None], x[None, :] (pixels from the star), total flux about 1."""
    moffat, odd, _ = _parts(shape, y, x)
    return moffat * (1.0 + np.tensordot(shape[4:], odd, axes=1))


def _surface_and_gradient(shape: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
    """Brightness and its derivatives by the shape's parameters, [1 + parameter, y, x]."""
    moffat, odd, (squared, stretch, shear, inverse, beta) = _parts(shape, y, x)
    factor = 1.0 + np.tensordot(shape[4:], odd, axes=1)
    bright = moffat * factor
    base = 1.0 + squared
    slope = -beta / base
    return np.stack(
        [
            bright,
            bright * (-2.0 * squared * slope - 2.0),
            bright * slope * inverse * stretch,
            bright * slope * inverse * shear,
            bright * (1.0 - (beta - 1.0) * np.log(base)),
            *(moffat * odd),
        ]
    )


def _parts(shape: FloatArray, y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray, tuple]:
    """Moffat, the saturating polynomials [k, y, x] and what the derivatives need.

    The shape is log of the width, two ellipticities, log of (beta - 1) and the c_k.
    """
    inverse, beta = np.exp(-2.0 * shape[0]), 1.0 + np.exp(shape[3])
    y2, x2 = (y**2)[:, None], (x**2)[None, :]
    stretch, shear = x2 - y2, 2.0 * y[:, None] * x[None, :]
    squared = np.maximum(inverse * (x2 + y2 + shape[1] * stretch + shape[2] * shear), 0.0)
    moffat = inverse * (beta - 1.0) / np.pi * (1.0 + squared) ** (-beta)
    damping = 1.0 / np.sqrt(1.0 + (x2 + y2) / _SCALE**2)
    v, u = y[:, None] / _SCALE * damping, x[None, :] / _SCALE * damping
    v2, vu, u2 = v * v, v * u, u * u
    odd = np.stack([u, v, u2 * u, vu * u, vu * v, v2 * v])
    return moffat, odd, (squared, stretch, shear, inverse, beta)


def _table(shape: FloatArray) -> FloatArray:
    """Pixel-integrated samples with the origin in the middle; all of the light is inside."""
    half = _SAMPLES * _HALF_WIDTH + _SAMPLES // 2
    axis = np.arange(-half, half + 1) / _SAMPLES
    table = _surface(shape, axis, axis)
    for direction in (0, 1):
        table = correlate1d(table, _SIMPSON, axis=direction, mode="constant")
    edge = _SAMPLES // 2
    table = table[edge:-edge, edge:-edge]
    return table / (table.sum() / _SAMPLES**2)


@dataclass(frozen=True, eq=False)
class _Linearisation:
    """One evaluation of the model: whitened residual, its derivatives, chi² with priors."""

    residual: FloatArray
    jacobian: FloatArray
    cost: float


class _ShapeFit:
    """Levenberg-Marquardt in origin and shape; star fluxes and a plane are solved at every step."""

    def __init__(self, image: FloatArray, error: FloatArray, stars: Sequence[Star]) -> None:
        self.size = image.shape
        self.good = np.isfinite(image) & np.isfinite(error)
        values = image[self.good]
        peak = float(np.max(np.abs(values), initial=0.0)) or 1.0
        self.image = values / peak
        floor = _RELATIVE_ERROR * np.abs(self.image) + _ABSOLUTE_ERROR
        self.error = np.hypot(error[self.good] / peak, floor)
        nodes, weights = leggauss(_QUADRATURE)
        self.nodes, self.weights = 0.5 * nodes, 0.5 * weights
        rows, cols = np.indices(image.shape)
        plane = np.stack([np.ones(image.shape), rows / image.shape[0], cols / image.shape[1]])
        self.plane = plane[:, self.good].T
        expected = relative_fluxes(stars)
        order = np.argsort(-expected, kind="stable")
        inside = [i for i in order if self._inside(stars[i])] or list(order[:1])
        brightest = expected[inside[0]]
        self.shaping = [stars[i] for i in inside[:_SHAPING] if expected[i] >= _SHAPING_FLUX * brightest]
        chosen = {star.source_id for star in self.shaping}
        others = [(expected[i] / brightest, stars[i]) for i in order if stars[i].source_id not in chosen]
        self.others = [(ratio, star) for ratio, star in others if ratio > _FOLLOWING_FLUX][:_FOLLOWING]
        self.prior_mean = np.concatenate([[0.0, 0.0], _START])
        self.prior_weight = np.concatenate([[_ORIGIN_PRIOR, _ORIGIN_PRIOR], _PRIOR]) ** -2.0
        self.robust = np.ones(self.image.size)

    def solve(self) -> FloatArray:
        """Best shape parameters."""
        parameters, damping = self.prior_mean.copy(), 1e-3
        self._draw_others(parameters)
        now = self._linearise(parameters)
        accepted = 0
        for _ in range(_ITERATIONS):
            offset = parameters - self.prior_mean
            normal = now.jacobian.T @ now.jacobian + np.diag(self.prior_weight)
            gradient = now.jacobian.T @ now.residual - self.prior_weight * offset
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            trial = parameters + np.clip(step, -0.5, 0.5)
            trial[3:5] = np.clip(trial[3:5], -0.6, 0.6)
            then = self._linearise(trial)
            if then.cost >= now.cost:
                damping *= 10.0
                continue
            converged = now.cost - then.cost < _CONVERGED * now.cost
            parameters, damping = trial, damping / 10.0
            if converged:
                break
            if accepted < _REDRAWN:
                self._draw_others(parameters)
            accepted += 1
            self.robust = np.minimum(1.0, _ROBUST_SIGMAS / np.maximum(np.abs(then.residual), 1e-9))
            now = self._linearise(parameters)
        return parameters[2:]

    def _linearise(self, parameters: FloatArray) -> _Linearisation:
        origin, shape = parameters[:2], parameters[2:]
        cubes = [self._star(shape, star.row + origin[0], star.col + origin[1]) for star in self.shaping]
        images = np.array([cube[0] for cube in cubes])
        images[0] += self.following  # tied to the brightest star by magnitude
        weight = np.sqrt(self.robust) / self.error
        linear = np.column_stack([images.T, self.plane]) * weight[:, None]
        basis, triangle = np.linalg.qr(linear)
        data = self.image * weight
        flux = np.linalg.lstsq(triangle, basis.T @ data, rcond=None)[0][: len(cubes)]
        residual = data - basis @ (basis.T @ data)
        gradient = np.tensordot(flux, np.array([cube[1:] for cube in cubes]), axes=1)
        jacobian = gradient.T * weight[:, None]
        jacobian -= basis @ (basis.T @ jacobian)
        offset = parameters - self.prior_mean
        return _Linearisation(residual, jacobian, float(residual @ residual + offset**2 @ self.prior_weight))

    def _draw_others(self, parameters: FloatArray) -> None:
        """Light of the stars that follow the brightest one, for its flux 1."""
        (row, col), shape = parameters[:2], parameters[2:]
        self.following = np.zeros(self.image.size)
        for ratio, star in self.others:
            surface = _surface(shape, *self._points(star.row + row, star.col + col))
            self.following += ratio * self._integrated(surface)

    def _star(self, shape: FloatArray, row: float, col: float) -> FloatArray:
        """Image of a star and derivatives by its row, its column and the shape, [3 + parameter, good pixel]."""
        y, x = self._points(row, col)
        surface = _surface_and_gradient(shape, y, x)
        by_row = -np.gradient(surface[0], y, axis=0, edge_order=2)
        by_col = -np.gradient(surface[0], x, axis=1, edge_order=2)
        cube = np.concatenate([surface[:1], by_row[None], by_col[None], surface[1:]])
        return self._integrated(cube)

    def _points(self, row: float, col: float) -> tuple[FloatArray, FloatArray]:
        """Rows and columns of the quadrature points as seen from a star."""
        return tuple(
            (np.arange(size)[:, None] + self.nodes).ravel() - place
            for size, place in zip(self.size, (row, col), strict=True)
        )

    def _integrated(self, surface: FloatArray) -> FloatArray:
        """Sum over the quadrature points [..., y, x] of each good pixel."""
        q = _QUADRATURE
        blocks = surface.reshape(*surface.shape[:-2], self.size[0], q, self.size[1], q)
        return np.einsum("...aibj,i,j->...ab", blocks, self.weights, self.weights)[..., self.good]

    def _inside(self, star: Star) -> bool:
        return all(-0.5 < place < size - 0.5 for place, size in zip((star.row, star.col), self.size, strict=True))
