"""Draw scenes: a target, its field, where each sector's detector sees it, and the dips of its candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.errors import ConfigError
from batchvet.simulate.detector import noise_sigma
from batchvet.simulate.field import draw_stars
from batchvet.simulate.prf import spoc_directories
from batchvet.simulate.scene import Pointing, Scene, Stars, mid_epoch, pointing_prf, star_positions
from batchvet.simulate.settings import MIXTURE, SimulationSettings, stream
from batchvet.simulate.sky import TangentPlane, offsets
from batchvet.simulate.starlight import steady_images
from batchvet.simulate.timeline import Timeline, observed_span, timeline
from batchvet.simulate.transit import Dip, transit_weight

FloatArray = NDArray[np.float64]

FIRST_TIC = 900_000_001  #: of target 0; beyond what TICv8 uses in this range, within what FITS names hold
FIRST_TOI = 10_001  #: of target 0
DEEPEST = 0.6  #: depth of a dip on its host


@dataclass(frozen=True, eq=False)
class Sight:
    """What one sector could see of a dip on any star: enough to choose hosts and depths."""

    line: Timeline
    images: FloatArray  #: of every star at unit flux, [star, row, col]
    column: FloatArray  #: stamp column of every star
    row: FloatArray  #: stamp row of every star
    shape: tuple[int, int]

    def sensitivity(self, flux: FloatArray, background: float, star: int) -> float:
        """SNR of a dip of depth 1 on a star, in one cadence, with the true PRF and known noise."""
        light = np.tensordot(flux, self.images, axes=1) + background
        return float(flux[star] * np.linalg.norm(self.images[star] / noise_sigma(light, self.line)))


def draw_scene(settings: SimulationSettings, index: int) -> Scene:
    """Target number `index` of a simulation, the same whatever was drawn before.

    Notes
    -----
    The expected SNR of a dip is that of a matched filter: depth times the host's flux times the PRF against
    photon and read noise, over the cadences of all transits with a local baseline fitted
    (:func:`batchvet.simulate.transit.transit_weight`). Jitter, scattered light and other stars' variation come on top.
    """
    rng = stream(settings.seed, index, 0, 0)
    kinds, weights = list(MIXTURE), list(MIXTURE.values())
    kind = str(rng.choice(kinds, p=weights)) if settings.scenario == "mixed" else settings.scenario
    shape = settings.shapes[int(rng.integers(len(settings.shapes)))]
    tic = FIRST_TIC + index
    stars = draw_stars(rng, settings, kind, tic)
    pointings = {s: draw_pointing(settings, index, s, stars, shape) for s in settings.sectors}
    sights = {s: _sight(settings, p, stars, shape) for s, p in pointings.items()}
    count = 2 if rng.random() < settings.multi_fraction else 1
    dips: list[Dip] = []
    snr: dict[tuple[str, int], float] = {}
    for number in range(1, count + 1):
        toi = f"{FIRST_TOI + index}.{number:02d}"
        dip = _draw_timing(rng, settings, toi, sights)
        wanted = float(np.exp(rng.uniform(*np.log(settings.snr_range))))
        dip, stars = _place(rng, kind if number == 1 else "on_target", dip, wanted, stars, pointings, sights)
        dips.append(dip)
        snr.update({(toi, s): dip.depth * v for s, v in _unit_snr(dip, stars, pointings, sights).items()})
    first = sights[settings.sectors[0]]
    candidates = tuple(_catalogued(rng, settings, tic, dip, stars, first, pointings, sights) for dip in dips)
    dips = [replace(dip, depth=0.0) if dip.host is None else dip for dip in dips]
    hosted = {dip.toi for dip in dips if dip.host is not None}
    snr = {key: value if key[0] in hosted else 0.0 for key, value in snr.items()}
    return Scene(settings, index, tic, kind, shape, stars, tuple(dips), pointings, candidates, snr)


def draw_pointing(
    settings: SimulationSettings, index: int, sector: int, stars: Stars, shape: tuple[int, int]
) -> Pointing:
    """Where one sector's detector sees a target: near the middle of the stamp, anywhere on a CCD, at any roll."""
    rng = stream(settings.seed, index, sector, 0)
    camera, ccd = _ccds(settings, sector)[int(rng.integers(len(_ccds(settings, sector))))]
    ra, dec = stars.at(mid_epoch(sector))
    centre_row, centre_col = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    plane = TangentPlane(
        ra=float(ra[0]),
        dec=float(dec[0]),
        column=centre_col + rng.uniform(-0.5, 0.5),
        row=centre_row + rng.uniform(-0.5, 0.5),
        scale_arcsec=rng.uniform(19.8, 21.0),
        angle_deg=rng.uniform(0, 360),
    )
    family = settings.prf
    if family == "mixed":
        family = ("gaussians", "moffats")[int(rng.integers(2))]
    return Pointing(
        sector=sector,
        camera=camera,
        ccd=ccd,
        column=int(rng.integers(45, 2092 - shape[1])),
        row=int(rng.integers(1, 2048 - shape[0])),
        plane=plane,
        wcs_error=tuple(float(e) for e in rng.normal(0, settings.wcs_error_px, 2)),
        zodiacal=rng.uniform(60, 130),
        scattered=(math.exp(rng.uniform(math.log(20), math.log(400))), *(float(s) for s in rng.normal(0, 0.02, 2))),
        prf=family,
    )


