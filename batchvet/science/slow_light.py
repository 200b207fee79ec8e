"""Stars that vary: their light without what varies slowly, to look for dips at times at which none is expected.

What varies over a few durations leaves, after a line is taken out, far more than the photons' noise, and a dip that is
not where the ephemeris has it would be lost in it (method: timing).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from batchvet.arrays import FloatArray, IndexArray
from batchvet.science.other_dips import DipSeries
from batchvet.science.star_curves import StarCurves
from batchvet.science.windows import WindowLayout

#: Shortest periods, in durations, of what is taken out; from what leaves most of a dip to what leaves half.
_PERIODS = (4.0, 3.0, 2.5)
_LEAST_GAIN = 1.5  # in the signal to noise of a dip, over that of the light as it is
_POLYNOMIAL = 3  # degree: cosines alone cannot follow a slope at the ends of a stretch


def without_slow_light(curves: StarCurves, series: DipSeries, layout: WindowLayout) -> tuple[StarCurves, DipSeries]:
    """The curves, each less the slow waves without which dips stand out most; the noise is what dips then see.

    Parameters
    ----------
    curves : StarCurves
        Without bumps.
    series : DipSeries
        Of these curves.
    layout : WindowLayout
        Of the dips that are looked for.

    Returns
    -------
    curves : StarCurves
    series : DipSeries
        Of the curves without the waves.
    """
    varies = curves.noise > _LEAST_GAIN * curves.white_noise  # the others have nothing to gain
    if not varies.any():
        return curves, series
    own = replace(curves, flux=curves.flux[:, varies], noise=curves.white_noise[varies])
    flux, scaled = own.flux, series.scaled[:, varies]
    noise, seen = curves.noise[varies], series.noise[varies]
    best = _LEAST_GAIN / noise
    for steady, kept in _steady(own, layout):
        found = series.again(replace(own, flux=steady))
        better = kept / found.noise > best
        flux, scaled = np.where(better, steady, flux), np.where(better, found.scaled, scaled)
        noise, seen = np.where(better, found.noise, noise), np.where(better, found.noise, seen)
        best = np.where(better, kept / found.noise, best)
    curves = replace(curves, flux=curves.flux.copy(), noise=curves.noise.copy())
    series = replace(series, scaled=series.scaled.copy(), noise=series.noise.copy())
    curves.flux[:, varies], curves.noise[varies] = flux, noise
    series.scaled[:, varies], series.noise[varies] = scaled, seen
    return curves, series


def _steady(curves: StarCurves, layout: WindowLayout) -> Iterator[tuple[FloatArray, float]]:
    """For each of `_PERIODS`: light [bin, image] less all longer waves, and the share of a dip that is left of it."""
    stretches = [_Stretch.of(curves, layout, own) for own in _slices(curves.stretch)]
    longest = max(stretches, key=lambda one: one.own.stop - one.own.start)
    time = curves.time[longest.own]
    template = layout.template(time - np.median(time))  # a dip in its middle
    for number in range(len(_PERIODS)):
        flux = curves.flux.copy()
        for one in stretches:
            n = one.waves[number]
            if n < one.basis.shape[0]:
                flux[one.own] -= one.basis[:, :n] @ one.light[:n]
        n = longest.waves[number]
        gone = np.sum((longest.basis[:, :n].T @ template) ** 2) / max(np.sum(template**2), 1.0)
        yield flux, 1.0 - float(gone) if n < longest.basis.shape[0] else 0.0


def _slices(stretch: IndexArray) -> list[slice]:
    """Of the stretches, which are in order."""
    ends = [0, *(np.flatnonzero(np.diff(stretch)) + 1), len(stretch)]
    return [slice(low, high) for low, high in pairwise(ends)]


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Slow waves of an unbroken stretch."""

    own: slice  #: its bins
    basis: FloatArray  #: a cubic and cosines, slow ones first, orthonormal, [bin, wave]
    waves: list[int]  #: how many of these are longer than each of `_PERIODS`; as many as bins where it has more waves
    light: FloatArray  #: of the curves in these, [wave, image]

    @classmethod
    def of(cls, curves: StarCurves, layout: WindowLayout, own: slice) -> _Stretch:
        """The waves of all periods are the first of those of the shortest one: one basis serves all."""
        time = curves.time[own]
        span, n = time[-1] - time[0], len(time)
        waves = [int(2.0 * span / (period * layout.duration)) + 1 + _POLYNOMIAL for period in _PERIODS]
        waves = [min(each, n) for each in waves]
        most = max((each for each in waves if each < n), default=0)
        x = (time - time[0]) / max(span, layout.exposure)
        polynomial = (2.0 * x[:, None] - 1.0) ** np.arange(1, _POLYNOMIAL + 1)
        cosines = np.cos(np.pi * x[:, None] * np.arange(max(most - _POLYNOMIAL, 0)))
        basis = np.asarray(np.linalg.qr(np.hstack([polynomial, cosines])[:, :most])[0])
        return cls(own, basis, waves, basis.T @ curves.flux[own])
