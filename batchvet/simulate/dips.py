"""Draw the dips of a scene: when, on which star, and how deep, so that they are seen with a wanted SNR."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.errors import ConfigError
from batchvet.simulate.detector import FULL_WELL, aperture_of, bleed, noise_sigma
from batchvet.simulate.scene import Pointing, Stars, pointing_prf, pointing_timeline, star_positions
from batchvet.simulate.settings import SimulationSettings
from batchvet.simulate.sky import offsets
from batchvet.simulate.timeline import Timeline, observed_span
from batchvet.simulate.transit import Dip, Shifts, transit_weight

DEEPEST = 0.6  #: depth of a dip on its host
LEAST_WEIGHT = 0.5  #: a dip that no sector sees better than this is drawn again, cadences in transit


@dataclass(frozen=True, eq=False)
class Sight:
    """What one sector could see of a dip on any star: enough to choose hosts and depths."""

    line: Timeline
    images: FloatArray  #: of every star at unit flux, [star, row, col]
    inside: BoolArray  #: whether a star lies on the stamp and in the target's aperture with 2 % of its light
    background: float  #: e-/s per pixel
    saturation: bool  #: whether full pixels bleed

    @classmethod
    def of(cls, settings: SimulationSettings, pointing: Pointing, stars: Stars, shape: tuple[int, int]) -> Sight:
        column, row = star_positions(stars, pointing)
        images = pointing_prf(settings, pointing, shape).values(column, row, shape)
        inside = (column > 0) & (column < shape[1] - 1) & (row > 0) & (row < shape[0] - 1)
        inside &= (images * aperture_of(images[0])).sum(axis=(1, 2)) > 0.02
        return cls(pointing_timeline(settings, pointing), images, inside, pointing.zodiacal, settings.saturation)

    def sensitivity(self, flux: FloatArray) -> FloatArray:
        """SNR in one cadence of a dip of depth 1 on each star, by a matched filter with the true PRF, [star].

        Of a saturated target the full pixels tell nothing.
        """
        sigma = pixel_noise(flux, self.images, self.background, self.line, self.saturation)
        return np.asarray(flux * np.sqrt(((self.images / sigma) ** 2).sum(axis=(1, 2))))

    def depth_ppm(self, flux: FloatArray, host: int, depth: float) -> float:
        """Depth of a dip in the light of the target's aperture, ppm."""
        mask = aperture_of(self.images[0])
        return float(1e6 * depth * flux[host] * self.images[host][mask].sum() / (flux @ self.images[:, mask]).sum())


def pixel_noise(
    flux: FloatArray, images: FloatArray, background: float, line: Timeline, saturation: bool
) -> FloatArray:
    """Noise of a cadence (e-/s, [row, col]) under the light of all stars; infinite where a saturated target fills it.

    Parameters
    ----------
    flux : array [star], e-/s, the target first
    images : array [star, row, col], of unit flux
    background : float, e-/s per pixel
    line : Timeline
    saturation : bool, whether full pixels bleed
    """
    light = np.tensordot(flux, images, axes=1)
    sigma = noise_sigma(light + background, line)
    if saturation and flux[0] > FULL_WELL:
        bled = light[None].astype(np.float32)
        bleed(bled)
        sigma[bled[0] >= 0.99 * FULL_WELL] = np.inf
    return sigma


def weight(dip: Dip, line: Timeline) -> float:
    """Information about a dip's amplitude in one sector, in cadences (transit_weight)."""
    return transit_weight(dip, line.mid_time, line.usable, line.cadence_s / 86400.0)


def expected_snr(dip: Dip, stars: Stars, sights: dict[int, Sight]) -> dict[int, FloatArray]:
    """Expected SNR in each sector of the dip at depth 1 on each star, [star].

    Notes
    -----
    A matched filter: the host's flux times the PRF against photon and read noise of stars and zodiacal light, over
    the usable cadences of all transits with a local baseline fitted. A saturated target's full pixels do not count.
    Jitter, scattered light and other stars' variations come on top in the stamps.
    """
    return {s: math.sqrt(weight(dip, sight.line)) * sight.sensitivity(stars.flux) for s, sight in sights.items()}


