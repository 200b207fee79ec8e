"""What the client costs when there are many rows: the real plan, rows, writer and finish, with work that takes 1 ms.

    python scripts/benchmark_scale.py [--rows 60000] [--workers 2] [--stars 30] [--json]

The cache holds empty entries with an index that speaks of them. Every row carries image and evidence of the size that
they really have, every candidate a verdict's row; they are the embedded sample's, under other names.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchvet.catalog.candidate import Candidate
from batchvet.pixels.cache import INDEX, CacheEntry
from batchvet.pixels.entry import StampKey
from batchvet.pixels.index_file import encode_records
from batchvet.results.writer import ResultRow
from batchvet.runtime import run as runs
from batchvet.runtime.config import RunConfig
from batchvet.runtime.plan import make_plan
from batchvet.runtime.run import RunOptions
from batchvet.runtime.tasks import Task
from batchvet.vetting.judge import Judge, Judgement

SECTORS = 3
_SECONDS_PER_TASK = 1e-3


@cache
def sample() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Row, image and evidence of WASP-126 b in sector 1; each worker makes them once."""
    from batchvet.catalog.candidate import Ephemeris
    from batchvet.pixels.tpf import read_tpf
    from batchvet.sample import DIRECTORY
    from batchvet.vetting.measure import measure, observe
    from batchvet.vetting.rows import result_row
    from batchvet.vetting.settings import Surroundings, VetSettings

    (path, *_) = sorted(DIRECTORY.rglob("*s0001*.fits*"))
    settings = VetSettings()
    observation = observe(read_tpf(path), settings)
    candidate = Candidate("1.01", 25155310, Ephemeris(3.28878, 1327.5205, 3.49))
    made = result_row(measure(observation, candidate, Surroundings(), settings), {}).that_took(0.1)
    return dict(made.sector), dict(made.image or {}), dict(made.evidence or {})


@dataclass(frozen=True)
class FakeVet:
    """In place of VetTask: the sample's row under the task's name after a millisecond."""

    cache: str
    settings: Any

    def __call__(self, task: Task) -> list[ResultRow]:
        sector, image, evidence = sample()
        time.sleep(_SECONDS_PER_TASK)
        rows = []
        for candidate in task.candidates:
            key = {"toi": candidate.toi, "tic": task.tic, "sector": task.sector}
            noise = np.random.default_rng((task.tic, task.sector))
            other = {name: _noisy(value, noise) for name, value in {**image, **evidence}.items()}
            image = {**image, **{name: other[name] for name in image}, **key}
            evidence = {**evidence, **{name: other[name] for name in evidence}, **key}
            rows.append(ResultRow({**sector, **key, **task.hashes}, image, evidence))
        return rows


def _noisy(value: Any, noise: np.random.Generator) -> Any:
    """Long arrays as if of another star: every digit is another, so that they take the room that they really do."""
    if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.size < 20:
        return value
    return value * (1 + noise.random(value.shape, dtype=np.float32) / 8)


@dataclass(frozen=True)
class FakeJudge(Judge):
    """In place of Judge: the verdict on the first candidate, for all."""

    def __call__(self, judgement: Judgement) -> dict[str, Any]:
        verdict = _verdict()
        name = {name: getattr(judgement, name) for name in ("toi", "tic", "made_from")}
        return {
            **verdict,
            **name,
            "n_sectors": judgement.n_sectors,
            "hosts": [star | name for star in verdict["hosts"]],
        }


@cache
def _verdict() -> dict[str, Any]:
    return Judge()(Judgement("1.01", 1, 1, False, (sample()[2],)))


@dataclass
class Watch:
    """When rows came, and the memory of this process meanwhile; stops the run at a share of its rows."""

    stop_at: int = 0
    rows: int = 0
    first: float = 0.0
    last: float = 0.0
    phase: str = ""
    phases: list[tuple[str, float]] = field(default_factory=list)

    def start(self, phase: str, total: int | None) -> None:
        self.phase = phase
        self.phases.append((phase, time.perf_counter()))

    def advance(self, n: int = 1, failed: int = 0, n_bytes: int = 0) -> None:
        if self.phase == "Vetting":
            self.last = time.perf_counter()
            self.first = self.first or self.last
            self.rows += n
            if self.rows == self.stop_at:
                raise KeyboardInterrupt

    def say(self, text: str) -> None: ...


