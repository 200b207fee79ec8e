"""What ``batchvet.vet`` gives, with its figures: the result of a call in a notebook, ready to be looked at."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batchvet.errors import ConfigError
from batchvet.report.figures import candidate_figure, sector_figure
from batchvet.report.glance import glance
from batchvet.report.plot import plot_candidate, plot_sector
from batchvet.report.view import SectorView, SkyView, rows_of, sector_view, sky_view
from batchvet.report.words import equals, plain
from batchvet.results.views import sector_lines
from batchvet.vetting.judge import host_columns
from batchvet.vetting.notebook import VettedSectors

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Vetted(VettedSectors):
    """What one or several sectors say about one candidate."""

    def __repr__(self) -> str:
        return f"<{self._title()}: {self._told()}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, a line for each sector, and the figure."""
        views, sky = self._views()
        figure = sector_figure(views[0]) if len(views) == 1 else candidate_figure(views, sky)
        return glance(self._title(), self._told(), sector_lines(rows_of(self.sectors)), figure)

    def plot(
        self, sector: int | None = None, *, ax: Axes | None = None, panel: str = "difference"
    ) -> Axes | NDArray[np.object_]:
        """Draw one sector's images, or all sectors and the joint position; one `panel` on `ax`.

        Without `sector` where there is only one, that. Returns the axes, shows nothing.
        """
        views, sky = self._views()
        if sector is None and len(views) > 1:
            return plot_candidate(views, sky, ax=ax)
        chosen = [view for view in views if sector in (None, view.sector)]
        if not chosen:
            raise ConfigError(f"sector {sector}: there is {', '.join(str(view.sector) for view in views)}")
        return plot_sector(chosen[0], ax=ax, panel=panel)

    def _views(self) -> tuple[list[SectorView], SkyView]:
        named = {"toi": f"TIC {self.rows[0]['tic']}", "tic": self.rows[0]["tic"]}
        candidate = asdict(self.verdict) | host_columns(self.verdict.host_candidates) | named
        pairs = list(zip(self.rows, self.images_of_rows, strict=True))
        views = [sector_view(row | named, images | named if images else None, candidate) for row, images in pairs]
        return views, sky_view(candidate, self.rows, [{**row, **images} for row, images in pairs if images])

    def _title(self) -> str:
        sectors = ", ".join(str(row["sector"]) for row in self.rows)
        return f"TIC {self.rows[0]['tic']}, sector{'s' if len(self.rows) > 1 else ''} {sectors}"

    def _told(self) -> str:
        verdict = self.verdict
        said = [f"{verdict.verdict}"]
        if math.isfinite(verdict.p_target):
            said.append(f"P(target) {equals(verdict.p_target)}")
        if math.isfinite(verdict.offset_arcsec):
            said.append(f"offset {plain(verdict.offset_arcsec)} arcsec ({plain(verdict.significance_sigma)} sigma)")
        reasons = [row["error"] for row in self.rows if row["error"]]
        return ", ".join(said) + (f"; {reasons[0]}" if reasons and not verdict.n_sectors_used else "")
