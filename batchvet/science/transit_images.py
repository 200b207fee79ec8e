"""One transit seen as an image: a least-squares fit of baseline, pointing motion and dip to all pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.science.bumps import filled
from batchvet.science.floors import LEAST_WEIGHT
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.windows import Window

#: Degrees of the baseline in time that are tried: a line, and curves for variable stars.
BASELINES = (1, 2, 4)

_TERMS = BASELINES[-1] + 1  # of the longest baseline
_UNREST_SIGMAS = 3.0  # of the scatter that chance gives: beyond, a window's pointing is restless
_CADENCES_PER_TERM = 3  # of baseline, for each term of a curve
_LEAST_MOTION = 1e-5  # pixels; less motion than this explains nothing
_SAME_MOTION = 1e-8  # of the largest eigenvalue: pointing columns that differ by less are one
_ROUNDING = 1e-12  # of the squared flux: variance that arithmetic leaves in an image without any noise


@dataclass(frozen=True, eq=False)
class WindowProducts:
    """Inner products of windows' columns and pixels, from which fits with any baseline follow.

    The columns are the dip's template and then the pointing. Baselines are orthonormal polynomials in time.
    """

    n: IndexArray  #: cadences, [window]
    terms: IndexArray  #: of the longest baseline that the window can bear, [window]
    baseline: FloatArray  #: of baseline terms and columns, [window, term, column], zero beyond `terms`
    inner: FloatArray  #: of the columns, [window, column, column]
    baseline_flux: FloatArray  #: of baseline terms and pixels, [window, term, live pixel]
    flux: FloatArray  #: of columns and pixels, [window, column, live pixel]
    power: FloatArray  #: F'F, [window, live pixel]
    level: FloatArray  #: mean flux, e-/s, [window, live pixel]
    mean_template: FloatArray  #: mean of m, [window]

    def __len__(self) -> int:
        return len(self.n)

    def of(self, chosen: BoolArray) -> WindowProducts:
        """Those of some of the windows."""
        return WindowProducts(*(getattr(self, item.name)[chosen] for item in fields(self)))

    def without_baseline(self, degree: int) -> WindowSums:
        """What is left when polynomials of that degree, or the highest that a window can bear, are taken out."""
        terms, light = self.baseline[:, : degree + 1], self.baseline_flux[:, : degree + 1]
        turned = np.swapaxes(terms, 1, 2)
        inner, flux = self.inner - turned @ terms, self.flux - turned @ light
        return WindowSums(
            n=self.n,
            freedom=np.maximum(self.n - np.minimum(self.terms, degree + 1) - 1, 1),
            template=inner[:, 0, 0],
            template_flux=flux[:, 0],
            motion=inner[:, 1:, 1:],
            motion_template=inner[:, 1:, 0],
            motion_flux=flux[:, 1:],
            power=self.power - np.einsum("wtp,wtp->wp", light, light),
            level=self.level,
            mean_template=self.mean_template,
        )


@dataclass(frozen=True, eq=False)
class WindowSums:
    """All that the fits need of windows; the baseline is projected out already.

    r is the dip's template and p the pointing columns after that, F the flux of a pixel.
    """

    n: IndexArray  #: cadences, [window]
    freedom: IndexArray  #: of the fit's residuals, [window]
    template: FloatArray  #: r'r, [window]
    template_flux: FloatArray  #: r'F, [window, live pixel]
    motion: FloatArray  #: p'p, [window, p, p]; empty without POS_CORR
    motion_template: FloatArray  #: p'r, [window, p]
    motion_flux: FloatArray  #: p'F, [window, p, live pixel]
    power: FloatArray  #: F'F, [window, live pixel]
    level: FloatArray  #: mean flux, e-/s, [window, live pixel]
    mean_template: FloatArray  #: mean of m, [window]


@dataclass(frozen=True, eq=False)
class DipFits:
    """Least-squares dips of windows in every live pixel."""

    flux: FloatArray  #: out minus in transit, e-/s, [window, live pixel]
    scatter: FloatArray  #: variance of one cadence about the fit, (e-/s)², [window, live pixel]
    leverage: FloatArray  #: [(H'H)^-1]_mm: variance of `flux` per unit of `scatter`, [window]
    baseline: FloatArray  #: out-of-transit flux, e-/s, [window, live pixel]
    freedom: IndexArray  #: degrees of, of `scatter`, [window]
    unrest: FloatArray  #: from `unrest`: how much larger than usual the variance of `flux` is, [window]

    def __len__(self) -> int:
        return len(self.leverage)

    def of(self, chosen: BoolArray) -> DipFits:
        """Those of some of the windows."""
        return DipFits(*(getattr(self, item.name)[chosen] for item in fields(self)))

    def mean(self, values: FloatArray) -> FloatArray:
        """Mean over the windows of values [window, live pixel], each counting as it tells of its dip."""
        weights = 1.0 / self.leverage
        mean: FloatArray = weights @ values / weights.sum()
        return mean


@dataclass(frozen=True, eq=False)
class TransitImage:
    """One transit seen as an image: what the stamp lost while the planet was in front."""

    mid_time: float  #: BTJD, days
    flux: FloatArray  #: out minus in transit, e-/s, [row, col], NaN where there is no data
    variance: FloatArray  #: of flux, (e-/s)², white noise only, not below FLUX_ERR's, [row, col]
    n_in: int  #: cadences that see the dip
    n_out: int  #: cadences of baseline
    one_sided: bool  #: baseline on one side only
    weight: float = 1.0  #: in the combination of all transits, 0 to 1


def window_products(
    pixels: SectorPixels, windows: Sequence[Window], restore: tuple[FloatArray, FloatArray] | None = None
) -> WindowProducts:
    """One pass over the windows' pixels.

    Parameters
    ----------
    pixels : SectorPixels
    windows : sequence of Window
    restore : (template [cadence], dip [live pixel]), optional
        Add template times dip first, so that a known dip is not seen.
    """
    n, terms, design = _designs(pixels, windows)
    own = np.swapaxes(design, 1, 2) @ design[:, :, _TERMS:]
    light = np.empty((len(windows), design.shape[2], pixels.live.size))
    power = np.empty((len(windows), pixels.live.size))
    for i, window in enumerate(windows):
        flux = window_light(pixels, window)
        if restore is not None:
            flux[:, window.cadences - window.cadences[0]] += restore[0][window.cadences] * restore[1][:, None]
        light[i] = (flux @ design[i, : flux.shape[1]]).T
        power[i] = np.vecdot(flux, flux)
    return WindowProducts(
        n=n,
        terms=terms,
        baseline=own[:, :_TERMS],
        inner=own[:, _TERMS:],
        baseline_flux=light[:, :_TERMS],
        flux=light[:, _TERMS:],
        power=power,
        level=light[:, 0] / np.sqrt(n)[:, None],  # the lowest baseline is a level of unit length
        mean_template=own[:, 0, 0] / np.sqrt(n),
    )


def _designs(pixels: SectorPixels, windows: Sequence[Window]) -> tuple[IndexArray, IndexArray, FloatArray]:
    """Cadences and baseline terms of windows, and their designs [window, cadence from the first on, column].

    The columns are `_TERMS` of baseline, the template and the pointing, which is about its mean, as rounding would
    pass for motion otherwise; all are zero in gaps and beyond the end.
    """
    first = np.array([window.cadences[0] for window in windows])
    places = [window.cadences - start for window, start in zip(windows, first, strict=True)]
    n, terms, baselines, inside = _baselines(windows, places)
    n_pointing = 0 if pixels.pointing is None else pixels.pointing.shape[1]
    design = np.empty((*inside.shape, _TERMS + 1 + n_pointing))
    design[:, :, :_TERMS] = np.moveaxis(baselines, 0, -1)
    design[:, :, _TERMS] = _laid_out([window.m for window in windows], inside)
    if pixels.pointing is not None:
        cadences = np.minimum(first[:, None] + np.arange(inside.shape[1]), len(pixels.pointing) - 1)
        pointing = pixels.pointing.take(cadences, axis=0)
        pointing[~inside] = 0.0
        pointing -= (pointing.sum(axis=1) / n[:, None])[:, None]
        design[:, :, _TERMS + 1 :] = pointing * inside[:, :, None]
    return n, terms, design


def window_light(pixels: SectorPixels, window: Window) -> FloatArray:
    """`SectorPixels.span` of a window, without its bumps, e-/s, [live pixel, cadence]."""
    light = pixels.span(window.cadences)
    if window.bump is not None:
        inside = window.cadences - window.cadences[0]
        pointing = None if pixels.pointing is None else pixels.pointing[window.cadences]
        light[:, inside] = filled(light[:, inside].T, window.bump, window, pointing).T
    return light


def window_baselines(windows: Sequence[Window]) -> list[FloatArray]:
    """Orthonormal polynomials in time, as many as a window's baseline can bear, the lowest first, [cadence, term]."""
    n, terms, baselines, _ = _baselines(windows, [np.arange(len(window.u)) for window in windows])
    return [baselines[:k, i, :size].T for i, (size, k) in enumerate(zip(n, terms, strict=True))]


