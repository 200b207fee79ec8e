"""A scene whose brightest star is in no table: locate it, and do not let it pull the others' zero point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.prf import Prf
from batchvet.science.scene import Scene, fit_scene
from batchvet.science.stars import FAINTEST_SATURATED, Star
from batchvet.vocabulary import EMPIRICAL, SPOC

_APART = 1.5  # pixels between the brightest pixel and any listed star: farther than a zero point can be
_OWN_ERROR = 0.03  # of the unlisted star's flux in a pixel: what subtracting it leaves
_SEEN = 0.3  # of the unlisted star's flux: a fainter listed star does not say where the others are
_WCS_ZERO_POINT = {SPOC: 0.06, EMPIRICAL: 0.15}  # pixels per axis, 1 sigma, where nothing measures it


def fit_scene_with_unlisted(
    image: FloatArray, error: FloatArray, stars: Sequence[Star], prf: Prf | None
) -> tuple[Scene, bool]:
    """Fit the scene; where the brightest pixel belongs to no star, first fit and subtract what shines there.

    Without it, a zero point (and an empirical PRF) would be fitted that moves the listed stars onto the unlisted
    one: a target declared beside the true star would take its place.

    Parameters
    ----------
    image, error : array, e-/s, [row, col]
        Out-of-transit image.
    stars : sequence of Star
    prf : Prf or None

    Returns
    -------
    scene : Scene
        Of the listed stars.
    unlisted : bool
        Whether there was such a star.
    """
    if not _brightest_is_unlisted(image, stars):
        return fit_scene(image, error, stars, prf), False
    row, col = np.unravel_index(np.nanargmax(image), image.shape)
    alone = _fit_alone(image, error, float(row), float(col), prf)
    light = alone.model - alone.background
    rest = fit_scene(image - light, np.hypot(error, _OWN_ERROR * light), stars, alone.prf)
    if rest.flux.max() < _SEEN * alone.flux.max():
        unknown = np.eye(2) * _WCS_ZERO_POINT[rest.prf.name] ** 2
        rest = replace(rest, delta_row=0.0, delta_col=0.0, delta_cov=unknown)
    return replace(rest, model=rest.model + light, saturated=rest.saturated | alone.saturated), True


def _brightest_is_unlisted(image: FloatArray, stars: Sequence[Star]) -> bool:
    """Whether no star lies near the brightest pixel; one beyond the edge may shine into it."""
    if any(star.tmag < FAINTEST_SATURATED for star in stars):
        return False  # its charge bleeds along the column: the brightest pixel may lie anywhere on it
    place = np.unravel_index(np.nanargmax(image), image.shape)
    nearest = [np.clip((star.row, star.col), 0, np.array(image.shape) - 1) for star in stars]
    return min(float(np.hypot(*(near - place))) for near in nearest) > _APART


def _fit_alone(image: FloatArray, error: FloatArray, row: float, col: float, prf: Prf | None) -> Scene:
    """The star at that pixel by itself, moved until it needs no zero point."""
    for _ in range(3):
        scene = fit_scene(image, error, [Star("unlisted", row, col, math.nan, is_target=False)], prf)
        row, col = row + scene.delta_row, col + scene.delta_col
    return scene
