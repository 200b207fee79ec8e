"""How noisy a difference image is, measured where there is no transit (SCIENCE 2b)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.special import chdtri

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.transit_images import DipFits, SectorPixels
from batchvet.science.windows import (
    Window,
    WindowLayout,
    WindowSettings,
    in_transit_of,
    pointing_stretches,
    window_at,
)

FloatArray = NDArray[np.float64]

_KAPPA_ITERATIONS = 5
#: Fewer epochs: a covariance is not measured but assumed, a baseline not chosen.
LEAST_EPOCHS = 12
_UNMEASURED_KAPPA = 2.0  # variance inflation assumed then: typical of red noise in real sectors
_TAIL = 0.975  # an epoch beyond this quantile counts as if it were there: scattered light comes in bursts
_FAR_TAIL = 0.999  # the same for the amplitudes of shared shapes, whose tails are real: transits see them too
_PRIOR_EPOCHS = 40.0  # weight of the stamp's typical kappa against a pixel's own
_LEAST_UNSHARED = 0.01  # share of a pixel's scatter that is its own, when the file has no FLUX_ERR
_LEAST_PIXEL_KAPPA = 0.8  # of a single pixel, over the stamp's typical one: below is chance


@dataclass(frozen=True)
class NoiseSettings:
    """How the noise is measured."""

    most_epochs: int = 100  #: transit-free epochs used
    few_epochs: int = 30  #: fewer of them: the dips are filled in and epochs anywhere are used
    grid_per_duration: float = 6.0  #: candidate epochs per duration
    full_coverage: float = 0.8  #: cadences of a window, over those of an unbroken one
    most_components: int = 5  #: further common shapes found in the epochs themselves


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
    pixels: SectorPixels,
    quality: NDArray[np.integer],
    ephemeris: Ephemeris,
    others: Sequence[Ephemeris],
    exposure_days: float,
    window_settings: WindowSettings,
    settings: NoiseSettings,
    *,
    anywhere: bool = False,
) -> list[Window]:
    """Windows like the transits', spread over the sector, that no dip touches.

    With `anywhere` they may lie on dips and be cut by gaps like a transit's own: for data whose dips have been
    filled in, when too few others exist.
    """
    time = pixels.time
    own = () if anywhere else (ephemeris,)
    free = pixels.usable & ~in_transit_of(time, others, exposure_days)
    index = np.flatnonzero(free)
    if index.size == 0:
        return []
    sigma = ephemeris.mid_time_error(float(np.median(time[index])))
    layout = WindowLayout.of(ephemeris, sigma, exposure_days, window_settings)
    busy = np.concatenate([[0], np.cumsum(in_transit_of(time, own, exposure_days)[index])])
    stretches = pointing_stretches(time, quality, window_settings)
    step = ephemeris.duration_days / settings.grid_per_duration
    mids = np.arange(time[index[0]], time[index[-1]], max(step, exposure_days))
    low = np.searchsorted(time[index], mids - layout.outer)
    high = np.searchsorted(time[index], mids + layout.outer)
    good = (high > low) & (busy[high] == busy[low])
    if not anywhere:
        unbroken = 2.0 * layout.outer / exposure_days
        last = np.maximum(high - 1, 0)
        good &= (high - low) >= settings.full_coverage * unbroken
        good &= stretches[index[np.minimum(low, index.size - 1)]] == stretches[index[last]]
    mids = mids[good]
    if len(mids) > settings.most_epochs:
        mids = mids[np.linspace(0, len(mids) - 1, settings.most_epochs).round().astype(int)]
    found = [window_at(mid, layout, time, index, stretches, window_settings) for mid in mids]
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
        From `common_shapes`.
    scatter : array, (e-/s)², [live pixel]
        Of the transits' own fits; used, not below FLUX_ERR², when there are too few epochs.
    settings : NoiseSettings
    """
    if len(fits) < LEAST_EPOCHS:
        variance = _UNMEASURED_KAPPA * np.maximum(scatter, pixels.error_variance)
        return NoiseModel(variance, scatter, shapes, np.zeros((shapes.shape[1],) * 2), len(fits))
    # What pixels share, jitter first of all, must not hide in the variance of single pixels: start from the
    # pipeline's error, which does not know of it, or let the pixels shrink to what is not shared.
    scatter = np.median(fits.scatter, axis=0)
    known = bool(np.all(pixels.error_variance > 0))
    white_variance = pixels.error_variance if known else scatter
    least = _LEAST_PIXEL_KAPPA if known else _LEAST_UNSHARED
    dips = fits.flux / np.sqrt(fits.leverage)[:, None]
    kappa = np.ones(len(scatter))
    for _ in range(_KAPPA_ITERATIONS):
        deviation = np.sqrt(kappa * white_variance)
        white = dips / deviation
        basis, extra = _shared_basis(white, shapes / deviation[:, None], settings.most_components)
        left = white - white @ basis @ basis.T
        freedom = np.maximum(1.0 - np.einsum("pk,pk->p", basis, basis), 0.05)
        kappa = kappa * _pixel_inflation(left / np.sqrt(freedom))
        kappa = np.maximum(kappa, least * (np.median(kappa) if known else 1.0))
    # Too small a variance by chance gives its pixel too much weight: chi² is high by about 3 over the epochs.
    deviation = np.sqrt(kappa * white_variance * (1.0 + 3.0 / len(fits)))
    shapes = np.column_stack([shapes, extra * deviation[:, None]])
    shape_cov = _shape_covariance(dips / deviation, shapes / deviation[:, None])
    return NoiseModel(deviation**2, scatter, shapes, shape_cov, len(fits))


