"""The flags of a row are those that bear on the verdict; the checks' own stand with the checks."""

from __future__ import annotations

import json

import numpy as np
import pytest

import batchvet
from batchvet.catalog.candidate import Ephemeris
from batchvet.errors import RunError
from batchvet.pixels.tpf import read_tpf
from batchvet.results.schema import CHECKS, FORMAT_VERSION
from batchvet.sample import DIRECTORY, write_sample
from batchvet.science.centroid_shift import centroid_shift
from batchvet.vocabulary import Flag, Layer


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    return batchvet.run(write_sample(tmp_path_factory.mktemp("sample")), executor="serial")


def test_flags_of_the_checks_for_comparison_do_not_drown_the_rest(sample_run):
    for row in sample_run.sectors.to_dict("records"):
        assert "DIFFIMG_UNRELIABLE" in row["v09_flags"]  # on every row of the sample
        assert {Flag(flag).layer for flag in row["flag_names"]} <= {Layer.FILE, Layer.ROW, Layer.LOCALIZATION}
        assert set(row["localization_flags"]) <= set(row["flag_names"])
        assert set(row["flag_names"]).isdisjoint(flag for check in CHECKS for flag in row[f"{check.lower()}_flags"])


def test_the_column_is_an_attribute_that_pandas_does_not_have(sample_run):
    for table in (sample_run.sectors, sample_run.candidates, sample_run.evidence):
        assert "flags" not in table and hasattr(table.flags, "allows_duplicate_labels")  # pandas' own
        assert all(isinstance(flag, str) for flags in table.flag_names for flag in flags)


def test_show_keeps_the_keys_that_others_read(sample_run):
    from batchvet.results.views import show

    assert {"status", "flags", "metrics"} <= show(sample_run, "5807.01")["83"].keys()
    assert show(sample_run, "5807.01")["83"]["flags"] == list(sample_run.of("5807.01")["v09_flags"].iloc[0])


def test_a_flag_is_a_word_and_its_number_a_column():
    (path,) = (DIRECTORY / "tpfs").glob("*-s0083-*")
    stamp = read_tpf(path)
    time, flux = stamp.time.copy(), stamp.flux.copy()
    time[:3], flux[3:5] = np.nan, np.nan
    found = centroid_shift(time, flux, Ephemeris(14.2423724, 3540.26317, 0.05))
    assert set(found.flags) <= set(Flag) and {"low_n_in_transit", "dropped_invalid_cadences"} <= set(found.flags)
    missing = np.isnan(time) | np.isnan(flux).all(axis=(1, 2))
    assert found.n_dropped_cadences == missing.sum() >= 5
    assert found.n_in_transit_cadences < 5


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (3, r"an earlier version of batchvet .*format 3.*'batchvet run .*config.yaml --output ANOTHER' makes"),
        (99, r"a newer version of batchvet .*format 99.*read it with that version"),
    ],
)
def test_tables_of_another_format_are_refused_with_what_mends_it(sample_run, tmp_path, version, said):
    assert FORMAT_VERSION == 6  # columns have been renamed since 3, and depths are the deepest since 4
    plan = json.loads((sample_run.directory / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"format_version": version}))
    with pytest.raises(RunError, match=said):
        batchvet.open_run(tmp_path)
    with pytest.raises(RunError, match="choose another --output"):
        batchvet.run(plan["config_file"], output=tmp_path, executor="serial")
