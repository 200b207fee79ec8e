"""The PRFs that simulated stars have: their own families, unknown to the code that fits them.

Every PRF ends as a table of pixel-integrated samples around the star (as SPOC publishes its own), read by a
cubic B-spline. Because the samples divide a pixel evenly, all pixels of a stamp share one fractional offset, and
the images of hundreds of stars with their first and second derivatives come from one gather and two products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import correlate1d, spline_filter

from batchvet.arrays import FloatArray, IndexArray
from batchvet.errors import ConfigError
from batchvet.simulate.settings import PrfFunction

_SAMPLES = 8  # per pixel, even, so that Simpson's rule integrates a pixel
_HALF_WIDTH = 8  # pixels from the centre to the edge of a simulated table
_FADE = 5.5  # pixels from the centre where the wings begin to fade
_SIMPSON = np.array([1, 4, 2, 4, 2, 4, 2, 4, 1]) / (3.0 * _SAMPLES)

#: Order of the images that :meth:`TabulatedPrf.images` gives: value, then derivatives by the star's position.
DERIVATIVES = ("1", "d/dcol", "d/drow", "d²/dcol²", "d²/dcol drow", "d²/drow²")


@dataclass(frozen=True, eq=False)
class TabulatedPrf:
    """Pixel-integrated PRF at one place of one CCD."""

    coefficients: FloatArray  #: cubic B-spline coefficients of the samples, [row, col], odd sides
    samples_per_pixel: int

    @classmethod
    def from_samples(cls, samples: FloatArray, samples_per_pixel: int) -> TabulatedPrf:
        """From samples with the star on the central one; the flux of all pixels together becomes 1."""
        total = samples.sum() / samples_per_pixel**2
        edge = 2 * samples_per_pixel  # zeros around, so that the spline goes to zero where the table ends
        return cls(spline_filter(np.pad(samples / total, edge), order=3, mode="mirror"), samples_per_pixel)

    def images(self, column: FloatArray, row: FloatArray, shape: tuple[int, int]) -> FloatArray:
        """Images of stars of unit flux on a stamp and their derivatives by the star's position.

        Parameters
        ----------
        column, row : arrays [star], 0-based stamp positions, an integer is the centre of a pixel
        shape : (rows, cols) of the stamp

        Returns
        -------
        array [star, 6, row, col], in the order of DERIVATIVES
        """
        row_index, row_weight = self._weights(np.atleast_1d(row), shape[0], self.coefficients.shape[0])
        col_index, col_weight = self._weights(np.atleast_1d(column), shape[1], self.coefficients.shape[1])
        block = self.coefficients[row_index[:, :, None], col_index[:, None, :]]
        stars = len(block)
        block = block.reshape(stars, 4 * shape[0], shape[1], 4) @ col_weight[:, None]  # [star, 4 row, col, order]
        block = np.moveaxis(block.reshape(stars, shape[0], 4, shape[1] * 3), 2, 3)  # [star, row, col order, 4]
        both = (block @ row_weight[:, None]).reshape(stars, shape[0], shape[1], 3, 3)  # [..., col order, row order]
        chosen = [both[..., c, r] for c, r in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))]
        return np.stack(chosen, axis=1)

    def values(self, column: FloatArray, row: FloatArray, shape: tuple[int, int]) -> FloatArray:
        """The images of :meth:`images` without derivatives, [star, row, col]."""
        row_index, row_weight = self._weights(np.atleast_1d(row), shape[0], self.coefficients.shape[0])
        col_index, col_weight = self._weights(np.atleast_1d(column), shape[1], self.coefficients.shape[1])
        block = self.coefficients[row_index[:, :, None], col_index[:, None, :]]
        block = block.reshape(len(block), 4 * shape[0], shape[1], 4) @ col_weight[:, None, :, :1]
        block = np.moveaxis(block.reshape(len(block), shape[0], 4, shape[1]), 2, 3)
        return (block @ row_weight[:, None, :, :1])[..., 0]

    def _weights(self, position: FloatArray, pixels: int, size: int) -> tuple[IndexArray, FloatArray]:
        """Table indices [star, 4 pixels] and spline weights [star, 4, order of derivative] along one axis."""
        k = self.samples_per_pixel
        start = (size - 1) / 2 - position * k
        whole = np.floor(start).astype(np.intp)
        t = start - whole
        index = whole[:, None, None] + k * np.arange(pixels)[:, None] + np.arange(-1, 3)
        index = np.clip(index, 0, size - 1).reshape(len(position), 4 * pixels)
        value = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
        slope = np.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2], 1) / 2
        curve = np.stack([1 - t, 3 * t - 2, 1 - 3 * t, t], 1)
        return index, np.stack([value, -k * slope, k * k * curve], axis=2)  # the sample moves against the star


@lru_cache(maxsize=256)
def family_table(family: str, camera: int, ccd: int, column: float, row: float) -> TabulatedPrf:
    """A simulated family at a place: wider, more elongated and more asymmetric away from the camera's axis.

    "gaussians" is a sum of four elliptical Gaussians, "moffats" of three elliptical Moffats. The lobes of both
    are displaced radially (coma) and sideways; the whole is centred so that its photocentre is the star.
    """
    radius, angle = _field_position(ccd, column, row)
    own = stream_of_camera(camera, ccd)
    grid = np.arange(-(_HALF_WIDTH * _SAMPLES + _SAMPLES // 2), _HALF_WIDTH * _SAMPLES + _SAMPLES // 2 + 1) / _SAMPLES
    if family == "gaussians":
        profile = _gaussians(grid, radius, angle, own)
    elif family == "moffats":
        profile = _moffats(grid, radius, angle, own)
    else:
        raise ConfigError(f"simulate: PRF family {family!r} is not known; use gaussians or moffats.")
    fade = 0.5 + 0.5 * np.cos(np.pi * np.clip((np.hypot(grid[:, None], grid) - _FADE) / (_HALF_WIDTH - _FADE), 0, 1))
    profile = profile * fade  # no step at the end of the table, which a moving star would drag along
    for axis in (0, 1):
        profile = correlate1d(profile, _SIMPSON, axis=axis, mode="constant")
    half = _SAMPLES // 2
    return TabulatedPrf.from_samples(profile[half:-half, half:-half], _SAMPLES)


def stream_of_camera(camera: int, ccd: int) -> FloatArray:
    """Eight fixed numbers in [-1, 1]: what makes one CCD's optics differ from another's."""
    return np.random.Generator(np.random.PCG64([camera, ccd, 20180418])).uniform(-1, 1, 8)


def _field_position(ccd: int, column: float, row: float) -> tuple[float, float]:
    """Distance from the camera's axis (1 at the middle of an edge) and direction on the CCD, rad."""
    # A CCD's science pixels are columns 45 to 2092 and rows 1 to 2048; the axis is at its last row, and at its
    # last column for CCDs 1 and 3, its first for 2 and 4 (TESS Instrument Handbook, figure 4.3, simplified).
    x = (column - 2092 if ccd in (1, 3) else column - 45) / 2048
    y = (row - 2048) / 2048
    return float(np.hypot(x, y)), float(np.arctan2(y, x))


