#!/usr/bin/env python3
"""Real pixels as the judge of the localisation.

    python scripts/inject_real.py --data ../shared/data --scenes 100 --jobs 2
    python scripts/inject_real.py --data ../shared/data --only sectors dv --json

injected  known dips in the real stamps of WASP-126 (sectors 1 and 2) and TOI-5807 (sector 83): on the target by dimming
          its own recorded light, elsewhere on invented stars (`scripts/real_pixels.py` says how). Epochs stay clear of
          the real transits, which are left out as another planet's. Scored like simulated scenes.
sectors   WASP-126 b's 16 real transits cut into 1 to 16 pseudo-sectors and judged as one candidate; and a place 10" and
          20" beside the star declared the target, with the true star in the table.
dv        our position on the difference images of SPOC's Data Validation against DV's own centroid.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from localization_figures import matrix_figures
from localization_matrix import print_matrix
from localization_scenes import Outcome
from real_checks import PIECES, against_dv, displaced, pseudo_sectors, read_dv
from real_pixels import RealTarget, inject, judge_injected, toi5807, wasp126

from batchvet.pixels.prf_files import find_prf
from batchvet.science.prf import spoc_prf
from batchvet.simulate.prf import spoc_directories

PARTS = ("injected", "sectors", "dv")
TARGETS: dict[str, tuple[Callable[[Path], RealTarget], tuple[str, ...]]] = {
    "WASP-126": (wasp126, ("official", "empirical")),
    "TOI-5807": (toi5807, ("empirical",)),  # there are no PRF files of its CCD
}
APART = (10.0, 20.0)


def main() -> int:
    options = _arguments()
    report: dict[str, Any] = {}
    if "injected" in options.only:
        report["injected"] = list(_injected(options))
    if "sectors" in options.only:
        target = wasp126(options.data)
        report["pseudo_sectors"] = [row for prf in options.prf for row in pseudo_sectors(target, prf)]
        report["displaced"] = [row for prf in options.prf for apart in APART for row in displaced(target, prf, apart)]
    if "dv" in options.only:
        report["dv"] = list(_dv(options.data))
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        _print_report(report)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="directory of the real stamps, PRF files and reports")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--scenes", type=int, default=50, help="for each target and kind of PRF")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--snr", type=float, nargs=2, default=(5.0, 50.0), metavar=("LOW", "HIGH"))
    parser.add_argument("--prf", nargs="+", choices=("official", "empirical"), default=("official", "empirical"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser.parse_args()


def _injected(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Figures of each target and kind of PRF, as a row of the matrix."""
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for name, (_, kinds) in TARGETS.items():
            for prf in (kind for kind in kinds if kind in options.prf):
                began = time.perf_counter()
                work = [
                    pool.submit(_one, options.data, name, options.seed, index, tuple(options.snr), prf)
                    for index in range(options.scenes)
                ]
                figures = matrix_figures([job.result() for job in work])
                figures["seconds"] = round(time.perf_counter() - began, 1)
                print(f"{name}, PRF {prf}: {figures['seconds']:.0f} s", file=sys.stderr)
                yield {"row": name, "axis": "real pixels", "value": name, "prf": prf, **figures}


@lru_cache(maxsize=2)
def _target(data: Path, name: str) -> RealTarget:
    return TARGETS[name][0](data)


def _one(data: Path, name: str, seed: int, index: int, snr: tuple[float, float], prf: str) -> Outcome:
    return judge_injected(inject(_target(data, name), seed, index, snr), index, prf)


def _dv(data: Path) -> Iterator[dict[str, Any]]:
    """Each report with the PRF that is fitted to its own images, and with the official ones of other CCDs."""
    directory = data / "dv"
    for path in sorted(directory.glob("*_dvr.xml")):
        dv = read_dv(path)
        table = next(directory.glob("toi3505_tic*.csv")) if dv.name == "TIC 390988385" else None
        stars = None if table is None else pd.read_csv(table)
        yield against_dv(dv, stars, None, "fitted")
        for start, camera, ccd in spoc_directories(data / "prf"):
            nodes = find_prf(data / "prf", 1 if start == "start_s0001" else 4, camera, ccd)
            yield against_dv(dv, stars, spoc_prf(nodes, *dv.reference), f"cam{camera} ccd{ccd}")


def _print_report(report: dict[str, Any]) -> None:
    if "injected" in report:
        print("Known dips in real pixels")
        print_matrix(report["injected"])
    if "pseudo_sectors" in report:
        _print_pseudo_sectors(report["pseudo_sectors"])
        _print_displaced(report["displaced"])
    if "dv" in report:
        print("\nDifference images of SPOC's Data Validation: row, column; apart in pixels")
        for row in report["dv"]:
            ours, theirs = (
                f"{row[f'{who}row']:.3f} ± {row[f'{who}row_error']:.3f}, "
                f"{row[f'{who}column']:.3f} ± {row[f'{who}column_error']:.3f}"
                for who in ("", "dv_")
            )
            apart = f"{row['difference_px']:.3f}"
            print(f"  {row['target']:13s} PRF {row['prf']:9s} ours {ours}; DV {theirs}; apart {apart}")


def _print_pseudo_sectors(rows: Sequence[dict[str, Any]]) -> None:
    print("\nWASP-126 b, its transits cut into pseudo-sectors")
    print("  prf        transits  pieces  verdict       P(target)  offset  sigma  consistency")
    for row in rows:
        where = f"  {row['prf']:9s} {row['transits']:>9s} {row['pieces']:7d}  {row['verdict']:12s}"
        offset = f'{row["offset_arcsec"]:6.2f}" {row["sigma"]:6.2f}'
        print(f"{where} {row['p_target']:10.3g} {offset}  {row['consistency_p']:11.3g}")


def _print_displaced(rows: Sequence[dict[str, Any]]) -> None:
    print(f"\nA place beside WASP-126 declared the target, the true star in the table; pieces {PIECES}")
    groups: dict[tuple[str, float, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["prf"], row["apart"], row["direction"]), []).append(row)
    for (prf, apart, direction), found in groups.items():
        verdicts = " ".join(row["verdict"] for row in found)
        right = f"host right {sum(row['host_right'] for row in found)} of {len(found)}"
        most, error = max(row["p_target"] for row in found), max(row["error_arcsec"] for row in found)
        figures = f'{right}; P(target) <= {most:.2g}; error <= {error:.2f}"'
        print(f'  {prf:9s} {apart:.0f}" {direction:5s} {verdicts}; {figures}')


if __name__ == "__main__":
    sys.exit(main())
