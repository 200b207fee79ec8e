"""What a simulated stamp shows is what its truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from quiet import QUIET

from batchvet.simulate import KINDS, SimulationSettings, draw_scene, simulate_stamp
from batchvet.simulate.detector import FULL_WELL, bleed, expose
from batchvet.simulate.timeline import timeline

EMPTY = (1e-6, 1e-6)  #: no field stars


def settings(**options):
    return SimulationSettings(**{"seed": 11, "sectors": (1,), **options})


def photocentre(image):
    rows, cols = np.indices(image.shape)
    return (image * cols).sum() / image.sum(), (image * rows).sum() / image.sum()


def in_transit(scene, sector=1):
    return scene.dips[0].shape(scene.timeline(sector).mid_time, scene.settings.cadence_s / 86400.0)


def difference_image(scene, stamp):
    """Deepest cadence against the mean of those without a dip: enough where there is no noise."""
    shape = in_transit(scene, stamp.sector)
    return stamp.flux[shape == 0].mean(axis=0, dtype=float) - stamp.flux[shape.argmax()], shape.max()


def test_a_star_of_tenth_magnitude_gives_fifteen_thousand_electrons_a_second_where_it_stands():
    quiet = settings(
        **QUIET,
        tmag_range=(10, 10),
        density_range=EMPTY,
        scenario="on_target",
        close_neighbour_fraction=0.0,
        shapes=((15, 15),),
    )
    for index in range(4):
        scene = draw_scene(quiet, index)
        stamp = simulate_stamp(scene, 1)
        out = stamp.flux[in_transit(scene) == 0].mean(axis=0, dtype=float)
        assert out.sum() == pytest.approx(10 ** (-0.4 * (10 - 20.44)), rel=2e-3)
        column, row = scene.positions(1)
        assert photocentre(out) == pytest.approx((column[0], row[0]), abs=0.02)


@pytest.mark.parametrize("kind", ["on_target", "off_target", "crowded", "not_in_table"])
def test_the_dip_is_at_the_host_and_as_deep_as_the_truth_says(kind):
    quiet = settings(**QUIET, scenario=kind, shapes=((17, 17),), sectors=(2,))
    for index in range(4):
        scene = draw_scene(quiet, index)
        dip = scene.dips[0]
        difference, fraction = difference_image(scene, simulate_stamp(scene, 2))
        column, row = scene.positions(2)
        image = scene.prf(2).values(column[[dip.host]], row[[dip.host]], scene.shape)[0]
        flux = scene.stars.flux[dip.host]
        assert difference.sum() == pytest.approx(dip.depth * fraction * flux * image.sum(), rel=0.01)
        if 4 < column[dip.host] < 12 and 4 < row[dip.host] < 12:
            assert photocentre(difference) == pytest.approx((column[dip.host], row[dip.host]), abs=0.06)


def test_each_kind_of_scene_is_what_its_name_says():
    hosts = {}
    for kind in KINDS:
        scenes = [draw_scene(settings(scenario=kind, multi_fraction=0.0, snr_range=(6, 60)), i) for i in range(12)]
        hosts[kind] = [scene.dips[0].host for scene in scenes]
        for scene in scenes:
            host = scene.dips[0].host
            assert scene.stars.known[0]
            assert 0 <= scene.dips[0].depth <= 0.6
            if host is None:
                assert scene.joint_snr(scene.dips[0].toi) == 0
                assert scene.candidates[0].depth_ppm > 0
            else:
                assert scene.stars.known[host] == (kind != "not_in_table")
    assert set(hosts["on_target"]) == {0}
    assert 0 not in hosts["off_target"] and len(set(hosts["off_target"])) > 1
    assert set(hosts["crowded"]) == {0, 1}
    assert set(hosts["not_in_table"]) == {1}
    assert set(hosts["no_dip"]) == {None}


def test_a_host_that_the_table_lacks_is_not_among_the_neighbours():
    scene = draw_scene(settings(scenario="not_in_table"), 0)
    assert str(scene.stars.source_id[1]) not in {n.source_id for n in scene.neighbours()}
    assert str(scene.tic) in {n.source_id for n in scene.neighbours()}


def test_noise_is_that_of_photons_and_readout_at_every_cadence():
    for cadence_s, frames in ((20.0, 10), (120.0, 48), (1800.0, 720)):  # 2 s frames, a fifth rejected from 120 s on
        noisy = settings(
            cadence_s=cadence_s, scattered_light=0.0, flags=False, jitter=0.0, variable_fraction=0.0,
            density_range=EMPTY, tmag_range=(12, 12), scenario="no_dip", close_neighbour_fraction=0.0,
        )  # fmt: skip
        scene = draw_scene(noisy, 0)
        few = slice(0, 4000)
        stamp = simulate_stamp(scene, 1)
        star = simulate_stamp(replace(scene, settings=replace(noisy, noise=False)), 1).flux[0]
        seconds = frames * 1.98
        expected = np.sqrt((star + scene.pointings[1].zodiacal) / seconds + frames * 9.0**2 / seconds**2)
        assert np.allclose(stamp.flux_err[few], expected, rtol=1e-4)
        measured = stamp.flux[few].std(axis=0)
        assert np.median(measured / expected) == pytest.approx(1.0, abs=0.02)


def test_the_expected_snr_is_what_a_matched_filter_measures_on_noise():
    noisy = settings(
        scattered_light=0.0, flags=False, jitter=0.0, variable_fraction=0.0, density_range=(0.5, 0.5), seed=5,
        scenario="on_target", multi_fraction=0.0, single_fraction=0.0, period_range=(3.0, 6.0), snr_range=(20, 20),
    )  # fmt: skip
    scene = draw_scene(noisy, 1)
    stamp, dip = simulate_stamp(scene, 1), scene.dips[0]
    column, row = scene.positions(1)
    image = scene.prf(1).values(column[:1], row[:1], scene.shape)[0]
    weights = image / stamp.flux_err.mean(axis=0) ** 2
    light = np.tensordot(stamp.flux, weights, axes=2) / (weights * image).sum()
    time, exposure = scene.timeline(1).mid_time, 1800 / 86400

    def dip_flux(shift):
        """Weighted mean over transits of the dip's flux, each fitted with its own constant and slope."""
        moved = replace(dip, ephemeris=replace(dip.ephemeris, t0_btjd=dip.ephemeris.t0_btjd + shift))
        shape, total, norm = moved.shape(time, exposure), 0.0, 0.0
        duration = dip.ephemeris.duration_days
        reach = duration / 2 + max(exposure, 0.15 * duration) + max(duration, 1.5 / 24)
        for mid in moved.ephemeris.mid_times(time[0], time[-1]):
            window = np.abs(time - mid) <= reach
            if np.count_nonzero(shape[window]) == 0 or np.count_nonzero(shape[window] == 0) < 3:
                continue
            design = np.stack([np.ones(window.sum()), time[window] - mid, -shape[window]], axis=1)
            covariance = np.linalg.inv(design.T @ design)
            total += (covariance @ design.T @ light[window])[2] / covariance[2, 2]
            norm += 1 / covariance[2, 2]
        return total / norm

    away = dip.ephemeris.period_days - 4 * dip.ephemeris.duration_days
    null = [dip_flux(2 * dip.ephemeris.duration_days + s) for s in np.linspace(0, away, 60)]
    measured = dip.depth * scene.stars.flux[0] / np.std(null)
    assert scene.joint_snr(dip.toi) == pytest.approx(20.0, rel=1e-6)
    assert measured == pytest.approx(20.0, rel=0.25)  # some 15 independent epochs
    assert dip_flux(0.0) == pytest.approx(dip.depth * scene.stars.flux[0], rel=4 / 20)


