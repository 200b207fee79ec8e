"""What is drawn is what the tables say, in the right place."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.report.plot import views_of
from batchvet.report.style import scale
from batchvet.report.view import Ellipse


def test_the_ellipse_on_the_stamp_is_the_covariance_on_the_sky(made):
    views, _ = views_of(made, "102.01")
    view = views[0]
    row = made.of("102.01").iloc[0]
    on_sky = view.sky @ view.source.covariance @ view.sky.T
    np.testing.assert_allclose(
        on_sky,
        [[row.offset_cov_ra_ra, row.offset_cov_ra_dec], [row.offset_cov_ra_dec, row.offset_cov_dec_dec]],
        rtol=1e-12,
    )


def test_outline_of_an_ellipse_lies_at_its_sigma():
    ellipse = Ellipse(2.0, -1.0, np.array([[4.0, 1.0], [1.0, 2.0]]))
    away = ellipse.outline(3.0) - [2.0, -1.0]
    distance = np.einsum("ni,ij,nj->n", away, np.linalg.inv(ellipse.covariance), away)
    np.testing.assert_allclose(distance, 9.0, rtol=1e-12)
    major, minor, angle = ellipse.axes()
    assert major**2 == pytest.approx(3 + np.sqrt(2))
    assert minor**2 == pytest.approx(3 - np.sqrt(2))
    assert np.tan(2 * np.radians(angle)) == pytest.approx(2 * 1.0 / (4.0 - 2.0))


def test_north_and_east_point_where_the_sky_says(made):
    views, _ = views_of(made, "101.01")
    view = views[0]
    for name, sky in (("E", (1, 0)), ("N", (0, 1))):
        towards = view.sky @ view.north_and_east()[name]
        np.testing.assert_allclose(towards / np.hypot(*towards), sky, atol=1e-12)


def test_stars_on_the_sky_are_where_the_catalogue_had_them(made):
    _, sky = views_of(made, "102.01")
    star = next(star for star in sky.stars if star.source_id == "Gaia 7")
    assert (star.col, star.row) == (pytest.approx(40.0, abs=1e-3), pytest.approx(26.0, abs=1e-3))
    assert sky.stars[0].is_target
    assert (sky.stars[0].col, sky.stars[0].row) == (0.0, 0.0)
    assert sky.reach() > np.hypot(40.0, 26.0)  # the host is in sight


def test_signal_to_noise_is_difference_over_error(made):
    views, _ = views_of(made, "103.01")
    image = made.images[made.images["toi"] == "103.01"].iloc[0]
    expected = np.asarray(image.difference, dtype=float) / np.asarray(image.difference_error, dtype=float)
    np.testing.assert_array_equal(views[0].images["snr"].ravel(), expected)


def test_a_row_without_pixels_has_a_reason_and_no_image(made):
    for toi, word in (("105.01", "no usable cadence"), ("106.01", "fetch it again")):
        views, sky = views_of(made, toi)
        assert all(not view.images and word in view.reason for view in views)
        assert sky.joint is None


def test_signed_images_are_symmetric_about_zero_and_say_when_values_run_off(made):
    views, _ = views_of(made, "101.01")
    for panel in ("difference", "snr", "depth_ppm"):
        limits = scale(views[0], panel)
        assert limits.low == -limits.high
    image = views[0].images["depth_ppm"]
    limits = scale(views[0], "depth_ppm")
    off = {"max": (image > limits.high), "min": (image < limits.low)}
    expected = (
        "both" if off["max"].any() and off["min"].any() else next((k for k, v in off.items() if v.any()), "neither")
    )
    assert limits.extend == expected


def test_a_fraction_of_the_scale_is_linear_for_signed_images_and_grows_for_light(made):
    views, _ = views_of(made, "101.01")
    limits = scale(views[0], "difference")
    np.testing.assert_allclose(limits.fraction(np.array([limits.low, 0.0, limits.high])), [0, 0.5, 1])
    light = scale(views[0], "out_of_transit")
    steps = light.fraction(np.linspace(light.low, light.high, 20))
    assert steps[0] == 0
    assert steps[-1] == 1
    assert (np.diff(steps) > 0).all()
