"""Stamps made by formula for these tests: a Gaussian star, jitter, noise, dips; independent of the simulator."""

from __future__ import annotations

import numpy as np

from batchvet.catalog.candidate import Ephemeris
from batchvet.pixels.stamp import Stamp
from batchvet.science.difference_image import DifferenceImage, difference_image
from batchvet.science.localization_settings import DifferenceSettings
from batchvet.science.timeline import Transits

EPHEMERIS = Ephemeris(4.0, 1002.0, 3.0)
BITMASK = 175
FLUX, DEPTH, SIGMA = 20000.0, 0.01, 0.9
ROWS, COLS = np.indices((11, 11))
HEADER = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 6.1, "CRPIX2": 5.8, "CRVAL1": 120.0, "CRVAL2": -40.0,
    "CUNIT1": "deg", "CUNIT2": "deg", "CDELT1": -21.0 / 3600, "CDELT2": 21.0 / 3600,
    "PC1_1": 0.6, "PC1_2": -0.8, "PC2_1": 0.8, "PC2_2": 0.6,
}  # fmt: skip


def star(row=5.0, col=5.0):
    """Unit star, [..., row, col]."""
    row, col = np.asarray(row)[..., None, None], np.asarray(col)[..., None, None]
    return np.exp(-((ROWS - row) ** 2 + (COLS - col) ** 2) / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)


def dip_image(depth=DEPTH):
    return FLUX * depth * star()


def made_stamp(
    *, seed=0, jitter=0.0, noise=10.0, depth=DEPTH, cadence_s=600.0, days=25.5, ephemeris=EPHEMERIS, dtype=np.float32
) -> Stamp:
    """A sector of one star at (5, 5) whose dips are trapezoids with an ingress of 0.15 of the duration."""
    rng = np.random.default_rng(seed)
    time = 1000.0 + np.arange(round(days * 86400 / cadence_s)) * cadence_s / 86400
    n = time.size
    pos = rng.normal(0, 1, (n, 2)) * jitter
    half = ephemeris.duration_days / 2
    from_mid = np.abs(ephemeris.time_from_transit(time))
    light = 1.0 - depth * np.clip((half - from_mid) / (0.15 * 2 * half), 0.0, 1.0)
    flux = FLUX * light[:, None, None] * star(5.0 + pos[:, 1], 5.0 + pos[:, 0])
    flux += rng.normal(0, 1, flux.shape) * noise + 3.0
    return Stamp(
        tic=1, sector=5, camera=1, ccd=1, cadence_s=cadence_s, time=time, flux=flux.astype(dtype),
        quality=np.zeros(n, dtype=np.int32), cadenceno=np.arange(n, dtype=np.int32),
        aperture=np.ones((11, 11), dtype=np.int32), wcs_header=HEADER,
        flux_err=np.full(flux.shape, max(noise, 1e-6), dtype=np.float32), pos_corr=pos.astype(np.float32),
        column=400, row=900,
    )  # fmt: skip


def vetted(stamp, ephemeris=EPHEMERIS, others=()) -> DifferenceImage:
    """The sector's difference image, by the defaults."""
    return difference_image(stamp, Transits(ephemeris, tuple(others)), BITMASK, DifferenceSettings())


def snr_of(difference, image):
    """Of a dip that looks like `image` in a difference image, by all of its covariance."""
    shared = difference.shapes @ difference.shape_cov @ difference.shapes.T
    inverse = np.linalg.inv(np.diag(difference.variance.ravel()) + shared)
    unit = image.ravel()
    return unit @ inverse @ difference.flux.ravel() / np.sqrt(unit @ inverse @ unit)
