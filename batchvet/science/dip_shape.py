"""How deep a dip is at its deepest: a template that is not the dip's own measures something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.floors import LEAST_WEIGHT
from batchvet.science.transit_images import window_baselines
from batchvet.science.windows import Window, darkened, trapezoid

_DURATIONS = (0.85, 0.92, 1.0, 1.09, 1.18)  # of the shapes, over the catalogue's
_INGRESSES = (0.08, 0.15, 0.22, 0.3, 0.4, 0.5)  # over the duration: 0.5 is a V
#: Durations over the catalogue's and ingresses over the duration, of the shapes that are thought of.
SHAPES = tuple((duration, ingress) for duration in _DURATIONS for ingress in _INGRESSES)
#: Before the pixels are asked: durations are off by a tenth; every second dip is a planet's, the others eclipses.
_PRIOR = np.outer((0.1, 0.2, 0.4, 0.2, 0.1), (0.25, 0.25, 0.125, 0.125, 0.125, 0.125)).ravel()
#: Where nothing is known of the shape, share of the depth that it leaves open, 1 sigma.
_UNKNOWN = 0.2


@dataclass(frozen=True, eq=False)
class DipShapes:
    """What one sector says of its dip's shape: nothing where it is empty."""

    gain: FloatArray = field(default_factory=lambda: np.zeros(0))  #: chi² that a dip of each of SHAPES takes, [shape]
    #: Depth at its deepest of a dip of that shape, over what the sector's template measures of it, [shape].
    deepest: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(
        cls,
        windows: Sequence[Window],
        duration_days: float,
        exposure_days: float,
        degree: int,
        trust: FloatArray,
        gain: FloatArray | None = None,
    ) -> DipShapes:
        """From the windows as they were fitted.

        Parameters
        ----------
        windows : sequence of Window
            With the template that the dip was measured with.
        duration_days, exposure_days : float
        degree : int
            Of the baseline.
        trust : array, [window]
            What each counts, over what its cadences would make it count.
        gain : array, [shape], optional
            None: nothing is known of the shape.
        """
        u = np.concatenate([window.u for window in windows])
        dark = _darkened(u, duration_days, exposure_days)
        own, shared, start = 0.0, np.zeros(len(SHAPES)), 0
        for window, weight, terms in zip(windows, trust, window_baselines(windows), strict=True):
            baseline, stop = terms[:, : degree + 1], start + len(window.u)
            template = window.m - baseline @ (baseline.T @ window.m)
            own += float(weight * (template @ template))
            shared += weight * (template @ dark[start:stop])
            start = stop
        seen = shared > LEAST_WEIGHT
        deepest = np.where(seen, own / np.where(seen, shared, 1.0), 1.0)
        return cls(np.zeros(len(SHAPES)) if gain is None else gain, deepest)


def _darkened(u: FloatArray, duration_days: float, exposure_days: float) -> FloatArray:
    """Dips of SHAPES, the star's limb dark, at times u from mid-transit, [cadence, shape]."""
    durations = [stretch * duration_days for stretch in _DURATIONS]
    return np.hstack([darkened(u, one, [one * part for part in _INGRESSES], exposure_days) for one in durations])


def trapezoids(
    u: FloatArray, duration_days: float, exposure_days: float, shapes: Sequence[tuple[float, float]] = SHAPES
) -> FloatArray:
    """Templates of those shapes at times u from mid-transit, [cadence, shape]."""
    stretched = [(stretch * duration_days, ingress) for stretch, ingress in shapes]
    return np.column_stack([trapezoid(u, each, ingress * each, exposure_days) for each, ingress in stretched])


def deepest_over_measured(sectors: Sequence[tuple[DipShapes, float]]) -> tuple[float, float]:
    """Depth of a dip at its deepest over what was measured, all sectors together, and the error of that, relative.

    Parameters
    ----------
    sectors : sequence of (DipShapes, float)
        Each with the square of the dip's signal to noise.

    Notes
    -----
    One shape for all sectors: with prior w and gains g, shape k has the weight ``w_k exp(sum g_k / 2)``.
    """
    known = [(shapes, max(information, LEAST_WEIGHT)) for shapes, information in sectors if len(shapes.gain)]
    if not known:
        return 1.0, _UNKNOWN
    log_weight = np.log(_PRIOR) + 0.5 * sum((shapes.gain for shapes, _ in known), np.zeros(len(SHAPES)))
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    deepest = np.average([shapes.deepest for shapes, _ in known], axis=0, weights=[each for _, each in known])
    mean = float(weight @ deepest)
    return mean, float(np.sqrt(weight @ (deepest - mean) ** 2)) / mean
