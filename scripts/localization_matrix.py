"""Every axis of the sky as rows of a table: simulated scenes of one value each, scored alike."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from localization_figures import matrix_figures
from localization_scenes import Outcome, outcomes

from batchvet.simulate import SimulationSettings, mission_sectors

_CHUNK = 5  # scenes that a process takes at once


@dataclass(frozen=True)
class Row:
    """One value of one axis."""

    axis: str
    value: str
    options: dict[str, Any] = field(default_factory=dict)  #: of SimulationSettings
    share: float = 1.0  #: of the scenes that are asked for, where a scene takes long

    @property
    def name(self) -> str:
        return f"{self.axis}={self.value}"


def _sectors(count: int) -> dict[str, Any]:
    return {"sectors": tuple(range(1, count + 1))}


def _cadences(*seconds: float, sectors: int = 3) -> dict[str, Any]:
    return {"cadence_s": tuple(seconds), **_sectors(sectors)}


_MIXED = (20.0, 120.0, 200.0, 600.0, 1800.0)

ROWS = (
    Row("base", "3 sectors"),
    *(Row("sectors", str(n), _sectors(n), share=min(1.0, 25 / n)) for n in (1, 2, 6, 8, 20, 40)),
    *(Row("years", str(n), {"sectors": mission_sectors(n)}) for n in (4, 8, 20)),
    Row("cadence", "20", _cadences(20.0, sectors=1), share=0.3),
    *(Row("cadence", f"{s:g}", _cadences(s)) for s in (120.0, 200.0, 600.0)),
    Row("cadence", "mixed", _cadences(*_MIXED), share=0.5),
    Row("cadence", "mixed/8", _cadences(*_MIXED, sectors=8), share=0.2),
    Row("snr", "5-7", {"snr_range": (5.0, 7.0)}),
    Row("snr", "50-500", {"snr_range": (50.0, 500.0)}),
    Row("drift", "0.5/6", {"drift": 0.5, **_sectors(6)}),
    Row("drift", "1/6", {"drift": 1.0, **_sectors(6)}),
    Row("drift", "1/years", {"drift": 1.0, "sectors": mission_sectors(6)}),
    Row("t0", "0.25", {"t0_offset": 0.25}),
    Row("t0", "0.5", {"t0_offset": 0.5}),
    Row("ttv", "0.1", {"ttv": 0.1}),
    Row("ttv", "0.25", {"ttv": 0.25}),
    Row("secondary", "0.5", {"secondary": 0.5}),
    Row("secondary", "1", {"secondary": 1.0}),
    Row("secondary", "0.5 deep", {"secondary": 0.5, "snr_range": (200.0, 2500.0)}),
    Row("odd-even", "0.3", {"odd_even": 0.3}),
    Row("single", "1 transit", {"single_fraction": 1.0}),
    Row("flares", "target", {"flares_in_transit": 1, "flare_host": "target"}),
    Row("flares", "neighbour", {"flares_in_transit": 1, "flare_host": "neighbour"}),
    Row("flares", "every sector", {"flares": 3, "flares_in_transit": 2}),
    Row("asteroids", "1", {"asteroids": 1}),
    Row("asteroids", "2", {"asteroids": 2}),
    Row("asteroids", "1 of 1", {"asteroids": 1, "single_fraction": 1.0}),
    Row("cosmic rays", "0.1", {"cosmic_rays": 0.1}),
    Row("cosmic rays", "1 at 120 s", {"cosmic_rays": 1.0, "cadence_s": 120.0}),
    Row("tmag", "4-5.5", {"tmag_range": (4.0, 5.5)}),
    Row("tmag", "4.5-7", {"tmag_range": (4.5, 7.0)}),
    Row("tmag", "4.5-7 cut", {"tmag_range": (4.5, 7.0), "tall_stamps": False}),
    Row("tmag", "7-8.5", {"tmag_range": (7.0, 8.5)}),
    Row("tmag", "13.5-16", {"tmag_range": (13.5, 16.0)}),
    Row("density", "5-15", {"density_range": (5.0, 15.0)}),
    Row("density", "15-40", {"density_range": (15.0, 40.0)}, share=0.4),
    Row("crowd", "25-75", {"crowd_range": (25, 75)}),
    Row("crowd", "100-200", {"crowd_range": (100, 200)}),
    Row("motion", "all know", {"proper_motion": 0.5}),
    Row("motion", "table", {"proper_motion": 0.5, "motion_known_by": ("table",)}),
    Row("motion", "header", {"proper_motion": 0.5, "motion_known_by": ("header",)}),
    Row("motion", "catalog", {"proper_motion": 0.5, "motion_known_by": ("header", "catalog")}),
    Row("motion", "TIC table", {"proper_motion": 0.5, "motion_known_by": ("table",), "neighbour_epoch": 2000.0}),
    Row("motion", "table/years", {"proper_motion": 0.5, "motion_known_by": ("table",), "sectors": mission_sectors(8)}),
    Row("table", "none", {"neighbour_table": False}),
    Row("table", "none, crowd", {"neighbour_table": False, "crowd_range": (25, 75)}),
    Row("table", "to 15", {"neighbour_limit": 15.0}),
    Row("short", "0.3 d, 2.5 h", {"period_range": (0.3, 0.3), "duration_range": (2.5, 2.5), "single_fraction": 0.0}),
    Row("short", "0.6-1.5 h", {"duration_range": (0.6, 1.5), "cadence_s": 200.0}),
    Row("long", "13 h", {"period_range": (20.0, 27.0), "duration_range": (13.0, 13.0)}),
    Row("pointing", "no POS_CORR", {"pos_corr": "absent"}),
    Row("pointing", "jitter 3", {"jitter": 3.0}),
    Row("pointing", "rough", {"pointing": "rough"}),
)


def rows_named(names: Sequence[str]) -> list[Row]:
    """The rows of these axes or names, in the table's order; all where none is named."""
    return [row for row in ROWS if not names or row.name in names or row.axis in names]


