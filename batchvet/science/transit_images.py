"""One transit seen as an image: a least-squares fit of baseline, pointing motion and dip to all pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.errors import InsufficientData
from batchvet.pixels.stamp import Stamp
from batchvet.science.windows import Window

FloatArray = NDArray[np.float64]

_LEAST_FINITE = 0.9  # a pixel that is NaN more often is left out; else the cadences where it is NaN are
_SAMPLED_CADENCES = 256  # enough for the mean of FLUX_ERR², which hardly changes within a sector
_LEAST_MOTION = 1e-5  # pixels; a pointing column that moves less than this beyond the others explains nothing


@dataclass(frozen=True, eq=False)
class SectorPixels:
    """The cadences and pixels of a stamp that can be fitted."""

    shape: tuple[int, int]  #: rows, columns of the stamp
    live: NDArray[np.intp]  #: flat indices of the pixels with data
    time: FloatArray  #: BTJD days, [cadence], NaN where unknown
    usable: NDArray[np.bool_]  #: finite time and flux and none of the unwanted flags, [cadence]
    flux: NDArray[np.float32]  #: e-/s, all pixels, [cadence, row * col]
    error_variance: FloatArray  #: mean FLUX_ERR², (e-/s)², zero when unknown, [live pixel]
    pointing: FloatArray | None  #: POS_CORR, pixels, [cadence, 2]; None when missing or all zero

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
        if live.size == 0:
            raise InsufficientData("no pixel of the stamp has data", kind="no_pixels")
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
class DipFit:
    """Least-squares dip of one window in every live pixel."""

    flux: FloatArray  #: out minus in transit, e-/s, [live pixel]
    scatter: FloatArray  #: variance of one cadence about the fit, (e-/s)², [live pixel]
    leverage: float  #: [(H'H)^-1]_mm: variance of `flux` per unit of `scatter`
    baseline: FloatArray  #: out-of-transit flux, e-/s, [live pixel]


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


def fit_dip(pixels: SectorPixels, window: Window, restore: tuple[FloatArray, FloatArray] | None = None) -> DipFit:
    """Fit ``F = H beta``, ``H = [1, u, posx, posy, -m]``, to all pixels at once (SCIENCE 2a).

    Parameters
    ----------
    pixels : SectorPixels
    window : Window
    restore : (template [cadence], dip [live pixel]), optional
        Add template times dip first, so that a known dip is not seen.

    Notes
    -----
    Solved by projection: with r the part of m that the other columns cannot explain, the dip is ``-r'F / r'r``.
    A pointing column that the others explain is left out.
    """
    flux = pixels.values(window.cadences)
    if restore is not None:
        flux += restore[0][window.cadences, None] * restore[1]
    reference = flux[0].copy()
    flux -= reference  # the sums of squares below would lose the noise of a bright pixel otherwise
    basis = _baseline_basis(window, pixels.pointing)
    left = window.m - basis @ (basis.T @ window.m)
    norm = left @ left
    columns = np.column_stack([basis, left / np.sqrt(norm)])
    coefficients = columns.T @ flux
    dip = -coefficients[-1] / np.sqrt(norm)
    n, k = columns.shape
    residual = np.einsum("np,np->p", flux, flux) - np.einsum("kp,kp->p", coefficients, coefficients)
    scatter = residual / max(n - k, 1)
    baseline = reference + coefficients[0] / np.sqrt(n) + dip * window.m.mean()
    return DipFit(dip, np.maximum(scatter, np.finfo(float).tiny), 1.0 / norm, baseline)


def transit_image(pixels: SectorPixels, window: Window) -> TransitImage:
    """The image of one transit, with the white-noise variance of SCIENCE 2a."""
    return as_image(pixels, window, fit_dip(pixels, window))


def as_image(pixels: SectorPixels, window: Window, fit: DipFit, weight: float = 1.0) -> TransitImage:
    """A fit put back on the stamp."""
    return TransitImage(
        mid_time=window.mid_time,
        flux=pixels.image(fit.flux),
        variance=pixels.image(np.maximum(fit.scatter, pixels.error_variance) * fit.leverage),
        n_in=window.n_in,
        n_out=window.n_out,
        one_sided=window.one_sided,
        weight=weight,
    )


def _baseline_basis(window: Window, pointing: FloatArray | None) -> FloatArray:
    """Orthonormal columns [cadence, k] that span 1, u and the pointing's motion; the first is constant."""
    n = len(window.u)
    basis = np.empty((n, 4))
    basis[:, 0] = 1.0 / np.sqrt(n)
    slope = window.u - window.u.mean()
    basis[:, 1] = slope / np.sqrt(slope @ slope)
    size = 2
    if pointing is not None:
        for motion in pointing[window.cadences].T:
            left = motion - motion.mean()
            left = left - basis[:, :size] @ (basis[:, :size].T @ left)
            norm = np.sqrt(left @ left)
            if norm > _LEAST_MOTION * np.sqrt(n) and n > size + 2:
                basis[:, size] = left / norm
                size += 1
    return basis[:, :size]


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
    pointing = np.asarray(stamp.pos_corr, dtype=np.float64)
    known = np.isfinite(pointing).all(axis=1) & usable
    if np.count_nonzero(known) < 0.5 * np.count_nonzero(usable) or not pointing[known].any():
        return None
    return pointing


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
