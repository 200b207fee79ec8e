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
    n_columns = 1 if pixels.pointing is None else 1 + pixels.pointing.shape[1]
    terms, shape = BASELINES[-1] + 1, (len(windows), pixels.live.size)
    products = WindowProducts(
        n=np.array([len(window.u) for window in windows], dtype=np.intp),
        terms=np.zeros(len(windows), dtype=np.intp),
        baseline=np.zeros((len(windows), terms, n_columns)),
        inner=np.zeros((len(windows), n_columns, n_columns)),
        baseline_flux=np.zeros((len(windows), terms, pixels.live.size)),
        flux=np.zeros((len(windows), n_columns, pixels.live.size)),
        power=np.zeros(shape),
        level=np.zeros(shape),
        mean_template=np.array([window.m.mean() for window in windows]),
    )
    for i, (window, baseline) in enumerate(zip(windows, window_baselines(windows), strict=True)):
        span = slice(window.cadences[0], window.cadences[-1] + 1)
        inside, terms = window.cadences - span.start, baseline.shape[1]
        design = np.zeros((span.stop - span.start, terms + n_columns))  # zero in the gaps: a slice needs no copy
        design[inside, :terms] = baseline
        design[inside, terms] = window.m
        if pixels.pointing is not None:
            pointing = pixels.pointing[window.cadences]
            mean = (baseline[:, 0] @ pointing) * baseline[0, 0]  # or rounding would pass for motion
            design[inside, terms + 1 :] = pointing - mean
        flux = pixels.light[:, span]
        if restore is not None or window.bump is not None:
            flux = np.zeros(flux.shape)
            flux[:, inside] = window_light(pixels, window)
            if restore is not None:
                flux[:, inside] += restore[0][window.cadences] * restore[1][:, None]
            products.power[i] = np.einsum("pn,pn->p", flux, flux)
        own, light = design.T @ design[:, terms:], (flux @ design).T
        products.terms[i] = terms
        products.baseline[i, :terms], products.inner[i] = own[:terms], own[terms:]
        products.baseline_flux[i, :terms], products.flux[i] = light[:terms], light[terms:]
        products.level[i] = pixels.reference + baseline[0, 0] * light[0]  # the mean
    if restore is None:
        plain = [i for i, window in enumerate(windows) if window.bump is None]
        products.power[plain] = _powers(pixels.light, [windows[i].cadences for i in plain])
    return products


def _powers(light: FloatArray, windows: Sequence[IndexArray]) -> FloatArray:
    """Sums of squares of light [pixel, cadence] over the cadences of each window, [window, pixel].

    Windows overlap: each piece between two of their edges is summed once, a pixel at a time, as that fits the cache.
    """
    powers = np.zeros((len(windows), len(light)))
    if not windows:
        return powers
    flat, owner = np.concatenate(windows), np.repeat(np.arange(len(windows)), [len(each) for each in windows])
    breaks = np.flatnonzero((np.diff(flat) != 1) | (np.diff(owner) != 0)) + 1
    firsts, lasts = np.append(0, breaks), np.append(breaks, len(flat)) - 1
    edges, place = np.unique(np.stack([flat[firsts], flat[lasts] + 1]), return_inverse=True)
    (low, high), owner = place.reshape(2, -1), owner[firsts]
    member = np.zeros((len(edges) + 1, len(windows)))
    np.add.at(member, (low, owner), 1.0)
    np.add.at(member, (high, owner), -1.0)
    starts = edges[edges < light.shape[1]]
    pieces = np.empty((len(light), len(starts)))
    for pixel, each in enumerate(light):
        pieces[pixel] = np.add.reduceat(each * each, starts)
    return np.asarray((pieces @ np.cumsum(member, axis=0)[: len(starts)]).T)


def window_light(pixels: SectorPixels, window: Window) -> FloatArray:
    """Light of a window without its bumps, less `SectorPixels.reference`, e-/s, [live pixel, cadence]."""
    light = pixels.light[:, window.cadences]
    if window.bump is None:
        return light
    pointing = None if pixels.pointing is None else pixels.pointing[window.cadences]
    return filled(light.T, window.bump, window, pointing).T


def window_baselines(windows: Sequence[Window]) -> list[FloatArray]:
    """Orthonormal polynomials in time, as many as a window's baseline can bear, the lowest first, [cadence, term] each.

    All windows at once: each power of time is the last polynomial times time, less what the lower ones have of it,
    twice, as the first time leaves a rounding error.
    """
    if not windows:
        return []
    lengths = np.array([len(window.u) for window in windows])
    inside = np.arange(lengths.max()) < lengths[:, None]
    time = np.zeros(inside.shape)
    time[inside] = np.concatenate([window.u for window in windows])
    time = np.where(inside, time - (time.sum(axis=1) / lengths)[:, None], 0.0)
    time /= np.abs(time).max(axis=1)[:, None]
    terms = np.clip([window.n_out // _CADENCES_PER_TERM for window in windows], 2, BASELINES[-1] + 1)
    found = [inside / np.sqrt(lengths)[:, None]]
    for _ in range(1, terms.max()):
        new = time * found[-1]
        for lower in (*found, *found):
            new -= np.einsum("wn,wn->w", new, lower)[:, None] * lower
        size = np.sqrt(np.einsum("wn,wn->w", new, new))
        found.append(new / np.maximum(size, LEAST_WEIGHT)[:, None])
    together = np.stack(found, axis=-1)
    return [each[:n, :k] for each, n, k in zip(together, lengths, terms, strict=True)]


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
