"""How the time of a target-sector grows with cadences, pixels, transits, stars, candidates, sectors; and its memory.

One axis at a time away from a 2-minute sector of 11 x 11 pixels with 8 transits and one star, made here: a Gaussian
star, photon noise and a pointing that drifts. CPU seconds from the cache entry to the rows, PRF fitted; every figure is
the median of some repeats.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_stages import HASHES, in_turn

DAYS, PIXEL_DEG = 27.0, 21.0 / 3600.0


@dataclass(frozen=True)
class Case:
    """What is vetted."""

    cadence_s: float = 120.0
    size: int = 11  #: pixels along a side
    transits: int = 8
    stars: int = 1
    candidates: int = 1
    sectors: int = 1  #: of the candidate, for judging


AXES: dict[str, Sequence[Case]] = {
    "cadence_s": [Case(cadence_s=each) for each in (1800.0, 600.0, 120.0, 20.0)],
    "size": [Case(size=each) for each in (11, 15, 19, 25)],
    "transits": [Case(transits=each) for each in (1, 8, 20, 40)],
    "stars": [Case(stars=each) for each in (1, 30, 100, 300)],
    "candidates": [Case(candidates=each) for each in (1, 2, 4)],
    "sectors": [Case(sectors=each) for each in (1, 4, 16)],
}


def made_stamp(case: Case, sector: int = 1) -> Any:
    """A star in the middle of a stamp that dips."""
    from batchvet.pixels.stamp import Stamp

    rng = np.random.default_rng(sector)
    time = 2000.0 + np.arange(0.0, DAYS, case.cadence_s / 86400.0)
    middle = (case.size - 1) / 2.0
    drift = 0.02 * np.stack([np.sin(time), np.cos(1.7 * time)], axis=1).astype(np.float32)
    row, col = np.indices((case.size, case.size))
    light = 2e4 * (1.0 - 0.005 * (np.abs(_phase(time, DAYS / case.transits)) < 0.06))
    flux = np.empty((len(time), case.size, case.size), dtype=np.float32)
    for start in range(0, len(time), 4096):
        part = slice(start, start + 4096)
        by_row = np.exp(-0.5 * ((row[:, 0] - middle - drift[part, 1, None]) / 0.8) ** 2)
        by_col = np.exp(-0.5 * ((col[0] - middle - drift[part, 0, None]) / 0.8) ** 2)
        star = by_row[:, :, None] * by_col[:, None, :] / (2.0 * np.pi * 0.8**2)
        flux[part] = light[part, None, None] * star + 20.0
    error = np.sqrt(flux / case.cadence_s)
    flux += error * rng.standard_normal(flux.shape, dtype=np.float32)
    names = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CDELT1", "CDELT2")
    numbers = (middle + 1.0, middle + 1.0, 120.0, -40.0, -PIXEL_DEG, PIXEL_DEG)
    return Stamp(
        tic=1,
        sector=sector,
        camera=1,
        ccd=1,
        cadence_s=case.cadence_s,
        time=time,
        flux=flux,
        flux_err=error.astype(np.float32),
        quality=np.zeros(len(time), dtype=np.int32),
        cadenceno=np.arange(len(time), dtype=np.int32),
        pos_corr=drift,
        aperture=np.where(np.hypot(row - middle, col - middle) < 2.0, 3, 1).astype(np.int32),
        wcs_header={"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", **dict(zip(names, numbers, strict=True))},
        ra=120.0,
        dec=-40.0,
        tmag=10.0,
        source=f"made-{sector}",
        sha256=f"{sector:064x}",
    )


def _phase(time: np.ndarray, period: float) -> np.ndarray:
    return (time - 2000.5 + 0.5 * period) % period - 0.5 * period


def work_of(case: Case, directory: Path) -> tuple[Any, Any]:
    """Vetting the case's candidates in one sector, from cache to rows; and judging the first in all sectors."""
    from batchvet.catalog.candidate import Candidate, Ephemeris, Neighbour
    from batchvet.pixels.cache import Cache
    from batchvet.pixels.quality import DEFAULT
    from batchvet.results.writer import RowTables
    from batchvet.runtime.judging import judged_at_once
    from batchvet.vetting.judge import Judge
    from batchvet.vetting.measure import measure, observe
    from batchvet.vetting.rows import result_row
    from batchvet.vetting.settings import Surroundings, VetSettings

    cache, settings = Cache(directory), VetSettings(quality_bitmask=DEFAULT)
    keys = [cache.write(made_stamp(case, sector)).key for sector in range(1, case.sectors + 1)]
    first = Candidate(toi="1.01", tic=1, ephemeris=Ephemeris(DAYS / case.transits, 2000.5, 2.88))
    others = [replace(first, toi=f"1.{n + 1:02d}", ephemeris=Ephemeris(4.3 + n, 2001.4, 2.5)) for n in range(1, 9)]
    candidates = (first, *others[: case.candidates - 1])
    rng = np.random.default_rng(0)
    places = zip(rng.uniform(-0.03, 0.03, (case.stars - 1, 2)), rng.uniform(12.0, 18.0, case.stars - 1), strict=True)
    stars = [Neighbour(str(n), 120.0 + east, -40.0 + north, tmag) for n, ((east, north), tmag) in enumerate(places, 2)]
    surroundings = Surroundings(candidates, (Neighbour("1", 120.0, -40.0, 10.0), *stars))

    def vet(key: Any = keys[0]) -> list[Any]:
        observation = observe(cache.read(key, with_errors=False), settings)
        rows = [result_row(measure(observation, one, surroundings, settings), HASHES) for one in candidates]
        RowTables.of(rows)
        return rows

    rows = [row for key in keys for row in vet(key)[:1]]
    return vet, lambda: judged_at_once(rows, (first,), Judge())


