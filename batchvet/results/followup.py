"""Which stars to watch, when, and how deep: a list for those who observe from the ground."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from astropy.time import Time

from batchvet.catalog.candidate import Ephemeris
from batchvet.catalog.cells import BTJD_ZERO
from batchvet.errors import ConfigError, RunError
from batchvet.results.reader import RunResults
from batchvet.results.site import LOWEST, checked_lowest, offline, seen_from, site_of
from batchvet.vocabulary import HostWord

#: Columns of the list, in their order.
COLUMNS = (
    "toi",
    "tic",
    "epoch",
    "mid_time_utc",
    "mid_time_bjd_tdb",
    "mid_time_error_minutes",
    "duration_hours",
    "source_id",
    "ra",
    "dec",
    "tmag",
    "separation_arcsec",
    "position_angle_deg",
    "word",
    "probability",
    "depth_required_ppm",
    "depth_required_error_ppm",
)
_OF_A_STAR = ("source_id", "ra", "dec", "tmag", "separation_arcsec", "position_angle_deg", "word", "probability")
_MOST_DAYS = 3660  #: ten years: each dip of each star is a row


def followup(
    run: RunResults,
    start: str,
    days: float,
    tois: Sequence[str] = (),
    *,
    site: str | None = None,
    min_altitude: float = LOWEST,
) -> pd.DataFrame:
    """The stars to watch at each coming dip: those that are not cleared and that could make it.

    Parameters
    ----------
    run : RunResults
    start : str
        First night, such as ``2026-12-01``, UTC.
    days : float
        How many days from then.
    tois : sequence of str
        Of these candidates; none: of all that have been judged.
    site : str, optional
        Where from: ``latitude,longitude,height`` (deg, deg, m), or a name that astropy has here.
    min_altitude : float
        Degrees, below which a star is not visible from there.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row for each dip and star, by time, then the likelier star first; with a site also
        `batchvet.results.site.COLUMNS`.

    Raises
    ------
    ConfigError
        `start` is no date, `days` not positive, `site` no place, or `min_altitude` no altitude.
    RunError
        The run has no such candidate, or no hosts yet.

    Notes
    -----
    Mid-times are barycentric (BJD_TDB) by the catalogue's ephemeris; as UTC they are not moved to the Earth, where the
    dip is seen up to 8.3 minutes earlier or later; from a site, the time there is a column. Their error is the
    ephemeris's; NaN where the catalogue has none.
    """
    first, days = _btjd(start), _checked_days(days)
    place, min_altitude = None if site is None else site_of(site), checked_lowest(min_altitude)
    if run.hosts.empty:
        raise RunError(f"{run.directory}: no hosts yet; 'batchvet run CONFIG' judges what it finds")
    named = {str(run.of(toi)["toi"].iloc[0]) for toi in tois}
    chosen = run.candidates if not named else run.candidates[run.candidates["toi"].isin(named)]
    watched = run.hosts[(run.hosts["word"] != HostWord.CLEARED) & (run.hosts["depth_required"] <= 1.1)]
    stars = {toi: group.to_dict("records") for toi, group in watched.groupby("toi", sort=False)}
    known = chosen.to_dict("records")
    with offline():
        rows = [row for one in known for row in _rows(one, stars.get(one["toi"], ()), first, first + days)]
    listed = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(
        ["mid_time_bjd_tdb", "toi", "probability"], ascending=[True, True, False], kind="stable", ignore_index=True
    )
    return listed if place is None else listed.join(seen_from(place, listed, min_altitude))


def _checked_days(days: float) -> float:
    """A number of days that can be listed. Raises ConfigError where it is none."""
    if not (math.isfinite(days) and days > 0):
        raise ConfigError(f"--days: {days:g} is not a positive number of days")
    if days > _MOST_DAYS:
        raise ConfigError(f"--days: {days:g} is more than {_MOST_DAYS}; ask for fewer days at a time")
    return days


def _rows(
    candidate: dict[Any, Any], stars: Iterable[dict[Any, Any]], first: float, last: float
) -> Iterable[dict[str, Any]]:
    """Of one candidate."""
    names = ("period_days", "t0_btjd", "duration_hours", "t0_err_days", "period_err_days")
    ephemeris = Ephemeris(*(float(candidate[name]) for name in names))
    if not math.isfinite(ephemeris.t0_btjd):
        return
    has_errors = ephemeris.t0_err_days > 0 or ephemeris.period_err_days > 0
    for mid_time in ephemeris.mid_times(first, last).tolist():
        apart = mid_time - ephemeris.t0_btjd
        when = Time(BTJD_ZERO, mid_time, format="jd", scale="tdb")
        for star in stars:
            yield {
                "toi": candidate["toi"],
                "tic": candidate["tic"],
                "epoch": 0 if ephemeris.is_single else round(apart / ephemeris.period_days),
                "mid_time_utc": when.utc.isot[:16],
                "mid_time_bjd_tdb": round(BTJD_ZERO + mid_time, 5),
                "mid_time_error_minutes": 1440.0 * ephemeris.mid_time_error(mid_time) if has_errors else math.nan,
                "duration_hours": ephemeris.duration_hours,
                **{name: star[name] for name in _OF_A_STAR},
                "depth_required_ppm": star["depth_required_ppm"],
                "depth_required_error_ppm": 1e6 * star["depth_required_error"],
            }


def _btjd(date: str) -> float:
    try:
        with offline():
            return float(Time(date, scale="utc").tdb.jd - BTJD_ZERO)
    except ValueError:
        raise ConfigError(f"--from: {date!r} is not a date such as 2026-12-01") from None
