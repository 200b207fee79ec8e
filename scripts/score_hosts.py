#!/usr/bin/env python3
"""Can the hosts table be relied on? Simulate scenes, judge them as a run does, and hold every star against the truth.

    python scripts/score_hosts.py --scenes 30 --seed 909 --prf known empirical --jobs 2
    python scripts/score_hosts.py --rows base crowd=25-75 --scenes 100 --stars stars.csv

Of each row of the matrix (`scripts/localization_matrix.py` lists them) as many scenes as --scenes says. Counted are
candidates whose dip is on a star of the table:

- how many of the stars that are CLEARED are the host after all;
- how often the host is HOST or POSSIBLE, of candidates with SNR >= 7; those of which the run says that it cannot tell
  are counted apart;
- the depth that the host needs over the true one, and how often their difference is below the error that is stated;
- the depth that is measured at every able star against the truth, which is none for all but the host.

--stars writes every star with its truth, for whoever looks for the cause of a figure.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from localization_matrix import Row, rows_named
from localization_scenes import PRF_KINDS, Outcome, outcomes

from batchvet.simulate import SimulationSettings
from batchvet.vocabulary import HostWord, Verdict

#: What a survey's candidates are like: rows of the matrix whose scenes have a table of neighbours.
DEFAULT_ROWS = (
    "base",
    "sectors=1",
    "sectors=6",
    "cadence=120",
    "snr=50-500",
    "drift=0.5/6",
    "tmag=4.5-7",
    "tmag=13.5-16",
    "density=5-15",
    "crowd=25-75",
    "pointing=no POS_CORR",
)
LEAST_SNR = 7.0  #: expected, from which the host must be named or be possible
_SIGMAS = 1.0
_CHUNK = 5  # scenes that a process takes at once


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=30, help="of each row and kind of PRF")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", nargs="+", default=list(DEFAULT_ROWS), metavar="NAME", help="axes, or axis=value")
    parser.add_argument("--prf", nargs="+", choices=PRF_KINDS, default=["known", "empirical"])
    parser.add_argument("--prf-directory", type=Path, help="official PRF files, needed by --prf official")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--stars", type=Path, metavar="FILE.csv", help="write every star and its truth")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = rows_named(options.rows)
    if not rows:
        parser.error(f"--rows: none of {', '.join(options.rows)} is a row of the matrix")
    if "official" in options.prf and options.prf_directory is None:
        parser.error("--prf official needs --prf-directory")
    stars = pd.DataFrame([star for some in _judged(options, rows) for star in some])
    if options.stars:
        stars.to_csv(options.stars, index=False)
    report = [{"row": "all", "prf": "all", **figures(stars)}]
    for by in (["prf"], ["row", "prf"]):
        report += [{"row": "all", **_named(by, key), **figures(group)} for key, group in stars.groupby(by, sort=False)]
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(pd.DataFrame(report).to_string(index=False, float_format=lambda x: f"{x:.3f}"))
    return 0


def _named(by: Sequence[str], key: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(by, key, strict=True))


def _judged(options: argparse.Namespace, rows: Sequence[Row]) -> Iterator[list[dict[str, Any]]]:
    """Stars of each chunk of scenes, in an order that does not depend on the number of processes."""
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        work = []
        for row in rows:
            for prf in options.prf:
                directory = options.prf_directory if prf == "official" else None
                settings = SimulationSettings(seed=options.seed, prf_directory=directory, **row.options)
                count = max(1, math.ceil(row.share * options.scenes))
                chunks = [range(n, min(n + _CHUNK, count)) for n in range(0, count, _CHUNK)]
                work += [pool.submit(_some, row.name, settings, chunk, prf) for chunk in chunks]
        for done, job in enumerate(work, start=1):
            yield job.result()
            print(f"\r{done} of {len(work)} parts", end="", file=sys.stderr)
    print(file=sys.stderr)


def _some(row: str, settings: SimulationSettings, scenes: range, prf: str) -> list[dict[str, Any]]:
    found = outcomes(settings, scenes, prf)
    return [{"row": row, "prf": prf, **star} for outcome in found for star in stars_of(outcome)]


def stars_of(outcome: Outcome) -> list[dict[str, Any]]:
    """Every star that was weighed, with what is true of it; none of a scene whose host no table has."""
    if not outcome.in_table:
        return []
    about = {"scene": outcome.index, "snr": outcome.snr, "verdict": str(outcome.verdict.verdict)}
    return [
        {
            **about,
            **asdict(star),
            "is_host": star.source_id == outcome.host,
            "depth_true": outcome.depth if star.source_id == outcome.host else 0.0,
        }
        for star in outcome.verdict.stars
    ]


def figures(stars: pd.DataFrame) -> dict[str, float]:
    """What the hosts table promises, as it is kept; NaN where there is nothing to count."""
    cleared = stars[stars["word"] == HostWord.CLEARED]
    hosts = stars[stars["is_host"] & (stars["snr"] >= LEAST_SNR)]
    told = hosts[hosts["word"] != HostWord.CANNOT_TELL]
    judged = stars[(stars["verdict"] != Verdict.INCONCLUSIVE) & (stars["snr"] >= LEAST_SNR)]
    host = judged[judged["is_host"]]
    able = judged[np.isfinite(judged["depth_measured"])]
    others = able[~able["is_host"]]
    return {
        "candidates": len(hosts),
        "cannot_tell": len(hosts) - len(told),
        "host_kept": _share(told["word"] != HostWord.CLEARED),
        "cleared": len(cleared),
        "cleared_wrong": _share(cleared["is_host"]),
        "required_over_true": _median(host["depth_required"] / host["depth_true"]),
        "required_off": _median((host["depth_required"] / host["depth_true"] - 1.0).abs()),
        "required_in_68": _within(host, "depth_required"),
        "measured_in_68_host": _within(able[able["is_host"]], "depth_measured"),
        "others": len(others),
        "measured_in_68_others": _within(others, "depth_measured"),
    }


def _within(stars: pd.DataFrame, name: str) -> float:
    """Share whose error is as large as stated."""
    return _share((stars[name] - stars["depth_true"]).abs() < _SIGMAS * stars[f"{name}_error"])


def _share(right: pd.Series) -> float:
    return float(right.mean()) if len(right) else math.nan


def _median(values: pd.Series) -> float:
    return float(values.median()) if len(values) else math.nan


if __name__ == "__main__":
    sys.exit(main())
