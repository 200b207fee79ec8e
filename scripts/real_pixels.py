"""Real stamps with dips and stars that are known because they were put there.

A dip on the target takes a fraction of the light that the camera really recorded of it: each cadence's flux within
about three pixels of the star is multiplied, fading to nothing at 4.5 pixels. No PRF, no noise and no pointing is
assumed, the light keeps its own. (Faint stars that lie within three pixels are dimmed along: with both targets, less
than a hundredth of the light there.)

Other dips are on invented stars, which every scene has, those with a dip on the target too. They are added with the
official PRF, moved by POS_CORR; where the target's CCD has no PRF files (TOI-5807), as the target's own light shifted
by whole pixels, which moves as the target does. They bring photon noise of their own. Where they lie on the stamp
follows from the file's WCS and the real star's place, found with the official PRF, or as the centroid of its light.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from localization_scenes import Outcome
from scipy.optimize import least_squares

from batchvet.arrays import FloatArray
from batchvet.catalog.candidate import Candidate, Ephemeris, Neighbour
from batchvet.pixels.quality import DEFAULT
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.tpf import read_tpf
from batchvet.science.joint import vet_candidate
from batchvet.science.localization import SectorLocalization
from batchvet.simulate.prf import TabulatedPrf, spoc_table
from batchvet.simulate.settings import stream
from batchvet.simulate.sky import at_offset, offsets
from batchvet.simulate.starlight import motion_basis
from batchvet.simulate.transit import Dip, transit_weight
from batchvet.vetting.measure import NotLocalized, Observation, measure, official_prf, usable
from batchvet.vetting.settings import Surroundings, VetSettings

OWN_LIGHT_PX, FADED_PX = 2.5, 4.5  #: radii within which light is the target's own, and beyond which none is
DEEPEST = 0.6  #: depth of a dip on an invented star
KINDS = {"on_target": 0.45, "off_target": 0.4, "not_in_table": 0.05, "no_dip": 0.1}
SETTINGS = VetSettings(checks=("localization",), quality_bitmask=DEFAULT)


@dataclass(frozen=True, eq=False)
class RealTarget:
    """Stamps of a real star with the planet that it has."""

    name: str
    tic: int
    tmag: float
    ephemeris: Ephemeris  #: of the real planet
    stamps: dict[int, Stamp]  #: by sector
    prf_directory: Path | None  #: of official PRF files for its CCDs
    periods: tuple[float, ...]  #: of injected dips, in real periods: never a whole period off the real transits
    images: dict[int, FloatArray]  #: median of the usable cadences, e-/s, [row, col]
    places: dict[int, tuple[float, float]]  #: true column and row of the star on each stamp

    def prf_table(self, sector: int) -> TabulatedPrf | None:
        """The official PRF at the stamp, read by the simulator's own code."""
        if self.prf_directory is None:
            return None
        stamp = self.stamps[sector]
        column, row = stamp.column + (stamp.shape[1] - 1) / 2, stamp.row + (stamp.shape[0] - 1) / 2
        return spoc_table(self.prf_directory, sector, stamp.camera, stamp.ccd, column, row)

    def own_light(self, sector: int) -> FloatArray:
        """Share of a pixel's light that is taken for the target's own, [row, col]."""
        rows, cols = np.indices(self.stamps[sector].shape)
        column, row = self.places[sector]
        distance = np.hypot(rows - row, cols - column)
        faded = np.clip((distance - OWN_LIGHT_PX) / (FADED_PX - OWN_LIGHT_PX), 0, 1)
        return 0.5 + 0.5 * np.cos(np.pi * faded)


def wasp126(data: Path) -> RealTarget:
    """WASP-126 in sectors 1 and 2."""
    stamps = {stamp.sector: stamp for stamp in map(read_tpf, sorted((data / "wasp126").glob("*_tp.fits.gz")))}
    ephemeris = Ephemeris(3.28878, 1327.5205, 3.49)
    return _placed(RealTarget("WASP-126", 25155310, 10.61, ephemeris, stamps, data / "prf", (1.0, 2.0), {}, {}))


def toi5807(data: Path) -> RealTarget:
    """TOI-5807 in sector 83."""
    ephemeris, stamp = Ephemeris(14.2423724, 3540.26317, 4.046), toi5807_stamp(data)
    return _placed(RealTarget("TOI-5807", stamp.tic, 6.75, ephemeris, {83: stamp}, None, (0.25, 0.5), {}, {}))


