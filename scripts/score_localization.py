#!/usr/bin/env python3
"""How good is the localisation? Simulate scenes, locate their dips as a run does, and compare with the truth.

    python scripts/score_localization.py --scenes 200 --seed 11 --prf known
    python scripts/score_localization.py --scenes 100 --prf official --prf-directory ../shared/data/prf --compare
    python scripts/score_localization.py --matrix --scenes 100 --jobs 2 --prf empirical
    python scripts/score_localization.py --matrix --rows drift tmag=4.5-7 --scenes 200 --json

Prints error against the Cramer-Rao limit, coverage of the error ellipses, accuracy of hosts, verdicts and the
reliability of probabilities, by signal to noise, separation, magnitude difference and PRF.

With --matrix one row for each value of each axis of the sky (`scripts/localization_matrix.py` lists them). A row
depends on its name, the seed and the number of scenes alone; rows of one seed have the same targets where their axis
lets them.
Scenes have the pointing noise of the sky; --pointing rough gives those that earlier figures come from, to the last bit,
--jitter-error 0.002 only their error of POS_CORR.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from localization_figures import expected_calibration_error, score
from localization_matrix import ROWS, print_matrix, rows_named, run_matrix
from localization_rivals import rival_hosts
from localization_scenes import PRF_KINDS, Outcome, judge

from batchvet.simulate import SimulationSettings, draw_scene, simulate_stamp

__all__ = ["expected_calibration_error", "score"]


def main() -> int:
    options = _arguments()
    if options.matrix:
        rows = rows_named(options.rows)
        report = run_matrix(rows, options.prf, options.prf_directory, options.seed, options.scenes, options.jobs)
        print(json.dumps(list(report), indent=2)) if options.json else print_matrix(report)
        return 0
    found: list[Outcome] = []
    rivals: dict[str, list[bool]] = {}
    began = time.perf_counter()
    for prf in options.prf:
        for outcome, named in _judged(options, prf):
            found.append(outcome)
            for name, host in named.items():
                rivals.setdefault(f"{name}, scenes of prf {prf}", []).append(host == outcome.host)
            print(f"\r{len(found)} scenes, {time.perf_counter() - began:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    report = {"by_prf": {}, "rivals": {name: sum(right) / len(right) for name, right in rivals.items()}}
    for prf in options.prf:
        report["by_prf"][prf] = score([one for one in found if one.prf == prf])
    if options.json:
        print(json.dumps(report, indent=2, sort_keys=True))
    else:
        _print_report(report)
    return 0


#: Options of the scenes that every row of the matrix sets for itself, and of what is not made of it.
_NOT_OF_THE_MATRIX = (
    "sectors",
    "cadence",
    "family",
    "scenario",
    "snr",
    "pointing",
    "jitter_error",
    "pos_corr",
    "no_neighbours",
    "compare",
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100, help="number of scenes for each kind of PRF, or each row")
    parser.add_argument("--first", type=int, default=0, help="number of the first scene")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--matrix", action="store_true", help="one row for each value of each axis of the sky")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="of the matrix: axes, or axis=value")
    parser.add_argument("--sectors", type=int, default=3)
    parser.add_argument("--cadence", type=float, default=1800.0, help="s")
    parser.add_argument("--prf", nargs="+", choices=PRF_KINDS, help="default: known empirical; --matrix: empirical")
    parser.add_argument("--prf-directory", type=Path, help="official PRF files, needed by --prf official")
    parser.add_argument("--family", default="mixed", help="simulated PRF: gaussians, moffats or mixed")
    parser.add_argument("--scenario", default="mixed", help="kind of scene, as in `batchvet simulate`")
    parser.add_argument("--snr", type=float, nargs=2, default=(5.0, 50.0), metavar=("LOW", "HIGH"))
    parser.add_argument("--pointing", default="flight", choices=("flight", "rough"))
    parser.add_argument("--jitter-error", type=float, help="of POS_CORR, pixels; default: as the pointing has it")
    parser.add_argument("--pos-corr", default="measured", choices=("measured", "zero", "absent"))
    parser.add_argument("--no-neighbours", action="store_true", help="give no neighbour table")
    parser.add_argument("--compare", action="store_true", help="also run tess-vetter and exovetter")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    if options.matrix:
        own = [name for name in _NOT_OF_THE_MATRIX if getattr(options, name) != parser.get_default(name)]
        if own:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in own)
            parser.error(f"{names}: the rows of --matrix have their own; choose rows with --rows")
    elif options.rows:
        parser.error("--rows goes with --matrix")
    if options.prf is None:
        options.prf = ["empirical"] if options.matrix else ["known", "empirical"]
    if "official" in options.prf and options.prf_directory is None:
        parser.error("--prf official needs --prf-directory")
    if options.matrix and not rows_named(options.rows):
        parser.error(f"--rows: none of {', '.join(options.rows)} is among {', '.join(row.name for row in ROWS)}")
    return options


def _settings(options: argparse.Namespace, prf: str) -> SimulationSettings:
    """The same scenes for every kind of PRF, but with the official files' PRF where a directory is given."""
    return SimulationSettings(
        seed=options.seed,
        sectors=tuple(range(1, options.sectors + 1)),
        cadence_s=options.cadence,
        scenario=options.scenario,
        snr_range=tuple(options.snr),
        prf=options.family,
        prf_directory=options.prf_directory if prf != "known" else None,
        pointing=options.pointing,
        pos_corr_error_px=options.jitter_error,
        pos_corr=options.pos_corr,
        neighbour_table=not options.no_neighbours,
    )


