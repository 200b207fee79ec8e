"""The stars around a simulated target."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.simulate.scene import Stars
from batchvet.simulate.settings import SimulationSettings
from batchvet.simulate.sky import at_offset

CROWD_ARCSEC = 120.0  #: of the stars that `crowd_range` asks for: a stamp of 11 x 11 pixels reaches this far
RADIUS_ARCSEC = 200.0  #: of the field, beyond the corners of a stamp of 13 x 11 pixels
FAINTEST = 19.0  #: Tmag; what is fainter is part of the background
SLOPE = 0.3  #: of log10 N(< Tmag), between the galactic plane and the poles


def draw_stars(
    rng: np.random.Generator, further: np.random.Generator, settings: SimulationSettings, kind: str, tic: int
) -> Stars:
    """The target (first), the stars placed on purpose for this kind of scene, the field and the crowd.

    Star 1 is where "off_target" and "crowded" scenes may, and "not_in_table" scenes do, have their dip.
    What few settings ask for is drawn from `further`, so that all else stays the same.
    """
    target_tmag = float(rng.uniform(*settings.tmag_range))
    east, north, tmag = _field(rng, settings, target_tmag)
    near_east, near_north, near_tmag = _on_purpose(rng, settings, kind, target_tmag)
    east = np.concatenate([[0.0], near_east, east])
    north = np.concatenate([[0.0], near_north, north])
    tmag = np.concatenate([[target_tmag], near_tmag, tmag])
    ra0, dec0 = float(rng.uniform(0, 360)), float(np.rad2deg(np.arcsin(rng.uniform(-0.98, 0.98))))
    stars = _described(rng, settings, at_offset(east, north, ra0, dec0), tmag)
    crowd_east, crowd_north, crowd_tmag = _crowd(further, settings, target_tmag)
    crowd = _described(further, settings, at_offset(crowd_east, crowd_north, ra0, dec0), crowd_tmag, target=False)
    stars = _joined(stars, crowd)
    known = stars.tmag < settings.neighbour_limit
    known[0] = True
    if kind == "not_in_table":
        known[1] = False
    source_id = np.concatenate([[tic], tic * 1000 + np.arange(1, len(stars))]).astype(np.int64)
    return replace(stars, source_id=source_id, known=known)


def _described(
    rng: np.random.Generator,
    settings: SimulationSettings,
    place: tuple[FloatArray, FloatArray],
    tmag: FloatArray,
    target: bool = True,
) -> Stars:
    """Stars at a place (ra, dec, deg) with their motion and variation, the first one the target; yet without names."""
    count = len(tmag)
    speed = 10 ** rng.normal(0.6, 0.35, count)  # mas/yr
    if target:
        speed[0] = 10 ** rng.normal(1.2, 0.5)  # targets are nearer than the field
    speed *= settings.proper_motion_scale
    if target and settings.proper_motion is not None:
        speed[0] = 1000.0 * settings.proper_motion
    direction = rng.uniform(0, 2 * np.pi, count)
    varies = rng.random(count) < settings.variable_fraction
    return Stars(
        source_id=np.zeros(count, dtype=np.int64),
        ra=place[0],
        dec=place[1],
        pmra=speed * np.sin(direction),
        pmdec=speed * np.cos(direction),
        tmag=tmag,
        known=np.ones(count, dtype=bool),
        amplitude=np.where(varies, 10 ** rng.uniform(-3.5, -1.5, count), 0.0),
        period=10 ** rng.uniform(-0.5, 1.2, count),
        phase=rng.uniform(0, 2 * np.pi, count),
    )


def _joined(some: Stars, more: Stars) -> Stars:
    return Stars(**{f.name: np.concatenate([getattr(some, f.name), getattr(more, f.name)]) for f in fields(Stars)})


def _field(
    rng: np.random.Generator, settings: SimulationSettings, target_tmag: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """East, north (arcsec) and Tmag of stars strewn evenly, more of them the fainter."""
    density = float(np.exp(rng.uniform(*np.log(settings.density_range))))
    area = np.pi * (RADIUS_ARCSEC / 60) ** 2
    count = int(rng.poisson(density * area * 10 ** (SLOPE * (FAINTEST - 18))))
    radius, angle = RADIUS_ARCSEC * np.sqrt(rng.random(count)), rng.uniform(0, 2 * np.pi, count)
    tmag = FAINTEST + np.log10(1 - rng.random(count)) / SLOPE
    return radius * np.sin(angle), radius * np.cos(angle), np.maximum(tmag, target_tmag - 1.5)


def _crowd(
    rng: np.random.Generator, settings: SimulationSettings, target_tmag: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """East, north (arcsec) and Tmag of stars strewn evenly about the target, as bright as to matter for its dip."""
    fewest, most = settings.crowd_range
    count = int(rng.integers(fewest, most + 1))
    radius, angle = CROWD_ARCSEC * np.sqrt(rng.random(count)), rng.uniform(0, 2 * np.pi, count)
    tmag = target_tmag + 6.0 + np.maximum(np.log10(1 - rng.random(count)) / SLOPE, -7.0)
    return radius * np.sin(angle), radius * np.cos(angle), np.minimum(tmag, FAINTEST - 0.6)


def _on_purpose(
    rng: np.random.Generator, settings: SimulationSettings, kind: str, target_tmag: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """East, north and Tmag of the stars that a kind of scene needs near its target."""
    count = {"crowded": 3, "off_target": 1, "not_in_table": 1}.get(kind, 0)
    if count == 0 and rng.random() < settings.close_neighbour_fraction:
        count = 1
    closest, farthest = {"crowded": (4.0, 42.0), "off_target": (6.0, 60.0)}.get(kind, (6.0, 50.0))
    fainter = (-0.5, 2.5) if kind == "crowded" else (0.0, 5.0)
    radius = np.exp(rng.uniform(np.log(closest), np.log(farthest), count))
    angle = rng.uniform(0, 2 * np.pi, count)
    tmag = np.minimum(target_tmag + rng.uniform(*fainter, count), FAINTEST - 0.6)
    return radius * np.sin(angle), radius * np.cos(angle), tmag
