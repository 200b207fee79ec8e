"""Simulated scenes, localised with what their catalogue and their neighbour table say."""

from __future__ import annotations

from scipy.ndimage import correlate1d

from batchvet.science.localization import localize
from batchvet.science.prf import TabulatedPrf
from batchvet.science.stars import StarField, TargetPosition
from batchvet.science.timeline import Transits
from batchvet.simulate import SimulationSettings

#: Every target with one planet that transits more than once, and stars that do not vary.
STEADY = {"single_fraction": 0.0, "multi_fraction": 0.0, "variable_fraction": 0.0}
#: The same in one sector without jitter, scattered light and flagged cadences.
CLEAN = SimulationSettings(
    seed=4, sectors=(1,), jitter=0.0, scattered_light=0.0, flags=False, period_range=(2.0, 5.0), **STEADY
)


def simulated_prf(scene, sector):
    """The very PRF of the simulation."""
    true = scene.prf(sector)
    samples = true.coefficients
    for axis in (0, 1):
        samples = correlate1d(samples, [1 / 6, 4 / 6, 1 / 6], axis=axis, mode="constant")
    return TabulatedPrf(samples, true.samples_per_pixel, "spoc", 0.01)


def located(scene, stamp, *, prf="known", neighbours=True):
    candidate = scene.candidates[0]
    target = TargetPosition(scene.tic, candidate.ra, candidate.dec, candidate.pmra, candidate.pmdec, candidate.tmag)
    field = StarField(target, scene.neighbours() if neighbours else None)
    known = simulated_prf(scene, stamp.sector) if prf == "known" else None
    return localize(stamp, Transits(candidate.ephemeris), field, known)