def toi5807_stamp(data: Path) -> Stamp:
    """Its pixels: no POS_CORR, and no camera and CCD, so no PRF files."""
    with np.load(data / "toi5807" / "sector83_tpf.npz", allow_pickle=True) as file:
        return Stamp(
            tic=188646744,
            sector=83,
            camera=0,
            ccd=0,
            cadence_s=120.0,
            time=file["time"],
            flux=file["flux"].astype(np.float32),
            quality=file["quality"].astype(np.int32),
            cadenceno=np.arange(len(file["time"]), dtype=np.int32),
            aperture=file["aperture_mask"].astype(np.int32),
            wcs_header=file["wcs_header"].item(),
            flux_err=file["flux_err"].astype(np.float32),
        )


def _placed(target: RealTarget) -> RealTarget:
    """The target with its images and its places on them."""
    images = {
        sector: np.nanmedian(stamp.flux[stamp.good(DEFAULT)], axis=0).astype(float)
        for sector, stamp in target.stamps.items()
    }
    target = replace(target, images=images)
    return replace(target, places={sector: _place(target, sector) for sector in images})


def _place(target: RealTarget, sector: int) -> tuple[float, float]:
    """Column and row of the star: of the official PRF's best fit within three pixels, or of the light's centroid."""
    image, table = target.images[sector], target.prf_table(sector)
    row, col = (float(x) for x in np.unravel_index(np.nanargmax(image), image.shape))
    rows, cols = np.indices(image.shape)
    for _ in range(20):  # the window follows the star, so that it does not cut one side of it
        near = 0.5 + 0.5 * np.cos(np.pi * np.clip(np.hypot(rows - row, cols - col) / 3, 0, 1))
        light = np.maximum(image, 0) * near
        row, col = float((rows * light).sum() / light.sum()), float((cols * light).sum() / light.sum())
    if table is None:
        return col, row
    here = np.hypot(rows - row, cols - col) < 3
    error = 0.01 * np.abs(image[here]) + 1e-3 * image.max()

    def misfit(place: FloatArray) -> FloatArray:
        star = table.values(place[:1], place[1:], image.shape)[0][here]
        design = np.stack([star, np.ones_like(star)], axis=1) / error[:, None]
        wanted = image[here] / error
        return wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]

    return tuple(float(x) for x in least_squares(misfit, [col, row]).x)


@dataclass(frozen=True, eq=False)
class InventedStar:
    """A star that is not there."""

    source_id: str
    relative_flux: float  #: in fluxes of the target
    ra: float  #: deg, at the first stamp's epoch; it moves as the target does
    dec: float


@dataclass(frozen=True, eq=False)
class Injected:
    """A real target with what was put into its pixels."""

    target: RealTarget
    kind: str
    stamps: dict[int, Stamp]
    candidate: Candidate
    neighbours: tuple[Neighbour, ...]
    host: InventedStar | None  #: None: the target, if there is a dip at all
    depth: float
    snr: float  #: expected from FLUX_ERR, all sectors


def inject(target: RealTarget, seed: int, index: int, snr_range: tuple[float, float]) -> Injected:
    """Scene number `index` of a target, the same whatever was made before."""
    rng = stream(seed, index, target.tic)
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    stars = [_invent(rng, target, number) for number in range(int(rng.integers(1, 4)))]
    dip = _dip(rng, target)
    wanted = float(np.exp(rng.uniform(*np.log(snr_range))))
    host = stars[0] if kind in ("off_target", "not_in_table") else None
    if host is not None:  # bright enough to be seen with a possible depth
        for _ in range(20):
            sensitivity = _sensitivity(target, stars, dip, 1)
            if wanted / sensitivity < DEEPEST:
                break
            stars[0] = host = replace(host, relative_flux=1.5 * host.relative_flux)
    sensitivity = _sensitivity(target, stars, dip, 0 if host is None else 1)
    depth = 0.0 if kind == "no_dip" else min(wanted / sensitivity, DEEPEST)
    dip = replace(dip, depth=depth)
    stamps = {sector: _altered(rng, target, sector, stars, dip, host) for sector in target.stamps}
    listed = stars[1:] if kind == "not_in_table" else stars
    stamp = next(iter(target.stamps.values()))
    ephemeris = replace(dip.ephemeris, t0_btjd=dip.ephemeris.t0_btjd + rng.normal(0, 1e-3), t0_err_days=1e-3)
    ra, dec = stamp.target_position()
    motion = (0.0, 0.0) if math.isnan(stamp.pmra) else (stamp.pmra, stamp.pmdec)
    neighbours = (
        Neighbour(str(target.tic), ra, dec, target.tmag, *motion, stamp.epoch),
        *(
            Neighbour(s.source_id, s.ra, s.dec, target.tmag - 2.5 * math.log10(s.relative_flux), *motion, stamp.epoch)
            for s in listed
        ),
    )
    candidate = Candidate("injected", target.tic, ephemeris, ra=stamp.ra, dec=stamp.dec, tmag=target.tmag)
    return Injected(target, kind, stamps, candidate, neighbours, host, depth, depth * sensitivity)


