"""Dips that are not when the ephemeris has them, of stars that vary within hours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_stamps import made_stamp, vetted

from batchvet.catalog.candidate import Ephemeris

DAILY = Ephemeris(1.5, 1000.9, 3.0)
LATE = replace(DAILY, t0_btjd=DAILY.t0_btjd + 0.5 * DAILY.duration_days)  # the catalogue's: the dips come early


def varying(stamp, durations, amplitude):
    """The stamp with its light swinging with that period, in durations of the dip."""
    phase = 2.0 * np.pi * stamp.time / (durations * DAILY.duration_days)
    return replace(stamp, flux=(stamp.flux * (1.0 + amplitude * np.sin(phase))[:, None, None]).astype(np.float32))


@pytest.mark.parametrize("durations", [3.3, 4.4, 7.7])
def test_dips_off_time_are_found_although_their_star_varies(durations):
    stamp = varying(made_stamp(jitter=0.003, ephemeris=DAILY), durations, 0.01)  # as much as the dip is deep
    found = vetted(stamp, LATE)
    assert found.timing.common == pytest.approx(-0.5 * DAILY.duration_days, abs=0.1 * DAILY.duration_days)
    assert "EPHEMERIS_OFF" in found.flags


@pytest.mark.parametrize("seed", range(4))
def test_light_that_varies_is_no_dip_off_time(seed):
    stamp = varying(made_stamp(seed=seed, jitter=0.003, depth=0.0), 4.4, 0.01)
    assert vetted(stamp, DAILY).timing.common == 0.0
