"""Transits and transit-free epochs of a sector fitted alike: with which baseline, and with which template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.science.dip_shape import DipShapes, trapezoids
from batchvet.science.floors import LEAST_NOISE, LEAST_WEIGHT
from batchvet.science.null_epochs import LEAST_EPOCHS, orthonormal
from batchvet.science.robust import medians, spread
from batchvet.science.sector_pixels import POINTING_COL, POINTING_ROW, SectorPixels
from batchvet.science.transit_images import (
    BASELINES,
    DipFits,
    WindowProducts,
    fit_dips,
    pointing_response,
    unrest,
    window_baselines,
    window_light,
    window_products,
)
from batchvet.science.windows import Window

_STAR_SIGMA_PIXELS = 0.8  # of a Gaussian about as wide as a star
_CURVE_GAIN = 2.0  # over the root of the number of epochs: a curve must lower the noise by this share
#: Of the templates that are tried: durations over the catalogue's, and ingresses over the duration; 0.5 is a V.
_TRIED = tuple((stretch, ingress) for stretch in (0.85, 1.0, 1.18) for ingress in (0.15, 0.3, 0.5))
_TEMPLATE_GAIN = 8.0  # in chi² over the catalogue's template: about one time in a hundred by chance
_ALIKE = 0.25  # of their depth: dips at one time that is not quite every dip's, or in a star that varies
_LEAST_SEEN = 0.1  # of the catalogue's template's information, in every window


@dataclass(frozen=True, eq=False)
class SectorFits:
    """Dips of a sector's transits and transit-free epochs, with one baseline."""

    degree: int  #: of the baseline
    response: FloatArray  #: from `pointing_response`, [p, live pixel]
    fits: DipFits  #: of the transits
    nulls: DipFits  #: of transit-free epochs
    shapes: FloatArray  #: T = 1, row, col, dI/drow, dI/dcol: what pixels share, [live pixel, 5]
    other_template: bool = False  #: the transits' template is not the catalogue's
    dip_shapes: DipShapes = field(default_factory=DipShapes)  #: what the transits say of their shape


def fit_with_baseline(
    pixels: SectorPixels, transits: WindowProducts, epochs: WindowProducts, degree: int
) -> SectorFits:
    """Fit all windows with a polynomial of that degree in time as the baseline."""
    own, free = transits.without_baseline(degree), epochs.without_baseline(degree)
    response = pointing_response([own, free])
    fits = fit_dips(own, response)
    motion = pixels.motion if pixels.pointing is None else response[[POINTING_ROW, POINTING_COL]].T
    shapes = np.column_stack([pixels.background, motion])
    nulls = fit_dips(free, response)
    if len(nulls) >= LEAST_EPOCHS:
        usual = medians(nulls.scatter.T)
        fits, nulls = (replace(some, unrest=unrest(some, motion, usual)) for some in (fits, nulls))
    return SectorFits(degree, response, fits, nulls, shapes)


def best_baseline(
    pixels: SectorPixels, transits: WindowProducts, epochs: WindowProducts, line: SectorFits
) -> tuple[SectorFits, FloatArray | None]:
    """The fits with the least noise where the dip seems to be; with a line unless a curve is clearly better.

    A star that varies leaves, after a line is taken out, more than the photons' noise: in the pixels of that star
    only, so that it matters where the dip is, not over the whole stamp.

    Parameters
    ----------
    pixels : SectorPixels
    transits, epochs : WindowProducts
    line : SectorFits
        Of the same windows with a line.

    Returns
    -------
    fits : SectorFits
    star : array, [live pixel], or None
        Weights that bring out a dip there with noise 1 for a leverage of 1; None when the epochs are too few to choose.
    """
    if len(epochs) < LEAST_EPOCHS:
        return line, None
    trials = [line, *(fit_with_baseline(pixels, transits, epochs, degree) for degree in BASELINES[1:])]
    images = _star_images(pixels, line)
    found = [_star_noise(images, line.nulls.scatter, trial) for trial in trials]
    noise, height = np.array([values for _, *values in found]).swapaxes(0, 1)
    place = np.unravel_index(np.argmax(height), height.shape)[1]
    least = int(np.argmin(noise[:, place]))
    best = least if noise[0, place] > (1.0 + _CURVE_GAIN / len(epochs) ** 0.5) * noise[least, place] else 0
    information = np.sum(1.0 / trials[best].fits.leverage)
    return trials[best], found[best][0][place] / (noise[best, place] * np.sqrt(information))


def star_weights(pixels: SectorPixels, found: SectorFits) -> tuple[FloatArray, FloatArray]:
    """Weights [image, live pixel] that bring out a star on each pixel; noise of one cadence so weighted, [image]."""
    weights, noise, _ = _star_noise(_star_images(pixels, found), found.nulls.scatter, found)
    return weights, noise * np.sqrt(np.sum(1.0 / found.fits.leverage))


def _star_images(pixels: SectorPixels, found: SectorFits) -> FloatArray:
    """About what a star on each live pixel looks like, and what all stars together do, [image, live pixel]."""
    rows, cols = np.divmod(pixels.live, pixels.shape[1])
    squares = (rows[:, None] - rows) ** 2 + (cols[:, None] - cols) ** 2
    light = found.fits.mean(found.fits.baseline)
    return np.vstack([np.exp(-0.5 * squares / _STAR_SIGMA_PIXELS**2), light - np.median(light)])