def test_snr_of_all_sectors_together_is_in_the_range_asked_for():
    for index in range(20):
        scene = draw_scene(settings(snr_range=(7, 9), sectors=(1, 2, 3), scenario="off_target"), index)
        assert 6.99 < scene.joint_snr(scene.dips[0].toi) < 9.01


def test_a_stamp_is_the_same_whatever_was_made_before_it():
    many = settings(sectors=(1, 2))
    first = simulate_stamp(draw_scene(many, 7), 2)
    for index in (3, 9):
        simulate_stamp(draw_scene(many, index), 1)
    again = simulate_stamp(draw_scene(SimulationSettings(seed=11, sectors=(1, 2)), 7), 2)
    assert np.array_equal(first.flux, again.flux, equal_nan=True)
    assert np.array_equal(first.pos_corr, again.pos_corr, equal_nan=True)
    other_seed = simulate_stamp(draw_scene(settings(sectors=(1, 2), seed=12), 7), 2)
    assert first.flux.shape != other_seed.flux.shape or not np.allclose(first.flux, other_seed.flux, equal_nan=True)


@pytest.mark.parametrize("epoch", [2000.0, 2016.0])
def test_stars_move_from_the_tables_epoch_to_the_pixels(epoch):
    import astropy.units as u
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    fast = settings(sectors=(90,), neighbour_epoch=epoch, proper_motion_scale=15.0, wcs_error_px=0.0)
    scene = draw_scene(fast, 2)
    stamp = simulate_stamp(scene, 90)
    neighbours = scene.neighbours()
    coordinates = SkyCoord(
        [n.ra for n in neighbours] * u.deg,
        [n.dec for n in neighbours] * u.deg,
        distance=np.full(len(neighbours), 10.0) * u.pc,
        pm_ra_cosdec=[n.pmra for n in neighbours] * u.mas / u.yr,
        pm_dec=[n.pmdec for n in neighbours] * u.mas / u.yr,
        obstime=Time(epoch, format="jyear"),
    )
    now = coordinates.apply_space_motion(Time(scene.timeline(90).mid_time.mean() + 2457000, format="jd"))
    column, row = stamp.wcs.all_world2pix(now.ra.deg, now.dec.deg, 0)
    known = np.flatnonzero(scene.stars.known)
    true_column, true_row = scene.positions(90)
    assert np.hypot(column - true_column[known], row - true_row[known]).max() < 0.005
    still = stamp.wcs.all_world2pix(coordinates.ra.deg, coordinates.dec.deg, 0)
    assert np.hypot(still[0] - true_column[known], still[1] - true_row[known]).max() > 0.05
    target = stamp.wcs.all_world2pix(*stamp.target_position(), 0)
    assert np.hypot(target[0] - true_column[0], target[1] - true_row[0]) < 0.005


