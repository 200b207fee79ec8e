"""Dips that are not when the ephemeris has them, of stars that vary within hours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_stamps import made_stamp, vetted

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.localization import localize
from batchvet.science.other_dips import dip_series
from batchvet.science.star_curves import StarCurves
from batchvet.science.timeline import Transits
from batchvet.science.windows import WindowLayout, WindowSettings

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


def noise_seen(light):
    """Of dips of twelve bins in one curve of noise 1, against what it would be if all of it were Gaussian."""
    time, ones = np.arange(len(light)) / 48.0, np.ones(len(light))
    stretch = np.zeros(len(light), dtype=np.intp)
    curves = StarCurves(time, ones, stretch, light[:, None], ones[:1], ones[:1], light[:, None], ones[:1])
    layout = WindowLayout.of(replace(DAILY, duration_hours=6.0), 0.0, 1.0 / 48.0, WindowSettings())
    return dip_series(replace(curves, noise=0.1 * ones[:1]), layout).noise[0]


def test_bad_hours_count_as_noise_and_dips_do_not():
    """Pointing that POS_CORR does not tell of comes in bursts: a robust spread does not see them."""
    rng = np.random.default_rng(7)
    quiet = rng.normal(size=1200)
    bursts = quiet + 6.0 * rng.normal(size=1200) * (np.arange(1200) % 300 < 12)
    assert noise_seen(quiet) == pytest.approx(1.0, abs=0.25)
    assert noise_seen(bursts) > 1.5 * noise_seen(quiet)


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