def grown(repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of every case; of the axis `sectors` those of judging."""
    from batchvet.vetting.process import measuring

    found: dict[str, dict[str, float]] = {}
    for axis, cases in AXES.items():
        with tempfile.TemporaryDirectory() as directory, measuring():
            works = {}
            for number, case in enumerate(cases):
                vet, judge = work_of(case, Path(directory) / str(number))
                works[f"{getattr(case, axis):g}"] = judge if axis == "sectors" else vet
            found[axis] = {name: 1e3 * seconds for name, seconds in in_turn(works, repeats).items()}
    return found


def peak_memory() -> dict[str, float]:
    """Most memory, MB, of a process that imports what a worker does and vets one target-sector."""
    found = {}
    for name, case in (("2 minutes", Case()), ("20 s", Case(cadence_s=20.0))):
        with tempfile.TemporaryDirectory() as directory:
            from batchvet.pixels.cache import Cache

            key = Cache(directory).write(made_stamp(case)).key
            command = [sys.executable, __file__, directory, str(key.cadence_s)]
            found[name] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found["a worker's imports"] = float(subprocess.check_output([sys.executable, __file__], text=True))
    return found


def _vet_once(directory: str, cadence_s: int) -> float:
    """What `peak_memory` runs: MB of this process when one target-sector of a cache is vetted."""
    from batchvet.catalog.candidate import Candidate, Ephemeris
    from batchvet.pixels.cache import Cache
    from batchvet.pixels.entry import StampKey
    from batchvet.pixels.quality import DEFAULT
    from batchvet.vetting.measure import measure, observe
    from batchvet.vetting.rows import result_row
    from batchvet.vetting.settings import Surroundings, VetSettings

    settings = VetSettings(quality_bitmask=DEFAULT)
    candidate = Candidate(toi="1.01", tic=1, ephemeris=Ephemeris(DAYS / Case().transits, 2000.5, 2.88))
    observation = observe(Cache(directory).read(StampKey(1, 1, cadence_s), with_errors=False), settings)
    result_row(measure(observation, candidate, Surroundings(), settings), HASHES)
    return _most_memory()


def _most_memory() -> float:
    """Of this process since it was started, MB (Linux): what getrusage says begins with the parent's."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1e3


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(_vet_once(sys.argv[1], int(sys.argv[2])))
    else:
        import batchvet.runtime.worker  # noqa: F401  what a worker needs before its first task

        print(_most_memory())
