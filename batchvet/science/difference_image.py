"""All transits of a sector in one image: where the stamp lost light, with the covariance of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.special import chdtrc

from batchvet.arrays import FloatArray
from batchvet.errors import InsufficientData
from batchvet.pixels.stamp import Stamp
from batchvet.science.combination import DipImage, combine
from batchvet.science.dip_parts import PartImage, odd_and_even, secondary_dips
from batchvet.science.dip_shape import DipShapes
from batchvet.science.first_fit import FirstFit
from batchvet.science.localization_settings import DifferenceSettings
from batchvet.science.null_epochs import LEAST_EPOCHS, NoiseModel, measure_noise
from batchvet.science.robust import medians
from batchvet.science.sector_fits import SectorFits, best_baseline, with_best_template
from batchvet.science.sector_look import SectorLook, first_look
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.timeline import Transits
from batchvet.science.timing import Timing
from batchvet.science.transit_images import (
    BASELINES,
    DipFits,
    TransitImage,
    as_images,
)
from batchvet.science.windows import Window, transit_windows
from batchvet.vocabulary import ErrorKind, Flag

_DISAGREEMENT = 1e-4  # probability of the transits' chi² below which they are said to disagree


@dataclass(frozen=True, eq=False)
class DifferenceImage(DipImage):
    """The difference image of one candidate in one sector, all transits together."""

    out_of_transit: FloatArray  #: the stamp beside the transits, e-/s, [row, col]
    out_of_transit_error: FloatArray  #: 1 sigma of it, photons and scatter only, e-/s, [row, col]
    n_transits: int  #: transits used
    n_in_transit: int  #: cadences that see a dip
    transit_chi2: float  #: of the single transits' images about the combined one
    transit_dof: int  #: degrees of freedom of that
    max_leave_one_out_shift_pixels: float  #: photocentre without any one transit; NaN for a single one
    n_null_epochs: int  #: transit-free epochs that the noise was measured on
    timing: Timing  #: how far the transits are off the ephemeris
    n_outlier_cadences: int  #: in whose windows a flare or an asteroid was left out of some pixels
    transits: tuple[TransitImage, ...]  #: one by one
    dip_shapes: DipShapes  #: what they say of their shape
    parts: tuple[PartImage, ...]  #: the odd transits, the even ones and the secondary eclipses, where there are any
    left_out: tuple[str, ...]  #: why other transits of the sector are not used
    flags: tuple[str, ...]  #: what to know about it, in the vocabulary's words


def difference_image(  # house: one result of many parts
    stamp: Stamp,
    transits: Transits,
    bitmask: int,
    settings: DifferenceSettings,
    pixels: SectorPixels | None = None,
) -> DifferenceImage:
    """Fit every transit, measure the noise and combine (method: difference images; method: noise).

    Parameters
    ----------
    stamp : Stamp
    transits : Transits
        Of the candidate, and of the target's other candidates, whose transits are not used.
    bitmask : int
        Cadences with one of these quality flags are not used.
    settings : DifferenceSettings
    pixels : SectorPixels, optional
        Of the same stamp and bitmask, where they are at hand.

    Raises
    ------
    InsufficientData
        No usable transit (kinds ``no_transit``, ``gap``), cadence (``no_cadences``) or pixel (``no_pixels``).
    """
    size = int(transits.ephemeris.duration_days / (settings.cadences_per_duration * stamp.exposure_days))
    pixels = (pixels or SectorPixels.of(stamp, bitmask)).averaged(size, settings.windows.break_days)
    windows, left_out = transit_windows(pixels.timeline, transits, settings.windows)
    if not windows:
        raise _no_transit(stamp, left_out)
    first = FirstFit.of(pixels, windows, transits, settings.windows, settings.noise)
    look = first_look(pixels, first.line, transits, settings.windows) if len(first.epochs) >= LEAST_EPOCHS else None
    if look is not None:
        windows, left_out, first = _looked_at(look, first, left_out, transits, settings)
    found, noise = _fit_all(pixels, windows, first, transits, settings)
    fits = found.fits
    combined = combine(fits, noise)
    dof = len(noise.scatter) * (len(fits) - 1)
    raised = {
        Flag.ONE_SIDED: any(window.one_sided for window in windows),
        Flag.CURVED_BASELINE: found.degree > BASELINES[0],
        Flag.OTHER_DIP_SHAPE: found.other_template,
        Flag.FEW_NULL_EPOCHS: noise.n_epochs < settings.noise.few_epochs,
        Flag.NO_POS_CORR: pixels.pointing is None,
        Flag.EPHEMERIS_OFF: look is not None and look.timing.is_off,
        Flag.SECONDARY_SEEN: look is not None and look.secondary is not None,
        Flag.FLARE_OR_ASTEROID: any(window.bump is not None for window in windows),
        Flag.TRANSITS_DISAGREE: bool(dof and chdtrc(dof, combined.chi2) < _DISAGREEMENT),
    }
    parts = odd_and_even(pixels, windows, fits, noise, transits.ephemeris)
    if look is not None and look.secondary is not None:
        secondary = Transits(look.secondary, (*transits.others, transits.ephemeris))
        parts += secondary_dips(pixels, secondary, found, noise, settings.windows)
    whole = DipImage.of(pixels, windows, noise, combined)
    return DifferenceImage(
        **vars(whole),
        out_of_transit=pixels.image(fits.mean(fits.baseline)),
        out_of_transit_error=pixels.image(_baseline_error(fits, windows)),
        n_transits=len(fits),
        n_in_transit=sum(pixels.timeline.count(window.cadences[window.m > 0]) for window in windows),
        transit_chi2=combined.chi2,
        transit_dof=dof,
        max_leave_one_out_shift_pixels=_leave_one_out_shift(pixels, fits, combined.weights),
        n_null_epochs=noise.n_epochs,
        timing=Timing.none() if look is None else look.timing,
        n_outlier_cadences=sum(pixels.timeline.count(window.spoilt) for window in windows),
        transits=as_images(pixels, windows, fits, combined.weights),
        dip_shapes=found.dip_shapes,
        parts=parts,
        left_out=tuple(left_out),
        flags=tuple(flag for flag, present in raised.items() if present),
    )


def _looked_at(
    look: SectorLook, first: FirstFit, left_out: list[str], transits: Transits, settings: DifferenceSettings
) -> tuple[list[Window], list[str], FirstFit]:
    """Windows of the dips where they are, without what spoils them, why others are left out, and a fit of these."""
    windows: list[Window] = list(first.windows)
    if look.moves_windows:
        transits = look.also(transits)
        again, why = transit_windows(look.pixels.timeline, transits, settings.windows, look.timing.late)
        if again:
            windows, left_out = look.without_bumps(again), why
            fit = FirstFit.of(look.pixels, windows, transits, settings.windows, settings.noise, look.dips())
            return windows, left_out, fit
    windows = look.without_bumps(windows)
    return windows, left_out, first.without(look.pixels, windows, look.strange)


def _fit_all(
    pixels: SectorPixels, windows: Sequence[Window], first: FirstFit, transits: Transits, settings: DifferenceSettings
) -> tuple[SectorFits, NoiseModel]:
    """Dips of all transits, with the baseline and the template that suit them, and the noise."""
    found, star = best_baseline(pixels, first.transits, first.epochs, first.line)
    scatter = medians(found.fits.scatter.T)
    noise = measure_noise(pixels, found.nulls, found.shapes, scatter, settings.noise)
    if star is not None and not all(window.bump is not None for window in windows):
        trust = combine(found.fits, noise).weights * found.fits.leverage
        return with_best_template(found, pixels, windows, transits.ephemeris.duration_days, star, trust), noise
    duration, exposure = transits.ephemeris.duration_days, pixels.timeline.exposure_days
    shapes = DipShapes.of(windows, duration, exposure, found.degree, np.ones(len(windows)))
    return replace(found, dip_shapes=shapes), noise


def _baseline_error(fits: DipFits, windows: Sequence[Window]) -> FloatArray:
    """White-noise error of the mean baseline, [live pixel]."""
    weights = (1.0 / fits.leverage) / np.sum(1.0 / fits.leverage)
    n_out = np.array([max(window.n_out, 1) for window in windows])
    return np.asarray(np.sqrt((weights**2 / n_out) @ fits.scatter))


def _leave_one_out_shift(pixels: SectorPixels, fits: DipFits, weights: FloatArray) -> float:
    """Largest shift of the photocentre when one transit is left out, pixels."""
    if len(fits) < 2:
        return float("nan")
    total = weights @ fits.flux
    without = (total - weights[:, None] * fits.flux) / (1.0 - weights)[:, None]
    images = [pixels.image(dip) for dip in (total, *without)]
    centre, *others = _photocentres(np.nan_to_num(images))
    shifts = np.hypot(*(np.array(others) - centre).T)
    return float(np.nanmax(shifts)) if np.isfinite(shifts).any() else float("nan")


def _photocentres(images: FloatArray) -> FloatArray:
    """Row and column [image, 2] of the light within two pixels of the brightest 3 x 3 block of images [..., row, col].

    NaN where there is no light.
    """
    n, *shape = images.shape
    blocks = uniform_filter(images, (0, 3, 3), mode="constant").reshape(n, -1)
    peak_row, peak_col = (at[:, None, None] for at in np.unravel_index(np.argmax(blocks, axis=1), shape))
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    near = (np.abs(rows - peak_row) <= 2) & (np.abs(cols - peak_col) <= 2)
    light = np.where(near, np.maximum(images, 0.0), 0.0)
    moments = np.stack([(light * place).sum(axis=(1, 2)) for place in (1.0, rows, cols)], axis=1)
    return np.where(moments[:, :1] > 0, moments[:, 1:] / np.where(moments[:, :1] > 0, moments[:, :1], 1.0), np.nan)


def _no_transit(stamp: Stamp, left_out: Sequence[str]) -> InsufficientData:
    """Why there is no difference image, as an error."""
    where = f"TIC {stamp.tic} sector {stamp.sector}"
    if left_out:
        return InsufficientData(f"{where}: no usable transit ({'; '.join(left_out[:3])})", kind=ErrorKind.GAP)
    return InsufficientData(f"{where}: no transit falls into the sector", kind=ErrorKind.NO_TRANSIT)
