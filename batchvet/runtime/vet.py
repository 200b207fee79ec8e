"""One stamp in a notebook: the same checks and the same verdict as a run's, without files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from batchvet.catalog.candidate import Candidate, Ephemeris, Neighbour
from batchvet.errors import ConfigError, StampError
from batchvet.pixels.quality import parse_bitmask
from batchvet.pixels.stamp import Stamp
from batchvet.results.schema import PROVENANCE_NAMES, SECTORS
from batchvet.runtime.config import ALL_CHECKS
from batchvet.runtime.executors import one_thread
from batchvet.runtime.task import Measured, VetSettings, image_columns, measure, official_prf, usable
from batchvet.science.joint import CandidateVerdict, vet_candidate

if TYPE_CHECKING:
    from lightkurve import TessTargetPixelFile
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Vetted:
    """What one stamp says about one candidate."""

    row: dict[str, Any]  #: as a row of the table `sectors`; None where nothing could be measured
    verdict: CandidateVerdict  #: from this stamp alone
    images: dict[str, Any]  #: as a row of the table `images`; empty when there is nothing in transit

    @property
    def units(self) -> dict[str, str]:
        """Column to unit."""
        return {column.name: column.unit for column in SECTORS if column.name in self.row}

    def plot(self, ax: Axes | None = None, panel: str = "difference") -> Any:
        """Draw the images, or one `panel` on `ax`. Returns the axes, shows nothing."""
        from batchvet.report.plot import plot_sector  # the last room, asked only when somebody wants to look
        from batchvet.report.view import sector_view

        named = {"toi": f"TIC {self.row['tic']}"}
        candidate = named | asdict(self.verdict)
        return plot_sector(sector_view(self.row | named, self.images | named or None, candidate), ax=ax, panel=panel)


def vet(
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
    prf: str | None = None,
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
        Mid-time of a transit, BTJD days.
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
        Position of the target (deg, ICRS, epoch 2000.0), where the file's is not the one to hold the dip against.
    checks : sequence of str
        Of V08, V09, V10 and localization.
    prf : path, optional
        Directory of official PRF files; None: the PRF is fitted to the stamp.
    quality_bitmask : str or int
        ``none``, ``default``, ``hard``, ``hardest`` or a number.

    Returns
    -------
    Vetted

    Raises
    ------
    ConfigError
        A setting makes no sense.
    StampError
        The stamp has no usable cadence, or is not a stamp.
    """
    if not (duration_hours > 0 and math.isfinite(t0_btjd) and period_days >= 0):
        raise ConfigError("an ephemeris needs t0_btjd, duration_hours > 0 and period_days >= 0 (0: single transit)")
    unknown = set(checks) - set(ALL_CHECKS)
    if unknown:
        raise ConfigError(f"checks: {sorted(unknown)} are not among {list(ALL_CHECKS)}")
    stamp = tpf if isinstance(tpf, Stamp) else stamp_of(tpf)
    settings = VetSettings(tuple(checks), parse_bitmask(quality_bitmask), prf)
    ephemeris = Ephemeris(period_days, t0_btjd, duration_hours, t0_err, period_err)
    candidate = Candidate("candidate", stamp.tic, ephemeris, ra=ra, dec=dec)
    companions = [Candidate(f"other {n}", stamp.tic, other) for n, other in enumerate(others)]
    stars = None if neighbours is None else _neighbours(neighbours)
    official = official_prf(stamp, prf)
    with one_thread():
        measured = measure(
            stamp, usable(stamp, settings.quality_bitmask), candidate, companions, stars, official, settings
        )
    evidence = [] if measured.localization is None else [measured.localization.evidence]
    return Vetted(
        _row(stamp, measured), vet_candidate(evidence), image_columns(stamp, measured) if measured.depth else {}
    )


def stamp_of(tpf: TessTargetPixelFile) -> Stamp:
    """The stamp of an open lightkurve target pixel file: all cadences, whatever its quality mask.

    Raises
    ------
    StampError
        It is not a TESS target pixel file.
    """
    from batchvet.pixels.tpf import stamp_of_hdus

    if not hasattr(tpf, "hdu"):
        raise StampError(f"a {type(tpf).__name__} is not a target pixel file: pass a lightkurve one or a Stamp")
    return stamp_of_hdus(tpf.hdu, str(tpf.path or "target pixel file in memory"))


def _neighbours(rows: Sequence[Neighbour] | Iterable[Mapping[str, Any]]) -> list[Neighbour]:
    if hasattr(rows, "to_dict"):
        rows = rows.to_dict("records")
    stars = []
    for row in rows:
        if isinstance(row, Neighbour):
            stars.append(row)
            continue
        try:
            needed = {name: float(row[name]) for name in ("ra", "dec", "tmag")}
            known = {name: float(row[name]) for name in ("pmra", "pmdec", "epoch") if name in row}
            stars.append(
                Neighbour(str(row["source_id"]), **needed, **{k: v for k, v in known.items() if np.isfinite(v)})
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"neighbours: a row needs source_id, ra, dec and tmag as numbers ({error})") from error
    return stars


def _row(stamp: Stamp, measured: Measured) -> dict[str, Any]:
    values = {"tic": stamp.tic, "sector": stamp.sector, **measured.columns}
    return {column.name: values.get(column.name) for column in SECTORS if column.name not in {"toi", *PROVENANCE_NAMES}}
