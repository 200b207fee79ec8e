"""Each pixel's light curve in transit: what people look at when they doubt a verdict."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from batchvet.arrays import BoolArray, FloatArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.errors import InsufficientData
from batchvet.pixels.stamp import Stamp
from batchvet.report.marks import aperture_edges
from batchvet.report.style import INK, SIGNED_MAP, our_style
from batchvet.report.view import OPTIMAL_APERTURE
from batchvet.report.words import display_name

#: Half the time shown, in transit durations, and the bins that it is divided into.
_REACH, _BINS = 1.75, 28
_DIP = "#c04a00"


def light_curves_figure(
    stamp: Stamp, ephemeris: Ephemeris, bitmask: int, toi: str = "", make: Callable[..., Figure] = Figure
) -> Figure:
    """Every pixel's folded light curve about mid-transit, drawn in the pixel's place.

    Parameters
    ----------
    stamp : Stamp
    ephemeris : Ephemeris
    bitmask : int
        Cadences with one of these quality flags are left out.
    toi : str
        The candidate's name, for the title.
    make : callable
        Makes an empty figure; ``pyplot.figure`` for one that a notebook shows by itself.

    Raises
    ------
    InsufficientData
        No transit has cadences in it and beside it.
    """
    with our_style():
        rows, cols = stamp.shape
        layout = ConstrainedLayoutEngine(rect=(0.012, 0.0, 0.976, 1.0))
        figure = make(figsize=(0.72 * cols + 1.9, 0.72 * rows + 1.5), layout=layout)
        axes = figure.subplots()
        draw_light_curves(axes, stamp, ephemeris, bitmask)
        words = [display_name(toi)] if toi else []
        figure.suptitle(" · ".join([*words, f"TIC {stamp.tic}", f"sector {stamp.sector}"]), fontweight="bold")
        return figure


def draw_light_curves(axes: Axes, stamp: Stamp, ephemeris: Ephemeris, bitmask: int) -> Axes:
    """Draw the light curves on axes of CCD pixels; see :func:`light_curves_figure`.

    Returns
    -------
    Axes
    """
    hours, curves, snr = folded_pixels(stamp, ephemeris, bitmask)
    rows, cols = stamp.shape
    left, bottom = stamp.column, stamp.row
    limit = max(5.0, float(np.nanmax(np.abs(snr), initial=0.0)))
    extent = (left - 0.5, left + cols - 0.5, bottom - 0.5, bottom + rows - 0.5)
    colours = matplotlib.colormaps[SIGNED_MAP].with_extremes(bad="white")
    shade = axes.imshow(snr, cmap=colours, norm=Normalize(-limit, limit), extent=extent, alpha=0.45)
    _draw_curves(axes, hours, curves, ephemeris, left, bottom)
    for x, y in aperture_edges((stamp.aperture & OPTIMAL_APERTURE).astype(bool)):
        axes.plot(np.add(x, left), np.add(y, bottom), color=INK, lw=1.6, zorder=4)
    axes.set_xticks(np.arange(left, left + cols) - 0.5, minor=True)
    axes.set_yticks(np.arange(bottom, bottom + rows) - 0.5, minor=True)
    axes.grid(which="minor", color="#b0b0b0", lw=0.5)
    axes.tick_params(which="minor", length=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    axes.ticklabel_format(useOffset=False, style="plain")
    bar = axes.figure.colorbar(shade, cax=axes.inset_axes((1.03, 0.0, 0.035, 1.0)))
    bar.set_label("signal to noise of the dip in the pixel")
    frame = "CCD" if left or bottom else "stamp"
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel=f"{frame} column  (pixel)", ylabel=f"{frame} row  (pixel)")
    window = _REACH * ephemeris.duration_hours
    axes.set_title(
        f"each pixel: ±{window:.1f} h about mid-transit, drift removed, own flux scale; transit in orange",
        fontsize=8.5,
        fontweight="normal",
    )
    return axes


def folded_pixels(stamp: Stamp, ephemeris: Ephemeris, bitmask: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Time bins, the flux of every pixel in them, and how significant its dip is.

    Parameters
    ----------
    stamp : Stamp
    ephemeris : Ephemeris
    bitmask : int

    Returns
    -------
    hours : array, [bin]
        Middle of the bins, from mid-transit.
    curves : array, e-/s, [bin, row, col]
        Median flux minus a line through that beside the same transit; NaN where there is none.
    snr : array, [row, col]
        Flux lost in transit over its error from the scatter beside it.

    Raises
    ------
    InsufficientData
        No transit has cadences in it and beside it.
    """
    reach = _REACH * ephemeris.duration_days
    if not ephemeris.is_single:
        reach = min(reach, ephemeris.period_days / 2)
    since = ephemeris.time_from_transit(stamp.time)
    with np.errstate(invalid="ignore"):
        near = stamp.good(bitmask) & (np.abs(since) <= reach)
    since, flux = since[near], stamp.flux[near].astype(np.float64)
    inside = np.abs(since) < ephemeris.duration_days / 2
    beside = np.abs(since) > 0.6 * ephemeris.duration_days
    transit = (
        np.round((stamp.time[near] - since) / max(ephemeris.period_days, 1e-9))
        if not ephemeris.is_single
        else 0 * since
    )
    kept = np.zeros(since.size, dtype=bool)
    for number in np.unique(transit):
        members = transit == number
        if (members & inside).any() and (members & beside).any():
            flux[members] -= _baseline(since[members], flux[members], beside[members])
            kept |= members
    if not kept.any():
        raise InsufficientData(f"TIC {stamp.tic}, sector {stamp.sector}: no transit has cadences in it and beside it")
    edges = np.linspace(-reach, reach, _BINS + 1)
    which = np.clip(np.digitize(since, edges) - 1, 0, _BINS - 1)
    curves = np.stack([_median(flux[kept & (which == number)]) for number in range(_BINS)])
    lost = -_median(flux[kept & inside])
    scatter = 1.4826 * _median(np.abs(flux[kept & beside]))
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = lost / (1.2533 * scatter) * np.sqrt((kept & inside).sum())  # the median's error is 1.2533 that of a mean
    return 12.0 * (edges[1:] + edges[:-1]), curves, np.where(np.isfinite(snr), snr, np.nan)


