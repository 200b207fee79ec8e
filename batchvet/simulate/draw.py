"""Draw scenes: a target, its field, where each sector's detector sees it, and the dips of its candidates."""

from __future__ import annotations

import math

import numpy as np

from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.errors import ConfigError
from batchvet.simulate.dips import Sight, draw_timing, expected_snr, place
from batchvet.simulate.field import draw_stars
from batchvet.simulate.prf import spoc_directories
from batchvet.simulate.scene import Pointing, Scene, Stars, mid_epoch
from batchvet.simulate.settings import MIXTURE, SimulationSettings, stream
from batchvet.simulate.sky import TangentPlane
from batchvet.simulate.timeline import SECTOR_DAYS
from batchvet.simulate.transit import Dip

FIRST_TIC = 900_000_001  #: of target 0; the numbers follow
FIRST_TOI = 10_001  #: of target 0


def draw_scene(settings: SimulationSettings, index: int) -> Scene:
    """Target number `index` of a simulation, the same whatever was drawn before."""
    rng = stream(settings.seed, index, 0, 0)
    kinds, weights = list(MIXTURE), list(MIXTURE.values())
    kind = str(rng.choice(kinds, p=weights)) if settings.scenario == "mixed" else settings.scenario
    shape = settings.shapes[int(rng.integers(len(settings.shapes)))]
    tic = FIRST_TIC + index
    stars = draw_stars(rng, settings, kind, tic)
    pointings = {s: draw_pointing(settings, index, s, stars, shape) for s in settings.sectors}
    sights = {s: Sight.of(settings, p, stars, shape) for s, p in pointings.items()}
    dips: list[Dip] = []
    candidates: list[Candidate] = []
    snr: dict[tuple[str, int], float] = {}
    for number in (1, 2) if rng.random() < settings.multi_fraction else (1,):
        toi = f"{FIRST_TOI + index}.{number:02d}"
        dip = draw_timing(rng, settings, toi, [sight.line for sight in sights.values()])
        wanted = float(np.exp(rng.uniform(*np.log(settings.snr_range))))
        dip, stars = place(rng, kind if number == 1 else "on_target", dip, wanted, stars, sights)
        seen = {s: float(v[dip.host or 0]) for s, v in expected_snr(dip, stars, sights).items()}
        snr.update({(toi, s): dip.depth * v for s, v in seen.items()})
        claimed = dip.depth if dip.host is not None else wanted / math.hypot(*seen.values())
        depth_ppm = sights[settings.sectors[0]].depth_ppm(stars.flux, dip.host or 0, claimed)
        dips.append(dip)
        candidates.append(_catalogued(rng, settings, tic, dip, depth_ppm, stars))
    return Scene(settings, index, tic, kind, shape, stars, tuple(dips), pointings, tuple(candidates), snr)


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
        wcs_error=tuple(float(e) for e in rng.normal(0, settings.wcs_error_px, 2)),
        zodiacal=rng.uniform(60, 130),
        scattered=(math.exp(rng.uniform(math.log(20), math.log(400))), *(float(s) for s in rng.normal(0, 0.02, 2))),
        prf=family,
    )


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


def _catalogued(
    rng: np.random.Generator, settings: SimulationSettings, tic: int, dip: Dip, depth_ppm: float, stars: Stars
) -> Candidate:
    """What a catalogue would say: the ephemeris with errors, the position of epoch 2000."""
    t0_err = float(np.exp(rng.uniform(*np.log(settings.t0_err_range))))
    true = dip.ephemeris
    span = SECTOR_DAYS * (max(settings.sectors) - min(settings.sectors) + 1)
    period_err = 0.0 if true.is_single else t0_err * min(1.0, true.period_days / span)
    known = Ephemeris(
        true.period_days + rng.normal(0, 1) * period_err,
        true.t0_btjd + rng.normal(0, 1) * t0_err,
        true.duration_hours * float(np.clip(rng.normal(1, 0.05), 0.8, 1.2)),
        t0_err,
        period_err,
    )
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
