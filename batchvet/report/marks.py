"""The marks on an image: target and stars, fitted position, V09's peak, aperture, north and east."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from batchvet.arrays import BoolArray
from batchvet.report.style import HALO, INK, PEAK, SOURCE, star_radius
from batchvet.report.view import Ellipse, SectorView, Star

OUTLINED: list[AbstractPathEffect] = [withStroke(linewidth=2.6, foreground=HALO, alpha=0.85)]
_DASHES = (0, (4, 1.5))


def mark_image(axes: Axes, view: SectorView, compass: bool = True) -> None:
    """Draw every mark that the view has on an image in CCD (or stamp) pixels."""
    left, bottom = view.corner or (0, 0)
    if view.aperture is not None:
        for x, y in aperture_edges(view.aperture):
            axes.plot(np.add(x, left), np.add(y, bottom), color=INK, lw=1.3, ls=_DASHES, zorder=3)
    for star in view.stars:
        if star.is_target:
            draw_reticle(axes, star.col + left, star.row + bottom, size=0.9)
        else:
            draw_star(axes, star, left, bottom, unit=1.0)
    if view.peak is not None:
        corner = (left + view.peak[0] - 0.42, bottom + view.peak[1] - 0.42)
        axes.add_patch(Rectangle(corner, 0.84, 0.84, fill=False, ec=HALO, lw=3.2, zorder=4))
        axes.add_patch(Rectangle(corner, 0.84, 0.84, fill=False, ec=PEAK, lw=1.6, zorder=4))
    if view.source is not None:
        draw_ellipse(axes, view.source, left, bottom)
    if compass:
        _compass(axes, view, left, bottom)


def draw_star(axes: Axes, star: Star, left: float, bottom: float, unit: float) -> None:
    """A circle, larger for a brighter star; `unit` is the length that stands for a pixel."""
    place = (star.col + left, star.row + bottom)
    radius = star_radius(star.tmag) * unit
    axes.add_patch(Circle(place, radius, fill=False, ec=HALO, lw=2.4, alpha=0.8, zorder=3))
    axes.add_patch(Circle(place, radius, fill=False, ec=INK, lw=0.9, zorder=3))


def draw_reticle(axes: Axes, x: float, y: float, size: float) -> None:
    """A cross with an open middle, so that what lies under the target stays visible."""
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        ends = [x + 0.4 * size * dx, x + size * dx], [y + 0.4 * size * dy, y + size * dy]
        axes.plot(*ends, color=INK, lw=1.7, zorder=5, path_effects=OUTLINED, solid_capstyle="butt")


def draw_ellipse(axes: Axes, ellipse: Ellipse, left: float = 0.0, bottom: float = 0.0) -> None:
    """A position with its error at one and three sigma."""
    for sigma, style in ((1.0, "-"), (3.0, "--")):
        if ellipse.covariance.any():
            points = ellipse.outline(sigma) + np.array([left, bottom])
            axes.plot(*points.T, color=SOURCE, lw=1.5, ls=style, zorder=5, path_effects=OUTLINED)
    axes.plot(ellipse.x + left, ellipse.y + bottom, "o", color=SOURCE, mec=HALO, mew=0.8, ms=4.5, zorder=6)


def _compass(axes: Axes, view: SectorView, left: float, bottom: float) -> None:
    """Arrows to north and east, in the corner at the right and top that has room for both."""
    towards = view.north_and_east()
    if not towards:
        return
    rows, cols = view.shape
    length = 0.12 * min(rows, cols)
    right, up = (max(0.0, *(step[axis] for step in towards.values())) for axis in range(2))
    x = left + cols - 0.5 - length * (1.7 * right + 0.5)
    y = bottom + rows - 0.5 - length * (1.7 * up + 0.5)
    arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0, "path_effects": OUTLINED}
    for name, (dx, dy) in towards.items():
        axes.annotate("", (x + length * dx, y + length * dy), (x, y), arrowprops=arrow, zorder=6)
        label = axes.text(x + 1.5 * length * dx, y + 1.5 * length * dy, name, ha="center", va="center", zorder=6)
        label.set(fontsize=8, fontweight="bold", path_effects=OUTLINED)


def aperture_edges(aperture: BoolArray) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The outline of a set of pixels [row, col] as segments ((x0, x1), (y0, y1)), stamp pixels."""
    padded = np.pad(aperture, 1)
    segments = []
    for row, col in np.argwhere(padded[:, 1:] != padded[:, :-1]).tolist():
        segments.append(((col - 0.5, col - 0.5), (row - 1.5, row - 0.5)))
    for row, col in np.argwhere(padded[1:] != padded[:-1]).tolist():
        segments.append(((col - 1.5, col - 0.5), (row - 0.5, row - 0.5)))
    return segments


def legend_of(view: SectorView) -> list[Line2D]:
    """What the marks mean, only those that are there."""
    bare: dict[str, Any] = {"ls": "", "mfc": "none"}
    marks = {
        "target": any(star.is_target for star in view.stars),
        "neighbour, larger if brighter": any(not star.is_target for star in view.stars),
        "fitted position, 1σ and 3σ": view.source is not None,
        "V09's peak": view.peak is not None,
        "pipeline aperture": view.aperture is not None and bool(view.aperture.any()),
    }
    looks: tuple[dict[str, Any], ...] = (
        {"color": INK, "marker": "+", "ms": 10, "mew": 1.7, "ls": ""},
        {"color": INK, "marker": "o", "ms": 7, "mew": 0.9, **bare},
        {"color": SOURCE, "marker": "o", "ms": 4.5, "lw": 1.5},
        {"color": PEAK, "marker": "s", "ms": 8, "mew": 1.6, **bare},
        {"color": INK, "lw": 1.3, "ls": _DASHES},
    )
    found = zip(marks.items(), looks, strict=True)
    return [Line2D([], [], label=label, **look) for (label, there), look in found if there]
