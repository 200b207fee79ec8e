"""Where the time of a target-sector goes, and how long others take for the same: all in turn.

WASP-126 b in sector 1 (20,076 cadences of 11 x 11 pixels), cache warm. CPU seconds, medians; the machine's load falls
on all alike because every round runs each of them once. Public tools have a process of their own, as who uses them
has: what batchvet sets up for itself, that memory is kept between measurements, would make them a tenth faster.
"""

from __future__ import annotations

import io
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

Work = Callable[[], object]

PERIOD, T0, DURATION = 3.28878, 1327.5205, 3.49  #: WASP-126 b: days, BTJD, hours
HASHES = dict.fromkeys(
    ("stamp_hash", "candidate_hash", "neighbours_hash", "settings_hash", "software_version"), "0" * 12
)
TESS_VETTER = ("tess-vetter V08", "tess-vetter V09", "tess-vetter V10")


def in_turn(
    works: Mapping[str, Work], repeats: int, elsewhere: Mapping[str, Callable[[], float]] = MappingProxyType({})
) -> dict[str, float]:
    """Median CPU seconds of each, one round after the other, after one that does not count.

    Those that work elsewhere give their seconds themselves.
    """
    all_works = {name: partial(timed, work) for name, work in works.items()} | dict(elsewhere)
    seconds: dict[str, list[float]] = {name: [] for name in all_works}
    for number in range(repeats + 1):
        for name, work in all_works.items():
            found = work()
            if number:
                seconds[name].append(found)
    return {name: float(np.median(each)) for name, each in seconds.items()}


def timed(work: Work) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def stages(path: Path, prf: Path, directory: Path) -> dict[str, Work]:
    """What batchvet does with a file of WASP-126, step by step and all together.

    Parameters
    ----------
    path : of the target pixel file
    prf : directory of official PRF files
    directory : for a cache
    """
    from batchvet.catalog.candidate import Candidate, Ephemeris
    from batchvet.pixels.cache import Cache
    from batchvet.pixels.quality import DEFAULT
    from batchvet.pixels.tpf import read_tpf
    from batchvet.results.writer import RowTables
    from batchvet.vetting.judge import Judge
    from batchvet.vetting.measure import measure, observe
    from batchvet.vetting.rows import result_row
    from batchvet.vetting.settings import Surroundings, VetSettings

    cache = Cache(directory)
    key = cache.write(read_tpf(path)).key
    candidate = Candidate(toi="114.01", tic=25155310, ephemeris=Ephemeris(PERIOD, T0, DURATION))
    second = replace(candidate, toi="114.02", ephemeris=Ephemeris(5.1, 1328.3, 3.0))
    both = Surroundings(companions=(candidate, second))
    everything = VetSettings(quality_bitmask=DEFAULT, prf_directory=str(prf))
    fitted = replace(everything, prf_directory=None)

    def vet(settings: VetSettings, *candidates: Candidate, rows: bool = True) -> list[Any]:
        observation = observe(cache.read(key, with_errors="localization" in settings.checks), settings)
        surroundings = both if len(candidates) > 1 else Surroundings()
        measured = [measure(observation, one, surroundings, settings) for one in candidates]
        if not rows:
            return measured
        found = [result_row(one, HASHES) for one in measured]
        RowTables.of(found)
        return found

    row = vet(everything, candidate)[0]
    only = {name: replace(everything, checks=(name,)) for name in ("V08", "V09", "V10", "localization")}
    return {
        "FITS to cache": lambda: cache.write(read_tpf(path), replace=True),
        "reading, checking and compressing alone": lambda: bare_ingest(path),
        "bare read of the flux": lambda: bare_read(directory / key.name),
        "read, for V08 to V10": lambda: cache.read(key, with_errors=False),
        "read, for all": lambda: cache.read(key),
        "read and V09": lambda: vet(only["V09"], candidate, rows=False),
        "read and V08": lambda: vet(only["V08"], candidate, rows=False),
        "read and V10": lambda: vet(only["V10"], candidate, rows=False),
        "read and V08 + V09 + V10": lambda: vet(
            replace(everything, checks=("V08", "V09", "V10")), candidate, rows=False
        ),
        "read and localisation": lambda: vet(only["localization"], candidate, rows=False),
        "four checks, images and rows": lambda: vet(everything, candidate),
        "the same, PRF fitted": lambda: vet(fitted, candidate),
        "two candidates of a target": lambda: vet(everything, candidate, second),
        "judging one sector": lambda: _judge(Judge(), row),
    }


