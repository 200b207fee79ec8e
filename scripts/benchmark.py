#!/usr/bin/env python3
"""Measure what the README claims, as ratios within one run: scripts/benchmark.py [stages|v09|checks|...] [--json]

stages   every step of a target-sector beside what public tools take for the same (benchmark_stages.py);
         --record VERSION adds a line to docs/method/benchmarks.jsonl
axes     how the time grows with cadences, stamp size, transits, stars, candidates, sectors (benchmark_axes.py)
memory   most memory of a worker
v09      V09 from the cache against opening the FITS file and running tess-vetter's V09, WASP-126 sector 1
checks   V08 and V10 against tess-vetter's, and the localisation with and without official PRF files, reading excluded
codecs   size and reading time of a cache entry's flux, by codec
neighbours  a sector of WASP-126 against the stars of its table, the embedded sample's pixels in memory
scaling  1 and 2 workers and the serial executor on simulated stamps (30 minutes, or --cadence), what is spent outside
         tasks, and the client's memory
scale    what the client costs when there are many rows (benchmark_scale.py)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS"):
    os.environ.setdefault(name, "1")

import benchmark_axes
import benchmark_history
import benchmark_stages
import numpy as np

SHARED = Path(os.environ.get("BATCHVET_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))


def times(work: Callable[[], object], repeats: int) -> list[float]:
    """Wall seconds of each repeat, after one that does not count."""
    work()
    measured = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        measured.append(time.perf_counter() - start)
    return measured


def benchmark_v09(repeats: int) -> dict[str, float]:
    """Reading from the cache and V09, against astropy's reading of the file and tess-vetter's V09."""
    from astropy.io import fits
    from tess_vetter.domain.detection import TransitCandidate
    from tess_vetter.validation.checks_pixel import check_pixel_level_lc_with_tpf

    from batchvet.catalog.candidate import Ephemeris
    from batchvet.pixels.cache import Cache
    from batchvet.pixels.quality import DEFAULT
    from batchvet.pixels.tpf import read_tpf
    from batchvet.science.depth_map import depth_map

    (path,) = (SHARED / "data" / "wasp126").glob("*-s0001-*")
    ephemeris = Ephemeris(3.28878, 1327.5205, 3.49)
    candidate = TransitCandidate(period=3.28878, t0=1327.5205, duration_hours=3.49, depth=0.0066, snr=50.0)
    with tempfile.TemporaryDirectory() as directory:
        cache = Cache(directory)
        key = cache.write(read_tpf(path)).key

        def ours() -> float:
            stamp = cache.read(key, with_errors=False)
            stamp = stamp.select(stamp.good(DEFAULT))
            return depth_map(stamp.time, stamp.flux, ephemeris).max_depth_ppm

        def theirs() -> float:
            with fits.open(path) as hdus, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                table = hdus[1].data
                good = np.isfinite(table["TIME"]) & ((table["QUALITY"] & DEFAULT) == 0)
                found = check_pixel_level_lc_with_tpf(
                    tpf_data=table["FLUX"][good], time=table["TIME"][good], candidate=candidate
                )
            return found.details["max_depth_ppm"]

        assert ours() == theirs()
        fast, slow = np.median(times(ours, repeats)), np.median(times(theirs, repeats))
    return {"batchvet_ms": 1e3 * fast, "fits_and_tess_vetter_ms": 1e3 * slow, "ratio": slow / fast}


def benchmark_checks(repeats: int) -> dict[str, float]:
    """V08, V10 and the localisation of WASP-126 b in sector 1, pixels in memory."""
    from tess_vetter.domain.detection import TransitCandidate
    from tess_vetter.validation.checks_pixel import (
        check_aperture_dependence_with_tpf,
        check_centroid_shift_with_tpf,
    )

    from batchvet.catalog.candidate import Ephemeris
    from batchvet.pixels.quality import DEFAULT
    from batchvet.pixels.tpf import read_tpf
    from batchvet.science.aperture_dependence import aperture_dependence
    from batchvet.science.centroid_shift import centroid_shift
    from batchvet.science.localization import localize
    from batchvet.science.timeline import Transits
    from batchvet.vetting.measure import official_prf
    from batchvet.vetting.process import measuring

    (path,) = (SHARED / "data" / "wasp126").glob("*-s0001-*")
    stamp = read_tpf(path)
    good = stamp.select(stamp.good(DEFAULT))
    ephemeris = Ephemeris(3.28878, 1327.5205, 3.49)
    candidate = TransitCandidate(period=3.28878, t0=1327.5205, duration_hours=3.49, depth=0.0066, snr=50.0)
    theirs = {"tpf_data": good.flux, "time": good.time, "candidate": candidate}
    official = official_prf(stamp, str(SHARED / "data" / "prf"))

    def located(prf: object) -> None:
        localize(stamp, Transits(ephemeris), prf=prf)

    works = {
        "v08": lambda: centroid_shift(good.time, good.flux, ephemeris),
        "tess_vetter_v08": lambda: check_centroid_shift_with_tpf(**theirs),
        "v10": lambda: aperture_dependence(good.time, good.flux, ephemeris),
        "tess_vetter_v10": lambda: check_aperture_dependence_with_tpf(**theirs),
        "localization_official_prf": lambda: located(official),
        "localization_empirical_prf": lambda: located(None),
    }
    with measuring():
        results = {f"{name}_ms": 1e3 * float(np.median(times(work, repeats))) for name, work in works.items()}
    for name in ("v08", "v10"):
        results[f"{name}_ratio"] = results[f"tess_vetter_{name}_ms"] / results[f"{name}_ms"]
    return results


def benchmark_neighbours(repeats: int) -> dict[str, float]:
    """Seconds of the localisation of one sector with so many stars within 2.5 arcmin, as faint as Tmag 21."""
    from batchvet.catalog.candidate import Ephemeris, Neighbour
    from batchvet.pixels.tpf import read_tpf
    from batchvet.sample import DIRECTORY
    from batchvet.science.localization import localize
    from batchvet.science.stars import StarField
    from batchvet.science.timeline import Transits
    from batchvet.vetting.process import measuring

    (path,) = (DIRECTORY / "tpfs").glob("*-s0001-*")
    stamp, transits = read_tpf(path), Transits(Ephemeris(3.28878, 1327.5205, 3.49))
    ra, dec = stamp.target_position()
    results = {}
    for n in (0, 250, 500, 1000, 2000):
        rng = np.random.default_rng(1)
        east, north = rng.uniform(-150.0, 150.0, (2, n)) / 3600.0
        tmag = np.maximum(21.0 + np.log10(rng.uniform(0.0, 1.0, n)) / 0.35, 11.5)
        places = zip(ra + east / np.cos(np.radians(dec)), dec + north, tmag, strict=True)
        stars = [Neighbour(str(i), *(float(x) for x in star)) for i, star in enumerate(places)]
        field = StarField(neighbours=(*stars, Neighbour(str(stamp.tic), ra, dec, 10.6)))
        with measuring():
            results[f"{n}_stars_s"] = float(
                np.median(times(lambda field=field: localize(stamp, transits, field), repeats))
            )
    return results


def benchmark_codecs(repeats: int) -> dict[str, dict[str, float]]:
    """One array, one chunk, as the cache keeps it."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec, ZstdCodec
    from zarr.storage import MemoryStore

    from batchvet.pixels.tpf import read_tpf

    (path,) = (SHARED / "data" / "wasp126").glob("*-s0001-*")
    flux = read_tpf(path).flux

    def blosc(cname: str, level: int, shuffle: str) -> BloscCodec:
        return BloscCodec(cname=cname, clevel=level, shuffle=shuffle, typesize=4)

    along_time = [TransposeCodec(order=(1, 2, 0))]
    choices = {
        "zstd bitshuffle 3, along time": (along_time, blosc("zstd", 3, "bitshuffle")),
        "zstd bitshuffle 5, along time": (along_time, blosc("zstd", 5, "bitshuffle")),
        "zstd bitshuffle 3, by cadence": (None, blosc("zstd", 3, "bitshuffle")),
        "zstd shuffle 3, along time": (along_time, blosc("zstd", 3, "shuffle")),
        "lz4 bitshuffle 3, along time (used)": (along_time, blosc("lz4", 3, "bitshuffle")),
        "lz4 bitshuffle 9, along time": (along_time, blosc("lz4", 9, "bitshuffle")),
        "lz4hc bitshuffle 5, along time": (along_time, blosc("lz4hc", 5, "bitshuffle")),
        "blosclz bitshuffle 5, along time": (along_time, blosc("blosclz", 5, "bitshuffle")),
        "plain zstd 3, along time": (along_time, ZstdCodec(level=3)),
    }
    results = {}
    for name, (filters, codec) in choices.items():
        members: dict = {}
        group = zarr.create_group(MemoryStore(members), zarr_format=3)
        array = group.create_array(
            "flux", shape=flux.shape, dtype="f4", chunks=flux.shape, filters=filters, compressors=[codec, Crc32cCodec()]
        )
        start = time.perf_counter()
        array[...] = flux
        written = time.perf_counter() - start
        read = np.median(times(lambda array=array: array[...], repeats))
        size = sum(len(value.to_bytes()) for value in members.values())
        results[name] = {"MB": size / 1e6, "read_ms": 1e3 * read, "write_ms": 1e3 * written}
    return results


