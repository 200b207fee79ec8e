"""A candidate's page stands alone: what its star, its ephemeris and its light are, drawn from the tables."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from made_run import make_run

from batchvet.report.axes import Axes, around, tick, ticks
from batchvet.report.candidate_facts import facts
from batchvet.report.light_drawing import light_drawings, timing_drawing
from batchvet.report.light_view import light_view, timed_transits
from batchvet.report.page import write_report
from batchvet.report.pages import run_name
from batchvet.report.view import SkyView, rows_of, sky_view
from batchvet.report.words import depth_in_words, with_error


@pytest.fixture(scope="module")
def on_target(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("light") / "hot_jupiters", {"101.01": "on_target"})


def test_sectors_are_put_together_by_the_inverse_of_their_variance():
    common = {"folded_hours": [-1.0, 0.0, 1.0], "folded_secondary_phase": 0.5, "folded_phase_ppm": []}
    nothing = {
        f"folded_{part}_{what}": [math.nan] * 3 for part in ("odd", "secondary") for what in ("ppm", "error_ppm")
    }
    first = (
        common | nothing | {"folded_even_ppm": [0.0, -900.0, math.nan], "folded_even_error_ppm": [3.0, 3.0, math.nan]}
    )
    other = common | nothing | {"folded_even_ppm": [0.0, -1000.0, 7.0], "folded_even_error_ppm": [1.5, 1.5, 2.0]}
    view = light_view([first, other], {"period_days": 0.0})
    np.testing.assert_allclose(view.even.ppm, [0.0, -980.0, 7.0])  # four times the weight of half the error
    np.testing.assert_allclose(view.even.error_ppm, [1.8**0.5, 1.8**0.5, 2.0])
    assert view.odd is None and view.secondary is None and view.is_single
    assert light_view([{"folded_hours": None}], None) is None


def test_the_folded_light_is_drawn_where_it_is(on_target):
    view = light_view(rows_of(on_target.images), rows_of(on_target.candidates)[0])
    drawn = [ElementTree.fromstring(str(svg)) for svg in light_drawings(view, "TOI 101.01")]
    titles = [svg.find(".//text[@class='title']").text for svg in drawn]
    assert titles == ["Folded light, a whole period", "Even and odd transits", "About phase 0.400"]
    dots = drawn[2].find(".//g[@class='points']/path[@class='dots']").get("d")
    height = {float(x): float(y) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", dots)}
    assert len(height) == 30  # nobody saw the first bin
    middle = [y for x, y in height.items() if abs(x - 228) < 30]  # the frame is 78 to 378
    sides = [y for x, y in height.items() if abs(x - 216) > 60]
    assert min(middle) > max(sides)  # y grows downwards


def test_times_of_transits_that_were_not_measured_are_left_out(on_target):
    transits = timed_transits(rows_of(on_target.sectors))
    assert [(t.sector, t.time, t.late_minutes) for t in transits] == [
        (14, 1700.0, 2.0), (15, 1727.0, 2.0), (41, 2429.0, 2.0)
    ]  # fmt: skip
    svg = ElementTree.fromstring(str(timing_drawing(transits, "TOI 101.01")))
    assert sum(path.get("d").count("h0") for path in svg.findall(".//path[@class='dots']")) == 3
    width = float(svg.get("viewBox").split()[2])
    assert width - 378 >= 16  # half of "2450.5", should a tick stand at the frame's end


def test_the_page_says_star_ephemeris_odd_and_hosts_with_magnitudes(on_target):
    page = (write_report(on_target).parent / "candidates" / "101.01.html").read_text()
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for said in (
        "Period 3.00000 ± 0.00012 d",
        "T0 (BTJD) 1700.0000 ± 0.0021",
        "Tmag 9.50",
        "RA, Dec (deg) 93.12346, −69.50000",
        "Odd 2013 ± 57 ppm, of 3",
        "&amp;&gt; star host 0.970 9.50 0.00 0 1.230 ± 0.062 %",
    ):
        assert said in words, said
    assert page.count('class="drawing"') == 2 + 4 + 4 * 3  # sky, field, light and times, four images of three sectors


def test_a_single_transit_says_so_and_what_is_not_known_is_left_out():
    row = {"tic": 5, "period_days": 0.0, "t0_btjd": 1700.5, "duration_hours": 4.0, "depth_ppm": math.nan}
    said = {group["heading"]: {fact["label"]: fact["shown"] for fact in group["facts"]} for group in facts(row)}
    assert said["Ephemeris (catalogue)"] == {
        "Period": "a single transit", "T0 (BTJD)": "1700.5", "Duration": "4 h"
    }  # fmt: skip
    assert said["The star"] == {"TIC": "5"} and "Odd and even" not in said


def test_the_sky_shows_what_is_measured(on_target):
    """A vague sector does not set the scale: the joint place does, and the hosts."""
    candidate = rows_of(on_target.candidates)[0]
    rows = [dict(row) for row in rows_of(on_target.sectors)]
    near = sky_view(candidate, rows, rows_of(on_target.images)).reach()
    assert 3.5 < near < 5.5  # three times 1.1 arcsec and a little room
    rows[0] |= {"offset_cov_ra_ra": 3600.0, "offset_cov_dec_dec": 3600.0}
    assert sky_view(candidate, rows, rows_of(on_target.images)).reach() < 2.5 * near
    assert SkyView("", 1, "", (), {}, None, {}).reach() == pytest.approx(4.6)


def test_a_run_is_called_by_what_tells_it_from_others(on_target):
    assert run_name(Path("/data/toi/run")) == "toi/run"
    assert run_name(Path("/data/hot_jupiters")) == "hot_jupiters"
    assert "<h1>hot_jupiters</h1>" in write_report(on_target).read_text()


def test_ticks_are_round_and_inside():
    assert ticks((-0.25, 0.75), 4) == pytest.approx([-0.2, 0.0, 0.2, 0.4, 0.6])
    assert (tick(-2000.0), tick(1340.0, "")) == ("−2,000", "1340")
    axes = Axes(10.0, 0.0, 100.0, 50.0, (0.0, 1.0), around([np.array([0.0, 100.0])]))
    assert axes.points(np.array([0.5, 2.0]), np.array([50.0, 50.0]), None, "points").count("h0") == 1


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (3.28878, 0.0, "3.28878"),
        (1411.3812, 0.00131, "1411.3812 ± 0.0013"),
        (-5.2, 13.0, "−5 ± 13"),
        (math.nan, 1.0, "–"),
    ],
)
def test_a_value_has_as_many_digits_as_its_error(value, error, words):
    assert with_error(value, error) == words


def test_a_star_that_gets_brighter_needs_no_eclipse():
    assert depth_in_words(-0.01) == "no dip"


def test_words_of_a_frame_beside_another_keep_from_its_sides():
    axes = Axes(10.0, 0.0, 100.0, 50.0, (-5.0, 5.0), (0.0, 1.0))
    places = [float(x) for x in re.findall(r'x="([\d.]+)" y="65.0"', axes.frame(2, has_neighbour=True))]
    assert places == [60.0] and len(re.findall(r'y="65.0"', axes.frame(2))) == 3


def test_where_frames_stand_side_by_side_no_words_run_into_the_others():
    axes = Axes(0.0, 0.0, 100.0, 100.0, (0.0, 10.0), (0.0, 1.0))
    alone, beside = (
        re.findall(r'<text class="tick" x="([\d.]+)" [^>]*text-anchor="middle"', axes.frame(has_neighbour=there))
        for there in (False, True)
    )
    assert {"0.0", "100.0"} <= set(alone) and beside == [x for x in alone if 16.0 <= float(x) <= 84.0]
