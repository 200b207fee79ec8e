"""A directory of simulated files: stamps, catalogue, neighbours, truth and a configuration to run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

import numpy as np

from batchvet.errors import ConfigError
from batchvet.simulate.detector import expose
from batchvet.simulate.draw import ccds_of, draw_scene
from batchvet.simulate.files import write_target_pixel_file
from batchvet.simulate.scene import Scene, mid_epoch
from batchvet.simulate.settings import SimulationSettings

MARKER = "simulation.json"  #: tells a simulation from somebody's data

_CONFIG = """\
# Made by batchvet simulate; run it with: batchvet run {name}/config.yaml
catalog: toi.csv
neighbours: neighbours.csv
cache: cache
sources:
  - directory: tpfs
sectors: all
checks: [V08, V09, V10, localization]
prf: {prf}
quality_bitmask: default
cluster: {{workers: 2}}
output: run
"""


@dataclass(frozen=True)
class SimulatedSurvey:
    """What :func:`simulate` wrote."""

    directory: Path
    config: Path  #: ready for `batchvet run`
    catalog: Path
    neighbours: Path
    truth: Path  #: one row per candidate
    truth_sectors: Path  #: one row per candidate and sector
    files: tuple[Path, ...]  #: target pixel files, by target and sector


def simulate(
    directory: str | Path,
    *,
    targets: int,
    sectors: int | Iterable[int],
    seed: int = 0,
    cadence_s: float = 1800.0,
    scenario: str = "mixed",
    compressed: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> SimulatedSurvey:
    """Write SPOC-format target pixel files with known truth, and what is needed to vet them.

    Parameters
    ----------
    directory : path; `tpfs/`, toi.csv, neighbours.csv, truth.csv, truth_sectors.csv and config.yaml go there
    targets : int, number of targets
    sectors : int or iterable of int; a number M means sectors 1 to M
    seed : int; files are the same for the same seed, target and sector, whatever else is made
    cadence_s : float, 20 to 1800 s
    scenario : str, "mixed" or one of KINDS
    compressed : bool, gzip the files
    overwrite : bool, replace a previous simulation
    workers : int, processes that make files
    progress : called with (targets done, targets in all) after each
    options : other fields of SimulationSettings

    Raises
    ------
    ConfigError
        An option that cannot be used, or a directory that holds something else than a simulation.
    """
    if isinstance(sectors, int):
        if sectors < 1:
            raise ConfigError(f"simulate: sectors = {sectors} cannot be used; it must be at least 1.")
        sectors = range(1, sectors + 1)
    if not isinstance(targets, int) or not 1 <= targets <= 90_000:
        raise ConfigError(f"simulate: targets = {targets!r} cannot be used; it must be from 1 to 90000.")
    settings = SimulationSettings.of(
        seed=seed, sectors=tuple(sectors), cadence_s=cadence_s, scenario=scenario, **options
    )
    for sector in settings.sectors:
        ccds_of(settings, sector)  # complains before anything is written
    directory = Path(directory)
    _prepare(directory, overwrite)
    files = _make(settings, targets, directory, compressed, workers, progress)
    prf = "auto" if settings.prf_directory is None else json.dumps(str(Path(settings.prf_directory).resolve()))
    (directory / "config.yaml").write_text(_CONFIG.format(name=directory.name, prf=prf))
    paths = {name: directory / f"{name}.csv" for name in TABLES}
    return SimulatedSurvey(
        directory,
        directory / "config.yaml",
        paths["toi"],
        paths["neighbours"],
        paths["truth"],
        paths["truth_sectors"],
        files,
    )


TABLES = ("toi", "neighbours", "truth", "truth_sectors")


def _prepare(directory: Path, overwrite: bool) -> None:
    """An empty directory with a marker; a previous simulation goes, with the cache and run of its config.yaml."""
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory}: is a file; choose a directory.")
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARKER).exists():
            raise ConfigError(f"{directory}: is not empty and holds no simulation; choose another directory.")
        if not overwrite:
            raise ConfigError(f"{directory}: holds a simulation; choose another directory or overwrite it.")
        for name in ("tpfs", "cache", "run"):  # entries of other pixels under the same names would be believed
            shutil.rmtree(directory / name, ignore_errors=True)
        for name in (*(f"{t}.csv" for t in TABLES), "config.yaml"):
            (directory / name).unlink(missing_ok=True)
    (directory / "tpfs").mkdir(parents=True, exist_ok=True)
    (directory / MARKER).write_text(json.dumps({"made_by": "batchvet simulate", "format": 1}) + "\n")


Made = tuple[list[Path], dict[str, list[dict[str, Any]]]]


def _make(
    settings: SimulationSettings,
    targets: int,
    directory: Path,
    compressed: bool,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[Path, ...]:
    """Make all targets and write the tables as they come, in the targets' order."""
    files: list[Path] = []
    with ExitStack() as stack:
        made = _targets(stack, settings, targets, directory / "tpfs", compressed, workers)
        tables = {name: stack.enter_context(_open_csv(directory / f"{name}.csv")) for name in TABLES}
        writers: dict[str, csv.DictWriter[str]] = {}
        for done, (paths, rows) in enumerate(made, start=1):
            files += paths
            for name in TABLES:
                if name not in writers:
                    writers[name] = csv.DictWriter(tables[name], list(rows[name][0]), lineterminator="\n")
                    writers[name].writeheader()
                writers[name].writerows(rows[name])
            if progress is not None:
                progress(done, targets)
    return tuple(files)