def _baseline(since: FloatArray, flux: FloatArray, beside: BoolArray) -> FloatArray:
    """What a transit's cadences would have without it: a line through those beside it, level if one-sided.

    The line takes out the drift of the pointing, which in a single pixel is often larger than the transit.
    """
    level = _median(flux[beside])
    both_sides = (since[beside] < 0).any() and (since[beside] > 0).any()
    if not both_sides:
        return np.broadcast_to(level, flux.shape)
    seen = np.where(np.isfinite(flux[beside]), flux[beside], level)
    design = np.stack([np.ones(since.size), since], axis=1)
    line = np.tensordot(np.linalg.pinv(design[beside]), seen, axes=1)
    return np.tensordot(design, line, axes=1)


def _draw_curves(
    axes: Axes, hours: FloatArray, curves: FloatArray, ephemeris: Ephemeris, left: float, bottom: float
) -> None:
    """Draw each pixel's curve within its square, its own range filling the height."""
    rows, cols = curves.shape[1:]
    x = 0.84 * (hours - hours[0]) / (hours[-1] - hours[0]) - 0.42
    inside = np.abs(hours) < ephemeris.duration_hours / 2
    lines, dips = [], []
    for row in range(rows):
        for col in range(cols):
            curve = curves[:, row, col]
            there = np.isfinite(curve)
            if there.sum() < 2:
                continue
            span = np.ptp(curve[there]) or 1.0
            y = 0.76 * (curve - curve[there].min()) / span - 0.38
            points = np.column_stack([left + col + x, bottom + row + y])
            lines.append(points[there])
            dips.append(points[there & inside])
    axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.7, zorder=3))
    if dips:
        axes.plot(*np.vstack(dips).T, "o", color=_DIP, ms=2.6, mew=0, zorder=4)


def _median(flux: FloatArray) -> FloatArray:
    """Median over cadences without NaN, [row, col]; NaN where there is nothing else."""
    if not len(flux):
        return np.full(flux.shape[1:], np.nan)
    missing = ~np.isfinite(flux)
    if not missing.any():
        return np.median(flux, axis=0)
    ordered = np.sort(np.where(missing, np.nan, flux), axis=0)
    n = len(flux) - missing.sum(axis=0)
    lower = np.take_along_axis(ordered, (np.maximum(n - 1, 0) // 2)[None], axis=0)[0]
    upper = np.take_along_axis(ordered, np.minimum(n // 2, len(flux) - 1)[None], axis=0)[0]
    return np.where(n > 0, 0.5 * (lower + upper), np.nan)
