"""Who to look at: a candidate and its ephemeris. Plain data, no table library."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Ephemeris:
    """When the dips of one candidate happen."""

    period_days: float  #: days; 0 for a single transit
    t0_btjd: float  #: mid-time of one transit, BTJD = BJD - 2457000, days
    duration_hours: float  #: first to fourth contact, hours
    t0_err_days: float = 0.0  #: 1 sigma, days; 0 when unknown
    period_err_days: float = 0.0  #: 1 sigma, days; 0 when unknown

    @property
    def is_single(self) -> bool:
        """Whether only one transit is known, so that there is no period to fold by."""
        return not (math.isfinite(self.period_days) and self.period_days > 0)

    @property
    def duration_days(self) -> float:
        return self.duration_hours / 24.0

    def time_from_transit(self, time: FloatArray) -> FloatArray:
        """Days from the nearest mid-transit, in (-P/2, P/2]; from t0 for a single transit.

        Parameters
        ----------
        time : array, BTJD days

        Returns
        -------
        array, days, same shape; NaN where `time` is
        """
        if self.is_single:
            return np.asarray(time, dtype=np.float64) - self.t0_btjd
        phase = ((np.asarray(time, dtype=np.float64) - self.t0_btjd) / self.period_days) % 1.0
        return np.where(phase > 0.5, phase - 1.0, phase) * self.period_days

    def mid_times(self, start: float, stop: float) -> FloatArray:
        """Mid-times (BTJD) of the transits whose mid-time lies in [start, stop]."""
        if self.is_single:
            times = np.array([self.t0_btjd])
        else:
            first = math.ceil((start - self.t0_btjd) / self.period_days)
            last = math.floor((stop - self.t0_btjd) / self.period_days)
            times = self.t0_btjd + self.period_days * np.arange(first, last + 1, dtype=np.float64)
        return times[(times >= start) & (times <= stop)]

    def mid_time_error(self, mid_time: float) -> float:
        """One-sigma error (days) of a transit at `mid_time`: t0's and the accumulated period's."""
        epochs = 0.0 if self.is_single else round((mid_time - self.t0_btjd) / self.period_days)
        return math.hypot(self.t0_err_days, epochs * self.period_err_days)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row of a catalogue: a dip that somebody saw on a target."""

    toi: str  #: the candidate's name, unique in a catalogue, such as "5807.01"
    tic: int  #: TESS Input Catalog number of the declared target
    ephemeris: Ephemeris
    depth_ppm: float = math.nan  #: transit depth in the light curve, ppm
    ra: float = math.nan  #: deg, ICRS, epoch 2000.0
    dec: float = math.nan  #: deg, ICRS, epoch 2000.0
    pmra: float = math.nan  #: mas/yr, includes cos(dec)
    pmdec: float = math.nan  #: mas/yr
    tmag: float = math.nan  #: TESS magnitude
    sectors: tuple[int, ...] | None = None  #: sectors to vet; None: those that the sources have
    problem: str = ""  #: why its row of a published list cannot be vetted; empty when it can


@dataclass(frozen=True)
class Neighbour:
    """A star of the field, the target included, where a catalogue says it is."""

    source_id: str  #: unique among the neighbours of one target
    ra: float  #: deg, ICRS, at `epoch`
    dec: float  #: deg, ICRS, at `epoch`
    tmag: float  #: TESS magnitude
    pmra: float = 0.0  #: mas/yr, includes cos(dec)
    pmdec: float = 0.0  #: mas/yr
    epoch: float = 2000.0  #: Julian year of ra and dec (2000.0 TIC, 2016.0 Gaia DR3)

    def at(self, epoch: float) -> tuple[float, float]:
        """Right ascension and declination (deg) moved to `epoch` (Julian year)."""
        return move(self.ra, self.dec, self.pmra, self.pmdec, epoch - self.epoch)


def move(ra: float, dec: float, pmra: float, pmdec: float, years: float) -> tuple[float, float]:
    """Position (deg) after `years` of proper motion (mas/yr, pmra with cos(dec)); NaN motion is none."""
    mas = 1.0 / 3.6e6
    dec_moved = dec + (pmdec if math.isfinite(pmdec) else 0.0) * years * mas
    cos_dec = max(math.cos(math.radians(dec)), 1e-6)
    ra_moved = ra + (pmra if math.isfinite(pmra) else 0.0) * years * mas / cos_dec
    return ra_moved % 360.0, dec_moved


def julian_year(btjd: float) -> float:
    """Julian epoch of a time in BTJD (J2000.0 is JD 2451545)."""
    return 2000.0 + (btjd + 2457000.0 - 2451545.0) / 365.25
