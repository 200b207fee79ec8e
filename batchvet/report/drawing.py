"""The report's drawings: the same views and colours as the figures, as SVG that a page holds itself.

matplotlib takes half a second for a sector; this takes a millisecond, stays sharp in print and needs no file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from markupsafe import Markup, escape

from batchvet.report.marks import aperture_edges
from batchvet.report.raster import data_url, png
from batchvet.report.style import PANELS, SECTOR_COLOURS, round_down, scale, star_radius
from batchvet.report.view import Ellipse, SectorView, SkyView, Star
from batchvet.report.words import equals, plain, sector_title, sky_title

_LABELS, _LEAST_LABELLED = 5, 0.03  #: most labels in a corner of the sky, and the least likely host that has one
_SIDE = 260.0  #: length of the longer side of an image, SVG units
_LEFT, _TOP, _RIGHT, _BOTTOM = 56.0, 26.0, 118.0, 42.0  #: room for titles, ticks and the colour bar


def sector_drawings(view: SectorView, assets: str = "../assets") -> list[Markup]:
    """One SVG element for each image of a sector.

    Parameters
    ----------
    view : SectorView
    assets : str
        Where the colour bars are, relative to the page.
    """
    if not view.images:
        return []
    name = f"marks-{view.sector}"
    drawn, again = f'<g id="{name}">{_marks(view)}</g>', f'<use href="#{name}"/>'
    return [_panel(view, panel, again if i else drawn, assets) for i, panel in enumerate(view.images)]


def sky_drawing(sky: SkyView) -> Markup:
    """The stars, each sector's position and the joint one on the sky as an SVG element."""
    reach = sky.reach()
    middle, unit = _SIDE * 0.75, _SIDE * 0.75 / reach

    def to_x(east: float) -> float:
        return _LEFT + middle - east * unit

    def to_y(north: float) -> float:
        return _TOP + middle - north * unit

    parts = [_frame(_LEFT, _TOP, 2 * middle, 2 * middle, "sky")]
    step = round_down(reach / 1.6)
    for n in range(-int(reach / step), int(reach / step) + 1):
        value = n * step
        lines = f"M{to_x(value):.1f} {_TOP:g}v{2 * middle:g}M{_LEFT:g} {to_y(value):.1f}h{2 * middle:g}"
        parts.append(f'<path class="grid" d="{lines}"/>')
        parts.append(words_at(to_x(value), _TOP + 2 * middle + 16, plain(value), "middle"))
        parts.append(words_at(_LEFT - 6, to_y(value) + 4, plain(value), "end"))
    near = [star for star in sky.stars if max(abs(star.col), abs(star.row)) <= reach]
    circles = [(to_x(s.col), to_y(s.row), star_radius(s.tmag) * middle / 9.0, s) for s in near if not s.is_target]
    frame = f'<rect x="{_LEFT:g}" y="{_TOP:g}" width="{2 * middle:g}" height="{2 * middle:g}"/>'
    parts.append(f'<clipPath id="clip-sky">{frame}</clipPath><g clip-path="url(#clip-sky)">')
    parts.append(circles_at(circles))
    for (sector, ellipse), colour in zip(sky.sectors.items(), _colours(len(sky.sectors)), strict=True):
        shape = _ellipse(ellipse, 1.0, to_x(ellipse.x), to_y(ellipse.y), -unit, -unit)
        name = f"<title>sector {sector}, 1σ</title>"
        parts.append(f'<ellipse class="one" {shape} stroke="{colour}">{name}</ellipse>')
    if sky.joint is not None:
        parts.append(position_mark(sky.joint, to_x(sky.joint.x), to_y(sky.joint.y), -unit, -unit))
    parts.append(reticle(to_x(0), to_y(0), 20.0))
    parts.append("</g>")
    parts += _host_labels(sky, [(to_x(star.col), to_y(star.row), star) for star in near])
    parts += _sector_names(sky, _TOP + 2 * middle)
    parts.append(label(_LEFT + middle, _TOP + 2 * middle + 35, "east of the target (arcsec)"))
    parts.append(turned_label(12, _TOP + middle, "north of the target (arcsec)"))
    parts.append(words_at(_LEFT, _TOP - 8, "On the sky, all sectors", "start", "title"))
    return svg(_LEFT + 2 * middle + 12, _TOP + 2 * middle + _BOTTOM, f"{sky_title(sky)}, positions on the sky", parts)


