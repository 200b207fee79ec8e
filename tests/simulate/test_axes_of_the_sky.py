"""Each axis of the simulator does to the pixels, the catalogue and the tables what its setting says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from quiet import QUIET
from scipy.ndimage import median_filter

from batchvet.catalog.candidate import move
from batchvet.simulate import SimulationSettings, draw_scene, mission_sectors, simulate_stamp
from batchvet.simulate.detector import FULL_WELL, expose
from batchvet.simulate.intruders import Asteroid, Flare
from batchvet.simulate.timeline import sector_start, timeline

#: One star, nothing but its dip: pixels that can be worked out by hand.
BARE = {
    **QUIET,
    "density_range": (1e-6, 1e-6),
    "close_neighbour_fraction": 0.0,
    "scenario": "on_target",
}


def bare(**options):
    return SimulationSettings(**{"seed": 31, "sectors": (1,), **BARE, **options})


def light_curve(scene, sector):
    """Time from the stated t0 in stated periods, and the stamp's light over what it is without a dip."""
    stamp = simulate_stamp(scene, sector)
    light = stamp.flux.sum(axis=(1, 2), dtype=float)
    return stamp.time, light / np.median(light)


def mid_transit(scene, sector, near):
    """Centre of gravity in time of what is missing within a duration of a time, BTJD."""
    time, light = light_curve(scene, sector)
    here = np.abs(time - near) < scene.dips[0].ephemeris.duration_days
    return np.average(time[here], weights=np.maximum(1 - light[here], 0))


# Sectors and cadences


def test_sectors_spread_over_the_years_in_which_the_mission_looks_south():
    assert mission_sectors(3) == (1, 27, 61)
    assert mission_sectors(8) == (1, 2, 27, 28, 61, 62, 87, 88)
    assert len(set(mission_sectors(40))) == 40
    start = {
        sector: simulate_stamp(draw_scene(bare(sectors=mission_sectors(3)), 0), sector).time[0] for sector in (1, 61)
    }
    assert start[61] - start[1] == pytest.approx(60 * 27.4, abs=0.1)


def test_files_of_one_target_have_cadences_drawn_from_those_asked_for():
    mixed = bare(sectors=tuple(range(1, 13)), cadence_s=(200.0, 600.0, 1800.0), shapes=((5, 5),))
    scene = draw_scene(mixed, 0)
    stamps = [simulate_stamp(scene, sector) for sector in scene.sectors]
    assert {stamp.cadence_s for stamp in stamps} == {200.0, 600.0, 1800.0}
    for stamp in stamps:
        assert np.median(np.diff(stamp.time)) * 86400 == pytest.approx(stamp.cadence_s, rel=1e-6)


def test_forty_sectors_share_the_wanted_snr():
    scene = draw_scene(bare(sectors=tuple(range(1, 41)), snr_range=(20, 20)), 3)
    assert scene.joint_snr(scene.dips[0].toi) == pytest.approx(20.0, rel=1e-6)
    assert max(scene.snr.values()) < 6


# The ephemeris


@pytest.mark.parametrize("drift", [0.5, 2.0])
def test_a_drifting_ephemeris_is_right_at_first_and_off_by_at_most_the_drift_in_the_last_sector(drift):
    off = []
    for index in range(40):
        scene = draw_scene(bare(sectors=(3, 40), drift=drift, period_range=(2, 4), t0_err_range=(1e-9, 1e-9)), index)
        dip, known = scene.dips[0].ephemeris, scene.candidates[0].ephemeris
        late = {}
        for sector, day in ((3, 0.0), (40, 27.4 / 2)):
            start = sector_start(sector) + day
            true = dip.mid_times(start, start + 10)[0]
            late[sector] = float(-known.time_from_transit(np.array([true]))[0]) / dip.duration_days
        assert abs(late[3]) < 0.01 * drift
        off.append(late[40])
    assert np.max(np.abs(off)) < 1.02 * drift
    assert np.std(off) == pytest.approx(drift / np.sqrt(3), rel=0.25)  # evenly between plus and minus


