"""What is worked out for all cadences, windows and curves at once is what its definition gives one by one."""

from __future__ import annotations

import numpy as np
import pytest
from made_stamps import BITMASK, EPHEMERIS, made_stamp

from batchvet.science.bump_search import _grown
from batchvet.science.folded_light_curve import _places
from batchvet.science.other_dips import deepest_elsewhere, dip_series, strange_times
from batchvet.science.prf import TabulatedPrf
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.slow_light import _steady
from batchvet.science.star_curves import StarCurves
from batchvet.science.timeline import FreeCadences
from batchvet.science.transit_images import window_light, window_products
from batchvet.science.windows import WindowLayout, WindowSettings, windows_at

LAYOUT = WindowLayout.of(EPHEMERIS, 0.0, 200.0 / 86400, WindowSettings())


def torn_stamp():
    """With cadences missing one by one, in a gap, flagged, and NaN in a pixel; and a dead pixel."""
    stamp = made_stamp(jitter=0.01, seed=3, cadence_s=200.0, days=14.0)
    kept = np.random.default_rng(0).random(len(stamp.time)) > 0.03
    kept[800:1000] = False
    stamp = stamp.select(kept)
    stamp.quality[[5, 6, 300, 2000]] = 128
    stamp.quality[1500] = 32  # a momentum dump: another stretch of pointing begins
    stamp.flux[[40, 41, 900], 3, 4] = np.nan
    stamp.flux[:, 0, 0] = np.nan
    return stamp


@pytest.fixture(scope="module")
def torn():
    pixels = SectorPixels.of(torn_stamp(), BITMASK)
    return pixels, pixels.timeline.free_cadences((), 0.2)


def curves_of(pixels, free):
    weights = np.random.default_rng(1).normal(size=(5, pixels.live.size))
    response = np.random.default_rng(2).normal(size=(5, pixels.live.size))
    return StarCurves.of(pixels, free, weights, response, EPHEMERIS.duration_days), weights, response


def test_bins_are_the_means_of_their_own_cadences(torn):
    pixels, free = torn
    free = FreeCadences(free.time, free.index[free.index % 50 != 7], free.stretches)  # as other candidates' dips do
    curves, weights, response = curves_of(pixels, free)
    flux = pixels.series.astype(float) - pixels.series[:, free.index[0], None]
    assert curves.count.sum() == free.index.size
    ends = np.cumsum(curves.count).astype(int)
    for number in range(len(ends)):
        own = free.index[ends[number] - int(curves.count[number]) : ends[number]]
        light = flux[:, own].mean(axis=1) - response.T @ pixels.pointing[own].mean(axis=0)
        assert curves.pixels[number] == pytest.approx(light, abs=1e-7)
        assert curves.flux[number] == pytest.approx(weights @ light, abs=1e-6)
        assert curves.time[number] == pytest.approx(free.time[own].mean(), abs=1e-9)
        assert len(set(free.stretches[own])) == 1


def test_dips_of_all_times_are_light_beside_less_light_within(torn):
    curves, *_ = curves_of(*torn)
    series = dip_series(curves, LAYOUT)
    n_measured = 0
    for number, time in enumerate(curves.time):
        outer, inner, half = LAYOUT.outer, LAYOUT.inner, 0.5 * LAYOUT.duration
        left, inside, right = (
            (curves.time >= time + low) & (curves.time < time + high)
            for low, high in ((-outer, -inner), (-half, half), (inner, outer))
        )
        used = left | inside | right
        whole = min(left.sum(), inside.sum(), right.sum()) >= 2 and len(set(curves.stretch[used])) == 1
        assert series.measured[number] == whole
        if not whole:
            assert np.isnan(series.scaled[number]).all()
            continue
        n_measured += 1
        means = [np.average(curves.flux[some], axis=0, weights=curves.count[some]) for some in (left, inside, right)]
        counts = [curves.count[some].sum() for some in (left, inside, right)]
        variance = 0.25 / counts[0] + 1.0 / counts[1] + 0.25 / counts[2]
        assert series.variance[number] == pytest.approx(variance)
        depth = 0.5 * (means[0] + means[2]) - means[1]
        assert series.scaled[number] * np.sqrt(variance) == pytest.approx(depth, abs=1e-6)
    assert n_measured > 100


def test_dips_elsewhere_are_those_beyond_six_sigma_and_not_known(torn):
    series = dip_series(curves_of(*torn)[0], LAYOUT)
    series.scaled[:] = np.random.default_rng(4).normal(size=series.scaled.shape) * series.noise
    series.scaled[~series.measured] = np.nan
    here, there = np.flatnonzero(series.measured)[[20, 90]]
    series.scaled[here, 1], series.scaled[there, 1] = 20.0 * series.noise[1], 9.0 * series.noise[1]
    known = np.arange(len(series.time)) == here
    assert strange_times(series, known).tolist() == [series.time[there]]
    expected = np.zeros(series.scaled.shape[1])
    expected[1] = 9.0 * series.noise[1] * np.sqrt(series.variance[there])
    assert deepest_elsewhere(series, known) == pytest.approx(expected)
    series.scaled[there - 30, 1] = -8.0 * series.noise[1]  # what rises as high makes a dip noise
    assert series.measured[there - 30] and not strange_times(series, known).size