def _star_noise(stars: FloatArray, scatter: FloatArray, found: SectorFits) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights [image, live pixel] that bring out dips which look like stars, their noise at transit-free epochs.

    And the transits' own dip over that noise, [image]. Background and pointing are projected out: what is left of
    the noise is the photons' and the stars' own.
    """
    variance = medians(scatter.T)
    white = np.sqrt(variance)
    shared = orthonormal(found.shapes / white[:, None])
    stars = stars / white
    weights = (stars - stars @ shared @ shared.T) / white
    leverage = 1.0 / np.sum(1.0 / found.fits.leverage)
    quiet = found.nulls.flux / found.nulls.leverage[:, None] ** 0.5 @ weights.T
    least = np.maximum(0.5 * np.sqrt(weights**2 @ variance), LEAST_NOISE)  # the photons' alone are not beaten
    noise = np.sqrt(leverage) * np.maximum(spread(quiet), least)
    return weights, noise, weights @ found.fits.mean(found.fits.flux) / noise


def with_best_template(
    found: SectorFits,
    pixels: SectorPixels,
    windows: Sequence[Window],
    duration_days: float,
    star: FloatArray,
    trust: FloatArray,
) -> SectorFits:
    """The transits fitted with the trapezoid that suits the dip; the catalogue's unless another is clearly better.

    An eclipse is V-shaped, and durations are off by a tenth: with a template that is not the dip's own, up to a
    tenth of the signal to noise and a third of the depth are lost. No single transit decides: the gain must remain
    without any one of them.

    Parameters
    ----------
    found : SectorFits
    pixels : SectorPixels
    windows : sequence of Window
        The transits'.
    duration_days : float
        The catalogue's, first to fourth contact.
    star : array, [live pixel]
        From `best_baseline`.
    trust : array, [window]
        What a transit counts, over what its cadences alone would make it count, to any scale.
    """
    exposure = pixels.timeline.exposure_days
    u = np.concatenate([window.u for window in windows])
    own = np.concatenate([window.m for window in windows])
    tried = np.column_stack([own, trapezoids(u, duration_days, exposure, _TRIED)])
    n, every = tried.shape[1], np.column_stack([tried, trapezoids(u, duration_days, exposure)])
    score, information = _template_scores(found, pixels, windows, every, star)
    best, trust = _best_template(score[:, :n], information[:, :n], trust), trust / trust.max()
    gain = dip_chi2(trust @ score[:, n:], trust @ information[:, n:])
    if best > 0:
        ends = np.cumsum([len(window.u) for window in windows])[:-1]
        pieces = np.split(tried[:, best], ends)
        windows = [replace(window, m=m) for window, m in zip(windows, pieces, strict=True)]
        products = window_products(pixels, windows)
        fits = fit_dips(products.without_baseline(found.degree), found.response)
        found = replace(found, fits=replace(fits, unrest=found.fits.unrest), other_template=True)
    shapes = DipShapes.of(windows, duration_days, exposure, found.degree, trust, gain)
    return replace(found, dip_shapes=shapes)


def _template_scores(
    found: SectorFits, pixels: SectorPixels, windows: Sequence[Window], templates: FloatArray, star: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Score and information of a dip of every template in the star's light, each [window, template]."""
    score, information = np.zeros((2, len(windows), templates.shape[1]))
    ends = np.cumsum([len(window.u) for window in windows])
    for i, (window, baseline) in enumerate(zip(windows, window_baselines(windows), strict=True)):
        light = (star @ window_light(pixels, window))[window.cadences - window.cadences[0]]
        if pixels.pointing is not None:
            light = light - pixels.pointing[window.cadences] @ (found.response @ star)
        baseline = baseline[:, : found.degree + 1]
        columns = templates[ends[i] - len(window.u) : ends[i]]
        columns = columns - baseline @ (baseline.T @ columns)
        score[i], information[i] = -(light @ columns), np.sum(columns**2, axis=0)
    return score, information


def _best_template(score: FloatArray, information: FloatArray, trust: FloatArray) -> int:
    """Number of the template that takes most from chi²; 0, the catalogue's, unless the gain is clear."""
    seen = np.all(information > _LEAST_SEEN * information[:, :1], axis=0)
    trust = trust[:, None] / trust.max()
    score, information = trust * score, trust * information
    chi2 = np.where(seen, dip_chi2(score.sum(axis=0), information.sum(axis=0)), -np.inf)
    best, n = int(np.argmax(chi2)), len(score)
    without = dip_chi2(score.sum(axis=0) - score, information.sum(axis=0) - information)
    remains = np.min(without[:, best] - without[:, 0]) if n > 1 else np.inf
    unclear = chi2[best] - chi2[0] < _TEMPLATE_GAIN or remains < 0.5 * _TEMPLATE_GAIN * (n - 1) / n
    return 0 if unclear else best


def are_alike(score: FloatArray, information: FloatArray) -> BoolArray:
    """Whether dips are as deep as each other, to a quarter and their errors, of products [dip, ...].

    Another star that dips or pulsates on its own time may be seen in two dips of three: in the third it is not.
    """
    n = np.count_nonzero(information > 0, axis=0)
    depth = score.sum(axis=0) / np.maximum(information.sum(axis=0), LEAST_WEIGHT)
    off = (score - depth * information) ** 2
    variance = information * (1.0 + (_ALIKE * depth) ** 2 * information)
    chi2 = np.sum(np.where(information > 0, off / np.maximum(variance, LEAST_WEIGHT), 0.0), axis=0)
    return np.asarray((n < 2) | (chi2 <= n - 1 + 4.0 * np.sqrt(2.0 * np.maximum(n - 1, 0))))


def dip_chi2(score: FloatArray, information: FloatArray) -> FloatArray:
    """What a dip of the best positive depth takes from chi²: nothing where nothing tells of it."""
    told = information > 0
    return np.asarray(np.where(told, np.maximum(score, 0.0) ** 2 / np.where(told, information, 1.0), 0.0))