def _host_labels(sky: SkyView, places: list[tuple[float, float, Star]]) -> list[str]:
    """Probabilities in the upper left corner, the likeliest first, each with a line to its star."""
    likely = [(sky.hosts.get(star.source_id, 0.0), x, y) for x, y, star in places]
    parts = []
    for number, (p, x, y) in enumerate(
        sorted((host for host in likely if host[0] >= _LEAST_LABELLED), reverse=True)[:_LABELS]
    ):
        row = _TOP + 18.0 + 17.0 * number
        words = f"p {equals(p)}"
        start = _LEFT + 12.0 + 7.6 * len(words)
        parts.append(f'<path class="leader" d="M{start:.4g} {row - 4:.4g}L{x:.4g} {y:.4g}"/>')
        parts.append(words_at(_LEFT + 8.0, row, words, "start", "mark"))
    return parts


def _sector_names(sky: SkyView, bottom: float) -> list[str]:
    """Which colour is which sector, in the lower left corner; of many sectors pointing tells."""
    if len(sky.sectors) > _LABELS:
        return []
    parts = []
    for number, (sector, colour) in enumerate(zip(sky.sectors, _colours(len(sky.sectors)), strict=True)):
        row = bottom - 10.0 - 16.0 * (len(sky.sectors) - 1 - number)
        parts.append(f'<path class="one" stroke="{colour}" d="M{_LEFT + 8:g} {row - 4:.4g}h14"/>')
        parts.append(words_at(_LEFT + 27.0, row, f"sector {sector}", "start", "mark"))
    return parts


