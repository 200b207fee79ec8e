"""How steadily the spacecraft points: motion of the stars over a sector, and what POS_CORR fails to tell of it.

"flight" follows the sky (MOM_CENTR against POS_CORR of 52 SPOC light curves of sectors 1 to 100). What is left of
POS_CORR at 120 s after a running median is 0.002 to 0.0045 px a coordinate (0.003 to 0.0075 px in sectors 1 to 3),
and neighbouring cadences are anticorrelated by 0.25 to 0.4, as of a pointing that is held: averages over 30 min are
five times as quiet as white noise would be, and wander by 0.0002 to 0.001 px. POS_CORR itself is wrong by 0.0001 px
at 120 s in the median, by 0.00034 px for one star in six, by 0.0007 px at most.

"rough" is what this simulator had at first: white noise of 0.007 px at 120 s (0.0018 px at 30 min), a wander of
0.0025 px within an hour, and a POS_CORR wrong by 0.002 px at every cadence. It is kept so that figures of that time
can be had again.

Both have the same aberration and drift between momentum dumps (0.01 to 0.05 px over a sector) and the same dumps.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import lfilter

from batchvet.arrays import FloatArray, IndexArray

DUMP_DAYS = 2.5  #: between momentum dumps
ROUGH_POS_CORR_ERROR = 0.002  #: pixels, 1 sigma of POS_CORR about the true motion, at every cadence

_ROLL = 4e-6 / 0.006  # rad of roll for a pixel of shift: 4e-6 rad is 0.008 px two thousand pixels away
_STEADY_S = 120.0  # s, the cadence at which the sky's noise was measured
_HELD = -0.37  # correlation of neighbouring cadences of 120 s
_WANDER_DAYS = 0.1  # memory of the slow part of the noise


def attitude(
    rng: np.random.Generator, since_start: FloatArray, dumps: IndexArray, cadence_s: float, noise: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Pointing history: aberration, drift between dumps, the given noise, and the dumps' jumps.

    Parameters
    ----------
    rng : Generator
    since_start : array [cadence], days since the start of the orbit
    dumps : array of the cadences in which momentum is dumped
    cadence_s : float, s
    noise : array [cadence, 3], from :func:`flight_noise`; None: rough noise. That is drawn in any case, so that drifts,
        dumps and flags are the same with either

    Returns
    -------
    attitude : array [cadence, 3], shift along column, along row (pixels) and roll (rad about the camera's axis)
    smear : array [cadence], pixels (rms) by which pointing moved within a cadence more than usual
    """
    n, step = len(since_start), cadence_s / 86400.0
    phase = np.linspace(-1, 1, n)
    leg, into_leg = _legs(since_start, dumps)
    motion = np.empty((n, 3))
    for axis, scale in enumerate((1.0, 1.0, _ROLL)):
        drift = rng.normal(0, 0.02) * phase + rng.normal(0, 0.008) * phase**2
        legs = rng.normal(0, 0.004, leg.max() + 1)[leg] + rng.normal(0, 0.006, leg.max() + 1)[leg] * into_leg
        walk, white = _rough_noise(rng, n, cadence_s)
        motion[:, axis] = scale * (drift + legs + walk + white if noise is None else drift + legs + noise[:, axis])
    smear = np.zeros(n)
    diluted = min(1.0, 480 / 86400 / step)  # a dump fills only a part of a long cadence
    motion[dumps, :2] += rng.normal(0, 0.3, (len(dumps), 2)) * diluted
    smear[dumps] = 0.5 * np.sqrt(diluted)
    return motion, smear


def flight_noise(rng: np.random.Generator, sector: int, cadence_s: float, cadences: int) -> FloatArray:
    """The sky's pointing noise, pixels: a held pointing's fast part and a slow one, [cadence, 3 coordinates].

    A cadence of N times 120 s averages the fast part; a shorter one has that of 120 s, as no shorter was measured.
    """
    low, high = (0.003, 0.0075) if sector <= 3 else (0.002, 0.0045)
    averaged = max(1.0, cadence_s / _STEADY_S)
    together = averaged + 2 * (averaged - 1) * _HELD  # variance of the sum of N cadences of unit variance
    fast_share, neighbour = math.sqrt(together) / averaged, _HELD / together
    past = (1 - math.sqrt(1 - 4 * neighbour**2)) / (2 * neighbour)  # x[n] = e[n] + past e[n-1]
    memory = math.exp(-cadence_s / 86400.0 / _WANDER_DAYS)
    noise = np.empty((cadences, 3))
    for axis in range(3):
        fast = math.exp(rng.uniform(math.log(low), math.log(high))) * fast_share
        slow = math.exp(rng.uniform(math.log(1e-4), math.log(5e-4)))
        white = rng.normal(0, 1, (2, cadences))
        noise[:, axis] = fast * lfilter([1, past], [1], white[0]) / math.sqrt(1 + past**2)
        noise[:, axis] += slow * lfilter([math.sqrt(1 - memory**2)], [1, -memory], white[1])
    return noise


def flight_pos_corr_error(rng: np.random.Generator) -> float:
    """Error of POS_CORR in one stamp at 120 s, pixels; at N times 120 s it is sqrt(N) times smaller."""
    return min(1e-4 * math.exp(rng.normal(0, math.log(3.4))), 7e-4)


def pos_corr_error_at(error_120s: float, cadence_s: float) -> float:
    """Error of POS_CORR at a cadence, pixels: it averages down as white noise does."""
    return error_120s * math.sqrt(_STEADY_S / cadence_s)


def _rough_noise(rng: np.random.Generator, n: int, cadence_s: float) -> tuple[FloatArray, FloatArray]:
    """A random walk that is pulled back, and white noise, pixels."""
    step = cadence_s / 86400.0
    memory = np.exp(-step / 0.05)
    walk = lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.normal(0, 0.0025, n))
    white = rng.normal(0, 0.007 * min(1.0, np.sqrt(120 / 86400 / step)), n)
    return walk, white


def _legs(since_start: FloatArray, dumps: IndexArray) -> tuple[IndexArray, FloatArray]:
    """Number of the stretch between two dumps or gaps, and how far into it a cadence is, in DUMP_DAYS, [cadence]."""
    n = len(since_start)
    leg = np.cumsum(np.isin(np.arange(n), dumps)) + 1000 * np.cumsum(np.diff(since_start, prepend=0) < 0)
    _, leg = np.unique(leg, return_inverse=True)
    leg_start = np.full(leg.max() + 1, np.inf)
    np.minimum.at(leg_start, leg, since_start)
    return leg, (since_start - leg_start[leg]) / DUMP_DAYS
