"""A run against itself: are its errors honest, where are its stars off, what failed, how long did it take."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from batchvet.results.reader import RunResults
from batchvet.science.self_check import RayleighScale, rayleigh_scale
from batchvet.vocabulary import Flag, Status

_ALONE_SIGMA = 10.0  #: errors, nearer than which a target that counts has no other star that could have its dip
_OFF_SIGMA = 0.5 * _ALONE_SIGMA  #: and farther off than which its dip is not its own
_LEAST_SNR = 5.0  #: of a sector whose offset counts
_ABLE = 1.1  #: eclipse deeper than which a star cannot have
#: What makes a candidate's place doubtful. Sectors that disagree do not: they do so where errors are too small.
_UNSURE = {
    Flag.NO_VALID_TRANSIT,
    Flag.NO_USABLE_SECTOR,
    Flag.NO_NEIGHBOUR_TABLE,
    Flag.LOW_SNR,
    Flag.ARTEFACT,
    Flag.SPOILT_DIP,
    Flag.SOURCE_AT_EDGE,
    Flag.JUDGING_FAILED,
    Flag.WORKER_KILLED,
    Flag.BAD_CATALOGUE_ROW,
}
_CLEAR = 3.0  #: sigma, from which a scale is called off
_SNR_EDGES = (0.0, 10.0, 20.0, 50.0, np.inf)
_TMAG_EDGES = (-np.inf, 8.0, 10.0, 12.0, np.inf)
GROUPS = ("snr", "tmag", "camera", "prf_source")  #: what offsets of sectors are told apart by


def check_run(run: RunResults) -> dict[str, Any]:
    """What a finished run says of its own errors.

    Parameters
    ----------
    run : RunResults

    Returns
    -------
    dict
        ``scale``: of the joint offsets of sure on-target candidates; ``by``: of their sectors' offsets by SNR, TESS
        magnitude, camera and PRF; ``zero_points``: medians by sector, camera and CCD (pixels); ``consistency``: share
        of candidates whose sectors differ with a chance below 0.01, and how many of them in each tenth; ``failures``
        by reason; ``seconds`` for a row; ``calibration`` that was judged with; ``words``: what is off, in sentences.

    Raises
    ------
    RunError
        A table is damaged.

    Notes
    -----
    Who is sure is told by `sure_candidates`. The significance of a sector is that of the table `sectors`, in which no
    scale of a calibration is.
    """
    candidates, sectors = run.candidates, run.sectors
    whole = sure_scale(run)
    rows = sure_sectors(run)
    by = {name: _scales(rows, rows[name]) for name in GROUPS}
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
            "tenths": np.histogram(consistency, np.linspace(0.0, 1.0, 11))[0].tolist(),
        },
        "failures": {
            str(kind): int(n)
            for kind, n in sectors.loc[sectors["error_kind"].fillna("") != "", "error_kind"].value_counts().items()
        },
        "seconds": {
            "median": float(np.median(seconds)) if len(seconds) else None,
            "90_percent": float(np.quantile(seconds, 0.9)) if len(seconds) else None,
            "largest": float(seconds.max()) if len(seconds) else None,
            "sum": float(seconds.sum()),
        },
        "calibration": sorted(set(candidates["calibration_version"].dropna()) - {""}),
    }
    return found | {"words": _words(whole, by, found)}


def sure_candidates(run: RunResults) -> pd.DataFrame:
    """Candidates whose dip is surely their own, whatever its offset: nobody else within ten errors could have it.

    Chosen by their surroundings: a choice by P(target) or by the offset would cut off just the offsets that tell
    whether errors are honest. What lies more than five errors off is left out, being nobody's or somebody else's;
    `sure_scale` knows of that. Candidates without a table of neighbours are never sure.
    """
    sound = [flags is not None and not _UNSURE & set(flags) for flags in run.candidates["flag_names"]]
    candidates = run.candidates[np.array(sound, dtype=bool)]
    hosts = run.hosts[~run.hosts["is_target"] & (run.hosts["depth_required"] <= _ABLE)]
    nearest = candidates["toi"].map(hosts.groupby("toi")["separation_arcsec"].min()).fillna(np.inf)
    xx, xy, yy = (_numbers(candidates, f"offset_cov_{name}") for name in ("ra_ra", "ra_dec", "dec_dec"))
    error = np.sqrt(0.5 * (xx + yy) + np.hypot(0.5 * (xx - yy), xy))  # the larger axis
    alone = nearest.to_numpy(dtype=np.float64) >= _ALONE_SIGMA * error
    chosen: pd.DataFrame = candidates[alone & (_numbers(candidates, "significance_sigma") < _OFF_SIGMA)]
    return chosen


def sure_scale(run: RunResults) -> RayleighScale:
    """Scale of the joint offsets of `sure_candidates`."""
    return rayleigh_scale(_numbers(sure_candidates(run), "significance_sigma"), _OFF_SIGMA)


def sure_sectors(run: RunResults) -> pd.DataFrame:
    """Sectors of `sure_candidates` in which the dip is seen: significance, and the groups of :data:`GROUPS`."""
    sure = sure_candidates(run)
    sectors = run.sectors
    rows = sectors[sectors["toi"].isin(sure["toi"]) & (sectors["difference_snr"] >= _LEAST_SNR)]
    rows = rows.merge(sure[["toi", "tmag"]], on="toi", how="left")
    snr, tmag = _numbers(rows, "difference_snr"), _numbers(rows, "tmag")
    return pd.DataFrame(
        {
            "toi": rows["toi"],
            "significance_sigma": _numbers(rows, "significance_sigma"),
            "snr": _labelled(snr, _SNR_EDGES),
            "tmag": _labelled(tmag, _TMAG_EDGES),
            "camera": rows["camera"],
            "prf_source": rows["prf_source"],
        }
    )


def _labelled(values: np.ndarray[Any, np.dtype[np.float64]], edges: tuple[float, ...]) -> pd.Series:
    """The bin of each value, in words."""
    labels = [
        f"< {high:g}" if low in (0.0, -np.inf) else f">= {low:g}" if high == np.inf else f"{low:g} to {high:g}"
        for low, high in pairwise(edges)
    ]
    return pd.Series(pd.cut(values, list(edges), right=False, labels=labels))


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
