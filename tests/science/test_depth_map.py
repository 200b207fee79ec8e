"""V09 against tess-vetter, to the last bit, and against what was published."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from tess_vetter.domain.detection import TransitCandidate
from tess_vetter.validation.checks_pixel import check_pixel_level_lc_with_tpf, compute_pixel_level_depths_ppm

from batchvet.catalog.candidate import Ephemeris
from batchvet.pixels.quality import DEFAULT
from batchvet.pixels.tpf import read_tpf
from batchvet.science.depth_map import METRICS, depth_map, pixel_medians, transit_masks
from batchvet.science.frames import Frames

TOI_5807 = Ephemeris(14.2423724, 3540.26317, 4.046)
WASP_126 = Ephemeris(3.28878, 1327.5205, 3.49)


def assert_same_as_tess_vetter(time, flux, ephemeris):
    """Every figure of tess-vetter's V09, and the depth map itself, bit for bit."""
    ours = depth_map(time, flux, ephemeris)
    candidate = TransitCandidate(
        period=ephemeris.period_days,
        t0=ephemeris.t0_btjd,
        duration_hours=ephemeris.duration_hours,
        depth=0.001,
        snr=10.0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all-NaN slices
        theirs = check_pixel_level_lc_with_tpf(tpf_data=flux, time=time, candidate=candidate).details
        if theirs["status"] == "insufficient_data":
            assert (ours.status, ours.flags) == ("skipped", ("INSUFFICIENT_DATA",))
            return ours
        their_map = compute_pixel_level_depths_ppm(
            tpf_data=flux,
            time=time,
            period_days=ephemeris.period_days,
            t0_btjd=ephemeris.t0_btjd,
            duration_hours=ephemeris.duration_hours,
        )
    assert theirs["status"] == ours.status == "ok"
    np.testing.assert_array_equal(ours.depth_ppm, their_map)
    assert list(ours.flags) == theirs["warnings"]
    metrics = ours.metrics()
    assert set(metrics) == set(METRICS)
    theirs["max_depth_pixel_row"], theirs["max_depth_pixel_col"] = theirs["max_depth_pixel"]
    theirs["target_pixel_row"], theirs["target_pixel_col"] = theirs["target_pixel"]
    for name, value in metrics.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    return ours


@pytest.mark.real_data
def test_published_figure_of_toi_5807_in_sector_83(shared_data):
    with np.load(shared_data / "toi5807" / "sector83_tpf.npz") as file:
        time, flux = file["time"], file["flux"].astype(np.float32)
    found = assert_same_as_tess_vetter(time, flux, TOI_5807)
    assert found.max_depth_ppm == 224066.93494969374
    assert found.max_depth_pixel == (0, 5)
    assert found.target_depth_ppm == pytest.approx(-6653.12159834982, rel=1e-13)
    assert found.distance_to_target_pixels == 6.0
    assert found.flags == ("DIFFIMG_MAX_AT_EDGE", "DIFFIMG_TARGET_DEPTH_NONPOSITIVE", "DIFFIMG_UNRELIABLE")


@pytest.mark.real_data
@pytest.mark.parametrize("sector", [1, 2])
def test_same_as_tess_vetter_on_wasp_126(shared_data, sector):
    (path,) = (shared_data / "wasp126").glob(f"*-s{sector:04d}-*")
    stamp = read_tpf(path)
    stamp = stamp.select(stamp.good(DEFAULT))
    found = assert_same_as_tess_vetter(stamp.time, stamp.flux, WASP_126)
    assert "DIFFIMG_UNRELIABLE" in found.flags


@pytest.mark.parametrize("seed", range(200))
def test_same_as_tess_vetter_on_random_stamps(seed):
    """Odd and even counts, NaN pixels and frames, negative pixels, few cadences, one pixel, non-square."""
    rng = np.random.default_rng(seed)
    rows, cols = [(11, 11), (1, 1), (13, 11), (5, 8), (2, 3), (1, 7)][seed % 6]
    n = int(rng.integers(20, 1500))
    time = 1500.0 + np.sort(rng.uniform(0, 27, n))
    flux = rng.normal(rng.uniform(-50, 500, (rows, cols)), 20, (n, rows, cols)).astype(np.float32)
    period = float(rng.uniform(0.4, 20))
    ephemeris = Ephemeris(period, float(rng.uniform(1400, 1527)), float(rng.uniform(0.5, min(12, 20 * period))))
    if seed % 3 == 0:
        flux[rng.random(flux.shape) < 0.05] = np.nan
    if seed % 4 == 0:
        flux[:, rng.integers(rows), rng.integers(cols)] = np.nan
    if seed % 5 == 0:
        flux[rng.random(n) < 0.2] = np.nan
        time[rng.random(n) < 0.05] = np.nan
    if seed % 7 == 0:
        flux = -np.abs(flux)
    if seed % 8 == 0:
        flux[:] = flux[:1]  # no depth at all, equal values
    if seed % 9 == 0:
        in_transit, _ = transit_masks(time, ephemeris)
        keep = ~in_transit
        keep[np.flatnonzero(in_transit)[:1]] = True
        time, flux = time[keep], flux[keep]
    if seed % 11 == 0:
        flux[:, 0, 0] = 0.0
    if seed % 13 == 0:
        flux[rng.random(flux.shape) < 0.01] = np.inf
    assert_same_as_tess_vetter(time, flux, ephemeris)


def test_depth_of_a_box_dip_is_what_was_put_in():
    time = 1000.0 + np.arange(0, 20, 0.02)
    flux = np.full((time.size, 3, 3), 100.0, dtype=np.float32)
    ephemeris = Ephemeris(5.0, 1002.0, 6.0)
    in_transit, _ = transit_masks(time, ephemeris)
    flux[in_transit, 1, 1] = 75.0
    found = depth_map(time, flux, ephemeris)
    assert found.max_depth_ppm == found.target_depth_ppm == 250_000.0
    assert found.flags == ("DIFFIMG_MAX_AT_EDGE", "DIFFIMG_UNRELIABLE")  # in a 3 x 3 stamp all is edge
    assert found.n_in_transit == in_transit.sum() == 4 * 13


def test_single_transit_has_no_period_to_fold_by():
    time = 1000.0 + np.arange(0, 20, 0.02)
    in_transit, out_of_transit = transit_masks(time, Ephemeris(0.0, 1010.0, 12.0))
    assert np.all(np.abs(time[in_transit] - 1010.0) < 0.25)
    assert in_transit.sum() == 25
    assert np.all(np.abs(time[out_of_transit] - 1010.0) >= 0.75)


def test_memory_order_of_the_pixels_does_not_matter():
    rng = np.random.default_rng(5)
    time = 1500.0 + np.linspace(0, 27, 1000)
    flux = rng.normal(100, 3, (1000, 4, 5)).astype(np.float32)
    pixel_major = np.ascontiguousarray(flux.transpose(1, 2, 0)).transpose(2, 0, 1)
    ephemeris = Ephemeris(3.0, 1501.0, 4.0)
    assert depth_map(time, flux, ephemeris).metrics() == depth_map(time, pixel_major, ephemeris).metrics()


def test_medians_ignore_nan_pixel_by_pixel():
    flux = np.array([[[1, np.nan]], [[3, 5]], [[2, np.nan]], [[np.nan, 7]]], dtype=np.float32)
    frames = Frames.of(np.arange(float(len(flux))), flux)
    np.testing.assert_array_equal(pixel_medians(frames, np.ones(len(flux), dtype=bool)), [[2.0, 6.0]])
