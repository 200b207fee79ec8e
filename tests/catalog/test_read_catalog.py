"""Catalogues are read as they are downloaded, and times, names and sectors arrive as the catalogue means them."""

from __future__ import annotations

import gzip
import hashlib
import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchvet.catalog.reader import read_catalog

OWN = """toi,tic,period_days,t0_btjd,duration_hours,depth_ppm,ra,dec,pmra,pmdec,tmag,sectors,t0_err,period_err
5807.01,188646744,14.2423724,3540.26317,4.046,254,301.5,40.25,1.5,-2.5,9.1,"55,75,82,83",0.002,0.0001
114.01,25155310,3.28878,1327.5205,3.49,6600,,,,,,,,
"""

# Columns and values as the download link gives them (2023), between them those that nobody reads.
EXOFOP_LINK = """TIC ID,TOI,Previous CTOI,Master,TESS Disposition,TFOPWG Disposition,TESS Mag,TESS Mag err,Source,\
RA,Dec,PM RA (mas/yr),PM RA err (mas/yr),PM Dec (mas/yr),PM Dec err (mas/yr),Epoch (BJD),Epoch (BJD) err,Period (days),\
Period (days) err,Duration (hours),Duration (hours) err,Depth (mmag),Depth (ppm),Depth (ppm) err,Planet SNR,\
Sectors,Date Modified,Comments
25155310,114.01,,5,KP,KP,10.6103,0.006,spoc,04:13:29.93,-69:13:35.73,63.134,0.045,53.433,0.039,2459363.488348,\
0.00052907853,3.28878776139412,5.280507e-07,3.41636017649114,0.010019712,7.610576,6985.08917611636,15.308442,\
430.25754,"1,2,3,4",2022-12-14 12:09:24,"WASP-126 b, 2"" east, see notes"
52368076,125.04,,3,PC,,10.1985,0.006,spoc,01:34:22.42,-66:40:34.86,-119.8,0.066,-122.953,0.08,2460188.729278,,0,,\
4.6235210769862,,0.802403,738.76701563903,,8.09336,1,2025-06-05,single transit
"""

# The export of the web page (2024): banner, filter line, empty line, other spellings, everything in quotes.
EXOFOP_PAGE = """This file was produced by the Exoplanet Follow-up Observing Program website (exofop.ipac.caltech.edu) \
on Mon Sep 30 16:54:04 2024
Filter Values: disposition notContains F AND notContains EB; stellar_distance lessThan 300

"TIC ID","TOI","CTOI","Master priority","TESS mag","TESS mag error","RA (deg)","Dec (deg)","PM RA (mas/yr)",\
"PM RA error","PM Dec (mas/yr)","PM Dec error","Transit Epoch (BJD)","Transit Epoch error","Period (days)",\
"Period error","Duration (hours)","Duration error","Depth (ppm)","Depth (ppm) error","Sectors","Comments"
"231663901","101.01","","5","12.4069","0.006","318.737012","-55.871863","12.641","0.044","-16.011","0.041",\
"2458326.009117","0.00013154597","1.4303699496507","7.7233494e-7","1.6165994039944","0.019208942","18960.712294363",\
"184.79134","1,27,67","WASP-46 b"
"52368076","125.04","","3","10.1985","0.006","23.593425","-66.676349","-119.8","0.066","-122.953","0.08",\
"2460188.729278","","","","4.6235210769862","","738.76701563903","","1,2,28,68,69","single transit at TBJD  ~ 3188.7"
"""

