"""Light curves of circles about a stamp's centre, the background of an annulus taken off, as V10 has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray, Float32Array, FloatArray

#: Radii of the apertures, pixels.
RADII = (1.0, 1.5, 2.0, 2.5, 3.0)
#: An annulus of fewer pixels has no median to speak of: nothing is taken off then.
LEAST_BACKGROUND_PIXELS = 3


@dataclass(frozen=True, eq=False)
class Photometry:
    """Light curves of the apertures."""

    raw: FloatArray  #: e-/s, [aperture, cadence]
    net: FloatArray  #: e-/s, background subtracted, [aperture, cadence]
    n_background: int  #: pixels of the annulus


def photometry(series: Float32Array, shape: tuple[int, int]) -> Photometry:
    """Light curves of the apertures of a stamp of `shape` (rows, columns), whose pixels' are e-/s, [pixel, cadence].

    Each aperture is summed pixel by pixel, in tess-vetter's order, so that the last bit agrees.
    """
    distance = _squared_distance(shape)
    annulus = _annulus(distance, shape)
    n_background = int(annulus.sum())
    enough = n_background >= LEAST_BACKGROUND_PIXELS
    background = _medians(series[annulus.ravel()]) if enough else np.zeros(series.shape[1])
    widest = distance <= max(RADII) ** 2
    light = series[widest.ravel()].astype(np.float64)
    light[np.isnan(light)] = 0.0
    raw = np.zeros((len(RADII), series.shape[1]))
    net = np.empty_like(raw)
    with np.errstate(invalid="ignore"):
        for index, radius in enumerate(RADII):
            members = np.flatnonzero(distance[widest] <= radius**2)
            for pixel in members:
                raw[index] += light[pixel]
            net[index] = raw[index] - background * members.size
    return Photometry(raw, net, n_background)


def _squared_distance(shape: tuple[int, int]) -> FloatArray:
    """Squared distance of each pixel from the centre of the stamp, pixels², [row, col]."""
    row, col = np.ogrid[: shape[0], : shape[1]]
    return (row - (shape[0] - 1) / 2.0) ** 2 + (col - (shape[1] - 1) / 2.0) ** 2


def _annulus(distance: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """Background pixels: beyond the largest aperture, as far as the stamp holds whole circles, [row, col]."""
    inner = max(max(RADII) + 1.0, 4.0)
    outer = inner + 2.0
    largest = (min(shape) - 1) / 2.0
    if outer > largest:
        outer = largest
        inner = max(outer - 2.0, max(RADII) + 0.5)
    return (distance > inner**2) & (distance <= outer**2)


def _medians(pixels: Float32Array) -> FloatArray:
    """Median over the pixels [pixel, cadence] of each cadence without NaN; NaN where there is nothing else."""
    ordered = np.sort(np.ascontiguousarray(pixels.T), axis=1)  # NaN last; faster than a partition of so few
    n = ordered.shape[1]
    lower, upper = ordered[:, (n - 1) // 2].astype(np.float64), ordered[:, n // 2].astype(np.float64)
    short = np.flatnonzero(np.isnan(ordered[:, -1]))
    if short.size:
        n_finite = n - np.isnan(ordered[short]).sum(axis=1)
        lower[short] = ordered[short, np.maximum(n_finite - 1, 0) // 2]
        upper[short] = ordered[short, np.minimum(n_finite // 2, n - 1)]
    with np.errstate(invalid="ignore"):
        return np.asarray((lower + upper) / 2.0)
