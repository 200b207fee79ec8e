"""What the fields of a candidate may be: the same for a row of a table and for a call in a notebook."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.catalog.cells import (
    Cell,
    btjd,
    declination,
    is_missing,
    number,
    number_between,
    right_ascension,
    sector_list,
    text,
    tic_number,
    yes_or_no,
)

#: Between what a TESS magnitude lies: no star of the night sky is brighter.
TMAG_RANGE = (-3.0, 40.0)

#: How each field is read. Upper limits only catch a value in a wrong unit or column.
PARSERS: dict[str, Callable[[Cell], object]] = {
    "toi": text,
    "tic": tic_number,
    "period_days": number_between(0.0, 1e6),
    "t0": btjd,
    "duration_hours": number_between(0.0, 1e4),
    "depth_ppm": number_between(0.0, 1e7),
    "ra": right_ascension,
    "dec": declination,
    "pmra": number,
    "pmdec": number,
    "tmag": number_between(*TMAG_RANGE),
    "sectors": sector_list,
    "t0_err": number_between(0.0, 1e6),
    "period_err": number_between(0.0, 1e6),
    "companion_only": yes_or_no,
}
NEEDED = ("toi", "tic", "t0", "duration_hours")
#: Fields without which, or with which wrong, a candidate cannot be vetted; an empty period is a single transit.
ESSENTIAL = (*NEEDED, "period_days", "companion_only")


def read_fields(
    cells: Mapping[str, Cell],
    called: Mapping[str, str],
    *,
    needed: Collection[str] = NEEDED,
    zero_is_missing: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """The values of a candidate's fields, and everything that is wrong with them.

    Parameters
    ----------
    cells : mapping of field to what is written there
    called : mapping of field to what its writer calls it, for messages
    needed : fields that must be there
    zero_is_missing : whether a time of 0 means that none is known

    Returns
    -------
    values : mapping of field to value; None where what is written there is wrong
    problems : list of str
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for ours, cell in cells.items():
        if is_missing(cell):
            continue
        try:
            values[ours] = PARSERS[ours](cell)
        except ValueError as problem:
            problems.append(f"{called[ours]} {problem}")
            values[ours] = None
    if zero_is_missing and values.get("t0") == 0.0:
        del values["t0"]
    problems += [f"{called[ours]} is missing" for ours in needed if ours not in values]
    for one, other in (("ra", "dec"), ("dec", "ra")):
        if one in values and other not in values:
            problems.append(f"{called[one]} is given without the {other} that belongs to it")
    return values, problems + _contradictions(values, called)


def without_optional(
    cells: Mapping[str, Cell], called: Mapping[str, str], *, zero_is_missing: bool
) -> tuple[dict[str, Cell], list[str]]:
    """The cells without those that are wrong and not needed, and what is wrong with them.

    Parameters as of :func:`read_fields`. A position goes as a whole.
    """
    essential = {ours: cell for ours, cell in cells.items() if ours in ESSENTIAL}
    kept, left_out = dict(essential), []
    for group in (("ra", "dec"), *((ours,) for ours in cells if ours not in (*ESSENTIAL, "ra", "dec"))):
        several = {ours: cells[ours] for ours in group if ours in cells}
        _, problems = read_fields(several, called, needed=(), zero_is_missing=zero_is_missing)
        left_out += problems
        kept |= {} if problems else several
    return kept, left_out


def unusable_candidate(values: Mapping[str, Any], name: str, problem: str) -> Candidate:
    """What can be said of a candidate that cannot be vetted for a `problem`; NaN for what is missing or wrong."""
    known = {ours: value for ours, value in values.items() if value is not None}
    known = {"tic": 0, "period_days": math.nan, "t0": math.nan, "duration_hours": math.nan} | known
    return replace(candidate_of(known | {"toi": name, "sectors": None}), problem=problem)


def candidate_of(values: Mapping[str, Any]) -> Candidate:
    """The candidate of fields that :func:`read_fields` found nothing wrong with."""
    names = ("ra", "dec", "pmra", "pmdec", "tmag")
    return Candidate(
        toi=values["toi"],
        tic=values["tic"],
        ephemeris=Ephemeris(
            period_days=values.get("period_days", 0.0),
            t0_btjd=values["t0"],
            duration_hours=values["duration_hours"],
            t0_err_days=values.get("t0_err", 0.0),
            period_err_days=values.get("period_err", 0.0),
        ),
        depth_ppm=values.get("depth_ppm") or math.nan,
        sectors=values.get("sectors"),
        **{name: values.get(name, math.nan) for name in names},
    )


def _contradictions(values: Mapping[str, Any], called: Mapping[str, str]) -> list[str]:
    duration, period = values.get("duration_hours"), values.get("period_days")
    name = called.get("duration_hours", "duration_hours")
    if duration == 0.0:
        return [f"{name} is 0, it must be positive"]
    if duration and period and duration >= 24.0 * period:
        return [f"{name} ({duration:g} h) is not shorter than the period ({period:g} d)"]
    return []