def _panel(view: SectorView, panel: str, marks: str, assets: str) -> Markup:
    look, limits = PANELS[panel], scale(view, panel)
    rows, cols = view.shape
    size = _SIDE / max(rows, cols)
    width, height = cols * size, rows * size
    image = data_url(png(view.images[panel], limits, look.colour_map, enlarge=max(1, 88 // max(rows, cols))))
    parts = [
        f'<image class="pixels" href="{image}" x="{_LEFT:g}" y="{_TOP:g}" width="{width:.2f}" height="{height:.2f}" '
        'preserveAspectRatio="none"/>',
        marks,
        _frame(_LEFT, _TOP, width, height, "frame"),
        *_pixel_ticks(view, size),
        *_bar(panel, view, width, height, assets),
        words_at(_LEFT, _TOP - 8, look.title, "start", "title"),
    ]
    return svg(_LEFT + width + _RIGHT, _TOP + height + _BOTTOM, f"{sector_title(view)}: {look.title}", parts)


def _pixel_ticks(view: SectorView, size: float) -> list[str]:
    """Columns below and rows at the left, in CCD pixels where the file says which."""
    left, bottom = view.corner or (0, 0)
    rows, cols = view.shape
    parts = []
    for index in range(0, cols, max(1, round(cols / 4))):
        parts.append(words_at(_LEFT + (index + 0.5) * size, _TOP + rows * size + 16, str(left + index), "middle"))
    for index in range(0, rows, max(1, round(rows / 4))):
        parts.append(words_at(_LEFT - 4, _TOP + (rows - index - 0.5) * size + 4, str(bottom + index), "end"))
    frame = "CCD" if view.corner is not None else "stamp"
    parts.append(
        words_at(_LEFT + cols * size / 2, _TOP + rows * size + 35, f"{frame} column (pixel)", "middle", "label")
    )
    parts.append(turned_label(11, _TOP + rows * size / 2, f"{frame} row (pixel)"))
    return parts


def _bar(panel: str, view: SectorView, width: float, height: float, assets: str) -> list[str]:
    """The colour bar with its ticks; a mark at an end says that values run off it."""
    look, limits = PANELS[panel], scale(view, panel)
    x = _LEFT + width + 8
    parts = [
        f'<image class="pixels" href="{assets}/{look.colour_map}.png" x="{x:.4g}" y="{_TOP:g}" width="11" '
        f'height="{height:.2f}" preserveAspectRatio="none"/>',
        _frame(x, _TOP, 11, height, "frame"),
    ]
    ticks = np.array(limits.ticks())
    for value, place in zip(ticks.tolist(), limits.fraction(ticks).tolist(), strict=True):
        parts.append(words_at(x + 15, _TOP + height * (1 - place) + 4, plain(value), "start"))
    if limits.extend in ("max", "both"):
        parts.append(f'<path class="ink" d="M{x:.1f} {_TOP - 2:g}l5.5 -7l5.5 7z"/>')
    if limits.extend in ("min", "both"):
        parts.append(f'<path class="ink" d="M{x:.1f} {_TOP + height + 2:.1f}l5.5 7l5.5 -7z"/>')
    longest = max(len(plain(value)) for value in ticks.tolist())
    parts.append(turned_label(x + 34 + 8.2 * longest, _TOP + height / 2, look.label))
    return parts


def _marks(view: SectorView) -> str:
    """What is marked on every image of a sector."""
    rows, cols = view.shape
    size = _SIDE / max(rows, cols)

    def to_x(col: float) -> float:
        return _LEFT + (col + 0.5) * size

    def to_y(row: float) -> float:
        return _TOP + (rows - 0.5 - row) * size

    clip = f"clip-{view.sector}"
    frame = f'<rect x="{_LEFT:g}" y="{_TOP:g}" width="{cols * size:.4g}" height="{rows * size:.4g}"/>'
    parts = [f'<clipPath id="{clip}">{frame}</clipPath><g clip-path="url(#{clip})">']
    if view.aperture is not None and view.aperture.any():
        edges = (
            f"M{to_x(x[0]):.4g} {to_y(y[0]):.4g}L{to_x(x[1]):.4g} {to_y(y[1]):.4g}"
            for x, y in aperture_edges(view.aperture)
        )
        parts.append(f'<path class="aperture" d="{"".join(edges)}"><title>pipeline aperture</title></path>')
    on_stamp = [s for s in view.stars if -1 < s.col < cols and -1 < s.row < rows]
    neighbours = [(to_x(s.col), to_y(s.row), star_radius(s.tmag) * size, s) for s in on_stamp if not s.is_target]
    parts.append(circles_at(neighbours))
    parts += [reticle(to_x(s.col), to_y(s.row), 0.9 * size) for s in on_stamp if s.is_target]
    if view.peak is not None:
        x, y, side = to_x(view.peak[0] - 0.42), to_y(view.peak[1] + 0.42), 0.84 * size
        for look in ("halo", "peak"):
            parts.append(f'<rect class="{look}" x="{x:.4g}" y="{y:.4g}" width="{side:.4g}" height="{side:.4g}"/>')
    if view.source is not None:
        parts.append(position_mark(view.source, to_x(view.source.x), to_y(view.source.y), size, -size))
    parts.append(_compass(view, size))
    return "".join([*parts, "</g>"])


def _compass(view: SectorView, size: float) -> str:
    towards = view.north_and_east()
    if not towards:
        return ""
    length = 0.12 * _SIDE
    right, up = (max(0.0, *(step[axis] for step in towards.values())) for axis in range(2))
    x = _LEFT + view.shape[1] * size - length * (1.7 * right + 0.5)
    y = _TOP + length * (1.7 * up + 0.5)
    parts = []
    for name, (dx, dy) in towards.items():
        arrow = f"M{x:.4g} {y:.4g}l{length * dx:.4g} {-length * dy:.4g}"
        head = _arrow_head(x + length * dx, y - length * dy, dx, -dy)
        parts.append(f'<path class="halo" d="{arrow}"/><path class="line" d="{arrow}"/><path class="ink" d="{head}"/>')
        parts.append(words_at(x + 1.45 * length * dx, y - 1.45 * length * dy + 4, name, "middle", "mark bold"))
    return "".join(parts)


def _arrow_head(x: float, y: float, dx: float, dy: float) -> str:
    corners = [
        (x + 4 * dx, y + 4 * dy),
        (x - 4 * dx - 3 * dy, y - 4 * dy + 3 * dx),
        (x - 4 * dx + 3 * dy, y - 4 * dy - 3 * dx),
    ]
    return "M" + "L".join(f"{cx:.4g} {cy:.4g}" for cx, cy in corners) + "z"


def circles_at(circles: list[tuple[float, float, float, Star]]) -> str:
    """Circles (x, y, radius) for stars, with name and magnitude to point at."""
    halos = "".join(
        f"M{x - r:.1f} {y:.1f}a{r:.1f} {r:.1f} 0 1 0 {2 * r:.1f} 0a{r:.1f} {r:.1f} 0 1 0 -{2 * r:.1f} 0"
        for x, y, r, _ in circles
    )
    parts = [f'<path class="halo" d="{halos}"/>'] if circles else []
    for x, y, r, star in circles:
        words = escape(star.source_id) + (f", T = {star.tmag:.1f}" if math.isfinite(star.tmag) else "")
        parts.append(f'<circle class="star" cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"><title>{words}</title></circle>')
    return "".join(parts)


def reticle(x: float, y: float, size: float) -> str:
    """The target: a cross with an open middle."""
    near, far = 0.4 * size, 0.6 * size
    arms = "".join(
        f"M{x + near * dx:.4g} {y + near * dy:.4g}l{far * dx:.4g} {far * dy:.4g}"
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
    )
    return f'<path class="halo" d="{arms}"/><path class="target" d="{arms}"><title>target</title></path>'


def position_mark(ellipse: Ellipse, x: float, y: float, scale_x: float, scale_y: float) -> str:
    """A position with its error; (x, y) is its place and the scales are SVG units for one of its own."""
    parts = []
    if ellipse.covariance.any():
        for sigma, look in ((1.0, "source"), (3.0, "source dashed")):
            shape = _ellipse(ellipse, sigma, x, y, scale_x, scale_y)
            parts.append(f'<ellipse class="halo" {shape}/><ellipse class="{look}" {shape}/>')
    dot = f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>fitted position, 1σ and 3σ</title></circle>'
    return "".join([*parts, dot])


def _ellipse(ellipse: Ellipse, sigma: float, x: float, y: float, scale_x: float, scale_y: float) -> str:
    """The attributes of an SVG ellipse; the scales' signs turn axes round."""
    stretch = np.diag([scale_x, scale_y])
    major, minor, angle = Ellipse(x, y, stretch @ ellipse.covariance @ stretch).axes()
    turn = f' transform="rotate({angle:.1f} {x:.1f} {y:.1f})"'
    return f'cx="{x:.1f}" cy="{y:.1f}" rx="{sigma * major:.2f}" ry="{sigma * minor:.2f}"{turn}'


def _colours(n: int) -> list[str]:
    return [SECTOR_COLOURS[index % len(SECTOR_COLOURS)] for index in range(n)]


def _frame(x: float, y: float, width: float, height: float, look: str) -> str:
    return f'<rect class="{look}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def label(x: float, y: float, words: str) -> str:
    """What an axis is, below it."""
    return words_at(x, y, words, "middle", "label")


def words_at(x: float, y: float, words: str, anchor: str, look: str = "tick") -> str:
    """A text; `anchor` is start, middle or end."""
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def turned_label(x: float, y: float, words: str) -> str:
    """Text that reads upwards."""
    place = f'x="{x:.1f}" y="{y:.1f}" transform="rotate(-90 {x:.1f} {y:.1f})"'
    return f'<text class="label" {place} text-anchor="middle">{escape(words)}</text>'


def svg(width: float, height: float, label: str, parts: Iterable[str]) -> Markup:
    """The element that holds the parts; `label` tells those who cannot see."""
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
    head = f'<svg class="drawing" {size} role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")
