"""Known dips in real pixels: what `scripts/inject_real.py` puts into them, and what it reads from SPOC's reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from batchvet.vetting.measure import official_prf

pytestmark = pytest.mark.real_data


def scene_of_kind(pixels, target, kind, seed=3):
    for index in range(60):
        scene = pixels.inject(target, seed, index, (100.0, 150.0))
        if scene.kind == kind:
            return index, scene
    raise AssertionError(kind)


def folded(scene, real, before):
    """What the injection took away at mid-transit, [row, col]: the stamp with it minus the one without."""
    sector = real.sector
    altered = scene.stamps[sector]
    from_mid = scene.candidate.ephemeris.time_from_transit(altered.time)
    inside = np.abs(from_mid) < 0.1 * scene.candidate.ephemeris.duration_days
    outside = (np.abs(from_mid) > scene.candidate.ephemeris.duration_days) & np.isfinite(altered.time)
    changed = altered.flux.astype(float) - before
    return np.nanmean(changed[outside], axis=0) - np.nanmean(changed[inside], axis=0)


def test_a_dip_on_the_target_takes_the_stated_fraction_of_its_own_recorded_light(pixels, shared_data):
    target = pixels.wasp126(shared_data)
    _, scene = scene_of_kind(pixels, target, "on_target")
    taken = folded(scene, target.stamps[1], target.stamps[1].flux)
    own = target.images[1] * target.own_light(1)
    core = own > 0.2 * own.max()
    assert 0.93 < taken[core].sum() / (scene.depth * own[core].sum()) < 1.03  # limb darkening, cadences in transit
    assert np.abs(taken[~(target.own_light(1) > 0)]).max() < 0.2 * taken.max()  # the invented stars' noise alone


def test_what_was_put_in_is_vetted_and_held_against_the_truth(pixels, shared_data):
    target = pixels.wasp126(shared_data)
    index, scene = scene_of_kind(pixels, target, "on_target")
    outcome = pixels.judge_injected(scene, index, "empirical")
    assert outcome.host == outcome.verdict.best_host_id == str(target.tic)
    assert outcome.depth == scene.depth and outcome.verdict.verdict == "ON_TARGET"
    assert np.hypot(*outcome.error) < 3.0


def test_a_dip_elsewhere_is_where_its_invented_star_is_on_the_sky(pixels, shared_data):
    target = pixels.wasp126(shared_data)
    for seed in range(3, 30):
        _, scene = scene_of_kind(pixels, target, "off_target", seed)
        column, row = pixels._star_place(target, 2, scene.host)
        if 2 < column < 8 and 2 < row < 8:
            break
    taken = folded(scene, target.stamps[2], target.stamps[2].flux)
    prf = official_prf(target.stamps[2], str(shared_data / "prf"))  # read by other code than what put the star there
    image = prf.images(np.array([row]), np.array([column]), taken.shape)[0]
    assert np.corrcoef(taken.ravel(), image.ravel())[0, 1] > 0.97
    flux = scene.host.relative_flux * 10 ** (-0.4 * (target.tmag - 20.44))
    assert np.vdot(taken, image) / np.vdot(image, image) == pytest.approx(scene.depth * flux, rel=0.15)
    listed = {star.source_id: star for star in scene.neighbours}
    ra, dec = listed[scene.host.source_id].at(target.stamps[2].epoch)
    here = target.stamps[2].wcs.all_world2pix(*target.stamps[2].target_position(), 0)
    there = target.stamps[2].wcs.all_world2pix(ra, dec, 0)
    true = target.places[2]
    assert there[0] - here[0] == pytest.approx(column - true[0], abs=0.01)
    assert there[1] - here[1] == pytest.approx(row - true[1], abs=0.01)


def test_injected_transits_stay_clear_of_the_real_ones(pixels, shared_data):
    for make in (pixels.wasp126, pixels.toi5807):
        target = make(shared_data)
        for index in range(20):
            dip = pixels._dip(np.random.default_rng(index), target)
            for stamp in target.stamps.values():
                mids = dip.mid_times(np.nanmin(stamp.time), np.nanmax(stamp.time))
                assert np.abs(target.ephemeris.time_from_transit(mids)).min() > 0.4


def test_a_shifted_copy_of_a_star_is_whole_pixels_away(pixels, shared_data):
    target = pixels.toi5807(shared_data)
    _, scene = scene_of_kind(pixels, target, "off_target")
    column, row = pixels._star_place(target, 83, scene.host)
    own_column, own_row = target.places[83]
    assert column - own_column == pytest.approx(round(column - own_column), abs=1e-6)
    assert row - own_row == pytest.approx(round(row - own_row), abs=1e-6)
    moved = pixels._shifted(np.arange(20.0).reshape(4, 5), 1, -2)
    assert np.array_equal(moved, [[0] * 5, [2, 3, 4, 0, 0], [7, 8, 9, 0, 0], [12, 13, 14, 0, 0]])


def test_pseudo_sectors_hold_equally_many_transits_and_every_cadence_once(pixels, shared_data):
    import real_checks

    target = pixels.wasp126(shared_data)
    stamp = target.stamps[1]
    for pieces in (1, 2, 4, 8):
        cut = real_checks._cut(stamp, target, pieces)
        assert sum(len(piece.time) for piece in cut) == np.count_nonzero(np.isfinite(stamp.time)) + sum(
            np.count_nonzero(~np.isfinite(piece.time)) for piece in cut
        )
        for piece in cut:
            good = piece.time[np.isfinite(piece.time)]
            assert len(target.ephemeris.mid_times(good.min(), good.max())) == 8 // pieces


def test_a_dv_report_is_read_as_it_was_published(pixels, shared_data):
    import real_checks

    dv = real_checks.read_dv(next((shared_data / "dv").glob("*390988385*_dvr.xml")))
    assert dv.centroid == pytest.approx((1345.9756, 2057.9006), abs=1e-4)
    assert dv.centroid_error == pytest.approx((0.0375, 0.0324), abs=1e-4)
    assert dv.difference.shape == (11, 11) and dv.origin == (1340, 2052)
    assert dv.difference[0, 0] == -9.474504 and dv.difference_error[0, 0] == 19.717367
    scale = np.sqrt(abs(np.linalg.det(np.linalg.inv(dv.sky_to_pixel))))
    assert scale == pytest.approx(21, abs=0.3)  # arcsec a pixel, from three places that DV gives twice
    east, north = dv.sky_to_pixel.T
    assert abs(east @ north) < 0.02 * (east @ east)


@pytest.mark.slow
def test_the_script_reports_every_figure_that_is_promised(scripts, shared_data):
    command = [sys.executable, str(scripts / "inject_real.py"), "--data", str(shared_data), "--scenes", "2", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    report = json.loads(done.stdout)
    assert {(row["row"], row["prf"]) for row in report["injected"]} == {
        ("WASP-126", "official"), ("WASP-126", "empirical"), ("TOI-5807", "empirical"),
    }  # fmt: skip
    assert {row["pieces"] for row in report["pseudo_sectors"]} == set(range(1, 17))
    assert len(report["displaced"]) == 2 * 2 * 4 * 5
    assert {row["target"] for row in report["dv"]} == {"TIC 117544915", "TIC 390988385"}
