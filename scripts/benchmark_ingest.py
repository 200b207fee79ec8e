"""Is filling the cache as fast as it can be, and does it forget what it has done?

    python scripts/benchmark_ingest.py FILE [--repeat 5]     FITS to cache against the least that it takes
    python scripts/benchmark_ingest.py --memory [--files 1000]   growth of the process over many files

FILE is a target pixel file of a 2-minute sector (``.fits`` or ``.fits.gz``). The least that it takes: unpack it, read
its flux columns, compress them as the cache does.
"""

from __future__ import annotations

import argparse
import gc
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from astropy.io import fits
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec
from zarr.storage import MemoryStore

from batchvet.errors import Problem
from batchvet.pixels.cache import Cache
from batchvet.pixels.fits_file import unpack
from batchvet.pixels.sources import Offer
from batchvet.pixels.tpf import read_tpf
from batchvet.runtime.ingest import IngestFile


def least(path: Path) -> None:
    """Unpack, read FLUX and FLUX_ERR, compress them with the cache's codec."""
    content = unpack(path.read_bytes(), path)
    with fits.open(io.BytesIO(content), memmap=False) as hdus:
        columns = [np.ascontiguousarray(hdus[1].data[name], dtype=np.float32) for name in ("FLUX", "FLUX_ERR")]
    for number, values in enumerate(columns):
        array = zarr.create_array(
            MemoryStore(),
            name=str(number),
            shape=values.shape,
            dtype=values.dtype,
            chunks=values.shape,
            filters=[TransposeCodec(order=(1, 2, 0))],
            compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=4), Crc32cCodec()],
        )
        array[...] = values


def ingest(path: Path, cache: Path) -> None:
    """What a worker does with a file: read and check all of it, commit the stamp."""
    Cache(cache).write(read_tpf(path), source_size=path.stat().st_size, replace=True)


def shortest(work: Callable[[], None], other: Callable[[], None], repeat: int) -> tuple[float, float]:
    """Least CPU time of each, taken in turn so that both meet the same machine."""
    times: list[list[float]] = [[], []]
    for _ in range(repeat):
        for several, run in zip(times, (work, other), strict=True):
            start = time.process_time()
            run()
            several.append(time.process_time() - start)
    return min(times[0]), min(times[1])


def resident_mb() -> float:
    """Memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def memory(n_files: int) -> None:
    """Ingest small simulated files and print the memory after each tenth of them."""
    from batchvet.simulate import simulate

    with tempfile.TemporaryDirectory() as folder:
        survey = simulate(folder, targets=10, sectors=1, seed=1)
        work = IngestFile(str(Path(folder) / "cache"))
        for number in range(n_files + 1):
            if number % max(1, n_files // 10) == 0:
                gc.collect()
                print(f"{number:5d} files, {resident_mb():.1f} MB")
            path = survey.files[number % len(survey.files)]
            stamp = read_tpf(path)
            done = work(Offer(stamp.tic, stamp.sector, 0, str(path)))
            if isinstance(done, Problem):
                raise RuntimeError(done.text)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--files", type=int, default=1000)
    options = parser.parse_args()
    if options.memory:
        memory(options.files)
    if options.file:
        with tempfile.TemporaryDirectory() as folder:
            whole, floor = shortest(
                lambda: ingest(options.file, Path(folder)), lambda: least(options.file), options.repeat
            )
        print(f"{options.file.name}: to cache {whole:.2f} s, least {floor:.2f} s, ratio {whole / floor:.2f} (CPU)")


if __name__ == "__main__":
    main()
