"""Tables for other programs: every column arrives with its values, its unit and its sentence."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.units import cds

from batchvet.api import open_run
from batchvet.errors import ConfigError, RunError
from batchvet.results.astropy_tables import astropy_table
from batchvet.results.export import WRITERS, export
from batchvet.results.schema import described


@pytest.fixture
def finished(whole):
    """A run of which one row could not be measured, and says so in words that are not ASCII."""
    run = open_run(whole)
    sectors = run.sectors
    sectors.loc[0, "error"] = "Ångström: nothing there, “really”"
    sectors.loc[0, ["target_offset_arcsec", "difference_snr"]] = np.nan
    return run


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what astropy says of units that the standards lack
        return Table.read(path)


@pytest.mark.parametrize("suffix", ["ecsv", "fits", "vot"])
@pytest.mark.parametrize("table", ["candidates", "hosts", "matches", "sectors", "images"])
def test_values_and_units_come_back(finished, tmp_path, table, suffix):
    frame = finished.table(table)
    found = read(export(finished, table, tmp_path / f"x.{suffix}"))
    said = {column["name"]: column for column in described()[table]}
    assert found.colnames == [name for name in frame.columns if not name.startswith("host_")]
    assert len(found) == len(frame)
    for name in found.colnames:
        if said[name]["type"] == "float64":
            np.testing.assert_array_equal(np.ma.filled(np.ma.asarray(found[name]), np.nan), frame[name])
    if table == "sectors":
        assert found["target_offset_arcsec"].unit == u.arcsec and found["source_ra"].unit == u.deg
        assert found["offset_cov_ra_ra"].unit == u.arcsec**2
        assert list(found["toi"].astype(str)) == list(frame["toi"])
    if table == "images":
        flux = np.asarray(found["difference"])[1]
        np.testing.assert_array_equal(flux[: len(frame["difference"][1])], frame["difference"][1])
    if table == "candidates":
        unit = found["depth_ppm"].unit
        assert unit == u.Unit(1e-6) if suffix == "fits" else str(unit) == "ppm"


def test_fits_has_sentences_and_texts_in_ascii(finished, tmp_path):
    header = fits.getheader(export(finished, "sectors", tmp_path / "x.fits"), 1)
    columns = {header[f"TTYPE{n}"]: n for n in range(1, header["TFIELDS"] + 1)}
    assert header[f"TCOMM{columns['difference_snr']}"].startswith("Signal to noise of the dip")
    assert header["EXTNAME"] == "SECTORS"
    assert Table.read(tmp_path / "x.fits")["error"][0] == "?ngstr?m: nothing there, ?really?"


def test_csv_has_nothing_where_nothing_is_known(finished, tmp_path):
    found = pd.read_csv(export(finished, "sectors", tmp_path / "x.txt", "csv"), dtype=str, keep_default_na=False)
    assert found["target_offset_arcsec"][0] == "" and found["n_transits"][1].isdecimal()
    assert found["error"][0] == "Ångström: nothing there, “really”"
    assert found["transit_times_btjd"][1].split(" ")[0] == str(finished.sectors["transit_times_btjd"][1][0])


def test_a_run_gives_tables_with_units(finished):
    found = finished.to_astropy()
    assert isinstance(found, QTable) and found["offset_arcsec"].unit == u.arcsec
    assert found["depth_ppm"].unit == cds.ppm and "host_probability" not in found.colnames
    assert found["t0_btjd"].info.description.startswith("Mid-time of one transit")
    stars = finished.to_astropy("hosts")
    listed = {name for names in finished.candidates["host_source_id"] for name in names}
    assert listed <= set(stars["source_id"]) and stars["ra"].unit == u.deg and stars["is_target"].dtype == bool
    assert len(stars) == len(finished.hosts) == len(pd.read_parquet(finished.directory / "hosts"))
    assert finished.hosts.attrs["units"]["separation_arcsec"] == "arcsec"
    with pytest.raises(RunError, match="there are candidates, hosts, matches, sectors"):
        finished.to_astropy("stars")


def test_whole_numbers_that_are_not_known_are_masked(finished):
    frame = finished.candidates.head(2).copy()
    frame["odd_n_dips"] = [np.nan, 3.0]
    found = astropy_table(frame, "candidates")["odd_n_dips"]
    assert found.dtype.kind == "i" and list(found.mask) == [True, False] and found[1] == 3


@pytest.mark.parametrize(
    ("table", "name", "format", "said"),
    [
        ("stars", "x.csv", None, "there is no table 'stars'"),
        ("hosts", "x.dat", None, "does not say which format; --format may be ecsv, fits, csv, votable"),
        ("hosts", "x.csv", "hdf5", "'hdf5' is no format"),
        ("hosts", "no/x.csv", None, "there is no directory"),
    ],
)
def test_what_cannot_be_exported_is_said(finished, tmp_path, table, name, format, said):
    with pytest.raises(ConfigError, match=said):
        export(finished, table, tmp_path / name, format)
    assert list(tmp_path.iterdir()) == []


def test_every_format_is_written_under_its_own_name(finished, tmp_path):
    for format in WRITERS:
        assert export(finished, "candidates", tmp_path / format, format).stat().st_size > 500