def run_matrix(
    rows: Sequence[Row], prfs: Sequence[str], prf_directory: Path | None, seed: int, scenes: int, jobs: int
) -> Iterator[dict[str, Any]]:
    """Figures of each row and kind of PRF; "official" has scenes of the official files, others the simulator's own."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for row in rows:
            for prf in prfs:
                began = time.perf_counter()
                directory = prf_directory if prf == "official" else None
                settings = SimulationSettings(seed=seed, prf_directory=directory, **row.options)
                count = max(1, math.ceil(row.share * scenes))
                chunks = [range(n, min(n + _CHUNK, count)) for n in range(0, count, _CHUNK)]
                work = [pool.submit(_judge_some, settings, chunk, prf) for chunk in chunks]
                found = [outcome for part in work for outcome in part.result()]
                figures = {"row": row.name, "axis": row.axis, "value": row.value, "prf": prf, **matrix_figures(found)}
                figures["seconds"] = round(time.perf_counter() - began, 1)
                print(f"{row.name}, PRF {prf}: {figures['seconds']:.0f} s", file=sys.stderr)
                yield figures


def _judge_some(settings: SimulationSettings, scenes: range, prf: str) -> list[Outcome]:
    """Outcomes without their evidence, which is large and not needed for figures."""
    return [replace(outcome, evidence=()) for outcome in outcomes(settings, scenes, prf)]


#: Column of the table, its heading, and how a figure is written there.
_COLUMNS = (
    ("hosts_right", "hosts", "{:6.1%}"),
    ("hosts_right_identifiable", "clear", "{:6.1%}"),
    ("sure_right", "sure", "{:6.1%}"),
    ("sure_right_all", "sure/all", "{:8.1%}"),
    ("n_sure", "of", "{:4d}"),
    ("wrong", "wrong", "{:6.1%}"),
    ("decided", "decided", "{:7.1%}"),
    ("coverage_68", "in 68", "{:6.1%}"),
    ("coverage_95", "in 95", "{:6.1%}"),
    ("calibration_error", "cal", "{:6.3f}"),
    ("n", "n", "{:4d}"),
    ("seconds", "s", "{:5.0f}"),
)


def print_matrix(report: Iterable[dict[str, Any]]) -> None:
    """The rows as a table, each as soon as it is there, with a line that says what the columns are."""
    print(f"{'row':24s} {'prf':9s} " + " ".join(f"{head:>{len(form.format(0))}s}" for _, head, form in _COLUMNS))
    for figures in report:
        cells = [
            form.format(figures[name]) if np.isfinite(figures[name]) else "-".rjust(len(form.format(0)))
            for name, _, form in _COLUMNS
        ]
        print(f"{figures['row']:24s} {figures['prf']:9s} " + " ".join(cells), flush=True)
    print(
        "hosts: named rightly, of dips on stars that can be named; clear: of those that one who knows PRF and noise\n"
        "tells apart; sure: right, of hosts with P >= 0.95; sure/all: of the stars so named, dips on unlisted stars\n"
        "included; wrong: ON or OFF_TARGET, of all; decided: ON or OFF_TARGET at SNR >= 7; in 68, in 95: joint\n"
        "ellipses that hold the truth at SNR >= 7; cal: expected calibration error of P(target)"
    )
