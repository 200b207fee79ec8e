"""Every star of a candidate's table as its page has it: a line each, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from batchvet.report.field_drawing import field_drawing
from batchvet.report.view import Row, SkyView, number, text
from batchvet.report.words import NOTHING, depth_in_words, magnitude, plain, probability
from batchvet.vocabulary import HostWord

_SHOWN = 6  #: stars on the first printed page
_LISTED = 24  #: stars in the table of the details


def star_lines(stars: Sequence[Row]) -> list[dict[str, str]]:
    """The stars, the likeliest first and those that are cleared last, as lines of a table."""
    order = sorted(stars, key=lambda star: (text(star, "word") == HostWord.CLEARED, -number(star, "probability")))
    return [_line(star) for star in order]


def _line(star: Row) -> dict[str, str]:
    return {
        "source_id": text(star, "source_id"),
        "word": text(star, "word"),
        "probability": probability(number(star, "probability")),
        "tmag": magnitude(number(star, "tmag")),
        "delta_tmag": magnitude(number(star, "delta_tmag"), signed=True),
        "separation": plain(number(star, "separation_arcsec")),
        "angle": f"{number(star, 'position_angle_deg'):.0f}" if number(star, "separation_arcsec") > 0 else NOTHING,
        "depth": _depth(number(star, "depth_required"), number(star, "depth_required_error")),
        "measured": _measured(number(star, "depth_measured"), number(star, "depth_measured_error")),
    }


def _depth(depth: float, error: float) -> str:
    if not math.isfinite(depth) or depth <= 0.0 or depth > 1.0 or not math.isfinite(error):
        return depth_in_words(depth)
    return _measured(depth, error)


def _measured(depth: float, error: float) -> str:
    """A depth and its error in one unit."""
    if not (math.isfinite(depth) and math.isfinite(error)):
        return NOTHING
    factor, unit = (100.0, "%") if max(abs(depth), error) >= 0.001 else (1e6, "ppm")
    digits = max(0, 1 - math.floor(math.log10(factor * error))) if error > 0 else 2
    return f"{factor * depth:.{digits}f} ± {factor * error:.{digits}f} {unit}".replace("-", "−")


def stars_context(stars: Sequence[Row], name: str, sky: SkyView) -> dict[str, Any]:
    """What the candidate's template needs of its stars."""
    lines = star_lines(stars)
    n_cleared = sum(line["word"] == HostWord.CLEARED for line in lines)
    return {
        "hosts": lines[:_SHOWN],
        "more_hosts": max(0, len(lines) - _SHOWN),
        "n_cleared": n_cleared,
        "stars": lines[:_LISTED] if len(lines) > _SHOWN else [],
        "more_stars": max(0, len(lines) - _LISTED),
        "field": field_drawing(stars, name, sky) if len(lines) > 1 else None,
    }
