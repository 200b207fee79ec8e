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

from batchvet.errors import ConfigError
from batchvet.simulate.detector import expose
from batchvet.simulate.draw import ccds_of, draw_scene
from batchvet.simulate.files import write_target_pixel_file
from batchvet.simulate.settings import SimulationSettings
from batchvet.simulate.tables import catalog_rows, neighbour_rows, truth_rows, truth_sector_rows

MARKER = "simulation.json"  #: tells a simulation from somebody's data

_CONFIG = """\
# Made by batchvet simulate; run it with: batchvet run {name}/config.yaml
catalog: toi.csv
neighbours: neighbours.csv
cache: cache
sources:
  - directory: tpfs
sectors: all
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
    neighbours: Path | None  #: None where there is no neighbour table
    truth: Path  #: one row per candidate
    truth_sectors: Path  #: one row per candidate and sector
    files: tuple[Path, ...]  #: target pixel files, by target and sector


def simulate(  # house: what a notebook's call names by keyword
    directory: str | Path,
    *,
    targets: int,
    sectors: int | Iterable[int],
    seed: int = 0,
    cadence_s: float | tuple[float, ...] = 1800.0,
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
    sectors : int or iterable of int; a number M means sectors 1 to M, `mission_sectors(M)` spreads them over years
    seed : int; files are the same for the same seed, target and sector, whatever else is made
    cadence_s : float, 20 to 1800 s, or several of which each file has one
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
    options |= {"seed": seed, "sectors": tuple(sectors), "cadence_s": cadence_s, "scenario": scenario}
    settings = SimulationSettings.of(**options)
    _check_targets(targets)
    for sector in settings.sectors:
        ccds_of(settings, sector)  # complains before anything is written
    directory = Path(directory)
    _prepare(directory, overwrite)
    files = _make(settings, targets, directory, compressed, workers, progress)
    (directory / "config.yaml").write_text(_config(settings, directory.name))
    paths = {name: directory / f"{name}.csv" for name in TABLES}
    return SimulatedSurvey(
        directory,
        directory / "config.yaml",
        paths["toi"],
        paths["neighbours"] if settings.neighbour_table else None,
        paths["truth"],
        paths["truth_sectors"],
        files,
    )


def _check_targets(targets: object) -> None:
    if not isinstance(targets, int) or not 1 <= targets <= 90_000:
        raise ConfigError(f"simulate: targets = {targets!r} cannot be used; it must be from 1 to 90000.")


def _config(settings: SimulationSettings, name: str) -> str:
    """The configuration to run, without neighbours where there is no table."""
    prf = "auto" if settings.prf_directory is None else json.dumps(str(Path(settings.prf_directory).resolve()))
    text = _CONFIG.format(name=name, prf=prf)
    return text if settings.neighbour_table else text.replace("neighbours: neighbours.csv\n", "")


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
    names = [name for name in TABLES if name != "neighbours" or settings.neighbour_table]
    with ExitStack() as stack:
        made = _targets(stack, settings, targets, directory / "tpfs", compressed, workers)
        tables = {name: stack.enter_context(_open_csv(directory / f"{name}.csv")) for name in names}
        writers: dict[str, csv.DictWriter[str]] = {}
        for done, (paths, rows) in enumerate(made, start=1):
            files += paths
            for name in names:
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
