"""What ``import batchvet`` gives: vet one candidate, run a catalogue, open what a run left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchvet.catalog.candidate import Ephemeris, Neighbour
from batchvet.pixels.quality import parse_bitmask
from batchvet.report.opened_run import Run
from batchvet.report.vetted import Vetted
from batchvet.runtime.bars import Bars
from batchvet.runtime.config import RunConfig, configured
from batchvet.runtime.notebook_progress import NotebookProgress, in_notebook
from batchvet.runtime.progress import Progress
from batchvet.runtime.run import RunOptions
from batchvet.runtime.run import run as run_configuration
from batchvet.runtime.script import not_imported
from batchvet.vetting.arguments import checks_of, companions_of, declared, neighbours_of, prf_directory
from batchvet.vetting.notebook import vet_sectors
from batchvet.vetting.settings import ALL_CHECKS, Surroundings, VetSettings

if TYPE_CHECKING:
    from astropy.time import Time
    from astropy.units import Quantity

    from batchvet.vetting.given_pixels import Pixels

__all__ = ["Run", "RunConfig", "Vetted", "open_run", "run", "vet"]


def open_run(directory: str | Path) -> Run:
    """Open the results of a run, finished or not.

    Parameters
    ----------
    directory : path

    Returns
    -------
    Run

    Raises
    ------
    RunError
        The directory is not a run.
    """
    return Run(directory)


def run(  # house: the options of `batchvet run`, as a notebook passes them
    config: RunConfig | str | Path,
    *,
    output: str | Path | None = None,
    limit: int | None = None,
    only: tuple[int, int] | None = None,
    executor: str | None = None,
    scheduler: str | None = None,
    keep_going: bool = False,
    retry_failed: bool = False,
    refresh: bool = False,
    cached_only: bool = False,
    strict: bool = False,
    progress: Progress | bool | None = None,
) -> Run:
    """Vet a catalogue; a run that was interrupted goes on where it stopped.

    Parameters
    ----------
    config : RunConfig or path of a YAML file
    output : path, optional
        Instead of the configuration's.
    limit : int, optional
        Only the first so many targets that have something to do.
    only : (tic, sector), optional
        Only this task.
    executor : "serial" or "dask", optional
        Instead of the configuration's cluster: in this process, or workers on this machine.
    scheduler : str, optional
        Address of a running Dask scheduler, instead of the configuration's cluster.
    keep_going : bool
        Leave bad catalogue rows out, into ``OUTPUT/rejects.csv``, instead of refusing the catalogue.
    strict : bool
        Refuse a published TOI list too for a row that cannot be vetted, which else becomes a row that says why.
    retry_failed : bool
        Do rows again that ended in an error although nothing has changed.
    refresh : bool
        Ask archives again, whatever is remembered of their answers.
    cached_only : bool
        Only what the cache holds; no source is asked, and candidates without pixels are left out.
    progress : bool or Progress, optional
        True: bars on stderr, or under a notebook's cell. Without it: in a notebook only. Something with the methods of
        `batchvet.runtime.progress.Progress` is told what is done.

    Returns
    -------
    Run
        The tables. Tasks that failed are rows with ``status == "error"``.

    Raises
    ------
    ConfigError, CatalogError
        Before anything is done.
    RunError
        Another process writes this run, or the cluster is not there.
    ArchiveError
        An archive does not answer; what came is kept, run again to go on.
    """
    config = configured(config, output=output, executor=executor, scheduler=scheduler, cached_only=cached_only)
    options = RunOptions(limit, only, keep_going, retry_failed, refresh, strict)
    with not_imported(), _shown(progress) as told:
        return Run(run_configuration(config, options, told).directory)


@contextmanager
def _shown(progress: Progress | bool | None) -> Iterator[Progress | None]:
    """What is told how far a run is."""
    if progress is None:
        progress = in_notebook()
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield None
    elif in_notebook():
        yield NotebookProgress()
    else:
        with Bars() as bars:
            yield bars


def vet(  # house: everything that may be said of one candidate and its stamp, as a notebook says it
    tpf: Pixels,
    *,
    period_days: float | Quantity,
    t0_btjd: float | Time,
    duration_hours: float | Quantity,
    t0_err: float | Quantity = 0.0,
    period_err: float | Quantity = 0.0,
    neighbours: Sequence[Neighbour] | Iterable[Mapping[str, Any]] | None = None,
    others: Sequence[Ephemeris | Mapping[str, Any]] = (),
    ra: float | Quantity = math.nan,
    dec: float | Quantity = math.nan,
    checks: Sequence[str] = ALL_CHECKS,
    prf: str | Path | None = None,
    quality_bitmask: str | int = "default",
) -> Vetted:
    """Vet one candidate on the pixels of one sector, or of several and all of them together.

    Parameters
    ----------
    tpf : path, lightkurve TessTargetPixelFile, Stamp, or several of these
        Paths are of FITS files or of ``.npz`` files (`batchvet.pixels.npz_file.read_npz`); several sectors are a list
        or a collection of lightkurve. A file is taken with all its cadences, whatever quality mask it was opened with.
    period_days : float or Quantity
        0 for a single transit.
    t0_btjd : float or Time
        Mid-time of a transit, BTJD days; a BJD is converted, what looks like another count of days is refused. A time
        of astropy is taken as barycentric.
    duration_hours : float or Quantity
        First to fourth contact.
    t0_err, period_err : float or Quantity
        One sigma, days; 0 when unknown.
    neighbours : sequence of Neighbour, or a table's rows, optional
        With ``source_id, ra, dec, tmag`` and optionally ``pmra, pmdec, epoch``; a DataFrame or a Table will do. Without
        them, or with none in it, the verdict weighs only the target and "a star that is not in the table".
    others : sequence of Ephemeris or mapping
        Of the target's other planets, whose transits are left out; with ``period_days, t0_btjd, duration_hours``. One
        that has the candidate's own transits is not left out, and the rows have the flag ``SAME_EPHEMERIS``.
    ra, dec : float or Quantity
        Position of the target (deg, ICRS, epoch 2000.0), where a better one is known than the file's.
    checks : sequence of str
        Which to run, of `batchvet.vetting.settings.ALL_CHECKS`.
    prf : path, optional
        Directory of official PRF files; None or "empirical": the PRF is fitted to the stamp.
    quality_bitmask : str or int
        ``none``, ``default``, ``hard``, ``hardest`` or a number.

    Returns
    -------
    Vetted

    Raises
    ------
    ConfigError
        An argument makes no sense; the same is refused as in a catalogue.
    PositionError
        The target cannot be where `ra` and `dec` say: off the stamp, or farther from the file's position than it moves.
        Or all neighbours are half a degree and more away.
    StampError
        A file cannot be read or has no usable cadence, or two are of the same sector or of different targets.
    """
    candidate = declared(
        {
            "period_days": period_days,
            "t0_btjd": t0_btjd,
            "duration_hours": duration_hours,
            "t0_err": t0_err,
            "period_err": period_err,
            "ra": ra,
            "dec": dec,
        }
    )
    surroundings = Surroundings(
        companions=companions_of(others),
        neighbours=None if neighbours is None else neighbours_of(neighbours) or None,
    )
    settings = VetSettings(
        checks=checks_of(checks),
        quality_bitmask=parse_bitmask(quality_bitmask),
        prf_directory=prf_directory(prf),
    )
    found = vet_sectors(tpf, candidate, surroundings, settings)
    return Vetted(found.verdict, found.rows, found.images_of_rows)
