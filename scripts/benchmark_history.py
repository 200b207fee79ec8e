"""The history of the benchmark: docs/method/benchmarks.jsonl, a line a release, ratios that hold on any machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HISTORY = Path(__file__).resolve().parent.parent / "docs" / "method" / "benchmarks.jsonl"


def appended(results: dict[str, Any], version: str, date: str, path: Path = HISTORY) -> dict[str, Any]:
    """Add a line with the stages' figures; a release that is there already is replaced.

    Parameters
    ----------
    results : of `benchmark_stages.measured`
    version, date : of the release
    path : of the history
    """
    line = {
        "version": version,
        "date": date,
        "ratios": {name: round(each, 3) for name, each in results["ratios"].items()},
        "ms": {name: round(each, 1) for name, each in results["ms"].items()},
    }
    kept = [other for other in lines(path) if other["version"] != version]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in (*kept, line)), encoding="utf-8")
    return line


def lines(path: Path = HISTORY) -> list[dict[str, Any]]:
    """What is there, the oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