def bare_ingest(path: Path) -> object:
    """The least for a file: bytes, their sums, unpacking, FITS checksums, FLUX by pixel, its codec, the entry's sum."""
    import hashlib

    from numcodecs import blosc

    from batchvet.pixels.entry_arrays import CODEC, LEVEL
    from batchvet.pixels.fits_file import open_fits, unpack

    packed = path.read_bytes()
    hashlib.sha256(packed)
    content = unpack(packed, path)
    hdus, _ = open_fits(content, path)
    table = hdus[1]
    rows = np.ndarray(
        table.header["NAXIS2"], table.columns.dtype.newbyteorder(">"), content, table.fileinfo()["datLoc"]
    )
    series = np.ascontiguousarray(rows["FLUX"].astype(np.float32).transpose(1, 2, 0))
    chunk = blosc.compress(series, CODEC, LEVEL, blosc.BITSHUFFLE, 0)
    return hashlib.sha256(chunk)


def bare_read(path: Path) -> object:
    """The least that anyone must do to have the flux of an entry: its bytes, their checksum, its codec."""
    import google_crc32c
    from numcodecs import blosc

    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("flux/c/0/0/0")
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        head = file.read(30)
        file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), io.SEEK_CUR)
        chunk = memoryview(file.read(member.file_size))
    if google_crc32c.value(bytes(chunk[:-4])) != int.from_bytes(chunk[-4:], "little"):
        raise ValueError(f"{path}: checksum of the flux")
    return blosc.decompress(chunk[:-4])


def _judge(judge: Any, row: Any) -> object:
    from batchvet.runtime.judging import judged_at_once

    return judged_at_once([row], (), judge)


def peers(path: Path) -> dict[str, Work]:
    """Public tools on the same pixels, in memory; those that are installed."""
    works = {**_tess_vetter(path), **_exovetter(path), **_lightkurve(path)}
    return {name: _quietly(work) for name, work in works.items()}


_peers: dict[str, Work] = {}  #: of the process that runs them


def _prepare_peers(path: Path) -> None:
    _peers.update(peers(path))


def _names_of_peers() -> list[str]:
    return list(_peers)


def _seconds_of_peer(name: str) -> float:
    return timed(_peers[name])


@contextmanager
def peers_apart(path: Path) -> Iterator[dict[str, Callable[[], float]]]:
    """`peers` in a process of their own; each gives the CPU seconds that it took there."""
    with ProcessPoolExecutor(1, get_context("spawn"), _prepare_peers, (path,)) as pool:
        names = pool.submit(_names_of_peers).result()
        yield {name: partial(_seconds_there, pool, name) for name in names}


def _seconds_there(pool: ProcessPoolExecutor, name: str) -> float:
    return pool.submit(_seconds_of_peer, name).result()


def _quietly(work: Work) -> Work:
    def done() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()

    return done


def _good_pixels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from batchvet.pixels.quality import DEFAULT
    from batchvet.pixels.tpf import read_tpf

    stamp = read_tpf(path)
    good = stamp.good(DEFAULT)
    return stamp.time[good], np.ascontiguousarray(stamp.flux[good])