def write_inputs(base: Path, rows: int, stars: int) -> RunConfig:
    """A catalogue, a neighbour table, and a cache that has every file as far as its index knows."""
    n = -(-rows // SECTORS)
    tics = 10_000_000 + 17 * np.arange(n)
    rng = np.random.default_rng(0)
    catalogue = {
        "toi": [f"{100000 + i}.01" for i in range(n)],
        "tic": tics,
        "period_days": rng.uniform(1, 20, n),
        "t0_btjd": rng.uniform(1330, 1350, n),
        "duration_hours": rng.uniform(1, 5, n),
        "ra": rng.uniform(0, 360, n),
        "dec": rng.uniform(-80, 80, n),
    }
    pq.write_table(pa.table(catalogue), base / "toi.parquet")
    table = {
        "tic": np.repeat(tics, stars),
        "source_id": [str(i) for i in range(n * stars)],
        "ra": rng.uniform(0, 360, n * stars),
        "dec": rng.uniform(-80, 80, n * stars),
        "tmag": rng.uniform(8, 18, n * stars),
    }
    pq.write_table(pa.table(table), base / "neighbours.parquet")
    entries = []
    for sector in range(1, SECTORS + 1):
        (base / "cache" / f"s{sector:04d}").mkdir(parents=True)
    for tic in tics.tolist():
        for sector in range(1, SECTORS + 1):
            path = base / "cache" / StampKey(tic, sector, 120).name
            path.touch()
            mtime = path.stat().st_mtime_ns
            source = f"/archive/tess2018206045859-s{sector:04d}-{tic:016d}-0120-s_tp.fits"
            entries.append(CacheEntry(tic, sector, 120, 0, mtime, 20000, 1, 2, source, 5 * 10**7, 0, f"{tic:064x}"))
    (base / "cache" / INDEX).write_bytes(encode_records(CacheEntry, entries))
    return RunConfig(
        catalog=base / "toi.parquet",
        neighbours=base / "neighbours.parquet",
        cache=str(base / "cache"),
        output=base / "run",
        prf="empirical",
    )


def measured(rows: int, workers: int, stars: int) -> dict[str, float]:
    """A run that is stopped at half of its rows, and the one that goes on."""
    runs.VetTask, runs.Judge = FakeVet, FakeJudge  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # what it needs is not the client's
            config = pool.submit(write_inputs, base, rows, stars).result()
        config = config.model_copy(update={"cluster": config.cluster.model_copy(update={"workers": workers})})
        peak = PeakMemory()
        start = time.perf_counter()
        plan_seconds = _seconds_of_plan(config)
        half = Watch(stop_at=rows // 2)
        cpu = time.process_time()
        with suppress(KeyboardInterrupt):
            runs.run(config, RunOptions(), half)
        stopped = time.perf_counter()
        rest = Watch()
        done = runs.run(config, RunOptions(), rest)
        end = time.perf_counter()
        assert done.is_finished, "not finished"
        cpu = time.process_time() - cpu
        n_rows = SECTORS * -(-rows // SECTORS)
        size = sum(path.stat().st_size for path in config.output.rglob("*.parquet")) / 1e6
        return {
            "rows": n_rows,
            "overhead_ms_per_task": 1e3 * cpu / n_rows,  # of client and scheduler, from the plan to the end
            "wall_ms_per_task": 1e3 * (half.last - half.first + rest.last - rest.first) / n_rows,
            "client_peak_mb": peak.stop(),
            "plan_seconds": plan_seconds,
            "finish_seconds": end - rest.last,
            "resume_seconds": rest.first - stopped,
            "table_mb": size,
            "total_seconds": end - start,
        }


def _seconds_of_plan(config: RunConfig) -> float:
    start = time.perf_counter()
    make_plan(config)
    return time.perf_counter() - start


class PeakMemory:
    """The largest that this process was while it is watched, MB."""

    def __init__(self) -> None:
        self._peak, self._stopped = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.wait(0.05):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self._peak = max(self._peak, pages * resource.getpagesize() / 1e6)

    def stop(self) -> float:
        self._stopped.set()
        self._thread.join()
        return self._peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--stars", type=int, default=30, help="in the neighbour table, of each target")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(options.rows, options.workers, options.stars)
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in found.items()}))
    else:
        for name, value in found.items():
            print(f"{name:22s} {value:10.2f}")


if __name__ == "__main__":
    main()
