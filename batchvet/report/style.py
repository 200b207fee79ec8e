"""How things look: colours, scales and sizes, the same in figures and in the report.

Marks differ by shape, not by colour alone. Signed images are orange where light is lost and purple where it is
gained (ColorBrewer's PuOr, safe for colour-blind eyes and in grey print the peak is the darkest); starlight is black
on white, as on a plate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np

from batchvet.arrays import FloatArray
from batchvet.report.view import SectorView

INK = "#1a1a1a"
#: The fitted position; Okabe and Ito's blue, the complement of the peak's orange.
SOURCE = "#0060a8"
#: V09's peak; Okabe and Ito's bluish green.
PEAK = "#007a5a"
HALO = "#ffffff"
MISSING = "#c8c8c8"
SIGNED_MAP = "PuOr_r"
LIGHT_MAP = "Greys"

#: Colours of the sectors on the sky (Okabe and Ito), used in turn.
SECTOR_COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

#: matplotlib settings of our figures; nothing else of the user's style is touched.
RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "image.interpolation": "nearest",
    "image.origin": "lower",
    "savefig.dpi": 150,
    "svg.hashsalt": "batchvet",
}


@contextmanager
def our_style() -> Iterator[None]:
    """Draw in our style, and leave every other setting of matplotlib as it is or becomes meanwhile.

    A backend that is chosen with the first figure has settings of its own, such as `interactive`, and they stay:
    `rc_context` would take them back.
    """
    before = {name: matplotlib.rcParams[name] for name in RC}
    matplotlib.rcParams.update(RC)
    try:
        yield
    finally:
        matplotlib.rcParams.update(before)


@dataclass(frozen=True)
class Panel:
    """One kind of image and how it is shown."""

    title: str
    label: str  #: of the colour bar, with the unit
    colour_map: str


PANELS: dict[str, Panel] = {
    "difference": Panel("Difference image", "out − in transit  (e⁻/s)", SIGNED_MAP),
    "snr": Panel("Signal to noise of the difference", "difference / error", SIGNED_MAP),
    "out_of_transit": Panel("Out of transit", "flux, asinh scale  (e⁻/s)", LIGHT_MAP),
    "depth_ppm": Panel("Depth map (V09)", "depth  (ppm)", SIGNED_MAP),
}


@dataclass(frozen=True)
class Scale:
    """The range of a panel's colours."""

    low: float
    high: float
    softening: float = 0.0  #: asinh scale: linear below this; 0 for a linear scale
    extend: str = "neither"  #: which ends are cut off, in matplotlib's words

    def fraction(self, values: FloatArray) -> FloatArray:
        """Where the values lie between the ends, 0 to 1; NaN stays."""
        low, high = self._stretch(np.array([self.low, self.high]))
        fraction: FloatArray = np.clip((self._stretch(np.asarray(values, dtype=float)) - low) / (high - low), 0.0, 1.0)
        return fraction

    def _stretch(self, values: FloatArray) -> FloatArray:
        return np.arcsinh(values / self.softening) if self.softening else values

    def ticks(self) -> list[float]:
        """A few round values between the ends."""
        top = round_down(self.high)
        if self.softening:
            values = {0.0, *(top / ratio for ratio in (1, 5, 25))}
            return sorted(v for v in values if self.low <= v <= self.high)
        step = round_down(self.high / 2.0)
        return [n * step for n in range(-int(self.high / step), int(self.high / step) + 1)]


def scale(view: SectorView, panel: str) -> Scale:
    """The colours' range for one panel of one sector.

    Signed images are symmetric about zero. A depth divides by almost nothing where there is no star: its range is
    that of the pixels with at least 5 % of the brightest pixel's flux, and the rest may run off the scale.
    """
    image = view.images[panel]
    finite = image[np.isfinite(image)]
    if panel == "out_of_transit":
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        if not high > low:
            high = low + 1.0
        return Scale(low, high, softening=max(0.02 * (high - low), 1e-12))
    if panel == "depth_ppm" and "out_of_transit" in view.images:
        light = view.images["out_of_transit"]
        bright = np.isfinite(image) & (light > 0.05 * np.nanmax(light, initial=0.0))
        used = image[bright] if bright.any() else finite
    else:
        used = finite
    least = 3.0 if panel == "snr" else 0.0
    limit = max(float(np.abs(used).max(initial=0.0)), least) or 1.0
    above, below = bool((finite > limit).any()), bool((finite < -limit).any())
    extend = {(True, True): "both", (True, False): "max", (False, True): "min"}.get((above, below), "neither")
    return Scale(-limit, limit, extend=extend)


def round_down(value: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above a positive `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= value * (1 + 1e-12))


def star_radius(tmag: float) -> float:
    """Radius in pixels of the circle that stands for a star: 0.6 at T = 6, 0.1 at T = 18."""
    if not math.isfinite(tmag):
        return 0.15
    return float(np.clip(0.6 - (tmag - 6.0) / 24.0, 0.1, 0.7))