def test_east_and_north_of_the_truth_are_those_of_the_sky():
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    scene = draw_scene(settings(scenario="off_target"), 5)
    ra, dec = scene.stars.at(2018.6)
    host = scene.dips[0].host
    target, other = SkyCoord(ra[0] * u.deg, dec[0] * u.deg), SkyCoord(ra[host] * u.deg, dec[host] * u.deg)
    east, north = (o.to_value(u.arcsec) for o in target.spherical_offsets_to(other))
    assert scene.offset_arcsec(host) == pytest.approx((east, north), abs=0.01)


def test_the_wcs_is_wrong_by_as_much_as_asked():
    errors = []
    for index in range(30):
        scene = draw_scene(settings(wcs_error_px=0.1, density_range=EMPTY), index)
        stamp = simulate_stamp(scene, 1)
        column, row = stamp.wcs.all_world2pix(*stamp.target_position(), 0)
        true_column, true_row = scene.positions(1)
        errors += [true_column[0] - column, true_row[0] - row]
    assert np.std(errors) == pytest.approx(0.1, rel=0.3)


def test_pointing_columns_tell_the_motion_or_nothing():
    moving = settings(
        **{**QUIET, "jitter": 3.0, "flags": True}, density_range=EMPTY, scenario="no_dip", shapes=((15, 15),)
    )
    scene = draw_scene(moving, 0)
    stamp = simulate_stamp(scene, 1)
    good = np.isfinite(stamp.time) & (stamp.quality == 0)
    centres = np.array([photocentre(image) for image in stamp.flux[good]])
    told = stamp.pos_corr[good]
    for axis in (0, 1):
        seen = centres[:, axis] - centres[:, axis].mean()
        assert np.std(told[:, axis]) > 0.01
        assert np.polyfit(told[:, axis], seen, 1)[0] == pytest.approx(1.0, abs=0.03)
        assert np.std(seen - (told[:, axis] - told[:, axis].mean())) < 0.004  # POS_CORR's own error is 0.002
    zero = simulate_stamp(replace(scene, settings=replace(moving, pos_corr="zero")), 1)
    assert np.all(zero.pos_corr[good] == 0)
    assert np.array_equal(zero.flux[good], stamp.flux[good])
    assert simulate_stamp(replace(scene, settings=replace(moving, pos_corr="absent")), 1).pos_corr is None