def _ccds(settings: SimulationSettings, sector: int) -> list[tuple[int, int]]:
    if settings.prf_directory is None:
        return [(camera, ccd) for camera in range(1, 5) for ccd in range(1, 5)]
    start = "start_s0001" if sector <= 3 else "start_s0004"
    found = [(camera, ccd) for name, camera, ccd in spoc_directories(settings.prf_directory) if name == start]
    if not found:
        raise ConfigError(
            f"{settings.prf_directory}: no PRF files in {start}/cam*_ccd*, which sector {sector} needs; "
            "give the directory that holds the start_s* folders."
        )
    return found


def _sight(settings: SimulationSettings, pointing: Pointing, stars: Stars, shape: tuple[int, int]) -> Sight:
    column, row = star_positions(stars, pointing)
    prf = pointing_prf(settings, pointing, shape)
    line = timeline(settings.seed, pointing.sector, settings.cadence_s, settings.flags)
    return Sight(line, prf.values(column, row, shape), column, row, shape)


def _unit_snr(
    dip: Dip, stars: Stars, pointings: dict[int, Pointing], sights: dict[int, Sight], star: int | None = None
) -> dict[int, float]:
    """Expected SNR in each sector for a depth of 1 on a star (the dip's host unless told; else the target)."""
    star = star if star is not None else (dip.host or 0)
    out = {}
    for sector, sight in sights.items():
        weight = _weight(dip, sight.line)
        background = pointings[sector].zodiacal
        out[sector] = math.sqrt(weight) * sight.sensitivity(stars.flux, background, star) if weight > 0 else 0.0
    return out


def _weight(dip: Dip, line: Timeline) -> float:
    usable = (line.quality == 0) & np.isfinite(line.time)
    return transit_weight(dip, line.mid_time, usable, line.cadence_s / 86400.0)


def _draw_timing(rng: np.random.Generator, settings: SimulationSettings, toi: str, sights: dict[int, Sight]) -> Dip:
    """Period, epoch, duration and shape of a dip that at least one sector sees."""
    single = rng.random() < settings.single_fraction
    for _ in range(1000):
        period = float(np.exp(rng.uniform(*np.log(settings.period_range))))
        duration = 3.0 * (period / 5.0) ** (1 / 3) * float(np.exp(rng.normal(0, 0.25)))  # a Sun-like host, hours
        duration = float(np.clip(duration, 1.0, 0.2 * 24 * period))
        orbit = observed_span(settings.sectors[int(rng.integers(len(settings.sectors)))])[int(rng.integers(2))]
        ephemeris = Ephemeris(0.0 if single else period, float(rng.uniform(*orbit)), duration)
        dip = Dip(toi, ephemeris, 1.0, None, ingress_fraction=float(rng.uniform(0.08, 0.5)))
        if any(_weight(dip, sight.line) > 0.5 for sight in sights.values()):
            return dip
    raise ConfigError(f"simulate: period_range = {settings.period_range} gives no transit in the sectors; widen it.")


