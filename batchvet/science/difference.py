"""All transits of a sector in one image: where the stamp lost light, with the covariance of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.ndimage import uniform_filter
from scipy.special import chdtrc

from batchvet.catalog.candidate import Ephemeris
from batchvet.errors import InsufficientData
from batchvet.pixels.stamp import Stamp
from batchvet.science.null_epochs import NoiseModel, NoiseSettings, common_shapes, measure_noise, null_windows
from batchvet.science.position import NoisyImage
from batchvet.science.transit_images import (
    BASELINES,
    DipFit,
    SectorPixels,
    TransitImage,
    WindowProducts,
    as_image,
    fit_dip,
    pointing_response,
    window_products,
)
from batchvet.science.windows import Window, WindowLayout, WindowSettings, transit_windows

FloatArray = NDArray[np.float64]

_COMBINE_ITERATIONS = 3
_STAR_SIGMA_PIXELS = 0.8  # of a Gaussian about as wide as a star
_CLEARLY_BETTER = 1.4  # information of a curve over the line's
_DISAGREEMENT = 1e-4  # probability of the transits' chi² below which they are said to disagree


@dataclass(frozen=True)
class DifferenceSettings:
    """What may be chosen about the difference image."""

    windows: WindowSettings = field(default_factory=WindowSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)


@dataclass(frozen=True, eq=False)
class DifferenceImage:
    """The difference image of one candidate in one sector.

    Its covariance over the pixels (flat, row by row) is ``diag(variance) + shapes shape_cov shapes'``. A pixel
    without data is NaN in `flux` and `variance` and 0 in `shapes`.
    """

    flux: FloatArray  #: out minus in transit, all transits together, e-/s, [row, col]
    variance: FloatArray  #: of each pixel alone, (e-/s)², [row, col]
    shapes: FloatArray  #: T: noise that pixels share, first 1, row, col, dI/drow, dI/dcol; [pixel, k]
    shape_cov: FloatArray  #: covariance of the amplitudes of `shapes`, [k, k]
    out_of_transit: FloatArray  #: the stamp beside the transits, e-/s, [row, col]
    out_of_transit_error: FloatArray  #: 1 sigma of it, photons and scatter only, e-/s, [row, col]
    n_transits: int  #: transits used
    n_in_transit: int  #: cadences that see a dip
    transit_chi2: float  #: of the single transits' images about the combined one
    transit_dof: int  #: degrees of freedom of that
    max_leave_one_out_shift_pixels: float  #: photocentre without any one transit; NaN for a single one
    n_null_epochs: int  #: transit-free epochs that the noise was measured on
    transits: tuple[TransitImage, ...]  #: one by one
    left_out: tuple[str, ...]  #: why other transits of the sector are not used
    flags: tuple[str, ...]  #: ONE_SIDED, CURVED_BASELINE, FEW_NULL_EPOCHS, NO_POS_CORR, TRANSITS_DISAGREE


def difference_image(
    stamp: Stamp,
    ephemeris: Ephemeris,
    others: Sequence[Ephemeris],
    bitmask: int,
    settings: DifferenceSettings,
) -> DifferenceImage:
    """Fit every transit, measure the noise and combine (SCIENCE 2a and 2b).

    Parameters
    ----------
    stamp : Stamp
    ephemeris : Ephemeris
        Of the candidate.
    others : sequence of Ephemeris
        Of the target's other candidates.
    bitmask : int
        Cadences with one of these quality flags are not used.
    settings : DifferenceSettings

    Raises
    ------
    InsufficientData
        No usable transit (kinds ``no_transit``, ``gap``), cadence (``no_cadences``) or pixel (``no_pixels``).
    """
    pixels = SectorPixels.of(stamp, bitmask)
    windows, left_out = transit_windows(
        pixels.time, pixels.usable, stamp.quality, ephemeris, others, stamp.exposure_days, settings.windows
    )
    if not windows:
        raise _no_transit(stamp, left_out)
    trial = _fit_all(stamp, pixels, windows, ephemeris, others, settings)
    fits, noise = trial.fits, trial.noise
    combined = combine(fits, noise)
    dof = len(noise.scatter) * (len(fits) - 1)
    flags = {
        "ONE_SIDED": any(window.one_sided for window in windows),
        "CURVED_BASELINE": trial.degree > BASELINES[0],
        "FEW_NULL_EPOCHS": noise.n_epochs < settings.noise.few_epochs,
        "NO_POS_CORR": pixels.pointing is None,
        "TRANSITS_DISAGREE": bool(dof and chdtrc(dof, combined.chi2) < _DISAGREEMENT),
    }
    shapes = np.zeros((pixels.shape[0] * pixels.shape[1], noise.shapes.shape[1]))
    shapes[pixels.live] = noise.shapes
    return DifferenceImage(
        flux=pixels.image(combined.flux),
        variance=pixels.image(noise.variance * combined.leverage),
        shapes=shapes,
        shape_cov=noise.shape_cov * combined.leverage,
        out_of_transit=pixels.image(_mean_baseline(fits)),
        out_of_transit_error=pixels.image(_baseline_error(fits, windows)),
        n_transits=len(fits),
        n_in_transit=sum(window.n_in for window in windows),
        transit_chi2=combined.chi2,
        transit_dof=dof,
        max_leave_one_out_shift_pixels=_leave_one_out_shift(pixels, fits, combined.weights),
        n_null_epochs=noise.n_epochs,
        transits=tuple(map(partial(as_image, pixels), windows, fits, combined.weights)),
        left_out=tuple(left_out),
        flags=tuple(flag for flag, raised in flags.items() if raised),
    )


@dataclass(frozen=True, eq=False)
class Combination:
    """Transits weighted by the inverse of their covariance."""

    flux: FloatArray  #: e-/s, [live pixel]
    leverage: float  #: of the combination: its covariance is this times the noise model's
    weights: FloatArray  #: of the transits, sum 1
    chi2: float  #: of the transits about the combination, before any was weighted down


def combine(fits: Sequence[DipFit], noise: NoiseModel) -> Combination:
    """Weighted mean of the transits' images; one that disagrees counts less.

    All transits share one covariance up to a factor, the leverage times the scatter of that transit over the
    sector's, so that inverse covariance weights are numbers. A transit whose chi² about the mean exceeds what
    noise gives in the 5 sigma tail has its factor raised by its reduced chi².
    """
    dips = np.array([fit.flux for fit in fits])
    factors = np.array([fit.leverage * np.median(fit.scatter / noise.scatter) for fit in fits])
    n, n_pixels = dips.shape
    white, limit = _whitened(dips, noise), 1.0 + 5.0 * np.sqrt(2.0 / n_pixels)
    first_chi2 = 0.0
    for iteration in range(_COMBINE_ITERATIONS * n):
        weights = (1.0 / factors) / np.sum(1.0 / factors)
        if n == 1:
            break
        expected = factors - 1.0 / np.sum(1.0 / factors)
        each = np.sum((white - weights @ white) ** 2, axis=1) / expected
        if iteration == 0:
            first_chi2 = float(np.sum(each * expected / factors))
        worst = np.argmax(each)  # alone: it has pulled the mean away from the others
        if each[worst] <= limit * n_pixels:
            break
        factors[worst] *= each[worst] / n_pixels
    return Combination(weights @ dips, float(1.0 / np.sum(1.0 / factors)), weights, first_chi2)


def _whitened(images: FloatArray, noise: NoiseModel) -> FloatArray:
    """Images [n, live pixel] turned into ones of unit covariance, per unit of leverage."""
    covariance = np.diag(noise.variance) + noise.shapes @ noise.shape_cov @ noise.shapes.T
    deviation = np.sqrt(np.diag(covariance))
    factor = np.linalg.cholesky(covariance / np.outer(deviation, deviation))
    return solve_triangular(factor, (images / deviation).T, lower=True).T


def _fit_all(
    stamp: Stamp,
    pixels: SectorPixels,
    windows: Sequence[Window],
    ephemeris: Ephemeris,
    others: Sequence[Ephemeris],
    settings: DifferenceSettings,
) -> _Trial:
    """Dips of all transits and the noise at transit-free epochs, with the baseline that serves them best.

    When those are few, any epochs of data whose dips are filled in serve.
    """
    find = partial(
        null_windows,
        pixels,
        stamp.quality,
        ephemeris,
        others,
        stamp.exposure_days,
        settings.windows,
        settings.noise,
    )
    transits = [window_products(pixels, window) for window in windows]
    epochs = [window_products(pixels, window) for window in find()]
    if len(epochs) < settings.noise.few_epochs:
        everywhere = find(anywhere=True)
        if len(everywhere) > len(epochs):
            layout = WindowLayout.of(ephemeris, 0.0, stamp.exposure_days, settings.windows)
            template = layout.template(np.nan_to_num(ephemeris.time_from_transit(pixels.time), nan=1e9))
            dip = _mean_dip(_with_baseline(pixels, transits, epochs, BASELINES[0], settings.noise).fits)
            epochs = [window_products(pixels, window, (template, dip)) for window in everywhere]
    trials = [_with_baseline(pixels, transits, epochs, degree, settings.noise) for degree in BASELINES]
    return _best_baseline(pixels, trials)


@dataclass(frozen=True, eq=False)
class _Trial:
    """What comes out with a baseline of one degree."""

    degree: int
    fits: list[DipFit]  #: of the transits
    noise: NoiseModel


def _with_baseline(
    pixels: SectorPixels,
    transits: Sequence[WindowProducts],
    epochs: Sequence[WindowProducts],
    degree: int,
    settings: NoiseSettings,
) -> _Trial:
    """Dips of the transits and the noise of transit-free epochs with a baseline of that degree."""
    sums = [window.without_baseline(degree) for window in (*transits, *epochs)]
    response = pointing_response(sums)
    found = [fit_dip(window, response) for window in sums]
    fits, nulls = found[: len(transits)], found[len(transits) :]
    scatter = np.median([fit.scatter for fit in fits], axis=0)
    shapes = common_shapes(pixels, _mean_baseline(fits), response)
    return _Trial(degree, fits, measure_noise(pixels, nulls, shapes, scatter, settings))


def _best_baseline(pixels: SectorPixels, trials: Sequence[_Trial]) -> _Trial:
    """The trial with the least noise where the dip seems to be; a line unless a curve is clearly better.

    A star that varies leaves, after a line is taken out, more than the photons' noise: in the pixels of that star
    only, so that it matters where the dip is, not over the whole stamp.
    """
    height, information = np.array([_significance(pixels, trial) for trial in trials]).swapaxes(0, 1)
    place = np.unravel_index(np.argmax(height), height.shape)[1]
    best = int(np.argmax(information[:, place]))
    clearly = information[best, place] > _CLEARLY_BETTER * information[0, place]
    return trials[best if clearly else 0]


def _significance(pixels: SectorPixels, trial: _Trial) -> tuple[FloatArray, FloatArray]:
    """Signal to noise and information of dips shaped like a star on each live pixel, and like all stars, [2, n]."""
    combined = combine(trial.fits, trial.noise)
    leverage, noise = combined.leverage, trial.noise
    image = NoisyImage.build(combined.flux, noise.variance * leverage, noise.shapes, noise.shape_cov * leverage)
    rows, cols = np.divmod(pixels.live, pixels.shape[1])
    squares = (rows[:, None] - rows) ** 2 + (cols[:, None] - cols) ** 2
    stars = np.exp(-0.5 * squares / _STAR_SIGMA_PIXELS**2)
    light = _mean_baseline(trial.fits)
    scene = (light - np.median(light)) / np.linalg.norm(light)
    return np.array(image.significance(np.vstack([stars, scene])[:, None]))


def _mean_dip(fits: Sequence[DipFit]) -> FloatArray:
    weights = np.array([1.0 / fit.leverage for fit in fits])
    return weights @ np.array([fit.flux for fit in fits]) / weights.sum()


def _mean_baseline(fits: Sequence[DipFit]) -> FloatArray:
    weights = np.array([1.0 / fit.leverage for fit in fits])
    return weights @ np.array([fit.baseline for fit in fits]) / weights.sum()


def _baseline_error(fits: Sequence[DipFit], windows: Sequence[Window]) -> FloatArray:
    """White-noise error of the mean baseline, [live pixel]."""
    weights = np.array([1.0 / fit.leverage for fit in fits])
    weights /= weights.sum()
    pairs = zip(weights, fits, windows, strict=True)
    return np.sqrt(sum(w**2 * fit.scatter / max(window.n_out, 1) for w, fit, window in pairs))


def _leave_one_out_shift(pixels: SectorPixels, fits: Sequence[DipFit], weights: FloatArray) -> float:
    """Largest shift of the photocentre when one transit is left out, pixels."""
    if len(fits) < 2:
        return float("nan")
    dips = np.array([fit.flux for fit in fits])
    total = weights @ dips
    centre = _photocentre(pixels, total)
    without = (total - weights[:, None] * dips) / (1.0 - weights)[:, None]
    shifts = [np.hypot(*(_photocentre(pixels, dip) - centre)) for dip in without]
    return float(np.nanmax(shifts)) if np.isfinite(shifts).any() else float("nan")


def _photocentre(pixels: SectorPixels, dip: FloatArray) -> FloatArray:
    """Row and column of the light within two pixels of the brightest 3 x 3 block."""
    image = np.nan_to_num(pixels.image(dip))
    peak = np.unravel_index(np.argmax(uniform_filter(image, 3, mode="constant")), image.shape)
    rows, cols = np.ogrid[: image.shape[0], : image.shape[1]]
    near = (np.abs(rows - peak[0]) <= 2) & (np.abs(cols - peak[1]) <= 2)
    light = np.where(near, np.maximum(image, 0.0), 0.0)
    if light.sum() <= 0:
        return np.array([np.nan, np.nan])
    return np.array([(light * rows).sum(), (light * cols).sum()]) / light.sum()


def _no_transit(stamp: Stamp, left_out: Sequence[str]) -> InsufficientData:
    """Why there is no difference image, as an error."""
    where = f"TIC {stamp.tic} sector {stamp.sector}"
    if left_out:
        return InsufficientData(f"{where}: no usable transit ({'; '.join(left_out[:3])})", kind="gap")
    return InsufficientData(f"{where}: no transit falls into the sector", kind="no_transit")
