"""One stamp in a notebook: the same checks and the same verdict as a run's, without files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchvet.catalog.candidate import Candidate, Neighbour
from batchvet.errors import ConfigError, StampError
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.tpf import stamp_of_hdus
from batchvet.results.schema import PROVENANCE_NAMES, SECTORS
from batchvet.science.joint import CandidateVerdict, vet_candidate
from batchvet.science.localization import SectorLocalization
from batchvet.vetting.measure import Measured, measure, observe
from batchvet.vetting.rows import image_columns, sector_columns
from batchvet.vetting.settings import ALL_CHECKS, Surroundings, VetSettings
from batchvet.vetting.threads import one_thread

if TYPE_CHECKING:
    from lightkurve import TessTargetPixelFile


@dataclass(frozen=True, eq=False)
class VettedStamp:
    """What one stamp says about one candidate."""

    row: dict[str, Any]  #: as a row of the table `sectors`; None where nothing could be measured
    verdict: CandidateVerdict  #: from this stamp alone
    images: dict[str, Any]  #: as a row of the table `images`; empty when there is nothing in transit

    @property
    def units(self) -> dict[str, str]:
        """Column to unit."""
        return {column.name: column.unit for column in SECTORS if column.name in self.row}


def vet_stamp(
    tpf: TessTargetPixelFile | Stamp, candidate: Candidate, surroundings: Surroundings, settings: VetSettings
) -> VettedStamp:
    """Vet one candidate on one stamp.

    Parameters
    ----------
    tpf : lightkurve TessTargetPixelFile or Stamp
    candidate : Candidate
        Its TIC number is taken from the stamp.
    surroundings : Surroundings
    settings : VetSettings

    Raises
    ------
    ConfigError
        The ephemeris or a check makes no sense.
    StampError
        The stamp has no usable cadence, or is not a stamp.
    """
    ephemeris = candidate.ephemeris
    if not (ephemeris.duration_hours > 0 and math.isfinite(ephemeris.t0_btjd) and ephemeris.period_days >= 0):
        raise ConfigError("an ephemeris needs t0_btjd, duration_hours > 0 and period_days >= 0 (0: single transit)")
    unknown = set(settings.checks) - set(ALL_CHECKS)
    if unknown:
        raise ConfigError(f"checks: {sorted(unknown)} are not among {list(ALL_CHECKS)}")
    stamp = tpf if isinstance(tpf, Stamp) else stamp_of(tpf)
    with one_thread():
        measured = measure(observe(stamp, settings), replace(candidate, tic=stamp.tic), surroundings, settings)
    located = measured.localization
    return VettedStamp(
        row=_row(stamp, measured),
        verdict=vet_candidate([located.evidence] if isinstance(located, SectorLocalization) else []),
        images=image_columns(measured) if measured.in_transit else {},
    )


def stamp_of(tpf: TessTargetPixelFile) -> Stamp:
    """The stamp of an open lightkurve target pixel file: all cadences, whatever its quality mask.

    Raises
    ------
    StampError
        It is not a TESS target pixel file.
    """
    if not hasattr(tpf, "hdu"):
        raise StampError(f"a {type(tpf).__name__} is not a target pixel file: pass a lightkurve one or a Stamp")
    return stamp_of_hdus(tpf.hdu, str(tpf.path or "target pixel file in memory"))


def neighbours_of(rows: Sequence[Neighbour] | Iterable[Mapping[str, Any]]) -> tuple[Neighbour, ...]:
    """Stars from a table's rows, a DataFrame or stars.

    Raises
    ------
    ConfigError
        A row lacks a column or has no number in it.
    """
    if hasattr(rows, "to_dict"):
        rows = rows.to_dict("records")
    return tuple(row if isinstance(row, Neighbour) else _neighbour(row) for row in rows)


def _neighbour(row: Mapping[str, Any]) -> Neighbour:
    try:
        needed = {name: float(row[name]) for name in ("ra", "dec", "tmag")}
        known = {name: float(row[name]) for name in ("pmra", "pmdec", "epoch") if name in row}
        return Neighbour(str(row["source_id"]), **needed, **{k: v for k, v in known.items() if np.isfinite(v)})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"neighbours: a row needs source_id, ra, dec and tmag as numbers ({error})") from error


def _row(stamp: Stamp, measured: Measured) -> dict[str, Any]:
    values = {"tic": stamp.tic, "sector": stamp.sector, **sector_columns(measured)}
    return {column.name: values.get(column.name) for column in SECTORS if column.name not in {"toi", *PROVENANCE_NAMES}}
