"""When the dip happens: ephemerides that are off, transits that come early and late, and noise that does neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_scenes import STEADY
from made_stamps import DEPTH, EPHEMERIS, FLUX, made_stamp, snr_of, star, vetted

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.joint import weigh
from batchvet.science.localization import localize
from batchvet.science.timeline import Transits
from batchvet.simulate import SimulationSettings, draw_scene, simulate_stamp

QUIET = SimulationSettings(
    seed=21,
    sectors=(1,),
    scenario="on_target",
    snr_range=(30.0, 40.0),
    period_range=(2.0, 6.0),
    **STEADY,
)


@pytest.mark.parametrize("late", [-0.5, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_dip_half_a_duration_off_is_found_and_measured_where_it_is(late, seed):
    """The stamp's dips are `late` durations after what the catalogue says; every one is seen with 10 sigma."""
    stamp = made_stamp(seed=seed, jitter=0.003, noise=20.0)
    days = late * EPHEMERIS.duration_days
    off = replace(EPHEMERIS, t0_btjd=EPHEMERIS.t0_btjd - days, t0_err_days=1e-3)
    right, found = vetted(stamp, replace(EPHEMERIS, t0_err_days=1e-3)), vetted(stamp, off)
    assert abs(found.timing.common - days) < 3 * found.timing.common_error
    assert found.timing.common_error < 0.1 * EPHEMERIS.duration_days
    assert snr_of(found, star()) > 0.9 * snr_of(right, star())
    assert "EPHEMERIS_OFF" in found.flags and "EPHEMERIS_OFF" not in right.flags
    assert found.timing.price > 0 and right.timing.price == 0
    assert not right.timing.is_shifted


def test_catalogue_half_a_duration_off_in_simulated_sectors():
    """As the simulator draws it: a catalogue off by half a duration beyond what it states, early or late."""
    for index in range(4):
        scene = draw_scene(replace(QUIET, t0_offset=0.5), index)
        stamp, dip, known = simulate_stamp(scene, 1), scene.dips[0], scene.candidates[0].ephemeris
        truth = (dip.ephemeris.t0_btjd - known.t0_btjd + known.period_days / 2) % known.period_days
        timing = vetted(stamp, known).timing
        moved = truth - known.period_days / 2
        mid = timing.mid_times[len(timing.mid_times) // 2]
        epochs = round((mid - known.t0_btjd) / known.period_days)
        moved += epochs * (dip.ephemeris.period_days - known.period_days)
        assert abs(moved) > 0.4 * dip.ephemeris.duration_days
        assert abs(timing.common - moved) < 3 * timing.common_error + 0.02 * dip.ephemeris.duration_days


def test_noise_alone_is_hardly_ever_moved():
    """Forty searches of stamps without any dip, at epochs of which no two are alike."""
    rng, moved = np.random.default_rng(5), 0
    for seed in range(4):
        stamp = made_stamp(seed=40 + seed, jitter=0.003, depth=0.0)
        for _ in range(10):
            ephemeris = Ephemeris(float(rng.uniform(2, 8)), 1000 + float(rng.uniform(0, 8)), float(rng.uniform(2, 6)))
            moved += vetted(stamp, replace(ephemeris, t0_err_days=1e-3)).timing.is_shifted
    assert moved <= 2


def with_times_of_their_own(seed):
    """A sector whose transits scatter by a quarter of a duration: stamp, mid-times, and how late they are, days."""
    rng = np.random.default_rng(60 + seed)
    quiet = made_stamp(seed=seed, depth=0.0, noise=15.0)
    mids = EPHEMERIS.mid_times(quiet.time[0], quiet.time[-1])
    true = rng.normal(0, 0.25 * EPHEMERIS.duration_days, len(mids)).clip(-0.08, 0.08)
    lost = np.zeros(len(quiet.time))
    half = EPHEMERIS.duration_days / 2
    for mid, late in zip(mids, true, strict=True):
        lost += np.clip((half - np.abs(quiet.time - mid - late)) / (0.3 * half), 0.0, 1.0)
    flux = quiet.flux - FLUX * 2 * DEPTH * lost[:, None, None] * star()
    return replace(quiet, sector=1 + seed, flux=flux.astype(np.float32)), mids, true


def test_transits_with_times_of_their_own():
    """Observed minus calculated of each agrees with the truth."""
    pulls, seen = [], 0
    for seed in range(3):
        stamp, mids, true = with_times_of_their_own(seed)
        timing = vetted(stamp, EPHEMERIS).timing
        assert timing.mid_times == pytest.approx(mids)
        measured = np.isfinite(timing.error)
        seen += np.count_nonzero(measured)
        pulls += list(((timing.shift - true) / np.hypot(timing.error, 0.003))[measured])
        assert np.std(true - timing.shift) < 0.1 * np.std(true)
    assert seen >= 15
    assert np.sqrt(np.mean(np.square(pulls))) < 2.0
    assert np.max(np.abs(pulls)) < 4.0


def test_transits_with_times_of_their_own_add_up_over_sectors():
    """Each sector has a signal to noise of 65 after a price of about 25, and is on target by itself."""
    found = [localize(with_times_of_their_own(seed)[0], Transits(EPHEMERIS)).evidence for seed in range(3)]
    assert min(one.timing_price for one in found) > 15.0
    alone = [one.dip.snr for one in found]
    assert weigh(found)[0].snr == pytest.approx(np.linalg.norm(alone), rel=0.1)


def test_transits_on_time_have_no_times_of_their_own():
    timing = vetted(made_stamp(seed=3, jitter=0.003), EPHEMERIS).timing
    assert np.all(timing.shift == 0.0)
    assert not timing.is_off
    assert timing.price == 0.0
