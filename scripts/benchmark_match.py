#!/usr/bin/env python3
"""Whose ephemeris is whose among 8,000 candidates and 10,000 binaries: how many injected pairs are found, how fast?

    python scripts/benchmark_match.py ../shared/data/toi_tables/exofop_toi_2025-10.csv.gz [--binaries 10000] [--json]

The ephemerides are those of a published TOI table, with its errors where it has them; places are shuffled between
targets, so that its own true pairs are none. The binaries are made: periods and errors as such catalogues have them,
in the directions of the candidates, which are not even on the sky. 50 of them are given the dips of a candidate: its
period or 2, 3, 1/2, 1/3 times that, measured anew some hundred days earlier or later, at its epoch or at the
secondary's, a fifth without errors; near it on the sky, along its column, or opposite through its camera's axis.
Every match with another is false. Timed is what `batchvet match` does; the run before has no pixels and is not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from tess_stars2px import (
    TESS_Spacecraft_Pointing_Data,
    tess_stars2px_function_entry,
    tess_stars2px_reverse_function_entry,
)

from batchvet.api import run
from batchvet.catalog.reader import read_catalog
from batchvet.runtime.config import RunConfig

KINDS = ("near", "near", "near", "same_column", "opposite")
RATIOS = (1.0, 1.0, 2.0, 0.5, 3.0, 1 / 3)
_FRAME = (60.0, 2077.0)  # columns


def candidates_of(path: Path, rng: np.random.Generator) -> pd.DataFrame:
    """The table's ephemerides in own columns, places (with sectors and magnitudes) shuffled between targets."""
    rows = pd.DataFrame(
        {
            "toi": c.toi,
            "tic": c.tic,
            "period_days": c.ephemeris.period_days,
            "period_err": c.ephemeris.period_err_days,
            "t0_btjd": c.ephemeris.t0_btjd,
            "t0_err": c.ephemeris.t0_err_days,
            "duration_hours": 24 * c.ephemeris.duration_days,
            "ra": c.ra,
            "dec": c.dec,
            "tmag": c.tmag,
            "sectors": ",".join(map(str, c.sectors or ())),
        }
        for c in read_catalog(path).candidates
    )
    if (rows["sectors"] != "").any():  # NASA's table has none
        rows = rows[rows["sectors"] != ""]
    rows = rows[rows["ra"].notna() & rows["duration_hours"].gt(0)].reset_index(drop=True)
    places = rows.groupby("tic")[["ra", "dec", "tmag", "sectors"]].first()
    shuffled = places.sample(frac=1.0, random_state=int(rng.integers(2**31))).set_index(places.index)
    return rows.drop(columns=list(places)).merge(shuffled, left_on="tic", right_index=True)