def common_shapes(pixels: SectorPixels, baseline: FloatArray, response: FloatArray) -> FloatArray:
    """T = [1, row, col, dI/drow, dI/dcol], [live pixel, 5]; rows and columns in stamp half-widths.

    The gradients are what pixels were seen to do when the pointing moved (`pointing_response`); without POS_CORR
    differences of neighbouring pixels stand in, which are wider than a derivative by a pixel.
    """
    rows, cols = np.divmod(pixels.live, pixels.shape[1])
    if pixels.pointing is None:
        image = pixels.image(baseline)
        image = np.where(np.isfinite(image), image, np.nanmedian(image))
        gradients = [gradient.ravel()[pixels.live] for gradient in np.gradient(image)]
    else:
        gradients = [response[1], response[0]]  # POS_CORR is (column, row)
    return np.column_stack(
        [
            np.ones(len(rows)),
            2.0 * rows / max(pixels.shape[0] - 1, 1) - 1.0,
            2.0 * cols / max(pixels.shape[1] - 1, 1) - 1.0,
            *gradients,
        ]
    )


def _shared_basis(white: FloatArray, shapes: FloatArray, most: int) -> tuple[FloatArray, FloatArray]:
    """Orthonormal basis [pixel, k] of the shapes and of what else the epochs share, and the latter alone.

    A further component counts when its variance exceeds what uncorrelated pixels of unit variance give at most
    (Marchenko-Pastur edge), with the epochs' overlap counted as a factor of two.
    """
    basis = orthonormal(shapes)
    left = _winsorised(white - white @ basis @ basis.T)
    n, pixels = left.shape
    variances, vectors = eigh(left @ left.T / n, subset_by_index=[max(n - most, 0), n - 1])
    edge = (1.0 + np.sqrt(2.0 * pixels / n)) ** 2 * np.median(np.mean(left**2, axis=0))
    found = variances > 1.3 * edge
    extra = left.T @ (vectors[:, found] / np.sqrt(n * variances[found]))
    return orthonormal(np.column_stack([basis, extra])), extra


def orthonormal(columns: FloatArray) -> FloatArray:
    """Orthonormal basis of the column space; columns that others explain are left out."""
    size = np.linalg.norm(columns, axis=0)
    left, singular, _ = np.linalg.svd(columns[:, size > 0] / size[size > 0], full_matrices=False)
    return left[:, singular > 1e-6 * singular.max(initial=0.0)]


def _shape_covariance(white: FloatArray, shapes: FloatArray) -> FloatArray:
    """Covariance of the shapes' amplitudes over the epochs beyond what white noise gives them.

    Eigenvalues that white noise alone could show are taken as its own, higher ones freed from what it adds to them
    (Donoho, Gavish & Johnstone 2018, Annals of Statistics 46, 1742: the spiked model).
    """
    basis = orthonormal(shapes)
    amplitudes = _winsorised(white @ basis, _FAR_TAIL)
    independent = 0.5 * len(amplitudes)  # epochs overlap
    ratio = basis.shape[1] / independent
    values, vectors = np.linalg.eigh(amplitudes.T @ amplitudes / len(amplitudes))
    seen = values > (1.0 + np.sqrt(ratio)) ** 2
    middle = np.where(seen, values + 1.0 - ratio, 2.0)
    excess = 0.5 * (middle + np.sqrt(np.maximum(middle**2 - 4.0 * np.where(seen, values, 1.0), 0.0))) - 1.0
    own_error = (basis.shape[1] + 1) / independent  # what the covariance's own error adds; half where none is seen
    excess = excess * (1.0 + own_error) + 0.5 * own_error
    to_shapes = np.linalg.pinv(shapes) @ basis @ vectors
    return (to_shapes * excess) @ to_shapes.T


def _winsorised(samples: FloatArray, tail: float = _TAIL) -> FloatArray:
    """Samples [n, k] with those beyond the tail's distance pulled back to it."""
    spread = np.median(np.abs(samples), axis=0) / 0.6745
    distance = np.sum((samples / np.maximum(spread, 1e-12)) ** 2, axis=1)
    limit = chdtri(samples.shape[1], 1.0 - tail) * max(np.median(distance) / samples.shape[1], 1.0)
    return samples * np.minimum(1.0, np.sqrt(limit / np.maximum(distance, 1e-12)))[:, None]


def _pixel_inflation(samples: FloatArray) -> FloatArray:
    """Variance of each pixel's samples [n, pixel], outliers pulled in, drawn towards the stamp's typical one."""
    spread = np.median(np.abs(samples), axis=0) / 0.6745
    limit = np.sqrt(chdtri(1, 1.0 - _TAIL)) * np.maximum(spread, 1e-12)
    variance = np.mean(np.clip(samples, -limit, limit) ** 2, axis=0) / 0.955
    n = len(samples)
    typical = np.log(np.maximum(np.median(variance), 1e-12))
    own = np.log(np.maximum(variance, 1e-12))
    return np.exp((n * own + _PRIOR_EPOCHS * typical) / (n + _PRIOR_EPOCHS))