def test_the_pixels_keep_the_true_times_when_the_catalogue_drifts():
    right, wrong = (draw_scene(bare(drift=drift, sectors=(1, 9)), 2) for drift in (0.0, 3.0))
    assert np.array_equal(simulate_stamp(right, 9).flux, simulate_stamp(wrong, 9).flux)
    assert right.candidates[0].ephemeris.period_days != wrong.candidates[0].ephemeris.period_days


def test_t0_is_early_or_late_by_the_offset_asked_for():
    signs = set()
    for index in range(10):
        plain, off = (draw_scene(bare(t0_offset=offset), index) for offset in (0.0, 0.5))
        shift = off.candidates[0].ephemeris.t0_btjd - plain.candidates[0].ephemeris.t0_btjd
        assert abs(shift) == pytest.approx(0.5 * off.dips[0].ephemeris.duration_days)
        signs.add(np.sign(shift))
    assert signs == {-1, 1}


def test_transits_come_late_by_their_own_shifts():
    steady = bare(ttv=0.25, period_range=(2, 3), duration_range=(3, 3), snr_range=(300, 300), cadence_s=120.0)
    shifts = []
    for index in range(4):
        scene = draw_scene(steady, index)
        ephemeris, line = scene.dips[0].ephemeris, scene.timeline(1)
        linear, true = (
            d.mid_times(line.mid_time[0] + 0.5, line.mid_time[-1] - 0.5) for d in (ephemeris, scene.dips[0])
        )
        inside = [np.min(np.abs(line.mid_time - time)) < 0.001 for time in true]
        for number in np.flatnonzero(inside)[:4]:
            assert mid_transit(scene, 1, true[number]) == pytest.approx(true[number], abs=0.002)
        shifts += list((true - linear) / ephemeris.duration_days)
    assert np.std(shifts) == pytest.approx(0.25, rel=0.3)


@pytest.mark.parametrize(("period", "hours"), [(0.3, 2.5), (24.0, 13.0)])
def test_periods_and_durations_can_be_asked_for(period, hours):
    scene = draw_scene(bare(period_range=(period, period), duration_range=(hours, hours)), 0)
    assert scene.dips[0].ephemeris.period_days == pytest.approx(period)
    assert scene.dips[0].ephemeris.duration_hours == pytest.approx(hours)
    assert scene.joint_snr(scene.dips[0].toi) >= 5
    visible = scene.timeline(1).mid_time[scene.dips[0].shape(scene.timeline(1).mid_time, 1800 / 86400) > 0]
    assert (np.ptp(visible) < 0.6) == (period > 20)  # one transit in the sector, or one every few hours


# Other dips of the same star


@pytest.mark.parametrize("phase", [0.5, 0.3])
def test_a_secondary_is_that_fraction_of_the_primary_at_its_phase(phase):
    eclipsing = bare(secondary=0.4, secondary_phase=phase, period_range=(3, 4), snr_range=(300, 300), cadence_s=120.0)
    scene = draw_scene(eclipsing, 1)
    time, light = light_curve(scene, 1)
    ephemeris, depth = scene.dips[0].ephemeris, scene.dips[0].depth
    turn = ((time - ephemeris.t0_btjd) / ephemeris.period_days) % 1.0
    half = 0.1 * ephemeris.duration_days / ephemeris.period_days
    assert 1 - light[np.abs(turn - phase) < half].min() == pytest.approx(0.4 * depth, rel=0.02)
    assert 1 - light.min() == pytest.approx(depth, rel=0.02)
    elsewhere = (np.abs(turn - phase) > 12 * half) & (turn > 12 * half) & (turn < 1 - 12 * half)
    assert np.abs(light[elsewhere] - 1).max() < 0.01 * depth


