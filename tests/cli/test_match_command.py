"""`batchvet match` on the command line."""

from __future__ import annotations

import json

from command_line import batchvet

LIST = """toi,tic,period_days,t0_btjd,duration_hours,ra,dec,tmag,t0_err,period_err
1.01,11,3.456789,1400.5,2.5,10.0,-20.0,10,0.001,0.00001
2.01,12,3.456792,1452.3515,2.5,10.02,-20.0,12,0.001,0.00001
"""


def test_matches_are_printed_and_are_json(tmp_path):
    (tmp_path / "toi.csv").write_text(LIST)
    (tmp_path / "c.yaml").write_text("catalog: toi.csv\noutput: run\ncluster: {serial: true}\n")
    assert batchvet("run", tmp_path / "c.yaml", "-q").returncode == 0
    done = batchvet("match", tmp_path / "run")
    assert done.returncode == 0 and "near" in done.stdout
    assert "2 candidates have the ephemeris of another" in done.stdout
    assert [row["toi"] for row in json.loads(batchvet("match", tmp_path / "run", "--json").stdout)] == ["1.01", "2.01"]
    done = batchvet("match", tmp_path / "run", "--with", tmp_path / "nothing.csv")
    assert done.returncode == 2 and "nothing.csv: it does not exist" in done.stderr
