"""Images in the two orders of memory: by cadence, as files have them, and by pixel, as checks and cache want them."""

from __future__ import annotations

import numpy as np

from batchvet.arrays import BoolArray, Float32Array

_MANY_RUNS = 2000  #: of cadences, and where they end: more are copied one by one


def by_pixel(images: Float32Array) -> Float32Array:
    """Images [cadence, row, col] as contiguous light curves [row, col, cadence]; no copy of what a cache entry gave."""
    return np.ascontiguousarray(images.transpose(1, 2, 0))


def images_of(images: Float32Array, cadences: BoolArray | slice) -> Float32Array:
    """Images of some of the cadences, in the order of memory that they have, [cadence, row, col]."""
    if isinstance(cadences, slice) or images.flags.c_contiguous:
        return images[cadences]
    return series_of(by_pixel(images), cadences).transpose(2, 0, 1)


def series_of(series: Float32Array, cadences: BoolArray) -> Float32Array:
    """Light curves [..., cadence] of some of the cadences: themselves where all are chosen, else a copy."""
    if cadences.all():
        return series
    edges = np.flatnonzero(np.diff(cadences, prepend=False, append=False))
    if len(edges) > _MANY_RUNS:
        return np.compress(cadences, series, axis=-1)
    # a run at a time is several times as fast as cadence by cadence
    runs = [series[..., start:stop] for start, stop in edges.reshape(-1, 2)]
    return np.concatenate(runs, axis=-1) if runs else series[..., :0]
