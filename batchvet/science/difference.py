"""All transits of a sector in one image: where the stamp lost light, with the covariance of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from batchvet.science.transit_images import (
    BASELINES,
    DipFits,
    SectorPixels,
    TransitImage,
    WindowProducts,
    as_images,
    fit_dips,
    pointing_response,
    window_baseline,
    window_products,
)
from batchvet.science.windows import Window, WindowLayout, WindowSettings, transit_windows

FloatArray = NDArray[np.float64]

_COMBINE_ITERATIONS = 3
_LEAST_EPOCHS_TO_CHOOSE = 12  # a baseline by
_STAR_SIGMA_PIXELS = 0.8  # of a Gaussian about as wide as a star
_CLEARLY_BETTER = 1.2  # the line's noise over the curve's
_DURATIONS = (0.85, 1.0, 1.18)  # of the templates that are tried, over the catalogue's
_INGRESSES = (0.15, 0.3, 0.5)  # over the duration: 0.5 is a V
_CLEARER = 8.0  # gain in chi² of another template than the catalogue's: about one time in a hundred by chance
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
    trial, noise = _fit_all(stamp, pixels, windows, ephemeris, others, settings)
    fits = trial.fits
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
        out_of_transit=pixels.image(fits.mean(fits.baseline)),
        out_of_transit_error=pixels.image(_baseline_error(fits, windows)),
        n_transits=len(fits),
        n_in_transit=sum(window.n_in for window in windows),
        transit_chi2=combined.chi2,
        transit_dof=dof,
        max_leave_one_out_shift_pixels=_leave_one_out_shift(pixels, fits, combined.weights),
        n_null_epochs=noise.n_epochs,
        transits=as_images(pixels, windows, fits, combined.weights),
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


def combine(fits: DipFits, noise: NoiseModel) -> Combination:
    """Weighted mean of the transits' images; one that disagrees counts less.

    All transits share one covariance up to a factor, the leverage times the scatter of that transit over the
    sector's, so that inverse covariance weights are numbers. While the chi² of a transit about the mean exceeds what
    noise gives in the 5 sigma tail, the worst one has its factor raised by its reduced chi²: it alone, as it has
    pulled the mean away from the others too.
    """
    factors = fits.leverage * np.median(fits.scatter / noise.scatter, axis=1)
    n, n_pixels = fits.flux.shape
    white, limit = _whitened(fits.flux, noise), n_pixels + 5.0 * np.sqrt(2.0 * n_pixels)
    first_chi2 = 0.0
    for iteration in range(_COMBINE_ITERATIONS * (n - 1)):
        each, expected = _disagreement(white, factors)
        if iteration == 0:
            first_chi2 = float(np.sum(each * expected / factors))
        worst = np.argmax(each)
        if each[worst] <= limit:
            break
        factors[worst] *= each[worst] / n_pixels
    weights = (1.0 / factors) / np.sum(1.0 / factors)
    return Combination(weights @ fits.flux, float(1.0 / np.sum(1.0 / factors)), weights, first_chi2)


def _disagreement(white: FloatArray, factors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """chi² of each transit about the mean, over its expected variance there; and that variance."""
    total = np.sum(1.0 / factors)
    expected = factors - 1.0 / total
    return np.sum((white - (1.0 / factors) @ white / total) ** 2, axis=1) / expected, expected


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
) -> tuple[_Trial, NoiseModel]:
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
    transits, epochs = window_products(pixels, windows), window_products(pixels, find())
    if len(epochs) < settings.noise.few_epochs:
        everywhere = find(anywhere=True)
        if len(everywhere) > len(epochs):
            layout = WindowLayout.of(ephemeris, 0.0, stamp.exposure_days, settings.windows)
            template = layout.template(np.nan_to_num(ephemeris.time_from_transit(pixels.time), nan=1e9))
            fits = _with_baseline(pixels, transits, epochs, BASELINES[0]).fits
            epochs = window_products(pixels, everywhere, (template, fits.mean(fits.flux)))
    trial = _with_baseline(pixels, transits, epochs, BASELINES[0])
    if len(epochs) >= _LEAST_EPOCHS_TO_CHOOSE:
        curves = [_with_baseline(pixels, transits, epochs, degree) for degree in BASELINES[1:]]
        trial, star, noise = _best_baseline(pixels, [trial, *curves])
        trial = replace(
            trial, fits=_best_template(pixels, windows, ephemeris, stamp.exposure_days, trial, star / noise)
        )
    scatter = np.median(trial.fits.scatter, axis=0)
    return trial, measure_noise(pixels, trial.nulls, trial.shapes, scatter, settings.noise)


@dataclass(frozen=True, eq=False)
class _Trial:
    """What comes out with a baseline of one degree."""

    degree: int
    response: FloatArray  #: from `pointing_response`
    fits: DipFits  #: of the transits
    nulls: DipFits  #: of transit-free epochs
    shapes: FloatArray  #: from `common_shapes`, [live pixel, 5]


def _with_baseline(pixels: SectorPixels, transits: WindowProducts, epochs: WindowProducts, degree: int) -> _Trial:
    """Dips of the transits and of transit-free epochs with a baseline of that degree."""
    own, free = transits.without_baseline(degree), epochs.without_baseline(degree)
    response = pointing_response([own, free])
    fits = fit_dips(own, response)
    shapes = common_shapes(pixels, fits.mean(fits.baseline), response)
    return _Trial(degree, response, fits, fit_dips(free, response), shapes)


def _best_baseline(pixels: SectorPixels, trials: Sequence[_Trial]) -> tuple[_Trial, FloatArray, float]:
    """The trial with the least noise where the dip seems to be; a line unless a curve is clearly better.

    A star that varies leaves, after a line is taken out, more than the photons' noise: in the pixels of that star
    only, so that it matters where the dip is, not over the whole stamp. Also returned are weights [live pixel] that
    bring out a star there, and the noise of a dip seen with them, for a leverage of 1.
    """
    images = _star_images(pixels, trials[0])
    found = [_star_noise(images, trials[0].nulls.scatter, trial) for trial in trials]
    noise, height = np.array([values for _, *values in found]).swapaxes(0, 1)
    place = np.unravel_index(np.argmax(height), height.shape)[1]
    least = int(np.argmin(noise[:, place]))
    best = least if noise[0, place] > _CLEARLY_BETTER * noise[least, place] else 0
    fits = trials[best].fits
    return trials[best], found[best][0][place], float(noise[best, place] * np.sqrt(np.sum(1.0 / fits.leverage)))


def _best_template(
    pixels: SectorPixels,
    windows: Sequence[Window],
    ephemeris: Ephemeris,
    exposure_days: float,
    trial: _Trial,
    star: FloatArray,
) -> DipFits:
    """The transits fitted with the trapezoid that suits the dip; the catalogue's unless another is clearly better.

    An eclipse is V-shaped, and durations are off by a tenth: with a template that is not the dip's own, up to a
    tenth of the signal to noise is lost. `star` are weights [live pixel] that bring the dip out with noise 1.
    """
    shapes = [(stretch, ingress) for stretch in _DURATIONS for ingress in _INGRESSES]
    layouts = [WindowLayout.trapezoid(ephemeris.duration_days * s, i, exposure_days) for s, i in shapes]
    all_u = np.concatenate([window.u for window in windows])
    own = np.concatenate([window.m for window in windows])
    templates = np.column_stack([own, *(layout.template(all_u) for layout in layouts)])
    score, information, first = 0.0, 0.0, 0
    for window in windows:
        columns = templates[first : first + len(window.u)]
        first += len(window.u)
        light = pixels.values(window.cadences) @ star
        if pixels.pointing is not None:
            light = light - pixels.pointing[window.cadences] @ (trial.response @ star)
        baseline = window_baseline(window)[:, : trial.degree + 1]
        columns = columns - baseline @ (baseline.T @ columns)
        score = score - light @ columns
        information = information + np.sum(columns**2, axis=0)
    chi2 = np.maximum(score, 0.0) ** 2 / np.maximum(information, 1e-300)
    best = int(np.argmax(chi2))
    if not chi2[best] - chi2[0] > _CLEARER:
        return trial.fits
    shaped = [replace(window, m=layouts[best - 1].template(window.u)) for window in windows]
    return fit_dips(window_products(pixels, shaped).without_baseline(trial.degree), trial.response)


def _star_images(pixels: SectorPixels, trial: _Trial) -> FloatArray:
    """About what a star on each live pixel looks like, and what all stars together do, [image, live pixel]."""
    rows, cols = np.divmod(pixels.live, pixels.shape[1])
    squares = (rows[:, None] - rows) ** 2 + (cols[:, None] - cols) ** 2
    light = trial.fits.mean(trial.fits.baseline)
    return np.vstack([np.exp(-0.5 * squares / _STAR_SIGMA_PIXELS**2), light - np.median(light)])


def _star_noise(stars: FloatArray, scatter: FloatArray, trial: _Trial) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights [image, live pixel] that bring out dips which look like stars, their noise at transit-free epochs.

    And the transits' own dip over that noise, [image]. Background and pointing are projected out: what is left of
    the noise is the photons' and the stars' own.
    """
    white = np.sqrt(np.median(scatter, axis=0))
    shared, _ = np.linalg.qr(trial.shapes / white[:, None])
    stars = stars / white
    weights = (stars - stars @ shared @ shared.T) / white
    leverage = 1.0 / np.sum(1.0 / trial.fits.leverage)
    quiet = np.abs(trial.nulls.flux / trial.nulls.leverage[:, None] ** 0.5 @ weights.T)
    noise = np.maximum(np.sqrt(leverage) * np.median(quiet, axis=0) / 0.6745, 1e-300)
    return weights, noise, weights @ trial.fits.mean(trial.fits.flux) / noise


def _baseline_error(fits: DipFits, windows: Sequence[Window]) -> FloatArray:
    """White-noise error of the mean baseline, [live pixel]."""
    weights = (1.0 / fits.leverage) / np.sum(1.0 / fits.leverage)
    n_out = np.array([max(window.n_out, 1) for window in windows])
    return np.sqrt((weights**2 / n_out) @ fits.scatter)


def _leave_one_out_shift(pixels: SectorPixels, fits: DipFits, weights: FloatArray) -> float:
    """Largest shift of the photocentre when one transit is left out, pixels."""
    if len(fits) < 2:
        return float("nan")
    total = weights @ fits.flux
    centre = _photocentre(pixels, total)
    without = (total - weights[:, None] * fits.flux) / (1.0 - weights)[:, None]
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