def test_odd_and_even_transits_differ_by_the_fraction_and_have_the_depth_as_their_mean():
    scene = draw_scene(bare(odd_even=0.5, period_range=(2, 3), snr_range=(300, 300), cadence_s=120.0), 1)
    time, light = light_curve(scene, 1)
    ephemeris = scene.dips[0].ephemeris
    number = np.round((time - ephemeris.t0_btjd) / ephemeris.period_days)
    odd, even = (1 - light[number % 2 == parity].min() for parity in (1, 0))
    assert even - odd == pytest.approx(0.5 * scene.dips[0].depth, rel=0.02)
    assert (even + odd) / 2 == pytest.approx(scene.dips[0].depth, rel=0.02)


# What is nobody's dip


@pytest.mark.parametrize("host", ["target", "neighbour"])
def test_a_flare_adds_peak_times_decay_electrons_on_its_star_in_the_window_of_a_transit(host):
    options = {
        "flares_in_transit": 1,
        "flare_host": host,
        "cadence_s": 120.0,
        "density_range": (2, 2),
        "shapes": ((17, 17),),
    }
    scene = draw_scene(bare(**options, scenario="no_dip"), 4)
    (flare,) = scene.flares
    assert (flare.star == 0) == (host == "target")
    calm = replace(scene, flares=())
    added = simulate_stamp(scene, 1).flux.astype(float) - simulate_stamp(calm, 1).flux
    column, row = scene.positions(1)
    image = scene.prf(1).values(column[[flare.star]], row[[flare.star]], scene.shape)[0]
    late = scene.timeline(1).mid_time[-1] - flare.time > 6 * flare.decay_days
    assert late
    energy = flare.peak * flare.decay_days * 86400 * image.sum()
    assert added.sum() * 120 == pytest.approx(energy, rel=0.01)
    brightest = added[added.sum(axis=(1, 2)).argmax()]
    assert np.corrcoef(brightest.ravel(), image.ravel())[0, 1] > 0.999
    ephemeris = scene.dips[0].ephemeris
    assert abs(ephemeris.time_from_transit(np.array([flare.time]))[0]) < 2 * ephemeris.duration_days + 0.1


def test_flares_at_any_time_are_as_many_as_asked_for():
    scene = draw_scene(bare(flares=3, sectors=(1, 2)), 0)
    assert len(scene.flares) == 6
    assert sum(flare.time < sector_start(2) for flare in scene.flares) == 3


def test_a_flares_light_is_its_exponential_averaged_over_the_cadence():
    flare, dt = Flare(0, 10.0, 100.0, 0.05), 0.02
    fine = 10.0 - 0.1 + (np.arange(200_000) + 0.5) * 1e-5
    instant = np.where(fine >= 10.0, 100 * np.exp(-(fine - 10.0) / 0.05), 0.0)
    for mid in (9.98, 9.995, 10.005, 10.1):
        inside = np.abs(fine - mid) < dt / 2
        assert flare.light(np.array([mid]), dt)[0] == pytest.approx(instant[inside].mean(), rel=2e-3, abs=1e-6)


def test_an_asteroid_crosses_the_stamp_in_a_transits_window_where_and_when_it_says():
    scene = draw_scene(bare(asteroids=1, cadence_s=120.0, scenario="no_dip", shapes=((15, 15),)), 2)
    (asteroid,) = scene.asteroids
    added = simulate_stamp(scene, 1).flux.astype(float) - simulate_stamp(replace(scene, asteroids=()), 1).flux
    time, light = scene.timeline(1).mid_time, added.sum(axis=(1, 2))
    assert light.max() == pytest.approx(asteroid.flux, rel=0.01)
    column, row = scene.positions(1)
    rows, cols = np.indices(scene.shape)
    for late in (-0.03, 0.0, 0.03):
        n = int(np.argmin(np.abs(time - asteroid.time - late)))
        since = time[n] - asteroid.time
        where = asteroid.column + asteroid.column_speed * since, asteroid.row + asteroid.row_speed * since
        assert ((added[n] * cols).sum() / light[n], (added[n] * rows).sum() / light[n]) == pytest.approx(
            where, abs=0.05
        )
    closest = np.abs(
        (asteroid.column - column[0]) * asteroid.row_speed - (asteroid.row - row[0]) * asteroid.column_speed
    )
    assert closest / np.hypot(asteroid.column_speed, asteroid.row_speed) <= 3
    ephemeris = scene.dips[0].ephemeris
    assert abs(ephemeris.time_from_transit(np.array([asteroid.time]))[0]) <= ephemeris.duration_days


