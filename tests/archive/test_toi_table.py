"""The TOI table is kept as the service has it, with its date and checksum; a condition is read, not executed."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest
from loopback import QUICK, Archive

from batchvet.catalog.condition import parse_condition
from batchvet.catalog.reader import read_catalog
from batchvet.catalog.toi_table import fetch_toi_table
from batchvet.errors import ArchiveError, CatalogError, ConfigError

EXOFOP = """TIC ID,TOI,TESS Mag,RA,Dec,Epoch (BJD),Period (days),Duration (hours),Depth (ppm),Sectors,Comments
25155310,114.01,10.6103,04:13:29.93,-69:13:35.73,2459363.488,3.28878,3.416,6985.1,"1,2","WASP-126 b, see notes"
52368076,125.04,10.1985,01:34:22.42,-66:40:34.86,2460188.729,0,4.1,300,"1",single transit
188646744,5807.01,9.1,20:06:00.00,+40:15:00.00,2460540.263,14.2424,4.046,254,"55,83",
11111111,9999.01,15.0,20:06:00.00,+40:15:00.00,,14.2424,4.046,254,"55",no epoch
"""
NASA = """toi,tid,pl_orbper,pl_tranmid,pl_trandurh,pl_trandep,ra,dec,st_tmag
114.01,25155310,3.28878,2459363.488,3.416,6985.1,63.37,-69.22,10.6
"""


@pytest.fixture
def services(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Archive:
    archive.pages |= {"/tess/download_toi.php": EXOFOP.encode(), "/TAP/sync": NASA.encode()}
    monkeypatch.setenv("BATCHVET_EXOFOP_URL", f"{archive.url}/tess/download_toi.php?sort=toi&output=csv")
    monkeypatch.setenv("BATCHVET_NASA_URL", f"{archive.url}/TAP/sync")
    return archive


def test_the_table_is_kept_as_it_came_with_its_date_and_checksum(services: Archive, tmp_path: Path) -> None:
    table = fetch_toi_table(tmp_path / "toi.csv", politeness=QUICK)
    content = (tmp_path / "toi.csv").read_bytes()
    assert content == EXOFOP.encode()
    said = json.loads((tmp_path / "toi.csv.json").read_text())
    assert said["sha256"] == table.sha256 == hashlib.sha256(content).hexdigest()
    assert said["fetched"].startswith("20") and said["url"].startswith(services.url)
    assert (table.n_rows, table.n_kept, table.n_unusable) == (4, 4, 1)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["toi.csv", "toi.csv.json"]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("tmag < 10.5", ["125.04", "5807.01"]),
        ("9.5 < tmag < 11", ["114.01", "125.04"]),
        ("period_days > 0 and depth_ppm >= 254", ["114.01", "5807.01"]),
        ("not (period_days > 0)", ["125.04"]),
        ("toi == 5807.01 or dec < -69", ["114.01", "5807.01"]),
        ("pmra < 1e9 or tic == 52368076", ["125.04"]),  # no proper motion is known
    ],
)
def test_a_condition_keeps_those_that_fulfil_it(where: str, kept: list[str], services: Archive, tmp_path: Path) -> None:
    table = fetch_toi_table(tmp_path / "toi.csv", where=where, politeness=QUICK)
    assert [candidate.toi for candidate in read_catalog(tmp_path / "toi.csv").candidates] == kept
    assert (table.n_kept, table.n_unusable) == (len(kept), 0)


def test_siblings_of_what_is_kept_stay_for_their_dips(services: Archive, tmp_path: Path) -> None:
    sibling = '188646744,5807.02,9.1,20:06:00.00,+40:15:00.00,2460541.263,3.1,2.0,90,"55,83",\n'
    services.pages["/tess/download_toi.php"] = (EXOFOP + sibling).encode()
    table = fetch_toi_table(tmp_path / "toi.csv", where="depth_ppm > 200 and tmag < 10", politeness=QUICK)
    assert (table.n_kept, table.n_companions) == (1, 1)
    catalog = read_catalog(tmp_path / "toi.csv")
    assert [candidate.toi for candidate in catalog.candidates] == ["5807.01"]
    assert [candidate.toi for candidate in catalog.companions] == ["5807.02"]


def test_quoted_cells_survive_a_condition(services: Archive, tmp_path: Path) -> None:
    fetch_toi_table(tmp_path / "toi.csv", where="toi < 115", politeness=QUICK)
    (candidate,) = read_catalog(tmp_path / "toi.csv").candidates
    assert candidate.sectors == (1, 2)
    assert '"WASP-126 b, see notes"' in (tmp_path / "toi.csv").read_text()


def test_the_nasa_archive_is_asked_for_the_columns_that_are_read(services: Archive, tmp_path: Path) -> None:
    table = fetch_toi_table(tmp_path / "toi.csv", service="nasa", politeness=QUICK)
    assert read_catalog(tmp_path / "toi.csv").layout == "nasa"
    assert table.n_kept == 1


@pytest.mark.parametrize(
    "where",
    [
        "__import__('os').system('true') == 0",
        "().__class__ == 1",
        "tmag.real < 12",
        "tmag < (1).__class__",
        "[x for x in (1,)] == 1",
        "tmag < 2 ** 9 ** 9",
        "tmag < 'a'",
        "tmag in (1, 2)",
        "tmag",
        "tmag <",
        "(" * 500,
        "tmag < 1" + " or tmag < 1" * 200,
        "magnitude < 12",
        "lambda: 1",
        "tmag < True",
    ],
)
def test_what_is_no_comparison_is_refused_before_anything_is_asked(
    where: str, services: Archive, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="condition"):
        fetch_toi_table(tmp_path / "toi.csv", where=where, politeness=QUICK)
    assert services.asked == []
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_value_fulfils_no_comparison() -> None:
    for text in ("a < 1", "a >= 1", "a == a", "a != 1"):
        assert not parse_condition(text, ["a"])({"a": math.nan})


@pytest.mark.parametrize("fault", ["503", "429", "html", "drop"])
def test_a_fault_that_passes_is_outlived(fault: str, services: Archive, tmp_path: Path) -> None:
    services.fault = lambda what, nth: fault if nth < 3 else None
    assert fetch_toi_table(tmp_path / "toi.csv", politeness=QUICK).n_kept == 4


def test_an_older_table_stays_when_nothing_better_comes(services: Archive, tmp_path: Path) -> None:
    fetch_toi_table(tmp_path / "toi.csv", politeness=QUICK)
    services.fault = lambda what, nth: "html"
    with pytest.raises(ArchiveError, match="a page, not a table"):
        fetch_toi_table(tmp_path / "toi.csv", politeness=QUICK)
    services.fault = lambda what, nth: None
    services.pages["/tess/download_toi.php"] = b"error,message\n1,2\n"
    with pytest.raises(CatalogError, match="that exofop sends"):
        fetch_toi_table(tmp_path / "toi.csv", politeness=QUICK)
    with pytest.raises(ConfigError, match="neither exofop nor nasa"):
        fetch_toi_table(tmp_path / "toi.csv", service="simbad", politeness=QUICK)
    assert (tmp_path / "toi.csv").read_bytes() == EXOFOP.encode()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["toi.csv", "toi.csv.json"]


def test_no_candidate_left_is_an_error(services: Archive, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="none of the 4 candidates fulfils 'tmag < 1'"):
        fetch_toi_table(tmp_path / "toi.csv", where="tmag < 1", politeness=QUICK)
