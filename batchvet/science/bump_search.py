"""Light that does not belong there: flares, asteroids and cosmic rays near a transit.

A flare in the baseline looks like a dip when it is over, on the star that flared; an asteroid like a dip where it was.
Both are bumps above what a quiet star's light does, in the curve of a star on some pixel or in a pixel alone. Their
cadences are left out where they are seen, and what that leaves is noise of the bump's own pattern on the stamp: a dip
that looks like the star that flared counts for less (method: difference images).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.science.bumps import Bump
from batchvet.science.floors import LEAST_INFORMATION
from batchvet.science.robust import spread
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.star_curves import StarCurves
from batchvet.science.windows import Window, WindowLayout

_BUMP = 6.0  # signal to noise of a bin that is no noise
_SUSPECT = 4.0  # the same of a fit that is not robust
_FOOT = 2.0  # and of the bins beside it that belong to the same bump
_SIDE = 0.75  # days to either side of a transit over which the quiet light is followed
_RADIUS = 2.5  # pixels around a bump that are left out with it
_ITERATIONS = 8
_SOFT = 3.0  # sigmas at which residuals begin to count less
_LEAST_BINS = 8
_RIDGE = 1e-9  # of the normal equations' diagonal: keeps them solvable where a curve counts nowhere
_MOST_PATTERNS = 4


@dataclass(frozen=True, eq=False)
class Region:
    """The quiet light around a transit and what rises above it."""

    bins: IndexArray
    star: BoolArray  #: bins that a bump spoils in a star's curve, [bin, image]
    pixel: BoolArray  #: the same in single pixels, [bin, live pixel]
    quiet: FloatArray  #: curves without the bumps, [bin, image]
    excess: FloatArray  #: of single pixels, e-/s, [bin, live pixel]


def without_bumps_in_curves(
    curves: StarCurves, mid_times: FloatArray, layout: WindowLayout, reach: float
) -> tuple[StarCurves, dict[float, Region]]:
    """The curves with what bumps near the transits add to them taken out; and where there are such bumps."""
    flux, regions = curves.flux.copy(), {}
    for mid in mid_times:
        region = bumps_near(curves, float(mid), layout, reach)
        if region is not None:
            flux[region.bins] = np.where(region.star, region.quiet, flux[region.bins])
            regions[float(mid)] = region
    return replace(curves, flux=flux), regions


def bump_of(curves: StarCurves, window: Window, region: Region, pixels: SectorPixels) -> Bump | None:
    """What of the bumps near a transit spoils its window; None when nothing does.

    Parameters
    ----------
    curves : StarCurves
    window : Window
    region : Region
        Around the same transit.
    pixels : SectorPixels
    """
    u = curves.time[region.bins] - window.mid_time
    within = (u >= window.u[0]) & (u <= window.u[-1])
    live = pixels.live
    rows, cols = np.divmod(live, pixels.shape[1])
    near = (rows[:, None] - rows) ** 2 + (cols[:, None] - cols) ** 2 <= _RADIUS**2
    bump = (region.star[:, : live.size].astype(float) @ near > 0) | region.pixel
    seen = bump & within[:, None]
    if not seen.any():
        return None
    excess = np.where(bump, region.excess, 0.0)[seen.any(axis=1)]
    left, size, right = np.linalg.svd(excess / curves.pixel_noise, full_matrices=False)
    k = max(int(np.count_nonzero(size[:_MOST_PATTERNS] > _BUMP)), 1)
    height = np.abs(left[:, :k] * size[:k]).max(axis=0)
    patterns = (right[:k] * height[:, None] * curves.pixel_noise).T
    index = np.abs((curves.time[region.bins] - window.mid_time) - window.u[:, None]).argmin(axis=1)
    return Bump(seen[index], patterns, np.abs(np.where(seen, region.excess, 0.0)).max(axis=0))


def bumps_near(curves: StarCurves, mid: float, layout: WindowLayout, reach: float) -> Region | None:
    """Bumps around a time (BTJD days), `reach` days beyond a window there and further; None when there is none."""
    side = max(_SIDE, layout.outer + reach)
    low, high = np.searchsorted(curves.time, [mid - side, mid + side])
    if high - low < _LEAST_BINS:
        return None
    middle = int(np.clip(np.searchsorted(curves.time, mid), low, high - 1))
    bins = low + np.flatnonzero(curves.stretch[low:high] == curves.stretch[middle])
    if len(bins) < _LEAST_BINS:
        return None
    u = curves.time[bins] - mid
    dip = layout.template(u)
    scale = np.sqrt(curves.count[bins])[:, None]
    light = np.hstack([curves.flux[bins], curves.pixels[bins]])
    rises, excess = _rises(u, dip, light, np.concatenate([curves.noise, curves.pixel_noise]) / scale)
    if not rises.any():
        return None
    n = curves.flux.shape[1]
    return Region(bins, rises[:, :n], rises[:, n:], light[:, :n] - excess[:, :n], excess[:, n:])


def _rises(u: FloatArray, dip: FloatArray, light: FloatArray, sigma: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Bins that rise above the quiet light, and by how much everything does, [bin, curve] each.

    The quiet light is a parabola and the dip, fitted so that what does not fit hardly counts. A dip of another shape
    than the template's leaves rises within it that stay below the light beside it: these do not count.
    """
    x = u / np.abs(u).max()
    design = np.column_stack([np.ones(len(u)), x, x * x, -dip])
    design = design if dip.any() else design[:, :3]
    scale = sigma[:, :1] / sigma[0, 0]  # errors of the bins, alike in all curves
    basis = np.linalg.qr(design / scale)[0]
    white = light / scale
    excess = (white - basis @ (basis.T @ white)) * scale
    residual = excess / sigma
    high = np.flatnonzero(residual.max(axis=0) > _SUSPECT)
    suspect = high[residual[:, high].max(axis=0, initial=0.0) > _SUSPECT * spread(residual[:, high])]
    # the others have no bump in any fit
    rises = np.zeros(light.shape, dtype=bool)
    if suspect.size:
        rises[:, suspect], excess[:, suspect] = _robust_rises(design, light[:, suspect], sigma[:, suspect])
    return rises, excess