def _laid_out(values: Sequence[FloatArray], inside: BoolArray) -> FloatArray:
    """Values of windows' cadences, one array a window, where they are inside, 0 elsewhere, [window, place]."""
    laid_out = np.zeros(inside.shape)
    laid_out[inside] = np.concatenate(values)
    return laid_out


def _baselines(
    windows: Sequence[Window], places: Sequence[IndexArray]
) -> tuple[IndexArray, IndexArray, FloatArray, BoolArray]:
    """Cadences of each window, terms of its baseline, these [term, window, place], and places with a cadence.

    All windows at once: each power of time is the last polynomial times time, less what the lower ones have of it,
    twice, as the first time leaves a rounding error.
    """
    n = np.array([len(window.u) for window in windows], dtype=np.intp)
    inside = np.zeros((len(windows), max(place[-1] for place in places) + 1), dtype=bool)
    inside[np.repeat(np.arange(len(windows)), n), np.concatenate(places)] = True
    time = _laid_out([window.u for window in windows], inside)
    time -= (time.sum(axis=1) / n)[:, None]
    time *= inside
    time /= np.abs(time).max(axis=1)[:, None]
    n_out = [window.n_out for window in windows]
    terms = np.clip(np.array(n_out, dtype=np.intp) // _CADENCES_PER_TERM, 2, _TERMS)
    found = np.zeros((_TERMS, *inside.shape))
    found[0] = inside / np.sqrt(n)[:, None]
    for term in range(1, terms.max()):
        new = time * found[term - 1]
        for lower in (*found[:term], *found[:term]):
            new -= np.vecdot(new, lower)[:, None] * lower
        size = np.sqrt(np.vecdot(new, new))
        found[term] = np.where(term < terms, 1.0 / np.maximum(size, LEAST_WEIGHT), 0.0)[:, None] * new
    return n, terms, found, inside


def pointing_response(windows: Sequence[WindowSums]) -> FloatArray:
    """Flux per pointing column, [p, live pixel], from many windows together.

    A pixel's response is the scene's gradient and curvature, the same all sector long: fitted once, it costs a
    short window (18 cadences at 30 minutes) none of its few degrees of freedom. Dips are projected out.
    """
    motion = np.zeros(windows[0].motion.shape[1:])
    flux = np.zeros(windows[0].motion_flux.shape[1:])
    cadences = 0
    for sums in windows:
        template = sums.motion_template / sums.template[:, None]
        motion = motion + sums.motion.sum(axis=0) - template.T @ sums.motion_template
        flux = flux + sums.motion_flux.sum(axis=0) - template.T @ sums.template_flux
        cadences += int(sums.n.sum())
    spread = np.sqrt(np.maximum(np.diag(motion), 0.0))  # pixels for the motion, pixels² for its squares
    moving = spread > np.array([1.0, 1.0, *[_LEAST_MOTION] * 3])[: len(spread)] * _LEAST_MOTION * cadences**0.5
    response = np.zeros_like(flux)
    if moving.any():
        scaled = motion[np.ix_(moving, moving)] / np.outer(spread[moving], spread[moving])
        solution = np.linalg.pinv(scaled, rcond=_SAME_MOTION, hermitian=True) @ (flux[moving] / spread[moving, None])
        response[moving] = solution / spread[moving, None]
    return response


def fit_dips(windows: WindowSums, response: FloatArray) -> DipFits:
    """The dip in every pixel by least squares (method: difference images).

    ``F = H beta``, ``H = [1, u, posx, posy, -m]``, with u² and on where needed. The pointing columns' coefficients
    are those of the whole sector (`pointing_response`), the others the windows' own.
    """
    moved = np.einsum("kp,wkp->wp", response, windows.motion_flux - 0.5 * (windows.motion @ response))
    power = windows.power - 2.0 * moved
    template_flux = windows.template_flux - windows.motion_template @ response
    dip = -template_flux / windows.template[:, None]
    scatter = (power + dip * template_flux) / windows.freedom[:, None]
    rounding = _ROUNDING * (windows.level**2 + np.max(windows.level**2, axis=1, initial=0.0)[:, None])
    return DipFits(
        flux=dip,
        scatter=np.maximum(scatter, rounding),
        leverage=1.0 / windows.template,
        baseline=windows.level + dip * windows.mean_template[:, None],
        freedom=windows.freedom,
        unrest=np.ones(len(windows.n)),
    )


def unrest(fits: DipFits, motion: FloatArray, usual: FloatArray) -> FloatArray:
    """How much more windows scatter than usual in the pixels that pointing moves; 1 where chance may do it, [window].

    Parameters
    ----------
    fits : DipFits
    motion : array, e-/s per pixel, [live pixel, 2]
        What the pixels do when the pointing moves.
    usual : array, (e-/s)², [live pixel]
        Variance of one cadence in the sector's other windows.
    """
    usual = np.maximum(usual, LEAST_WEIGHT)
    weights = np.sum(motion**2, axis=1) / usual
    if not weights.sum() > 0:
        return np.ones(len(fits))
    seen = (fits.scatter / usual) @ weights / weights.sum()
    chance = 1.0 + _UNREST_SIGMAS * np.sqrt(2.0 / fits.freedom)
    return np.where(seen > chance, seen, 1.0)


def transit_image(pixels: SectorPixels, window: Window) -> TransitImage:
    """The image of one transit by itself, with its white-noise variance (method: difference images)."""
    sums = window_products(pixels, [window]).without_baseline(BASELINES[0])
    return as_images(pixels, [window], fit_dips(sums, pointing_response([sums])), np.ones(1))[0]


def as_images(
    pixels: SectorPixels, windows: Sequence[Window], fits: DipFits, weights: FloatArray
) -> tuple[TransitImage, ...]:
    """Fits put back on the stamp."""
    return tuple(
        TransitImage(
            mid_time=window.mid_time,
            flux=pixels.image(fits.flux[i]),
            variance=pixels.image(np.maximum(fits.scatter[i], pixels.error_variance) * fits.leverage[i]),
            n_in=window.n_in,
            n_out=window.n_out,
            one_sided=window.one_sided,
            weight=float(weights[i]),
        )
        for i, window in enumerate(windows)
    )
