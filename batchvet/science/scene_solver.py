"""Least squares of a scene: stars' fluxes that are not negative, and a few other unknowns.

The same sums two ways: by unknowns where the stars are fewer than the pixels, by pixels where they are more, so that
the work grows as the cube of the smaller number and only in proportion to the larger one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from batchvet.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class SceneEquations:
    """Weighted pixels as sums of stars and other terms, with Gaussian priors that are independent of each other."""

    stars: FloatArray  #: images of the stars at unit flux, [pixel, star]
    others: FloatArray  #: the other terms, [pixel, term]
    image: FloatArray  #: [pixel]
    weight: FloatArray  #: 1 / variance, [pixel]
    expected: FloatArray  #: fluxes before the image was asked, [star]
    star_precision: FloatArray  #: 1 / variance of that, [star]
    pull: FloatArray  #: precision times value that is expected of each other term, [term]
    precision: FloatArray  #: 1 / variance of that; 0 where nothing is expected, [term]

    def solve(self) -> SceneSolution:
        """The least squares with fluxes >= 0; variances without that bound."""
        n_pixels, n_stars = self.stars.shape
        return self._by_unknowns() if n_stars <= n_pixels else self._by_pixels()

    def _by_unknowns(self) -> SceneSolution:
        n_stars, n_others = len(self.expected), len(self.pull)
        design = np.column_stack([self.others, self.stars])
        normal = design.T @ (design * self.weight[:, None])
        normal[np.diag_indices_from(normal)] += np.concatenate([self.precision, self.star_precision])
        right = design.T @ (self.image * self.weight)
        right += np.concatenate([self.pull, self.star_precision * self.expected])
        covariance = np.asarray(np.linalg.inv(normal), dtype=np.float64)
        solution: FloatArray = covariance @ right
        free = np.ones(len(right), dtype=bool)
        while (solution[n_others:] < 0).any():
            free[n_others:] &= solution[n_others:] > 0
            solution = np.zeros(n_others + n_stars)
            solution[free] = np.linalg.solve(normal[np.ix_(free, free)], right[free])
        variance = np.diag(covariance)[n_others:]
        return SceneSolution(solution[n_others:], variance, solution[:n_others], covariance[:n_others, :n_others])

    def _by_pixels(self) -> SceneSolution:
        """Stars' light as correlated noise of the pixels about what is expected, then each star's share of it.

        The matrix identity of Woodbury: (S'WS + P)^-1 S'W = P^-1 S' (W^-1 + S P^-1 S')^-1.
        """
        free = np.ones(len(self.expected), dtype=bool)
        flux, others, variance, covariance = self._free(free, with_variance=True)
        while (flux < 0).any():
            free &= flux > 0
            flux, others, _, _ = self._free(free, with_variance=False)
        return SceneSolution(flux, variance, others, covariance)

    def _free(self, free: BoolArray, *, with_variance: bool) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Fluxes (0 where not free), other terms, variances of the fluxes and covariance of the other terms."""
        root = np.sqrt(self.weight)
        stars, others = self.stars[:, free] * root[:, None], self.others * root[:, None]
        prior, expected = 1.0 / self.star_precision[free], self.expected[free]
        factor = cho_factor(np.eye(len(root)) + (stars * prior) @ stars.T, lower=True)
        unexplained = self.image * root - stars @ expected
        seen = cho_solve(factor, others)
        covariance = np.asarray(np.linalg.inv(others.T @ seen + np.diag(self.precision)), dtype=np.float64)
        found: FloatArray = covariance @ (seen.T @ unexplained + self.pull)
        flux, variance = np.zeros(len(free)), np.zeros(len(free))
        flux[free] = expected + prior * (stars.T @ cho_solve(factor, unexplained - others @ found))
        if with_variance:
            told = solve_triangular(factor[0], stars * prior, lower=True)
            shared = (stars * prior).T @ seen
            variance[free] = prior - np.sum(told**2, axis=0) + np.sum(shared @ covariance * shared, axis=1)
        return flux, found, variance, covariance


@dataclass(frozen=True, eq=False)
class SceneSolution:
    """What a scene is made of."""

    flux: FloatArray  #: [star]
    flux_variance: FloatArray  #: [star]
    others: FloatArray  #: [term]
    others_covariance: FloatArray  #: [term, term]
