"""A scene of more stars than pixels is the same scene, at a price in proportion to its stars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from batchvet.science import scene_solver
from batchvet.science.scene_solver import SceneEquations


def made(n_stars: int, n_pixels: int = 30, seed: int = 1) -> SceneEquations:
    """Faint stars whose magnitudes say more than their pixels, some of them pushed below zero."""
    rng = np.random.default_rng(seed)
    stars = np.abs(rng.normal(size=(n_pixels, n_stars)))
    others = rng.normal(size=(n_pixels, 5))
    expected = 10.0 ** rng.uniform(-6.0, 0.0, n_stars)
    return SceneEquations(
        stars=stars,
        others=others,
        image=stars @ expected + others @ rng.normal(size=5) + rng.normal(0.0, 3.0, n_pixels),
        weight=rng.uniform(0.0, 1.0, n_pixels) * (rng.random(n_pixels) > 0.1),
        expected=expected,
        star_precision=1.0 / (0.7 * expected) ** 2,
        pull=np.array([0.3, -0.2, 0.0, 0.0, 0.0]),
        precision=np.array([25.0, 25.0, 0.0, 0.0, 0.0]),
    )


@pytest.mark.parametrize("n_stars", [1, 8, 30, 31, 90])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_ways_give_the_same_scene(n_stars, seed):
    equations = made(n_stars, seed=seed)
    one, other = equations._by_unknowns(), equations._by_pixels()
    for name in ("flux", "flux_variance", "others", "others_covariance"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-7, atol=1e-9, err_msg=name)
    assert (one.flux >= 0).all() and (other.flux >= 0).all()


def test_some_star_is_held_at_zero():
    """So that the bound is tried above."""
    assert any((made(90, seed=seed)._by_pixels().flux == 0).any() for seed in (1, 2, 3))


def test_the_least_squares_are_those_of_the_definition():
    """Against augmented least squares, the priors as measurements of their own; no flux is bounded here."""
    equations = made(12, n_pixels=40)
    expected = equations.expected + 50.0
    image = equations.image + equations.stars @ np.full(12, 50.0)
    equations = replace(equations, expected=expected, image=image, star_precision=np.full(12, 4.0))
    n, k = 12, 5
    root = np.sqrt(equations.weight)
    design = np.zeros((40 + k + n, k + n))
    design[:40] = np.column_stack([equations.others, equations.stars]) * root[:, None]
    design[40 : 40 + k, :k] = np.diag(np.sqrt(equations.precision))
    design[40 + k :, k:] = np.diag(np.sqrt(equations.star_precision))
    told = np.zeros(40 + k + n)
    told[:40] = equations.image * root
    told[40 : 40 + 2] = equations.pull[:2] / np.sqrt(equations.precision[:2])
    told[40 + k :] = np.sqrt(equations.star_precision) * equations.expected
    solution = np.linalg.lstsq(design, told, rcond=None)[0]
    found = equations._by_pixels()
    assert (solution[k:] > 0).all()
    np.testing.assert_allclose(found.flux, solution[k:], rtol=1e-8)
    np.testing.assert_allclose(found.others, solution[:k], rtol=1e-8)


def test_the_work_grows_with_the_stars_and_not_with_their_cube(monkeypatch):
    """No matrix with a side as long as the stars are many is solved or inverted."""
    sides: list[int] = []

    def watched(solve):
        def watching(matrix, *arguments, **options):
            sides.append(np.shape(matrix)[0])
            return solve(matrix, *arguments, **options)

        return watching

    for place, name in ((np.linalg, "inv"), (np.linalg, "solve"), (scene_solver, "cho_factor")):
        monkeypatch.setattr(place, name, watched(getattr(place, name)))
    made(2000).solve()
    assert sides and max(sides) <= 30
