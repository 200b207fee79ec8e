"""Simulated scenes, localised and judged as a run does it, next to what is true and what the noise allows at best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import correlate1d

from batchvet.arrays import FloatArray
from batchvet.pixels.quality import DEFAULT
from batchvet.pixels.stamp import Stamp
from batchvet.science.evidence import SectorEvidence
from batchvet.science.hosts import DEEPEST
from batchvet.science.joint import CandidateVerdict, vet_candidate
from batchvet.science.localization import SectorLocalization
from batchvet.science.prf import Prf, TabulatedPrf
from batchvet.science.priors import Priors, aperture_weight, log_priors
from batchvet.simulate import Scene, SimulationSettings, draw_scene, simulate_stamp
from batchvet.simulate.dips import pixel_noise, weight
from batchvet.vetting.measure import NotLocalized, Observation, measure, official_prf, usable
from batchvet.vetting.settings import Surroundings, VetSettings

#: Where the PRF of the localisation comes from: the official files that the scenes were simulated with, the very
#: PRF of the simulation, or a fit to each stamp.
PRF_KINDS = ("official", "known", "empirical")

_IDEAL_DRAWS = 20
_SETTINGS = VetSettings(checks=("localization",), quality_bitmask=DEFAULT)


@dataclass(frozen=True, eq=False)
class Outcome:
    """One candidate: what is true and what was found."""

    index: int  #: number of the scene
    kind: str  #: of the scene, as in `batchvet.simulate`
    host: str  #: source_id of the true host; empty without a dip
    in_table: bool  #: whether the host can be named: it is the target or the neighbour table has it
    separation: float  #: host from target, arcsec
    delta_mag: float  #: host minus target
    depth: float  #: of the host's eclipse, fraction of its light; NaN without a dip
    snr: float  #: expected, all sectors
    delta_chi2: float  #: expected, between the host and the star of the table that imitates it best
    ideal: float  #: how often an observer who knows PRF and noise names the host; NaN where it cannot be named
    prf: str  #: one of PRF_KINDS
    verdict: CandidateVerdict
    error: FloatArray  #: joint offset minus truth, arcsec (east, north)
    limit: FloatArray  #: Cramer-Rao covariance of the joint offset, arcsec²
    photon_limit: FloatArray  #: the same without the error of POS_CORR
    sectors: tuple[SectorOutcome, ...]
    evidence: tuple[SectorEvidence, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class SectorOutcome:
    """One sector of a candidate."""

    sector: int
    snr: float  #: expected
    error: FloatArray  #: offset minus truth, arcsec (east, north)
    covariance: FloatArray  #: reported, arcsec²
    limit: FloatArray  #: Cramer-Rao covariance, arcsec²


def outcomes(settings: SimulationSettings, scenes: Iterable[int], prf: str) -> Iterator[Outcome]:
    """Simulate, localise and judge the first candidate of each scene; one stamp at a time is in memory."""
    for index in scenes:
        scene = draw_scene(settings, index)
        yield judge(scene, ((sector, simulate_stamp(scene, sector)) for sector in scene.sectors), prf)


def vet_stamp(scene: Scene, stamp: Stamp, prf: str) -> SectorLocalization | None:
    """The scene's first candidate on one stamp, as a run vets it; None where a run says why it cannot be located."""
    candidate = scene.candidates[0]
    neighbours = scene.neighbours() if scene.settings.neighbour_table else None
    observation = Observation(stamp, usable(stamp, DEFAULT), prf_of(scene, stamp, prf))
    measured = measure(observation, candidate, Surroundings(scene.candidates, neighbours), _SETTINGS)
    located = measured.localization
    if isinstance(located, NotLocalized) and located.fault is not None:
        raise RuntimeError(f"scene {scene.index}, sector {stamp.sector}: {located.fault.text}")
    return located if isinstance(located, SectorLocalization) else None


