#!/usr/bin/env python3
"""Make the calibration that ships: from simulated scenes, how far may raw probabilities be believed?

    python scripts/make_calibration.py --matrix --scenes 8 --seed 6101 --prf-directory ../shared/data/prf --jobs 2 \
        --version 2026.11.3 --output batchvet/science/calibration.json

For each kind of PRF and node of the joint signal to noise the two numbers of `batchvet.science.calibration` are
those that make the true hypotheses most probable, with a prior that keeps them near 1 and 0 where scenes are few.
Scenes whose host no table has are simulated more often than the prior expects them, and count the less.
The range of what the scenes were like is stored with them: candidates outside are flagged OUTSIDE_CALIBRATION.
With --matrix or --rows the scenes are those of rows of `scripts/localization_matrix.py`, of each as many as --scenes
says.
Evaluate the result on other scenes: `scripts/score_localization.py` with another seed and another family of PRFs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from localization_matrix import Row, rows_named
from localization_scenes import Outcome, outcomes
from scipy.optimize import minimize

from batchvet.arrays import FloatArray
from batchvet.science.calibration import Calibration
from batchvet.science.circumstances import Circumstances
from batchvet.science.hypotheses import Hypotheses
from batchvet.science.joint import weigh
from batchvet.science.priors import Priors
from batchvet.simulate import SimulationSettings

NODES = (5.0, 7.0, 10.0, 20.0)
#: Where the PRF of each source is: in scenes of the simulator's own PRFs, and in scenes of the official files.
WORLDS = {
    "simulator": {"spoc": "known", "empirical": "empirical"},
    "official": {"spoc": "official", "empirical": "empirical"},
}
_CHUNK = 20  # scenes that a process takes at once
_SHARPNESS_PRIOR = 0.15  # 1 sigma of ln sharpness about 0
_CONFUSION_PRIOR = 0.01  # mean of an exponential distribution


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=1200, help="of each kind")
    parser.add_argument("--seed", type=int, default=101, help="the scenes of official PRFs have the next one")
    parser.add_argument("--prf-directory", type=Path, required=True, help="official PRF files")
    parser.add_argument("--sectors", type=int, default=3)
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="NAME", help="axes or rows of the matrix that scenes are drawn from"
    )
    parser.add_argument(
        "--matrix", action="store_true", help="draw from every row of the matrix that has a table of neighbours"
    )
    parser.add_argument("--pointing", default="flight", choices=("flight", "rough"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--version", required=True, help="name that is stored with every probability")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if options.matrix and options.rows:
        parser.error("--matrix or --rows, not both")
    rows = [Row("base", f"{options.sectors} sectors")]
    if options.matrix or options.rows:
        rows = [row for row in rows_named(options.rows) if options.rows or row.options.get("neighbour_table", True)]
    if not rows:
        parser.error(f"--rows: none of {', '.join(options.rows)} is a row of the matrix")
    found = _judged(options, rows)
    values = calibrate(found, options.version)
    values["domain"] = domain([scene for scenes in found.values() for scene in scenes])
    n_scenes = sum(math.ceil(row.share * options.scenes) for row in rows)
    values["made_from"] = {
        "scenes": {"simulator": n_scenes, "official": n_scenes},
        "seeds": {"simulator": options.seed, "official": options.seed + 1},
        "sectors": options.sectors,
        "rows": [row.name for row in rows],
        "pointing": options.pointing,
        "scenario": SimulationSettings.scenario,
        "snr": list(SimulationSettings.snr_range),
    }
    options.output.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    print(options.output.read_text(encoding="utf-8"))
    return 0


def _judged(options: argparse.Namespace, rows: Sequence[Row]) -> dict[str, list[Outcome]]:
    """Outcomes by the kind of PRF that was used, in an order that does not depend on the number of processes."""
    found: dict[str, list[Outcome]] = {"spoc": [], "empirical": []}
    sectors = tuple(range(1, options.sectors + 1))
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        work = []
        for number, (world, kinds) in enumerate(WORLDS.items()):
            seed, directory = options.seed + number, options.prf_directory if world == "official" else None
            common = {"seed": seed, "prf_directory": directory, "sectors": sectors, "pointing": options.pointing}
            for row in rows:
                settings = SimulationSettings(**common | row.options)
                for source, prf in kinds.items():
                    for first in range(0, math.ceil(row.share * options.scenes), _CHUNK):
                        scenes = range(first, min(first + _CHUNK, math.ceil(row.share * options.scenes)))
                        work.append((source, pool.submit(_some, settings, scenes, prf)))
        for done, (source, job) in enumerate(work, start=1):
            found[source] += job.result()
            print(f"\r{done} of {len(work)} parts", end="", file=sys.stderr)
    print(file=sys.stderr)
    return found


def _some(settings: SimulationSettings, scenes: range, prf: str) -> list[Outcome]:
    return list(outcomes(settings, scenes, prf))


def calibrate(found: dict[str, Sequence[Outcome]], version: str) -> dict[str, object]:
    """The content of a calibration file, by kind of PRF."""
    values: dict[str, object] = {"version": version, "snr": list(NODES), "sharpness": {}, "confusion": {}}
    for source, scenes in found.items():
        known = [truth for truth in map(_hypotheses, scenes) if truth is not None]
        sharpness, confusion = fit(known)
        values["sharpness"][source] = [round(float(x), 3) for x in sharpness]
        values["confusion"][source] = [round(float(x), 4) for x in confusion]
    return values


def domain(scenes: Sequence[Outcome]) -> dict[str, tuple[float, float]]:
    """Least and most of every circumstance in scenes that get a verdict, outwards to two figures."""
    seen = []
    for scene in scenes:
        if scene.evidence and (snr := weigh(scene.evidence)[0].snr) >= NODES[0]:
            seen.append(asdict(Circumstances.of(scene.evidence, snr)))
    spans = {name: np.array([one[name] for one in seen]) for name in (seen[0] if seen else {})}
    return {
        name: (_two_figures(np.nanmin(span), math.floor), _two_figures(np.nanmax(span), math.ceil))
        for name, span in spans.items()
    }


def _two_figures(value: float, rounded: Callable[[float], int]) -> float:
    """A positive number to two figures, up or down."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(rounded(value / step) * step, 6)