def test_a_long_exposure_trails_an_asteroid():
    line, prf = timeline(3, 4, 1800.0, False), draw_scene(bare(), 0).prf(1)
    flux = np.zeros((len(line.mid_time), 11, 31), dtype=np.float32)
    Asteroid(4, line.mid_time[100], 15.0, 5.0, 3 * 48.0, 0.0, 900.0).add_to(flux, line, prf)  # 3 pixels a cadence
    profile = flux[100].sum(axis=0)
    assert profile.sum() == pytest.approx(900, rel=0.01)
    width = np.sqrt(np.average((np.arange(31) - 15) ** 2, weights=np.maximum(profile, 0)))
    still = prf.values(np.array([15.0]), np.array([5.0]), (11, 31))[0].sum(axis=0)
    psf = np.average((np.arange(31) - 15) ** 2, weights=np.maximum(still, 0))
    assert width == pytest.approx(np.sqrt(3**2 / 12 + psf), rel=0.03)


def test_cosmic_rays_hit_as_often_as_asked_for_and_are_not_flagged():
    hit, clean = (simulate_stamp(draw_scene(bare(cosmic_rays=rate, cadence_s=120.0), 0), 1) for rate in (1.0, 0.0))
    added = hit.flux - clean.flux
    days = len(hit.time) * 120 / 86400
    struck = np.count_nonzero(added > 0.5)
    assert struck == pytest.approx(2 * days * added[0].size, rel=0.1)  # a hit and its neighbour
    assert added.max() * 120 * 0.8 * 0.99 < 31_000  # electrons; two may meet
    assert added.min() == 0
    assert np.array_equal(hit.quality, clean.quality)


# Bright stars, crowds, motion, tables


def test_a_bright_targets_bleed_ends_inside_its_stamp_as_in_the_archives():
    for tmag in (4.5, 6.0):
        scene = draw_scene(bare(tmag_range=(tmag, tmag)), 1)
        flux = simulate_stamp(scene, 1).flux[0]
        assert flux.sum(dtype=float) == pytest.approx(10 ** (-0.4 * (tmag - 20.44)), rel=0.01)
        assert flux[[0, -1]].max() < 0.5 * FULL_WELL
        assert np.count_nonzero(flux > 0.99 * FULL_WELL) >= {4.5: 10, 6.0: 1}[tmag]
    small = draw_scene(bare(tmag_range=(4.5, 4.5), tall_stamps=False), 1)
    assert small.shape in ((11, 11), (13, 11))


def test_full_pixels_do_not_count_for_a_saturated_targets_snr():
    bright = bare(tmag_range=(5.5, 5.5), snr_range=(20, 20))
    depth = {on: draw_scene(replace(bright, saturation=on, tall_stamps=False), 1).dips[0].depth for on in (True, False)}
    assert depth[True] > 1.5 * depth[False]


def test_a_crowd_adds_as_many_stars_on_the_stamp_and_changes_nothing_else():
    empty, crowd = (draw_scene(bare(crowd_range=(n, n)), 3) for n in (0, 50))
    assert len(crowd.stars) == len(empty.stars) + 50
    added = slice(len(empty.stars), None)
    apart = [np.hypot(*crowd.offset_arcsec(star)) for star in range(len(crowd.stars))[added]]
    assert max(apart) < 121
    fainter = crowd.stars.tmag[added] - crowd.stars.tmag[0]
    assert fainter.min() > -1.1 and fainter.max() < 6.01
    assert np.median(fainter) > 4  # more faint ones than bright ones
    assert crowd.dips[0].ephemeris == empty.dips[0].ephemeris


