"""Draw a scene's flares and asteroids: as strong as to matter beside its dip."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.simulate.dips import Sight
from batchvet.simulate.intruders import Asteroid, Flare
from batchvet.simulate.scene import Scene
from batchvet.simulate.settings import SimulationSettings
from batchvet.simulate.timeline import observed_span
from batchvet.simulate.transit import window_reach

STRENGTH = (1.0, 20.0)  #: a flare's peak and an asteroid's flux, in fluxes that the dip takes, log-uniform
SPEED = (10.0, 60.0)  #: pixels a day; 36" an hour, as of the main belt opposite the Sun, is 41


def with_intruders(rng: np.random.Generator, scene: Scene, sights: dict[int, Sight]) -> Scene:
    """The scene with the flares and asteroids that its settings ask for."""
    settings = scene.settings
    flares: list[Flare] = []
    for sector in scene.sectors:
        for _ in range(settings.flares):
            begin, end = observed_span(sector)[int(rng.integers(2))]
            flares.append(_flare(rng, scene, sights, float(rng.uniform(begin, end))))
    asteroids: list[Asteroid] = []
    if settings.flares_in_transit or settings.asteroids:
        seen = _transits_seen(scene, sights)
        for number in _some(rng, len(seen), settings.flares_in_transit):
            sector, mid = seen[number]
            reach = window_reach(scene.dips[0].ephemeris, scene.pointings[sector].cadence_s / 86400.0)
            flares.append(_flare(rng, scene, sights, mid + reach * float(rng.uniform(-1, 1))))
        for number in _some(rng, len(seen), settings.asteroids):
            asteroids.append(_asteroid(rng, scene, *seen[number]))
    return replace(scene, flares=tuple(flares), asteroids=tuple(asteroids))


def _transits_seen(scene: Scene, sights: dict[int, Sight]) -> list[tuple[int, float]]:
    """Sector and mid-time of the first candidate's transits that have usable cadences."""
    dip, seen = scene.dips[0], []
    for sector, sight in sights.items():
        time = sight.line.mid_time[sight.line.usable]
        for mid in dip.mid_times(float(time[0]), float(time[-1])):
            if np.any(np.abs(time - mid) < dip.ephemeris.duration_days / 2):
                seen.append((sector, float(mid)))
    return seen


def _some(rng: np.random.Generator, available: int, wanted: int) -> list[int]:
    return sorted(int(n) for n in rng.choice(available, min(wanted, available), replace=False))


def _strength(rng: np.random.Generator, scene: Scene) -> float:
    """Flux of an intruder, e-/s, by the flux that the dip takes: where there is none, that the catalogue claims."""
    dip, flux = scene.dips[0], scene.stars.flux
    taken = 1e-6 * scene.candidates[0].depth_ppm * flux[0] if dip.host is None else dip.depth * flux[dip.host]
    return float(taken * math.exp(rng.uniform(*np.log(STRENGTH))))


def _flare(rng: np.random.Generator, scene: Scene, sights: dict[int, Sight], time: float) -> Flare:
    """A flare at a time on the target or a star near it, at most three times as bright as the star itself."""
    others = np.flatnonzero(np.all([sight.inside for sight in sights.values()], axis=0)[1:]) + 1
    star = 0
    if len(others) and _on_neighbour(rng, scene.settings):
        star = int(rng.choice(others))
    peak = min(_strength(rng, scene), 3.0 * float(scene.stars.flux[star]))
    return Flare(star, time, peak, math.exp(rng.uniform(math.log(0.2), math.log(3.0))) / 24)


def _on_neighbour(rng: np.random.Generator, settings: SimulationSettings) -> bool:
    if settings.flare_host == "any":
        return bool(rng.random() < 0.5)
    return settings.flare_host == "neighbour"


def _asteroid(rng: np.random.Generator, scene: Scene, sector: int, mid: float) -> Asteroid:
    """An asteroid that passes within 3 pixels of the target less than a duration from mid-transit."""
    column, row = (float(place[0]) for place in scene.positions(sector))
    direction, speed = rng.uniform(0, 2 * np.pi), math.exp(rng.uniform(*np.log(SPEED)))
    along: FloatArray = np.array([math.cos(direction), math.sin(direction)])
    beside = float(rng.uniform(-3, 3))
    return Asteroid(
        sector=sector,
        time=mid + float(rng.uniform(-1, 1)) * scene.dips[0].ephemeris.duration_days,
        column=column - beside * float(along[1]),
        row=row + beside * float(along[0]),
        column_speed=speed * float(along[0]),
        row_speed=speed * float(along[1]),
        flux=_strength(rng, scene),
    )
