"""astropy reads every table as it lies there, with units and sentences, without a word of complaint."""

from __future__ import annotations

import pandas as pd
import pytest
from astropy.table import QTable, Table

import batchvet
from batchvet.results.schema import hosts_of
from batchvet.sample import write_sample


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """Of two checks: the columns of the third are empty."""
    config = write_sample(tmp_path_factory.mktemp("sample"))
    config.write_text(config.read_text() + "checks: [V09, localization]\n")
    return batchvet.run(config, executor="serial")


@pytest.mark.parametrize("kind", [Table, QTable])
@pytest.mark.parametrize("name", ["candidates.parquet", "hosts/*", "sectors/*", "images/*", "evidence/*"])
def test_table_read_takes_every_file(sample_run, name, kind):
    (path,) = sample_run.directory.glob(name)
    table, frame = kind.read(path), pd.read_parquet(path)  # a warning would be an error
    assert table.colnames == list(frame.columns) and len(table) == len(frame)
    described = getattr(sample_run, name.removesuffix(".parquet").removesuffix("/*")).attrs
    for column in table.colnames:
        unit = described["units"][column].replace("e-/s", "electron / s")
        text = described["text"][column]
        if frame[column].dtype != object or isinstance(frame[column].iloc[0], str):
            assert table[column].info.unit == (unit or None), column
            assert table[column].info.description == text
        else:  # a list
            assert table[column].info.description == (f"{text} In {unit}." if unit else text)


def test_words_and_lists_come_whole(sample_run):
    table = Table.read(sample_run.directory / "candidates.parquet")
    frame = sample_run.candidates
    assert list(table["toi"]) == list(frame["toi"])
    assert list(table["verdict"]) == list(frame["verdict"])
    assert [list(names) for names in table["host_source_id"]] == [list(names) for names in frame["host_source_id"]]
    assert [list(names) for names in table["flag_names"]] == [list(names) for names in frame["flag_names"]]


def test_hosts_are_lists_side_by_side(sample_run):
    row = sample_run.candidates.iloc[0]
    hosts = hosts_of(row)
    assert row["host_candidates"] == hosts
    assert [host["source_id"] for host in hosts] == list(row["host_source_id"]) == ["25155310"]
    assert hosts[0]["probability"] == pytest.approx(row["p_target"], abs=1e-12)
    flat = sample_run.candidates[["toi", "host_source_id", "host_probability"]].explode(
        ["host_source_id", "host_probability"]
    )
    assert len(flat) == 2


def test_a_check_that_was_not_asked_for_has_an_empty_word(sample_run):
    assert (sample_run.sectors["v08_status"] == "").all()
    assert sample_run.sectors["v08_significance_sigma"].isna().all()
