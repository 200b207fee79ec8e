"""The stars that a stamp shows: how bright they are, and how far the stamp's WCS is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.bleeding import BledColumns
from batchvet.science.empirical_prf import fit_empirical_prf
from batchvet.science.prf import Prf
from batchvet.science.robust import huber_weights
from batchvet.science.scene_solver import SceneEquations
from batchvet.science.stars import Star, relative_fluxes, saturated_pixels
from batchvet.vocabulary import EMPIRICAL, SPOC

#: Pixels, 1 sigma per axis (method: scene and PRF). An empirical PRF has no centre of its own: its origin is one more
#: unknown.
_ZERO_POINT_PRIOR = {SPOC: 0.2, EMPIRICAL: 0.5}
_MAGNITUDE_PRIOR = 0.2  # mag: what a catalogue's magnitude and the passband leave open
#: Of the brightest star's flux: what may shine at a declared place that no catalogue tells of. Wider, it would take the
#: light of the star beside it, which then stood elsewhere.
_UNLISTED_PRIOR = 0.05
_PRF_ERROR = {SPOC: 0.02, EMPIRICAL: 0.01}  # of a pixel's flux: what a PRF that is not perfect leaves
_PLANE_ERROR = 0.002  # of the brightest pixel: faint stars that no table has
_ROBUST_SIGMAS = 4.0  # a pixel beyond counts as a star that the table lacks
_LEAST_FIRST_FLUX = 1e-6  # of the brightest pixel, all stars together: a fit that starts at 0 has no gradient
_LEAST_EXPECTED_FLUX = 1e-9  # of the brightest pixel: a prior's width is a share of the flux that it expects
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
    saturated: BoolArray  #: pixels that are full or bled into: of a column, one sum, [row, col]
    prf: Prf  #: the PRF used; fitted here when none was given


def fit_scene(image: FloatArray, image_error: FloatArray, stars: Sequence[Star], prf: Prf | None = None) -> Scene:
    """Fit star fluxes, a zero point and a background plane to the out-of-transit image (method: scene and PRF).

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
    cannot separate. Pixels that no star explains count less. A column's full pixels count as one.
    """
    bled = BledColumns.of(saturated_pixels(image, stars))
    if prf is None:
        prf = fit_empirical_prf(image, image_error, stars, bled)
    problem = _SceneProblem.of(image, image_error, bled, stars, prf)
    state = problem.start()
    for _ in range(_ITERATIONS):
        state = problem.step(state)
        if state.moved < _CONVERGED:
            break
    return problem.scene(state)


@dataclass(frozen=True, eq=False)
class _SceneState:
    """How far a fit has come; fluxes in units of the brightest pixel."""

    delta: FloatArray  #: zero point (row, col), pixels
    flux: FloatArray  #: [star]
    robust: FloatArray  #: weights of the good pixels, [good pixel]
    background: FloatArray = field(default_factory=lambda: np.zeros(3))  #: coefficients of the plane
    delta_cov: FloatArray = field(default_factory=lambda: np.zeros((2, 2)))  #: of the zero point, pixel²
    flux_variance: FloatArray = field(default_factory=lambda: np.zeros(0))  #: [star]
    chi2_reduced: float = np.nan
    moved: float = np.inf  #: zero point, in the last step, pixels


@dataclass(frozen=True, eq=False)
class _SceneProblem:
    """What is fitted: good pixels in units of the brightest, so that nothing depends on the units of the image."""

    stars: tuple[Star, ...]
    prf: Prf
    bled: BledColumns
    good: BoolArray  #: pixels to fit, [row, col]
    scale: float  #: the brightest of them that is not full, e-/s
    image: FloatArray  #: [good pixel]
    error: FloatArray  #: what the PRF and unlisted stars leave included, [good pixel]
    plane: FloatArray  #: 1, row, col about the middle, [3, row, col]

    @classmethod
    def of(
        cls, image: FloatArray, error: FloatArray, bled: BledColumns, stars: Sequence[Star], prf: Prf
    ) -> _SceneProblem:
        """From image and error in e-/s, [row, col]."""
        known = np.isfinite(image) & np.isfinite(error)
        scale = float(np.max(np.abs(image[known & ~bled.saturated]), initial=0.0)) or 1.0
        summed, error = bled.summed(image), np.sqrt(bled.summed(error**2))
        good = np.isfinite(summed) & np.isfinite(error) & ~bled.left_out
        values = summed[good] / scale
        model_error = _PRF_ERROR[prf.name] * np.abs(values) + _PLANE_ERROR
        rows, cols = np.indices(image.shape)
        plane = np.stack([np.ones(image.shape), rows / image.shape[0] - 0.5, cols / image.shape[1] - 0.5])
        return cls(tuple(stars), prf, bled, good, scale, values, np.hypot(error[good] / scale, model_error), plane)

    @cached_property
    def seen(self) -> Prf:
        """The PRF as the good pixels show it."""
        return self.bled.seen_by(self.prf)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the stamp, rows and columns."""
        return self.good.shape[0], self.good.shape[1]

    @cached_property
    def expected(self) -> FloatArray:
        """Fluxes in the catalogue's proportions, [star]."""
        return relative_fluxes(self.stars)

    @cached_property
    def good_plane(self) -> FloatArray:
        """The plane's terms on the good pixels, [good pixel, 3]."""
        return self.bled.summed(self.plane)[:, self.good].T

    def places(self, delta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rows and columns of the stars with a zero point (row, col)."""
        rows = np.array([star.row for star in self.stars])
        cols = np.array([star.col for star in self.stars])
        return rows + delta[0], cols + delta[1]

    def start(self) -> _SceneState:
        """Fluxes in the catalogue's proportions, as bright as the image."""
        delta = np.zeros(2)
        images = self.seen.images(*self.places(delta), self.shape)[:, self.good]
        together = self.expected @ images
        design = np.column_stack([together, self.good_plane]) / self.error[:, None]
        solution = np.linalg.lstsq(design, self.image / self.error, rcond=None)[0]
        flux = np.maximum(solution[0], _LEAST_FIRST_FLUX) * self.expected
        return _SceneState(delta, flux, np.ones(self.image.size))

    def step(self, state: _SceneState) -> _SceneState:
        """One Gauss-Newton step in zero point, fluxes and plane together."""
        n = len(self.stars)
        cube = self.seen.images_and_gradients(*self.places(state.delta), self.shape)
        images, by_row, by_col = cube[:, :, self.good]
        expected, star_precision = self._expected_fluxes(state)
        # Linear in the fluxes and the plane, so these are solved for themselves, the zero point for its change.
        small = np.array([_ZERO_POINT_PRIOR[self.prf.name] ** -2.0] * 2)
        free = np.zeros(self.good_plane.shape[1])
        equations = SceneEquations(
            stars=images.T,
            others=np.column_stack([state.flux @ by_row, state.flux @ by_col, self.good_plane]),
            image=self.image,
            weight=state.robust / self.error**2,
            expected=expected,
            star_precision=star_precision,
            pull=np.concatenate([-small * state.delta, free]),
            precision=np.concatenate([small, free]),
        )
        found = equations.solve()
        residual = (self.image - equations.stars @ found.flux - equations.others @ found.others) / self.error
        freedom = max(self.image.size - 5 - min(n, self.image.size // 2), 1)
        return _SceneState(
            delta=state.delta + np.clip(found.others[:2], -_LARGEST_STEP, _LARGEST_STEP),
            flux=found.flux,
            robust=huber_weights(residual, _ROBUST_SIGMAS) ** 2,
            background=found.others[2:],
            delta_cov=found.others_covariance[:2, :2],
            flux_variance=found.flux_variance,
            chi2_reduced=float(np.sum(residual**2) / freedom),
            moved=float(np.abs(found.others[:2]).max()),
        )

    def _expected_fluxes(self, state: _SceneState) -> tuple[FloatArray, FloatArray]:
        """What the magnitudes say of the fluxes, and its precision (1 / variance), each [star]."""
        total = np.sum(self.expected * state.flux) / np.sum(self.expected**2)
        centre = np.maximum(total, _LEAST_EXPECTED_FLUX) * self.expected
        width = 0.4 * np.log(10.0) * _MAGNITUDE_PRIOR * np.maximum(centre, _LEAST_EXPECTED_FLUX)
        width[[not star.is_listed for star in self.stars]] = _UNLISTED_PRIOR * centre.max()
        return centre, 1.0 / width**2

    def scene(self, state: _SceneState) -> Scene:
        """The result in the image's units."""
        inflation = max(1.0, state.chi2_reduced)
        images = self.prf.images(*self.places(state.delta), self.shape)
        background = np.tensordot(state.background, self.plane, axes=1) * self.scale
        model = np.tensordot(state.flux, images, axes=1) * self.scale + background
        return Scene(
            stars=self.stars,
            flux=state.flux * self.scale,
            flux_err=np.sqrt(state.flux_variance * inflation) * self.scale,
            delta_row=float(state.delta[0]),
            delta_col=float(state.delta[1]),
            delta_cov=state.delta_cov * inflation,
            background=background,
            model=model,
            chi2_reduced=state.chi2_reduced,
            saturated=self.bled.saturated,
            prf=self.prf,
        )