def judge_injected(scene: Injected, index: int, prf: str) -> Outcome:
    """Vet all stamps as a run does and compare with what was put in."""
    target = scene.target
    companions = [scene.candidate, Candidate("real", target.tic, target.ephemeris)]
    found = []
    for stamp in scene.stamps.values():
        known = official_prf(stamp, str(target.prf_directory)) if prf == "official" else None
        surroundings = Surroundings(tuple(companions), scene.neighbours)
        located = measure(
            Observation(stamp, usable(stamp, DEFAULT), known), scene.candidate, surroundings, SETTINGS
        ).localization
        if isinstance(located, NotLocalized) and located.fault is not None:
            raise RuntimeError(f"{target.name}, scene {index}, sector {stamp.sector}: {located.fault.text}")
        if isinstance(located, SectorLocalization):
            found.append(located.evidence)
    verdict = vet_candidate(found)
    truth, ids = np.zeros(2), {star.source_id for star in scene.neighbours}
    if scene.host is not None:
        stamp = next(iter(target.stamps.values()))
        truth = np.array([float(x) for x in offsets(scene.host.ra, scene.host.dec, *stamp.target_position())])
    nothing, host_id = np.full((2, 2), math.nan), str(target.tic) if scene.host is None else scene.host.source_id
    return Outcome(
        index=index,
        kind=scene.kind,
        host="" if scene.kind == "no_dip" else host_id,
        in_table=scene.kind != "no_dip" and host_id in ids,
        separation=float(np.hypot(*truth)),
        delta_mag=0.0 if scene.host is None else -2.5 * math.log10(scene.host.relative_flux),
        depth=math.nan if scene.kind == "no_dip" else scene.depth,
        snr=scene.snr,
        delta_chi2=math.nan,
        ideal=math.nan,
        prf=prf,
        verdict=verdict,
        error=np.array([verdict.offset_ra_arcsec, verdict.offset_dec_arcsec]) - truth,
        limit=nothing,
        photon_limit=nothing,
        sectors=(),
        evidence=(),
    )


def _invent(rng: np.random.Generator, target: RealTarget, number: int) -> InventedStar:
    """A star 6 to 50" from the target and 0 to 5 mag fainter; where it is shifted light, whole pixels away."""
    stamp = next(iter(target.stamps.values()))
    ra0, dec0 = stamp.target_position()
    apart, angle = math.exp(rng.uniform(math.log(6), math.log(50))), rng.uniform(0, 2 * np.pi)
    if target.prf_directory is None:
        whole = (0, 0)
        while not 1 <= math.hypot(*whole) <= 2.5:
            whole = (int(rng.integers(-2, 3)), int(rng.integers(-2, 3)))
        column, row = (float(x) for x in stamp.wcs.all_world2pix(ra0, dec0, 0))
        ra, dec = (float(x) for x in stamp.wcs.all_pix2world(column + whole[0], row + whole[1], 0))
    else:
        ra, dec = (float(x) for x in at_offset(apart * math.sin(angle), apart * math.cos(angle), ra0, dec0))
    return InventedStar(f"invented {number}", 10 ** (-0.4 * rng.uniform(0, 5)), ra, dec)


def _dip(rng: np.random.Generator, target: RealTarget) -> Dip:
    """A dip whose transits stay clear of the real planet's: its period is a multiple or a fraction of the real one."""
    real = target.ephemeris
    period = real.period_days * float(rng.choice(target.periods))
    clear = min(real.period_days, period)
    t0 = real.t0_btjd + clear * float(rng.uniform(0.2, 0.8))
    ephemeris = Ephemeris(period, t0, float(rng.uniform(1.5, 4.0)))
    return Dip("injected", ephemeris, 1.0, None, ingress_fraction=float(rng.uniform(0.08, 0.5)))


def _star_place(target: RealTarget, sector: int, star: InventedStar) -> tuple[float, float]:
    """Column and row of an invented star: the real star's place, and the sky between them by the WCS."""
    stamp, first = target.stamps[sector], next(iter(target.stamps.values()))
    east, north = offsets(star.ra, star.dec, *first.target_position())
    here = stamp.target_position()
    ra, dec = at_offset(east, north, *here)
    (col, row), (col0, row0) = (stamp.wcs.all_world2pix(*place, 0) for place in ((ra, dec), here))
    column, line = target.places[sector]
    return column + float(col - col0), line + float(row - row0)


