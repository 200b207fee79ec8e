"""A run's results in hand: its tables, what they show, and what they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batchvet.report.glance import glance
from batchvet.report.plot import plot
from batchvet.report.run_figure import run_figure
from batchvet.results.comparison import compare_run
from batchvet.results.followup import followup
from batchvet.results.matches import match_run
from batchvet.results.reader import RunResults
from batchvet.results.run_calibration import apply_scale
from batchvet.results.self_check import check_run
from batchvet.results.site import LOWEST
from batchvet.results.views import overview
from batchvet.runtime.bars import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_SHOWN = 20  #: candidates of a run that a notebook shows by itself


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

    def __repr__(self) -> str:
        return f"<batchvet run {self.directory}: {self._told()}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the first candidates, and where all dips are."""
        n = len(self.candidates)
        more = f"The first {_SHOWN} of {n} candidates; run.candidates has all." if n > _SHOWN else ""
        lines = overview(self, _SHOWN)
        return glance(f"batchvet run {self.directory}", self._told(), lines, run_figure(self.candidates), more)

    def _told(self) -> str:
        """Candidates by verdict in a line."""
        verdicts = self.candidates["verdict"].value_counts().sort_index().items()
        told = f"{counted(self.plan['n_candidates'], 'candidate')} in {counted(self.plan['n_rows'], 'row')}"
        listed = ", ".join(f"{n} {verdict}" for verdict, n in verdicts) or "not judged yet"
        return f"{told}; {listed}" + ("" if self.is_finished else "; not finished")

    def match(self, variables: str | Path | None = None) -> pd.DataFrame:
        """Hold the candidates' ephemerides against each other and against known variables.

        Parameters
        ----------
        variables : path, optional
            Table with ``name, ra, dec, period_days, t0_btjd`` and, where known, ``tmag, period_err, t0_err``; or the
            TESS eclipsing binary catalogue, or VSX.

        Returns
        -------
        DataFrame
            What `matches` is from now on: a row for each candidate and other with the same ephemeris, and the chance
            that this is luck.

        Raises
        ------
        RunError
            No candidate is judged yet.
        CatalogError
            The table cannot be used.
        """
        return match_run(self, variables)

    def check(self, *, apply: bool = False) -> dict[str, Any]:
        """Hold the run against itself: are its errors honest, where are its stars off, what failed.

        Parameters
        ----------
        apply : bool
            Keep the scale that makes the errors honest as the run's calibration; the next `batchvet.run` judges with
            it, without pixels.

        Returns
        -------
        dict
            As ``batchvet check --json``: ``scale``, ``by``, ``zero_points``, ``consistency``, ``failures``,
            ``seconds``, ``calibration`` and ``words``; with `apply` also what was ``applied``.

        Raises
        ------
        RunError
            With `apply`: too few sure candidates, or not judged with the run's calibration yet.
        """
        found = check_run(self)
        return found | {"applied": apply_scale(self)} if apply else found

    def compare(self, truth: str | Path) -> dict[str, Any]:
        """Hold verdicts and hosts against dispositions, published hosts or another run.

        Parameters
        ----------
        truth : path
            A table with ``toi`` and a disposition or a host, or the directory of another run.

        Returns
        -------
        dict
            As ``batchvet compare --json``: ``confusion``, ``hosts`` and ``disagreements``, the surest first.

        Raises
        ------
        CatalogError
            The table has nothing to compare with.
        RunError
            The other run cannot be read.
        """
        return compare_run(self, truth)

    def followup(
        self,
        start: str,
        days: float,
        tois: Sequence[str] = (),
        *,
        site: str | None = None,
        min_altitude: float = LOWEST,
    ) -> pd.DataFrame:
        """The stars to watch at each coming dip, with the depths that they need.

        Parameters
        ----------
        start : str
            First night, such as ``2026-12-01``, UTC.
        days : float
        tois : sequence of str
            Of these candidates; none: of all.
        site : str, optional
            Where from: ``latitude,longitude,height`` (deg, deg, m) or the name of an observatory; adds the time there,
            altitudes, the Moon and whether the star is visible.
        min_altitude : float
            Degrees, below which a star is not visible from there.

        Returns
        -------
        DataFrame
            One row for each dip and star that is not cleared.

        Raises
        ------
        ConfigError
            `start` is no date, `days` not positive, or `site` no place.
        RunError
            The run has no such candidate, or no hosts yet.
        """
        return followup(self, start, days, tois, site=site, min_altitude=min_altitude)

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
