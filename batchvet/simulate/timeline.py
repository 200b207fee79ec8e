"""What happens to the whole spacecraft in one sector: cadences, gaps, flags, pointing, scattered light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from batchvet.arrays import BoolArray, FloatArray, IndexArray
from batchvet.errors import ConfigError
from batchvet.simulate.attitude import DUMP_DAYS, attitude, flight_noise
from batchvet.simulate.settings import stream

SECTOR_DAYS = 27.4  #: two orbits
GAP_DAYS = 1.0  #: downlink between the orbits
FIRST_SECTOR_BTJD = 1325.3  #: start of sector 1 (its header's TSTART)

VISITS = (1, 27, 61, 87)  #: first sectors of the years in which TESS looked south

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
    def usable(self) -> BoolArray:
        """Cadences that an analysis with the default bitmask uses."""
        return np.asarray(np.isfinite(self.time) & ((self.quality & UNUSABLE) == 0))

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


def mission_sectors(count: int) -> tuple[int, ...]:
    """So many sectors as the mission gives them to one place in the south: runs in its years 1, 3, 5 and 7.

    Runs are as long as each other, or differ by one; of 4 sectors each is in another year.
    """
    if not 1 <= count <= 13 * len(VISITS):
        raise ConfigError(f"simulate: {count} sectors cannot be spread over the mission; it can be 1 to 52.")
    lengths = [len(part) for part in np.array_split(np.arange(count), len(VISITS))]
    return tuple(first + k for first, length in zip(VISITS, lengths, strict=True) for k in range(length))


def observed_span(sector: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Start and stop (BTJD) of the two orbits of a sector."""
    start, half = sector_start(sector), (SECTOR_DAYS - 2 * GAP_DAYS) / 2
    return (start, start + half), (start + half + GAP_DAYS, start + 2 * half + GAP_DAYS)


@lru_cache(maxsize=48)  # a target seen in 40 sectors, and no more: a sector at 20 s takes 10 MB
def timeline(seed: int, sector: int, cadence_s: float, flags: bool, pointing: str = "flight") -> Timeline:
    """The same for every target of a sector and cadence, as one spacecraft carries them all.

    The orbit gap (1 d at mid-sector) has no cadences, as in the archive's files; momentum dumps come every 2.5 d.
    `pointing` is one of POINTING (:mod:`batchvet.simulate.attitude`).
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
    noise = None
    if pointing == "flight":
        noise = flight_noise(stream(seed, _TIMELINE, sector, 1), sector, cadence_s, len(mid_time))
    motion, smear = attitude(rng, since_start, dumps, cadence_s, noise)
    scattered = np.exp(-since_start / 0.7) + 0.4 * np.exp(-(since_start.max() - since_start) / 0.5)
    time = mid_time.copy()
    if flags:
        _flag(rng, quality, impulse, dumps, since_start, step)
        time[(quality & EARTH_POINT) > 0] = np.nan
        motion[(quality & MANUAL_EXCLUDE) > 0, :2] += 0.2
    return Timeline(sector, cadence_s, mid_time, time, cadenceno, quality, motion, smear, scattered, impulse)


def _dump_cadences(mid_time: FloatArray, since_start: FloatArray, step: float) -> IndexArray:
    number = np.floor((since_start + 1e-9) / DUMP_DAYS)
    begins = np.flatnonzero((np.diff(number) > 0) & (np.diff(mid_time) < 2 * step)) + 1
    length = max(1, round(480 / 86400 / step))  # about eight minutes
    cadences = begins[:, None] + np.arange(length)
    return np.unique(cadences[cadences < len(mid_time)])


def _flag(
    rng: np.random.Generator,
    quality: NDArray[np.int32],
    impulse: FloatArray,
    dumps: IndexArray,
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
