"""What a site sees of coming dips, against formulas of the textbooks and eclipses that are in every almanac."""

from __future__ import annotations

import socket

import numpy as np
import pandas as pd
import pytest

from batchvet.api import open_run
from batchvet.errors import ConfigError
from batchvet.results.followup import COLUMNS as LISTED
from batchvet.results.followup import followup
from batchvet.results.site import COLUMNS, seen_from, site_of

PLACE = "-29.26,-70.73,2347"
LATITUDE, LONGITUDE = np.radians(-29.26), -70.73


def stars(*rows: tuple[float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["mid_time_bjd_tdb", "ra", "dec"])


def altitude(jd: float, ra: float, dec: float) -> float:
    """Deg, of a place of date: Meeus, Astronomical Algorithms, (12.4) and (13.6)."""
    turned = np.radians((280.46061837 + 360.98564736629 * (jd - 2451545.0) + LONGITUDE - ra) % 360)
    dec = np.radians(dec)
    return float(
        np.degrees(np.arcsin(np.sin(LATITUDE) * np.sin(dec) + np.cos(LATITUDE) * np.cos(dec) * np.cos(turned)))
    )


def of_date(jd: float, ra: float, dec: float) -> tuple[float, float]:
    """From J2000, deg: the annual precession of the Astronomical Almanac (m = 46.12", n = 20.04")."""
    years = (jd - 2451545.0) / 365.25
    a, d = np.radians(ra), np.radians(dec)
    return (
        ra + years * (46.12 + 20.04 * np.sin(a) * np.tan(d)) / 3600,
        dec + years * 20.04 * np.cos(a) / 3600,
    )


def sun(jd: float) -> tuple[float, float]:
    """Deg, of date: the low-precision formulas of the Astronomical Almanac, good to 0.01 deg."""
    n = jd - 2451545.0
    anomaly = np.radians(357.528 + 0.9856003 * n)
    longitude = np.radians(280.460 + 0.9856474 * n + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    tilt = np.radians(23.439 - 4e-7 * n)
    ra = np.degrees(np.arctan2(np.cos(tilt) * np.sin(longitude), np.cos(longitude)))
    return float(ra), float(np.degrees(np.arcsin(np.sin(tilt) * np.sin(longitude))))


def test_altitudes_are_those_of_the_textbook():
    rng = np.random.default_rng(1)
    rows = [(2461465.5 + rng.uniform(0, 3000), rng.uniform(0, 360), rng.uniform(-75, 30)) for _ in range(150)]
    seen = seen_from(site_of(PLACE), stars(*rows))
    for (_, ra, dec), row in zip(rows, seen.to_dict("records"), strict=True):
        jd = float(np.datetime64(row["mid_time_site_utc"]).astype("datetime64[s]").astype(float)) / 86400 + 2440587.5
        assert row["altitude_deg"] == pytest.approx(altitude(jd, *of_date(jd, ra, dec)), abs=0.4)  # of a minute
        assert row["sun_altitude_deg"] == pytest.approx(altitude(jd, *sun(jd)), abs=0.4)
        assert row["is_dark"] == (row["sun_altitude_deg"] < -12)
        assert row["visible"] == (row["is_dark"] and row["altitude_deg"] >= 30)
    assert 3 < seen["visible"].sum() < 75


def test_light_takes_eight_minutes_from_the_suns_place():
    """A star in the Sun's direction on the ecliptic dips 499 s later here, one opposite 499 s earlier."""
    ra, dec = sun(2461485.5)
    seen = seen_from(site_of(PLACE), stars((2461485.5, ra, dec), (2461485.5, ra - 180, -dec)))
    times = [np.datetime64(text).astype("datetime64[s]").astype(float) for text in seen["mid_time_site_utc"]]
    tdb = (2461485.5 - 2440587.5) * 86400 - 69.184
    assert times[0] - tdb == pytest.approx(499 * 0.995, abs=65) and times[1] - tdb == pytest.approx(-499, abs=65)


def test_the_moon_is_where_eclipses_say():
    """Solar eclipse of 2027 August 2, 10:07 UTC; total lunar eclipse of 2028 December 31, 16:52 UTC."""
    new, full = 2461619.92, 2462137.20
    towards, away = sun(new), sun(full)
    seen = seen_from(site_of(PLACE), stars((new, *towards), (full, away[0] - 180, -away[1])))
    assert seen["moon_illumination"].tolist() == pytest.approx([0.0, 1.0], abs=0.003)
    assert (seen["moon_separation_deg"] < 2.0).all()


def test_places_are_understood_and_mistakes_are_named():
    assert site_of(" la silla ").lat.deg == pytest.approx(-29.26) and abs(site_of("51.5,0").height.value) < 1e-3
    assert site_of("-29.26,289.27,2347").lon.deg == pytest.approx(-70.73)
    for wrong in ("nowhere", "a,b", "95,10", "10,400", "10,20,30000", "1,2,3,4", "nan,1"):
        with pytest.raises(ConfigError, match="--site: "):
            site_of(wrong)


def test_of_a_star_whose_place_nobody_knows_nothing_is_said():
    listed = stars((2461619.92, 10.0, -30.0), (2461620.92, float("nan"), float("nan")), (2461621.92, 20.0, -30.0))
    seen, known = seen_from(site_of(PLACE), listed), seen_from(site_of(PLACE), listed.iloc[[0, 2]])
    assert seen.loc[1, "mid_time_site_utc"] == "" and seen.loc[1].drop("mid_time_site_utc").isna().all()
    assert seen.loc[[0, 2], "altitude_deg"].tolist() == known["altitude_deg"].tolist()
    assert seen.loc[[0, 2], "visible"].tolist() == known["visible"].tolist()


def test_a_list_has_the_sites_columns_and_nobody_is_asked(whole, monkeypatch):
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("a request left")

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    run = open_run(whole)
    listed = followup(run, "2035-03-01", 30, site=PLACE, min_altitude=45)
    assert tuple(listed.columns) == (*LISTED, *COLUMNS) and len(listed)
    assert (listed.loc[listed["visible"], "altitude_deg"] >= 45).all()
    assert run.followup("2035-03-01", 30, site=PLACE).equals(followup(run, "2035-03-01", 30, site=PLACE))
    assert tuple(followup(run, "2035-03-01", 0.0001, site=PLACE).columns) == (*LISTED, *COLUMNS)
    with pytest.raises(ConfigError, match="--min-altitude: 95 is not an altitude"):
        followup(run, "2035-03-01", 30, site=PLACE, min_altitude=95)
    with pytest.raises(ConfigError, match="no place is known as 'nowhere'"):
        followup(run, "2035-03-01", 30, site="nowhere")
