"""Difference images of made scenes with known truth and exactly the noise that they state, as evidence."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from batchvet.science.dip_shape import SHAPES, DipShapes
from batchvet.science.evidence import SectorEvidence
from batchvet.science.hosts import host_evidence
from batchvet.science.localization import dip_maps, dip_position
from batchvet.science.localization_settings import LocalizationSettings
from batchvet.science.noisy_image import NoisyImage
from batchvet.science.position import SignificanceMap, fit_point_source
from batchvet.science.prf import TabulatedPrf
from batchvet.science.priors import TableDepth
from batchvet.science.scene import Scene
from batchvet.science.sky import SkyFrame
from batchvet.science.stars import Star

SHAPE = (11, 11)
SCALE = 20.6  # arcsec per pixel


def made_prf(rows: float = 0.6, cols: float = 0.7, core: float = 0.7) -> TabulatedPrf:
    """A pixel-integrated double Gaussian; `rows` and `cols` are widths of the core, pixels."""
    x = (np.arange(117) - 58) / 9

    def pixel(sigma):
        return 0.5 * (erf((x + 0.5) / sigma / 2**0.5) - erf((x - 0.5) / sigma / 2**0.5))

    table = core * np.outer(pixel(rows), pixel(cols)) + (1 - core) * np.outer(pixel(1.3), pixel(1.2))
    return TabulatedPrf(table, 9, "spoc", 0.01)


def made_image(rng, snr, place, *, jitter=0.0, prf=None):
    """A dip at `place` with that signal to noise, white noise of 1 and shared noise: image, PRF, flux."""
    prf = prf or made_prf()
    image, by_row, by_col = prf.image_and_gradient(*place, SHAPE)
    rows, cols = np.mgrid[-1:1:11j, -1:1:11j]
    shapes = np.stack([np.ones(SHAPE), rows, cols, 100 * by_row, 100 * by_col], axis=-1).reshape(-1, 5)
    shape_cov = np.diag([0.3, 0.3, 0.3, jitter, jitter]) ** 2
    noise = NoisyImage.build(np.zeros(SHAPE), np.ones(SHAPE), shapes, shape_cov)
    flux = snr / np.sqrt(noise.information(image[None])[0, 0])
    shared = shapes @ (np.sqrt(np.diag(shape_cov)) * rng.normal(size=5))
    data = flux * image + rng.normal(size=SHAPE) + shared.reshape(SHAPE)
    return NoisyImage.build(data, np.ones(SHAPE), shapes, shape_cov), prf, flux


def made_evidence(
    rng: np.random.Generator,
    stars: list[tuple[float, float, float]],
    host: tuple[float, float],
    dip: float,
    *,
    sectors: int = 3,
    noise: float = 1.0,
    zero_point: float = 0.02,
) -> list[SectorEvidence]:
    """Evidence of a dip.

    Parameters
    ----------
    stars : (east, north, tmag) of the table's stars, arcsec from the first, the target
    host : (east, north) of the dip, arcsec
    dip : e-/s
    noise : e-/s, of a pixel of the difference image
    zero_point : 1 sigma of the WCS error, pixels
    """
    table, found = np.array(stars), []
    flux = 10 ** (-0.4 * (table[:, 2] - 20.44))
    for sector in range(1, sectors + 1):
        prf = made_prf(*rng.uniform(0.55, 0.75, 3))
        angle = rng.uniform(0, 2 * np.pi)
        to_sky = SCALE * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = 5 + rng.uniform(-0.5, 0.5, 2)
        delta = rng.normal(0, zero_point, 2)
        places = centre + np.linalg.solve(to_sky, table[:, :2].T).T
        source = centre + np.linalg.solve(to_sky, np.array(host)) + delta
        image = dip * prf.image(*source, SHAPE) + noise * rng.normal(size=SHAPE)
        listed = tuple(
            Star(str(i), row, col, tmag, i == 0, east, north)
            for i, ((row, col), (east, north, tmag)) in enumerate(zip(places, stars, strict=True))
        )
        blank, variance = np.zeros(SHAPE), np.full(SHAPE, noise**2)
        shapes, shape_cov = np.ones((blank.size, 1)), np.full((1, 1), 0.01 * noise**2)
        scene = Scene(listed, flux, 1e-3 * flux, *delta, np.eye(2) * 1e-4, blank, blank, 1.0, blank.astype(bool), prf)
        noisy = NoisyImage.build(image, variance, shapes, shape_cov)
        grid = SignificanceMap.of_stamp(noisy, prf, 0.5)
        point = fit_point_source(noisy, grid, prf)
        frame = SkyFrame(SHAPE, places[0], to_sky).shifted(*delta)
        position = dip_position(point, frame, scene, LocalizationSettings().wcs_error_arcsec)
        found.append(
            SectorEvidence(
                sector=sector,
                n_transits=3,
                n_in_transit=30,
                cadence_s=1800.0,
                duration_hours=3.0,
                frame=frame,
                dip=position,
                maps=dip_maps(grid, point),
                hosts=host_evidence(scene, noisy, position, LocalizationSettings().max_stars),
                artefact=0.0,
                timing_price=0.0,
                table=TableDepth(18.0, 1e-4, 60.0),
                prf_source=prf.name,
                has_neighbours=True,
                flags=(),
                shapes=DipShapes(np.zeros(len(SHAPES)), np.ones(len(SHAPES))),  # as it was measured
            )
        )
    return found