def test_windows_and_their_products_are_least_squares_of_the_cadences_themselves(torn):
    pixels, free = torn
    found = windows_at(np.arange(free.times[0], free.times[-1], 0.2), LAYOUT, free, WindowSettings())
    windows = [window for window in found if not isinstance(window, str)]
    assert len(windows) > 50 and any(isinstance(window, str) for window in found)
    restore = np.linspace(0.0, 1.0, pixels.series.shape[1]), np.full(pixels.live.size, 3.0)
    for added in (None, restore):
        products = window_products(pixels, windows, added)
        for number, window in enumerate(windows):
            u = free.time[free.index] - window.mid_time
            mine = free.stretches[window.cadences[0]] == free.stretches[free.index]
            near = mine & (np.abs(u) <= LAYOUT.outer) & ((np.abs(u) >= LAYOUT.inner) | (LAYOUT.template(u) > 0))
            assert window.cadences.tolist() == free.index[near].tolist()
            flux = pixels.series[:, window.cadences].astype(float)
            light = window_light(pixels, window)
            assert np.array_equal(light[:, window.cadences - window.cadences[0]], flux)
            assert np.count_nonzero(light.any(axis=0)) == len(window.cadences)  # the others are zero
            if added is not None:
                flux += added[0][window.cadences] * added[1][:, None]
            line = np.column_stack([np.ones(len(window.u)), window.u])
            left = [each - line @ np.linalg.lstsq(line, each, rcond=None)[0] for each in (window.m, flux.T)]
            sums = products.of(np.arange(len(windows)) == number).without_baseline(1)
            assert sums.template == pytest.approx(left[0] @ left[0])
            assert sums.template_flux[0] == pytest.approx(left[0] @ left[1], abs=1e-5)
            assert sums.power[0] == pytest.approx(np.sum(left[1] ** 2, axis=0), rel=1e-6)
            assert sums.level[0] == pytest.approx(flux.mean(axis=1))
            assert sums.mean_template == pytest.approx(window.m.mean())


def test_short_windows_bear_no_more_baseline_than_their_cadences_allow():
    pixels = SectorPixels.of(made_stamp(cadence_s=1800.0), BITMASK)
    layout = WindowLayout.of(EPHEMERIS, 0.0, 1800.0 / 86400, WindowSettings())
    free = pixels.timeline.free_cadences((), 0.2)
    found = windows_at(np.arange(free.times[0], free.times[-1], 0.3), layout, free, WindowSettings())
    windows = [window for window in found if not isinstance(window, str)]
    sums = window_products(pixels, windows).without_baseline(4)
    for number, window in enumerate(windows):
        terms = max(window.n_out // 3, 2)
        assert terms < 5
        powers = window.u[:, None] ** np.arange(terms)
        left = window.m - powers @ np.linalg.lstsq(powers, window.m, rcond=None)[0]
        assert sums.template[number] == pytest.approx(left @ left)
        assert sums.freedom[number] == len(window.u) - terms - 1


def test_slow_waves_of_all_periods_come_from_one_basis(torn):
    curves, *_ = curves_of(*torn)
    for (steady, kept), period in zip(_steady(curves, LAYOUT), (4.0, 3.0, 2.5), strict=True):
        assert 0.3 < kept < 1.0
        for name in set(curves.stretch):
            own = curves.stretch == name
            time = curves.time[own]
            x = (time - time[0]) / (time[-1] - time[0])
            n = int(2.0 * (time[-1] - time[0]) / (period * LAYOUT.duration)) + 1
            columns = np.column_stack([np.cos(np.pi * x[:, None] * np.arange(n)), x[:, None] ** np.arange(1, 4)])
            flux = curves.flux[own]
            expected = flux - columns @ np.linalg.lstsq(columns, flux, rcond=1e-12)[0]
            assert steady[own] == pytest.approx(expected, abs=1e-5 * np.abs(flux).max())


def test_stars_on_a_grid_look_like_stars_one_by_one():
    table = np.random.default_rng(5).random((37, 37))
    prf = TabulatedPrf(table, 3, "spoc", 0.01)
    rows, cols = np.array([-2.3, 0.0, 4.51, 12.9]), np.array([-0.5, 3.25, 9.0])
    images = prf.grid_images(rows, cols, (9, 7))
    for i, row in enumerate(rows):
        expected = prf.images(np.full(len(cols), row), cols, (9, 7))
        assert images[i] == pytest.approx(expected, abs=1e-12)


def test_bins_of_equal_width_are_numpys_on_their_edges_too():
    for edges in (np.linspace(-0.37, 0.37, 32), np.linspace(0.0, 1.0, 101)):
        inside = edges[:-1]
        x = np.sort(np.concatenate([inside, np.nextafter(edges[1:], -9.0), np.nextafter(inside, 9.0)]))
        assert np.array_equal(_places(x, edges), np.digitize(x, edges) - 1)


def test_a_stamp_of_one_stretch_and_no_gap_is_read_as_it_is():
    pixels = SectorPixels.of(made_stamp(days=5.0), BITMASK)
    cadences = np.arange(100, 180)
    assert np.array_equal(pixels.span(cadences), pixels.series[:, 100:180].astype(float))


def test_bumps_grow_over_the_feet_that_hold_their_cores():
    core = np.array([[0, 0, 1, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1, 0, 0], [0] * 9], dtype=bool).T
    foot = np.array([[1, 1, 1, 0, 1, 1, 0, 1, 1], [1, 0, 0, 0, 0, 1, 1, 1, 0], [1] * 9], dtype=bool).T
    grown = [[1, 1, 1, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1, 1, 1, 0], [0] * 9]
    assert _grown(core, foot).T.astype(int).tolist() == grown