def binaries_of(candidates: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Binaries that have nothing to do with the candidates, a few degrees from one."""
    period = np.exp(rng.uniform(np.log(0.2), np.log(30.0), count))
    host = candidates.sample(count, replace=True, random_state=int(rng.integers(2**31)))
    return pd.DataFrame(
        {
            "name": [f"EB {n}" for n in range(count)],
            "ra": (host["ra"].to_numpy() + rng.normal(0, 3, count) / np.cos(np.radians(host["dec"].to_numpy()))) % 360,
            "dec": np.clip(host["dec"].to_numpy() + rng.normal(0, 3, count), -89.9, 89.9),
            "period_days": period,
            "t0_btjd": 1325 + rng.uniform(0, 1000, count),
            "tmag": rng.uniform(6, 15, count),
            "period_err": period * 10 ** rng.uniform(-6, -4, count),
            "t0_err": 10 ** rng.uniform(-4, -2.5, count),
        }
    )


def give_dips(
    binaries: pd.DataFrame, candidates: pd.DataFrame, count: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    """The first binaries get the dips of candidates; returns which, and how."""
    able = candidates[candidates["period_days"].between(0.5, 30)].drop_duplicates("tic")
    pointing = TESS_Spacecraft_Pointing_Data()
    given: list[dict[str, object]] = []
    for _, source in able.sample(frac=1.0, random_state=int(rng.integers(2**31))).iterrows():
        n = len(given)
        if n == count:
            break
        kind, ratio, secondary = KINDS[n % len(KINDS)], RATIOS[n % len(RATIOS)], n % 7 == 3
        place = _place(source, kind, pointing, rng)
        if place is None:
            continue
        period, error = source["period_days"], max(np.nan_to_num(source["period_err"]), 1e-6 * source["period_days"])
        t0_error = max(np.nan_to_num(source["t0_err"]), 5e-4)
        shorter = period * min(ratio, 1.0)
        epoch = source["t0_btjd"] + period * max(ratio, 1.0) * rng.integers(-30, 30) + (shorter / 2 if secondary else 0)
        honest = n % 5 != 4
        values = {
            "ra": place[0],
            "dec": place[1],
            "period_days": ratio * (period + rng.normal() * error),
            "t0_btjd": epoch + rng.normal() * t0_error,
            "period_err": ratio * error if honest else np.nan,
            "t0_err": t0_error if honest else np.nan,
            "tmag": 8.0,
        }
        binaries.loc[n, list(values)] = list(values.values())
        given.append({"toi": source["toi"], "name": f"EB {n}", "kind": kind, "ratio": ratio, "secondary": secondary})
    return given


def _place(
    source: pd.Series, kind: str, pointing: TESS_Spacecraft_Pointing_Data, rng: np.random.Generator
) -> tuple[float, float] | None:
    """Where a star would share the candidate's light in that way; None where it has no such place."""
    ra, dec = float(source["ra"]), float(source["dec"])
    if kind == "near":
        angle, apart = rng.uniform(0, 2 * np.pi), rng.uniform(20, 120) / 3600
        return ra + apart * np.sin(angle) / np.cos(np.radians(dec)), dec + apart * np.cos(angle)
    wanted = {int(sector) for sector in str(source["sectors"]).split(",") if sector}
    seen = tess_stars2px_function_entry(0, ra, dec, scInfo=pointing)
    for sector, camera, ccd, column, row in zip(*seen[3:8], strict=True):
        if (not wanted or sector in wanted) and _FRAME[0] < column < _FRAME[1] and 30 < row < 2020:
            there = (
                (ccd, column, (row + 700) % 1900 + 60) if kind == "same_column" else ((ccd + 1) % 4 + 1, column, row)
            )
            found = tess_stars2px_reverse_function_entry(sector, camera, *there, scInfo=pointing)
            return float(found[0]), float(found[1])
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="TOI table as published")
    parser.add_argument("--binaries", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    candidates = candidates_of(options.table, rng)
    binaries = binaries_of(candidates, options.binaries, rng)
    given = give_dips(binaries, candidates, options.pairs, rng)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        candidates.to_csv(base / "toi.csv", index=False)
        binaries.to_csv(base / "binaries.csv", index=False)
        places = {"catalog": base / "toi.csv", "cache": str(base / "cache"), "output": base / "run"}
        done = run(RunConfig(**places, cluster={"serial": True}))
        start = time.perf_counter()
        found = done.match(base / "binaries.csv")
        seconds = time.perf_counter() - start
    report = {"candidates": len(candidates), "binaries": len(binaries), "pairs": len(given)}
    report |= figures(found, given, len(candidates)) | {"seconds": round(seconds, 2)}
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for name, value in report.items():
            print(f"{name:22s} {value}")
    return 0


def figures(found: pd.DataFrame, given: list[dict[str, object]], n_candidates: int) -> dict[str, object]:
    """How many pairs are found, as what they are, and how many of the others are told."""
    told = {(row.toi, row.ephemeris_match): row for row in found.itertuples()}
    names = {(one["toi"], one["name"]): one for one in given}
    false = found[[key not in names for key in zip(found["toi"], found["ephemeris_match"], strict=True)]]
    hit = {key: told[key] for key in names if key in told}
    return {
        "found": len(hit),
        "found_as_injected": sum(
            row.match_kind == names[key]["kind"]
            and np.isclose(row.period_ratio, names[key]["ratio"])
            and row.match_phase == 0.5 * bool(names[key]["secondary"])
            for key, row in hit.items()
        ),
        "missed": [list(names[key].values()) for key in names if key not in told],
        "false": int(false["toi"].nunique()),
        "false_per_1000": round(1000 * false["toi"].nunique() / n_candidates, 3),
        "false_by_kind": false.drop_duplicates("toi")["match_kind"].value_counts().to_dict(),
    }


if __name__ == "__main__":
    sys.exit(main())