def draw_timing(
    rng: np.random.Generator,
    further: np.random.Generator,
    settings: SimulationSettings,
    toi: str,
    lines: list[Timeline],
) -> Dip:
    """Period, epoch, duration and shape of a dip that at least one sector sees; no host and no depth yet.

    What few settings ask for is drawn from `further`, so that all else stays the same.
    """
    single = rng.random() < settings.single_fraction
    for _ in range(1000):
        period = float(np.exp(rng.uniform(*np.log(settings.period_range))))
        duration = 3.0 * (period / 5.0) ** (1 / 3) * float(np.exp(rng.normal(0, 0.25)))  # a Sun-like host, hours
        duration = float(np.clip(duration, 1.0, 0.2 * 24 * period))
        if settings.duration_range is not None:
            duration = float(np.exp(further.uniform(*np.log(settings.duration_range))))
        orbit = observed_span(settings.sectors[int(rng.integers(len(settings.sectors)))])[int(rng.integers(2))]
        ephemeris = Ephemeris(0.0 if single else period, float(rng.uniform(*orbit)), duration)
        dip = Dip(toi, ephemeris, 1.0, None, ingress_fraction=float(rng.uniform(0.08, 0.5)))
        dip = replace(dip, odd_even=settings.odd_even, shifts=_shifts(further, settings, ephemeris))
        if duration < 0.9 * 24 * period and any(weight(dip, line) > LEAST_WEIGHT for line in lines):
            return dip
    raise ConfigError(
        f"simulate: period_range = {settings.period_range} and duration_range = {settings.duration_range} give no "
        "transit in the sectors; widen them."
    )


def _shifts(rng: np.random.Generator, settings: SimulationSettings, ephemeris: Ephemeris) -> Shifts | None:
    """Timing variations of all transits from the first sector to the last; None where none is asked for."""
    if settings.ttv == 0:
        return None
    if ephemeris.is_single:
        return Shifts(0, rng.normal(0, settings.ttv * ephemeris.duration_days, 1))
    spans = [day for sector in settings.sectors for orbit in observed_span(sector) for day in orbit]
    first, last = ((day - ephemeris.t0_btjd) / ephemeris.period_days for day in (min(spans), max(spans)))
    count = math.ceil(last) - math.floor(first) + 1
    return Shifts(math.floor(first), rng.normal(0, settings.ttv * ephemeris.duration_days, count))


def place(
    rng: np.random.Generator, kind: str, dip: Dip, wanted: float, stars: Stars, sights: dict[int, Sight]
) -> tuple[Dip, Stars]:
    """Choose the host and the depth that is seen with the wanted SNR; a host that is too faint is made brighter."""

    def depths(stars: Stars) -> FloatArray:
        snr = np.sqrt(sum(s**2 for s in expected_snr(dip, stars, sights).values()))
        return wanted / np.maximum(snr, 1e-9)

    depth = depths(stars)
    if kind == "no_dip":
        return replace(dip, host=None, depth=0.0), stars
    host = {"on_target": 0, "off_target": 1, "not_in_table": 1, "crowded": int(rng.integers(2))}[kind]
    if kind == "off_target" and rng.random() < 0.5:
        others = np.flatnonzero(_possible_hosts(stars, sights) & (depth <= DEEPEST))
        host = int(rng.choice(others)) if len(others) else host
    goal = float(np.exp(rng.uniform(np.log(0.05), np.log(DEEPEST))))
    for _ in range(20):  # a brighter star is noisier too, so that one step is not enough
        if host == 0 or depth[host] <= DEEPEST:
            break
        tmag = stars.tmag.copy()
        tmag[host] -= max(0.1, 2.5 * math.log10(depth[host] / goal))
        stars = replace(stars, tmag=tmag)
        depth = depths(stars)
    return replace(dip, host=host, depth=float(min(depth[host], DEEPEST))), stars


def _possible_hosts(stars: Stars, sights: dict[int, Sight]) -> BoolArray:
    """Stars of the table at least 5" from the target that somebody could have seen a dip of, [star]."""
    apart = np.hypot(*offsets(stars.ra, stars.dec, stars.ra[0], stars.dec[0])) > 5
    return np.asarray(stars.known & apart & np.all([sight.inside for sight in sights.values()], axis=0))
