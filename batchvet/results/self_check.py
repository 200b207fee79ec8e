"""A run against itself: are its errors honest, where are its stars off, what failed, how long did it take."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from batchvet.results.reader import RunResults
from batchvet.science.self_check import RayleighScale, rayleigh_scale
from batchvet.vocabulary import Status, Verdict

_SURE = 0.95  #: probability of the target's group from which its dips count as its own
_CLEAR = 3.0  #: sigma, from which a scale is called off
_SNR_EDGES = (0.0, 10.0, 20.0, 50.0, np.inf)
_TMAG_EDGES = (-np.inf, 8.0, 10.0, 12.0, np.inf)


def check_run(run: RunResults) -> dict[str, Any]:
    """What a finished run says of its own errors.

    Parameters
    ----------
    run : RunResults

    Returns
    -------
    dict
        ``scale``: of the joint offsets of sure on-target candidates; ``by``: of their sectors' offsets by SNR, TESS
        magnitude, camera and PRF; ``zero_points``: means by sector, camera and CCD (pixels); ``consistency``: share of
        candidates whose sectors differ with a chance below 0.01; ``failures`` by reason; ``seconds`` for a row;
        ``words``: what is off, in sentences.

    Raises
    ------
    RunError
        A table is damaged.

    Notes
    -----
    A dip that errs by many sigma is not called on target, so that the scale is taken from those below three of it.
    """
    candidates, sectors = run.candidates, run.sectors
    sure = candidates[(candidates["verdict"] == Verdict.ON_TARGET) & (candidates["p_target_group"] >= _SURE)]
    rows = sectors[sectors["toi"].isin(sure["toi"]) & (sectors["difference_snr"] >= 5.0)]
    rows = rows.merge(sure[["toi", "tmag"]], on="toi", how="left")
    whole = rayleigh_scale(_numbers(sure, "significance_sigma"))
    by = {
        "snr": _scales(rows, pd.cut(rows["difference_snr"], list(_SNR_EDGES), right=False)),
        "tmag": _scales(rows, pd.cut(rows["tmag"].astype(float), list(_TMAG_EDGES), right=False)),
        "camera": _scales(rows, rows["camera"]),
        "prf_source": _scales(rows, rows["prf_source"]),
    }
    seconds = _numbers(sectors[sectors["status"] == Status.OK], "seconds")
    consistency = _numbers(candidates, "sector_consistency_p")
    consistency = consistency[np.isfinite(consistency)]
    found: dict[str, Any] = {
        "scale": asdict(whole),
        "by": {name: [{"group": group, **asdict(scale)} for group, scale in several] for name, several in by.items()},
        "zero_points": _zero_points(sectors),
        "consistency": {
            "n": len(consistency),
            "below_0.01": float(np.mean(consistency < 0.01)) if len(consistency) else None,
        },
        "failures": {
            str(kind): int(n)
            for kind, n in sectors.loc[sectors["error_kind"].fillna("") != "", "error_kind"].value_counts().items()
        },
        "seconds": {
            "median": float(np.median(seconds)) if len(seconds) else None,
            "largest": float(seconds.max()) if len(seconds) else None,
        },
    }
    return found | {"words": _words(whole, by, found)}


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(frame[name].to_numpy(dtype=np.float64, na_value=np.nan))


def _scales(rows: pd.DataFrame, key: pd.Series) -> list[tuple[str, RayleighScale]]:
    groups = rows.groupby(key, observed=True, sort=True)
    return [(str(group), rayleigh_scale(_numbers(of_it, "significance_sigma"))) for group, of_it in groups]


def _zero_points(sectors: pd.DataFrame) -> list[dict[str, Any]]:
    placed = sectors.dropna(subset=["zero_point_col", "zero_point_row"])
    middle = placed.groupby(["sector", "camera", "ccd"], sort=True)[["zero_point_col", "zero_point_row"]]
    table = middle.median().join(middle.size().rename("n")).reset_index()
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _words(whole: RayleighScale, by: dict[str, list[tuple[str, RayleighScale]]], found: dict[str, Any]) -> list[str]:
    """What is off, in sentences; one that says so when nothing is."""
    if not np.isfinite(whole.scale):
        return [f"{whole.n} sure on-target candidates are too few to tell whether errors are honest."]
    words = []
    if abs(whole.off_sigma) > _CLEAR:
        kind = "too small" if whole.scale > 1 else "too large"
        words.append(
            f"Errors of the joint offsets are {kind}: honest ones are {whole.scale:.2f} +- {whole.error:.2f} "
            "times these."
        )
    for name, several in by.items():
        for group, scale in several:
            if np.isfinite(scale.scale) and abs(scale.off_sigma) > _CLEAR + 1:
                words.append(
                    f"Sectors with {name} {group}: honest errors are {scale.scale:.2f} +- {scale.error:.2f} "
                    f"times these ({scale.n} offsets)."
                )
    for place in found["zero_points"]:
        off = float(np.hypot(place["zero_point_col"], place["zero_point_row"]))
        if place["n"] >= 5 and off > 0.1:
            where = f"sector {place['sector']}, camera {place['camera']}, CCD {place['ccd']}"
            words.append(f"Stars stand {off:.2f} pixels off the WCS in {where} ({place['n']} stamps).")
    share, n = found["consistency"]["below_0.01"], found["consistency"]["n"]
    if n >= 20 and share > 0.01 + 3 * np.sqrt(0.01 / n):
        words.append(
            f"Sectors disagree more often than they should: {share:.1%} of {n} candidates with a chance below 1 %."
        )
    return words or ["Nothing is off: the offsets of sure on-target candidates are as large as their errors say."]