def _place(
    rng: np.random.Generator,
    kind: str,
    dip: Dip,
    wanted: float,
    stars: Stars,
    pointings: dict[int, Pointing],
    sights: dict[int, Sight],
) -> tuple[Dip, Stars]:
    """Choose the host and the depth that gives the wanted SNR; a host that is too faint is made brighter."""

    def depth_on(star: int) -> float:
        return wanted / max(math.hypot(*_unit_snr(dip, stars, pointings, sights, star).values()), 1e-9)

    if kind == "no_dip":
        return replace(dip, host=None, depth=min(depth_on(0), DEEPEST)), stars
    host = {"on_target": 0, "off_target": 1, "not_in_table": 1, "crowded": int(rng.integers(2))}[kind]
    if kind == "off_target" and rng.random() < 0.5:
        others = [i for i in _inside(stars, sights) if i > 1 and stars.known[i] and depth_on(i) <= DEEPEST]
        host = int(rng.choice(others)) if others else host
    goal = float(np.exp(rng.uniform(np.log(0.05), np.log(DEEPEST))))
    for _ in range(20):
        if host == 0 or depth_on(host) <= DEEPEST:
            break
        tmag = stars.tmag.copy()
        tmag[host] -= max(0.1, 2.5 * math.log10(depth_on(host) / goal))
        stars = replace(stars, tmag=tmag)
    return replace(dip, host=host, depth=min(depth_on(host), DEEPEST)), stars


def _inside(stars: Stars, sights: dict[int, Sight]) -> list[int]:
    """Stars at least 5" from the target, on the stamp, whose light falls in its aperture: else nobody saw a dip."""
    good = np.hypot(*offsets(stars.ra, stars.dec, stars.ra[0], stars.dec[0])) > 5
    for sight in sights.values():
        good &= (sight.column > 0) & (sight.column < sight.shape[1] - 1)
        good &= (sight.row > 0) & (sight.row < sight.shape[0] - 1)
        mask = sight.images[0] > sight.images[0].max() / 8
        good &= (sight.images * mask).sum(axis=(1, 2)) > 0.02
    return [int(i) for i in np.flatnonzero(good)]


def _catalogued(
    rng: np.random.Generator,
    settings: SimulationSettings,
    tic: int,
    dip: Dip,
    stars: Stars,
    sight: Sight,
    pointings: dict[int, Pointing],
    sights: dict[int, Sight],
) -> Candidate:
    """What a catalogue would say: an ephemeris with errors and the depth in the target's aperture."""
    t0_err = float(np.exp(rng.uniform(*np.log(settings.t0_err_range))))
    true = dip.ephemeris
    span = 27.4 * (max(settings.sectors) - min(settings.sectors) + 1)
    period_err = 0.0 if true.is_single else t0_err * min(1.0, true.period_days / span)
    known = Ephemeris(
        true.period_days + rng.normal(0, 1) * period_err,
        true.t0_btjd + rng.normal(0, 1) * t0_err,
        true.duration_hours * float(np.clip(rng.normal(1, 0.05), 0.8, 1.2)),
        t0_err,
        period_err,
    )
    mask = sight.images[0] > sight.images[0].max() / 8
    host = dip.host or 0
    light = float((np.tensordot(stars.flux, sight.images, axes=1) * mask).sum())
    depth_ppm = 1e6 * dip.depth * float(stars.flux[host] * (sight.images[host] * mask).sum()) / light
    ra, dec = stars.at(2000.0)
    return Candidate(
        dip.toi,
        tic,
        known,
        depth_ppm,
        float(ra[0]),
        float(dec[0]),
        float(stars.pmra[0]),
        float(stars.pmdec[0]),
        float(stars.tmag[0]),
        settings.sectors,
    )
