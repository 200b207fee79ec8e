"""The field about a candidate's target: every star of its table, where stamps end, and where the dip is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from batchvet.arrays import FloatArray
from batchvet.report.drawing import circles_at, label, position_mark, reticle, svg, turned_label, words_at
from batchvet.report.style import SECTOR_COLOURS, round_down, star_radius
from batchvet.report.view import Row, SkyView, Star, number, text
from batchvet.report.words import plain
from batchvet.vocabulary import HostWord

FIELD_ARCSEC = 150.0  #: how far the drawing of the field reaches
_SIDE, _LEFT, _TOP, _BOTTOM = 390.0, 56.0, 26.0, 42.0
_NAMED = 4  #: stars that have their names beside them, of those that are not cleared
_OUTLINES = 8  #: stamps whose outlines have a colour and a name of their own
_LABEL_HEIGHT = 15.0
_MIDDLE, _UNIT = _SIDE / 2, _SIDE / 2 / FIELD_ARCSEC


def field_drawing(stars: Sequence[Row], name: str, sky: SkyView | None = None) -> Markup:
    """All stars within 2.5′ of the target, marked by their words; with a view of the sky also stamps and the dip.

    Parameters
    ----------
    stars : sequence of Row
        Of the table `hosts`.
    name : str
        Of the candidate.
    sky : SkyView, optional
    """
    parts = [f'<rect class="sky" x="{_LEFT:g}" y="{_TOP:g}" width="{_SIDE:g}" height="{_SIDE:g}"/>', *_axes()]
    frame = f'<rect x="{_LEFT:g}" y="{_TOP:g}" width="{_SIDE:g}" height="{_SIDE:g}"/>'
    parts.append(f'<clipPath id="clip-field">{frame}</clipPath><g clip-path="url(#clip-field)">')
    parts += _outlines(sky.stamps) if sky is not None else []
    placed = list(_placed(stars))
    parts += _circles(placed)
    if sky is not None and sky.joint is not None:
        parts.append(position_mark(sky.joint, _to_x(sky.joint.x), _to_y(sky.joint.y), -_UNIT, -_UNIT))
    parts.append(reticle(_to_x(0), _to_y(0), 16.0))
    parts += [
        "</g>",
        *_names(placed),
        words_at(_LEFT, _TOP - 8, "The field, 2.5′ about the target", "start", "title"),
        label(_LEFT + _MIDDLE, _TOP + _SIDE + 35, "east of the target (arcsec)"),
        turned_label(12, _TOP + _MIDDLE, "north of the target (arcsec)"),
    ]
    return svg(_LEFT + _SIDE + 22, _TOP + _SIDE + _BOTTOM, f"{name}: the field", parts)


def _to_x(east: float) -> float:
    return _LEFT + _MIDDLE - east * _UNIT


def _to_y(north: float) -> float:
    return _TOP + _MIDDLE - north * _UNIT


def _axes() -> Iterable[str]:
    """The grid, and what its lines are, arcsec."""
    step = round_down(FIELD_ARCSEC / 1.6)
    values = [n * step for n in range(-int(FIELD_ARCSEC / step), int(FIELD_ARCSEC / step) + 1)]
    lines = "".join(f"M{_to_x(v):.1f} {_TOP:g}v{_SIDE:g}M{_LEFT:g} {_to_y(v):.1f}h{_SIDE:g}" for v in values)
    yield f'<path class="grid" d="{lines}"/>'
    for value in values:
        yield words_at(_to_x(value), _TOP + _SIDE + 16, plain(value), "middle")
        yield words_at(_LEFT - 6, _to_y(value) + 4, plain(value), "end")


def _outlines(stamps: Mapping[int, FloatArray]) -> list[str]:
    """Where the stamps of the sectors end; many in one colour."""

    def around(corners: FloatArray) -> str:
        return "M" + "L".join(f"{_to_x(east):.0f} {_to_y(north):.0f}" for east, north in corners) + "z"

    if len(stamps) > _OUTLINES:
        every = "".join(around(corners) for corners in stamps.values())
        return [f'<path class="stamp" d="{every}"><title>stamps of {len(stamps)} sectors</title></path>']
    return [
        f'<path class="stamp" style="stroke: {SECTOR_COLOURS[n % len(SECTOR_COLOURS)]}" d="{around(corners)}">'
        f"<title>sector {sector}, stamp</title></path>"
        for n, (sector, corners) in enumerate(stamps.items())
    ]


def _placed(stars: Sequence[Row]) -> Iterable[tuple[str, float, Star]]:
    """Word, probability and place of each star of the field but the target, the likeliest last."""
    for row in sorted(stars, key=lambda star: number(star, "probability")):
        length, angle = number(row, "separation_arcsec"), math.radians(number(row, "position_angle_deg"))
        east, north = (length * math.sin(angle), length * math.cos(angle)) if length > 0 else (0.0, 0.0)
        if max(abs(east), abs(north)) <= FIELD_ARCSEC and not row.get("is_target"):
            star = Star(text(row, "source_id"), east, north, number(row, "tmag"), is_target=False)
            yield text(row, "word"), number(row, "probability"), star


def _circles(placed: Sequence[tuple[str, float, Star]]) -> Iterable[str]:
    """A circle for each star, in a group for each word: those that may have the dip above the others."""
    for word in (HostWord.CLEARED, "", HostWord.CANNOT_TELL, HostWord.POSSIBLE, HostWord.HOST):
        members = [
            (_to_x(star.col), _to_y(star.row), star_radius(star.tmag) * _SIDE / 22.0, star)
            for own, _, star in placed
            if own == word
        ]
        if members:
            yield f'<g class="of-{word or "nobody"}">{circles_at(members)}</g>'


def _names(placed: Sequence[tuple[str, float, Star]]) -> list[str]:
    """Names of the stars that may have the dip, the likeliest first, in the upper left corner with a line to each."""
    told = [(word, star) for word, _, star in reversed(placed) if word in (HostWord.HOST, HostWord.POSSIBLE)]
    parts = []
    for n, (word, star) in enumerate(told[:_NAMED]):
        words, row = f"{star.source_id}, {word.lower()}", _TOP + 18.0 + _LABEL_HEIGHT * n
        start = _LEFT + 12.0 + 6.9 * len(words)
        place = f"{_to_x(star.col):.0f} {_to_y(star.row):.0f}"
        parts.append(f'<path class="leader" d="M{start:.0f} {row - 4:.0f}L{place}"/>')
        parts.append(words_at(_LEFT + 8.0, row, words, "start", "mark"))
    return parts
