"""`batchvet match`: a run's candidates against each other and against a file of known variables."""

from __future__ import annotations

import pytest

from batchvet.api import open_run, run
from batchvet.catalog.variables import read_variables
from batchvet.errors import CatalogError
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


def test_rows_without_a_period_are_counted_and_a_table_of_them_is_refused(tmp_path):
    path = tmp_path / "binaries.csv"
    path.write_text(BINARIES)
    variables = read_variables(path)
    assert variables.name == ("999", "997") and variables.n_left_out == 1
    assert variables.numbers["t0"].round(4).tolist() == [1401.5009, 1401.9]
    path.write_text("".join(BINARIES.splitlines(keepends=True)[::2][:1]) + "998,,,,,90.01,40.01,9.0\n")
    with pytest.raises(CatalogError, match="no row has a place, a period and an epoch"):
        read_variables(path)
