"""Commands that look after data."""

from __future__ import annotations

import json

import pytest
from command_line import batchvet


def test_cache_commands(cli_survey, finished):
    cache = cli_survey.directory / "cache"
    assert len(json.loads(batchvet("cache", "list", cache, "--json").stdout)) == 6
    assert "6 entries read, 0 damaged" in batchvet("cache", "verify", cache).stdout
    assert json.loads(batchvet("cache", "reindex", cache, "--json").stdout) == {"entries": 6}
    entry = sorted(cache.glob("s*/*.zip"))[0]
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-100])
    damaged = batchvet("cache", "verify", cache)
    assert damaged.returncode == 3
    assert entry.name in damaged.stdout
    entry.write_bytes(whole)


@pytest.mark.parametrize("command", ["list", "verify", "reindex"])
def test_a_directory_that_is_no_cache_is_refused_and_left_alone(tmp_path, command):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    done = batchvet("cache", command, tmp_path / "letters")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a pixel cache" in done.stderr
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["plan.json", "candidates.parquet", "_SUCCESS.json", "sectors/more.csv"])
def test_outputs_take_no_place_of_a_run(finished, name, monkeypatch):
    place = finished / name
    before = place.read_bytes() if place.exists() else None
    for command in (
        ["export", finished, "--format", "csv", "-o", place],
        ["followup", finished, "--from", "2026-12-01", "-o", place],
        ["catalog", "toi", "--output", place],
    ):
        done = batchvet(*command)
        assert done.returncode == 2 and "belongs to the run in" in done.stderr, command
        assert (place.read_bytes() if place.exists() else None) == before
    monkeypatch.chdir(finished)
    assert "belongs to the run in" in batchvet("export", ".", "--format", "csv", "-o", name).stderr
    assert batchvet("export", ".", "-o", "mine.csv").returncode == 0
    (finished / "mine.csv").unlink()


def test_a_directory_is_no_file_to_export_to(finished, tmp_path):
    done = batchvet("export", finished, "--format", "csv", "-o", tmp_path)
    assert done.returncode == 2 and f"{tmp_path}: is a directory; name a file in it" in done.stderr