NASA = """# This file was produced by the NASA Exoplanet Archive  http://exoplanetarchive.ipac.caltech.edu
# Sun Nov 22 04:00:00 2026
#
# COLUMN toi:            TESS Object of Interest
# COLUMN tid:            TESS Input Catalog ID
# COLUMN pl_trandurh:    Planet Transit Duration Value [hours], "hrs"
#
toi,tid,tfopwg_disp,rastr,ra,decstr,dec,st_pmra,st_pmdec,pl_tranmid,pl_tranmiderr1,pl_tranmiderr2,pl_tranmidlim,\
pl_orbper,pl_orbpererr1,pl_orbpererr2,pl_trandurh,pl_trandurherr1,pl_trandep,st_tmag
1000.01,50365310,FP,07h29m25.85s,112.357708,-12d41m45.46s,-12.695960,-5.964,-0.076,2459229.630046,0.001657,-0.001657,0,\
2.1713484,0.0002637,-0.0002637,2.01722,0.319588,656.886099,9.604
1134.02,405700729,CP,16h57m14.67s,254.311125,+74d45m04.47s,74.751242,,,2458739.129750,0.0016,-0.0016,0,,,,5.1,,,11.03
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_own_columns_are_read_as_written(tmp_path):
    path = write(tmp_path / "mine.csv", OWN)
    catalog = read_catalog(path)
    assert catalog.layout == "own"
    assert catalog.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    toi5807, wasp126 = catalog.candidates
    assert (toi5807.toi, toi5807.tic, toi5807.sectors) == ("5807.01", 188646744, (55, 75, 82, 83))
    ephemeris = toi5807.ephemeris
    assert (ephemeris.period_days, ephemeris.t0_btjd, ephemeris.duration_hours) == (14.2423724, 3540.26317, 4.046)
    assert (ephemeris.t0_err_days, ephemeris.period_err_days) == (0.002, 0.0001)
    assert (toi5807.depth_ppm, toi5807.ra, toi5807.dec) == (254.0, 301.5, 40.25)
    assert (toi5807.pmra, toi5807.pmdec, toi5807.tmag) == (1.5, -2.5, 9.1)
    assert wasp126.sectors is None
    assert all(map(math.isnan, (wasp126.ra, wasp126.dec, wasp126.pmra, wasp126.pmdec, wasp126.tmag)))
    assert (wasp126.ephemeris.t0_err_days, wasp126.ephemeris.period_err_days) == (0.0, 0.0)


def test_exofop_download_link_is_read_as_downloaded(tmp_path):
    wasp126, single = read_catalog(write(tmp_path / "download_toi.csv", EXOFOP_LINK)).candidates
    assert (wasp126.toi, wasp126.tic, wasp126.sectors) == ("114.01", 25155310, (1, 2, 3, 4))
    assert wasp126.ephemeris.t0_btjd == pytest.approx(2363.488348, abs=1e-9)
    assert (wasp126.ephemeris.t0_err_days, wasp126.ephemeris.period_err_days) == (0.00052907853, 5.280507e-07)
    # 4 h 13 min 29.93 s and -(69 deg 13' 35.73"); the web page's export gives 63.374706, -69.226593 for this star
    assert wasp126.ra == pytest.approx(63.374706, abs=1e-4) and wasp126.dec == pytest.approx(-69.226593, abs=1e-5)
    assert wasp126.ra == pytest.approx((4 + 13 / 60 + 29.93 / 3600) * 15, abs=1e-12)
    assert (wasp126.pmra, wasp126.pmdec, wasp126.tmag) == (63.134, 53.433, 10.6103)
    assert wasp126.depth_ppm == 6985.08917611636
    assert single.ephemeris.is_single and single.ephemeris.period_days == 0.0
    assert single.ephemeris.t0_btjd == pytest.approx(3188.729278, abs=1e-9)
    assert single.sectors == (1,)


def test_exofop_page_export_is_read_as_downloaded(tmp_path):
    catalog = read_catalog(write(tmp_path / "exofop_tess_tois.csv", EXOFOP_PAGE))
    assert catalog.layout == "exofop"
    wasp46, single = catalog.candidates
    assert (wasp46.toi, wasp46.tic, wasp46.sectors) == ("101.01", 231663901, (1, 27, 67))
    assert (wasp46.ra, wasp46.dec, wasp46.tmag) == (318.737012, -55.871863, 12.4069)
    assert wasp46.ephemeris.t0_btjd == pytest.approx(1326.009117, abs=1e-9)
    assert (wasp46.ephemeris.t0_err_days, wasp46.ephemeris.period_err_days) == (0.00013154597, 7.7233494e-7)
    assert single.ephemeris.is_single


def test_exofop_table_with_bars_says_the_same(tmp_path):
    table = pd.read_csv(write(tmp_path / "comma.csv", EXOFOP_LINK), dtype=str)
    table.to_csv(tmp_path / "bars.txt", sep="|", index=False)
    assert read_catalog(tmp_path / "bars.txt").candidates == read_catalog(tmp_path / "comma.csv").candidates


def test_nasa_table_is_read_as_downloaded(tmp_path):
    catalog = read_catalog(write(tmp_path / "TOI_2026.csv", NASA))
    assert catalog.layout == "nasa"
    first, single = catalog.candidates
    assert (first.toi, first.tic, first.tmag, first.depth_ppm) == ("1000.01", 50365310, 9.604, 656.886099)
    assert (first.ra, first.dec, first.pmra, first.pmdec) == (112.357708, -12.69596, -5.964, -0.076)
    assert first.ephemeris.t0_btjd == pytest.approx(2229.630046, abs=1e-9)
    assert (first.ephemeris.t0_err_days, first.ephemeris.period_err_days) == (0.001657, 0.0002637)
    assert first.ephemeris.duration_hours == 2.01722
    assert single.ephemeris.is_single and single.toi == "1134.02" and math.isnan(single.depth_ppm)


def test_nasa_sexagesimal_position_is_used_where_degrees_are_absent(tmp_path):
    table = NASA.replace(",ra,", ",ra_not,").replace(",dec,", ",dec_not,")
    first, second = read_catalog(write(tmp_path / "nasa.csv", table)).candidates
    assert first.ra == pytest.approx(112.357708, abs=1e-6) and first.dec == pytest.approx(-12.695960, abs=1e-5)
    assert second.dec == pytest.approx(74.751242, abs=1e-5)


def test_rows_of_units_and_types_below_the_header_are_not_candidates(tmp_path):
    units = ",,,sexagesimal,deg,[sexagesimal],deg,mas/yr,mas/yr,BJD,days,days,,days,days,days,hours,hours,ppm,mag\n"
    types = (
        ",int,char,char,double,char,double,double,double,double,double,double,,double,double,double,,,double,double\n"
    )
    lines = NASA.splitlines(keepends=True)
    with_units = "".join([*lines[:8], types, units, *lines[8:]])
    candidates = read_catalog(write(tmp_path / "units.csv", with_units)).candidates
    assert candidates == read_catalog(write(tmp_path / "plain.csv", NASA)).candidates


@pytest.mark.parametrize("text", [OWN, EXOFOP_LINK, EXOFOP_PAGE, NASA])
def test_gzip_and_byte_order_mark_change_nothing(tmp_path, text):
    expected = read_catalog(write(tmp_path / "plain.csv", text)).candidates
    # The content tells, not the name.
    (tmp_path / "no_ending").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    (tmp_path / "windows.csv").write_bytes(text.replace("\n", "\r\n").encode())
    assert repr(read_catalog(tmp_path / "no_ending").candidates) == repr(expected)
    assert repr(read_catalog(tmp_path / "windows.csv").candidates) == repr(expected)


def test_comment_in_another_encoding_does_not_stop_the_catalogue(tmp_path):
    path = tmp_path / "latin1.csv"
    path.write_bytes(EXOFOP_LINK.replace("single transit", "González-Álvarez").encode("latin-1"))
    assert len(read_catalog(path).candidates) == 2


@pytest.mark.parametrize("toi", [["5807.10", "5807.01"], [5807.10, 5807.01]])
def test_toi_keeps_its_two_decimals(tmp_path, toi):
    table = pd.DataFrame(
        {"toi": toi, "tic": [1, 1], "period_days": [3.0, 5.0], "t0_btjd": 2000.0, "duration_hours": 2.0}
    )
    table.to_parquet(tmp_path / "toi.parquet")
    assert [candidate.toi for candidate in read_catalog(tmp_path / "toi.parquet").candidates] == ["5807.10", "5807.01"]


def test_parquet_with_typed_columns_says_the_same(tmp_path):
    table = pd.read_csv(write(tmp_path / "own.csv", OWN), dtype={"toi": str})
    table["sectors"] = [[55, 75, 82, 83], None]
    table["tic"] = table["tic"].astype(float)
    table.to_parquet(tmp_path / "own.parquet")
    expected = read_catalog(tmp_path / "own.csv").candidates
    assert repr(read_catalog(tmp_path / "own.parquet").candidates) == repr(expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("1326.5", 1326.5), ("2458326.5", 1326.5), ("-3000", -3000.0), ("2453000.5", -3999.5), ("2.4583265e6", 1326.5)],
)
def test_bjd_and_btjd_are_told_apart_by_value(tmp_path, written, expected):
    text = f"toi,tic,period_days,t0_btjd,duration_hours\nx,1,3,{written},2\n"
    assert read_catalog(write(tmp_path / "t.csv", text)).candidates[0].ephemeris.t0_btjd == expected


@pytest.mark.parametrize("period", ["", "0", "0.0", "NaN", "null", "--"])
def test_period_missing_or_zero_is_a_single_transit(tmp_path, period):
    text = f"toi,tic,period_days,t0_btjd,duration_hours\nx,1,{period},1400,30\n"
    ephemeris = read_catalog(write(tmp_path / "t.csv", text)).candidates[0].ephemeris
    assert ephemeris.is_single and ephemeris.period_days == 0.0


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"1,2"', (1, 2)),
        ("1;2", (1, 2)),
        ("2 1 2", (1, 2)),
        ("1-3", (1, 2, 3)),
        ('"1-3, 27; 83"', (1, 2, 3, 27, 83)),
        ('"[1, 2]"', (1, 2)),
        ("83.0", (83,)),
        ("", None),
    ],
)
def test_sectors_in_every_spelling(tmp_path, written, expected):
    text = f"toi,tic,period_days,t0_btjd,duration_hours,sectors\nx,1,3,1400,2,{written}\n"
    assert read_catalog(write(tmp_path / "t.csv", text)).candidates[0].sectors == expected


@pytest.mark.parametrize("written", ["188646744", "TIC 188646744", "tic188646744", "188646744.0", "TIC-188646744"])
def test_tic_in_every_spelling(tmp_path, written):
    text = f"toi,tic,period_days,t0_btjd,duration_hours\nx,{written},3,1400,2\n"
    assert read_catalog(write(tmp_path / "t.csv", text)).candidates[0].tic == 188646744


def test_candidates_are_grouped_by_target_whatever_the_order_of_the_file(tmp_path):
    header = "toi,tic,period_days,t0_btjd,duration_hours\n"
    rows = ["125.03,52,20,1342,3\n", "125.01,52,4.6,1327,3\n", "114.01,25,3.3,1327,3\n", "125.02,52,9.2,1334,3\n"]
    forward = read_catalog(write(tmp_path / "a.csv", header + "".join(rows))).by_target()
    backward = read_catalog(write(tmp_path / "b.csv", header + "".join(reversed(rows)))).by_target()
    assert list(forward) == [25, 52] and repr(forward) == repr(backward)
    assert [candidate.toi for candidate in forward[52]] == ["125.01", "125.02", "125.03"]


names = st.from_regex(r"[1-9][0-9]{0,4}\.[0-9]{2}", fullmatch=True)


@st.composite
def own_rows(draw):
    period = draw(st.just(0.0) | st.floats(0.1, 2000.0))
    return {
        "tic": draw(st.integers(1, 10**11 - 1)),
        "period_days": period,
        "t0_btjd": draw(st.floats(-17000.0, 8000.0)),
        "duration_hours": draw(st.floats(0.05, min(23.0 * period, 1000.0) if period else 100.0)),
        "depth_ppm": draw(st.floats(1.0, 1e6)),
        "ra": draw(st.floats(0.0, 359.9)),
        "dec": draw(st.floats(-90.0, 90.0)),
        "pmra": draw(st.floats(-1e4, 1e4)),
        "pmdec": draw(st.floats(-1e4, 1e4)),
        "tmag": draw(st.floats(-2.0, 25.0)),
        "sectors": draw(st.lists(st.integers(1, 200), unique=True).map(sorted)),
        "t0_err": draw(st.floats(0.0, 5.0)),
        "period_err": draw(st.floats(0.0, 5.0)),
    }


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tois=st.lists(names, min_size=1, max_size=5, unique=True), data=st.data())
def test_what_is_written_in_own_columns_is_read_back_to_the_last_bit(tmp_path, ending, tois, data):
    rows = [{"toi": toi, **data.draw(own_rows())} for toi in tois]
    path = tmp_path / f"own.{ending}"
    if ending == "csv":
        text = [{**row, "sectors": ";".join(map(str, row["sectors"]))} for row in rows]
        pd.DataFrame(text).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    for row, candidate in zip(rows, read_catalog(path).candidates, strict=True):
        ephemeris = candidate.ephemeris
        read = {
            "toi": candidate.toi,
            "tic": candidate.tic,
            "period_days": ephemeris.period_days,
            "t0_btjd": ephemeris.t0_btjd,
            "duration_hours": ephemeris.duration_hours,
            "t0_err": ephemeris.t0_err_days,
            "period_err": ephemeris.period_err_days,
            "sectors": list(candidate.sectors or ()),
            **{name: getattr(candidate, name) for name in ("depth_ppm", "ra", "dec", "pmra", "pmdec", "tmag")},
        }
        assert read == row
