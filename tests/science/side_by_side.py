"""Random stamps with every defect, and tess-vetter's answers for them."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from tess_vetter.domain.detection import TransitCandidate
from tess_vetter.domain.lightcurve import LightCurveData
from tess_vetter.validation.registry import CheckConfig, CheckInputs

from batchvet.catalog.candidate import Ephemeris


@dataclass
class Pixels:
    """What tess-vetter's checks want to see of a TPF."""

    time: np.ndarray
    flux: np.ndarray


def run_tess_vetter(check: Any, time: np.ndarray, flux: np.ndarray, ephemeris: Ephemeris, **parameters: Any) -> Any:
    """The CheckResult of one of tess-vetter's wrapped pixel checks."""
    candidate = TransitCandidate(
        period=ephemeris.period_days,
        t0=ephemeris.t0_btjd,
        duration_hours=ephemeris.duration_hours,
        depth=0.01,
        snr=0.0,
    )
    n = max(time.size, 1)
    light = LightCurveData(
        time=np.linspace(0.0, 1.0, n),
        flux=np.ones(n),
        flux_err=np.ones(n),
        quality=np.zeros(n, dtype=np.int32),
        valid_mask=np.ones(n, dtype=bool),
        tic_id=1,
        sector=1,
        cadence_seconds=120.0,
    )
    inputs = CheckInputs(lc=light, candidate=candidate, tpf=Pixels(time, flux))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check.run(inputs, CheckConfig(extra_params=parameters))


def own_metrics(result: Any) -> dict[str, Any]:
    """tess-vetter's metrics without the comparison with a light curve, which batchvet does not read."""
    overlap = ("lc_", "tpf_")
    return {name: value for name, value in result.metrics.items() if not name.startswith(overlap)}


def own_flags(result: Any) -> tuple[str, ...]:
    """tess-vetter's flags in batchvet's words: no light curve, no numbers, and "skipped" is said by the status."""
    flags = (flag.removeprefix("SKIPPED:").split(" (")[0] for flag in result.flags)
    return tuple(flag for flag in flags if not flag.startswith("LC_TPF"))


def assert_same(ours: Any, theirs: Any, without: tuple[str, ...] = ()) -> None:
    """Status, flags and every metric agree; floats to 1e-9 relative. `without` names the random ones."""
    assert ours.status == theirs.status, (ours, theirs)
    assert ours.flags == own_flags(theirs)
    expected = own_metrics(theirs)
    dropped = [flag for flag in theirs.flags if flag.startswith("dropped_invalid_cadences (")]
    if hasattr(ours, "n_dropped_cadences"):  # tess-vetter has that number in a flag
        expected["n_dropped_cadences"] = int(re.findall(r"\d+", dropped[0])[0]) if dropped else 0
    found = ours.metrics()
    assert set(expected) <= set(found)
    for name, value in found.items():
        if name in without:
            continue
        other = expected.get(name)
        if isinstance(value, float) and not isinstance(other, str | bool):
            other = np.nan if other is None else other
            np.testing.assert_allclose(value, other, rtol=1e-9, atol=0, err_msg=name)
        else:
            assert value == other, (name, value, other)


def random_stamp(seed: int) -> tuple[np.ndarray, np.ndarray, Ephemeris]:
    """Time, flux (float32, either memory order) and ephemeris of a stamp with one or more defects."""
    rng = np.random.default_rng(seed)
    rows, cols = rng.choice([1, 2, 3, 5, 8, 11, 13, 20], p=[0.05, 0.05, 0.1, 0.1, 0.1, 0.4, 0.1, 0.1], size=2)
    n = int(rng.choice([2, 9, 12, 60, 400, 1500], p=[0.03, 0.04, 0.05, 0.1, 0.4, 0.38]))
    cadence = rng.choice([200.0, 600.0, 1800.0]) / 86400.0
    time = 1500.0 + cadence * np.arange(n) + 2.0 * (np.arange(n) > n // 2)
    y, x = np.mgrid[:rows, :cols]
    star = np.exp(-((y - rows / 2 + rng.normal()) ** 2 + (x - cols / 2 + rng.normal()) ** 2) / rng.uniform(1, 6))
    scene = rng.choice([50.0, 3e3, 3e5]) * star + rng.choice([-20.0, 0.0, 5.0, 300.0])
    flux = np.repeat(scene[None], n, axis=0) * (1 + rng.choice([0, 0.05]) * np.linspace(0, 1, n))[:, None, None]

    period = float(rng.choice([0.4, 2.3, 5.1, 90.0]))
    ephemeris = Ephemeris(period, float(time[n // 3] + rng.normal() * 0.01), float(rng.uniform(0.8, 8.0)))
    if rng.random() < 0.1:  # so short that a single cadence is in transit
        ephemeris = Ephemeris(90.0, float(time[n // 3]), 24 * cadence / 3)
    elif rng.random() < 0.3:  # cadences exactly on the edges of the transit
        ephemeris = Ephemeris(128 * cadence, float(time[n // 3]), 24 * cadence * 10)
    dips = np.abs(ephemeris.time_from_transit(time)) < ephemeris.duration_days / 2
    host = (int(rng.integers(rows)), int(rng.integers(cols)))
    flux[dips, host[0], host[1]] *= 1 - rng.choice([0.01, 0.5, 1.5])
    flux += rng.normal(0, rng.choice([0.5, 10.0]), flux.shape)

    if rng.random() < 0.3:
        flux[rng.random(flux.shape) < 0.05] = np.nan
    if rng.random() < 0.3:
        flux[rng.random(n) < 0.1] = np.nan
    if rng.random() < 0.2:
        flux[:, rng.integers(rows), :] = np.nan
    if rng.random() < 0.1:
        flux[rng.integers(n), 0, 0] = np.inf
    if rng.random() < 0.3:
        time[rng.random(n) < 0.05] = np.nan
    if rng.random() < 0.1:
        flux = -flux
    flux = flux.astype(np.float32)
    if rng.random() < 0.5:
        flux = np.ascontiguousarray(flux.transpose(1, 2, 0)).transpose(2, 0, 1)
    return time, flux, ephemeris
