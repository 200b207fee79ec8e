"""The report as files: complete, safe, offline, small and quick to write."""

from __future__ import annotations

import re
import struct
import time
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_run import EVIL, KINDS, make_run

from batchvet.api import open_run
from batchvet.errors import RunError
from batchvet.report.candidate_page import CandidateRows
from batchvet.report.page import write_report
from batchvet.report.pages import natural_order, page_names
from batchvet.report.raster import LEVELS, png
from batchvet.report.style import Scale
from batchvet.report.words import plain, probability, shown
from batchvet.results.comparison import compare_run, keep_comparison
from batchvet.vocabulary import explain


class Links(HTMLParser):
    """Everything that a page points at, and its ids."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append((tag, value))
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.handlers.append(value)


@pytest.fixture(scope="module")
def report(made, tmp_path_factory):
    return write_report(made, tmp_path_factory.mktemp("report") / "out").parent


def test_there_is_a_page_for_every_candidate_and_every_link_leads_somewhere(made, report):
    pages = list((report / "candidates").glob("*.html"))
    assert len(pages) == len(KINDS) + 1
    parsed = {page.resolve(): Links(page) for page in [report / "index.html", report / "about.html", *pages]}
    for page, found in parsed.items():
        assert len(found.ids) == len(set(found.ids)), f"an id twice in {page.name}"
        for tag, link in found.links:
            if link.startswith("data:"):
                continue
            assert "://" not in link, f"{page.name} asks the network for {link}"
            target, _, anchor = link.partition("#")
            place = (page.parent / target).resolve() if target else page
            assert place.is_file(), (page.name, tag, link)
            assert not anchor or anchor in parsed[place].ids, (page.name, link)


def test_names_from_catalogues_are_text_and_nothing_else(report):
    for page in report.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<img src=x" not in text
        assert "target <&> star" not in text
        assert Links(page).handlers in ([], ["return false"])
    index = (report / "index.html").read_text(encoding="utf-8")
    assert "&lt;img src=x onerror=" in index


def test_a_candidates_page_holds_every_number_with_its_unit(made, report):
    page = (report / "candidates" / "102.01.html").read_text(encoding="utf-8")
    row = made.of("102.01").iloc[0]
    assert f"{row.v09_max_depth_ppm:.7g}" in page
    for name, unit in (("v09_max_depth_ppm", "ppm"), ("offset_cov_ra_ra", "arcsec2"), ("stamp_hash", "")):
        assert f'#{name}">{name}</a></th><td>{unit}</td>' in page
    missing = [name for name in made.sectors.columns if f'#{name}"' not in page]
    assert set(missing) == {"toi", "tic", "sector", "error"}
    assert "OFF_TARGET" in page
    assert "Gaia 7" in page
    assert "1.230 ± 0.062 %" in page  # the eclipse that the host would need
    assert page.count("cleared</span>") >= 4


def test_a_failed_row_gives_its_reason_and_the_command_that_makes_it_again(report):
    page = (report / "candidates" / "106.01.html").read_text(encoding="utf-8")
    assert "The file is cut short:" in page
    assert "tpfs/tess-s0014-1005.fits: 1,203,200 bytes of 4,001,100; fetch it again" in page
    assert "batchvet run CONFIG --only 1005:14 --output again" in page


def test_flags_are_explained_where_they_stand(report):
    page = (report / "candidates" / "104.01.html").read_text(encoding="utf-8")
    assert explain("NO_NEIGHBOUR_TABLE") in page
    assert explain("DIFFIMG_UNRELIABLE") in page


def test_the_report_says_where_its_numbers_come_from(report):
    about = (report / "about.html").read_text(encoding="utf-8")
    for part in ("batchvet 0.1.0", "0f" * 32, "&#34;quality_bitmask&#34;: 175", "tpfs", "not yet"):
        assert part in about


def test_an_unfinished_run_says_what_is_missing(made, tmp_path):
    run = open_run(made.directory)
    run.plan["n_rows"] = 30
    run.__dict__["candidates"] = made.candidates.iloc[:0]
    index = write_report(run, tmp_path / "report")
    assert "not finished: 9 of 30 sectors are missing" in index.read_text(encoding="utf-8")
    assert "has not been judged" in (index.parent / "candidates" / "101.01.html").read_text(encoding="utf-8")


def test_a_run_without_rows_has_a_report_too(made, tmp_path):
    run = open_run(made.directory)
    for table in ("sectors", "images", "candidates"):
        run.__dict__[table] = getattr(made, table).iloc[:0]
    assert "No row has been written yet" in write_report(run, tmp_path / "report").read_text(encoding="utf-8")


def test_a_report_is_replaced_whole_and_nothing_else_ever_is(made, tmp_path):
    place = tmp_path / "report"
    write_report(made, place)
    (place / "left over.txt").write_text("from an older report")
    write_report(made, place)
    assert not (place / "left over.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]

    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter1.tex").write_text("precious")
    with pytest.raises(RunError, match="not a report, so it is left alone"):
        write_report(made, mine)
    assert (mine / "chapter1.tex").read_text() == "precious"


def test_a_failure_half_way_leaves_the_old_report(made, tmp_path, monkeypatch):
    index = write_report(made, tmp_path / "report")
    before = index.read_bytes()

    def fail(self):
        raise OSError("disk full")

    monkeypatch.setattr(CandidateRows, "flags", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(made, tmp_path / "report")
    assert index.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_the_default_place_is_in_the_run(tmp_path):
    run = make_run(tmp_path / "run", {"101.01": "on_target"}, sectors=(14,))
    assert write_report(run) == tmp_path / "run" / "report" / "index.html"


def test_2000_candidates_would_take_less_than_three_minutes_and_200_mb(tmp_path):
    """A twentieth of it on one core; where that is too much, `batchvet view` makes pages when they are opened."""
    run = make_run(tmp_path / "run", {f"{100 + n}.01": KINDS[n % 4] for n in range(100)})
    started = time.process_time()
    write_report(run)
    assert time.process_time() - started < 180 / 20
    size = sum(path.stat().st_size for path in (tmp_path / "run" / "report").rglob("*") if path.is_file())
    assert size < 200e6 / 20


def test_page_names_are_safe_everywhere_and_never_the_same():
    tois = ["5807.01", "WASP-126 b", "WASP-126_b", "../../etc/passwd", "con/a", "CON_A", "", "é", EVIL, "x" * 300]
    names = page_names(tois)
    assert names["5807.01"] == "5807.01.html"
    assert len({name.lower() for name in names.values()}) == len(tois)
    for name in names.values():
        assert re.fullmatch(r"[0-9A-Za-z_+-][0-9A-Za-z_.+-]{0,99}", name)


def test_candidates_are_in_the_order_that_people_count():
    assert sorted(["101.01", "99.02", "WASP-2 b", "99.01"], key=natural_order) == [
        "99.01",
        "99.02",
        "101.01",
        "WASP-2 b",
    ]


def decode(image: bytes) -> np.ndarray:
    """Red, green, blue of a palette PNG, read chunk by chunk as the standard says."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(image):
        (length,) = struct.unpack(">I", image[place : place + 4])
        name, data = image[place + 4 : place + 8], image[place + 8 : place + 8 + length]
        assert struct.unpack(">I", image[place + 8 + length : place + 12 + length])[0] == zlib.crc32(name + data)
        chunks[name] = data
        place += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, width + 1)
    palette = np.frombuffer(chunks[b"PLTE"], dtype=np.uint8).reshape(-1, 3)
    return palette[lines[:, 1:]]