@pytest.mark.parametrize("epoch", [2000.0, 2016.0])
@pytest.mark.parametrize("known_by", [(), ("table",), ("header", "catalog"), ("table", "header", "catalog")])
def test_a_fast_target_moves_on_the_sky_and_only_those_asked_for_know(known_by, epoch):
    fast = bare(proper_motion=0.5, motion_known_by=known_by, sectors=(1, 87), neighbour_epoch=epoch)
    scene = draw_scene(fast, 0)
    then, now = (scene.stars.at(year) for year in (2018.6, 2025.05))
    moved = np.hypot((now[0][0] - then[0][0]) * np.cos(np.radians(then[1][0])), now[1][0] - then[1][0]) * 3600
    assert moved == pytest.approx(0.5 * (2025.05 - 2018.6), rel=0.01)
    stamp, candidate, listed = simulate_stamp(scene, 87), scene.candidates[0], scene.neighbours()[0]

    def miss(ra, dec, pmra, pmdec, since):
        """Arcsec between a stated place, moved to the stamp's epoch as stated, and the target."""
        ra, dec = move(ra, dec, pmra, pmdec, stamp.epoch - since)
        true_ra, true_dec = (float(x[0]) for x in scene.stars.at(stamp.epoch))
        return np.hypot((ra - true_ra) * np.cos(np.radians(dec)), dec - true_dec) * 3600

    missed = {
        "table": miss(listed.ra, listed.dec, listed.pmra, listed.pmdec, epoch),
        "header": miss(stamp.ra, stamp.dec, stamp.pmra, stamp.pmdec, 2000.0),
        "catalog": miss(candidate.ra, candidate.dec, candidate.pmra, candidate.pmdec, 2000.0),
    }
    for source, by in missed.items():
        years = stamp.epoch - (epoch if source == "table" else 2000.0)
        assert by == pytest.approx(0.0 if source in known_by else 0.5 * years, abs=0.02), source


def test_a_table_ends_at_its_limit_whoever_is_the_host():
    unlisted = 0
    for index in range(12):
        scene = draw_scene(bare(scenario="off_target", density_range=(2, 2), neighbour_limit=14.0), index)
        stars = scene.stars
        assert np.array_equal(stars.known[1:], stars.tmag[1:] < 14.0)
        unlisted += not stars.known[scene.dips[0].host]
    assert unlisted > 2


# Pointing


def test_flight_noise_is_what_is_documented_at_120_seconds_and_at_thirty_minutes():
    for sector, least, most in ((2, 0.003, 0.0075), (40, 0.002, 0.0045)):
        for seed in range(4):
            line = timeline(seed, sector, 120.0, False)
            for axis in (0, 1):
                step = np.diff(line.attitude[:, axis])
                fast = step.std() / np.sqrt(2 * 1.37)  # neighbours are correlated by -0.37
                assert 0.95 * least < fast < 1.05 * most
            slow = timeline(seed, sector, 1800.0, False)
            step = np.diff(slow.attitude[:, 0])
            assert 0.0002 < np.std(step[np.abs(step) < 0.01]) / np.sqrt(2) < 0.0012


def test_pos_corr_is_wrong_by_what_its_pointing_says():
    def wrong(**options):
        scene = draw_scene(bare(jitter=1.0, **options), 0)
        exposure = expose(scene, 1)
        return np.std(exposure.stamp.pos_corr - exposure.motion), scene.pointings[1].pos_corr_error

    for options in ({"cadence_s": 120.0}, {}, {"pos_corr_error_px": 0.002}, {"pos_corr_error_px": 0.0}):
        seen, stated = wrong(**options)
        assert seen == pytest.approx(stated, rel=0.05, abs=1e-6)
    assert wrong(pointing="rough")[1] == 0.002
    errors = [
        draw_scene(bare(cadence_s=cadence), index).pointings[1].pos_corr_error
        for index in range(200)
        for cadence in (120.0,)
    ]
    assert np.median(errors) == pytest.approx(1e-4, rel=0.3)
    assert np.mean(np.array(errors) < 0.00034) == pytest.approx(0.84, abs=0.06)
    assert max(errors) <= 0.0007
    assert np.median([draw_scene(bare(), index).pointings[1].pos_corr_error for index in range(50)]) < 1e-4


