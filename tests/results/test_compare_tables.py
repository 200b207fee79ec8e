"""Two runs are held against each other column by column, so that a change that must not change numbers can prove it."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "compare_tables.py"


@pytest.fixture
def differences(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("compare_tables").differences


def changed(path: Path, name: str, change) -> None:
    """Rewrite a part of a table with one column changed."""
    table = pq.read_table(path)
    column = pa.array(change(table[name].to_pylist()), table.schema.field(name).type)
    pq.write_table(table.set_column(table.column_names.index(name), table.schema.field(name), column), path)


def test_a_run_is_like_itself(differences, whole):
    found = differences(whole, whole)
    assert set(found) == {"sectors", "images", "candidates", "hosts", "evidence"}
    assert all(value == 0.0 for columns in found.values() for value in columns.values())
    assert "v09_max_depth_ppm" in found["sectors"] and "seconds" not in found["sectors"]


def test_what_differs_is_told_by_how_much(differences, whole, tmp_path):
    other = Path(shutil.copytree(whole, tmp_path / "other"))
    (sectors,), (images,) = (sorted((other / table).glob("*.parquet")) for table in ("sectors", "images"))
    changed(sectors, "difference_snr", lambda values: [value and value * 1.25 for value in values])
    changed(sectors, "v09_status", lambda values: ["another", *values[1:]])
    changed(sectors, "source_ra", lambda values: [None, *values[1:]])
    changed(images, "difference_error", lambda values: [[1.5 * max(one), *one[1:]] for one in values])
    found = differences(whole, other)
    differing = {name: value for name, value in found["sectors"].items() if value}
    assert differing.pop("difference_snr") == pytest.approx(0.2)
    assert differing == {"v09_status": float("inf"), "source_ra": float("inf")}
    assert 0.5 <= found["images"]["difference_error"] <= 1.5


def test_a_missing_row_and_a_missing_table_are_differences(differences, whole, tmp_path):
    other = Path(shutil.copytree(whole, tmp_path / "other"))
    (part,) = (other / "sectors").glob("*.parquet")
    pq.write_table(pq.read_table(part).slice(1), part)
    shutil.rmtree(other / "evidence")
    found = differences(whole, other)
    assert found["sectors"] == found["evidence"] == {"rows or columns": float("inf")}


def test_the_command_says_what_is_above_a_limit_and_ends_so(whole, tmp_path):
    other = Path(shutil.copytree(whole, tmp_path / "other"))
    (part,) = (other / "sectors").glob("*.parquet")
    changed(part, "difference_snr", lambda values: [value and value * 1.25 for value in values])
    for limit, code, said in (("0.1", 1, {"difference_snr": pytest.approx(0.2)}), ("0.3", 0, {})):
        command = [sys.executable, str(SCRIPT), str(whole), str(other), "--above", limit, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code and json.loads(done.stdout)["sectors"] == said
