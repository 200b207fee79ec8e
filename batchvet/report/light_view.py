"""What there is to see of a candidate in time: its folded light, all sectors together, and its transits' times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.report.view import Row, number

_SAME_PHASE = 0.01


@dataclass(frozen=True, eq=False)
class Fold:
    """Light against the time from mid-transit."""

    hours: FloatArray  #: [bin]
    ppm: FloatArray  #: all sectors together, NaN where no sector has a cadence, [bin]
    error_ppm: FloatArray  #: [bin]
    by_sector: FloatArray  #: ppm, [sector, bin]


@dataclass(frozen=True, eq=False)
class LightView:
    """The folded light of a candidate."""

    odd: Fold | None
    even: Fold | None
    secondary: Fold | None
    secondary_phase: float  #: NaN where there is none
    phase: FloatArray  #: periods after mid-transit, [phase]; empty for a single transit
    phase_ppm: FloatArray  #: all sectors together, [phase]
    is_single: bool  #: whether only one transit is known, so that even is all there is


@dataclass(frozen=True)
class TimedTransit:
    """One transit's time."""

    sector: int
    time: float  #: BTJD
    late_minutes: float  #: observed minus calculated
    error_minutes: float


def light_view(images: Sequence[Row], candidate: Row | None) -> LightView | None:
    """The folded light in the rows of `images` of one candidate; None where no row has any."""
    rows = [row for row in images if _values(row, "folded_hours").size]
    if not rows:
        return None
    hours = _values(rows[0], "folded_hours")
    rows = [row for row in rows if np.array_equal(_values(row, "folded_hours"), hours)]
    phase = _secondary_phase(rows)
    there = [row for row in rows if abs(number(row, "folded_secondary_phase") - phase) < _SAME_PHASE]
    period = [values for row in rows if (values := _values(row, "folded_phase_ppm")).size]
    return LightView(
        odd=_fold(rows, "odd", hours),
        even=_fold(rows, "even", hours),
        secondary=_fold(there, "secondary", hours),
        secondary_phase=phase,
        phase=-0.25 + (np.arange(len(period[0])) + 0.5) / len(period[0]) if period else np.empty(0),
        phase_ppm=_mean(np.array(period)) if period else np.empty(0),
        is_single=not number(candidate, "period_days") > 0,
    )


def timed_transits(sectors: Iterable[Row]) -> list[TimedTransit]:
    """Transits whose time was measured."""
    found = []
    for row in sectors:
        columns = (_values(row, f"transit_{name}") for name in ("times_btjd", "oc_minutes", "oc_error_minutes"))
        found += [
            TimedTransit(int(row["sector"]), float(time), float(late), float(error))
            for time, late, error in zip(*columns, strict=False)
            if math.isfinite(time + late + error)
        ]
    return sorted(found, key=lambda transit: transit.time)


def _secondary_phase(rows: Sequence[Row]) -> float:
    """Where most sectors that saw a secondary eclipse saw it, else half a period after the transit."""
    phases = [phase for row in rows if math.isfinite(phase := number(row, "folded_secondary_phase"))]
    seen = [phase for phase in phases if abs(phase - 0.5) > 1e-9]
    return float(np.median(seen)) if seen else phases[0] if phases else math.nan


def _fold(rows: Sequence[Row], name: str, hours: FloatArray) -> Fold | None:
    """The sectors' bins by the inverse of their variance; None where none has one."""
    values = np.array([_values(row, f"folded_{name}_ppm") for row in rows]).reshape(len(rows), -1)
    errors = np.array([_values(row, f"folded_{name}_error_ppm") for row in rows]).reshape(len(rows), -1)
    if not np.isfinite(values).any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(np.isfinite(values) & (errors > 0), errors**-2.0, 0.0)
        total = weight.sum(axis=0)
        ppm = np.where(total > 0, (weight * np.nan_to_num(values)).sum(axis=0) / total, np.nan)
        error = np.where(total > 0, total**-0.5, np.nan)
    return Fold(hours, ppm, error, values)


def _mean(values: FloatArray) -> FloatArray:
    """Mean over the sectors that have a bin, [phase]."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.where(known, values, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
        )


def _values(row: Row, name: str) -> FloatArray:
    value = row.get(name)
    return np.empty(0) if value is None or isinstance(value, float) else np.asarray(value, dtype=np.float64)
