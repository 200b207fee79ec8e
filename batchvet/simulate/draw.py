"""Draw scenes: a target, its field, where each sector's detector sees it, and the dips of its candidates."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from batchvet.catalog.candidate import Candidate
from batchvet.errors import ConfigError
from batchvet.simulate.attitude import ROUGH_POS_CORR_ERROR, flight_pos_corr_error, pos_corr_error_at
from batchvet.simulate.catalogue import catalogued, misstated
from batchvet.simulate.detector import FULL_WELL
from batchvet.simulate.dips import Sight, draw_timing, expected_snr, place
from batchvet.simulate.draw_intruders import with_intruders
from batchvet.simulate.field import draw_stars
from batchvet.simulate.prf import spoc_directories
from batchvet.simulate.scene import Pointing, Scene, Stars, mid_epoch
from batchvet.simulate.settings import MIXTURE, SimulationSettings, stream
from batchvet.simulate.sky import TangentPlane
from batchvet.simulate.transit import Dip

FIRST_TIC = 900_000_001  #: of target 0; the numbers follow
FIRST_TOI = 10_001  #: of target 0
TALLEST = 51  #: rows of a stamp


def draw_scene(settings: SimulationSettings, index: int) -> Scene:
    """Target number `index` of a simulation, the same whatever was drawn before.

    What few settings ask for has a stream of random numbers of its own: all else is the same with and without it.
    """
    rng, further = stream(settings.seed, index, 0, 0), stream(settings.seed, index, 0, 2)
    kinds, weights = list(MIXTURE), list(MIXTURE.values())
    kind = str(rng.choice(kinds, p=weights)) if settings.scenario == "mixed" else settings.scenario
    shape = settings.shapes[int(rng.integers(len(settings.shapes)))]
    tic = FIRST_TIC + index
    stars = draw_stars(rng, further, settings, kind, tic)
    if settings.tall_stamps and settings.saturation:
        shape = (max(shape[0], _rows_with_bleed(stars)), shape[1])
    pointings = {s: draw_pointing(settings, index, s, stars, shape) for s in settings.sectors}
    sights = {s: Sight.of(settings, p, stars, shape) for s, p in pointings.items()}
    dips: list[Dip] = []
    candidates: list[Candidate] = []
    snr: dict[tuple[str, int], float] = {}
    for number in (1, 2) if rng.random() < settings.multi_fraction else (1,):
        toi = f"{FIRST_TOI + index}.{number:02d}"
        dip = draw_timing(rng, further, settings, toi, [sight.line for sight in sights.values()])
        wanted = float(np.exp(rng.uniform(*np.log(settings.snr_range))))
        dip, stars = place(rng, kind if number == 1 else "on_target", dip, wanted, stars, sights)
        stars = _listed(settings, kind, dip, stars)
        seen = {s: float(v[dip.host or 0]) for s, v in expected_snr(dip, stars, sights).items()}
        snr.update({(toi, s): dip.depth * v for s, v in seen.items()})
        claimed = dip.depth if dip.host is not None else wanted / math.hypot(*seen.values())
        depth_ppm = sights[settings.sectors[0]].depth_ppm(stars.flux, dip.host or 0, claimed)
        candidate = catalogued(rng, settings, dip, stars)
        known = misstated(further, settings, candidate.ephemeris, dip)
        candidates.append(replace(candidate, ephemeris=known, depth_ppm=depth_ppm))
        dips.append(replace(dip, secondary=settings.secondary, secondary_phase=settings.secondary_phase))
    scene = Scene(settings, index, tic, kind, shape, stars, tuple(dips), pointings, tuple(candidates), snr)
    return with_intruders(stream(settings.seed, index, 0, 3), scene, sights)


def _rows_with_bleed(stars: Stars) -> int:
    """Rows that the target's bleed needs, with four free ones at each end; 0 where all its light fits into a pixel."""
    full = math.ceil(float(stars.flux[0]) / FULL_WELL)
    return min(TALLEST, (full + 8) | 1) if full > 1 else 0


def _listed(settings: SimulationSettings, kind: str, dip: Dip, stars: Stars) -> Stars:
    """The stars, a host in the table if it was made so bright that the table has it."""
    known = stars.known.copy()
    if dip.host is not None and kind != "not_in_table":
        known[dip.host] |= stars.tmag[dip.host] < settings.neighbour_limit
    return replace(stars, known=known)


def draw_pointing(
    settings: SimulationSettings, index: int, sector: int, stars: Stars, shape: tuple[int, int]
) -> Pointing:
    """Where one sector's detector sees a target: near the middle of the stamp, anywhere on a CCD, at any roll."""
    rng = stream(settings.seed, index, sector, 0)
    ccds = ccds_of(settings, sector)
    camera, ccd = ccds[int(rng.integers(len(ccds)))]
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
        wcs_error=(rng.normal(0, settings.wcs_error_px), rng.normal(0, settings.wcs_error_px)),
        zodiacal=rng.uniform(60, 130),
        scattered=(math.exp(rng.uniform(math.log(20), math.log(400))), rng.normal(0, 0.02), rng.normal(0, 0.02)),
        prf=family,
        **_file(rng, settings),
    )


def _file(rng: np.random.Generator, settings: SimulationSettings) -> dict[str, float]:
    """The cadence of one file, and how wrong its POS_CORR is."""
    cadence_s = float(settings.cadences[int(rng.integers(len(settings.cadences)))])
    error = pos_corr_error_at(flight_pos_corr_error(rng), cadence_s)
    if settings.pointing == "rough":
        error = ROUGH_POS_CORR_ERROR
    if settings.pos_corr_error_px is not None:
        error = settings.pos_corr_error_px
    return {"cadence_s": cadence_s, "pos_corr_error": error}


def ccds_of(settings: SimulationSettings, sector: int) -> list[tuple[int, int]]:
    """Cameras and CCDs to choose from: all, or those with official PRF files that hold in this sector."""
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
