"""What a notebook shows of a result by itself: a title, a small table and a figure, in HTML."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from batchvet.report.raster import data_url
from batchvet.report.style import our_style
from batchvet.report.words import NOTHING, plain

_DPI = 80  #: of the figure: a screen's


def glance(title: str, caption: str, rows: Sequence[Mapping[str, Any]], figure: Figure | None, more: str = "") -> str:
    """A result in HTML that needs no other file; names are never markup.

    Parameters
    ----------
    title, caption : str
    rows : sequence of mapping
        Lines of the table; a column that is empty in all of them is left out.
    figure : Figure, optional
    more : str
        Said below the table.
    """
    names = [name for name in (rows[0] if rows else ()) if any(_cell(row[name]) not in ("", NOTHING) for row in rows)]
    template = Environment(
        loader=PackageLoader("batchvet.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("glance.html")
    return template.render(
        title=title,
        caption=caption,
        names=names,
        lines=[[_cell(row[name]) for name in names] for row in rows],
        more=more,
        image=_image(figure) if figure is not None else "",
    )


def _image(figure: Figure) -> str:
    content = io.BytesIO()
    with our_style():
        figure.savefig(content, format="png", dpi=_DPI)
    return data_url(content.getvalue())


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    return plain(float(value)) if isinstance(value, float | np.floating) else str(value)
