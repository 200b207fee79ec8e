"""Every star of a candidate's table as its page has it: a line each, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from batchvet.report.drawing import circles_at, label, reticle, svg, turned_label, words_at
from batchvet.report.style import round_down, star_radius
from batchvet.report.view import Row, Star, number, text
from batchvet.report.words import NOTHING, depth_in_words, magnitude, plain, probability
from batchvet.vocabulary import HostWord

FIELD_ARCSEC = 150.0  #: how far the drawing of the field reaches
_SHOWN = 6  #: stars on the first printed page
_LISTED = 24  #: stars in the table of the details
_SIDE, _LEFT, _TOP, _BOTTOM = 390.0, 56.0, 26.0, 42.0
_COLOURS: dict[str, str] = {HostWord.HOST: "#a33c00", HostWord.POSSIBLE: "#8a6700", HostWord.CANNOT_TELL: "#4a4a4a"}
_CLEARED = "#8fa79b"


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


def stars_context(stars: Sequence[Row], name: str) -> dict[str, Any]:
    """What the candidate's template needs of its stars."""
    lines = star_lines(stars)
    n_cleared = sum(line["word"] == HostWord.CLEARED for line in lines)
    return {
        "hosts": lines[:_SHOWN],
        "more_hosts": max(0, len(lines) - _SHOWN),
        "n_cleared": n_cleared,
        "stars": lines[:_LISTED] if len(lines) > _SHOWN else [],
        "more_stars": max(0, len(lines) - _LISTED),
        "field": field_drawing(stars, name) if len(lines) > 1 else None,
    }


def field_drawing(stars: Sequence[Row], name: str) -> Markup:
    """All stars within 2.5′ of the target on the sky, those that are cleared faintly."""
    middle, unit = _SIDE / 2, _SIDE / 2 / FIELD_ARCSEC

    def to_x(east: float) -> float:
        return _LEFT + middle - east * unit

    def to_y(north: float) -> float:
        return _TOP + middle - north * unit

    parts = [f'<rect class="sky" x="{_LEFT:g}" y="{_TOP:g}" width="{_SIDE:g}" height="{_SIDE:g}"/>']
    step = round_down(FIELD_ARCSEC / 1.6)
    for n in range(-int(FIELD_ARCSEC / step), int(FIELD_ARCSEC / step) + 1):
        value = n * step
        lines = f"M{to_x(value):.1f} {_TOP:g}v{_SIDE:g}M{_LEFT:g} {to_y(value):.1f}h{_SIDE:g}"
        parts.append(f'<path class="grid" d="{lines}"/>')
        parts.append(words_at(to_x(value), _TOP + _SIDE + 16, plain(value), "middle"))
        parts.append(words_at(_LEFT - 6, to_y(value) + 4, plain(value), "end"))
    for star in sorted(stars, key=lambda star: number(star, "probability")):
        length, angle = number(star, "separation_arcsec"), math.radians(number(star, "position_angle_deg"))
        east, north = (length * math.sin(angle), length * math.cos(angle)) if length > 0 else (0.0, 0.0)
        if max(abs(east), abs(north)) > FIELD_ARCSEC or star.get("is_target"):
            continue
        tmag, word = number(star, "tmag"), text(star, "word")
        drawn = Star(f"{text(star, 'source_id')}, {word}", east, north, tmag, is_target=False)
        circle = circles_at([(to_x(east), to_y(north), star_radius(tmag) * _SIDE / 22.0, drawn)])
        parts.append(f'<g style="--ink: {_COLOURS.get(word, _CLEARED)}">{circle}</g>')
    parts.append(reticle(to_x(0), to_y(0), 16.0))
    parts += [
        words_at(_LEFT, _TOP - 8, "The field, 2.5′ about the target", "start", "title"),
        label(_LEFT + middle, _TOP + _SIDE + 35, "east of the target (arcsec)"),
        turned_label(12, _TOP + middle, "north of the target (arcsec)"),
    ]
    return svg(_LEFT + _SIDE + 22, _TOP + _SIDE + _BOTTOM, f"{name}: the field", parts)
