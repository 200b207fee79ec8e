"""The transits and the transit-free epochs of a sector in one pass over the pixels, with a line as the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import BoolArray
from batchvet.science.localization_settings import NoiseSettings
from batchvet.science.null_epochs import LEAST_EPOCHS, null_windows
from batchvet.science.sector_fits import SectorFits, fit_with_baseline
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.timeline import Transits
from batchvet.science.transit_images import BASELINES, WindowProducts, window_products
from batchvet.science.windows import Window, WindowLayout, WindowSettings

_NEVER = 1e9  # days from a transit, of a cadence without a time


@dataclass(frozen=True, eq=False)
class FirstFit:
    """Products of all windows, and fits with a line as the baseline."""

    windows: Sequence[Window]  #: of the transits
    transits: WindowProducts  #: of these
    quiet: Sequence[Window]  #: that no dip touches, or whose dips were filled in
    epochs: WindowProducts  #: of these
    line: SectorFits

    @classmethod
    def of(
        cls,
        pixels: SectorPixels,
        windows: Sequence[Window],
        transits: Transits,
        window_settings: WindowSettings,
        settings: NoiseSettings,
        avoid: BoolArray | None = None,
    ) -> FirstFit:
        """Fit the transits, and epochs without a dip; when such epochs are few, any whose dips are filled in serve.

        Parameters
        ----------
        pixels : SectorPixels
        windows : sequence of Window
            Of the transits.
        transits : Transits
        window_settings : WindowSettings
        settings : NoiseSettings
        avoid : bool array, [cadence], optional
            Cadences of dips that the ephemerides do not tell of.
        """
        timeline, ephemeris = pixels.timeline, transits.ephemeris
        quiet = null_windows(timeline, transits, window_settings, settings, avoid=avoid)
        both, own = window_products(pixels, [*windows, *quiet]), np.arange(len(windows) + len(quiet)) < len(windows)
        dips, epochs = both.of(own), both.of(~own)
        if len(epochs) < settings.few_epochs:
            everywhere = null_windows(timeline, transits, window_settings, settings, anywhere=True)
            if len(everywhere) > len(epochs):
                layout = WindowLayout.of(ephemeris, 0.0, timeline.exposure_days, window_settings)
                template = layout.template(np.nan_to_num(ephemeris.time_from_transit(timeline.time), nan=_NEVER))
                dip = fit_with_baseline(pixels, dips, epochs, BASELINES[0]).fits
                quiet, epochs = everywhere, window_products(pixels, everywhere, (template, dip.mean(dip.flux)))
        return cls(windows, dips, quiet, epochs, fit_with_baseline(pixels, dips, epochs, BASELINES[0]))

    def without(self, pixels: SectorPixels, windows: Sequence[Window], strange: BoolArray) -> FirstFit:
        """The same with the transits' `windows` without their bumps, and without epochs that strange dips touch."""
        touched = np.array([strange[window.cadences].any() for window in self.quiet], dtype=bool)
        changed = any(window.bump is not None for window in windows)
        if not changed and not touched.any():
            return self
        quiet, epochs = self.quiet, self.epochs
        if touched.any() and np.count_nonzero(~touched) >= LEAST_EPOCHS:
            epochs = epochs.of(~touched)
            quiet = [window for window, bad in zip(quiet, touched, strict=True) if not bad]
        dips = window_products(pixels, windows) if changed else self.transits
        return FirstFit(windows, dips, quiet, epochs, fit_with_baseline(pixels, dips, epochs, BASELINES[0]))
