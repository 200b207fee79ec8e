"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from batchvet.report.view import SectorView, SkyView

NOTHING = "–"

_FORMS = {
    "target_offset_arcsec": "offset {}″",
    "offset_arcsec": "offset {}″",
    "significance_sigma": "{} σ",
    "difference_snr": "signal to noise {}",
    "p_target": "target's probability {}",
}


def display_name(toi: str) -> str:
    """A candidate's name with "TOI" before a bare number."""
    return f"TOI {toi}" if re.fullmatch(r"\d+\.\d+", toi) else toi


def readable(word: str) -> str:
    """A verdict without its underscore and capitals."""
    return word.replace("_", " ").lower()


def sector_title(view: SectorView) -> str:
    """Candidate, sector and verdict; the sector's status where there is no verdict."""
    words = [*_who(view.toi, view.tic), f"sector {view.sector}"]
    return " · ".join([*words, readable(view.verdict) or view.status])


def sky_title(sky: SkyView) -> str:
    """Candidate and verdict."""
    return " · ".join(_who(sky.toi, sky.tic) + ([readable(sky.verdict)] if sky.verdict else []))


def _who(toi: str, tic: int) -> list[str]:
    """Candidate and target; once where the candidate has no name of its own."""
    return list(dict.fromkeys([display_name(toi), f"TIC {tic}"]))


def sector_caption(view: SectorView) -> str:
    """The figures of a sector in a line."""
    return _caption(view.figures, ("target_offset_arcsec", "significance_sigma", "difference_snr"))


def sky_caption(sky: SkyView) -> str:
    """The figures of a candidate in a line."""
    return _caption(sky.figures, ("offset_arcsec", "significance_sigma", "p_target"))


def _caption(figures: Mapping[str, float], names: Sequence[str]) -> str:
    found = [(name, figures.get(name, math.nan)) for name in names]
    words = [
        _FORMS[name].format(probability(value) if name.startswith("p_") else plain(value))
        for name, value in found
        if math.isfinite(value)
    ]
    return " · ".join(words) or "no position could be fitted"


def plain(value: float) -> str:
    """Three digits, no exponent unless the number is very large or very small."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else NOTHING
    if not 1e-3 <= abs(value) < 1e7:
        return f"{value:.1e}".replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{digits}f}"
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown).replace("-", "−")


def probability(value: float) -> str:
    """A probability that does not pretend to be certain."""
    if not math.isfinite(value):
        return NOTHING
    if value > 0.999:
        return "> 0.999"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def magnitude(value: float, *, signed: bool = False) -> str:
    """A magnitude, or with its sign a difference of two."""
    if not math.isfinite(value):
        return NOTHING
    return (f"{value:+.2f}" if signed and value else f"{value:.2f}").replace("-", "−")


def with_error(value: float, error: float, unit: str = "") -> str:
    """A value with its error, to two digits of the error; alone where that is not known."""
    if not math.isfinite(value):
        return NOTHING
    unit = f" {unit}" if unit else ""
    if not (math.isfinite(error) and error > 0):
        return f"{value:.9g}{unit}".replace("-", "−")
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}{unit}".replace("-", "−")


def depth_in_words(fraction: float | None) -> str:
    """An eclipse that a star would need."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    if fraction <= 0.0:
        return "no dip"
    if fraction > 1.0:
        return "more than all its light"
    return f"{plain(100 * fraction)} %" if fraction >= 0.001 else f"{plain(1e6 * fraction)} ppm"


def equals(value: float) -> str:
    """The same with a sign before it: "= 0.970" or "> 0.999"."""
    words = probability(value)
    return words if words[0] in "<>" else f"= {words}"


def shown(value: Any) -> str:
    """A cell of a table with all digits that matter."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.7g}" if math.isfinite(value) else NOTHING
    if isinstance(value, int):
        return str(value)
    return ", ".join(str(item) for item in value) or NOTHING
