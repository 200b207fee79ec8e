"""The report in a real Chromium: it sorts, filters, searches, links, prints, and asks nobody for anything."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_run import EVIL, KINDS, make_run

from batchvet.report.page import write_report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
keys = pytest.importorskip("selenium.webdriver.common.keys").Keys

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    driver = shutil.which("chromedriver")
    if not found or not driver:
        pytest.skip("no Chromium with chromedriver; Debian: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in ("--headless=new", "--disable-gpu", "--window-size=1360,1000", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    if os.geteuid() == 0:  # Chromium refuses to be root in its sandbox
        options.add_argument("--no-sandbox")
    service = webdriver.ChromeService(executable_path=driver)
    running = webdriver.Chrome(options=options, service=service)
    yield running
    running.quit()
    if service.process is not None and service.process.stdin is not None:
        service.process.stdin.close()


@pytest.fixture(scope="module")
def report(made, tmp_path_factory) -> Path:
    return write_report(made, tmp_path_factory.mktemp("browser") / "report").parent


@pytest.fixture
def index(browser, report) -> Iterator[webdriver.Chrome]:
    """The first page, fresh; afterwards the console must be empty and no request have left the machine."""
    browser.get_log("browser"), browser.get_log("performance")
    browser.get("about:blank")
    browser.get((report / "index.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []
    assert [url for url in requests(browser) if not url.startswith(("file://", "data:", "about:"))] == []


def requests(browser) -> list[str]:
    messages = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


def names(browser) -> list[str]:
    """Candidates of the rows that can be seen, from top to bottom."""
    links = browser.find_elements("css selector", "#candidates tbody th a")
    return [link.text for link in links if link.is_displayed()]


def column(browser, label: str):
    buttons = browser.find_elements("css selector", "#candidates thead button")
    return next(button for button in buttons if button.text.startswith(label))


def test_the_index_shows_every_candidate_with_its_image(index):
    assert len(names(index)) == len(KINDS) + 1
    images = index.find_elements("css selector", "#candidates img")
    assert len(images) == 5  # not of the skipped and the failed one
    for image in images:
        assert index.execute_script("return arguments[0].complete && arguments[0].naturalWidth", image) == 13
    assert index.find_element("id", "shown").text == "7 of 7 candidates"
    assert index.title != "hurt"


def test_columns_sort_both_ways_and_missing_numbers_stay_last(index):
    column(index, "Verdict").click()
    assert names(index)[:2] == ["105.01", "106.01"]  # INCONCLUSIVE, and without an offset
    column(index, "Offset (″)").click()
    rising = names(index)
    assert rising[4] == "102.01"
    assert set(rising[5:]) == {"105.01", "106.01"}
    assert column(index, "Offset (″)").find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    column(index, "Offset (″)").click()
    falling = names(index)
    assert falling[0] == "102.01"
    assert set(falling[5:]) == {"105.01", "106.01"}


def test_counts_and_menus_filter_and_can_be_undone(index):
    index.find_element("css selector", "button[data-value=OFF_TARGET]").click()
    assert names(index) == ["102.01"]
    index.find_element("css selector", "button[data-value=OFF_TARGET]").click()
    assert len(names(index)) == 7
    menu = index.find_element("css selector", "select[data-filter=status]")
    menu.find_element("css selector", "option[value=error]").click()
    assert names(index) == ["106.01"]
    index.find_element("id", "clear").click()
    assert len(names(index)) == 7
    menu = index.find_element("css selector", "select[data-filter=flag]")
    menu.find_element("css selector", "option[value=NO_NEIGHBOUR_TABLE]").click()
    assert names(index) == ["104.01"]


def test_search_finds_hosts_and_names_word_by_word_from_the_keyboard(index):
    body = index.find_element("css selector", "body")
    body.send_keys("/")
    assert index.switch_to.active_element.get_attribute("id") == "search"
    index.switch_to.active_element.send_keys("gaia off_target")
    assert names(index) == ["102.01"]
    index.switch_to.active_element.send_keys(keys.ESCAPE)
    index.switch_to.active_element.send_keys("<img")
    assert names(index) == [EVIL]


def test_a_filtered_table_survives_a_look_at_a_candidate(index):
    index.find_element("id", "search").send_keys("10")
    column(index, "Candidate").click()
    column(index, "Candidate").click()
    before = names(index)
    index.find_element("link text", "102.01").send_keys(keys.ENTER)
    assert index.find_element("css selector", "h1").text.startswith("TOI 102.01")
    index.back()
    assert names(index) == before


def test_a_candidates_page_draws_all_its_images(index):
    index.find_element("link text", "102.01").click()
    drawings = index.find_elements("css selector", "svg.drawing")
    assert len(drawings) == 2 + 4 + 3 * 4  # the sky, the field, the light, and four images of three sectors
    for drawing in drawings:
        assert drawing.size["width"] > 200
        assert drawing.size["height"] > 200
        assert drawing.accessible_name.startswith("TOI 102.01")
    # marks are drawn once and reused; the reused ones must look the same
    stroke = "return getComputedStyle(document.querySelector('.star')).stroke"
    assert index.execute_script(stroke) == "rgb(26, 26, 26)"
    asked = requests(index)
    assert {"report.css", "report.js", "PuOr_r.png", "Greys.png"} <= {url.rsplit("/", 1)[-1] for url in asked}
    assert all(url.startswith(("file://", "data:")) for url in asked)


def test_arrow_keys_turn_from_candidate_to_candidate(index):
    index.find_element("link text", "102.01").click()
    index.find_element("css selector", "body").send_keys(keys.ARROW_RIGHT)
    assert index.find_element("css selector", "h1").text.startswith("TOI 103.01")
    index.find_element("css selector", "body").send_keys(keys.ARROW_LEFT)
    assert index.find_element("css selector", "h1").text.startswith("TOI 102.01")


def test_a_malicious_name_is_shown_and_not_run(index):
    index.find_element("link text", EVIL).click()
    assert index.find_element("css selector", "h1").text.startswith(EVIL)
    assert index.title == f"{EVIL} – batchvet"


def test_a_number_leads_to_its_meaning(index):
    index.find_element("link text", "101.01").click()
    index.find_element("link text", "dv_offset_arcsec").click()
    target = index.execute_script("return document.querySelector(':target').textContent")
    assert "SPOC Data Validation" in target


@pytest.mark.parametrize("width", [360, 800, 1360])
def test_no_page_is_wider_than_the_screen(index, report, width):
    index.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    for page in ("index.html", "about.html", "candidates/103.01.html"):
        index.get((report / page).as_uri())
        assert index.execute_script("return document.documentElement.scrollWidth") <= width
    index.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_print_has_every_row_and_every_number(index, report):
    index.get((report / "candidates" / "101.01.html").as_uri())
    pdf = base64.b64decode(index.print_page())
    assert pdf.startswith(b"%PDF")
    assert index.execute_script("return document.querySelectorAll('details:not([open])').length") > 0  # closed again


def test_2000_candidates_open_in_two_seconds(browser, tmp_path):
    run = make_run(tmp_path / "run", {f"{100 + n}.01": KINDS[n % 4] for n in range(20)}, sectors=(14,))
    page = write_report(run)
    text = page.read_text(encoding="utf-8")
    start, end = text.index("<tbody>") + len("<tbody>"), text.index("</tbody>")
    page.write_text(text[:start] + 100 * text[start:end] + text[end:], encoding="utf-8")
    seconds = []
    for _ in range(3):
        browser.get(page.as_uri())
        assert browser.find_element("id", "shown").text == "2000 of 2000 candidates"
        seconds.append(
            browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd") / 1e3
        )
    assert min(seconds) < 2.0
    visible = (
        "return Array.from(document.querySelectorAll('#candidates tbody tr')).filter(row => row.offsetHeight).length"
    )
    assert browser.execute_script(visible) == 200
    browser.find_element("css selector", "#more button").click()
    assert browser.execute_script(visible) == 2000


def test_a_candidates_page_is_one_printed_page_before_its_details(browser, report):
    """Star, ephemeris, sky, light, hosts and flags of any candidate: the details begin on the second page."""
    for page in sorted((report / "candidates").iterdir()):
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PRINTED)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        browser.get(page.as_uri())
        end = browser.execute_script("return document.querySelector('.details').getBoundingClientRect().top")
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert end < 273 / 25.4 * 96, page.name
        assert wide <= PRINTED["width"] + 1, page.name
        browser.execute_script("document.querySelector('.details').remove()")
        assert _printed_pages(browser) == 1, page.name


def _printed_pages(browser) -> int:
    sheet = {"paperWidth": 21.0 / 2.54, "paperHeight": 29.7 / 2.54, "preferCSSPageSize": False}
    margins = dict.fromkeys(("marginTop", "marginBottom", "marginLeft", "marginRight"), 1.2 / 2.54)
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", sheet | margins)["data"])
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


#: A4 within its margins of 12 mm, CSS pixels.
PRINTED = {"width": 703, "height": 1031, "deviceScaleFactor": 1, "mobile": False}

OVERLAPPING = """
return Array.from(document.querySelectorAll("svg.drawing")).flatMap((svg) => {
  const boxes = Array.from(svg.querySelectorAll("text")).map((t) => [t.textContent, t.getBoundingClientRect()]);
  const hits = [];
  boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
    const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (x > 1 && y > 3) hits.push(svg.getAttribute("aria-label") + ": " + one + " / " + other);
  }));
  return hits;
});
"""


@pytest.mark.parametrize("width", [1400, 1280, 400])
def test_labels_of_drawings_do_not_overlap_and_nothing_is_cut(browser, report, width):
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    for page in [report / "index.html", *sorted((report / "candidates").iterdir())]:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        hits = browser.execute_script(OVERLAPPING)
        cut = browser.execute_script(CUT, width)
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert wide <= width, page.name
        assert hits == []
        assert cut == [], page.name


#: What begins or ends beyond the screen or its own column, apart from tables of all numbers, which scroll.
CUT = """
const hidden = Array.from(document.querySelectorAll(".wide"))
  .filter((e) => !e.closest("details") && e.scrollWidth > e.clientWidth + 1);
const outside = Array.from(document.querySelectorAll("svg.drawing")).flatMap((svg) => {
  const all = svg.getBoundingClientRect();
  return Array.from(svg.querySelectorAll("text")).filter((t) => {
    const mine = t.getBoundingClientRect();
    return mine.width && (mine.left < all.left - 4 || mine.right > all.right + 1);
  });
});
return Array.from(document.querySelectorAll("h1, h2, p, dt, dd, svg, .hosts, #candidates td, #candidates tbody th"))
  .filter((e) => !e.closest("details") && e.getBoundingClientRect().width > 0)
  .filter((e) => e.getBoundingClientRect().right > arguments[0] + 1 || e.getBoundingClientRect().left < -1)
  .concat(hidden, outside)
  .map((e) => e.tagName + " " + e.textContent.slice(0, 40));
"""
