"""From a run to a figure: in a notebook, or as a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

import batchvet
from batchvet.atomic import write_atomically
from batchvet.errors import ConfigError, RunError
from batchvet.report.figures import candidate_figure, draw_panel, draw_sky, sector_figure
from batchvet.report.style import PANELS, our_style
from batchvet.report.view import SectorView, SkyView, rows_of, sector_view, sky_view

FORMATS = (".png", ".pdf", ".svg")


class Results(Protocol):
    """What a figure needs of a run."""

    directory: Path

    @property
    def candidates(self) -> pd.DataFrame: ...
    @property
    def images(self) -> pd.DataFrame: ...
    def of(self, toi: str) -> pd.DataFrame: ...


def plot(
    run: Results, toi: str, sector: int | None = None, *, ax: Axes | None = None, panel: str = "difference"
) -> Axes | NDArray[np.object_]:
    """What :meth:`batchvet.Run.plot` draws of `run`, with the same options, results and errors."""
    views, sky = views_of(run, toi)
    if sector is None:
        return plot_candidate(views, sky, ax=ax)
    return plot_sector(_one(run, toi, views, sector), ax=ax, panel=panel)


def plot_sector(view: SectorView, *, ax: Axes | None = None, panel: str = "difference") -> Axes | NDArray[np.object_]:
    """Draw one sector: one panel on `ax`, or all of them in a new figure. See :func:`plot`."""
    if panel not in PANELS:
        raise ConfigError(f"panel {panel!r}: choose from {', '.join(PANELS)}")
    if ax is None:
        return _axes_of(sector_figure(view, _shown_figure))
    if panel not in view.images:
        reason = view.reason or f"the row has only {', '.join(view.images) or 'no images'}"
        raise RunError(f"{view.toi}, sector {view.sector}: no image {panel!r} to plot; {reason}")
    with our_style():
        return draw_panel(ax, view, panel)


def plot_candidate(views: list[SectorView], sky: SkyView, *, ax: Axes | None = None) -> Axes | NDArray[np.object_]:
    """Draw all sectors: the sky on `ax`, or everything in a new figure. See :func:`plot`."""
    if ax is None:
        return _axes_of(candidate_figure(views, sky, _shown_figure))
    with our_style():
        return draw_sky(ax, sky)


def save_plot(run: Results, toi: str, sector: int | None, path: str | Path) -> Path:
    """Write the figure of one sector, or of all, to a PNG, PDF or SVG file.

    Raises
    ------
    RunError
        The run has no such candidate or sector.
    ConfigError
        The file name ends in something else.
    """
    views, sky = views_of(run, toi)
    figure = candidate_figure(views, sky) if sector is None else sector_figure(_one(run, toi, views, sector))
    return save_figure(figure, path)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure at once: the file is whole or it is not there.

    Raises
    ------
    ConfigError
        The file name ends in something else than .png, .pdf or .svg, or its directory is not there.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{path}: a figure's name ends in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no directory {path.parent}; make it, or name another place")
    kind = path.suffix.lower()[1:]
    name = {"png": "Software", "pdf": "Creator", "svg": "Creator"}[kind]
    content = io.BytesIO()
    with our_style():
        figure.savefig(content, format=kind, metadata={name: f"batchvet {batchvet.__version__}"})
    write_atomically(path, content.getvalue())
    return path


def views_of(run: Results, toi: str) -> tuple[list[SectorView], SkyView]:
    """Every sector of a candidate and its sky, as they are drawn.

    Raises
    ------
    RunError
        The run has no such candidate.
    """
    sectors = rows_of(run.of(toi))
    name = sectors[0]["toi"]
    images = rows_of(run.images[run.images["toi"] == name])
    candidates = rows_of(run.candidates[run.candidates["toi"] == name])
    candidate = candidates[0] if candidates else None
    by_sector = {int(image["sector"]): image for image in images}
    views = [sector_view(row, by_sector.get(int(row["sector"])), candidate) for row in sectors]
    return views, sky_view(candidate or {"toi": name, "tic": sectors[0]["tic"]}, sectors, images)


def _one(run: Results, toi: str, views: list[SectorView], sector: int) -> SectorView:
    found = {view.sector: view for view in views}
    if sector not in found:
        has = ", ".join(str(number) for number in sorted(found))
        raise RunError(f"{run.directory}: candidate {toi} has no sector {sector} in this run; it has {has}")
    return found[sector]


def _shown_figure(**options: Any) -> Figure:
    """A figure that a notebook shows by itself."""
    from matplotlib import pyplot  # only here: batch work keeps no figures alive

    return pyplot.figure(**options)


def _axes_of(figure: Figure) -> NDArray[np.object_]:
    parts: list[Figure | SubFigure] = [figure, *figure.subfigs]
    axes = [axes for part in parts for axes in part.axes if axes.axison]
    return np.array(list(dict.fromkeys(axes)), dtype=object)