Component = tuple[float, float, float, float, float]  # weight, width along, width across, shift along, shift across


def _components(grid: FloatArray, angle: float, parts: list[Component]) -> list[tuple[float, FloatArray]]:
    """Weight over area and squared normalised radius of each component, the photocentre at 0."""
    total = sum(p[0] for p in parts)
    centre_along = sum(p[0] * p[3] for p in parts) / total
    centre_across = sum(p[0] * p[4] for p in parts) / total
    x, y = grid[None, :], grid[:, None]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return [
        (w / (a * b), ((along - s + centre_along) / a) ** 2 + ((across - u + centre_across) / b) ** 2)
        for w, a, b, s, u in parts
    ]


def _gaussians(grid: FloatArray, radius: float, angle: float, own: FloatArray) -> FloatArray:
    r = radius
    parts = [
        (0.55, 0.50 + 0.12 * r, 0.48 + 0.05 * r + 0.03 * own[0], 0.0, 0.0),
        (0.28, 0.90 + 0.30 * r, 0.80 + 0.08 * r, 0.25 * r + 0.08 * own[1], 0.10 * own[2]),
        (0.12, 1.60 + 0.30 * r, 1.20 + 0.10 * own[3], 0.70 * r + 0.15 * own[4], 0.20 * own[5]),
        (0.05, 2.60, 2.60 + 0.30 * own[6], 0.40 * own[7], 0.0),
    ]
    return np.asarray(np.sum([w * np.exp(-0.5 * q) for w, q in _components(grid, angle + 0.1 * own[2], parts)], axis=0))


