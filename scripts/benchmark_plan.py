"""How long it takes to plan the whole TOI list: a table in ExoFOP's layout against a cache of many entries.

    python scripts/benchmark_plan.py [--candidates 7600] [--entries 60000] [--without-archive]

The cache's entries are empty files with an index that speaks of them, which is all that a plan looks at; an archive's
answers are remembered beside it. Time and memory are those of the plan: another process makes all this.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from benchmark_scale import PeakMemory

from batchvet.pixels.cache import INDEX, CacheEntry
from batchvet.pixels.entry import StampKey
from batchvet.pixels.index_file import encode_records
from batchvet.pixels.mast import MastChoice, MastSource
from batchvet.pixels.mast_answers import Answer, Answers
from batchvet.pixels.sources import Asking
from batchvet.pixels.storage import LocalStorage
from batchvet.runtime.config import RunConfig
from batchvet.runtime.plan import make_plan
from batchvet.runtime.settings import MastSettings, MastSourceSettings

_COLUMNS = (
    "TIC ID,TOI,TESS Mag,RA,Dec,PM RA (mas/yr),PM Dec (mas/yr),Epoch (BJD),Epoch (BJD) err,Period (days),"
    "Period (days) err,Duration (hours),Depth (ppm),Sectors,Comments"
)


def write_catalogue(path: Path, targets: dict[int, list[int]], candidates: int, with_sectors: bool) -> None:
    """A TOI table as ExoFOP's download link gives it."""
    rng = np.random.default_rng(1)
    tics = list(targets)
    rows = []
    for number in range(candidates):
        tic = tics[number % len(tics)]
        sectors = ",".join(map(str, targets[tic])) if with_sectors else ""
        values = rng.uniform([8, 1, 0.2, 1, 100], [15, 20, 1, 5, 9000])
        rows.append(
            f"{tic},{1000 + number % len(tics)}.{1 + number // len(tics):02d},{values[0]:.4f},04:13:29.93,-69:13:35.73,"
            f"63.1,53.4,{2459363.488 + values[1]:.6f},0.0005,{values[1]:.6f},5e-07,{values[3]:.3f},{values[4]:.1f},"
            f'"{sectors}","as, written"'
        )
    path.write_text("\n".join([_COLUMNS, *rows]) + "\n")


def fill_cache(cache: Path, targets: dict[int, list[int]]) -> int:
    """Empty entries and their index."""
    entries = []
    for sector in sorted({sector for several in targets.values() for sector in several}):
        (cache / f"s{sector:04d}").mkdir(parents=True)
    for tic, sectors in targets.items():
        for sector in sectors:
            name = StampKey(tic, sector, 120).name
            (cache / name).touch()
            mtime_ns = (cache / name).stat().st_mtime_ns
            source = f"mast:TESS/product/tess2018206045859-s{sector:04d}-{tic:016d}-0120-s_tp.fits"
            entries.append(CacheEntry(tic, sector, 120, 0, mtime_ns, 20000, 1, 2, source, 5 * 10**7, 0, f"{tic:064x}"))
    (cache / INDEX).write_bytes(encode_records(CacheEntry, entries))
    return len(entries)


class _Archive:
    """An archive that has just what is cached, and one sector more."""

    def __init__(self, targets: dict[int, list[int]]) -> None:
        self._targets = targets
        self._now = datetime.now(UTC).isoformat(timespec="seconds")

    def answers(self, tic: int) -> list[Answer]:
        """What it says of a target."""
        name = "mast:TESS/product/tess2018206045859-s{:04d}-{:016d}-0120-s_tp.fits"
        sectors = (*self._targets[tic], 99)
        return [Answer(tic, self._now, s, "SPOC", 120, name.format(s, tic), 5 * 10**7) for s in sectors]


def made_inputs(base: Path, candidates: int, entries: int) -> int:
    """Catalogues with and without sectors, a cache, and an archive's answers; returns how many entries it has."""
    n_targets = max(1, int(candidates / 1.05))
    rng = np.random.default_rng(0)
    n_sectors = entries // n_targets + 1
    targets = {
        10_000_000 + 1017 * n: sorted(rng.choice(np.arange(1, 90), n_sectors, replace=False).tolist())
        for n in range(n_targets)
    }
    for with_sectors in (True, False):
        write_catalogue(base / f"toi-{with_sectors}.csv", targets, candidates, with_sectors)
    answers, archive = Answers(), _Archive(targets)
    answers.learn({tic: archive.answers(tic) for tic in targets})
    source = MastSource(MastChoice(), LocalStorage(base / "cache"))
    source._kept_in.put(source._name, answers.encoded(), lambda content: None, replace=True)
    return fill_cache(base / "cache", targets)


def main() -> None:
    """Print time and memory of each kind of plan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=7600)
    parser.add_argument("--entries", type=int, default=60_000)
    parser.add_argument("--without-archive", action="store_true", help="what is in the cache alone")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            n_entries = pool.submit(made_inputs, base, options.candidates, options.entries).result()
        print(f"{options.candidates} candidates, {n_entries} cached entries", flush=True)
        sources = () if options.without_archive else (MastSourceSettings(mast=MastSettings()),)
        for with_sectors in (True, False):
            config = RunConfig(
                catalog=base / f"toi-{with_sectors}.csv",
                cache=str(base / "cache"),
                output=base / "run",
                sources=sources,
            )
            profile, peak = cProfile.Profile(), PeakMemory()
            start, cpu_start = time.perf_counter(), time.process_time()
            if options.profile:
                profile.enable()
            plan = make_plan(config, asking=Asking(ask=False))
            profile.disable()
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
            kind = "with" if with_sectors else "without"
            print(
                f"plan {kind} sectors in the table: {seconds:.1f} s ({cpu:.1f} s of CPU), {len(plan.tasks)} tasks, "
                f"{peak.stop():.0f} MB at the peak",
                flush=True,
            )
            if options.profile:
                pstats.Stats(profile).sort_stats("cumulative").print_stats(25)
            del plan


if __name__ == "__main__":
    main()
