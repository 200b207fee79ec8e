"""What a site on the Earth sees of coming dips: how high the star stands, whether it is night, where the Moon is.

astropy alone, with what it ships: nothing is downloaded. Beyond the tables of the Earth's rotation that came with it
UT1 is taken for UTC, which turns the sky by 15 arcsec at most.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body, get_sun
from astropy.coordinates.errors import UnknownSiteException
from astropy.time import Time
from astropy.utils import data, iers
from astropy.utils.exceptions import AstropyWarning
from erfa import ErfaWarning

from batchvet.errors import ConfigError

#: Columns that a site adds to the list.
COLUMNS = (
    "mid_time_site_utc",
    "altitude_deg",
    "sun_altitude_deg",
    "is_dark",
    "moon_separation_deg",
    "moon_illumination",
    "visible",
)
NIGHT = -12.0  #: deg, of the Sun: nautical twilight, from which photometry of such stars is done
LOWEST = 30.0  #: deg, of the star: an airmass of 2
_HIGHEST = 9000.0  #: m, of a site
#: Observatories that follow TESS's candidates: latitude, longitude (deg, to 0.01), height (m), as in the list that
#: astropy fetches (astropy-data, coordinates/sites.json); Haleakala is DKIST's entry there, Mauna Kea Keck's.
_SITES = {
    "calar alto": (37.22, -2.55, 2168.0),
    "cerro tololo": (-30.17, -70.81, 2215.0),
    "haleakala": (20.71, -156.26, 3067.0),
    "kitt peak": (31.96, -111.60, 2120.0),
    "la palma": (28.76, -17.88, 2327.0),
    "la silla": (-29.26, -70.73, 2347.0),
    "mauna kea": (19.83, -155.48, 4160.0),
    "mcdonald": (30.67, -104.02, 2075.0),
    "palomar": (33.36, -116.86, 1706.0),
    "paranal": (-24.63, -70.40, 2669.0),
    "siding spring": (-31.27, 149.06, 1149.0),
    "sutherland": (-32.38, 20.81, 1798.0),
    "teide": (28.30, -16.51, 2390.0),
}


@contextmanager
def offline() -> Iterator[None]:
    """Nothing is asked for, and nobody is told that it was not."""
    with (
        data.conf.set_temp("allow_internet", False),
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("auto_max_age", None),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", ErfaWarning)  # leap seconds of years to come are not known
        yield


def site_of(text: str) -> EarthLocation:
    """A site by its place, ``latitude,longitude[,height]`` (deg, east and north positive, m), or by its name.

    Raises
    ------
    ConfigError
        It is neither. Names are those of some observatories, and of astropy's list where this machine has that.
    """
    parts = text.split(",")
    if len(parts) in (2, 3):
        try:
            latitude, longitude, height = (float(part) for part in (*parts, "0")[:3])
        except ValueError:
            raise ConfigError(f"--site: {text!r} is not latitude,longitude,height such as -29.26,-70.74,2400") from None
        if not (abs(latitude) <= 90 and -180 <= longitude <= 360 and abs(height) <= _HIGHEST):
            raise ConfigError(
                f"--site: {text!r} is no place on the Earth: latitude -90 to 90 and longitude -180 to 360 degrees, "
                f"height in metres"
            )
        return EarthLocation.from_geodetic(longitude * u.deg, latitude * u.deg, height * u.m)
    name = text.strip()
    if (known := _SITES.get(name.lower())) is not None:
        return EarthLocation.from_geodetic(known[1] * u.deg, known[0] * u.deg, known[2] * u.m)
    with offline():
        try:
            return EarthLocation.of_site(name)
        except (UnknownSiteException, OSError):  # not in its list, or no list on this machine
            raise ConfigError(
                f"--site: no place is known as {text!r}; give latitude,longitude,height such as -29.26,-70.74,2400, "
                f"or one of {', '.join(sorted(_SITES))}"
            ) from None


def seen_from(site: EarthLocation, listed: pd.DataFrame, lowest: float = LOWEST) -> pd.DataFrame:
    """The columns that a site adds to the list of stars.

    Parameters
    ----------
    site : EarthLocation
    listed : DataFrame
        With ``mid_time_bjd_tdb``, ``ra`` and ``dec`` (deg).
    lowest : float
        Altitude (deg) below which a star is not visible.

    Returns
    -------
    DataFrame
        `COLUMNS`, in the order of `listed`: the time at which the dip is seen there, light's way from the Sun's place
        included (UTC); altitudes of star and Sun, without refraction, and the Moon's distance from the star, at that
        time (deg); the lit share of the Moon; whether the Sun is below -12 deg, and the star high enough as well. Of a
        star whose place is not known nothing is.
    """
    placed = np.isfinite(listed[["mid_time_bjd_tdb", "ra", "dec"]].to_numpy(dtype=np.float64)).all(axis=1)
    if not placed.all():
        seen = _seen_from(site, listed[placed], lowest).reindex(listed.index)
        return seen.fillna({"mid_time_site_utc": ""}).astype(dict.fromkeys(("is_dark", "visible"), "boolean"))
    return _seen_from(site, listed, lowest)


def _seen_from(site: EarthLocation, listed: pd.DataFrame, lowest: float) -> pd.DataFrame:
    """The same of stars whose places are known."""
    if listed.empty:
        return pd.DataFrame(columns=list(COLUMNS), index=listed.index)
    stars = SkyCoord(listed["ra"].to_numpy() * u.deg, listed["dec"].to_numpy() * u.deg)
    days = listed["mid_time_bjd_tdb"].to_numpy(dtype=np.float64)
    with offline():
        at_sun = Time(days, format="jd", scale="tdb", location=site)
        seen = at_sun - at_sun.light_travel_time(stars)
        told = [moment[:16] for moment in seen.utc.isot]
        times, number = np.unique(np.round(seen.utc.jd, 5), return_inverse=True)  # of a second; many stars share one
        moments = Time(times, format="jd", scale="utc", location=site)
        frame = AltAz(obstime=moments[number], location=site)
        altitude = stars.transform_to(frame).alt.deg
        sun, moon = get_sun(moments), get_body("moon", moments, location=site)
        sun_altitude = sun.transform_to(AltAz(obstime=moments, location=site)).alt.deg[number]
        from_sun = moon.separation(sun, origin_mismatch="ignore").rad
        apart = stars.transform_to(frame).separation(moon[number].transform_to(frame)).deg
    dark = sun_altitude < NIGHT
    return pd.DataFrame(
        {
            "mid_time_site_utc": told,
            "altitude_deg": altitude.round(2),
            "sun_altitude_deg": sun_altitude.round(2),
            "is_dark": dark,
            "moon_separation_deg": apart.round(2),
            "moon_illumination": (0.5 * (1.0 - np.cos(from_sun))[number]).round(3),
            "visible": dark & (altitude >= lowest),
        },
        index=listed.index,
    )


def checked_lowest(degrees: float) -> float:
    """An altitude in degrees. Raises ConfigError where it is none."""
    if not (math.isfinite(degrees) and 0.0 <= degrees < 90.0):
        raise ConfigError(f"--min-altitude: {degrees:g} is not an altitude from 0 to 90 degrees")
    return degrees
