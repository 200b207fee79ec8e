"""From light to a stamp: background, noise, saturation, flags, and what the file says about the pointing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from batchvet.arrays import BoolArray, Float32Array, FloatArray
from batchvet.pixels.stamp import Stamp
from batchvet.simulate.intruders import hit_by_cosmic_rays
from batchvet.simulate.scene import Pointing, Scene, star_positions, stated_motion
from batchvet.simulate.settings import SimulationSettings, stream
from batchvet.simulate.starlight import starlight, target_motion
from batchvet.simulate.timeline import EARTH_POINT, IMPULSIVE, Timeline

READ_NOISE = 9.0  #: e- per exposure, between the four outputs' 7.5 and 10 (headers of SPOC files)
FULL_WELL = 2.0e5 / 1.98  #: e-/s that fill a pixel in one exposure (TESS Instrument Handbook, section 4.4)

Light = TypeVar("Light", Float32Array, FloatArray)


@dataclass(frozen=True, eq=False)
class Exposure:
    """A stamp and what only the simulator knows of it."""

    stamp: Stamp
    background: Float32Array  #: what was subtracted, e-/s, [cadence, row, col]
    motion: FloatArray  #: true motion of the target, pixels (column, row), [cadence, 2]


def simulate_stamp(scene: Scene, sector: int) -> Stamp:
    """The stamp of a scene in one sector, in memory.

    Parameters
    ----------
    scene : Scene, from draw_scene
    sector : int, one of the scene's

    Returns
    -------
    Stamp, with FLUX_ERR; `pos_corr` according to the settings, None when "absent"
    """
    return expose(scene, sector).stamp


def expose(scene: Scene, sector: int) -> Exposure:
    """The stamp of a scene in one sector, with its background and the true motion."""
    settings, pointing, line = scene.settings, scene.pointings[sector], scene.timeline(sector)
    rng = stream(settings.seed, scene.index, sector, 1)
    motion = target_motion(settings, pointing, line)
    flux = starlight(scene, sector, motion)
    flux += line.impulse[:, None, None].astype(np.float32)
    if settings.saturation:
        bleed(flux)
    scattered = scattered_light(settings, pointing, line, scene.shape)
    background = scattered + np.float32(pointing.zodiacal)
    error = noise_sigma(np.maximum(flux, 0) + background, line)
    if settings.cosmic_rays > 0:
        hit_by_cosmic_rays(stream(settings.seed, scene.index, sector, 2), flux, line, settings.cosmic_rays)
    if settings.noise:
        flux += error * rng.standard_normal(flux.shape, dtype=np.float32)
    flux += np.float32(settings.background_residual) * scattered
    quality = line.quality.copy()
    if settings.flags:
        _outliers(rng, flux, quality)
    pos_corr = _pos_corr(rng, settings, pointing, motion)
    for array in (flux, error, background) if pos_corr is None else (flux, error, background, pos_corr):
        array[(quality & EARTH_POINT) > 0] = np.nan  # no data there
    ra, dec = scene.stars.at(2000.0)
    pmra, pmdec = stated_motion(settings, scene.stars, "header")
    stamp = Stamp(
        tic=scene.tic,
        sector=sector,
        camera=pointing.camera,
        ccd=pointing.ccd,
        cadence_s=pointing.cadence_s,
        time=line.time.copy(),
        flux=flux,
        quality=quality,
        cadenceno=line.cadenceno.copy(),
        aperture=_aperture(scene, sector),
        wcs_header=pointing.plane.header(),
        flux_err=error,
        pos_corr=pos_corr,
        column=pointing.column,
        row=pointing.row,
        ra=float(ra[0]),
        dec=float(dec[0]),
        pmra=pmra,
        pmdec=pmdec,
        tmag=float(scene.stars.tmag[0]),
        source=f"simulated scene {scene.index} of seed {settings.seed}",
    )
    return Exposure(stamp, background, motion)


def noise_sigma(light: Light, line: Timeline) -> Light:
    """Photon and read noise (e-/s) of a cadence for the light on a pixel (e-/s, background included)."""
    variance: Light = light / light.dtype.type(line.exposure_s)
    variance += light.dtype.type(line.reads * READ_NOISE**2 / line.exposure_s**2)
    np.sqrt(variance, out=variance)
    return variance


def scattered_light(
    settings: SimulationSettings, pointing: Pointing, line: Timeline, shape: tuple[int, int]
) -> Float32Array:
    """Earth and Moon light (e-/s), [cadence, row, col]: a ramp at both ends of an orbit, tilted over the stamp."""
    amplitude, per_column, per_row = pointing.scattered
    rows, cols = np.arange(shape[0]) - (shape[0] - 1) / 2, np.arange(shape[1]) - (shape[1] - 1) / 2
    tilt = 1 + per_row * rows[:, None] + per_column * cols
    ramp = settings.scattered_light * amplitude * line.scattered
    return ramp.astype(np.float32)[:, None, None] * tilt.astype(np.float32)


def bleed(flux: Float32Array) -> None:
    """Move what does not fit into a pixel up and down its column, half each way, in place; none is lost inside."""
    well = np.float32(FULL_WELL)
    for col in np.flatnonzero((flux > well).any(axis=(0, 1))):
        pixels = flux[:, :, col]
        over = np.maximum(pixels - well, 0)
        pixels -= over
        for rows in (range(pixels.shape[1]), range(pixels.shape[1] - 1, -1, -1)):
            carried = np.zeros(len(pixels), dtype=np.float32)
            for row in rows:
                carried += over[:, row] / 2
                taken = np.minimum(carried, well - pixels[:, row])
                pixels[:, row] += taken
                carried -= taken


def aperture_of(image: FloatArray) -> BoolArray:
    """Where a star's image is brighter than an eighth of its peak, [row, col]."""
    return np.asarray(image > image.max() / 8)


def _aperture(scene: Scene, sector: int) -> NDArray[np.int32]:
    """SPOC's bits: 1 collected, 2 in the optimal aperture, 8 used for the flux-weighted centroid, [row, col]."""
    column, row = star_positions(scene.stars, scene.pointings[sector])
    image = scene.prf(sector).values(column[:1], row[:1], scene.shape)[0]
    return np.where(aperture_of(image), 1 + 2 + 8, 1).astype(np.int32)


def _outliers(rng: np.random.Generator, flux: Float32Array, quality: NDArray[np.int32]) -> None:
    """Bright pixels that the pipeline noticed too late to remove, and flagged; in place."""
    count = max(2, len(quality) // 1000)
    cadences = rng.choice(len(quality), count, replace=False)
    rows, cols = rng.integers(0, flux.shape[1], count), rng.integers(0, flux.shape[2], count)
    flux[cadences, rows, cols] += rng.uniform(50, 500, count).astype(np.float32)
    quality[cadences] |= IMPULSIVE


def _pos_corr(
    rng: np.random.Generator, settings: SimulationSettings, pointing: Pointing, motion: FloatArray
) -> Float32Array | None:
    if settings.pos_corr == "absent":
        return None
    if settings.pos_corr == "zero":
        return np.zeros(motion.shape, dtype=np.float32)
    return (motion + rng.normal(0, pointing.pos_corr_error, motion.shape)).astype(np.float32)
