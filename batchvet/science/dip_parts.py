"""The odd transits of a sector, the even ones, and its secondary eclipses, each in an image of its own.

Two stars that eclipse each other have dips of two depths in turn; a secondary eclipse tells that the companion shines;
and what lies at another place than the dip is another star's (method: odd, even, secondary).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.combination import DipImage, combine
from batchvet.science.evidence import Part, PartDip, symmetric
from batchvet.science.noisy_image import NoisyImage
from batchvet.science.null_epochs import NoiseModel
from batchvet.science.position import PointSource, SignificanceMap, fit_point_source
from batchvet.science.prf import Prf
from batchvet.science.sector_fits import SectorFits
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.timeline import Transits
from batchvet.science.transit_images import DipFits, fit_dips, window_products
from batchvet.science.windows import Window, WindowSettings, transit_windows


@dataclass(frozen=True, eq=False)
class PartImage(DipImage):
    """The image of one kind of dips."""

    part: Part
    n_dips: int  #: in it
    mid_time: float  #: of the first of them, BTJD, days
    phase: float  #: of the candidate's period
    phase_error: float  #: 1 sigma


def odd_and_even(
    pixels: SectorPixels, windows: Sequence[Window], fits: DipFits, noise: NoiseModel, ephemeris: Ephemeris
) -> tuple[PartImage, ...]:
    """Images of the transits an odd and an even number of periods from t0; none for a single transit."""
    if ephemeris.is_single:
        return ()
    number = np.round([(window.mid_time - ephemeris.t0_btjd) / ephemeris.period_days for window in windows])
    found = []
    for part, is_odd in ((Part.ODD, 1.0), (Part.EVEN, 0.0)):
        chosen: BoolArray = number % 2.0 == is_odd
        if chosen.any():
            own = [window for window, is_one in zip(windows, chosen, strict=True) if is_one]
            found.append(_image(part, pixels, own, fits.of(chosen), noise))
    return tuple(found)


def secondary_dips(
    pixels: SectorPixels, secondary: Transits, found: SectorFits, noise: NoiseModel, settings: WindowSettings
) -> tuple[PartImage, ...]:
    """Image of the eclipses at another phase; none if no window can be had.

    Parameters
    ----------
    pixels : SectorPixels
    secondary : Transits
        Their ephemeris; the candidate's own among the others, the last of them.
    found : SectorFits
        Whose baseline and pointing serve.
    noise : NoiseModel
    settings : WindowSettings
    """
    windows, _ = transit_windows(pixels.timeline, secondary, settings)
    if not windows:
        return ()
    fits = fit_dips(window_products(pixels, windows).without_baseline(found.degree), found.response)
    primary, period = secondary.others[-1], secondary.ephemeris.period_days
    phase = (secondary.ephemeris.t0_btjd - primary.t0_btjd) / period % 1.0
    error = secondary.ephemeris.t0_err_days / period
    return (_image(Part.SECONDARY, pixels, windows, fits, noise, (phase, error)),)


def _image(
    part: Part,
    pixels: SectorPixels,
    windows: Sequence[Window],
    fits: DipFits,
    noise: NoiseModel,
    phase: tuple[float, float] = (0.0, 0.0),
) -> PartImage:
    """Of these windows; `phase` with its error."""
    image = DipImage.of(pixels, windows, noise, combine(fits, noise))
    return PartImage(
        **vars(image),
        part=part,
        n_dips=len(windows),
        mid_time=min(window.mid_time for window in windows),
        phase=phase[0],
        phase_error=phase[1],
    )


def measure_part(image: PartImage, saturated: BoolArray, prf: Prf, dip: PointSource, grid_step: float) -> PartDip:
    """How deep it is where the sector's dip is (a secondary eclipse: where it is itself), and where it is.

    Parameters
    ----------
    image : PartImage
    saturated : bool array, [row, col]
        Pixels that tell no position.
    prf : Prf
    dip : PointSource
        The sector's.
    grid_step : float
        Pixels, of the search.
    """
    noisy = NoisyImage.build(image.flux, np.where(saturated, np.nan, image.variance), image.shapes, image.shape_cov)
    found = fit_point_source(noisy, SignificanceMap.of_stamp(noisy, prf, grid_step), prf)
    row, col = (found.row, found.col) if image.part == Part.SECONDARY else (dip.row, dip.col)
    there = prf.image(row, col, image.flux.shape)[None]
    information = float(noisy.information(there)[0, 0]) / found.noise_scale
    score = float(noisy.score(there)[0]) / found.noise_scale
    seen = information > 0
    return PartDip(
        part=image.part,
        n_dips=image.n_dips,
        mid_time=image.mid_time,
        phase=image.phase,
        phase_error=image.phase_error,
        flux=score / information if seen else float("nan"),
        flux_error=information**-0.5 if seen else float("inf"),
        place=np.array([found.row, found.col]),
        covariance=symmetric(found.covariance),
    )
