"""The light of a scene's stars on the pixels: PRFs, motion, variability and dips; no noise yet.

Motion is a second-order Taylor expansion of each star's image about its mean position. A star moved by 0.1 px is
then wrong by at most 4e-4 of its flux in any pixel, moved by 0.03 px by at most 1e-5. Only momentum dumps, whose
cadences are flagged, move farther.
"""

from __future__ import annotations

import numpy as np

from batchvet.arrays import Float32Array, FloatArray
from batchvet.simulate.prf import TabulatedPrf
from batchvet.simulate.scene import Pointing, Scene, Stars, star_positions
from batchvet.simulate.settings import SimulationSettings
from batchvet.simulate.timeline import Timeline
from batchvet.simulate.transit import Dip

NEGLIGIBLE = 1e-3  #: of the target's flux: stars fainter than this are drawn as constant


def motion_basis(motion: FloatArray, smear: FloatArray) -> FloatArray:
    """Factors of the six images of :meth:`TabulatedPrf.images` for a motion.

    Parameters
    ----------
    motion : array [cadence, 2], pixels along column and row
    smear : array [cadence], pixels rms along both axes; adds half its square to both second derivatives

    Returns
    -------
    array [cadence, 6]
    """
    c, r = motion.T
    spread = smear**2
    return np.stack([np.ones_like(c), c, r, 0.5 * (c**2 + spread), c * r, 0.5 * (r**2 + spread)], axis=1)


def target_motion(settings: SimulationSettings, pointing: Pointing, line: Timeline) -> FloatArray:
    """Motion of the target, pixels (column, row), mean 0: the spacecraft's in this camera's axes, and roll."""
    turn = np.deg2rad(90.0 * pointing.camera)
    x, y, roll = line.attitude.T
    column = np.cos(turn) * x - np.sin(turn) * y - roll * (pointing.row - 1024)
    row = np.sin(turn) * x + np.cos(turn) * y + roll * (pointing.column - 1024)
    return settings.jitter * np.stack([column - column.mean(), row - row.mean()], axis=1)


def starlight(scene: Scene, sector: int, motion: FloatArray) -> Float32Array:
    """Flux of all stars and asteroids (e-/s), [cadence, row, col]: one steady image that moves, and what varies."""
    stars, shape, line = scene.stars, scene.shape, scene.timeline(sector)
    prf, (column, row) = scene.prf(sector), star_positions(stars, scene.pointings[sector])
    basis = motion_basis(motion, scene.settings.jitter * line.smear)
    steady = steady_images(prf, column, row, stars.flux, shape)
    flux = (basis @ steady.reshape(6, -1)).astype(np.float32)
    hosts = {dip.host for dip in scene.dips if dip.host is not None}
    shines = (stars.amplitude > 0) & (stars.flux > NEGLIGIBLE * stars.flux[0])
    flaring = {flare.star for flare in scene.flares}
    for i in sorted(hosts | flaring | set(np.flatnonzero(shines).tolist())):
        curve = light_curve(stars, scene.dips, i, line)
        for flare in (one for one in scene.flares if one.star == i):
            curve += flare.light(line.mid_time, line.cadence_s / 86400.0) / stars.flux[i]
        own = stars.flux[i] * prf.images(column[i : i + 1], row[i : i + 1], shape)[0].reshape(6, -1)
        changed = np.flatnonzero(curve)
        flux[changed] += ((curve[changed, None] * basis[changed]) @ own).astype(np.float32)
    flux = flux.reshape(-1, *shape)
    for asteroid in scene.asteroids:
        if asteroid.sector == sector:
            asteroid.add_to(flux, line, prf)
    return flux


def steady_images(
    prf: TabulatedPrf, column: FloatArray, row: FloatArray, flux: FloatArray, shape: tuple[int, int]
) -> FloatArray:
    """Image of all stars together and its derivatives by a common motion, [6, row, col], e-/s."""
    reach = 0.5 * prf.coefficients.shape[0] / prf.samples_per_pixel
    near = (column > -reach) & (column < shape[1] - 1 + reach) & (row > -reach) & (row < shape[0] - 1 + reach)
    total = np.zeros((6, *shape))
    for some in np.array_split(np.flatnonzero(near), 1 + np.count_nonzero(near) // 64):
        total += np.tensordot(flux[some], prf.images(column[some], row[some], shape), axes=1)
    return total


def light_curve(stars: Stars, dips: tuple[Dip, ...], star: int, line: Timeline) -> FloatArray:
    """Relative flux of a star minus 1, [cadence]: its own variation and the dips that it hosts."""
    bright = np.ones(len(line.mid_time))
    if stars.amplitude[star] > 0:
        angle = 2 * np.pi * line.mid_time / stars.period[star] + stars.phase[star]
        bright += stars.amplitude[star] * np.sin(angle)
    for dip in dips:
        if dip.host == star:
            bright *= 1 - dip.loss(line.mid_time, line.cadence_s / 86400.0)
    return bright - 1
