"""What a call in a notebook says besides pixels, checked as a catalogue and a neighbour table are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from numbers import Number
from pathlib import Path
from typing import Any, cast

import numpy as np
from astropy.time import Time
from astropy.units import Unit

from batchvet.catalog.candidate import Candidate, Ephemeris, Neighbour
from batchvet.catalog.fields import candidate_of, read_fields
from batchvet.catalog.neighbours import read_star
from batchvet.errors import ConfigError

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
_EPHEMERIS = ("period_days", "t0_btjd", "duration_hours", "t0_err", "period_err")
_STAR_UNITS = {"ra": "deg", "dec": "deg", "tmag": "mag", "pmra": "mas/yr", "pmdec": "mas/yr"}


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


def companion(other: Ephemeris | Mapping[str, Any], number: int) -> Candidate:
    """Another planet of the target by its ephemeris, checked as the candidate's own. Raises as :func:`declared`."""
    where = f"others[{number}]: "
    if isinstance(other, Ephemeris):
        names = {"t0_err": "t0_err_days", "period_err": "period_err_days"}
        other = {name: getattr(other, names.get(name, name)) for name in _EPHEMERIS}
    if not isinstance(other, Mapping):
        raise ConfigError(f"{where}a {type(other).__name__} has no period_days, t0_btjd and duration_hours")
    unknown = ", ".join(str(name) for name in other if name not in _EPHEMERIS)
    if unknown:
        raise ConfigError(f"{where}{unknown} is none of {', '.join(_EPHEMERIS)}")
    return replace(declared(other, where), toi=f"other {number}")


def prf_directory(prf: str | Path | None) -> str | None:
    """Where official PRF files are; None where the PRF is to be fitted.

    Raises
    ------
    ConfigError
        It is not a directory.
    """
    if prf is None or prf == "empirical":
        return None
    if not isinstance(prf, str | os.PathLike):
        raise ConfigError(f"prf: a {type(prf).__name__} is not a path; name a directory, or 'empirical'")
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
    try:
        if isinstance(value, Time):
            return float(value.tdb.jd)
        if hasattr(value, "to_value"):
            return float(value.to_value(Unit(unit)))
        if isinstance(value, np.ndarray):
            return value.item()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {value} cannot be had in {unit}, as one number") from error
    if value is None or isinstance(value, str | Number | np.generic):
        return value  # what is no number in a text is told by who reads the fields
    if type(value).__name__ in ("NAType", "MaskedConstant"):
        return None
    raise ConfigError(f"{name}: a {type(value).__name__} is not a number, a quantity or a time")


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
    if isinstance(table, str | bytes | Mapping) or not isinstance(table, Iterable):
        raise ConfigError(
            f"neighbours: a {type(table).__name__} is no table of stars; pass a DataFrame, a Table or a list of rows, "
            "a file as pandas.read_csv(file)"
        )
    return cast("Iterable[Neighbour | Mapping[str, Any]]", table)


def _neighbour(row: Neighbour | Mapping[str, Any], where: str) -> Neighbour:
    if not isinstance(row, Neighbour | Mapping):
        raise ConfigError(f"{where}: a {type(row).__name__} is not a star; a star needs source_id, ra, dec and tmag")
    cells: dict[str, Any] = asdict(row) if isinstance(row, Neighbour) else dict(row)
    cells |= {name: number_in(cells[name], unit, name) for name, unit in _STAR_UNITS.items() if name in cells}
    lacking = [f"there is no {name}" for name in ("source_id", "ra", "dec", "tmag") if name not in cells]
    values, problems = read_star(cells, {name: name for name in cells})
    if lacking or problems:
        raise ConfigError(f"{where}: {'; '.join(lacking + problems)}; a star needs source_id, ra, dec and tmag")
    return Neighbour(**{name: value for name, value in values.items() if name != "tic"})