def _judged(options: argparse.Namespace, prf: str) -> Iterator[tuple[Outcome, dict[str, str]]]:
    """Outcome of each scene, and the hosts that other tools name; in the scenes' order."""
    settings, scenes = _settings(options, prf), range(options.first, options.first + options.scenes)
    if options.jobs == 1:
        for index in scenes:
            yield _judge(settings, index, prf, options.compare)
        return
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_judge, *zip(*((settings, index, prf, options.compare) for index in scenes), strict=True))


def _judge(settings: SimulationSettings, index: int, prf: str, compare: bool) -> tuple[Outcome, dict[str, str]]:
    scene = draw_scene(settings, index)
    stamps = {sector: simulate_stamp(scene, sector) for sector in scene.sectors}
    outcome = judge(scene, stamps.items(), prf)
    return outcome, rival_hosts(scene, stamps) if compare and outcome.in_table else {}


def _print_report(report: dict[str, Any]) -> None:
    for prf, figures in report["by_prf"].items():
        print(f"\n=== PRF {prf}: {figures['scenes']} scenes")
        for name in ("position_by_snr", "hosts_by_snr", "hosts_by_separation", "hosts_by_magnitude"):
            print(f"\n{name.replace('_', ' ')}")
            _print_rows(figures[name])
        print("\nall")
        _print_rows({"position, SNR >= 7": figures["position"], "sectors, SNR >= 7": figures["sector_position"]})
        _print_rows({"hosts": figures["hosts"]})
        verdicts = figures["verdicts"]
        print("\nverdicts")
        for name, count in verdicts["confusion"].items():
            print(f"  {name:34s} {count:5d}")
        print(f"  wrong {verdicts['wrong']:.4f} (scenes {verdicts['wrong_scenes']})")
        print(f"  ON or OFF at SNR >= 7: {verdicts['decided_snr7']:.3f}")
        curve = figures["reliability"]
        print(
            f"\nP(target): expected calibration error {curve['error']:.4f}, uncalibrated {curve['error_raw']:.4f}, "
            f"of the best host {curve['error_best_host']:.4f}"
        )
        for row in curve["curve"]:
            print(f"  stated {row['p']:.3f}  true {row['true']:.3f}  n {row['n']}")
    for name, right in report["rivals"].items():
        print(f"\n{name}: host right in {right:.3f}")


def _print_rows(rows: dict[str, dict[str, float]]) -> None:
    names = list(next(iter(rows.values()), {}))
    print(f"  {'':20s}" + "".join(f"{name.replace('_', ' '):>20s}" for name in names))
    for label, row in rows.items():
        print(f"  {label:20s}" + "".join(f"{row.get(name, math.nan):20.3f}" for name in names))


if __name__ == "__main__":
    sys.exit(main())
