"""The PRFs of simulated stars: whole, centred, lopsided, and moved as they should be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from batchvet.errors import ConfigError
from batchvet.simulate.prf import callable_table, family_table, spoc_table
from batchvet.simulate.starlight import motion_basis

FAMILIES = ("gaussians", "moffats")
PLACES = ((60.0, 20.0), (1000.0, 1000.0), (2000.0, 2040.0))


def star(table, column, row, shape=(17, 17)):
    return table.values(np.array([column]), np.array([row]), shape)[0]


def photocentre(image):
    rows, cols = np.indices(image.shape)
    return (image * cols).sum() / image.sum(), (image * rows).sum() / image.sum()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("place", PLACES)
def test_a_star_keeps_its_flux_and_its_photocentre_wherever_it_lies_in_a_pixel(family, place):
    table = family_table(family, 2, 3, *place)
    for column, row in ((8.0, 8.0), (8.3, 7.9), (7.5, 8.5)):
        image = star(table, column, row)
        assert image.sum() == pytest.approx(1.0, abs=1e-3)
        assert image.min() > -1e-6
        assert photocentre(image) == pytest.approx((column, row), abs=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shape_is_lopsided_and_changes_over_the_field(family):
    corner, axis = (star(family_table(family, 1, 1, *place), 8.0, 8.0) for place in (PLACES[0], PLACES[2]))
    assert np.abs(corner - corner[::-1, ::-1]).max() > 0.02 * corner.max()  # an ellipse would look the same
    assert axis.max() > 1.15 * corner.max()
    other_camera = star(family_table(family, 4, 1, *PLACES[0]), 8.0, 8.0)
    assert np.abs(other_camera - corner).max() > 0.005 * corner.max()


def test_the_two_families_differ():
    one, two = (star(family_table(family, 1, 1, *PLACES[1]), 8.0, 8.0) for family in FAMILIES)
    assert np.abs(one - two).max() > 0.03


@pytest.mark.parametrize("family", FAMILIES)
def test_derivative_images_are_those_of_a_moved_star(family):
    table, h = family_table(family, 3, 2, *PLACES[0]), 1e-3
    c, r = 8.37, 7.81
    images = table.images(np.array([c]), np.array([r]), (17, 17))[0]

    def at(i, j):
        return star(table, c + i * h, r + j * h)

    expected = [
        at(0, 0),
        (at(1, 0) - at(-1, 0)) / (2 * h),
        (at(0, 1) - at(0, -1)) / (2 * h),
        (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2,
        (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2),
        (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2,
    ]
    for image, wanted, tolerance in zip(images, expected, (1e-12, 1e-4, 1e-4, 1e-2, 1e-2, 1e-2), strict=True):
        assert np.abs(image - wanted).max() < tolerance


@pytest.mark.parametrize(("motion", "error"), [(0.03, 1e-5), (0.1, 4e-4)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_expansion_of_motion_is_as_exact_as_documented(family, motion, error):
    table = family_table(family, 1, 4, *PLACES[2])  # the sharpest
    for angle in np.linspace(0, 2 * np.pi, 9):
        step = motion * np.array([[np.cos(angle), np.sin(angle)]])
        basis = motion_basis(step, np.zeros(1))[0]
        moved = np.tensordot(basis, table.images(np.array([8.2]), np.array([7.6]), (17, 17))[0], axes=1)
        exact = star(table, 8.2 + step[0, 0], 7.6 + step[0, 1])
        assert np.abs(moved - exact).max() < error


def test_smearing_widens_a_star_by_its_square():
    table = family_table("gaussians", 1, 1, *PLACES[1])
    images = table.images(np.array([8.0]), np.array([8.0]), (17, 17))[0]
    smeared = np.tensordot(motion_basis(np.zeros((1, 2)), np.array([0.2]))[0], images, axes=1)
    offset = np.arange(17) - 8.0
    for axis in (0, 1):
        before, after = (np.sum(image.sum(axis=axis) * offset**2) for image in (images[0], smeared))
        assert after - before == pytest.approx(0.04, rel=0.05)


def test_a_callable_prf_is_reproduced_between_the_places_where_it_was_asked():
    width_c, width_r = 0.8, 1.1

    def gaussian(row, col, shape):
        def strip(centre, size, width):
            edges = (np.arange(size + 1) - 0.5 - centre) / (width * np.sqrt(2))
            return np.diff(erf(edges)) / 2

        along_rows = strip((shape[0] - 1) // 2 + row % 1, shape[0], width_r)
        return np.outer(along_rows, strip((shape[1] - 1) // 2 + col % 1, shape[1], width_c))

    table = callable_table(gaussian, 500.0, 700.0)
    for frac_c, frac_r in ((0.0, 0.0), (0.25, 0.5), (0.31, 0.77), (0.999, 0.04)):
        wanted = gaussian(frac_r, frac_c, (11, 11))
        got = star(table, 5 + frac_c, 5 + frac_r, (11, 11))
        assert np.abs(got - wanted).max() < 3e-5


def test_an_unknown_family_is_refused():
    with pytest.raises(ConfigError, match="gaussians or moffats"):
        family_table("lorentzians", 1, 1, 100.0, 100.0)


@pytest.mark.real_data
def test_official_files_are_read_at_the_nodes_between_them_and_at_the_edge_of_a_ccd(shared_data):
    from astropy.io import fits

    folder = shared_data / "prf" / "start_s0001" / "cam4_ccd1"

    def samples(row, col):
        data = fits.getdata(next(folder.glob(f"*row{row:04d}-col{col:04d}.fits"))).astype(float)
        return data / data.sum() * 81

    def image_of(samples):  # the star on the central pixel of 13 x 13; sample 58 of 117 is its centre
        return samples[58 - 54 : 58 + 55 : 9, 58 - 54 : 58 + 55 : 9]

    node = spoc_table(shared_data / "prf", 1, 4, 1, 557.0, 513.0)
    assert np.allclose(star(node, 6.0, 6.0, (13, 13)), image_of(samples(513, 557)), atol=1e-9)
    right = np.roll(samples(513, 557), 1, axis=1)  # a star 1/9 px further right
    assert np.allclose(star(node, 6 + 1 / 9, 6.0, (13, 13))[1:-1, 1:-1], image_of(right)[1:-1, 1:-1], atol=1e-9)
    between = spoc_table(shared_data / "prf", 1, 4, 1, 557.0, 769.0)
    mean = (samples(513, 557) + samples(1025, 557)) / 2
    assert np.allclose(star(between, 6.0, 6.0, (13, 13)), image_of(mean), atol=1e-6)
    edge = spoc_table(shared_data / "prf", 1, 4, 1, 2092.0, 2048.0)
    assert np.allclose(star(edge, 6.0, 6.0, (13, 13)), image_of(samples(2048, 2092)), atol=1e-9)
