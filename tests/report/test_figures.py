"""Figures show what they should; images are compared with kept small ones, tolerantly."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from batchvet.catalog.candidate import Ephemeris
from batchvet.errors import ConfigError, InsufficientData, RunError
from batchvet.pixels.stamp import Stamp
from batchvet.report.figures import candidate_figure, sector_figure
from batchvet.report.light_curves import folded_pixels, light_curves_figure
from batchvet.report.marks import aperture_edges
from batchvet.report.plot import plot, save_plot, views_of
from batchvet.report.style import PANELS

KEPT = Path(__file__).parent / "kept_figures"
#: Side of the squares that a figure is averaged over before it is compared, pixels.
BLUR = 12


def coarse(figure: Figure) -> np.ndarray:
    """A figure as a small grey image, which does not mind another font."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=60)
    grey = np.asarray(Image.open(content).convert("L"), dtype=float)
    rows, cols = (size // BLUR for size in grey.shape)
    return grey[: rows * BLUR, : cols * BLUR].reshape(rows, BLUR, cols, BLUR).mean(axis=(1, 3))


def assert_looks_as_kept(figure: Figure, name: str) -> None:
    """Compare with the kept image; delete that file to make it anew."""
    image = coarse(figure)
    path = KEPT / f"{name}.png"
    if not path.exists():
        KEPT.mkdir(exist_ok=True)
        Image.fromarray(np.rint(image).astype(np.uint8)).save(path)
        pytest.fail(f"{path.name} was missing and has been made: look at the figure, then keep it")
    kept = np.asarray(Image.open(path), dtype=float)
    assert kept.shape == image.shape
    difference = np.abs(kept - image)
    assert difference.mean() < 2.5, "the figure does not look as it did"
    assert np.mean(difference > 40) < 0.01, "a part of the figure does not look as it did"


@pytest.mark.parametrize(
    ("toi", "kind"),
    [
        ("101.01", "on_target"),
        ("102.01", "off_target"),
        ("103.01", "crowded"),
        ("104.01", "no_table"),
        ("105.01", "skipped"),
        ("106.01", "failed"),
    ],
)
def test_figures_of_every_kind_look_as_they_did(made, toi, kind):
    views, sky = views_of(made, toi)
    assert_looks_as_kept(sector_figure(views[0]), f"sector_{kind}")
    assert_looks_as_kept(candidate_figure(views, sky), f"candidate_{kind}")


def test_a_sector_has_four_panels_with_units_on_every_colour_bar(made):
    views, _ = views_of(made, "101.01")
    figure = sector_figure(views[0])
    panels = [axes for axes in figure.axes if axes.get_images()]
    assert [axes.get_title(loc="left") for axes in panels] == [panel.title for panel in PANELS.values()]
    bars = [child for axes in panels for child in axes.child_axes]
    assert [bar.get_ylabel() for bar in bars] == [panel.label for panel in PANELS.values()]
    words = " ".join(text.get_text() for text in figure.texts)
    for part in ("TOI 101.01", "TIC 1000", "sector 14", "on target"):
        assert part in words


def test_images_stand_in_ccd_pixels_with_the_origin_at_the_bottom(made):
    views, _ = views_of(made, "101.01")
    axes = plot(made, "101.01", sector=14, ax=Figure().subplots())
    drawn = axes.get_images()[0]
    assert drawn.origin == "lower"
    assert drawn.get_extent() == [1619.5, 1632.5, 387.5, 398.5]
    np.testing.assert_array_equal(drawn.get_array().filled(np.nan), views[0].images["difference"])
    assert axes.get_xlim() == (1619.5, 1632.5)
    assert axes.get_ylim() == (387.5, 398.5)


def test_missing_pixels_are_grey_and_not_a_value(made):
    axes = plot(made, "101.01", sector=14, ax=Figure().subplots())
    drawn = axes.get_images()[0]
    colour = drawn.cmap(drawn.norm(drawn.get_array()))[0, 0]
    np.testing.assert_allclose(colour[:3], 0xC8 / 255, atol=0.01)


def test_the_sky_has_east_to_the_left_and_marks_the_joint_position(made):
    axes = plot(made, "102.01", ax=Figure().subplots())
    assert axes.get_xlim()[0] > 0 > axes.get_xlim()[1]
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(40.0, 26.0)]
    assert any("0.970" in text.get_text() for text in axes.texts)


def test_plot_returns_axes_of_a_new_figure_and_shows_nothing(made, monkeypatch):
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "show", lambda *_: pytest.fail("show was called"))
    before = dict(matplotlib.rcParams)
    axes = plot(made, "101.01")
    assert len(axes) == 4  # three sectors and the sky
    assert len(plot(made, "101.01", sector=15)) == 4
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before  # our style stays ours