def test_rough_pointing_gives_the_stamps_of_before():
    """Numbers of the simulator as it was when that was its noise."""
    scene = draw_scene(SimulationSettings(seed=5, pointing="rough"), 0)
    stamp = simulate_stamp(scene, 1)
    assert scene.dips[0].depth == pytest.approx(0.3641166549558648, rel=1e-9)
    assert stamp.flux.shape == (1220, 11, 11)
    assert stamp.flux[100, 5, 4:7] == pytest.approx([934.73, 2544.6047, 781.1261], rel=1e-5)
    assert stamp.pos_corr[100] == pytest.approx([0.01687041, -0.03069444], rel=1e-5)
    assert stamp.pos_corr[700] == pytest.approx([-0.00347262, 0.01141245], rel=1e-5)


def test_the_default_differs_from_before_by_its_pointing_alone():
    flight, rough = (draw_scene(SimulationSettings(seed=5, pointing=name), 0) for name in ("flight", "rough"))
    assert flight.dips[0] == rough.dips[0]
    assert flight.candidates == rough.candidates
    assert flight.snr == rough.snr
    still = [simulate_stamp(replace(one, settings=replace(one.settings, jitter=0.0)), 1) for one in (flight, rough)]
    assert np.array_equal(still[0].flux, still[1].flux, equal_nan=True)


@pytest.mark.real_data
def test_flight_noise_is_that_of_real_pointing_series(shared_data):
    """POS_CORR of three SPOC light curves, 120 s: fast part, correlation of neighbours, and averages over 30 min."""
    files = sorted((shared_data / "pointing").glob("*_lc.fits.gz"))
    real = np.array([figures for path in files for figures in _real_pointing(path)])
    lines = [timeline(seed, sector, 120.0, True) for seed in (1, 2, 3) for sector in (12, 63, 90)]
    made = np.array([_pointing(line.attitude[line.usable, axis]) for line in lines for axis in (0, 1)])
    for name, number in (("fast, px", 0), ("30 min, px", 1)):
        low, high = made[:, number].min(), made[:, number].max()
        assert low / 2 < np.median(real[:, number]) < high, name
        assert np.median(made[:, number]) == pytest.approx(np.median(real[:, number]), rel=0.4), name
        assert np.all((real[:, number] > low / 3.5) & (real[:, number] < 1.5 * high)), name
    assert np.median(made[:, 2]) == pytest.approx(np.median(real[:, 2]), abs=0.08)


def _real_pointing(path):
    with fits.open(path) as hdus:
        table = hdus[1].data
        good = (table["QUALITY"] == 0) & np.isfinite(table["TIME"]) & np.isfinite(table["POS_CORR1"])
        return [_pointing(table[name][good].astype(float)) for name in ("POS_CORR1", "POS_CORR2")]


def _pointing(series):
    """Scatter about a running median of an hour, of 30-minute means about one of 6 h; correlation of neighbours."""
    fast = series - median_filter(series, 31, mode="nearest")
    means = series[: len(series) // 15 * 15].reshape(-1, 15).mean(axis=1)
    slow = means - median_filter(means, 13, mode="nearest")
    calm = np.abs(fast) < 6 * 1.4826 * np.median(np.abs(fast))
    neighbours = np.corrcoef(fast[1:][calm[1:]], fast[:-1][calm[1:]])[0, 1]
    return fast[calm].std(), 1.4826 * np.median(np.abs(slow)), neighbours
