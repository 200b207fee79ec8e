"""What ``import batchvet`` gives: vet one stamp, run a catalogue, open what a run left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Ephemeris, Neighbour
from batchvet.pixels.quality import parse_bitmask
from batchvet.report.plot import plot, plot_sector
from batchvet.report.view import sector_view
from batchvet.results.reader import RunResults
from batchvet.runtime.config import RunConfig, configured
from batchvet.runtime.progress import Progress
from batchvet.runtime.run import RunOptions
from batchvet.runtime.run import run as run_configuration
from batchvet.vetting.notebook import VettedStamp, companion, declared, neighbours_of, prf_directory, vet_stamp
from batchvet.vetting.settings import ALL_CHECKS, Check, Surroundings, VetSettings

if TYPE_CHECKING:
    from lightkurve import TessTargetPixelFile
    from matplotlib.axes import Axes

    from batchvet.pixels.stamp import Stamp

__all__ = ["Run", "RunConfig", "Vetted", "open_run", "run", "vet"]


class Run(RunResults):
    """A run directory, read only. Tables are read when first asked for.

    Parameters
    ----------
    directory : path

    Raises
    ------
    RunError
        It is not a run, or one of another format version.
    """

    def plot(
        self, toi: str, sector: int | None = None, *, ax: Axes | None = None, panel: str = "difference"
    ) -> Axes | NDArray[np.object_]:
        """Draw one sector of a candidate, or all of them and the joint position on the sky.

        Parameters
        ----------
        toi : str
        sector : int, optional
            Without it: all sectors.
        ax : Axes, optional
            Draw one panel there: with `sector` the image named by `panel`, without it the sky.
        panel : {"difference", "snr", "out_of_transit", "depth_ppm"}

        Returns
        -------
        Axes, or an array of all axes of a new figure
            Nothing is shown; a notebook does that by itself.

        Raises
        ------
        RunError
            The run has no such candidate, sector or image.
        """
        return plot(self, toi, sector, ax=ax, panel=panel)


class Vetted(VettedStamp):
    """What one stamp says about one candidate."""

    def plot(self, ax: Axes | None = None, panel: str = "difference") -> Axes | NDArray[np.object_]:
        """Draw the images, or one `panel` on `ax`. Returns the axes, shows nothing."""
        named = {"toi": f"TIC {self.row['tic']}"}
        view = sector_view(self.row | named, self.images | named or None, named | asdict(self.verdict))
        return plot_sector(view, ax=ax, panel=panel)


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
    progress: Progress | None = None,
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
    retry_failed : bool
        Do rows again that ended in an error although nothing has changed.
    refresh : bool
        Ask archives again, whatever is remembered of their answers.
    progress : Progress, optional

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
    config = configured(config, output=output, executor=executor, scheduler=scheduler)
    options = RunOptions(limit, only, keep_going, retry_failed, refresh)
    return Run(run_configuration(config, options, progress).directory)


def vet(  # house: everything that may be said of one candidate and its stamp, as a notebook says it
    tpf: TessTargetPixelFile | Stamp,
    *,
    period_days: float,
    t0_btjd: float,
    duration_hours: float,
    t0_err: float = 0.0,
    period_err: float = 0.0,
    neighbours: Sequence[Neighbour] | Iterable[Mapping[str, Any]] | None = None,
    others: Sequence[Ephemeris] = (),
    ra: float = math.nan,
    dec: float = math.nan,
    checks: Sequence[str] = ALL_CHECKS,
    prf: str | Path | None = None,
    quality_bitmask: str | int = "default",
) -> Vetted:
    """Vet one candidate on one stamp.

    Parameters
    ----------
    tpf : lightkurve TessTargetPixelFile or Stamp
        A lightkurve file is taken with all its cadences; the quality mask it was opened with does not matter.
    period_days : float
        0 for a single transit.
    t0_btjd : float
        Mid-time of a transit, BTJD days; a BJD is converted, what looks like another count of days is refused.
    duration_hours : float
        First to fourth contact.
    t0_err, period_err : float
        One sigma, days; 0 when unknown.
    neighbours : sequence of Neighbour, or a table's rows, optional
        With ``source_id, ra, dec, tmag`` and optionally ``pmra, pmdec, epoch``; a DataFrame will do. Without them
        the verdict weighs only the target and "a star that is not in the table".
    others : sequence of Ephemeris
        Of the target's other planets, whose transits are left out.
    ra, dec : float
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
    StampError
        The stamp has no usable cadence, or is not a stamp.
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
        companions=tuple(companion(other, number) for number, other in enumerate(others)),
        neighbours=None if neighbours is None else neighbours_of(neighbours),
    )
    settings = VetSettings(
        checks=cast("tuple[Check, ...]", tuple(checks)),  # held against the list of them in `vet_stamp`
        quality_bitmask=parse_bitmask(quality_bitmask),
        prf_directory=prf_directory(prf),
    )
    found = vet_stamp(tpf, candidate, surroundings, settings)
    return Vetted(found.row, found.verdict, found.images)