def _robust_rises(design: FloatArray, light: FloatArray, sigma: FloatArray) -> tuple[BoolArray, FloatArray]:
    """The same for curves that may have a bump."""
    k = design.shape[1]
    pairs = (design[:, :, None] * design[:, None, :]).reshape(len(design), k * k)
    robust, inverse = np.ones_like(light), sigma**-2.0
    for _ in range(_ITERATIONS):
        weight = robust * inverse
        normal = (weight.T @ pairs).reshape(-1, k, k)
        diagonal = np.einsum("cii->ci", normal)  # a view
        diagonal *= 1.0 + _RIDGE
        diagonal += LEAST_INFORMATION
        right = (weight * light).T @ design
        solution = np.linalg.solve(normal, right[..., None])[..., 0]
        excess = light - design @ solution.T
        residual = excess / sigma
        wide = np.maximum(spread(residual), 1.0)
        residual /= wide
        softened = np.square(residual / _SOFT)
        robust = 1.0 / (1.0 + softened * softened)
    depth = np.maximum(solution[:, 3], 0.0) if design.shape[1] > 3 else np.zeros(light.shape[1])
    above = residual + depth * design[:, -1:] / sigma / wide
    core = np.minimum(residual, above) > _BUMP
    return _grown(core, residual > _FOOT), excess


def _grown(core: BoolArray, foot: BoolArray) -> BoolArray:
    """The cores with the bins beside them as long as their feet, which hold them, last: [bin, curve]."""
    begins = foot.copy()
    begins[1:] &= ~foot[:-1]
    run = np.cumsum(begins, axis=0)  # of feet, its number in its curve
    held = np.zeros((len(foot) + 1, foot.shape[1]), dtype=bool)
    bins, curves = np.nonzero(core)
    held[run[bins, curves], curves] = True
    return np.asarray(foot & held[run, np.arange(foot.shape[1])])