def _moffats(grid: FloatArray, radius: float, angle: float, own: FloatArray) -> FloatArray:
    r = radius
    parts = [
        (0.70, 1.10 + 0.20 * r, 1.05 + 0.05 * own[0], 0.0, 0.0),
        (0.22, 1.60 + 0.50 * r, 1.30 + 0.10 * own[1], -0.45 * r + 0.10 * own[2], 0.15 * own[3]),
        (0.08, 2.20, 2.20 + 0.20 * own[4], 0.60 * own[5], 0.40 * own[6]),
    ]
    powers = (3.2, 2.8, 2.6)
    pairs = zip(_components(grid, angle + 0.2 * own[7], parts), powers, strict=True)
    return np.asarray(np.sum([w * (power - 1) * (1 + q) ** -power for (w, q), power in pairs], axis=0))


def callable_table(prf: PrfFunction, column: float, row: float) -> TabulatedPrf:
    """Tabulate a callable by asking it for stars at every sub-pixel offset."""
    k, half = _SAMPLES, _HALF_WIDTH
    side = 2 * half + 1
    samples = np.zeros((side * k, side * k))
    for i in range(k):
        for j in range(k):
            image = prf(np.floor(row) + i / k, np.floor(column) + j / k, (side, side))
            samples[(k - i) % k :: k, (k - j) % k :: k] = _shifted(image, i > 0, j > 0)
    return TabulatedPrf.from_samples(samples[: -k + 1, : -k + 1], k)


def _shifted(image: FloatArray, row: bool, col: bool) -> FloatArray:
    """Drop the pixels below the star's, which lie outside the table when the star is past a pixel's centre."""
    out = np.zeros_like(image)
    out[: image.shape[0] - row, : image.shape[1] - col] = image[int(row) :, int(col) :]
    return out


@lru_cache(maxsize=8)
def spoc_directories(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """(start folder, camera, ccd) of every CCD that a directory of official PRF files has."""
    found = []
    for path in sorted(Path(directory).glob("start_s*/cam?_ccd?")):
        if any(path.glob("*.fits")):
            found.append((path.parent.name, int(path.name[3]), int(path.name[8])))
    return tuple(found)


@lru_cache(maxsize=64)
def spoc_table(directory: Path, sector: int, camera: int, ccd: int, column: float, row: float) -> TabulatedPrf:
    """The official PRF (117 x 117 samples, 9 a pixel), bilinear between the four nodes around the place."""
    start = "start_s0001" if sector <= 3 else "start_s0004"
    nodes = _spoc_nodes(Path(directory) / start / f"cam{camera}_ccd{ccd}")
    rows = np.unique([node[0] for node in nodes])
    cols = np.unique([node[1] for node in nodes])
    (r0, r1, fr), (c0, c1, fc) = _bracket(rows, row), _bracket(cols, column)
    samples = (1 - fr) * ((1 - fc) * nodes[r0, c0] + fc * nodes[r0, c1])
    samples = samples + fr * ((1 - fc) * nodes[r1, c0] + fc * nodes[r1, c1])
    return TabulatedPrf.from_samples(samples, 9)


@lru_cache(maxsize=8)
def _spoc_nodes(folder: Path) -> dict[tuple[float, float], FloatArray]:
    from astropy.io import fits

    nodes = {}
    for path in sorted(folder.glob("*-prf-*.fits")):
        with fits.open(path) as hdus:
            header = hdus[0].header
            nodes[float(header["CCD_RREF"]), float(header["CCD_CREF"])] = np.array(hdus[0].data, dtype=np.float64)
    if len(nodes) != 25:
        raise ConfigError(f"{folder}: {len(nodes)} PRF files instead of 25; fetch the folder again or use another.")
    return nodes


def _bracket(nodes: FloatArray, value: float) -> tuple[float, float, float]:
    """The nodes on both sides of a value and how far between them it lies (0 to 1)."""
    upper = int(np.clip(np.searchsorted(nodes, value), 1, len(nodes) - 1))
    low, high = float(nodes[upper - 1]), float(nodes[upper])
    return low, high, float(np.clip((value - low) / (high - low), 0, 1))
