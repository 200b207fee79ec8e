"""`batchvet compare` on the command line."""

from __future__ import annotations

import json

from command_line import batchvet


def test_it_prints_and_gives_json(whole, tmp_path):
    done = batchvet("compare", whole, whole)
    assert done.returncode == 0 and "0 disagreements" in done.stdout
    assert json.loads(batchvet("compare", whole, whole, "--json").stdout)["disagreements"] == []
    assert (whole / "comparison.json").exists()
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    assert batchvet("compare", whole, tmp_path / "no.csv").returncode == 2
