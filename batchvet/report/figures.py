"""Figures of one sector and of one candidate, with matplotlib's object interface: no window, no global state."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from batchvet.report.marks import OUTLINED, draw_ellipse, draw_reticle, draw_star, legend_of, mark_image
from batchvet.report.style import INK, MISSING, PANELS, SECTOR_COLOURS, SOURCE, our_style, scale
from batchvet.report.view import SectorView, SkyView, Star
from batchvet.report.words import equals, plain, sector_caption, sector_title, sky_caption, sky_title

#: Inches above and below the drawings, for title and legend.
_HEAD, _FOOT = 0.62, 0.58


def sector_figure(view: SectorView, make: Callable[..., Figure] = Figure) -> Figure:
    """Difference image, its signal to noise, the scene and the depth map of one sector.

    Parameters
    ----------
    view : SectorView
    make : callable
        Makes an empty figure; ``pyplot.figure`` for one that a notebook shows by itself.

    Returns
    -------
    Figure
        With the reason in words where there are no images.
    """
    with our_style():
        panels = [panel for panel in PANELS if panel in view.images]
        if not panels:
            figure = _figure(make, 6.4, 1.6, sector_title(view), "")
            _words(figure.subplots(), view.reason or "There are no images of this sector.", width=90)
            return figure
        columns = min(2, len(panels))
        lines = math.ceil(len(panels) / columns)
        rows, cols = view.shape
        height = 3.3 * min(max(rows / cols, 0.6), 1.6) + 0.7
        figure = _figure(make, 4.5 * columns, height * lines, sector_title(view), sector_caption(view), legend_of(view))
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            draw_panel(axes, view, panel)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        return figure


def draw_panel(axes: Axes, view: SectorView, panel: str = "difference", *, compact: bool = False) -> Axes:
    """Draw one image of a sector with its marks.

    Parameters
    ----------
    axes : Axes
    view : SectorView
    panel : {"difference", "snr", "out_of_transit", "depth_ppm"}
    compact : bool
        Without colour bar and axis labels, for many side by side.

    Returns
    -------
    Axes

    Raises
    ------
    KeyError
        The sector has no such image.
    """
    image, look, limits = view.images[panel], PANELS[panel], scale(view, panel)
    norm = AsinhNorm(limits.softening) if limits.softening else Normalize()
    norm.vmin, norm.vmax = limits.low, limits.high
    left, bottom = view.corner or (0, 0)
    rows, cols = view.shape
    extent = (left - 0.5, left + cols - 0.5, bottom - 0.5, bottom + rows - 0.5)
    colours = matplotlib.colormaps[look.colour_map].with_extremes(bad=MISSING)
    drawn = axes.imshow(image, cmap=colours, norm=norm, extent=extent, origin="lower", interpolation="nearest")
    mark_image(axes, view, compass=not compact)
    axes.set(xlim=extent[:2], ylim=extent[2:], title=look.title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
    axes.ticklabel_format(useOffset=False, style="plain")
    if not compact:
        frame = "CCD" if view.corner is not None else "stamp"
        axes.set(xlabel=f"{frame} column  (pixel)", ylabel=f"{frame} row  (pixel)")
        place = axes.inset_axes((1.03, 0.0, 0.045, 1.0))
        bar = axes.figure.colorbar(drawn, cax=place, extend=limits.extend, extendfrac=0.03)
        bar.set_ticks(limits.ticks(), minor=False)
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
        bar.minorticks_off()
        bar.set_label(look.label)
        bar.outline.set_linewidth(0.6)
    return axes


def candidate_figure(views: Sequence[SectorView], sky: SkyView, make: Callable[..., Figure] = Figure) -> Figure:
    """All sectors' difference images side by side, and the joint position on the sky.

    Parameters
    ----------
    views : sequence of SectorView
    sky : SkyView
    make : callable
        Makes an empty figure, as in :func:`sector_figure`.
    """
    with our_style():
        lines = 1 if len(views) <= 1 else math.ceil(math.sqrt(len(views) / 2))
        lines = max(lines, 2) if len(views) > 1 else 1
        columns = math.ceil(max(len(views), 1) / lines)
        panel = 4.2 if lines == 1 else 2.7
        side = max(panel * lines, 4.2)
        figure = _figure(make, panel * columns + side + 0.3, side, sky_title(sky), sky_caption(sky), _sky_legend(sky))
        ((sectors, on_sky),) = figure.subfigures(1, 2, squeeze=False, width_ratios=(panel * columns, side))
        grid = sectors.subplots(lines, columns, squeeze=False)
        for axes, view in zip(grid.flat, views, strict=False):
            if "difference" in view.images:
                draw_panel(axes, view, "difference", compact=True)
            else:
                _words(axes, view.reason or view.status, width=34)
            axes.set_title(_sector_title(view))
        for axes in grid.flat[len(views) :]:
            axes.set_axis_off()
        if any(view.images for view in views):
            frame = "CCD" if all(view.corner is not None for view in views if view.images) else "stamp"
            sectors.supxlabel(f"{frame} column  (pixel)", fontsize=9)
            sectors.supylabel(f"{frame} row  (pixel)", fontsize=9)
        if sky.is_empty:
            _words(on_sky.subplots(), "No position could be fitted in any sector.", width=60)
        else:
            draw_sky(on_sky.subplots(), sky)
        return figure


def draw_sky(axes: Axes, sky: SkyView) -> Axes:
    """Draw the stars, each sector's position and the joint one about the target; north is up, east to the left.

    Returns
    -------
    Axes
    """
    reach = sky.reach()
    stars = [s for s in sky.stars if max(abs(s.col), abs(s.row)) <= reach]
    for star in stars:
        if not star.is_target:
            draw_star(axes, star, 0.0, 0.0, unit=reach / 9.0)
    for index, star in enumerate(_likely(stars, sky)):
        offset = (6, -12 if index % 2 else 6)
        share = f"p {equals(sky.hosts[star.source_id])}"
        place: dict[str, Any] = {"xytext": offset, "textcoords": "offset points", "fontsize": 8, "zorder": 7}
        axes.annotate(share, (star.col, star.row), **place).set_path_effects(OUTLINED)
    for index, ellipse in enumerate(sky.sectors.values()):
        colour = SECTOR_COLOURS[index % len(SECTOR_COLOURS)]
        axes.plot(*ellipse.outline(1.0).T, color=colour, lw=1.0, zorder=4)
        axes.plot(ellipse.x, ellipse.y, "x", color=colour, ms=4, zorder=4)
    if sky.joint is not None:
        draw_ellipse(axes, sky.joint)
    draw_reticle(axes, 0.0, 0.0, size=reach / 12)
    axes.set(xlim=(reach, -reach), ylim=(-reach, reach), aspect="equal", title="On the sky")
    axes.set(xlabel="east of the target  (arcsec)", ylabel="north of the target  (arcsec)")
    axes.grid(color="#e4e4e4", lw=0.6)
    axes.set_axisbelow(True)
    return axes


def _sector_title(view: SectorView) -> str:
    snr = view.figures.get("difference_snr", math.nan)
    return f"Sector {view.sector}" + (f", S/N {snr:.1f}" if math.isfinite(snr) else "")


def _likely(stars: Sequence[Star], sky: SkyView) -> list[Star]:
    likely = [s for s in stars if sky.hosts.get(s.source_id, 0.0) >= 0.01]
    return sorted(likely, key=lambda s: -sky.hosts[s.source_id])[:6]


def _sky_legend(sky: SkyView) -> list[Line2D]:
    marks = []
    if not sky.is_empty:
        marks.append(Line2D([], [], color=INK, marker="+", ms=10, mew=1.7, ls="", label="target"))
    if len(sky.stars) > 1:
        look: dict[str, Any] = {"color": INK, "marker": "o", "ms": 7, "mew": 0.9, "ls": "", "mfc": "none"}
        marks.append(Line2D([], [], label="neighbour, larger if brighter; p: probability to be the host", **look))
    if sky.joint is not None:
        marks.append(Line2D([], [], color=SOURCE, marker="o", ms=4.5, label="all sectors, 1σ and 3σ"))
    few = list(sky.sectors)[: len(SECTOR_COLOURS)]
    for sector, colour in zip(few, SECTOR_COLOURS, strict=False):
        marks.append(Line2D([], [], color=colour, lw=1.0, marker="x", ms=4, label=f"sector {sector}, 1σ"))
    return marks


def _figure(
    make: Callable[..., Figure], width: float, height: float, title: str, below: str, legend: Sequence[Artist] = ()
) -> Figure:
    """A figure with a title, a line below it and a legend at the foot, and room for drawings in between."""
    foot = _FOOT if legend else 0.1
    total = height + _HEAD + foot
    between = ConstrainedLayoutEngine(rect=(0.0, foot / total, 1.0, 1.0 - (_HEAD + foot) / total))
    figure = make(figsize=(width, total), layout=between)
    left = 0.1 / width
    figure.text(left, 1 - 0.1 / total, title, ha="left", va="top", fontsize=12, fontweight="bold")
    figure.text(left, 1 - 0.37 / total, below, ha="left", va="top", fontsize=9.5)
    if legend:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.0, foot / total), "borderaxespad": 0.2}
        figure.legend(handles=legend, ncols=3 if width < 8 else 4, columnspacing=1.4, handletextpad=0.6, **place)
    return figure


def _words(axes: Axes, message: str, width: int) -> None:
    """Words instead of an image."""
    axes.set_axis_off()
    shown = axes.text(0.5, 0.5, textwrap.fill(message, width), ha="center", va="center", fontsize=9)
    shown.set(transform=axes.transAxes, in_layout=False)
