"""A list that somebody else keeps is read as it is: a row that cannot be vetted is a candidate that says why."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from batchvet.catalog.reader import read_catalog
from batchvet.errors import CatalogError

EXOFOP = "TIC ID,TOI,Epoch (BJD),Period (days),Duration (hours),Sectors,RA,Dec,TESS Mag\n"
GOOD = "11,1.01,2458326.5,3,2,1,10:00:00,-20:00:00,9\n"


def written(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "toi.csv"
    path.write_text(EXOFOP + GOOD + "".join(rows))
    return path


@pytest.mark.parametrize(
    ("row", "name", "tic", "said"),
    [
        ("12,2.01,2458326.5,3,,1,,,9\n", "2.01", 12, "line 3: Duration (hours) is missing"),
        ("12,2.01,0,3,2,1,,,9\n", "2.01", 12, "line 3: Epoch (BJD) is missing"),
        ("12,2.01,2458326.5,soon,2,1,,,9\n", "2.01", 12, 'line 3: Period (days) is "soon", not a number'),
        ("12,2.01,2458326.5,0.1,2.5,1,,,9\n", "2.01", 12, "line 3: Duration (hours) (2.5 h) is not shorter than"),
        ("?,2.01,2458326.5,3,2,1,,,9\n", "2.01", 0, 'line 3: TIC ID is "?", not a TIC number'),
        ("12,,2458326.5,3,2,1,,,9\n", "(line 3)", 12, "line 3: TOI is missing"),
        ("12,1.01,2458326.5,3,2,1,,,9\n", "1.01 (line 3)", 12, "line 3: TOI 1.01 is already on line 2"),
    ],
)
def test_a_row_that_cannot_be_vetted_stays_with_its_reason(tmp_path, row, name, tic, said):
    catalog = read_catalog(written(tmp_path, row))
    assert [candidate.toi for candidate in catalog.candidates] == ["1.01"]
    (unusable,) = catalog.unusable
    assert (unusable.toi, unusable.tic, unusable.tmag) == (name, tic, 9.0)
    assert unusable.problem.startswith(said)
    assert catalog.size == 2 and "1 candidate of the catalogue cannot be vetted" in catalog.note


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("12,2.01,2458326.5,3,2,13368,10:00:00,-20:00:00,9\n", 'line 3: Sectors has "13368"'),
        ("12,2.01,2458326.5,3,2,1,400,-20:00:00,9\n", 'line 3: RA is "400", outside 0 to 360'),
        ("12,2.01,2458326.5,3,2,1,10:00:00,,9\n", "line 3: RA is given without the dec"),
        ("12,2.01,2458326.5,3,2,1,10:00:00,-20:00:00,faint\n", 'line 3: TESS Mag is "faint"'),
    ],
)
def test_a_cell_that_is_not_needed_is_left_out_with_a_warning(tmp_path, row, said):
    catalog = read_catalog(written(tmp_path, row))
    assert [candidate.toi for candidate in catalog.candidates] == ["1.01", "2.01"] and not catalog.unusable
    assert len(catalog.left_out) == 1 and catalog.left_out[0].startswith(said)
    candidate = catalog.candidates[1]
    assert candidate.sectors is None or math.isnan(candidate.ra) or math.isnan(candidate.tmag)
    assert math.isnan(candidate.ra) == math.isnan(candidate.dec)


def test_strict_refuses_both_as_in_ones_own_table(tmp_path):
    path = written(tmp_path, "12,2.01,2458326.5,3,,1,,,9\n", "13,3.01,2458326.5,3,2,13368,,,9\n")
    with pytest.raises(CatalogError, match=r"(?s)2 bad rows of 3.*line 3: Duration.*line 4: Sectors"):
        read_catalog(path, strict=True)


def test_keep_going_leaves_the_rows_out_as_ever(tmp_path):
    path = written(tmp_path, "12,2.01,2458326.5,3,,1,,,9\n", "13,3.01,2458326.5,3,2,13368,,,9\n")
    catalog = read_catalog(path, keep_going=True, rejects=tmp_path / "rejects.csv")
    assert [candidate.toi for candidate in catalog.candidates] == ["1.01", "3.01"]
    assert [row.line for row in catalog.rejected] == [3] and not catalog.unusable


def test_a_file_that_is_cut_is_refused_in_every_layout(tmp_path):
    with pytest.raises(CatalogError, match="line 3: it has 2 cells"):
        read_catalog(written(tmp_path, "12,2.01\n"))


def test_a_list_of_which_no_row_can_be_vetted_is_refused(tmp_path):
    path = tmp_path / "toi.csv"
    path.write_text(EXOFOP + "12,2.01,58326.5,3,2,1,,,9\n")
    with pytest.raises(CatalogError, match=r"1 bad row of 1:\n  line 2: .*it looks like an MJD"):
        read_catalog(path)


def test_companions_are_not_vetted_but_stay_with_their_target(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "toi,tic,period_days,t0_btjd,duration_hours,companion_only\n1.01,11,3,1400,2,0\n1.02,11,5,1401,2,1\n"
    )
    catalog = read_catalog(path)
    assert [candidate.toi for candidate in catalog.by_target()[11]] == ["1.01"]
    assert [candidate.toi for candidate in catalog.all_by_target()[11]] == ["1.01", "1.02"]


def test_the_lists_of_the_science_office_are_read(tmp_path):
    path = tmp_path / "mit.csv"
    path.write_text(
        "# TOI list\nSource Pipeline,TIC,Full TOI ID,TOI Disposition,TIC Right Ascension,TIC Declination,TMag Value,"
        "Orbital Epoch Value,Orbital Epoch Error,Orbital Period (days) Value,Orbital Period (days) Error,"
        "Transit Duration (hours) Value,Transit Depth Value,Sectors\n"
        "spoc,25155310,114.01,KP,63.37,-69.22,10.6,1327.5205,0.0002,3.28878,0.00001,3.49,6600,1 2\n"
    )
    catalog = read_catalog(path)
    (candidate,) = catalog.candidates
    assert catalog.layout == "mit" and (candidate.toi, candidate.tic) == ("114.01", 25155310)
    ephemeris = candidate.ephemeris
    assert (ephemeris.period_days, ephemeris.t0_btjd, ephemeris.duration_hours) == (3.28878, 1327.5205, 3.49)
    assert (ephemeris.t0_err_days, ephemeris.period_err_days) == (0.0002, 0.00001)
    assert (candidate.depth_ppm, candidate.tmag, candidate.sectors) == (6600.0, 10.6, (1, 2))


@pytest.mark.parametrize(
    "names",
    [
        "tceid,ticid,sectors,tce_period,tce_time0bt,tce_duration,tce_depth",
        "tceid,ticid,sectors,orbitalPeriodDays,transitEpochBtjd,transitDurationHours,transitDepthPpm",
    ],
)
def test_tce_statistics_are_read(tmp_path, names):
    path = tmp_path / "tcestats.csv"
    path.write_text(
        f"# produced by DV\n{names}\nTIC25155310S0001S0013_01,25155310,s0001-s0013,3.28878,1327.5,3.49,6600\n"
    )
    catalog = read_catalog(path)
    (candidate,) = catalog.candidates
    assert catalog.layout == "tce" and candidate.toi == "TIC25155310S0001S0013_01" and candidate.sectors is None
    ephemeris = candidate.ephemeris
    assert (ephemeris.period_days, ephemeris.t0_btjd, ephemeris.duration_hours) == (3.28878, 1327.5, 3.49)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["exofop_toi_2025-10", "nasa_toi_2026-07-23"])
def test_every_toi_of_the_published_tables_is_read(shared_data, name):
    path = shared_data / "toi_tables" / f"{name}.csv.gz"
    catalog = read_catalog(path)
    rows = pd.read_csv(path, comment="#", dtype=str)
    every = [candidate.toi for candidate in (*catalog.candidates, *catalog.unusable)]
    assert len(every) == len(set(every)) == len(rows)
    assert len(catalog.unusable) + len(catalog.left_out) == 4