def _hypotheses(scene: Outcome) -> tuple[Hypotheses, float, int] | None:
    """Raw log weights, joint signal to noise and number of the true hypothesis; None where none is true."""
    if not scene.host or not scene.evidence:
        return None
    position, attribution = weigh(scene.evidence)
    if position.snr < NODES[0]:
        return None  # no verdict is given
    names = [host.source_id for host in attribution.hosts]
    if scene.in_table and scene.host not in names:
        return None  # outside every stamp
    true = names.index(scene.host) if scene.in_table else len(names)
    return attribution.log_weight, position.snr, true


def fit(known: Sequence[tuple[Hypotheses, float, int]]) -> tuple[FloatArray, FloatArray]:
    """Sharpness and confusion at the nodes, by maximum posterior probability."""
    n = len(NODES)
    unlisted = np.array([true == len(log_weight.hosts) for log_weight, _, true in known])
    prior = Priors().not_in_table
    expected = prior / max(float(unlisted.mean()), prior)
    count = np.where(unlisted, expected, 1.0)

    def loss(x: FloatArray) -> float:
        sharpness, confusion = np.exp(x[:n]), 1.0 / (1.0 + np.exp(-x[n:]))
        curve = Calibration("", NODES, {"spoc": tuple(sharpness)}, {"spoc": tuple(confusion)})
        total = 0.5 * float(np.sum((x[:n] / _SHARPNESS_PRIOR) ** 2)) + float(np.sum(confusion)) / _CONFUSION_PRIOR
        for weight, (log_weight, snr, true) in zip(count, known, strict=True):
            total -= weight * math.log(max(curve.probabilities(log_weight, snr, "spoc").values[true], 1e-12))
        return total

    start = np.concatenate([np.zeros(n), np.full(n, -5.0)])
    best = minimize(loss, start, method="L-BFGS-B", bounds=[(-1.0, 0.4)] * n + [(-9.0, -2.0)] * n)
    return np.exp(best.x[:n]), 1.0 / (1.0 + np.exp(-best.x[n:]))


if __name__ == "__main__":
    sys.exit(main())