def judge(scene: Scene, stamps: Iterable[tuple[int, Stamp]], prf: str) -> Outcome:
    """Localise the scene's first candidate in all its sectors and compare with the truth."""
    dip = scene.dips[0]
    located = {sector: vet_stamp(scene, stamp, prf) for sector, stamp in stamps}
    found = {sector: one for sector, one in located.items() if one is not None}
    verdict = vet_candidate([one.evidence for one in found.values()])
    host = dip.host
    limits = {} if host is None else {s: cramer_rao(scene, s, host) for s in found}
    photons = [] if host is None else [cramer_rao(scene, s, host, pointing_error=0.0) for s in found]
    snr = {s: scene.snr[dip.toi, s] for s in found}
    truth = np.full(2, math.nan) if host is None else _true_offset(scene, host, snr)
    in_table = host is not None and (host == 0 or scene.in_table(host))
    information = depth_information(scene, tuple(found)) if found and host is not None else None
    return Outcome(
        index=scene.index,
        kind=scene.kind,
        host="" if host is None else str(scene.stars.source_id[host]),
        in_table=in_table,
        separation=float(np.hypot(*truth)),
        delta_mag=math.nan if host is None else float(scene.stars.tmag[host] - scene.stars.tmag[0]),
        depth=math.nan if host is None else float(dip.depth),
        snr=scene.joint_snr(dip.toi),
        delta_chi2=math.nan if information is None else distance_to_imitator(scene, information, host),
        ideal=ideal_accuracy(scene, information, host) if in_table and information is not None else math.nan,
        prf=prf,
        verdict=verdict,
        error=np.array([verdict.offset_ra_arcsec, verdict.offset_dec_arcsec]) - truth,
        limit=_together(list(limits.values())),
        photon_limit=_together(photons),
        sectors=tuple(_sector(scene, s, found[s], limits[s]) for s in limits),
        evidence=tuple(one.evidence for one in found.values()),
    )


def _true_offset(scene: Scene, host: int, snr: dict[int, float]) -> FloatArray:
    """East and north (arcsec) of the host from the target, where they move apart the mean of what the sectors see."""
    offsets = np.array([scene.offset_arcsec(host, sector) for sector in snr] or [scene.offset_arcsec(host)])
    weights = np.array(list(snr.values()) or [1.0]) ** 2
    return np.average(offsets, axis=0, weights=weights if weights.sum() > 0 else None)


def _together(limits: list[FloatArray]) -> FloatArray:
    """Covariance of the mean weighted by inverse covariances; NaN of none."""
    information = sum((np.linalg.inv(limit) for limit in limits), np.zeros((2, 2)))
    return np.linalg.inv(information) if limits else np.full((2, 2), math.nan)


def _sector(scene: Scene, sector: int, one: SectorLocalization, limit: FloatArray) -> SectorOutcome:
    truth = np.array(scene.offset_arcsec(scene.dips[0].host, sector))
    covariance = [
        [one.offset_cov_ra_ra, one.offset_cov_ra_dec],
        [one.offset_cov_ra_dec, one.offset_cov_dec_dec],
    ]
    error = np.array([one.offset_ra_arcsec, one.offset_dec_arcsec]) - truth
    return SectorOutcome(sector, scene.snr[scene.dips[0].toi, sector], error, np.array(covariance), limit)


def prf_of(scene: Scene, stamp: Stamp, kind: str) -> Prf | None:
    """The PRF that the localisation is given."""
    if kind == "empirical":
        return None
    if kind == "official":
        return official_prf(stamp, str(scene.settings.prf_directory))
    true = scene.prf(stamp.sector)
    samples = true.coefficients
    for axis in (0, 1):  # a cubic B-spline's value at its knots
        samples = correlate1d(samples, [1 / 6, 4 / 6, 1 / 6], axis=axis, mode="constant")
    return TabulatedPrf(samples, true.samples_per_pixel, "spoc", 0.01)


