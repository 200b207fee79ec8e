"""What happens to the whole spacecraft in one sector: cadences, gaps, flags, pointing, scattered light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from batchvet.simulate.settings import stream

FloatArray = NDArray[np.float64]

SECTOR_DAYS = 27.4  #: two orbits
GAP_DAYS = 1.0  #: downlink between the orbits
DUMP_DAYS = 2.5  #: between momentum dumps
FIRST_SECTOR_BTJD = 1325.3  #: start of sector 1 (its header's TSTART)

EARTH_POINT, ARGABRIGHTENING, DESATURATION, COSMIC_RAY = 8, 16, 32, 64
MANUAL_EXCLUDE, IMPULSIVE, STRAYLIGHT, STRAYLIGHT2 = 128, 512, 2048, 4096

#: Cadences with any of these flags are not used: lightkurve's default for TESS, which leaves stray light and
#: cosmic rays that the pipeline removed.
UNUSABLE = 1 | 2 | 4 | 8 | 16 | 32 | 128 | 512 | 16384

_TIMELINE = 101  # first key of this file's random streams, no target's number
_FRAME_S = 2.0  # s, one exposure


@dataclass(frozen=True, eq=False)
class Timeline:
    """Cadences of one sector; arrays are [cadence] unless they say otherwise."""

    sector: int
    cadence_s: float
    mid_time: FloatArray  #: BTJD, mid-cadence, always finite
    time: FloatArray  #: BTJD as the file tells it, NaN in some flagged cadences
    cadenceno: NDArray[np.int32]
    quality: NDArray[np.int32]  #: spacecraft-wide flags
    attitude: FloatArray  #: shift along column, along row (pixels) and roll (rad about the axis), [cadence, 3]
    smear: FloatArray  #: pixels (rms) by which pointing moved within a cadence more than usual
    scattered: FloatArray  #: scattered light, 1 at the start of an orbit
    impulse: FloatArray  #: flux that an argabrightening adds, e-/s per pixel

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Cadences that an analysis with the default bitmask uses."""
        return np.isfinite(self.time) & ((self.quality & UNUSABLE) == 0)

    @property
    def reads(self) -> float:
        """Exposures in a cadence: 2 s each; cosmic-ray mitigation drops 2 of 10 except at 20 s cadence."""
        return self.cadence_s / _FRAME_S * (1.0 if self.cadence_s < 60 else 0.8)

    @property
    def exposure_s(self) -> float:
        """Seconds of light in a cadence (1.98 s an exposure)."""
        return 1.98 * self.reads


def sector_start(sector: int) -> float:
    """Nominal start, BTJD; sectors follow one another."""
    return FIRST_SECTOR_BTJD + SECTOR_DAYS * (sector - 1)


