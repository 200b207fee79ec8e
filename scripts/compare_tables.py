#!/usr/bin/env python3
"""The largest relative difference of each column of two runs: scripts/compare_tables.py BEFORE AFTER [--above 1e-9]

For a change that must not change numbers. Lists (images, maps) differ relative to their largest value; text, and what
is null in one run only, differs by infinity. Exit code 1 where a column differs by more than `--above`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds

TABLES = ("sectors", "images", "candidates", "hosts", "evidence")
KEYS = ("tic", "toi", "sector", "source_id")
#: What says where and when a row was made, not what was measured.
NOT_COMPARED = ("seconds", "source_file", "made_from", "settings_hash", "stamp_hash", "software_version")


def differences(before: Path, after: Path) -> dict[str, dict[str, float]]:
    """Of every table that either run has: column and largest relative difference; infinite where rows are missing."""
    found: dict[str, dict[str, float]] = {}
    for table in TABLES:
        one, other = _rows(before, table), _rows(after, table)
        if one is None and other is None:
            continue
        if one is None or other is None or len(one) != len(other) or list(one.columns) != list(other.columns):
            found[table] = {"rows or columns": np.inf}
            continue
        names = [name for name in one.columns if name not in NOT_COMPARED]
        found[table] = {
            name: max(map(_difference, one[name].tolist(), other[name].tolist()), default=0.0) for name in names
        }
    return found


def _rows(run: Path, table: str) -> pd.DataFrame | None:
    place = run / f"{table}.parquet" if table == "candidates" else run / table
    if not place.exists():
        return None
    rows = ds.dataset(str(place), format="parquet", exclude_invalid_files=True).to_table().to_pandas()
    return rows.sort_values([key for key in KEYS if key in rows]).reset_index(drop=True)


def _difference(one: Any, other: Any) -> float:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.dtype.kind not in "fiub" or one.shape != other.shape:
            return 0.0 if one.tolist() == other.tolist() else np.inf
        one, other = one.astype(np.float64), other.astype(np.float64)
        if not np.array_equal(np.isfinite(one), np.isfinite(other)):
            return np.inf
        apart = np.abs(np.nan_to_num(one) - np.nan_to_num(other)).max(initial=0.0)
        return float(apart / np.abs(np.nan_to_num(one)).max(initial=0.0)) if apart else 0.0
    if one is other or one == other or (one != one and other != other):
        return 0.0
    if isinstance(one, int | float) and isinstance(other, int | float):
        apart = abs(one - other) / max(abs(one), abs(other))
        return apart if np.isfinite(apart) else np.inf
    return np.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--above", type=float, default=0.0, help="only what differs by more")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {
        table: {name: value for name, value in columns.items() if value > options.above}
        for table, columns in differences(options.before, options.after).items()
    }
    if not found:
        sys.exit(f"neither {options.before} nor {options.after} is a run")
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for table, columns in found.items():
            print(f"{table}: {len(columns)} columns differ by more than {options.above:g}")
            for name, value in sorted(columns.items(), key=lambda item: -item[1]):
                print(f"  {name:40} {value:.2e}")
    sys.exit(int(any(found.values())))


if __name__ == "__main__":
    main()