def _tess_vetter(path: Path) -> dict[str, Work]:
    try:
        from tess_vetter.api.pixel_localize import localize_transit_host_single_sector
        from tess_vetter.domain.detection import TransitCandidate
        from tess_vetter.pixel.tpf_fits import TPFFitsData, TPFFitsRef
        from tess_vetter.validation import checks_pixel
    except ImportError:
        return {}
    from batchvet.pixels.tpf import read_tpf

    time_btjd, flux = _good_pixels(path)
    candidate = TransitCandidate(period=PERIOD, t0=T0, duration_hours=DURATION, depth=0.0066, snr=50.0)
    given: dict[str, Any] = {"tpf_data": flux, "time": time_btjd, "candidate": candidate}
    stamp = read_tpf(path)
    pixels = TPFFitsData(
        ref=TPFFitsRef(tic_id=stamp.tic, sector=stamp.sector, author="spoc"),
        time=time_btjd,
        flux=flux,
        flux_err=None,
        wcs=stamp.wcs,
        aperture_mask=(stamp.aperture & 2) > 0,
        quality=np.zeros(len(time_btjd), dtype=np.int32),
        camera=stamp.camera,
        ccd=stamp.ccd,
        meta={},
    )
    source = {"name": "target", "source_id": f"tic:{stamp.tic}", "ra": stamp.ra, "dec": stamp.dec}

    def host() -> object:
        return localize_transit_host_single_sector(
            tpf_fits=pixels, period_days=PERIOD, t0_btjd=T0, duration_hours=DURATION, reference_sources=[source]
        )

    return {
        "tess-vetter V08": lambda: checks_pixel.check_centroid_shift_with_tpf(**given),
        "tess-vetter V09": lambda: checks_pixel.check_pixel_level_lc_with_tpf(**given),
        "tess-vetter V10": lambda: checks_pixel.check_aperture_dependence_with_tpf(**given),
        "tess-vetter host localisation": host,
    }


def _exovetter(path: Path) -> dict[str, Work]:
    try:
        from astropy import units
        from exovetter import const
        from exovetter.centroid import centroid
        from exovetter.tce import Tce
    except ImportError:
        return {}
    time_btjd, flux = _good_pixels(path)
    tce = Tce(
        period=PERIOD * units.day,
        epoch=T0 * units.day,
        epoch_offset=const.btjd,
        duration=DURATION * units.hour,
        depth=6600.0 * const.ppm,
    )
    period, duration = (tce[name].to_value(units.day) for name in ("period", "duration"))
    epoch = tce.get_epoch(const.btjd).to_value(units.day)

    def test() -> object:
        found, _, kept = centroid.compute_diff_image_centroids(time_btjd, flux, period, epoch, duration, [])
        return centroid.measure_centroid_shift(found, kept)

    return {"exovetter centroid test": test}


def _lightkurve(path: Path) -> dict[str, Work]:
    """What a person writes: open, difference of medians, a light curve and its folded depth."""
    try:
        import lightkurve
    except ImportError:
        return {}

    def loop() -> object:
        pixels = lightkurve.read(str(path))
        phase = (pixels.time.value - T0 + 0.5 * PERIOD) % PERIOD - 0.5 * PERIOD
        flux = pixels.flux.value
        inside, beside = np.abs(phase) < DURATION / 48.0, np.abs(phase) > 1.5 * DURATION / 24.0
        image = np.nanmedian(flux[beside], axis=0) - np.nanmedian(flux[inside], axis=0)
        curve = pixels.to_lightcurve().remove_nans().flatten()
        return image, curve.fold(PERIOD, epoch_time=T0)

    return {"plain lightkurve loop, file included": loop}


def measured(shared: Path, repeats: int) -> dict[str, Any]:
    """Milliseconds of stages and peers, and the ratios that are promised."""
    from batchvet.vetting.process import measuring

    (path,) = (shared / "data" / "wasp126").glob("*-s0001-*")
    with tempfile.TemporaryDirectory() as directory, measuring(), peers_apart(path) as theirs:
        ours = stages(path, shared / "data" / "prf", Path(directory))
        seconds = in_turn(ours, repeats, theirs)
    whole, one = seconds["four checks, images and rows"], seconds["read and V09"]
    ratios = {
        "FITS to cache over reading, checking and compressing alone": seconds["FITS to cache"]
        / seconds["reading, checking and compressing alone"],
        "V09 with reading over the bare read": one / seconds["bare read of the flux"],
        "second candidate over the first": seconds["two candidates of a target"] / whole - 1.0,
    }
    if all(name in seconds for name in TESS_VETTER):
        theirs = sum(seconds[name] for name in TESS_VETTER)
        ratios["tess-vetter V08 + V09 + V10 over the four checks"] = theirs / whole
        ratios["the same, PRF fitted"] = theirs / seconds["the same, PRF fitted"]
    return {"ms": {name: 1e3 * each for name, each in seconds.items()}, "ratios": ratios}