def test_a_small_image_has_its_first_row_at_the_bottom_and_missing_pixels_in_grey():
    values = np.array([[-2.0, 0.0, 2.0], [np.nan, 1.0, -1.0]])
    colours = decode(png(values, Scale(-2.0, 2.0), "PuOr_r", enlarge=2))
    assert colours.shape == (4, 6, 3)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 6
    np.testing.assert_array_equal(colours[0, 0], [0xC8] * 3)
    low, high = colours[3, 0].astype(int), colours[3, 5].astype(int)
    assert low[2] > low[0] > low[1]  # purple: gains light
    assert high[0] > high[1] > high[2]  # orange-brown: loses light
    assert abs(int(colours[3, 2].min()) - 247) < 8  # zero is all but white
    assert LEVELS >= 32


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (3.70, "3.7"), (-12345.6, "−12,346"), (0.01234, "0.0123"), (2e-6, "2.0e−06"), (np.nan, "–")],
)
def test_numbers_are_written_as_people_read_them(value, words):
    assert plain(value) == words


def test_no_probability_is_certain_and_no_null_is_a_number():
    assert [probability(p) for p in (1.0, 0.0, 0.5, np.nan)] == ["> 0.999", "< 0.001", "0.500", "–"]
    assert [shown(v) for v in (None, np.nan, True, 3, 224066.93494969374, [], ["A", "B"])] == [
        "–", "–", "yes", "3", "224066.9", "–", "A, B"
    ]  # fmt: skip


