"""`batchvet match`: a run's candidates against each other and against a file of known variables."""

from __future__ import annotations

import numpy as np
import pytest
from tess_stars2px import tess_stars2px_function_entry, tess_stars2px_reverse_function_entry

from batchvet.api import open_run, run
from batchvet.catalog.variables import read_variables
from batchvet.errors import CatalogError
from batchvet.results.ccd_places import CcdPlaces
from batchvet.runtime.config import RunConfig

LIST = """toi,tic,period_days,t0_btjd,duration_hours,ra,dec,tmag,t0_err,period_err
1.01,11,3.456789,1400.5,2.5,10.0,-20.0,10,0.001,0.00001
2.01,12,3.456792,1452.3515,2.5,10.02,-20.0,12,0.001,0.00001
3.01,13,7.654321,1401.5,2.5,90.0,40.0,11,0.001,0.00001
4.01,14,5.1,1401.5,2.5,180.0,70.0,11,0.001,0.00001
"""
BINARIES = """tess_id,bjd0,bjd0_uncert,period,period_uncert,ra,dec,Tmag
999,2458401.5009,0.0005,15.308641,0.000002,90.01,40.01,9.0
998,,,,,90.01,40.01,9.0
997,1401.9,0.001,2.2,0.0001,180.0,70.0,9.0
"""


@pytest.fixture
def done(tmp_path):
    (tmp_path / "toi.csv").write_text(LIST)
    config = RunConfig(
        catalog=tmp_path / "toi.csv", cache=str(tmp_path / "cache"), cluster={"serial": True}, output=tmp_path / "run"
    )
    return run(config)


def test_neighbours_with_one_ephemeris_are_told_and_kept(done):
    assert done.matches.empty
    found = done.match()
    assert found[["toi", "ephemeris_match", "match_kind", "match_table"]].to_numpy().tolist() == [
        ["1.01", "2.01", "near", "run"],
        ["2.01", "1.01", "near", "run"],
    ]
    assert (found["match_p"] < 1e-3).all() and found["separation_arcsec"].round().tolist() == [68.0, 68.0]
    again = open_run(done.directory)
    assert again.matches.equals(found) and again.matches.attrs["units"]["separation_arcsec"] == "arcsec"
    assert again.is_finished


def test_a_known_binary_with_twice_the_period_is_told(done, tmp_path):
    (tmp_path / "binaries.csv").write_text(BINARIES)
    found = done.match(tmp_path / "binaries.csv")
    (row,) = found[found["toi"] == "3.01"].to_dict("records")
    assert (row["ephemeris_match"], row["match_table"], row["period_ratio"]) == ("999", "binaries.csv", 2.0)
    assert row["match_tmag"] == 9.0 and "4.01" not in set(found["toi"])


#: WASP-126, and what SPOC's files of sectors 1 and 2 say of it: camera, CCD, and column and row of the target's pixel.
WASP_126 = "5.01,25155310,3.28878,1327.5205,3.49,63.37394,-69.22682,10.6,0.001,0.00001"
SEEN = {1: (4, 1, 1624, 394), 2: (4, 2, 306, 345)}


@pytest.fixture
def by_pointing(tmp_path):
    """A run without pixels of WASP-126 in sectors 1 and 2."""
    (tmp_path / "toi.csv").write_text(LIST.splitlines()[0] + ",sectors\n" + WASP_126 + ',"1,2"\n')
    catalog, output = tmp_path / "toi.csv", tmp_path / "run"
    return run(RunConfig(catalog=catalog, cache=str(tmp_path / "cache"), cluster={"serial": True}, output=output))


def test_places_by_the_pointing_are_those_of_the_files(by_pointing):
    places = CcdPlaces(by_pointing, np.array([63.37394, 10.0]), np.array([-69.22682, 60.0]))
    mine, theirs = places.places(0, 1)
    assert {one.sector: (one.camera, one.ccd) for one in mine} == {n: seen[:2] for n, seen in SEEN.items()}
    for one in mine:
        assert (one.column, one.row) == pytest.approx(SEEN[one.sector][2:], abs=1.5)
    answer = tess_stars2px_function_entry(0, 10.0, 60.0)
    assert [one[:3] for one in theirs] == list(zip(*(answer[n].tolist() for n in (3, 4, 5)), strict=True))


@pytest.mark.parametrize(
    ("ccd", "column", "row", "kind"),
    [(1, 1624.8, 1700.0, "same_column"), (3, 1614.8, 385.0, "opposite"), (4, 1536.0, 393.5, "cross_talk")],
)
def test_a_binary_that_shares_light_on_the_detector_is_told_without_pixels(
    by_pointing, tmp_path, ccd, column, row, kind
):
    """Column 1624.8 is the fourth output's 467th, from the right (2092); the third's, from the left (1069), is 1536."""
    ra, dec, _ = tess_stars2px_reverse_function_entry(1, 4, ccd, column, row)
    rows = f"name,ra,dec,period_days,t0_btjd,tmag,period_err,t0_err\nEB,{ra},{dec},3.288782,1393.2962,7,0.00001,0.001\n"
    (tmp_path / "binaries.csv").write_text(rows)
    (found,) = by_pointing.match(tmp_path / "binaries.csv").to_dict("records")
    assert found["match_kind"] == kind and found["separation_arcsec"] > 3600


def test_a_candidate_at_a_binarys_secondary_is_told(done, tmp_path):
    """Twice 7.654321 d, and half of 7.654321 d after the candidate's epoch."""
    rows = BINARIES.replace("2458401.5009", "2458405.32806").replace("15.308641", "7.654321")
    (tmp_path / "binaries.csv").write_text(rows)
    found = done.match(tmp_path / "binaries.csv")
    (row,) = found[found["toi"] == "3.01"].to_dict("records")
    assert (row["ephemeris_match"], row["match_phase"], row["period_ratio"]) == ("999", 0.5, 1.0)


def test_rows_without_a_period_are_counted_and_a_table_of_them_is_refused(tmp_path):
    path = tmp_path / "binaries.csv"
    path.write_text(BINARIES)
    variables = read_variables(path)
    assert variables.name == ("999", "997") and variables.n_left_out == 1
    assert variables.numbers["t0"].round(4).tolist() == [1401.5009, 1401.9]
    path.write_text("".join(BINARIES.splitlines(keepends=True)[::2][:1]) + "998,,,,,90.01,40.01,9.0\n")
    with pytest.raises(CatalogError, match="no row has a place, a period and an epoch"):
        read_variables(path)
