"""A run directory with candidates of every kind, written row by row without running any check."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from batchvet.api import Run, open_run
from batchvet.results.parts import write_table
from batchvet.results.schema import CANDIDATES_SCHEMA, FORMAT_VERSION, HOST_NAMES, HOSTS_SCHEMA, TABLES

#: What a candidate of a made run can be.
KINDS = ("on_target", "off_target", "crowded", "no_table", "skipped", "failed")

#: A name that a careless page would run.
EVIL = "<img src=x onerror=\"document.title='hurt'\">&'"

_SCALE = 21.0  #: arcsec a pixel
_ROLL = math.radians(25.0)
_SKY = _SCALE * np.array([[math.cos(_ROLL), -math.sin(_ROLL)], [math.sin(_ROLL), math.cos(_ROLL)]])
_SHAPE = (11, 13)  #: rows, columns
_TARGET = (6.2, 4.9)  #: column, row
_HASHES = {name: name[:6] * 2 for name in ("stamp_hash", "candidate_hash", "neighbours_hash", "settings_hash")}


def make_run(directory: Path, tois: dict[str, str], sectors: tuple[int, ...] = (14, 15, 41)) -> Run:
    """Write and open a run.

    Parameters
    ----------
    directory : path
    tois : dict
        Candidate's name -> its kind, one of KINDS.
    sectors : tuple of int
    """
    rows: dict[str, list[dict[str, Any]]] = {"sectors": [], "images": [], "candidates": [], "hosts": []}
    for number, (toi, kind) in enumerate(tois.items()):
        rng = np.random.default_rng(number)
        stars = _stars(kind, rng)
        tic = 1000 + number
        offset = np.array(stars[1][1:3]) if kind == "off_target" else np.zeros(2)
        for sector in sectors:
            row, image = _sector(toi, tic, sector, kind, stars, offset, rng)
            rows["sectors"].append(row)
            if image is not None:
                rows["images"].append(image)
        rows["candidates"].append(_candidate(toi, tic, kind, stars, offset, len(sectors)))
        if kind not in ("skipped", "failed"):
            rows["hosts"] += [_host(toi, tic, kind, number, star) for number, star in enumerate(stars)]
    for table in ("sectors", "images"):
        write_table(directory / table / "part-0.parquet", rows[table], TABLES[table], {})
    write_table(directory / "candidates.parquet", rows["candidates"], CANDIDATES_SCHEMA, {})
    write_table(directory / "hosts" / "part-00000.parquet", rows["hosts"], HOSTS_SCHEMA, {})
    plan = {
        "format_version": FORMAT_VERSION,
        "software_version": "0.1.0",
        "n_rows": len(rows["sectors"]),
        "config": {"catalog": "toi.csv", "sources": [{"directory": "tpfs"}], "quality_bitmask": 175},
        "hashes": {"catalog_sha256": "0f" * 32},
    }
    (directory / "plan.json").write_text(json.dumps(plan))
    return open_run(directory)


def _stars(kind: str, rng: np.random.Generator) -> list[tuple[str, float, float, float]]:
    """Name, arcsec east and north of the target, TESS magnitude; the target first."""
    target = [("target <&> star", 0.0, 0.0, 9.5)]
    if kind == "no_table":
        return target
    n = 45 if kind == "crowded" else 4
    east, north = rng.uniform(-150, 150, (2, n))
    faint = rng.uniform(11, 17, n)
    others = [(f"Gaia {100 + i}", float(east[i]), float(north[i]), float(faint[i])) for i in range(n)]
    return [*target, ("Gaia 7", 40.0, 26.0, 10.5), *others]


def _pixel(east: float, north: float) -> np.ndarray:
    """Stamp column and row of an offset from the target."""
    return np.linalg.solve(_SKY, [east, north]) + _TARGET


def _spot(col: float, row: float) -> np.ndarray:
    y, x = np.mgrid[: _SHAPE[0], : _SHAPE[1]]
    return np.exp(-((x - col) ** 2 + (y - row) ** 2) / 1.6)


def _sector(
    toi: str, tic: int, sector: int, kind: str, stars: list, offset: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    identity = {"toi": toi, "tic": tic, "sector": sector}
    known = {**_HASHES, "software_version": "0.1.0", "seconds": 0.3}
    if kind == "skipped":
        why = f"TOI {toi}: no usable cadence in transit in sector {sector}"
        row = {
            "status": "skipped",
            "flag_names": ["INSUFFICIENT_DATA"],
            "error_kind": "no_cadence_in_transit",
            "error": why,
        }
        return {**identity, **row, **known, "v09_status": "skipped"}, None
    if kind == "failed":
        why = f"tpfs/tess-s{sector:04d}-{tic}.fits: 1,203,200 bytes of 4,001,100; fetch it again"
        row = {"status": "error", "flag_names": [], "error_kind": "truncated", "error": why, "v09_status": "error"}
        return {**identity, **row, **known}, None

    out = 20.0 + sum(10 ** (-0.4 * (t - 10)) * 4000 * _spot(*_pixel(e, n)) for _, e, n, t in stars)
    error = 0.02 * np.sqrt(out)
    measured = offset + rng.normal(0, 0.6, 2)
    difference = 8.0 * _spot(*_pixel(*measured)) + rng.normal(0, error)
    difference[0, 0] = np.nan
    places = [_pixel(e, n) for _, e, n, _ in stars]
    source = _pixel(*measured)
    aperture = np.where(_spot(*_TARGET) > 0.2, 3, 1)
    flags = ["NO_NEIGHBOUR_TABLE"] if kind == "no_table" else ["ONE_SIDED"]
    length = float(np.hypot(*measured))
    row = {
        **identity, **known, "camera": 2, "ccd": 3, "cadence_s": 120.0, "n_cadences": 17000, "n_in_transit": 244,
        "n_transits": 2, "status": "ok", "has_image": True, "flag_names": flags, "error_kind": "", "error": "",
        "v09_status": "ok", "v09_flags": ["DIFFIMG_UNRELIABLE"], "v09_max_depth_ppm": 224066.93494969374,
        "v09_max_depth_pixel_row": 9, "v09_max_depth_pixel_col": 2, "v09_localization_reliable": False,
        "target_offset_arcsec": length, "target_offset_pixels": length / _SCALE,
        "offset_ra_arcsec": measured[0], "offset_dec_arcsec": measured[1], "offset_cov_ra_ra": 1.1,
        "offset_cov_ra_dec": 0.4, "offset_cov_dec_dec": 0.7, "significance_sigma": length, "difference_snr": 12.5,
        "prf_source": "empirical", "localization_flags": [],
        "transit_times_btjd": [1700.0 + 27 * (sector - 14), 1703.0 + 27 * (sector - 14)],
        "transit_oc_minutes": [2.0, -1.0], "transit_oc_error_minutes": [3.0, math.inf],
    }  # fmt: skip
    image = {
        **identity, "n_rows": _SHAPE[0], "n_cols": _SHAPE[1], "column": 1620, "row": 388,
        "difference": difference.ravel(), "difference_error": error.ravel(), "out_of_transit": out.ravel(),
        "depth_ppm": (1e6 * difference / out).ravel(), "aperture": aperture.ravel(),
        "source_col": source[0], "source_row": source[1], "target_col": _TARGET[0], "target_row": _TARGET[1],
        "east_per_col": _SKY[0, 0], "east_per_row": _SKY[0, 1], "north_per_col": _SKY[1, 0],
        "north_per_row": _SKY[1, 1], "star_id": [s[0] for s in stars], "star_col": [p[0] for p in places],
        "star_row": [p[1] for p in places], "star_tmag": [s[3] for s in stars], **_folded(rng),
    }  # fmt: skip
    return row, image


def _folded(rng: np.random.Generator) -> dict[str, Any]:
    """A dip of 2,000 ppm and 3 hours, with a secondary of 500 ppm at phase 0.4, whose first bin nobody saw."""
    hours = np.linspace(-7.26, 7.26, 31)
    dip = np.where(np.abs(hours) < 1.5, 1.0, 0.0)
    noise = rng.normal(0, 100, (3, 31))
    noise[:, 0] = np.nan
    return {
        "folded_hours": hours,
        "folded_odd_ppm": noise[0] - 2000 * dip,
        "folded_odd_error_ppm": np.full(31, 100.0),
        "folded_even_ppm": noise[1] - 2000 * dip,
        "folded_even_error_ppm": np.full(31, 100.0),
        "folded_secondary_phase": 0.4,
        "folded_secondary_ppm": noise[2] - 500 * dip,
        "folded_secondary_error_ppm": np.full(31, 100.0),
        "folded_phase_ppm": rng.normal(0, 50, 100) - 2000.0 * (np.arange(100) // 2 == 12),
    }


def host_columns(hosts: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"host_{name}": [host[name] for host in hosts] for name in HOST_NAMES}


def _candidate(toi: str, tic: int, kind: str, stars: list, offset: np.ndarray, n_sectors: int) -> dict[str, Any]:
    row: dict[str, Any] = {"toi": toi, "tic": tic, "n_sectors": n_sectors, "n_sectors_used": n_sectors}
    row |= {
        "period_days": 3.0, "period_err_days": 0.00012, "t0_btjd": 1700.0, "t0_err_days": 0.0021, "duration_hours": 3.0,
        "depth_ppm": 2000.0, "ra": 93.123456, "dec": -69.5, "pmra": 12.0, "pmdec": -34.5, "odd_n_dips": 3,
        "odd_depth_ppm": 2013.0, "odd_depth_error_ppm": 57.0,
    }  # fmt: skip
    if kind in ("skipped", "failed"):
        return row | {
            "n_sectors_used": 0,
            "verdict": "INCONCLUSIVE",
            **host_columns([]),
            "flag_names": ["NO_VALID_TRANSIT"],
        }
    off = kind == "off_target"
    host = {"source_id": stars[1 if off else 0][0], "probability": 0.97, "separation_arcsec": float(np.hypot(*offset))}
    return row | {
        "verdict": "OFF_TARGET" if off else "ON_TARGET",
        "p_target": 0.002 if off else 0.9995,
        "best_host_id": host["source_id"],
        "p_best_host": 0.97,
        **host_columns([host | {"depth_required": 0.0123, "log_likelihood": 9.0, "prior": 0.5}]),
        "offset_arcsec": float(np.hypot(*offset)),
        "offset_ra_arcsec": float(offset[0]),
        "offset_dec_arcsec": float(offset[1]),
        "offset_cov_ra_ra": 1.0,
        "offset_cov_ra_dec": 0.1,
        "offset_cov_dec_dec": 1.2,
        "significance_sigma": 20.0 if off else 1.3,
        "dv_offset_arcsec": float(np.hypot(*offset)),
        "dv_significance_sigma": 9.0 if off else 0.0,
        "sector_consistency_p": 0.4,
        "flag_names": ["NO_NEIGHBOUR_TABLE"] if kind == "no_table" else ["UNRESOLVED_NEIGHBOUR"],
        "calibration_version": "1",
    }


def _host(toi: str, tic: int, kind: str, number: int, star: tuple[str, float, float, float]) -> dict[str, Any]:
    """A row of the table of hosts: the true host, a star that may be it, stars that are cleared."""
    name, east, north, tmag = star
    word = "HOST" if number == (1 if kind == "off_target" else 0) else "POSSIBLE" if number == 2 else "CLEARED"
    if kind == "no_table":
        word = "CANNOT_TELL"
    depth = 0.0123 * 10 ** (0.4 * (tmag - (10.5 if kind == "off_target" else 9.5)))
    return {
        "toi": toi,
        "tic": tic,
        "source_id": name,
        "is_target": number == 0,
        "ra": 93.1,
        "dec": -69.5,
        "tmag": tmag,
        "delta_tmag": tmag - 9.5,
        "separation_arcsec": math.hypot(east, north),
        "position_angle_deg": math.degrees(math.atan2(east, north)) % 360.0,
        "depth_required": depth,
        "depth_required_ppm": 1e6 * depth,
        "depth_required_error": 0.05 * depth,
        "depth_measured": depth if word == "HOST" else 0.0001,
        "depth_measured_error": 0.05 * depth,
        "log_likelihood": 9.0,
        "prior": 0.5,
        "probability": {"HOST": 0.97, "POSSIBLE": 0.02}.get(word, 1e-5),
        "delta_chi2": 0.0 if word == "HOST" else 20.0,
        "word": word,
        "made_from": "",
    }