def cramer_rao(scene: Scene, sector: int, star: int, pointing_error: float | None = None) -> FloatArray:
    """Least covariance (arcsec², east and north) of the position of a dip of unknown flux on one star.

    For photon and read noise and the error of POS_CORR, with the true PRF and every star known; all transits of
    the sector. What POS_CORR does not tell of the pointing moves every star: on a bright one, and for a shallow
    dip, it looks like a shift of the dip. Where the pointing is steadier than POS_CORR's own error, less than that
    error remains, and the limit of the photons alone (`pointing_error` 0) is nearer.
    """
    images, noise, moved = _star_images(scene, sector, pointing_error)
    unit = (images[star, :3] / noise).reshape(3, -1)  # value, d/dcol, d/drow
    unit *= scene.snr[scene.dips[0].toi, sector] / np.linalg.norm(unit[0])
    covariance = np.linalg.inv(_products(unit, unit, moved))[1:, 1:]  # (col, row), pixel²
    plane = scene.pointings[sector].plane
    angle = math.radians(plane.angle_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    sky = plane.scale_arcsec * np.array([[cos, -sin], [sin, cos]])
    return sky @ covariance @ sky.T


def depth_information(scene: Scene, sectors: tuple[int, ...]) -> FloatArray:
    """Fisher information [star, star] of the depths of dips on all stars, as the true PRF and noise have it."""
    total, dip = np.zeros((len(scene.stars),) * 2), scene.dips[0]
    for sector in sectors:
        images, noise, moved = _star_images(scene, sector)
        depth = (images[:, 0] / noise).reshape(len(images), -1)
        depth *= scene.stars.flux[:, None] * math.sqrt(weight(dip, scene.timeline(sector)))
        total += _products(depth, depth, moved)
    return total


def distance_to_imitator(scene: Scene, information: FloatArray, host: int) -> float:
    """Least expected delta chi² between the host and any other star of the table that is bright enough."""
    own, score = np.maximum(np.diag(information), 1e-300), scene.dips[0].depth * information[host]
    depth = np.clip(score / own, 0.0, DEEPEST)
    apart = scene.dips[0].depth * score[host] - 2 * depth * score + depth**2 * own
    others = scene.stars.known.copy()
    others[host] = False
    return float(apart[others].min(initial=math.inf))


def ideal_accuracy(scene: Scene, information: FloatArray, host: int) -> float:
    """How often an observer who knows PRF, noise, places and fluxes names the host of the table.

    With the priors and the bound on depths of `batchvet.science.attribution`, other noise each time.
    """
    seen = scene.stars.known & (np.diag(information) > 1e-6 * information[host, host])
    stars = np.flatnonzero(seen)
    information = information[np.ix_(stars, stars)]
    own = np.diag(information)
    values, vectors = np.linalg.eigh(information / np.sqrt(np.outer(own, own)))
    rng = np.random.default_rng((scene.settings.seed, scene.index))
    noise = rng.standard_normal((_IDEAL_DRAWS, len(stars))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    score = scene.dips[0].depth * information[stars == host] + noise * np.sqrt(own)
    needed = score / own
    depth = np.clip(needed, 0.0, DEEPEST)
    places = np.array([scene.offset_arcsec(star) for star in stars])
    right = 0
    for draw in range(_IDEAL_DRAWS):
        likelihood = depth[draw] * score[draw] - 0.5 * depth[draw] ** 2 * own
        able = needed[draw] <= 1.5 * DEEPEST
        prior, _ = log_priors(aperture_weight(*places.T), stars == 0, able, 0.0, Priors())
        right += stars[np.argmax(likelihood + prior)] == host
    return right / _IDEAL_DRAWS


def _products(a: FloatArray, b: FloatArray, moved: FloatArray) -> FloatArray:
    """Whitened images a [n, pixel] and b [m, pixel] multiplied with the pointing's part of the noise taken out."""
    return a @ b.T - (a @ moved.T) @ np.linalg.solve(np.eye(len(moved)) + moved @ moved.T, moved @ b.T)


def _star_images(
    scene: Scene, sector: int, pointing_error: float | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of unit fluxes the images and derivatives [star, 6, row, col], and the noise of a cadence [row, col].

    And what the error of POS_CORR (pixels; None: the sector's own) does to all stars, over that noise, [2, pixel].
    """
    column, row = scene.positions(sector)
    images = scene.prf(sector).images(column, row, scene.shape)
    zodiacal, saturation = scene.pointings[sector].zodiacal, scene.settings.saturation
    noise = pixel_noise(scene.stars.flux, images[:, 0], zodiacal, scene.timeline(sector), saturation)
    moved = (np.tensordot(scene.stars.flux, images[:, 1:3], axes=1) / noise).reshape(2, -1)
    known = scene.settings.pos_corr == "measured" and scene.settings.jitter > 0
    error = scene.pointings[sector].pos_corr_error if pointing_error is None else pointing_error
    return images, noise, moved * (error if known else 0.0)
