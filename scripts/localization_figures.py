"""Figures of simulated scenes that were judged: positions, hosts, verdicts and probabilities against the truth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from localization_scenes import Outcome

SNR_BINS = ((5, 7), (7, 10), (10, 20), (20, 50), (50, 1e9))
SEPARATION_BINS = ((0, 1), (1, 10), (10, 20), (20, 40), (40, 1e9))
MAGNITUDE_BINS = ((-9, 0.001), (0.001, 1), (1, 3), (3, 99))
IDENTIFIABLE = 25.0  #: expected delta chi² between the host and its best imitator
LIMIT_68, LIMIT_95 = 2.2789, 5.9915  # chi² of two degrees of freedom


def score(found: Sequence[Outcome]) -> dict[str, Any]:
    """All figures of a set of outcomes."""
    dips = [one for one in found if one.host and one.verdict.n_sectors_used]
    listed = [one for one in dips if one.in_table]
    return {
        "scenes": len(found),
        "position_by_snr": _binned(dips, lambda one: one.snr, SNR_BINS, position_figures),
        "position": position_figures([one for one in dips if one.snr >= 7]),
        "sector_position": sector_figures(dips),
        "hosts": host_figures(listed),
        "hosts_by_snr": _binned(listed, lambda one: one.snr, SNR_BINS, host_figures),
        "hosts_by_separation": _binned(listed, lambda one: one.separation, SEPARATION_BINS, host_figures),
        "hosts_by_magnitude": _binned(listed, lambda one: one.delta_mag, MAGNITUDE_BINS, host_figures),
        "verdicts": verdict_figures(found),
        "reliability": reliability(found),
    }


def position_figures(dips: Sequence[Outcome]) -> dict[str, float]:
    """Error over the Cramer-Rao limit and coverage of the joint positions."""
    pairs = [(one.error, _covariance(one)) for one in dips]
    figures = _position_figures(pairs, [one.limit for one in dips])
    if dips:
        squares = [one.error @ np.linalg.solve(one.photon_limit, one.error) for one in dips]
        figures["median_over_photons"] = math.sqrt(float(np.median(squares)) / (2 * math.log(2)))
    return figures


def sector_figures(dips: Sequence[Outcome]) -> dict[str, float]:
    """The same for single sectors in which the dip is expected with SNR >= 7."""
    sectors = [sector for one in dips for sector in one.sectors if sector.snr >= 7]
    return _position_figures([(one.error, one.covariance) for one in sectors], [one.limit for one in sectors])


def _position_figures(pairs: Sequence[tuple[Any, Any]], limits: Sequence[Any]) -> dict[str, float]:
    if not pairs:
        return {"n": 0}
    squares = np.array([error @ np.linalg.solve(covariance, error) for error, covariance in pairs])
    of_limit = np.array(
        [error @ np.linalg.solve(limit, error) for (error, _), limit in zip(pairs, limits, strict=True)]
    )
    radius = np.array([np.hypot(*error) for error, _ in pairs])
    return {
        "n": len(pairs),
        "median_arcsec": float(np.median(radius)),
        "p90_arcsec": float(np.percentile(radius, 90)),
        # The median of chi² with two degrees of freedom is 2 ln 2: robust against the few that went astray.
        "median_over_limit": math.sqrt(float(np.median(of_limit)) / (2 * math.log(2))),
        "rms_over_limit": math.sqrt(float(np.mean(np.minimum(of_limit, 50.0))) / 2),
        "coverage_68": float(np.mean(squares < LIMIT_68)),
        "coverage_95": float(np.mean(squares < LIMIT_95)),
    }


def _covariance(one: Outcome) -> np.ndarray:
    v = one.verdict
    return np.array([[v.offset_cov_ra_ra, v.offset_cov_ra_dec], [v.offset_cov_ra_dec, v.offset_cov_dec_dec]])


def host_figures(listed: Sequence[Outcome]) -> dict[str, float]:
    """How often the most probable star is the host, of those that the table lists."""
    right = np.array([one.verdict.best_host_id == one.host for one in listed], dtype=bool)
    sure = np.array([one.verdict.p_best_host >= 0.95 for one in listed], dtype=bool)
    clear = np.array([one.delta_chi2 > IDENTIFIABLE for one in listed], dtype=bool)
    return {
        "n": len(listed),
        "right": _share(right),
        "ideal": _share([one.ideal for one in listed if math.isfinite(one.ideal)]),
        "n_identifiable": int(clear.sum()),
        "right_identifiable": _share(right[clear]),
        "n_sure": int(sure.sum()),
        "right_sure": _share(right[sure]),
    }


def verdict_figures(found: Sequence[Outcome]) -> dict[str, Any]:
    """Confusion matrix; ON_TARGET is wrong unless the target is the host, OFF_TARGET is wrong if it is."""
    table = Counter((_truth(one), one.verdict.verdict) for one in found)
    wrong = [one for one in found if _wrong(one)]
    strong = [one for one in found if one.host and one.snr >= 7]
    said = [one.verdict.verdict in ("ON_TARGET", "OFF_TARGET") for one in strong]
    return {
        "confusion": {f"{truth} -> {said}": count for (truth, said), count in sorted(table.items())},
        "wrong": len(wrong) / max(len(found), 1),
        "wrong_scenes": [one.index for one in wrong],
        "decided_snr7": _share(said),
    }


def _truth(one: Outcome) -> str:
    if not one.host:
        return "no dip"
    return "target" if one.separation == 0 else ("neighbour" if one.in_table else "star not in table")


def _wrong(one: Outcome) -> bool:
    truth = _truth(one)
    return (one.verdict.verdict == "ON_TARGET" and truth != "target") or (
        one.verdict.verdict == "OFF_TARGET" and truth in ("target", "no dip")
    )


def reliability(found: Sequence[Outcome]) -> dict[str, Any]:
    """P(target) against how often the target is the host, and the expected calibration error; scenes with a dip."""
    used = [one for one in found if one.host and one.verdict.n_sectors_used and one.verdict.n_sectors_used > 0]
    p = np.array([one.verdict.p_target for one in used])
    raw = np.array([one.verdict.p_target_raw for one in used])
    true = np.array([one.separation == 0 for one in used], dtype=float)
    best = np.array([one.verdict.p_best_host for one in used])
    right = np.array([one.verdict.best_host_id == (one.host if one.in_table else "") for one in used], dtype=float)
    return {
        "curve": [
            {"p": float(p[m].mean()), "true": float(true[m].mean()), "n": int(m.sum())}
            for m in _probability_bins(p)
            if m.any()
        ],
        "error": expected_calibration_error(p, true),
        "error_raw": expected_calibration_error(raw, true),
        "error_best_host": expected_calibration_error(best, right),
    }


def _probability_bins(p: np.ndarray) -> list[np.ndarray]:
    number = np.minimum((p * 10).astype(int), 9)
    return [number == k for k in range(10)]


def expected_calibration_error(p: np.ndarray, true: np.ndarray) -> float:
    """Mean distance of stated probability and frequency over ten bins, weighted by their content; NaN without any."""
    if not len(p):
        return math.nan
    return float(sum(m.sum() * abs(p[m].mean() - true[m].mean()) for m in _probability_bins(p) if m.any()) / len(p))


def _share(right: Sequence[bool] | np.ndarray) -> float:
    return float(np.mean(right)) if len(right) else math.nan


def _binned(
    found: Sequence[Outcome],
    value: Callable[[Outcome], float],
    bins: Sequence[tuple[float, float]],
    figures: Callable[[Sequence[Outcome]], dict[str, float]],
) -> dict[str, dict[str, float]]:
    groups = {f"{low:g} to {high:g}": [o for o in found if low <= value(o) < high] for low, high in bins}
    return {name: figures(group) for name, group in groups.items() if group}


def matrix_figures(found: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of one row of the matrix; NaN where there is nothing to count."""
    dips = [one for one in found if one.host and one.verdict.n_sectors_used]
    hosts = host_figures([one for one in dips if one.in_table])
    named = [one for one in dips if one.verdict.best_host_id and one.verdict.p_best_host >= 0.95]
    verdicts = verdict_figures(found)
    placed = [one for one in dips if one.snr >= 7 and np.all(np.isfinite(one.error))]
    squares = np.array([one.error @ np.linalg.solve(_covariance(one), one.error) for one in placed])
    return {
        "n": len(found),
        "n_dips": len(dips),
        "hosts_right": hosts["right"],
        "n_identifiable": hosts["n_identifiable"],
        "hosts_right_identifiable": hosts["right_identifiable"],
        "sure_right": hosts["right_sure"],
        "sure_right_all": _share([one.verdict.best_host_id == one.host for one in named]),
        "n_sure": hosts["n_sure"],
        "wrong": verdicts["wrong"],
        "wrong_scenes": verdicts["wrong_scenes"],
        "confusion": verdicts["confusion"],
        "decided": verdicts["decided_snr7"],
        "coverage_68": _share(squares < LIMIT_68),
        "coverage_95": _share(squares < LIMIT_95),
        "calibration_error": reliability(dips)["error"] if dips else math.nan,
    }
