"""`batchvet followup` on the command line."""

from __future__ import annotations

import json

import pandas as pd
from command_line import batchvet


def test_the_list_is_printed_written_and_json(whole, tmp_path):
    done = batchvet("followup", whole, "--from", "2027-03-01", "--days", "60", "-o", tmp_path / "watch.csv")
    assert done.returncode == 0 and "all in" in done.stdout
    written = pd.read_csv(tmp_path / "watch.csv")
    listed = json.loads(batchvet("followup", whole, "--from", "2027-03-01", "--days", "60", "--json").stdout)
    assert len(written) == len(listed) > 0
    assert batchvet("followup", whole, "--from", "soon").returncode == 2


def test_from_a_site_it_says_what_is_visible(whole, tmp_path):
    where = ("--site", "la silla", "--min-altitude", "20", "-o", tmp_path / "watch.csv")
    done = batchvet("followup", whole, "--from", "2027-03-01", "--days", "60", *where)
    assert done.returncode == 0 and "UTC there" in done.stdout and done.stderr.count("Warning") == 0
    written = pd.read_csv(tmp_path / "watch.csv")
    assert set(written["visible"]) <= {True, False} and written["altitude_deg"].between(-90, 90).all()
    done = batchvet("followup", whole, "--from", "2027-03-01", "--site", "mars")
    assert done.returncode == 2 and "no place is known as 'mars'" in done.stderr
