"""A configuration is what it looks like, and what is wrong with one is said in words, with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchvet.errors import ConfigError
from batchvet.runtime.config import RunConfig, configured, read_config

#: After a first line `catalog: toi.csv`: what is written, and what is said of it.
WRONG = {
    "neighbors: n.csv": "line 2: neighbors: unknown key; did you mean neighbours?",
    "frob: 1": "line 2: frob: unknown key; there are batch_size, cache, ",
    "sources: [{directory: t, frob: 1}]": "line 2: sources[0].frob: unknown key; there are directory",
    "neighbours: {mast: {radius: 1}}": "line 2: neighbours.mast.radius: unknown key; did you mean radius_arcsec?",
    "sectors: some": "line 2: sectors: is 'some', may be all or a list in square brackets",
    "sectors:\n  - 1\n  - -2": "line 4: sectors[1]: is -2, may be a number above 0",
    "checks: [V99]": "line 2: checks[0]: is 'V99', may be one of V08, V09, V10, localization",
    "cluster: {workers: many}": "line 2: cluster.workers: is 'many', may be a whole number",
    "cluster: {workers: yes}": "line 2: cluster.workers: is true or false (YAML takes yes, no",
    "sources: [{mast: {author: QLP}}]": "line 2: sources[0].mast.author: is 'QLP', may be one of SPOC, TESS-SPOC",
    "sources: [{mast: {politeness: {frob: 1}}}]": "line 2: sources[0].mast.politeness.frob: unknown key; there are",
    "sources: [{foo: t}]": "line 2: sources[0]: name one of directory, s3 and mast, such as directory: tpfs",
    "sources: [{directoy: t}]": "line 2: sources[0]: name one of directory, s3 and mast; did you mean directory?",
    "sources:\n- directory: t\n  mast: {}": "line 4: sources[0].mast: is a source of its own: begin it with '- mast:'",
    "sources:\n- mast:": "line 3: sources[0].mast: is empty, may be a table of keys, such as {} for all",
    "sources: tpfs": "line 2: sources: is 'tpfs', may be a list in square brackets, such as [{directory: tpfs}]",
    "checks: V09": "line 2: checks: is 'V09', may be a list in square brackets, such as [V09, localization]",
    "checks: [localisation]": "V10, localization; did you mean localization?",
    "checks: []": "line 2: checks: name at least one",
    "checks: [V08, V08]": "line 2: checks: one is named twice",
    "cluster: serial": "line 2: cluster: is 'serial', may be a table of keys, such as {workers: 2} or {serial: true}",
    "Output: x": "line 2: Output: unknown key; did you mean output?",
    "output: 2024-01-01": "line 2: output: is 2024-01-01, may be a path",
    "neighbours: [a, b]": "line 2: neighbours: may be a path or a table of keys, such as neighbours.csv",
    "flux_err: some": "line 2: flux_err: is 'some', may be one of summary, full",
    "cache: {location: c, flux_err: some}": "cache: flux_err is 'some', may be summary or full",
    "cache: {directory: c}": "cache: directory is not known, only location and flux_err",
    "\tcache: x": "c.yaml: line 2: starts with a tab; YAML takes blanks only",
    "cache x": "c.yaml: line 2: a key without a colon and a blank behind it",
    "cluster: {workers: 2\noutput: x": "c.yaml: line 2: a bracket is opened and not closed",
    "sources:\n- directory: ''": "line 3: sources[0].directory: is empty",
    "cache: ''": "line 2: cache: is empty",
    "cache: a\ncache: b": "the key 'cache' is there twice, on lines 2 and 3",
    "cluster: {workers: 1, workers: 2}": "the key 'workers' is there twice, on lines 2 and 2",
    "output: $BATCHVET_NOSUCH/x": "line 2: output: $BATCHVET_NOSUCH/x names a variable of the environment that is not",
    "output: ~batchvet-nobody/x": "line 2: output: ~batchvet-nobody/x names the home of a user who is not known",
    **{
        f"quality_bitmask: {value}": "line 2: quality_bitmask: "
        for value in ("", "1.5", ".inf", ".nan", "-1", "[1]", "yes", "4294967296", "'1e3'", "soft", "{a: 1}")
    },
    "1: 2": "line 2: 1: unknown key",
}


def read(tmp_path: Path, text: str) -> RunConfig:
    (tmp_path / "c.yaml").write_text(f"catalog: toi.csv\n{text}\n")
    return read_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_in_words_with_its_line(tmp_path, text):
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    said = str(refused.value)
    assert WRONG[text] in said
    assert len(said.splitlines()) == 1
    assert not re.search("(?i)input|valid|tuple|instance|extra|pydantic|literal|unicode|datetime|token", said)
    assert "None" not in said


def test_what_is_no_table_of_keys_is_told_how_one_is_made(tmp_path):
    for content, said in {
        b"catalog:toi.csv\n": "'catalog:toi.csv' needs a blank behind the colon",
        b"": "'batchvet init' writes one",
        b"toi,tic\n1.01,5\n": "'batchvet init' writes one",
        b"\xff\xfec": "not a text in UTF-8",
    }.items():
        (tmp_path / "c.yaml").write_bytes(content)
        with pytest.raises(ConfigError, match=re.escape(said)):
            read_config(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="'batchvet init' writes one"):
        read_config(tmp_path / "nosuch.yaml")


def test_a_misspelt_key_that_is_needed_is_one_mistake(tmp_path):
    (tmp_path / "c.yaml").write_text("catalogue: toi.csv\n")
    with pytest.raises(ConfigError) as refused:
        read_config(tmp_path / "c.yaml")
    assert str(refused.value).endswith("c.yaml: line 1: catalogue: unknown key; did you mean catalog?")


def test_several_mistakes_are_all_listed(tmp_path):
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, "prior_target: 2\nfrob: 1")
    assert [line.split(":")[0] for line in str(refused.value).splitlines()[1:]] == ["  line 2", "  line 3"]
    with pytest.raises(ConfigError, match="catalog: is missing"):
        RunConfig(cache="x")


def test_home_and_variables_are_what_they_stand_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/of/me")
    monkeypatch.setenv("DATA", "/data")
    config = read(tmp_path, "cache: $DATA/c\nneighbours: ~/n.csv\nprf: ~/prf\nsources: [{directory: '${DATA}/t'}]")
    assert (config.cache, str(config.neighbours), config.prf) == ("/data/c", "/home/of/me/n.csv", "/home/of/me/prf")
    assert str(config.sources[0].directory) == "/data/t"
    assert str(config.catalog) == str(tmp_path / "toi.csv")


@pytest.mark.parametrize(("written", "mask"), [("default", 17087), ("0", 0), ("'128'", 128), ("2147483647", 2**31 - 1)])
def test_quality_bitmask_is_a_word_or_a_whole_number(tmp_path, written, mask):
    assert read(tmp_path, f"quality_bitmask: {written}").quality_bitmask == mask


def test_a_file_where_a_directory_is_wanted_is_left_alone(tmp_path):
    (tmp_path / "toi.csv").write_text("mine")
    for key in ("output", "cache"):
        path = tmp_path / "c.yaml"
        path.write_text(f"catalog: toi.csv\n{key}: toi.csv\n")
        with pytest.raises(ConfigError, match=f"{key}: .*toi.csv is a file, which stays as it is"):
            configured(path)


def test_a_list_without_a_sector_is_no_list():
    with pytest.raises(ConfigError, match="sectors: name at least one, or all"):
        RunConfig(catalog="toi.csv", sectors=[])


def test_a_file_that_is_no_text_is_called_so(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\x00\x01catalog: toi.csv\n")
    with pytest.raises(ConfigError, match="not a text"):
        read_config(tmp_path / "c.yaml")


def test_a_scheduler_without_an_address_is_refused():
    with pytest.raises(ConfigError, match=r"scheduler: is empty; name its address, such as tcp://"):
        configured(RunConfig(catalog="toi.csv"), scheduler=" ")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("cache: c", ("c", "summary")),
        ("cache: c\nflux_err: full", ("c", "full")),
        ("cache: {location: c, flux_err: full}", ("c", "full")),
        ("cache: {flux_err: full}", ("cache", "full")),
    ],
)
def test_what_the_cache_keeps_of_the_errors_is_said_beside_its_place(tmp_path, written, meant):
    (tmp_path / "c.yaml").write_text(f"catalog: toi.csv\n{written}\n")
    config = read_config(tmp_path / "c.yaml")
    assert (config.cache, config.flux_err) == (str(tmp_path / meant[0]), meant[1])
    again = RunConfig(**config.as_json())  # as a run's plan keeps it
    assert (again.cache, again.flux_err) == (config.cache, config.flux_err)