def test_momentum_dumps_jump_are_flagged_and_come_every_two_and_a_half_days():
    line = timeline(3, 4, 120.0, True)
    dump = (line.quality & 32) > 0
    starts = line.mid_time[np.flatnonzero(np.diff(dump.astype(int)) == 1) + 1]
    assert len(starts) == 10
    assert np.median(np.diff(starts)) == pytest.approx(2.5, abs=0.01)
    assert line.attitude[dump, 0].std() > 5 * line.attitude[~dump, 0].std()
    assert not timeline(3, 4, 120.0, False).quality.any()


def test_the_gap_between_orbits_and_flags_are_as_in_the_archive():
    line = timeline(3, 4, 1800.0, True)
    assert np.diff(line.mid_time).max() == pytest.approx(1.0, abs=0.05)
    assert np.count_nonzero(np.diff(line.mid_time) > 0.03) == 1
    assert np.array_equal(np.diff(line.cadenceno) > 1, np.diff(line.mid_time) > 0.03)
    for flag in (8, 16, 32, 64, 128, 2048, 4096):
        assert np.any(line.quality & flag), flag
    missing = np.isnan(line.time)
    assert missing.any() and np.array_equal(missing, (line.quality & 8) > 0)
    scene = draw_scene(settings(), 1)
    stamp = simulate_stamp(scene, 1)
    assert np.array_equal(np.isnan(stamp.flux).all(axis=(1, 2)), np.isnan(stamp.time))
    assert np.any(stamp.quality & 512)


