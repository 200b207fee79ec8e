"""The stars of a scene as possible hosts of a dip in its difference image."""

from __future__ import annotations

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.science.evidence import DipPosition, HostEvidence
from batchvet.science.floors import LEAST_FLUX, LEAST_INFORMATION
from batchvet.science.noisy_image import NoisyImage
from batchvet.science.scene import Scene

#: Deepest possible eclipse, with 0.1 mag of grace for the catalogue's magnitudes.
DEEPEST = 10 ** (0.4 * 0.1)

_ABLE = 0.5  # of the least flux that the dip can have: a star with less light is no host


def host_evidence(scene: Scene, image: NoisyImage, dip: DipPosition, most: int) -> HostEvidence:
    """The target and the other stars that are bright enough for the dip, at most `most`: those that explain it best.

    Parameters
    ----------
    scene : Scene
    image : NoisyImage
        The difference image.
    dip : DipPosition
        Of the sector; its flux is the unit of scores and information.
    most : int
    """
    flux = star_fluxes(scene)
    rows = np.array([star.row for star in scene.stars]) + scene.delta_row
    cols = np.array([star.col for star in scene.stars]) + scene.delta_col
    score, information = image.score_and_information(scene.prf, rows, cols)
    deepest = np.clip(score[:, 0] / np.maximum(information[:, 0, 0], LEAST_INFORMATION), 0.0, DEEPEST * flux)
    gain = deepest * score[:, 0] - 0.5 * deepest**2 * information[:, 0, 0]
    is_target = np.array([star.is_target for star in scene.stars])
    able = DEEPEST * flux >= _ABLE * dip.least_flux  # the same stars in every sector, but for the faintest
    order = np.lexsort([-gain, ~is_target])
    kept = order[(able | is_target)[order]][: most + 1]
    stars = [scene.stars[i] for i in kept]
    return HostEvidence(
        source_id=tuple(star.source_id for star in stars),
        is_target=is_target[kept],
        east=np.array([star.east for star in stars]),
        north=np.array([star.north for star in stars]),
        tmag=np.array([star.tmag for star in stars]),
        flux=flux[kept],
        score=score[kept] * dip.flux,
        information=information[kept] * dip.flux**2,
        shared=_shared(scene, image, dip, (rows[kept], cols[kept])) * dip.flux,
    )


def _shared(scene: Scene, image: NoisyImage, dip: DipPosition, places: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Score of unit dips on stars where a dip of signal to noise 1 is, and its derivatives by row, col, [star, 3]."""
    there = scene.prf.images_and_gradients(dip.place[:1], dip.place[1:], image.shape)[:, 0]
    stars = scene.prf.images(*places, image.shape)
    together = np.concatenate([stars[:, None], np.broadcast_to(there, (len(stars), *there.shape))], axis=1)
    information = image.information(together)
    return np.asarray(information[:, 0, 1:] / np.sqrt(np.maximum(information[:, 1, 1], LEAST_INFORMATION))[:, None])


def star_fluxes(scene: Scene) -> FloatArray:
    """Out-of-transit flux of every star, e-/s: the catalogue's magnitudes on the scene's own flux scale.

    Blended and faint stars' fluxes cannot be fitted well, their magnitudes are known to 0.1 mag. The scale is the
    median over the fitted light of the stars on the stamp; a star without a magnitude has its fitted flux.
    """
    expected = 10 ** (-0.4 * (np.array([star.tmag for star in scene.stars]) - 10.0))
    places = np.array([(star.row + scene.delta_row, star.col + scene.delta_col) for star in scene.stars])
    inside = np.all((places > -0.5) & (places < np.array(scene.model.shape) - 0.5), axis=1)
    known = np.isfinite(expected) & (scene.flux > 0)
    if not known.any():
        return np.maximum(scene.flux, LEAST_FLUX)
    known = known & inside if np.any(known & inside) else known
    ratio, light = scene.flux[known] / expected[known], scene.flux[known]
    order = np.argsort(ratio)
    half = np.searchsorted(np.cumsum(light[order]), 0.5 * light.sum())
    return np.where(np.isfinite(expected), expected * ratio[order][half], np.maximum(scene.flux, LEAST_FLUX))
