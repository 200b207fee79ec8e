"""Full pixels of a column count as one, so that a bright star's light is not left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from test_scene import TRUE

from batchvet.science.bleeding import BledColumns
from batchvet.science.scene import fit_scene
from batchvet.science.stars import Star
from batchvet.simulate.detector import bleed

SHAPE = (21, 11)
TMAG = 5.5
FLUX = 10 ** (-0.4 * (TMAG - 20.44))  # e-/s
STARS = (Star("bright", 10.2, 4.9, TMAG, True), Star("b", 4.6, 8.1, 10.0, False))
LIGHT = np.array([FLUX, FLUX * 10 ** (-0.4 * (10.0 - TMAG))])
NOISE = 200.0  # e-/s a pixel


def bled(fluxes: np.ndarray) -> np.ndarray:
    """The stars' image, its charge moved along the columns by the simulator."""
    images = np.array([TRUE.image(star.row, star.col, SHAPE) for star in STARS])
    image = (np.tensordot(fluxes, images, axes=1) + 30.0).astype(np.float32)[None]
    bleed(image)
    return image[0].astype(float)


def test_a_run_of_full_pixels_is_summed_at_its_middle():
    saturated = np.zeros((6, 3), dtype=bool)
    saturated[1:4, 0] = saturated[2, 2] = True
    runs = BledColumns.of(saturated)
    image = np.arange(18.0).reshape(6, 3)
    summed = runs.summed(np.stack([image, 2 * image]))
    assert summed[0, 2, 0] == 3 + 6 + 9 and summed[1, 2, 0] == 2 * (3 + 6 + 9)
    assert summed[0, 2, 2] == image[2, 2]
    assert np.array_equal(np.argwhere(runs.left_out), [[1, 0], [3, 0]])


def test_a_run_whose_charge_leaves_the_stamp_is_none():
    """Full pixels mark their neighbours: of a column full to the last row both sides are marked there."""
    full = np.zeros((6, 5), dtype=bool)
    full[2:5, 2] = True
    ends = binary_dilation(full)
    assert ends[5, 2] and len(BledColumns.of(ends).middle) == 3
    full[5, 2] = True
    leaves = binary_dilation(full)
    assert len(BledColumns.of(leaves).middle) == 2
    assert BledColumns.of(leaves).left_out[:, 2].sum() == 5


@pytest.mark.parametrize("prf", [TRUE, None], ids=["known", "fitted"])
def test_light_of_a_star_that_bleeds_is_all_there(prf):
    image = bled(LIGHT)
    assert (image >= 0.99 * image.max()).sum() >= 5  # full
    scene = fit_scene(image, np.full(SHAPE, NOISE), STARS, prf)
    assert scene.saturated.sum() > 6
    assert scene.flux[0] == pytest.approx(LIGHT[0], rel=0.03)
    assert math.hypot(scene.delta_row, scene.delta_col) < (0.05 if prf is not None else 0.3)


def test_without_a_full_pixel_nothing_changes():
    runs = BledColumns.of(np.zeros(SHAPE, dtype=bool))
    assert runs.seen_by(TRUE) is TRUE and not runs.left_out.any()
    image = bled(LIGHT / 100)
    assert runs.summed(image) is image
