"""One stamp in a notebook: the same checks and the same verdict as a run's, without files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from batchvet.catalog.candidate import Candidate, Ephemeris, Neighbour
from batchvet.catalog.fields import candidate_of, read_fields
from batchvet.catalog.neighbours import read_star
from batchvet.errors import ConfigError, StampError
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.tpf import stamp_of_hdus
from batchvet.results.schema import PROVENANCE_NAMES, SECTORS
from batchvet.science.joint import CandidateVerdict, vet_candidate
from batchvet.science.localization import SectorLocalization
from batchvet.vetting.measure import Measured, measure, observe
from batchvet.vetting.place import check_place
from batchvet.vetting.rows import image_columns, sector_columns
from batchvet.vetting.settings import ALL_CHECKS, Surroundings, VetSettings
from batchvet.vetting.threads import one_thread

if TYPE_CHECKING:
    from lightkurve import TessTargetPixelFile


#: What the fields of a call are in, where they carry a unit.
_UNITS = {
    "period_days": "d",
    "t0": "d",
    "duration_hours": "h",
    "t0_err": "d",
    "period_err": "d",
    "ra": "deg",
    "dec": "deg",
}
_STAR_UNITS = {"ra": "deg", "dec": "deg", "tmag": "mag", "pmra": "mas/yr", "pmdec": "mas/yr"}


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
        There is no check of that name.
    PositionError
        The target cannot be where the candidate says.
    StampError
        The stamp has no usable cadence, or is not a stamp.
    """
    unknown = set(settings.checks) - set(ALL_CHECKS)
    if unknown:
        raise ConfigError(f"checks: {sorted(unknown)} are not among {list(ALL_CHECKS)}")
    stamp = tpf if isinstance(tpf, Stamp) else stamp_of(tpf)
    check_place(candidate, stamp)
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


def declared(cells: Mapping[str, Any], where: str = "") -> Candidate:
    """The candidate that a call speaks of, checked as a catalogue's rows are.

    Parameters
    ----------
    cells : mapping
        ``period_days``, ``t0_btjd``, ``duration_hours`` and whatever else there is of ``t0_err``, ``period_err``,
        ``ra``, ``dec``: numbers, or quantities and times of astropy.
    where : str
        What stands before the names in messages.

    Raises
    ------
    ConfigError
        All that is wrong with them.
    """
    names = {"t0_btjd" if ours == "t0" else ours: ours for ours in _UNITS}
    called = {ours: f"{where}{name}" for name, ours in names.items()}
    given = {ours: number_in(cells[name], _UNITS[ours], called[ours]) for name, ours in names.items() if name in cells}
    values, problems = read_fields(given, called, needed=("period_days", "t0", "duration_hours"))
    if problems:
        raise ConfigError("; ".join(problems))
    return candidate_of({"toi": "candidate", "tic": 0} | values)


def companion(other: Ephemeris, number: int) -> Candidate:
    """Another planet of the target by its ephemeris, checked as the candidate's own. Raises as :func:`declared`."""
    cells = {
        "period_days": other.period_days,
        "t0_btjd": other.t0_btjd,
        "duration_hours": other.duration_hours,
        "t0_err": other.t0_err_days,
        "period_err": other.period_err_days,
    }
    return replace(declared(cells, f"others[{number}]: "), toi=f"other {number}")


def prf_directory(prf: str | Path | None) -> str | None:
    """Where official PRF files are; None where the PRF is to be fitted.

    Raises
    ------
    ConfigError
        It is not a directory.
    """
    if prf is None or prf == "empirical":
        return None
    if not Path(prf).is_dir():
        raise ConfigError(f"prf: {prf} is not a directory; name one with SPOC PRF files, or 'empirical'")
    return str(prf)


def number_in(value: Any, unit: str, name: str) -> Any:
    """A number in `unit`, of a number, a quantity or a time (BJD, as which a time of astropy is taken) of astropy.

    Raises
    ------
    ConfigError
        A quantity of something else.
    """
    if hasattr(value, "tdb"):
        return float(value.tdb.jd)
    if not hasattr(value, "to_value"):
        return value  # what is none is told by who reads the fields
    try:
        return float(value.to_value(unit))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {value} cannot be had in {unit}") from error


def neighbours_of(rows: Sequence[Neighbour] | Iterable[Mapping[str, Any]]) -> tuple[Neighbour, ...]:
    """Stars from a table's rows, a table of pandas or astropy, or stars.

    Raises
    ------
    ConfigError
        A row lacks a column or has no number in it, or a star is named twice.
    """
    stars = tuple(_neighbour(row, f"neighbours[{number}]") for number, row in enumerate(_rows_of(rows)))
    named: set[str] = set()
    for number, star in enumerate(stars):
        if star.source_id in named:
            raise ConfigError(f"neighbours[{number}]: the source {star.source_id} is there twice")
        named.add(star.source_id)
    return stars


def _rows_of(table: Any) -> Iterable[Neighbour | Mapping[str, Any]]:
    if hasattr(table, "to_dict"):
        return cast("list[dict[str, Any]]", table.to_dict("records"))
    if hasattr(table, "colnames"):
        return [{name: None if row[name] is np.ma.masked else row[name] for name in table.colnames} for row in table]
    return cast("Iterable[Neighbour | Mapping[str, Any]]", table)


def _neighbour(row: Neighbour | Mapping[str, Any], where: str) -> Neighbour:
    cells: dict[str, Any] = asdict(row) if isinstance(row, Neighbour) else dict(row)
    cells |= {name: number_in(cells[name], unit, name) for name, unit in _STAR_UNITS.items() if name in cells}
    lacking = [f"there is no {name}" for name in ("source_id", "ra", "dec", "tmag") if name not in cells]
    values, problems = read_star(cells, {name: name for name in cells})
    if lacking or problems:
        raise ConfigError(f"{where}: {'; '.join(lacking + problems)}; a star needs source_id, ra, dec and tmag")
    return Neighbour(**{name: value for name, value in values.items() if name != "tic"})


def _row(stamp: Stamp, measured: Measured) -> dict[str, Any]:
    values = {"tic": stamp.tic, "sector": stamp.sector, **sector_columns(measured)}
    return {column.name: values.get(column.name) for column in SECTORS if column.name not in {"toi", *PROVENANCE_NAMES}}
