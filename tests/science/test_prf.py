"""A PRF puts a star's light where the star is, and its derivatives are those of what it draws."""

from __future__ import annotations

import numpy as np
import pytest

from batchvet.pixels.prf_files import PrfNodes, read_prf
from batchvet.science.prf import TabulatedPrf, spoc_prf

SHAPE = (11, 13)


def gaussian_table(sigma_row: float = 0.8, sigma_col: float = 1.1, sampling: int = 9, half: int = 58):
    """Samples of a Gaussian whose formula is known at every position."""
    axis = np.arange(-half, half + 1) / sampling
    return gaussian(axis[:, None], axis[None, :], sigma_row, sigma_col)


def gaussian(row, col, sigma_row=0.8, sigma_col=1.1):
    return np.exp(-0.5 * (row / sigma_row) ** 2 - 0.5 * (col / sigma_col) ** 2) / (2 * np.pi * sigma_row * sigma_col)


@pytest.fixture(scope="module")
def prf():
    return TabulatedPrf(gaussian_table(), 9, "spoc", 0.0)


@pytest.mark.parametrize("place", [(5.0, 6.0), (4.37, 6.81), (0.02, 11.5), (-0.6, -0.9), (10.77, 5.5)])
def test_image_is_the_table_seen_from_the_star(prf, place):
    rows, cols = np.indices(SHAPE)
    expected = gaussian(rows - place[0], cols - place[1])
    assert np.abs(prf.image(*place, SHAPE) - expected).max() < 2e-6


def test_integer_position_reads_the_samples_themselves():
    table = np.random.default_rng(1).random((117, 117))
    prf = TabulatedPrf(table, 9, "spoc", 0.0)
    assert prf.image(6, 6, (13, 13)) == pytest.approx(table[4::9, 4::9], abs=1e-12)


def test_row_and_column_are_not_swapped():
    table = np.zeros((117, 117))
    table[58 + 9, 58] = 1.0  # light one row above the star
    image = TabulatedPrf(table, 9, "spoc", 0.0).image(5, 5, (11, 11))
    assert np.unravel_index(np.argmax(image), image.shape) == (6, 5)


@pytest.mark.parametrize("place", [(4.37, 6.81), (-0.6, 12.3)])
def test_gradient_is_the_derivative_of_the_image(prf, place):
    image, by_row, by_col = prf.image_and_gradient(*place, SHAPE)
    row, col = place
    h = 1e-5
    assert image == pytest.approx(prf.image(row, col, SHAPE), abs=1e-14)
    assert by_row == pytest.approx(
        (prf.image(row + h, col, SHAPE) - prf.image(row - h, col, SHAPE)) / (2 * h), abs=1e-8
    )
    assert by_col == pytest.approx(
        (prf.image(row, col + h, SHAPE) - prf.image(row, col - h, SHAPE)) / (2 * h), abs=1e-8
    )


def test_many_stars_at_once_are_the_single_images(prf):
    rows, cols = np.array([3.2, -0.7, 8.0]), np.array([1.1, 12.4, 5.0])
    single = np.array([prf.image(r, c, SHAPE) for r, c in zip(rows, cols, strict=True)])
    assert prf.images(rows, cols, SHAPE) == pytest.approx(single, abs=1e-14)
    assert prf.images_and_gradients(rows, cols, SHAPE)[0] == pytest.approx(single, abs=1e-14)
    grid = prf.grid_images(rows, cols, SHAPE)
    assert grid[[0, 1, 2], [0, 1, 2]] == pytest.approx(single, abs=1e-14)
    assert grid[1, 2] == pytest.approx(prf.image(rows[1], cols[2], SHAPE), abs=1e-14)


def test_outside_the_table_there_is_no_light(prf):
    assert not prf.image(30.0, 30.0, SHAPE).any()
    big = prf.image(20.0, 20.0, (41, 41))
    assert not big[:12].any() and not big[:, 29:].any()


def nodes():
    rows, columns = np.array([1.0, 513.0, 2048.0]), np.array([45.0, 1069.0, 2092.0])
    tables = np.zeros((3, 3, 117, 117))
    tables[..., 58, 58] = rows[:, None] + 1e4 * columns
    return PrfNodes(rows, columns, tables, 9)


@pytest.mark.parametrize(
    "place", [(1, 45), (2048, 2092), (1, 2092), (2048, 45), (513, 1069), (700.5, 1500.25), (1, 800)]
)
def test_place_between_nodes_is_bilinear_and_edges_have_nodes(place):
    row, column = place
    assert spoc_prf(nodes(), row, column).table[58, 58] == pytest.approx(row + 1e4 * column)


def test_place_beyond_the_outermost_nodes_takes_theirs():
    assert spoc_prf(nodes(), -3.0, 2100.0).table[58, 58] == pytest.approx(1 + 1e4 * 2092)


@pytest.mark.real_data
def test_official_prf_holds_the_light_of_a_star(shared_data):
    prf = spoc_prf(read_prf(shared_data / "prf", 83, 1, 1), 1000.0, 45.0)
    assert prf.name == "spoc"
    image = prf.image(10.3, 9.6, (21, 21))
    assert image.sum() == pytest.approx(1.0, abs=0.01)
    assert np.unravel_index(np.argmax(image), image.shape) == (10, 10)
