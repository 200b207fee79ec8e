"""The stars that a stamp shows: how bright they are, and how far the stamp's WCS is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.science.empirical_prf import fit_empirical_prf
from batchvet.science.prf import Prf
from batchvet.science.stars import Star, place_stars, relative_fluxes, saturated_pixels

__all__ = ["Scene", "Star", "fit_scene", "place_stars"]

FloatArray = NDArray[np.float64]

_ZERO_POINT_PRIOR = 0.2  # pixels, per axis (SCIENCE 2c)
_EMPIRICAL_ZERO_POINT_PRIOR = 0.5  # an empirical PRF has no centre of its own: its origin is one more unknown
_MAGNITUDE_PRIOR = 0.2  # mag: what a catalogue's magnitude and the passband leave open
_PRF_ERROR = {"spoc": 0.02, "empirical": 0.01}  # of a pixel's flux: what a PRF that is not perfect leaves
_PLANE_ERROR = 0.002  # of the brightest pixel: faint stars that no table has
_ROBUST_SIGMAS = 4.0  # a pixel beyond counts as a star that the table lacks
_ITERATIONS = 6
_LARGEST_STEP = 0.5  # pixels
_CONVERGED = 1e-3  # pixels


@dataclass(frozen=True, eq=False)
class Scene:
    """The out-of-transit image explained by stars, a background plane and a zero point."""

    stars: tuple[Star, ...]  #: at the catalogue's places, without the zero point
    flux: FloatArray  #: e-/s, [star]
    flux_err: FloatArray  #: 1 sigma, e-/s, [star]
    delta_row: float  #: zero point: the stars lie at row + delta_row
    delta_col: float  #: zero point: the stars lie at col + delta_col
    delta_cov: FloatArray  #: covariance of (delta_row, delta_col), pixel², [2, 2]
    background: FloatArray  #: the plane, e-/s, [row, col]
    model: FloatArray  #: stars and background, e-/s, [row, col]
    chi2_reduced: float  #: of the fit, with the error that a PRF of this kind leaves included
    saturated: NDArray[np.bool_]  #: pixels left out because they are full or bleed, [row, col]
    prf: Prf  #: the PRF used; fitted here when none was given


def fit_scene(image: FloatArray, image_error: FloatArray, stars: Sequence[Star], prf: Prf | None = None) -> Scene:
    """Fit star fluxes, a zero point and a background plane to the out-of-transit image (SCIENCE 2c).

    Parameters
    ----------
    image, image_error : array, e-/s, [row, col]; NaN where there is no data
    stars : sequence of Star
    prf : Prf or None
        None: an empirical one is fitted together with the scene.

    Notes
    -----
    Damped Gauss-Newton in the zero point with the linear parameters along, flux >= 0. Two priors: the zero point
    is small, and fluxes follow the catalogue's magnitudes to 0.2 mag, which matters only to stars that the pixels
    cannot separate. Pixels that no star explains count less.
    """
    saturated = saturated_pixels(image, stars)
    good = np.isfinite(image) & np.isfinite(image_error) & ~saturated
    if prf is None:
        prf = fit_empirical_prf(np.where(good, image, np.nan), image_error, stars)
    fit = _SceneFit(image, image_error, good, stars, prf)
    for _ in range(_ITERATIONS):
        if fit.step() < _CONVERGED:
            break
    return fit.scene(saturated)


class _SceneFit:
    """The state of one fit; fluxes are in units of `scale`, so that nothing depends on the units of the image."""

    def __init__(
        self, image: FloatArray, error: FloatArray, good: NDArray[np.bool_], stars: Sequence[Star], prf: Prf
    ) -> None:
        self.stars, self.prf, self.good, self.shape = tuple(stars), prf, good, image.shape
        self.scale = float(np.max(np.abs(image[good]), initial=0.0)) or 1.0
        self.image = image[good] / self.scale
        model_error = _PRF_ERROR[prf.name] * np.abs(self.image) + _PLANE_ERROR
        self.error = np.hypot(error[good] / self.scale, model_error)
        self.robust = np.ones(self.image.size)
        rows, cols = np.indices(image.shape)
        plane = np.stack([np.ones(image.shape), rows / image.shape[0] - 0.5, cols / image.shape[1] - 0.5])
        self.plane = plane[:, good].T
        self.full_plane = plane
        self.rows = np.array([star.row for star in stars])
        self.cols = np.array([star.col for star in stars])
        self.expected = relative_fluxes(stars)
        self.delta = np.zeros(2)
        width = _ZERO_POINT_PRIOR if prf.name == "spoc" else _EMPIRICAL_ZERO_POINT_PRIOR
        self.delta_weight = width**-2.0
        self.flux = self._first_flux()
        self.covariance = np.eye(2 + len(self.stars) + 3)
        self.chi2_reduced = np.nan

    def _first_flux(self) -> FloatArray:
        """Fluxes in the catalogue's proportions, as bright as the image."""
        images = self.prf.images(self.rows, self.cols, self.shape)[:, self.good]
        together = self.expected @ images
        design = np.column_stack([together, self.plane]) / self.error[:, None]
        solution = np.linalg.lstsq(design, self.image / self.error, rcond=None)[0]
        return np.maximum(solution[0], 1e-6) * self.expected

    def step(self) -> float:
        """One Gauss-Newton step in zero point, fluxes and plane together; the zero point's change in pixels."""
        n = len(self.stars)
        cube = self.prf.images_and_gradients(self.rows + self.delta[0], self.cols + self.delta[1], self.shape)
        images, by_row, by_col = cube[:, :, self.good]
        design = np.column_stack([self.flux @ by_row, self.flux @ by_col, images.T, self.plane])
        weight = self.robust / self.error**2
        normal = design.T @ (design * weight[:, None])
        # Linear in the fluxes and the plane, so these are solved for themselves, the zero point for its change.
        target = self.image.copy()
        right = design.T @ (target * weight)
        centre = self._flux_prior()
        normal[0, 0] += self.delta_weight
        normal[1, 1] += self.delta_weight
        right[:2] -= self.delta_weight * self.delta
        prior_weight = 1.0 / (0.4 * np.log(10.0) * _MAGNITUDE_PRIOR * np.maximum(centre, 1e-9)) ** 2
        index = np.arange(2, 2 + n)
        normal[index, index] += prior_weight
        right[index] += prior_weight * centre
        solution, self.covariance = _solve_nonnegative(normal, right, slice(2, 2 + n))
        self.delta = self.delta + np.clip(solution[:2], -_LARGEST_STEP, _LARGEST_STEP)
        self.flux = solution[2 : 2 + n]
        self.background = solution[2 + n :]
        residual = (target - design[:, 2:] @ solution[2:] - design[:, :2] @ solution[:2]) / self.error
        self.robust = np.minimum(1.0, (_ROBUST_SIGMAS / np.maximum(np.abs(residual), 1e-12)) ** 2)
        freedom = max(self.image.size - 5 - min(n, self.image.size // 2), 1)
        self.chi2_reduced = float(np.sum(residual**2) / freedom)
        return float(np.abs(solution[:2]).max())

    def _flux_prior(self) -> FloatArray:
        """Expected fluxes: the catalogue's proportions at the scale that the fitted fluxes have."""
        total = np.sum(self.expected * self.flux) / np.sum(self.expected**2)
        return np.maximum(total, 1e-9) * self.expected

    def scene(self, saturated: NDArray[np.bool_]) -> Scene:
        """The result in the image's units."""
        inflation = max(1.0, self.chi2_reduced)
        rows, cols = self.rows + self.delta[0], self.cols + self.delta[1]
        background = np.tensordot(self.background, self.full_plane, axes=1) * self.scale
        model = np.tensordot(self.flux, self.prf.images(rows, cols, self.shape), axes=1) * self.scale + background
        n = len(self.stars)
        return Scene(
            stars=self.stars,
            flux=self.flux * self.scale,
            flux_err=np.sqrt(np.diag(self.covariance)[2 : 2 + n] * inflation) * self.scale,
            delta_row=float(self.delta[0]),
            delta_col=float(self.delta[1]),
            delta_cov=self.covariance[:2, :2] * inflation,
            background=background,
            model=model,
            chi2_reduced=self.chi2_reduced,
            saturated=saturated,
            prf=self.prf,
        )


def _solve_nonnegative(normal: FloatArray, right: FloatArray, bounded: slice) -> tuple[FloatArray, FloatArray]:
    """Solution of normal equations with some parameters >= 0, and the covariance without that bound."""
    covariance = np.linalg.inv(normal)
    solution = covariance @ right
    free = np.ones(len(right), dtype=bool)
    while (solution[bounded] < 0).any():
        free[bounded] &= solution[bounded] > 0
        solution = np.zeros(len(right))
        solution[free] = np.linalg.solve(normal[np.ix_(free, free)], right[free])
    return solution, covariance
