"""What spoils a transit's window, a flare or an asteroid, and what is left of the window without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.windows import Window

_LEFT_OVER = 0.25  # of a bump's height that may be left when its cadences are left out
_LEFT_OVER_ALONE = 0.1  # the same in a pixel by itself, beside the pattern
_LEFT_OVER_MASKED = 2.0  # times the square of the share of cadences that are left out, more
_LEAST_KEPT = 0.4  # of the cadences of the dip, and of its baseline, that must be left to tell


@dataclass(frozen=True, eq=False)
class Bump:
    """What spoils one transit's window."""

    spoilt: BoolArray  #: cadences and pixels that are left out, [cadence, live pixel]
    patterns: FloatArray  #: of the bump on the stamp, of the height that it has at most, e-/s, [live pixel, k]
    height: FloatArray  #: of what rises in each pixel while it is spoilt, at most, e-/s, [live pixel]


def filled(flux: FloatArray, bump: Bump, window: Window, pointing: FloatArray | None) -> FloatArray:
    """The window's flux with what is spoilt replaced by what a fit to the rest says, [cadence, live pixel].

    A pixel of which too little is left keeps its bump; its pattern then is noise of its full height.

    Parameters
    ----------
    flux : array, e-/s, [cadence, live pixel]
    bump : Bump
    window : Window
    pointing : array, pixels, [cadence, p], or None
        Of the window's cadences.
    """
    design = [np.ones(len(window.u)), window.u / np.abs(window.u).max(), window.m]
    if pointing is not None:
        design += list((pointing[:, :2] - pointing[:, :2].mean(axis=0)).T)
    columns = np.column_stack(design)
    result = flux.copy(order="K")
    for pixel in np.flatnonzero(bump.spoilt.any(axis=0)):
        kept = ~bump.spoilt[:, pixel]
        if tells(bump, window)[pixel]:
            solution = np.linalg.lstsq(columns[kept], flux[kept, pixel], rcond=1e-8)[0]
            result[~kept, pixel] = columns[~kept] @ solution
    return result


def tells(bump: Bump, window: Window) -> BoolArray:
    """Pixels of which enough of the dip and of its baseline is left, [live pixel]."""
    kept, dip = ~bump.spoilt, window.m > 0
    return np.asarray((kept[dip].mean(axis=0) >= _LEAST_KEPT) & (kept[~dip].mean(axis=0) >= _LEAST_KEPT))


def pixel_variance(bump: Bump, window: Window) -> FloatArray:
    """Variance that a bump leaves in each pixel of a dip's image by itself, (e-/s)², [live pixel].

    What moves over the stamp has no pattern: a pixel of which too little is left tells nothing.
    """
    share = _LEFT_OVER_ALONE + _LEFT_OVER_MASKED * bump.spoilt.mean(axis=0) ** 2
    return np.asarray((bump.height * np.where(tells(bump, window), np.minimum(share, 1.0), 1.0)) ** 2)


def pattern_noise(bump: Bump, window: Window) -> FloatArray:
    """Patterns [live pixel, k] whose unit amplitude is the noise, 1 sigma, that a bump leaves in a dip's image."""
    return bump.patterns * np.where(tells(bump, window), _LEFT_OVER, 1.0)[:, None]
