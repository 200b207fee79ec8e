"""How noisy a difference image is, measured where there is no transit (method: noise)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.special import chdtri

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.floors import LEAST_SPREAD
from batchvet.science.localization_settings import NoiseSettings
from batchvet.science.robust import clipped_variance, medians, winsorised
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.timeline import SectorTimeline, Transits
from batchvet.science.transit_images import DipFits
from batchvet.science.windows import Window, WindowLayout, WindowSettings, windows_at

_KAPPA_ITERATIONS = 5
#: Fewer epochs: a covariance is not measured but assumed, a baseline not chosen.
LEAST_EPOCHS = 12
_UNMEASURED_KAPPA = 2.0  # variance inflation assumed then: typical of red noise in real sectors
_FAR_TAIL = 0.999  # amplitudes of shared shapes are pulled in beyond this only: transits see their tails too
_TAIL_MATCHED = 0.9  # quantile of the epochs' amplitudes that a Gaussian of the covariance has at least as far out
_PRIOR_EPOCHS = 40.0  # weight of the stamp's typical kappa against a pixel's own
_LEAST_UNSHARED = 0.01  # share of a pixel's scatter that is its own, when the file has no FLUX_ERR
_LEAST_PIXEL_KAPPA = 0.8  # of a single pixel, over the stamp's typical one: below is chance
_LEAST_FREEDOM = 0.05  # share of a pixel's scatter that common shapes leave it at least
_INDEPENDENT = 1e-6  # of the largest singular value: a direction with less is rounding


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Covariance of a dip fit: ``leverage * (diag(variance) + T Lambda T')``.

    Everything is per unit of the fit's leverage, so that it serves windows with fewer or more cadences.
    """

    variance: FloatArray  #: kappa v: of each pixel alone, per unit of leverage, (e-/s)², [live pixel]
    scatter: FloatArray  #: typical variance of one cadence, to compare windows with, (e-/s)², [live pixel]
    shapes: FloatArray  #: T: 1, row, col, dI/drow, dI/dcol and what else the epochs share, [live pixel, k]
    shape_cov: FloatArray  #: Lambda, [k, k], per unit of leverage
    n_epochs: int  #: epochs it was measured on


def null_windows(
    timeline: SectorTimeline,
    transits: Transits,
    window_settings: WindowSettings,
    settings: NoiseSettings,
    *,
    anywhere: bool = False,
    avoid: BoolArray | None = None,
) -> list[Window]:
    """Windows like the transits', spread over the sector, that no dip touches.

    With `anywhere` they may lie on the candidate's own dips and be cut by gaps like a transit's own: for data whose
    dips have been filled in, when too few others exist. Cadences to `avoid` [cadence] are those of dips that no
    ephemeris tells of.
    """
    free = timeline.free_cadences(transits.others, window_settings.break_days)
    index, times = free.index, free.times
    if index.size == 0:
        return []
    ephemeris, exposure = transits.ephemeris, timeline.exposure_days
    sigma = ephemeris.mid_time_error(float(np.median(times)))
    layout = WindowLayout.of(ephemeris, sigma, exposure, window_settings)
    step = ephemeris.duration_days / settings.grid_per_duration
    mids = np.arange(times[0], times[-1], max(step, exposure))
    low = np.searchsorted(times, mids - layout.outer)
    high = np.searchsorted(times, mids + layout.outer)
    good = high > low
    if not anywhere:
        dips = timeline.in_transit_of([ephemeris])
        dips = dips if avoid is None else dips | avoid
        busy = np.concatenate([[0], np.cumsum(dips[index])])
        unbroken = 2.0 * layout.outer / exposure
        first, last = np.minimum(low, index.size - 1), np.maximum(high - 1, 0)
        good &= busy[high] == busy[low]
        good &= (high - low) >= settings.full_coverage * unbroken
        good &= free.stretches[index[first]] == free.stretches[index[last]]
    mids = mids[good]
    if len(mids) > settings.most_epochs:
        mids = mids[np.linspace(0, len(mids) - 1, settings.most_epochs).round().astype(int)]
    found = windows_at(mids, layout, free, window_settings)
    return [window for window in found if isinstance(window, Window)]