def benchmark_scaling(tasks: int, cadence_s: float) -> dict[str, float]:
    """The same run serially, with one worker and with two; the cache is warm, so that only vetting is compared.

    What is not in tasks is neither measuring a row nor judging a candidate.
    """
    from batchvet.api import run
    from batchvet.runtime.config import read_config
    from batchvet.runtime.fill import ingest
    from batchvet.runtime.settings import ClusterSettings
    from batchvet.simulate import simulate
    from batchvet.vetting.judge import Judge

    judging: list[float] = []
    judge = Judge.__call__

    def timed_judge(self: Judge, judgement: Any) -> dict[str, Any]:
        start = time.perf_counter()
        try:
            return judge(self, judgement)
        finally:
            judging.append(time.perf_counter() - start)

    class VettingSeconds:
        """Seconds from the first to the last row, without starting and closing the cluster."""

        def __init__(self) -> None:
            self.first = self.last = 0.0
            self.memory: list[float] = []

        def start(self, phase: str, total: int | None) -> None:
            self.phase = phase
            if phase == "Vetting":
                self.first = time.perf_counter()

        def advance(self, n: int = 1, failed: int = 0) -> None:
            if self.phase == "Vetting":
                self.last = time.perf_counter()
                self.memory.append(resident_mb())

        def say(self, text: str) -> None: ...

    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        kinds: dict[str, Any] = {"targets": max(1, tasks // 5), "sectors": 5, "cadence_s": cadence_s}
        survey = simulate(Path(directory) / "sim", seed=1, workers=2, **kinds)
        config = read_config(survey.config)
        ingest(config)
        clusters = {"serial": ClusterSettings(serial=True)}
        clusters |= {name: ClusterSettings(workers=n) for name, n in (("one_worker", 1), ("two_workers", 2))}
        for name, cluster in clusters.items():
            watch = VettingSeconds()
            output = Path(directory) / name
            with patch.object(Judge, "__call__", timed_judge):  # of the serial run: workers have their own
                done = run(config.model_copy(update={"cluster": cluster, "output": output}), progress=watch)
            results[f"{name}_s"] = watch.last - watch.first
            in_tasks = float(done.sectors["seconds"].sum()) + len(done.candidates) * float(np.mean(judging))
            results[f"{name}_outside_tasks"] = 1.0 - in_tasks / (watch.last - watch.first) / (cluster.workers or 1)
            quarter = len(watch.memory) // 4
            results[f"{name}_client_mb_growth"] = watch.memory[-1] - watch.memory[quarter]
        results["tasks"] = len(survey.files)
    results["ratio"] = results["serial_s"] / results["two_workers_s"]
    results["two_over_one"] = results["one_worker_s"] / results["two_workers_s"]
    return results


def resident_mb() -> float:
    """Memory of this process now (Linux), or its peak so far where that is not told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what",
        nargs="*",
        choices=["stages", "axes", "memory", "v09", "checks", "neighbours", "codecs", "scaling", "scale", []],
        default=["stages"],
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=1000, help="target-sectors of the scaling benchmark")
    parser.add_argument("--cadence", type=float, default=1800.0, help="seconds, of the scaling benchmark")
    parser.add_argument("--rows", type=int, default=60_000, help="of the scale benchmark")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--record", metavar="VERSION", help="add what stages measured to the history, for a release")
    options = parser.parse_args()
    if options.record and "stages" not in options.what:
        parser.error("--record goes with stages")
    if options.what == ["scale"]:
        benchmark_scale = [str(Path(__file__).with_name("benchmark_scale.py")), "--rows", str(options.rows)]
        sys.exit(subprocess.call([sys.executable, *benchmark_scale, *(["--json"] if options.json else [])]))
    results = {}
    for what in options.what:
        if what not in ("scaling", "scale", "neighbours", "axes", "memory") and not (SHARED / "data").is_dir():
            sys.exit(f"{what} needs the real pixels in ../shared/data, or BATCHVET_SHARED")
        results[what] = {
            "stages": lambda: benchmark_stages.measured(SHARED, options.repeats),
            "axes": lambda: benchmark_axes.grown(options.repeats),
            "memory": benchmark_axes.peak_memory,
            "v09": lambda: benchmark_v09(options.repeats),
            "checks": lambda: benchmark_checks(options.repeats),
            "neighbours": lambda: benchmark_neighbours(options.repeats),
            "codecs": lambda: benchmark_codecs(options.repeats),
            "scaling": lambda: benchmark_scaling(options.tasks, options.cadence),
            "scale": lambda: sys.exit("scale runs alone"),
        }[what]()
    if options.record:
        benchmark_history.appended(results["stages"], options.record, date.today().isoformat())
    print(json.dumps(results, indent=2) if options.json else "\n".join(lines(results)))


def lines(results: Mapping[str, Any], indent: str = "") -> list[str]:
    """The results as a table, a group's name above its figures."""
    wide = max((len(name) for name in results), default=0)
    found = []
    for name, value in results.items():
        if isinstance(value, Mapping):
            found += [f"{indent}{name}", *lines(value, f"{indent}  ")]
        else:
            found.append(f"{indent}{name:{wide}}  {value:10.4g}")
    return found


if __name__ == "__main__":
    main()
