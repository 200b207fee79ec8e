"""Stars that vary: their light without what varies slowly, to look for dips at times at which none is expected.

What varies over a few durations leaves, after a line is taken out, far more than the photons' noise, and a dip that is
not where the ephemeris has it would be lost in it (method: timing).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.other_dips import dip_series
from batchvet.science.star_curves import StarCurves
from batchvet.science.windows import WindowLayout

#: Shortest periods, in durations, of what is taken out; from what leaves most of a dip to what leaves half.
_PERIODS = (4.0, 3.0, 2.5)
_LEAST_GAIN = 1.5  # in the signal to noise of a dip, over that of the light as it is
_POLYNOMIAL = 3  # degree: cosines alone cannot follow a slope at the ends of a stretch


def without_slow_light(curves: StarCurves, layout: WindowLayout) -> StarCurves:
    """The curves, each less the slow waves without which dips stand out most; the noise is what dips then see.

    Parameters
    ----------
    curves : StarCurves
        Without bumps.
    layout : WindowLayout
        Of the dips that are looked for.
    """
    varies = curves.noise > _LEAST_GAIN * curves.white_noise  # the others have nothing to gain
    if not varies.any():
        return curves
    own = replace(curves, flux=curves.flux[:, varies], noise=curves.white_noise[varies])
    flux, noise = own.flux, curves.noise[varies]
    best = _LEAST_GAIN / noise
    for period in _PERIODS:
        steady, kept = _steady(own, layout, period * layout.duration)
        seen = dip_series(replace(own, flux=steady), layout).noise
        better = kept / seen > best
        flux, noise = np.where(better, steady, flux), np.where(better, seen, noise)
        best = np.where(better, kept / seen, best)
    whole = curves.flux.copy(), curves.noise.copy()
    whole[0][:, varies], whole[1][varies] = flux, noise
    return replace(curves, flux=whole[0], noise=whole[1])


def _steady(curves: StarCurves, layout: WindowLayout, shortest: float) -> tuple[FloatArray, float]:
    """Light [bin, image] less all waves longer than `shortest` (days), and the share of a dip that is left of it."""
    names, size = np.unique(curves.stretch, return_counts=True)
    flux, kept = curves.flux.copy(), 0.0
    for name in names:
        own = curves.stretch == name
        basis = _slow_waves(curves.time[own], shortest)
        if basis.shape[1] >= np.count_nonzero(own):
            continue
        flux[own] -= basis @ (basis.T @ curves.flux[own])
        if name == names[size.argmax()]:
            template = layout.template(curves.time[own] - np.median(curves.time[own]))
            kept = 1.0 - float(np.sum((basis.T @ template) ** 2) / max(np.sum(template**2), 1.0))
    return flux, kept


def _slow_waves(time: FloatArray, shortest: float) -> FloatArray:
    """Orthonormal basis [bin, wave] of a cubic and all cosines longer than `shortest` that fit an unbroken stretch."""
    x = (time - time[0]) / max(time[-1] - time[0], shortest)
    waves = np.cos(np.pi * x[:, None] * np.arange(int(2.0 * (time[-1] - time[0]) / shortest) + 1))
    both = np.column_stack([waves, (2.0 * x[:, None] - 1.0) ** np.arange(1, _POLYNOMIAL + 1)])
    if both.shape[1] >= len(time):
        return np.eye(len(time))
    return np.asarray(np.linalg.qr(both)[0])
