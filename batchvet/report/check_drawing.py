"""A run against itself as SVG elements: how far offsets are off, against what honest errors would give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from markupsafe import Markup

from batchvet.arrays import FloatArray
from batchvet.report.axes import Axes
from batchvet.report.drawing import label, svg, turned_label, words_at
from batchvet.report.style import SECTOR_COLOURS
from batchvet.results.self_check import GROUPS

#: What the groups of `batchvet.results.self_check.GROUPS` are called.
TITLES = {"snr": "By signal to noise", "tmag": "By magnitude", "camera": "By camera", "prf_source": "By PRF"}
_LEFT, _TOP, _BOTTOM = 58.0, 26.0, 42.0
_WIDTH, _HEIGHT = 300.0, 210.0
_FARTHEST = 4.0  #: sigma, of the drawings
_FEWEST = 5  #: offsets of a group that has a curve
_MOST_POINTS = 120  #: of a curve


def offset_drawings(offsets: pd.DataFrame) -> list[Markup]:
    """For each of the groups a drawing: the share of offsets within so many sigma, and Rayleigh's.

    Parameters
    ----------
    offsets : DataFrame
        From `batchvet.results.self_check.sure_sectors`.
    """
    return [_cumulative(offsets, name, TITLES[name]) for name in GROUPS]


def _cumulative(offsets: pd.DataFrame, group: str, title: str) -> Markup:
    axes = Axes(_LEFT, _TOP, _WIDTH, _HEIGHT, (0.0, _FARTHEST), (0.0, 1.0))
    at = np.linspace(0.0, _FARTHEST, 81)
    parts = [axes.frame(), _curve(axes, at, 1.0 - np.exp(-0.5 * at**2), "zero honest", "", "honest errors")]
    known = offsets[np.isfinite(offsets["significance_sigma"])]
    kinds = [(str(name), each["significance_sigma"]) for name, each in known.groupby(group, observed=True, sort=True)]
    named = []
    for number, (name, values) in enumerate(one for one in kinds if len(one[1]) >= _FEWEST):
        colour = SECTOR_COLOURS[number % len(SECTOR_COLOURS)]
        x, share = _steps(np.sort(values.to_numpy(dtype=np.float64)))
        words = f"{name}: {len(values)} offsets"
        parts.append(_curve(axes, x, share, "one", colour, words))
        named.append((f"{name} ({len(values)})", colour))
    parts += _names(named)
    if not named:
        parts.append(words_at(_LEFT + _WIDTH / 2, _TOP + _HEIGHT / 2, "too few offsets", "middle", "mark"))
    parts += [
        words_at(_LEFT, _TOP - 8, title, "start", "title"),
        label(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 35, "offset over its error (σ)"),
        turned_label(13, _TOP + _HEIGHT / 2, "share of offsets within"),
    ]
    return svg(_LEFT + _WIDTH + 12, _TOP + _HEIGHT + _BOTTOM, f"Offsets against honest errors, {title.lower()}", parts)


def _steps(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The share of values that are not larger, at some of them."""
    share = (np.arange(len(values)) + 0.5) / len(values)
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), _MOST_POINTS)).round().astype(int))
    return values[chosen], share[chosen]


def _curve(axes: Axes, x: FloatArray, y: FloatArray, look: str, colour: str, words: str) -> str:
    inside = x <= axes.x[1]
    places = zip(x[inside].tolist(), y[inside].tolist(), strict=True)
    path = "L".join(f"{axes.to_x(one):.1f} {axes.to_y(other):.1f}" for one, other in places)
    stroke = f' stroke="{colour}"' if colour else ""
    return f'<path class="{look}"{stroke} d="M{path}"><title>{words}</title></path>' if path else ""


def _names(named: list[tuple[str, str]]) -> list[str]:
    """Which colour is which, in the lower right corner."""
    parts, left = [], _LEFT + _WIDTH - 118.0
    for number, (words, colour) in enumerate([("honest errors", ""), *named]):
        row = _TOP + _HEIGHT - 10.0 - 16.0 * (len(named) - number)
        look, stroke = ("one", f' stroke="{colour}"') if colour else ("zero honest", "")
        parts.append(f'<path class="{look}"{stroke} d="M{left:.1f} {row - 4:.1f}h14"/>')
        parts.append(words_at(left + 19.0, row, words, "start", "mark"))
    return parts


def tenths_drawing(consistency: Mapping[str, object]) -> Markup:
    """How many candidates have sectors that differ with a chance in each tenth; honest errors fill all alike."""
    counts = np.array(consistency["tenths"], dtype=float)
    top = max(1.15 * float(counts.max(initial=0.0)), 1.0)
    axes = Axes(_LEFT, _TOP, _WIDTH, _HEIGHT, (0.0, 1.0), (0.0, top))
    parts = [axes.frame()]
    for number, count in enumerate(counts.tolist()):
        x, y = axes.to_x(0.1 * number), axes.to_y(count)
        width, height = axes.to_x(0.1) - axes.to_x(0.0), axes.to_y(0.0) - y
        place = f'x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{height:.1f}"'
        parts.append(f'<rect class="block" {place}><title>{count:.0f} candidates</title></rect>')
    parts.append(axes.line(float(counts.mean()) if len(counts) else 0.0, "zero honest"))
    parts += [
        words_at(_LEFT, _TOP - 8, "Do sectors agree?", "start", "title"),
        label(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 35, "chance of sectors that differ so much"),
        turned_label(11, _TOP + _HEIGHT / 2, "candidates"),
    ]
    return svg(_LEFT + _WIDTH + 12, _TOP + _HEIGHT + _BOTTOM, "Do sectors agree?", parts)
