"""One transit seen as an image: a least-squares fit of baseline, pointing motion and dip to all pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.errors import InsufficientData
from batchvet.pixels.stamp import Stamp
from batchvet.science.windows import Window

FloatArray = NDArray[np.float64]

#: Degrees of the baseline in time that are tried: a line, and curves for variable stars.
BASELINES = (1, 2, 4)

_CADENCES_PER_TERM = 3  # of baseline, for each term of a curve
_LEAST_PIXELS = 9  # a source and what surrounds it
_LEAST_FINITE = 0.9  # a pixel that is NaN more often is left out; else the cadences where it is NaN are
_SAMPLED_CADENCES = 256  # enough for the mean of FLUX_ERR², which hardly changes within a sector
_LEAST_MOTION = 1e-5  # pixels; less motion than this explains nothing


@dataclass(frozen=True, eq=False)
class SectorPixels:
    """The cadences and pixels of a stamp that can be fitted."""

    shape: tuple[int, int]  #: rows, columns of the stamp
    live: NDArray[np.intp]  #: flat indices of the pixels with data
    time: FloatArray  #: BTJD days, [cadence], NaN where unknown
    usable: NDArray[np.bool_]  #: finite time and flux and none of the unwanted flags, [cadence]
    flux: NDArray[np.float32]  #: e-/s, all pixels, [cadence, row * col]
    error_variance: FloatArray  #: mean FLUX_ERR², (e-/s)², zero when unknown, [live pixel]
    pointing: FloatArray | None  #: column, row, their squares and product, from POS_CORR, [cadence, 5]; or None

    @classmethod
    def of(cls, stamp: Stamp, bitmask: int) -> SectorPixels:
        """Sort out dead pixels and unusable cadences.

        Raises
        ------
        InsufficientData
            No good cadence or no pixel with data.
        """
        flux = stamp.flux.reshape(len(stamp.time), -1)
        good = stamp.good(bitmask)
        if not good.any():
            raise InsufficientData("no cadence has a time and a good quality flag", kind="no_cadences")
        live, finite = _finite_part(flux, good)
        if live.size < _LEAST_PIXELS or min(stamp.shape) < 2:
            size = f"{stamp.shape[0]} x {stamp.shape[1]}"
            raise InsufficientData(f"only {live.size} pixels of the {size} stamp have data", kind="no_pixels")
        usable = good & finite
        pointing = _pointing(stamp, usable)
        if pointing is not None:
            usable &= np.isfinite(pointing).all(axis=1)
        variance = _error_variance(stamp, usable)[live]
        return cls(stamp.shape, live, stamp.time, usable, flux, variance, pointing)

    def image(self, values: FloatArray) -> FloatArray:
        """Values of the live pixels as an image [row, col], NaN elsewhere."""
        image = np.full(self.shape[0] * self.shape[1], np.nan)
        image[self.live] = values
        return image.reshape(self.shape)

    def values(self, cadences: NDArray[np.intp]) -> FloatArray:
        """Flux of the live pixels in those cadences, [cadence, live pixel]."""
        first, last = cadences[0], cadences[-1]
        unbroken = last - first + 1 == len(cadences)  # a slice is read much faster than a list of cadences
        chosen = self.flux[first : last + 1] if unbroken else self.flux[cadences]
        if self.live.size < self.flux.shape[1]:
            chosen = chosen[:, self.live]
        return chosen.astype(np.float64)


@dataclass(frozen=True, eq=False)
class WindowProducts:
    """Inner products of windows' columns and pixels, from which fits with any baseline follow.

    The columns are the dip's template and then the pointing. Baselines are orthonormal polynomials in time.
    """

    n: NDArray[np.intp]  #: cadences, [window]
    terms: NDArray[np.intp]  #: of the longest baseline that the window can bear, [window]
    baseline: FloatArray  #: of baseline terms and columns, [window, term, column], zero beyond `terms`
    inner: FloatArray  #: of the columns, [window, column, column]
    baseline_flux: FloatArray  #: of baseline terms and pixels, [window, term, live pixel]
    flux: FloatArray  #: of columns and pixels, [window, column, live pixel]
    power: FloatArray  #: F'F, [window, live pixel]
    level: FloatArray  #: mean flux, e-/s, [window, live pixel]
    mean_template: FloatArray  #: mean of m, [window]

    def __len__(self) -> int:
        return len(self.n)

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

    n: NDArray[np.intp]  #: cadences, [window]
    freedom: NDArray[np.intp]  #: of the fit's residuals, [window]
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

    def __len__(self) -> int:
        return len(self.leverage)

    def mean(self, values: FloatArray) -> FloatArray:
        """Mean over the windows of values [window, live pixel], each counting as it tells of its dip."""
        weights = 1.0 / self.leverage
        return weights @ values / weights.sum()


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
    for i, window in enumerate(windows):
        flux = pixels.values(window.cadences)
        if restore is not None:
            flux += restore[0][window.cadences, None] * restore[1]
        reference = flux[0].copy()
        flux -= reference  # the sums of squares below would lose the noise of a bright pixel otherwise
        columns = np.empty((len(window.u), n_columns))
        columns[:, 0] = window.m
        if pixels.pointing is not None:
            pointing = pixels.pointing[window.cadences]
            columns[:, 1:] = pointing - pointing.mean(axis=0)  # or rounding would pass for motion
        baseline = window_baseline(window)
        terms = baseline.shape[1]
        products.terms[i] = terms
        products.baseline[i, :terms] = baseline.T @ columns
        products.baseline_flux[i, :terms] = baseline.T @ flux
        products.inner[i] = columns.T @ columns
        products.flux[i] = columns.T @ flux
        products.power[i] = np.einsum("np,np->p", flux, flux)
        products.level[i] = reference + baseline[0, 0] * products.baseline_flux[i, 0]  # the mean
    return products


def window_baseline(window: Window) -> FloatArray:
    """Orthonormal polynomials in time, as many as the window's baseline can bear, the lowest first, [cadence, term]."""
    terms = int(np.clip(window.n_out // _CADENCES_PER_TERM, 2, BASELINES[-1] + 1))
    time = window.u - window.u.mean()
    return np.linalg.qr(np.vander(time / np.abs(time).max(), terms, increasing=True))[0]


def pointing_response(windows: Sequence[WindowSums]) -> FloatArray:
    """Flux per pointing column, [p, live pixel], from many windows together.

    A pixel's response is the scene's gradient and curvature, the same all sector long: fitted once, it costs a
    short window (18 cadences at 30 minutes) none of its few degrees of freedom. Dips are projected out.
    """
    motion, flux, cadences = 0.0, 0.0, 0
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
        solution = np.linalg.pinv(scaled, rcond=1e-8, hermitian=True) @ (flux[moving] / spread[moving, None])
        response[moving] = solution / spread[moving, None]
    return response


def fit_dips(windows: WindowSums, response: FloatArray) -> DipFits:
    """The dip in every pixel: ``F = H beta``, ``H = [1, u, posx, posy, -m]`` (SCIENCE 2a), u² and on where needed.

    The pointing columns' coefficients are those of the whole sector (`pointing_response`), the others the
    windows' own.
    """
    moved = np.einsum("kp,wkp->wp", response, windows.motion_flux - 0.5 * (windows.motion @ response))
    power = windows.power - 2.0 * moved
    template_flux = windows.template_flux - windows.motion_template @ response
    dip = -template_flux / windows.template[:, None]
    scatter = (power + dip * template_flux) / windows.freedom[:, None]
    # of an image without any noise
    rounding = 1e-12 * (windows.level**2 + np.max(windows.level**2, axis=1, initial=0.0)[:, None])
    return DipFits(
        flux=dip,
        scatter=np.maximum(scatter, rounding),
        leverage=1.0 / windows.template,
        baseline=windows.level + dip * windows.mean_template[:, None],
    )


def transit_image(pixels: SectorPixels, window: Window) -> TransitImage:
    """The image of one transit by itself, with the white-noise variance of SCIENCE 2a."""
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


def _finite_part(flux: NDArray[np.float32], good: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Pixels with data, and the cadences in which all of those are finite."""
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(flux @ np.ones(flux.shape[1], dtype=np.float32))
    kept = np.ones(flux.shape[1], dtype=bool)
    if np.count_nonzero(good & ~finite) > 0.001 * np.count_nonzero(good):
        known = np.isfinite(flux)
        kept = known[good].mean(axis=0) >= _LEAST_FINITE
        finite = known[:, kept].all(axis=1)
    chosen = np.flatnonzero(good & finite)
    sample = flux[chosen[:: max(1, len(chosen) // _SAMPLED_CADENCES)]]
    if len(sample):  # beyond the edge of the CCD all cadences hold the same number
        kept &= np.ptp(np.where(kept, sample, 0.0), axis=0) > 0
    return np.flatnonzero(kept), finite


def _pointing(stamp: Stamp, usable: NDArray[np.bool_]) -> FloatArray | None:
    if stamp.pos_corr is None:
        return None
    motion = np.asarray(stamp.pos_corr, dtype=np.float64)
    known = np.isfinite(motion).all(axis=1) & usable
    if np.count_nonzero(known) < 0.5 * np.count_nonzero(usable) or not motion[known].any():
        return None
    col, row = (motion - np.median(motion[known], axis=0)).T
    return np.column_stack([col, row, col * col, col * row, row * row])


def _error_variance(stamp: Stamp, usable: NDArray[np.bool_]) -> FloatArray:
    """Mean FLUX_ERR² of every pixel from a sample of cadences; zero where the file has none."""
    n_pixels = stamp.shape[0] * stamp.shape[1]
    chosen = np.flatnonzero(usable)
    if stamp.flux_err is None or chosen.size == 0:
        return np.zeros(n_pixels)
    chosen = chosen[:: max(1, len(chosen) // _SAMPLED_CADENCES)]
    error = stamp.flux_err[chosen].reshape(len(chosen), -1).astype(np.float64)
    known = np.isfinite(error) & (error > 0)
    return np.where(known, error**2, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
