"""What a catalogue says of a simulated dip: its ephemeris with errors, stated ones and others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.simulate.scene import Stars, stated_motion
from batchvet.simulate.settings import SimulationSettings
from batchvet.simulate.timeline import SECTOR_DAYS, sector_start
from batchvet.simulate.transit import Dip


def catalogued(rng: np.random.Generator, settings: SimulationSettings, dip: Dip, stars: Stars) -> Candidate:
    """The candidate with the errors that the catalogue states, its position that of epoch 2000; no depth yet."""
    t0_err = float(np.exp(rng.uniform(*np.log(settings.t0_err_range))))
    true = dip.ephemeris
    span = SECTOR_DAYS * (max(settings.sectors) - min(settings.sectors) + 1)
    period_err = 0.0 if true.is_single else t0_err * min(1.0, true.period_days / span)
    known = Ephemeris(
        true.period_days + rng.normal(0, 1) * period_err,
        true.t0_btjd + rng.normal(0, 1) * t0_err,
        true.duration_hours * float(np.clip(rng.normal(1, 0.05), 0.8, 1.2)),
        t0_err,
        period_err,
    )
    ra, dec = stars.at(2000.0)
    pmra, pmdec = stated_motion(settings, stars, "catalog")
    return Candidate(
        dip.toi,
        int(stars.source_id[0]),
        known,
        ra=float(ra[0]),
        dec=float(dec[0]),
        pmra=pmra,
        pmdec=pmdec,
        tmag=float(stars.tmag[0]),
        sectors=settings.sectors,
    )


def misstated(rng: np.random.Generator, settings: SimulationSettings, known: Ephemeris, dip: Dip) -> Ephemeris:
    """The ephemeris with errors that the catalogue does not state: t0's offset, and a period that drifts away.

    With drift the time of a transit at the start of the first sector is right, and is off by up to `drift`
    durations, evenly drawn, in the middle of the last one.
    """
    duration = dip.ephemeris.duration_days
    if settings.t0_offset > 0:
        early_or_late = 1 if rng.random() < 0.5 else -1
        known = replace(known, t0_btjd=known.t0_btjd + early_or_late * settings.t0_offset * duration)
    if settings.drift > 0 and not known.is_single:
        begin = sector_start(min(settings.sectors))
        span = sector_start(max(settings.sectors)) + SECTOR_DAYS / 2 - begin
        rate = rng.uniform(-1, 1) * settings.drift * duration / span  # days late a day
        known = replace(
            known,
            period_days=known.period_days * (1 + rate),
            t0_btjd=known.t0_btjd + rate * (known.t0_btjd - begin),
        )
    return known
