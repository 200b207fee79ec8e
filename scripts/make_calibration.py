#!/usr/bin/env python3
"""Make the calibration that ships: from simulated scenes, how far may raw probabilities be believed?

    python scripts/make_calibration.py --scenes 1200 --seed 101 --prf-directory ../shared/data/prf \
        --version 2026.11.2 --output batchvet/science/calibration.json

For each kind of PRF and node of the joint signal to noise the two numbers of `batchvet.science.calibration` are
those that make the true hypotheses most probable, with a prior that keeps them near 1 and 0 where scenes are few.
Scenes whose host no table has are simulated more often than the prior expects them, and count the less.
Evaluate the result on other scenes: `scripts/score_localization.py` with another seed and another family of PRFs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from localization_scenes import Outcome, outcomes
from numpy.typing import NDArray
from scipy.optimize import minimize

from batchvet.science.calibration import Calibration
from batchvet.science.hypotheses import Hypotheses
from batchvet.science.joint import weigh
from batchvet.science.priors import Priors
from batchvet.simulate import SimulationSettings

FloatArray = NDArray[np.float64]

NODES = (5.0, 7.0, 10.0, 20.0)
#: Where the PRF of each source is: in scenes of the simulator's own PRFs, and in scenes of the official files.
WORLDS = {
    "simulator": {"spoc": "known", "empirical": "empirical"},
    "official": {"spoc": "official", "empirical": "empirical"},
}
_SHARPNESS_PRIOR = 0.15  # 1 sigma of ln sharpness about 0
_CONFUSION_PRIOR = 0.01  # mean of an exponential distribution


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=1200, help="of each kind")
    parser.add_argument("--seed", type=int, default=101, help="the scenes of official PRFs have the next one")
    parser.add_argument("--prf-directory", type=Path, required=True, help="official PRF files")
    parser.add_argument("--sectors", type=int, default=3)
    parser.add_argument("--version", required=True, help="name that is stored with every probability")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    found: dict[str, list[Outcome]] = {"spoc": [], "empirical": []}
    for number, (world, kinds) in enumerate(WORLDS.items()):
        settings = SimulationSettings(
            seed=options.seed + number,
            sectors=tuple(range(1, options.sectors + 1)),
            prf_directory=options.prf_directory if world == "official" else None,
        )
        for source, prf in kinds.items():
            for count, (_, _, outcome) in enumerate(outcomes(settings, range(options.scenes), prf), start=1):
                found[source].append(outcome)
                print(f"\r{world} {source} {count}/{options.scenes}", end="", file=sys.stderr)
    print(file=sys.stderr)
    values = calibrate(found, options.version)
    values["made_from"] = {
        "scenes": {"simulator": options.scenes, "official": options.scenes},
        "seeds": {"simulator": options.seed, "official": options.seed + 1},
        "sectors": options.sectors,
        "scenario": SimulationSettings.scenario,
        "snr": list(SimulationSettings.snr_range),
    }
    options.output.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    print(options.output.read_text(encoding="utf-8"))
    return 0


def calibrate(found: dict[str, Sequence[Outcome]], version: str) -> dict[str, object]:
    """The content of a calibration file, by kind of PRF."""
    values: dict[str, object] = {"version": version, "snr": list(NODES), "sharpness": {}, "confusion": {}}
    for source, scenes in found.items():
        known = [truth for truth in map(_hypotheses, scenes) if truth is not None]
        sharpness, confusion = fit(known)
        values["sharpness"][source] = [round(float(x), 3) for x in sharpness]
        values["confusion"][source] = [round(float(x), 4) for x in confusion]
    return values


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
