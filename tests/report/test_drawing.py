"""The report's drawings put everything where the figures put it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from batchvet.report.drawing import sector_drawings, sky_drawing
from batchvet.report.plot import views_of


def element(drawing: str, path: str) -> ElementTree.Element:
    found = ElementTree.fromstring(drawing).find(path)
    assert found is not None, path
    return found


def pixel_frame(drawing: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of the image in a drawing."""
    image = element(drawing, "image")
    return tuple(float(image.get(name)) for name in ("x", "y", "width", "height"))


def ellipse_points(shape: ElementTree.Element) -> np.ndarray:
    """Ends of the half axes of an SVG ellipse, [4, 2]."""
    x, y, rx, ry = (float(shape.get(name)) for name in ("cx", "cy", "rx", "ry"))
    angle = np.radians(float(re.match(r"rotate\((\S+)", shape.get("transform")).group(1)))
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.array([x, y]) + np.vstack([rx * axes[0], -rx * axes[0], ry * axes[1], -ry * axes[1]])


def test_position_and_ellipse_stand_in_their_pixels_with_rows_upwards(made):
    views, _ = views_of(made, "102.01")
    view = views[0]
    drawing = sector_drawings(view)[0]
    left, top, width, height = pixel_frame(drawing)
    rows, cols = view.shape

    def pixel(x, y):
        return (x - left) / width * cols - 0.5, rows - 0.5 - (y - top) / height * rows

    dot = element(drawing, ".//circle[@class='dot']")
    assert pixel(float(dot.get("cx")), float(dot.get("cy"))) == pytest.approx((view.source.x, view.source.y), abs=0.01)
    for sigma, look in ((1.0, "source"), (3.0, "source dashed")):
        ends = ellipse_points(element(drawing, f".//ellipse[@class='{look}']"))
        away = np.array([pixel(x, y) for x, y in ends]) - (view.source.x, view.source.y)
        distance = np.sqrt(np.einsum("ni,ij,nj->n", away, np.linalg.inv(view.source.covariance), away))
        np.testing.assert_allclose(distance, sigma, atol=0.1)  # the drawing rounds to a tenth of a unit


def test_the_sky_has_east_to_the_left_and_the_ellipse_turned_with_it(made):
    _, sky = views_of(made, "102.01")
    drawing = sky_drawing(sky)
    frame = element(drawing, "rect[@class='sky']")
    left, top, side = (float(frame.get(name)) for name in ("x", "y", "width"))
    unit = side / 2 / sky.reach()

    def arcsec(x, y):
        return (left + side / 2 - x) / unit, (top + side / 2 - y) / unit

    dot = element(drawing, ".//circle[@class='dot']")
    assert arcsec(float(dot.get("cx")), float(dot.get("cy"))) == pytest.approx((40.0, 26.0), abs=0.1)
    ellipse = sky.sectors[14]
    ends = ellipse_points(element(drawing, ".//ellipse[@class='one']"))
    away = np.array([arcsec(x, y) for x, y in ends]) - (ellipse.x, ellipse.y)
    distance = np.sqrt(np.einsum("ni,ij,nj->n", away, np.linalg.inv(ellipse.covariance), away))
    np.testing.assert_allclose(distance, 1.0, rtol=0.08)


def test_the_compass_points_where_the_sky_says(made):
    views, _ = views_of(made, "101.01")
    drawing = sector_drawings(views[0])[0]
    arrows = [shape.get("d") for shape in ElementTree.fromstring(drawing).iter("path") if shape.get("class") == "line"]
    for arrow, name in zip(arrows, ("N", "E"), strict=True):
        dx, dy = (float(part) for part in arrow.split("l")[1].split())
        np.testing.assert_allclose(np.array([dx, -dy]) / np.hypot(dx, dy), views[0].north_and_east()[name], atol=0.01)


def test_ticks_name_ccd_pixels(made):
    views, _ = views_of(made, "101.01")
    drawing = sector_drawings(views[0])[0]
    left, top, width, height = pixel_frame(drawing)
    texts = {text.text: text for text in ElementTree.fromstring(drawing).iter("text")}
    column, row = texts["1623"], texts["391"]
    assert float(column.get("x")) == pytest.approx(left + 3.5 * width / 13, abs=0.1)
    assert float(row.get("y")) - 4 == pytest.approx(top + (11 - 3.5) * height / 11, abs=0.1)
    assert {"CCD column (pixel)", "CCD row (pixel)", "out − in transit  (e⁻/s)"} <= set(texts)


def test_stars_are_named_and_those_off_the_stamp_left_out(made):
    views, _ = views_of(made, "103.01")
    view = views[0]
    drawing = sector_drawings(view)[0]
    circles = [c for c in ElementTree.fromstring(drawing).iter("circle") if c.get("class") == "star"]
    rows, cols = view.shape
    near = [s for s in view.stars if -1 < s.col < cols and -1 < s.row < rows and not s.is_target]
    assert 10 < len(near) < len(view.stars) - 1
    assert [c.find("title").text for c in circles] == [f"{s.source_id}, T = {s.tmag:.1f}" for s in near]
    assert min(circles, key=lambda c: float(c.get("r"))).find("title").text.split(" = ")[1] == max(
        f"{s.tmag:.1f}" for s in near
    )