def observed_span(sector: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Start and stop (BTJD) of the two orbits of a sector."""
    start, half = sector_start(sector), (SECTOR_DAYS - 2 * GAP_DAYS) / 2
    return (start, start + half), (start + half + GAP_DAYS, start + 2 * half + GAP_DAYS)


@lru_cache(maxsize=16)
def timeline(seed: int, sector: int, cadence_s: float, flags: bool) -> Timeline:
    """The same for every target of a sector, as one spacecraft carries them all.

    The orbit gap (1 d at mid-sector) has no cadences, as in the archive's files; momentum dumps come every 2.5 d.
    """
    rng = stream(seed, _TIMELINE, sector)
    step = cadence_s / 86400.0
    orbits = [np.arange(start + step / 2, stop, step) for start, stop in observed_span(sector)]
    mid_time = np.concatenate(orbits)
    cadenceno = np.round((mid_time - FIRST_SECTOR_BTJD) / step).astype(np.int32) + 70000
    since_start = np.concatenate([orbit - orbit[0] for orbit in orbits])
    quality = np.zeros(len(mid_time), dtype=np.int32)
    impulse = np.zeros(len(mid_time))
    dumps = _dump_cadences(mid_time, since_start, step) if flags else np.zeros(0, dtype=np.intp)
    attitude, smear = _attitude(rng, mid_time, since_start, dumps, step)
    scattered = np.exp(-since_start / 0.7) + 0.4 * np.exp(-(since_start.max() - since_start) / 0.5)
    time = mid_time.copy()
    if flags:
        _flag(rng, quality, impulse, dumps, since_start, step)
        time[(quality & EARTH_POINT) > 0] = np.nan
        attitude[(quality & MANUAL_EXCLUDE) > 0, :2] += 0.2
    return Timeline(sector, cadence_s, mid_time, time, cadenceno, quality, attitude, smear, scattered, impulse)


def _dump_cadences(mid_time: FloatArray, since_start: FloatArray, step: float) -> NDArray[np.intp]:
    number = np.floor((since_start + 1e-9) / DUMP_DAYS)
    begins = np.flatnonzero((np.diff(number) > 0) & (np.diff(mid_time) < 2 * step)) + 1
    length = max(1, round(480 / 86400 / step))  # about eight minutes
    cadences = begins[:, None] + np.arange(length)
    return np.unique(cadences[cadences < len(mid_time)])


def _attitude(
    rng: np.random.Generator, mid_time: FloatArray, since_start: FloatArray, dumps: NDArray[np.intp], step: float
) -> tuple[FloatArray, FloatArray]:
    """Pointing history: aberration, drift between dumps, a random walk that is pulled back, and white jitter.

    Sizes follow POS_CORR of sectors 1 and 2: 0.01 to 0.04 px over a sector, 0.005 to 0.01 px between cadences.
    """
    n = len(mid_time)
    phase = np.linspace(-1, 1, n)
    leg = np.cumsum(np.isin(np.arange(n), dumps)) + 1000 * np.cumsum(np.diff(since_start, prepend=0) < 0)
    _, leg = np.unique(leg, return_inverse=True)
    leg_start = np.full(leg.max() + 1, np.inf)
    np.minimum.at(leg_start, leg, since_start)
    into_leg = (since_start - leg_start[leg]) / DUMP_DAYS
    attitude = np.empty((n, 3))
    for axis, scale in enumerate((1.0, 1.0, 4e-6 / 0.006)):  # roll: 4e-6 rad is 0.008 px two thousand pixels away
        drift = rng.normal(0, 0.02) * phase + rng.normal(0, 0.008) * phase**2
        legs = rng.normal(0, 0.004, leg.max() + 1)[leg] + rng.normal(0, 0.006, leg.max() + 1)[leg] * into_leg
        memory = np.exp(-step / 0.05)
        walk = lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.normal(0, 0.0025, n))
        white = rng.normal(0, 0.007 * min(1.0, np.sqrt(120 / 86400 / step)), n)
        attitude[:, axis] = scale * (drift + legs + walk + white)
    smear = np.zeros(n)
    diluted = min(1.0, 480 / 86400 / step)  # a dump fills only a part of a long cadence
    attitude[dumps, :2] += rng.normal(0, 0.3, (len(dumps), 2)) * diluted
    smear[dumps] = 0.5 * np.sqrt(diluted)
    return attitude, smear


def _flag(
    rng: np.random.Generator,
    quality: NDArray[np.int32],
    impulse: FloatArray,
    dumps: NDArray[np.intp],
    since_start: FloatArray,
    step: float,
) -> None:
    """Set the spacecraft's flags in place: dumps, stray light, bright flashes, excluded cadences, no data."""
    n = len(quality)
    quality[dumps] |= DESATURATION
    quality[since_start < 0.15] |= STRAYLIGHT
    quality[since_start > since_start.max() - 0.10] |= STRAYLIGHT2
    length = max(1, round(0.15 / step))
    for flag in (MANUAL_EXCLUDE, EARTH_POINT):  # bad pointing; no data, as at the start of each real orbit
        begin = int(rng.integers(n // 8, 7 * n // 8))
        quality[begin : begin + length] |= flag
    flashes = rng.integers(0, n, 3)
    quality[flashes] |= ARGABRIGHTENING
    impulse[flashes] += rng.uniform(100, 1000, 3)
    quality[rng.integers(0, n, max(2, n // 500))] |= COSMIC_RAY  # removed by the pipeline, nothing is left to see
