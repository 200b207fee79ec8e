"""Light that is nobody's dip: flares, asteroids that cross the stamp, cosmic rays that nobody took out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import Float32Array, FloatArray
from batchvet.simulate.prf import TabulatedPrf
from batchvet.simulate.timeline import Timeline

_STEP_PX = 0.25  # an asteroid's trail within a cadence is drawn with points no farther apart than this
_REACH_PX = 6.0  # beyond the stamp's edge, from where an asteroid's light is seen on it


@dataclass(frozen=True)
class Flare:
    """A star brightens at once and fades exponentially."""

    star: int  #: index among the scene's stars
    time: float  #: BTJD of the peak
    peak: float  #: e-/s at the peak
    decay_days: float  #: in which it fades to 1/e

    def light(self, mid_time: FloatArray, exposure_days: float) -> FloatArray:
        """Mean flux over each cadence, e-/s, [cadence]."""
        begin = np.maximum(mid_time - exposure_days / 2 - self.time, 0.0)
        end = np.maximum(mid_time + exposure_days / 2 - self.time, 0.0)
        faded = np.exp(-begin / self.decay_days) - np.exp(-end / self.decay_days)
        return self.peak * self.decay_days / exposure_days * faded


@dataclass(frozen=True)
class Asteroid:
    """A point of light that crosses the stamp of one sector on a straight line."""

    sector: int
    time: float  #: BTJD when it passes `column`, `row`
    column: float  #: stamp column, 0-based
    row: float  #: stamp row, 0-based
    column_speed: float  #: pixels a day
    row_speed: float  #: pixels a day
    flux: float  #: e-/s

    def add_to(self, flux: Float32Array, line: Timeline, prf: TabulatedPrf) -> None:
        """Add its light to the stamp's flux (e-/s, [cadence, row, col]), in place."""
        shape, exposure = flux.shape[1:], line.cadence_s / 86400.0
        speed = math.hypot(self.column_speed, self.row_speed)
        longest = (math.hypot(*shape) + _REACH_PX) / max(speed, 1e-9) + exposure
        points = max(1, math.ceil(speed * exposure / _STEP_PX))
        within = ((np.arange(points) + 0.5) / points - 0.5) * exposure
        near = np.flatnonzero(np.abs(line.mid_time - self.time) < longest)
        for some in np.array_split(near, 1 + len(near) * points // 512):
            since = (line.mid_time[some, None] + within - self.time).ravel()
            images = prf.values(self.column + self.column_speed * since, self.row + self.row_speed * since, shape)
            flux[some] += (self.flux * images.reshape(len(some), points, *shape).mean(axis=1)).astype(np.float32)


def hit_by_cosmic_rays(rng: np.random.Generator, flux: Float32Array, line: Timeline, per_pixel_day: float) -> None:
    """Add the charge of cosmic rays to flux (e-/s, [cadence, row, col]), in place; nothing is flagged.

    A hit leaves 300 to 30,000 electrons (log-uniform) in its pixel and half as many in the next one of its row or
    column, all in one cadence; in flight most are taken out aboard at cadences longer than 20 s.
    """
    cadences, rows, cols = flux.shape
    count = int(rng.poisson(per_pixel_day * flux.size * line.cadence_s / 86400.0))
    when = rng.integers(0, cadences, count)
    row, col = rng.integers(0, rows, count), rng.integers(0, cols, count)
    charge = np.exp(rng.uniform(math.log(300), math.log(30_000), count)) / line.exposure_s
    np.add.at(flux, (when, row, col), charge.astype(np.float32))
    along = rng.random(count) < 0.5
    row, col = row + along, col + ~along
    inside = (row < rows) & (col < cols)
    np.add.at(flux, (when[inside], row[inside], col[inside]), (charge[inside] / 2).astype(np.float32))
