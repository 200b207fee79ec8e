"""A candidate's folded light and the times of its transits as SVG elements."""

from __future__ import annotations

import math

import numpy as np
from markupsafe import Markup

from batchvet.arrays import FloatArray
from batchvet.report.axes import Axes, Range, around
from batchvet.report.drawing import label, svg, turned_label, words_at
from batchvet.report.light_view import Fold, LightView, TimedTransit
from batchvet.report.style import SECTOR_COLOURS

_LEFT, _TOP, _BOTTOM, _RIGHT = 78.0, 26.0, 42.0, 18.0  #: room for the title, ticks and labels
_WIDTH, _HEIGHT = 300.0, 190.0
_PERCENT = 20_000.0  #: ppm from which on depths are in percent


def light_drawings(view: LightView, name: str) -> list[Markup]:
    """The whole period, odd and even transits, the secondary; those that there are.

    Parameters
    ----------
    view : LightView
    name : str
        Of the candidate, for who cannot see.
    """
    drawn = []
    if np.isfinite(view.phase_ppm).any():
        drawn.append(_whole_period(view, name))
    if view.odd is not None or view.even is not None:
        drawn.append(_odd_and_even(view, name))
    if view.secondary is not None:
        drawn.append(_secondary(view, view.secondary, name))
    return drawn


def timing_drawing(transits: list[TimedTransit], name: str) -> Markup:
    """Observed minus calculated times of the transits, sector by sector."""
    times = np.array([transit.time for transit in transits])
    late = np.array([transit.late_minutes for transit in transits])
    error = np.array([transit.error_minutes for transit in transits])
    span = around([times], 0.06)
    if span[1] - span[0] < 2.0:
        span = (float(times.mean()) - 1.0, float(times.mean()) + 1.0)
    axes = _axes(span, around([late - error, late + error, np.zeros(1)]))
    parts = [axes.frame(), axes.line(0.0)]
    sectors = list(dict.fromkeys(transit.sector for transit in transits))
    for number, sector in enumerate(sectors):
        mine = np.array([transit.sector == sector for transit in transits])
        points = axes.points(times[mine], late[mine], error[mine], "points", 2.8)
        colour = SECTOR_COLOURS[number % len(SECTOR_COLOURS)]
        parts.append(f'<g style="--mine: {colour}"><title>sector {sector}</title>{points}</g>')
    return _finished(axes, parts, "Observed − calculated", "mid-transit (BTJD)", "late (min)", name)


def _whole_period(view: LightView, name: str) -> Markup:
    factor, unit = _unit([view.phase_ppm])
    axes = _axes((-0.25, 0.75), _with_head(around([factor * view.phase_ppm])))
    parts = [axes.frame(), axes.line(0.0), axes.points(view.phase, factor * view.phase_ppm, None, "points", 1.8)]
    parts.append(axes.mark(0.0, "transit"))
    if math.isfinite(view.secondary_phase):
        phase = (view.secondary_phase + 0.25) % 1.0 - 0.25
        parts.append(axes.mark(phase, "secondary?" if view.secondary_phase == 0.5 else "secondary"))
    return _finished(
        axes, parts, "Folded light, a whole period", "phase (periods)", f"light in the aperture ({unit})", name
    )


def _odd_and_even(view: LightView, name: str) -> Markup:
    folds = {"even" if not view.is_single else "the transit": view.even, "odd": view.odd}
    there = {word: fold for word, fold in folds.items() if fold is not None}
    factor, unit = _unit([fold.ppm for fold in there.values()])
    y = _with_head(_y_range(list(there.values()), factor))
    width = _WIDTH / len(there)
    parts = []
    for number, (word, fold) in enumerate(there.items()):
        axes = Axes(_LEFT + number * width, _TOP, width, _HEIGHT, _x_range(fold), y)
        parts.append(axes.frame(4 if len(there) == 1 else 2, has_y_labels=number == 0, has_neighbour=len(there) > 1))
        parts += [axes.line(0.0), _folded(axes, fold, factor)]
        parts.append(words_at(axes.left + 7, _TOP + 17, word, "start", "mark bold"))
    title = "Folded light" if view.is_single else "Even and odd transits"
    whole = _axes((0.0, 1.0), y)
    return _finished(whole, parts, title, "from mid-transit (h)", f"light in the aperture ({unit})", name)


def _secondary(view: LightView, fold: Fold, name: str) -> Markup:
    factor, unit = _unit([fold.ppm])
    axes = _axes(_x_range(fold), _y_range([fold], factor))
    parts = [axes.frame(), axes.line(0.0), _folded(axes, fold, factor)]
    title = f"About phase {view.secondary_phase:.3f}"
    return _finished(axes, parts, title, "from that phase (h)", f"light in the aperture ({unit})", name)


def _folded(axes: Axes, fold: Fold, factor: float) -> str:
    """Each sector's bins faintly, and all together with their errors."""
    sectors = (axes.points(fold.hours, factor * ppm, None, "faint", 1.6) for ppm in fold.by_sector)
    whole = axes.points(fold.hours, factor * fold.ppm, factor * fold.error_ppm, "points")
    return "".join(sectors if len(fold.by_sector) > 1 else ()) + whole


def _axes(x: Range, y: Range) -> Axes:
    return Axes(_LEFT, _TOP, _WIDTH, _HEIGHT, x, y)


def _x_range(fold: Fold) -> Range:
    half = 0.5 * float(fold.hours[1] - fold.hours[0])
    return (float(fold.hours[0]) - half, float(fold.hours[-1]) + half)


def _y_range(folds: list[Fold], factor: float) -> Range:
    errors = [np.nan_to_num(fold.error_ppm) for fold in folds]
    ends = [factor * (fold.ppm + sign * error) for fold, error in zip(folds, errors, strict=True) for sign in (-1, 1)]
    return around([*ends, np.zeros(1)])


def _with_head(span: Range) -> Range:
    """Room above for words."""
    return (span[0], span[1] + 0.2 * (span[1] - span[0]))


def _unit(values: list[FloatArray]) -> tuple[float, str]:
    largest = max((float(np.nanmax(np.abs(v))) for v in values if np.isfinite(v).any()), default=0.0)
    return (1e-4, "%") if largest >= _PERCENT else (1.0, "ppm")


def _finished(axes: Axes, parts: list[str], title: str, x_label: str, y_label: str, name: str) -> Markup:
    parts = [
        *parts,
        words_at(_LEFT, _TOP - 8, title, "start", "title"),
        label(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 35, x_label),
        turned_label(15, _TOP + _HEIGHT / 2, y_label),
    ]
    return svg(_LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM, f"{name}: {title}", parts)
