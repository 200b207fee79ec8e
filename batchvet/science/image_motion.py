"""How the pointing moves a stamp's light, learnt from the stamp itself (method: noise).

Where a file has no POS_CORR, nobody tells how the camera moved. But every star on the stamp moved alike, and what that
does to the pixels shows in each cadence against the next.
"""

from __future__ import annotations

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.floors import LEAST_NOISE
from batchvet.science.robust import spread

_ITERATIONS = 2
_CLIPPED = 5.0  # sigma of a motion, and times the usual misfit: beyond, a cosmic ray or a flare
_LEAST_STEPS = 30


def image_motion(steps: FloatArray, differences: FloatArray, background: FloatArray) -> FloatArray:
    """What a shift of the image by about a pixel does to every pixel, e-/s, [pixel, 2]: in row, in column.

    Parameters
    ----------
    steps : array, e-/s, [step, pixel]
        From one cadence to the next.
    differences : array, e-/s, [pixel, 2]
        Of neighbouring pixels of the image, by row and by column.
    background : array, [pixel, k]
        Shapes that the background may change by.

    Notes
    -----
    Differences of neighbouring pixels are wider than a derivative by a pixel. They serve to measure by how much the
    image moved from each cadence to the next; what all pixels did at those times is the derivative as it was seen.
    Where photons drown the motion, this gives back what it began with.
    """
    if len(steps) < _LEAST_STEPS:
        return differences
    noise, motion = np.maximum(spread(steps), LEAST_NOISE), differences
    white, flat = steps / noise, background / noise[:, None]
    for _ in range(_ITERATIONS):
        design = np.column_stack([flat, motion / noise[:, None]])
        amplitudes = white @ np.linalg.pinv(design).T
        left = np.mean((white - amplitudes @ design.T) ** 2, axis=1)
        moved = amplitudes[:, -2:]
        kept = np.all(np.abs(moved) < _CLIPPED * spread(moved), axis=1) & (left < _CLIPPED * np.median(left))
        if np.count_nonzero(kept) < _LEAST_STEPS:
            break
        motion = (np.linalg.pinv(moved[kept]) @ steps[kept]).T
    return motion