def test_the_first_page_and_two_more_say_what_the_run_is_held_against(tmp_path):
    run = make_run(tmp_path / "run", {f"{100 + n}.01": KINDS[n % 2] for n in range(30)}, sectors=(14,))
    write_report(run)
    assert not (tmp_path / "run" / "report" / "compare.html").exists()
    truth = tmp_path / "truth.csv"
    truth.write_text("toi,disposition,host\n101.01,CP,Gaia 7\n102.01,CP,Gaia 8\n103.01,FP,\n")
    keep_comparison(run, compare_run(run, truth))
    report = write_report(run).parent
    index = (report / "index.html").read_text(encoding="utf-8")
    for page in ("check.html", "compare.html"):
        assert f'href="{page}"' in index and (report / page).exists()
    assert index.count('<svg class="drawing"') == 4  # by signal to noise, magnitude, camera and PRF
    known = (report / "compare.html").read_text(encoding="utf-8")
    assert "3 of 30 candidates" in known and "host Gaia 8" in known and '<a href="candidates/102.01.html">' in known
    check = (report / "check.html").read_text(encoding="utf-8")
    for words in ("By signal to noise", "Do sectors agree?", "honest errors", "Seconds for a row"):
        assert words in check
    (tmp_path / "run" / "comparison.json").write_text("{")  # what cannot be read is left out
    assert not (write_report(run).parent / "compare.html").exists()


def test_every_star_is_on_the_page_and_those_that_are_cleared_come_last(made, report):
    page = (report / "candidates" / "101.01.html").read_text(encoding="utf-8")
    table = page[page.index('<table class="hosts">') : page.index("</table>")]
    words = re.findall(r'<span class="badge ([A-Z_]+)">', table)
    assert words == ["HOST", "POSSIBLE", "CLEARED", "CLEARED", "CLEARED", "CLEARED"]
    assert "more than all its light" in page or "%" in table
    assert ": the field" in page


def test_the_field_shows_where_stamps_end_where_the_dip_is_and_what_is_said_of_each_star(made, report):
    page = (report / "candidates" / "101.01.html").read_text(encoding="utf-8")
    start = page.index('aria-label="TOI 101.01: the field"')
    drawn = page[start : page.index("</svg>", start)]
    hosts = made.hosts
    mine = hosts[(hosts["toi"] == "101.01") & ~hosts["is_target"] & (hosts["separation_arcsec"] < 190)]
    angle = np.radians(mine["position_angle_deg"])
    reach = mine["separation_arcsec"] * np.maximum(abs(np.sin(angle)), abs(np.cos(angle)))
    mine = mine[reach <= 150]
    for word, count in mine["word"].value_counts().items():
        group = drawn[drawn.index(f'<g class="of-{word}">') :]
        assert group[: group.index("</g>")].count('<circle class="star"') == count
    assert drawn.count('class="dot"') == 1 and "fitted position" in drawn
    sectors = re.findall(r"<title>sector (\d+), stamp</title>", drawn)
    assert len(sectors) == len(set(sectors)) > 0
