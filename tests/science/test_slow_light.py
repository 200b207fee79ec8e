"""Dips that are not when the ephemeris has them, of stars that vary within hours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_stamps import made_stamp, vetted

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.localization import localize
from batchvet.science.sector_fits import are_alike
from batchvet.science.timeline import Transits

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


def test_one_dip_is_like_itself_and_a_dip_that_is_missing_is_not():
    rng = np.random.default_rng(3)
    one, light = rng.normal(size=(1, 200)), rng.uniform(0.1, 10.0, size=(1, 200))
    assert are_alike(one, light).all()  # whatever rounding makes of it
    light = np.full((3, 1), 100.0)
    assert are_alike(light * [[1.0], [1.1], [0.8]], light).all()
    assert not are_alike(light * [[1.0], [1.1], [0.0]], light).any()


@pytest.mark.real_data
@pytest.mark.parametrize("index", [5, 9, 28])
def test_dips_in_real_pixels_without_pos_corr_are_on_time(pixels, shared_data, index):
    """Dips put into TOI-5807's stamp where the ephemeris has them; its pointing is nowhere written down."""
    scene = pixels.inject(pixels.toi5807(shared_data), 1, index, (7.0, 50.0))
    found = [
        localize(stamp, Transits(scene.candidate.ephemeris, (scene.target.ephemeris,)))
        for stamp in scene.stamps.values()
    ]
    for one in found:
        assert not {"EPHEMERIS_OFF", "SECONDARY_SEEN", "SOURCE_AT_EDGE"} & set(one.localization_flags)