def test_plot_names_what_the_run_does_not_have(made):
    with pytest.raises(RunError, match=r"no sector 99 in this run; it has 14, 15, 41"):
        plot(made, "101.01", sector=99)
    with pytest.raises(RunError, match=r"no candidate '7\.07'"):
        plot(made, "7.07")
    with pytest.raises(RunError, match=r"no image 'snr'.*fetch it again"):
        plot(made, "106.01", sector=14, ax=Figure().subplots(), panel="snr")
    with pytest.raises(ConfigError, match="choose from difference"):
        plot(made, "101.01", sector=14, ax=Figure().subplots(), panel="flux")


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_a_saved_figure_is_whole(made, tmp_path, suffix):
    path = save_plot(made, "TOI 101.01", 14, tmp_path / f"figure.{suffix}")
    head = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    assert path.read_bytes().startswith(head)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    if suffix == "png":
        with Image.open(path) as image:
            assert image.info["Software"].startswith("batchvet")
            assert image.width > 1000


def test_a_figure_of_another_kind_is_refused(made, tmp_path):
    with pytest.raises(ConfigError, match=r"\.png, \.pdf, \.svg"):
        save_plot(made, "101.01", None, tmp_path / "figure.gif")


def test_aperture_outline_has_the_length_of_its_border():
    aperture = np.zeros((5, 6), dtype=bool)
    aperture[1:3, 2:5] = True
    aperture[4, 0] = True  # at the edge of the stamp
    edges = aperture_edges(aperture)
    assert len(edges) == 10 + 4
    assert ((-0.5, -0.5), (3.5, 4.5)) in edges


def stamp_with_a_dip(single: bool = False) -> tuple[Stamp, Ephemeris]:
    time = 1000.0 + np.arange(2400) / 240.0
    ephemeris = Ephemeris(0.0 if single else 2.0, 1003.0, 3.0)
    rng = np.random.default_rng(3)
    flux = 100.0 + rng.normal(0, 1.0, (time.size, 5, 7))
    flux += 60.0 * (time[:, None, None] - 1005)  # a drift much larger than the dip
    flux[np.abs(ephemeris.time_from_transit(time)) < 0.0625, 2, 4] -= 5.0
    flux[:, 0, 0] = np.nan
    quality = np.zeros(time.size, dtype=np.int32)
    quality[5] = 128
    aperture = np.full((5, 7), 1, dtype=np.int32)
    aperture[2, 4] = 3
    number = np.arange(time.size, dtype=np.int32)
    stamp = Stamp(7, 3, 1, 1, 360.0, time, flux.astype(np.float32), quality, number, aperture, {}, column=50, row=60)
    return stamp, ephemeris


@pytest.mark.parametrize("single", [False, True])
def test_folded_pixels_show_the_dip_where_it_is_and_nowhere_else(single):
    stamp, ephemeris = stamp_with_a_dip(single)
    hours, curves, snr = folded_pixels(stamp, ephemeris, 175)
    assert np.unravel_index(np.nanargmax(snr), snr.shape) == (2, 4)
    assert np.isnan(snr[0, 0])
    inside = np.abs(hours) < 1.3
    assert np.median(curves[inside, 2, 4]) == pytest.approx(-5.0, abs=0.6)
    assert abs(np.median(curves[inside, 1, 1])) < 0.6
    assert np.nanmax(np.abs(np.delete(snr.ravel(), 2 * 7 + 4))) < 6


def test_light_curves_stand_in_their_pixels_and_without_a_transit_there_is_an_error():
    stamp, ephemeris = stamp_with_a_dip()
    axes = light_curves_figure(stamp, ephemeris, 175, "7.01").axes[0]
    segments = axes.collections[0].get_segments()
    assert len(segments) == 5 * 7 - 1
    middles = {tuple(np.rint(segment.mean(axis=0)).astype(int)) for segment in segments}
    assert middles == {(50 + col, 60 + row) for row in range(5) for col in range(7)} - {(50, 60)}
    with pytest.raises(InsufficientData, match="no transit"):
        folded_pixels(stamp, Ephemeris(500.0, 1200.0, 3.0), 175)


def test_the_first_figure_leaves_what_the_backend_sets(tmp_path):
    """A notebook's backend is loaded with the first figure, here ours, and turns `interactive` on for good."""
    (tmp_path / "shy.py").write_text(
        "from matplotlib.backends.backend_agg import *\n"
        "from matplotlib.backends.backend_agg import _Backend, FigureCanvasAgg, FigureManagerBase as FigureManager\n"
        "import matplotlib\nmatplotlib.interactive(True)\nFigureCanvas = FigureCanvasAgg\n"
    )
    program = (
        "import matplotlib\n"
        "from batchvet.report.plot import _shown_figure\n"
        "from batchvet.report.figures import sector_figure\n"
        "from batchvet.report.view import SectorView\n"
        "before = dict(matplotlib.rcParams)\n"
        "sector_figure(SectorView('1.01', 1, 1, 'error', 'no file', ''), _shown_figure)\n"
        "after = dict(matplotlib.rcParams)\n"
        "print(sorted(name for name in after if after[name] != before[name]), matplotlib.is_interactive())\n"
    )
    environment = os.environ | {"MPLBACKEND": "module://shy", "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "['interactive'] True\n"