def _starlight(target: RealTarget, sector: int, star: InventedStar) -> FloatArray:
    """An invented star's flux in every cadence, e-/s, [cadence, row, col]."""
    stamp, table = target.stamps[sector], target.prf_table(sector)
    if table is None:
        return _copied(target, sector, star, np.nan_to_num(stamp.flux))
    column, row = _star_place(target, sector, star)
    flux = star.relative_flux * _own_flux(target, sector)
    motion = np.zeros((len(stamp.time), 2)) if stamp.pos_corr is None else np.nan_to_num(stamp.pos_corr.astype(float))
    images = table.images(np.array([column]), np.array([row]), stamp.shape)[0].reshape(6, -1)
    return flux * (motion_basis(motion, np.zeros(len(motion))) @ images).reshape(-1, *stamp.shape)


def _steady(target: RealTarget, sector: int, star: InventedStar) -> FloatArray:
    """Its mean flux, e-/s, [row, col]."""
    table, image = target.prf_table(sector), target.images[sector]
    if table is None:
        return _copied(target, sector, star, image)
    column, row = _star_place(target, sector, star)
    flux = star.relative_flux * _own_flux(target, sector)
    return flux * table.values(np.array([column]), np.array([row]), image.shape)[0]


def _copied(target: RealTarget, sector: int, star: InventedStar, flux: FloatArray) -> FloatArray:
    """The target's own light, fainter and some whole pixels away, [..., row, col]."""
    (column, row), (own_column, own_row) = _star_place(target, sector, star), target.places[sector]
    own = star.relative_flux * flux * target.own_light(sector)
    return _shifted(own, round(row - own_row), round(column - own_column))


def _own_flux(target: RealTarget, sector: int) -> float:
    """The real star's flux: its own light, e-/s."""
    return float((target.images[sector] * target.own_light(sector)).sum())


def _shifted(flux: FloatArray, rows: int, cols: int) -> FloatArray:
    """Pixels moved by whole rows and columns, [..., row, col]; what comes in from outside is 0."""
    out = np.zeros_like(flux)
    high, wide = flux.shape[-2:]
    out[..., max(rows, 0) : high + min(rows, 0), max(cols, 0) : wide + min(cols, 0)] = flux[
        ..., max(-rows, 0) : high + min(-rows, 0), max(-cols, 0) : wide + min(-cols, 0)
    ]
    return out


def _sensitivity(target: RealTarget, stars: Sequence[InventedStar], dip: Dip, host: int) -> float:
    """Expected SNR of the dip at depth 1 on the target (0) or an invented star (1, ...), by a matched filter."""
    total = 0.0
    for sector, stamp in target.stamps.items():
        lights = [target.images[sector] * target.own_light(sector)]
        lights += [_steady(target, sector, star) for star in stars]
        noise2 = np.nanmedian(stamp.flux_err, axis=0).astype(float) ** 2 + sum(lights[1:]) / _exposure_s(stamp)
        weight = transit_weight(dip, stamp.time, stamp.good(DEFAULT), stamp.exposure_days)
        total += weight * float(np.nansum(lights[host] ** 2 / noise2))
    return math.sqrt(total)


def _altered(
    rng: np.random.Generator,
    target: RealTarget,
    sector: int,
    stars: Sequence[InventedStar],
    dip: Dip,
    host: InventedStar | None,
) -> Stamp:
    """The stamp with the invented stars' light and the dip."""
    stamp = target.stamps[sector]
    lost = np.zeros(len(stamp.time))
    timed = np.isfinite(stamp.time)
    lost[timed] = dip.loss(stamp.time[timed], stamp.exposure_days)
    flux = stamp.flux.astype(float)
    if host is None:
        flux *= 1 - lost[:, None, None] * target.own_light(sector)
    variance = stamp.flux_err.astype(float) ** 2
    for star in stars:
        light = _starlight(target, sector, star)
        if star is host:
            light *= 1 - lost[:, None, None]
        photons = np.maximum(light, 0) / _exposure_s(stamp)
        flux += light + np.sqrt(photons) * rng.standard_normal(flux.shape, dtype=np.float32)
        variance += photons
    return replace(stamp, flux=flux.astype(np.float32), flux_err=np.sqrt(variance).astype(np.float32))


def _exposure_s(stamp: Stamp) -> float:
    """Seconds of light in a cadence: 1.98 s of every 2 s, two of ten exposures dropped for cosmic rays."""
    return stamp.cadence_s * 0.8 * 0.99