def _targets(
    stack: ExitStack, settings: SimulationSettings, targets: int, directory: Path, compressed: bool, workers: int
) -> Iterator[Made]:
    """Each target's files and rows, in order, made here or by a few processes."""
    if workers <= 1:
        return (_make_target(settings, i, directory, compressed) for i in range(targets))
    pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
    stack.callback(pool.shutdown, cancel_futures=True)
    jobs = [pool.submit(_make_target, settings, i, directory, compressed) for i in range(targets)]
    return (job.result() for job in jobs)


def _open_csv(path: Path) -> IO[str]:
    return open(path, "w", newline="", encoding="utf-8")


def _make_target(settings: SimulationSettings, index: int, directory: Path, compressed: bool) -> Made:
    """All files of one target and its rows of all tables."""
    scene = draw_scene(settings, index)
    paths = [write_target_pixel_file(expose(scene, s), directory, compressed=compressed) for s in scene.sectors]
    rows = {
        "toi": catalog_rows(scene),
        "neighbours": neighbour_rows(scene),
        "truth": truth_rows(scene),
        "truth_sectors": truth_sector_rows(scene),
    }
    return paths, rows


def catalog_rows(scene: Scene) -> list[dict[str, Any]]:
    """The scene's candidates in batchvet's own catalogue layout."""
    return [
        {
            "toi": c.toi,
            "tic": c.tic,
            "period_days": c.ephemeris.period_days,
            "t0_btjd": c.ephemeris.t0_btjd,
            "duration_hours": c.ephemeris.duration_hours,
            "depth_ppm": c.depth_ppm,
            "ra": c.ra,
            "dec": c.dec,
            "pmra": c.pmra,
            "pmdec": c.pmdec,
            "tmag": c.tmag,
            "sectors": ",".join(str(s) for s in c.sectors or ()),
            "t0_err": c.ephemeris.t0_err_days,
            "period_err": c.ephemeris.period_err_days,
        }
        for c in scene.candidates
    ]


def neighbour_rows(scene: Scene) -> list[dict[str, Any]]:
    """The scene's neighbour table, the target included."""
    names = ("source_id", "ra", "dec", "tmag", "pmra", "pmdec", "epoch")
    return [{"tic": scene.tic, **{name: getattr(n, name) for name in names}} for n in scene.neighbours()]


def truth_rows(scene: Scene) -> list[dict[str, Any]]:
    """What is true of each candidate: its host, where that is, how deep and how well seen the dip is.

    Offsets are east and north (arcsec) of the target in the middle of the first sector. Without a dip the host is
    empty, depth and SNR are 0.
    """
    rows = []
    for dip in scene.dips:
        host = dip.host
        east, north = scene.offset_arcsec(host) if host is not None else (np.nan, np.nan)
        rows.append(
            {
                "toi": dip.toi,
                "tic": scene.tic,
                "kind": scene.kind if dip is scene.dips[0] else "on_target",
                "host_source_id": "" if host is None else int(scene.stars.source_id[host]),
                "host_in_table": host is not None and bool(scene.stars.known[host]),
                "offset_east_arcsec": east,
                "offset_north_arcsec": north,
                "separation_arcsec": float(np.hypot(east, north)),
                "host_tmag": np.nan if host is None else float(scene.stars.tmag[host]),
                "target_tmag": float(scene.stars.tmag[0]),
                "depth": dip.depth,
                "snr": scene.joint_snr(dip.toi),
                "period_days": dip.ephemeris.period_days,
                "t0_btjd": dip.ephemeris.t0_btjd,
                "duration_hours": dip.ephemeris.duration_hours,
                "n_stars": len(scene.stars),
            }
        )
    return rows


def truth_sector_rows(scene: Scene) -> list[dict[str, Any]]:
    """Where host and target truly are on each sector's stamp (0-based), and how well the dip is seen there."""
    rows = []
    for sector in scene.sectors:
        pointing, line = scene.pointings[sector], scene.timeline(sector)
        column, row = scene.positions(sector)
        for dip in scene.dips:
            host = dip.host
            rows.append(
                {
                    "toi": dip.toi,
                    "tic": scene.tic,
                    "sector": sector,
                    "camera": pointing.camera,
                    "ccd": pointing.ccd,
                    "ccd_column": pointing.column,
                    "ccd_row": pointing.row,
                    "host_column": np.nan if host is None else float(column[host]),
                    "host_row": np.nan if host is None else float(row[host]),
                    "target_column": float(column[0]),
                    "target_row": float(row[0]),
                    "snr": scene.snr[dip.toi, sector],
                    "n_transits": len(dip.ephemeris.mid_times(line.mid_time[0], line.mid_time[-1])),
                    "mid_epoch": mid_epoch(sector),
                    "prf": pointing.prf if isinstance(pointing.prf, str) else "callable",
                }
            )
    return rows