def test_scattered_light_stays_in_the_flux_by_the_residual_asked_for():
    lit = settings(**{**QUIET, "scattered_light": 1.0}, background_residual=0.1, density_range=EMPTY, scenario="no_dip")
    scene = draw_scene(lit, 0)
    dark = replace(scene, settings=replace(lit, background_residual=0.0))
    with_light, without = expose(scene, 1), simulate_stamp(dark, 1)
    left = (with_light.stamp.flux - without.flux).mean(axis=(1, 2))
    zodiacal = scene.pointings[1].zodiacal
    assert np.allclose(left, 0.1 * (with_light.background.mean(axis=(1, 2)) - zodiacal), atol=0.01)
    assert left[0] > 5 * left[len(left) // 4] > 0
    assert with_light.stamp.flux_err[0, 0, 0] > with_light.stamp.flux_err[300, 0, 0]


def test_variable_stars_vary_and_others_do_not():
    calm = settings(**QUIET, scenario="no_dip", density_range=(2, 2))
    scene = draw_scene(calm, 0)
    assert np.ptp(simulate_stamp(scene, 1).flux, axis=0).max() == 0
    amplitude = np.zeros(len(scene.stars))
    amplitude[1] = 0.1
    stars = replace(scene.stars, amplitude=amplitude, period=np.full(len(amplitude), 3.0))
    changed = np.ptp(simulate_stamp(replace(scene, stars=stars), 1).flux, axis=0)
    column, row = scene.positions(1)
    wanted = 0.2 * scene.stars.flux[1] * scene.prf(1).values(column[1:2], row[1:2], scene.shape)[0]
    assert np.allclose(changed, wanted, atol=0.02 * wanted.max())


def test_a_bright_star_bleeds_along_its_column_and_loses_nothing():
    flux = np.full((2, 41, 3), 10.0, dtype=np.float32)
    flux[:, 20, 1] = [5.5 * FULL_WELL, 0.5 * FULL_WELL]
    before = flux.sum(axis=(1, 2), dtype=float)
    bleed(flux)
    assert flux.max() <= FULL_WELL * 1.0001
    assert np.allclose(flux.sum(axis=(1, 2), dtype=float), before, rtol=1e-6)
    full = np.flatnonzero(flux[0, :, 1] > 0.99 * FULL_WELL)
    assert np.array_equal(full, np.arange(18, 23))
    assert np.all(flux[0][:, [0, 2]] == 10)
    assert np.count_nonzero(flux[1] != 10) == 1


def test_saturation_can_be_switched_off():
    bright = settings(**QUIET, tmag_range=(4, 4), density_range=EMPTY, scenario="no_dip")
    scene = draw_scene(bright, 0)
    assert simulate_stamp(scene, 1).flux.max() <= FULL_WELL * 1.0001
    assert simulate_stamp(replace(scene, settings=replace(bright, saturation=False)), 1).flux.max() > 1.5 * FULL_WELL


def test_single_and_second_candidates_are_drawn_as_often_as_asked():
    scenes = [draw_scene(settings(single_fraction=1.0, multi_fraction=1.0, sectors=(1, 2)), i) for i in range(6)]
    for scene in scenes:
        assert [c.toi[-2:] for c in scene.candidates] == ["01", "02"]
        assert all(c.ephemeris.is_single for c in scene.candidates)
        assert all(sum(scene.snr[c.toi, s] > 0 for s in (1, 2)) <= 1 for c in scene.candidates)
        assert scene.dips[1].host == 0


def test_a_catalogues_ephemeris_is_wrong_by_its_error():
    errors = []
    for index in range(60):
        scene = draw_scene(settings(density_range=EMPTY, t0_err_range=(1e-3, 1e-2)), index)
        known, true = scene.candidates[0].ephemeris, scene.dips[0].ephemeris
        errors.append((known.t0_btjd - true.t0_btjd) / known.t0_err_days)
    assert np.std(errors) == pytest.approx(1.0, abs=0.3)


def test_a_long_exposure_makes_a_short_transit_shallower():
    scene = draw_scene(settings(scenario="on_target"), 0)
    dip = replace(scene.dips[0], ephemeris=replace(scene.dips[0].ephemeris, duration_hours=1.0), ingress_fraction=0.5)
    mid = np.array([dip.ephemeris.t0_btjd])
    assert dip.shape(mid, 1e-6)[0] == pytest.approx(1.0, abs=1e-4)
    flat = replace(dip, limb_darkening=(0.0, 0.0))
    assert flat.shape(mid, 0.5 / 24)[0] == pytest.approx(0.75, abs=0.01)  # mean of a triangle over its middle half
    time = np.linspace(mid[0] - 0.2, mid[0] + 0.2, 4001)
    area = np.trapezoid(flat.shape(time, 1e-6), time)
    assert np.trapezoid(flat.shape(time, 0.5 / 24), time) == pytest.approx(area, rel=1e-3)
