"""Axes of a small SVG plot: ticks at round numbers, points with errors, nothing outside the frame."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from markupsafe import escape

from batchvet.arrays import FloatArray
from batchvet.report.style import round_down

Range = tuple[float, float]

_ROOM = 16.0  #: half the width of a tick's words, SVG units


class Axes:
    """A frame on a drawing.

    Parameters
    ----------
    left, top, width, height : float
        Of the frame, SVG units.
    x, y : (float, float)
        What its sides stand for.
    """

    def __init__(self, left: float, top: float, width: float, height: float, x: Range, y: Range) -> None:
        self.left, self.top, self.width, self.height = left, top, width, height
        self.x, self.y = x, y

    def to_x(self, value: float) -> float:
        return self.left + (value - self.x[0]) / (self.x[1] - self.x[0]) * self.width

    def to_y(self, value: float) -> float:
        return self.top + (self.y[1] - value) / (self.y[1] - self.y[0]) * self.height

    def frame(self, n_x: int = 4, n_y: int = 4, *, has_y_labels: bool = True, has_neighbour: bool = False) -> str:
        """The frame with ticks; so many, about, on each axis.

        Where another frame stands beside it, words at its sides would run into the other's.
        """
        parts = [
            f'<rect class="sky" x="{self.left:g}" y="{self.top:g}" width="{self.width:g}" height="{self.height:g}"/>'
        ]
        bottom = self.top + self.height
        for value in ticks(self.x, n_x):
            x = self.to_x(value)
            parts.append(f'<path class="grid" d="M{x:.4g} {self.top:g}v{self.height:g}"/>')
            if has_neighbour and min(x - self.left, self.left + self.width - x) < _ROOM:
                continue
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{tick(value, "")}</text>'
            )
        for value in ticks(self.y, n_y):
            y = self.to_y(value)
            parts.append(f'<path class="grid" d="M{self.left:g} {y:.4g}h{self.width:g}"/>')
            if has_y_labels:
                place = f'x="{self.left - 5:g}" y="{y + 4:.1f}"'
                parts.append(f'<text class="tick" {place} text-anchor="end">{tick(value)}</text>')
        return "".join(parts)

    def points(self, x: FloatArray, y: FloatArray, error: FloatArray | None, look: str, radius: float = 2.2) -> str:
        """Dots, with bars for their errors; those outside the frame are left out, bars end at the frame."""
        bars, dots = [], []
        for number, (one, other) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
            if not (math.isfinite(one + other) and self.x[0] <= one <= self.x[1] and self.y[0] <= other <= self.y[1]):
                continue
            dots.append(f"M{self.to_x(one):.4g} {self.to_y(other):.4g}h0")  # a line of no length has round ends
            if error is not None and math.isfinite(float(error[number])):
                low, high = (self._inside(other + sign * float(error[number])) for sign in (-1, 1))
                bars.append(f"M{self.to_x(one):.4g} {self.to_y(low):.4g}V{self.to_y(high):.4g}")
        bar = f'<path class="bar" d="{"".join(bars)}"/>' if bars else ""
        return f'<g class="{look}">{bar}<path class="dots" stroke-width="{2 * radius:g}" d="{"".join(dots)}"/></g>'

    def line(self, y: float, look: str = "zero") -> str:
        """A level across the frame, if it is inside."""
        if not self.y[0] <= y <= self.y[1]:
            return ""
        return f'<path class="{look}" d="M{self.left:g} {self.to_y(y):.4g}h{self.width:g}"/>'

    def mark(self, x: float, words: str) -> str:
        """A triangle below the upper side, and what it stands for."""
        place = self.to_x(x)
        anchor = "end" if place > self.left + 0.85 * self.width else "middle"
        return (
            f'<path class="ink" d="M{place - 4:.1f} {self.top:g}h8l-4 7z"/>'
            f'<text class="mark" x="{place:.1f}" y="{self.top + 19:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def _inside(self, y: float) -> float:
        return min(max(y, self.y[0]), self.y[1])


def ticks(span: Range, n: int) -> list[float]:
    """About `n` round values inside."""
    step = round_down((span[1] - span[0]) / n)
    first = math.ceil(span[0] / step - 1e-9)
    return [number * step for number in range(first, math.floor(span[1] / step + 1e-9) + 1)]


def tick(value: float, separator: str = ",") -> str:
    """A round number as it stands at a tick, with something between its thousands."""
    value = 0.0 if abs(value) < 1e-12 else value
    return f"{value:,.6g}".replace("-", "−").replace(",", separator)


def around(values: Iterable[FloatArray], pad: float = 0.08) -> Range:
    """A range with room about all finite values; one about zero where there are none."""
    known = np.concatenate([np.ravel(v)[np.isfinite(np.ravel(v))] for v in values] or [np.empty(0)])
    if not known.size:
        return (-1.0, 1.0)
    low, high = float(known.min()), float(known.max())
    room = pad * (high - low) or abs(high) or 1.0
    return (low - room, high + room)
