"""What a call in a notebook says besides pixels, checked as a catalogue and a neighbour table are."""

from __future__ import annotations

import math
import os
import warnings
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
from batchvet.pixels.prf_files import checked_prf_directory
from batchvet.vetting.settings import ALL_CHECKS, Check

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


def companions_of(others: Any) -> tuple[Candidate, ...]:
    """Other planets of the target by their ephemerides, checked as the candidate's own. Raises as :func:`declared`."""
    if others is None:
        return ()
    if isinstance(others, Ephemeris | Mapping):
        others = (others,)
    if not isinstance(others, Iterable) or isinstance(others, str):
        raise ConfigError(f"others: a {type(others).__name__} is not a list of ephemerides")
    return tuple(_companion(other, number) for number, other in enumerate(others))


def _companion(other: Ephemeris | Mapping[str, Any], number: int) -> Candidate:
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
        It is not a directory, or has no PRF files.
    """
    if prf is None or prf == "empirical":
        return None
    if not isinstance(prf, str | os.PathLike):
        raise ConfigError(f"prf: a {type(prf).__name__} is not a path; name a directory, or 'empirical'")
    return str(checked_prf_directory(Path(prf).expanduser()))


def checks_of(checks: Any) -> tuple[Check, ...]:
    """Which checks to run; one may stand alone.

    Raises
    ------
    ConfigError
        None is named, or one that is not there.
    """
    named = (checks,) if isinstance(checks, str) else tuple(checks) if isinstance(checks, Iterable) else ()
    if not named:
        raise ConfigError(f"checks: name at least one of {', '.join(ALL_CHECKS)}")
    unknown = [str(name) for name in named if name not in ALL_CHECKS]
    if unknown:
        raise ConfigError(f"checks: {', '.join(unknown)} is none of {', '.join(ALL_CHECKS)}")
    return cast("tuple[Check, ...]", named)


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
    if isinstance(value, bool | np.bool_):
        raise ConfigError(f"{name}: {value} is not a number")
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
    unknown = sum(not math.isfinite(star.tmag) for star in stars)
    if unknown:
        told = f"{unknown} of {len(stars)} neighbours have no tmag: their light is fitted, and nobody knows their depth"
        warnings.warn(told, stacklevel=3)  # of who called `vet`
    return stars


def _rows_of(table: Any) -> Iterable[Neighbour | Mapping[str, Any]]:
    if hasattr(table, "to_dict") and hasattr(table, "columns"):
        return cast("list[dict[str, Any]]", table.to_dict("records"))
    if hasattr(table, "colnames"):
        units = {name: getattr(table[name], "unit", None) for name in table.colnames if name in _STAR_UNITS}
        return [{name: _cell(row[name], units.get(name)) for name in table.colnames} for row in table]
    if isinstance(table, str | bytes | Mapping) or not isinstance(table, Iterable):
        raise ConfigError(
            f"neighbours: a {type(table).__name__} is no table of stars; pass a DataFrame, a Table or a list of rows, "
            "a file as pandas.read_csv(file)"
        )
    return cast("Iterable[Neighbour | Mapping[str, Any]]", table)


def _cell(value: Any, unit: Any) -> Any:
    """A cell of an astropy table in the unit of its column."""
    if value is np.ma.masked:
        return None
    return value if unit is None or hasattr(value, "to_value") else value * Unit(unit)


def _neighbour(row: Neighbour | Mapping[str, Any], where: str) -> Neighbour:
    if not isinstance(row, Neighbour | Mapping):
        raise ConfigError(f"{where}: a {type(row).__name__} is not a star; a star needs source_id, ra, dec and tmag")
    cells: dict[str, Any] = asdict(row) if isinstance(row, Neighbour) else dict(row)
    cells |= {name: number_in(cells[name], unit, name) for name, unit in _STAR_UNITS.items() if name in cells}
    lacking = [_lacking(name, cells) for name in ("source_id", "ra", "dec", "tmag") if name not in cells]
    values, problems = read_star(cells, {name: name for name in cells})
    if lacking or problems:
        raise ConfigError(f"{where}: {'; '.join(lacking + problems)}; a star needs source_id, ra, dec and tmag")
    return Neighbour(**{name: value for name, value in values.items() if name != "tic"})


def _lacking(name: str, cells: Mapping[str, Any]) -> str:
    """That a column is not there, and which may be meant: the TIC's own names are ID, Tmag, pmRA, pmDEC."""
    meant = {"source_id": ("id", "source_id", "gaia", "dr3name")}.get(name, (name,))
    instead = next((str(other) for other in cells if str(other).lower() in meant), None)
    return f"there is no {name}" + (f" (rename {instead}?)" if instead else "")