def measure_noise(
    pixels: SectorPixels,
    fits: DipFits,
    shapes: FloatArray,
    scatter: FloatArray,
    settings: NoiseSettings,
) -> NoiseModel:
    """Learn the covariance from dips fitted where there is none.

    Parameters
    ----------
    pixels : SectorPixels
    fits : DipFits
        At transit-free epochs.
    shapes : array, [live pixel, 5]
        1, row, col, dI/drow, dI/dcol.
    scatter : array, (e-/s)², [live pixel]
        Of the transits' own fits; used, not below FLUX_ERR², when there are too few epochs.
    settings : NoiseSettings
    """
    if len(fits) < LEAST_EPOCHS:
        variance = _UNMEASURED_KAPPA * np.maximum(scatter, pixels.error_variance)
        return NoiseModel(variance, scatter, shapes, np.zeros((shapes.shape[1],) * 2), len(fits))
    # What pixels share, jitter first of all, must not hide in the variance of single pixels: start from the
    # pipeline's error, which does not know of it, or let the pixels shrink to what is not shared.
    scatter = medians(fits.scatter.T)
    known = bool(np.all(pixels.error_variance > 0))
    white_variance = pixels.error_variance if known else scatter
    least = _LEAST_PIXEL_KAPPA if known else _LEAST_UNSHARED
    dips = fits.flux / np.sqrt(fits.leverage * fits.unrest)[:, None]
    kappa = np.ones(len(scatter))
    for _ in range(_KAPPA_ITERATIONS):
        deviation = np.sqrt(kappa * white_variance)
        white = dips / deviation
        basis, extra = _shared_basis(white, shapes / deviation[:, None], settings.most_components)
        left = white - white @ basis @ basis.T
        freedom = np.maximum(1.0 - np.einsum("pk,pk->p", basis, basis), _LEAST_FREEDOM)
        kappa = kappa * _pixel_inflation(left / np.sqrt(freedom))
        kappa = np.maximum(kappa, least * (np.median(kappa) if known else 1.0))
    # Too small a variance by chance gives its pixel too much weight: chi² is high by about 3 over the epochs.
    deviation = np.sqrt(kappa * white_variance * (1.0 + 3.0 / len(fits)))
    shapes = np.column_stack([shapes, extra * deviation[:, None]])
    shape_cov = _shape_covariance(dips / deviation, shapes / deviation[:, None])
    return NoiseModel(deviation**2, scatter, shapes, shape_cov, len(fits))


def _shared_basis(white: FloatArray, shapes: FloatArray, most: int) -> tuple[FloatArray, FloatArray]:
    """Orthonormal basis [pixel, k] of the shapes and of what else the epochs share, and the latter alone.

    A further component counts when its variance exceeds what uncorrelated pixels of unit variance give at most
    (Marchenko-Pastur edge), with the epochs' overlap counted as a factor of two.
    """
    basis = orthonormal(shapes)
    left = winsorised(white - white @ basis @ basis.T)
    n, pixels = left.shape
    edge = (1.0 + np.sqrt(2.0 * pixels / n)) ** 2 * np.median(np.mean(left**2, axis=0))
    variances, vectors = eigh(left @ left.T / n, subset_by_value=(1.3 * edge, np.inf))
    variances, vectors = variances[-most:], vectors[:, -most:]  # the largest come last
    extra = left.T @ (vectors / np.sqrt(n * variances))
    return orthonormal(np.column_stack([basis, extra])), extra


def orthonormal(columns: FloatArray) -> FloatArray:
    """Orthonormal basis of the column space; columns that others explain are left out."""
    size = np.linalg.norm(columns, axis=0)
    left, singular, _ = np.linalg.svd(columns[:, size > 0] / size[size > 0], full_matrices=False)
    basis: FloatArray = left[:, singular > _INDEPENDENT * singular.max(initial=0.0)]
    return basis


def _shape_covariance(white: FloatArray, shapes: FloatArray) -> FloatArray:
    """Covariance of the shapes' amplitudes over the epochs beyond what white noise gives them.

    Eigenvalues that white noise alone could show are taken as its own, higher ones freed from what it adds to them
    (Donoho, Gavish & Johnstone 2018, Annals of Statistics 46, 1742: the spiked model).
    """
    basis = orthonormal(shapes)
    amplitudes = winsorised(white @ basis, _FAR_TAIL)
    independent = 0.5 * len(amplitudes)  # epochs overlap
    ratio = basis.shape[1] / independent
    values, vectors = np.linalg.eigh(amplitudes.T @ amplitudes / len(amplitudes))
    seen = values > (1.0 + np.sqrt(ratio)) ** 2
    middle = np.where(seen, values + 1.0 - ratio, 2.0)
    excess = 0.5 * (middle + np.sqrt(np.maximum(middle**2 - 4.0 * np.where(seen, values, 1.0), 0.0))) - 1.0
    own_error = (basis.shape[1] + 1) / independent  # what the covariance's own error adds; half where none is seen
    excess = excess * (1.0 + own_error) + 0.5 * own_error
    excess = excess + (excess + 1.0) * _tail_excess(white @ basis @ vectors, 1.0 + excess)
    to_shapes = np.linalg.pinv(shapes) @ basis @ vectors
    covariance: FloatArray = (to_shapes * excess) @ to_shapes.T
    return covariance


def _tail_excess(amplitudes: FloatArray, variance: FloatArray) -> float:
    """By how much, over 1, the variance is too small for the far amplitudes [epoch, k]: hours of bad pointing."""
    chi2 = np.sum(amplitudes**2 / variance, axis=1)
    return max(float(np.quantile(chi2, _TAIL_MATCHED) / chdtri(len(variance), 1.0 - _TAIL_MATCHED)) - 1.0, 0.0)


def _pixel_inflation(samples: FloatArray) -> FloatArray:
    """Variance of each pixel's samples [n, pixel], outliers pulled in, drawn towards the stamp's typical one."""
    variance = clipped_variance(samples)
    n = len(samples)
    typical = np.log(np.maximum(np.median(variance), LEAST_SPREAD))
    own = np.log(np.maximum(variance, LEAST_SPREAD))
    return np.asarray(np.exp((n * own + _PRIOR_EPOCHS * typical) / (n + _PRIOR_EPOCHS)))
