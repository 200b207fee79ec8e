"""The tables of a simulated survey: catalogue, neighbours and the truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from batchvet.simulate.scene import Scene, mid_epoch


def catalog_rows(scene: Scene) -> list[dict[str, Any]]:
    """The scene's candidates in batchvet's own catalogue layout."""
    return [
        {
            "toi": c.toi,
            "tic": c.tic,
            "period_days": c.ephemeris.period_days,
            "t0_btjd": c.ephemeris.t0_btjd,
            "duration_hours": c.ephemeris.duration_hours,
            "depth_ppm": c.depth_ppm,
            "ra": c.ra,
            "dec": c.dec,
            "pmra": "" if math.isnan(c.pmra) else c.pmra,
            "pmdec": "" if math.isnan(c.pmdec) else c.pmdec,
            "tmag": c.tmag,
            "sectors": ",".join(str(s) for s in c.sectors or ()),
            "t0_err": c.ephemeris.t0_err_days,
            "period_err": c.ephemeris.period_err_days,
        }
        for c in scene.candidates
    ]


def neighbour_rows(scene: Scene) -> list[dict[str, Any]]:
    """The scene's neighbour table, the target included."""
    names = ("source_id", "ra", "dec", "tmag", "pmra", "pmdec", "epoch")
    return [{"tic": scene.tic, **{name: getattr(n, name) for name in names}} for n in scene.neighbours()]


def truth_rows(scene: Scene) -> list[dict[str, Any]]:
    """What is true of each candidate: its host, where that is, how deep and how well seen the dip is.

    Offsets are east and north (arcsec) of the target in the middle of the first sector. Without a dip the host is
    empty, depth and SNR are 0.
    """
    rows = []
    for dip in scene.dips:
        host = dip.host
        east, north = scene.offset_arcsec(host) if host is not None else (np.nan, np.nan)
        rows.append(
            {
                "toi": dip.toi,
                "tic": scene.tic,
                "kind": scene.kind if dip is scene.dips[0] else "on_target",
                "host_source_id": "" if host is None else int(scene.stars.source_id[host]),
                "host_in_table": host is not None and scene.in_table(host),
                "offset_east_arcsec": east,
                "offset_north_arcsec": north,
                "separation_arcsec": float(np.hypot(east, north)),
                "host_tmag": np.nan if host is None else float(scene.stars.tmag[host]),
                "target_tmag": float(scene.stars.tmag[0]),
                "depth": dip.depth,
                "snr": scene.joint_snr(dip.toi),
                "period_days": dip.ephemeris.period_days,
                "t0_btjd": dip.ephemeris.t0_btjd,
                "duration_hours": dip.ephemeris.duration_hours,
                "n_stars": len(scene.stars),
                "secondary": dip.secondary,
                "odd_even": dip.odd_even,
                "ttv_days": 0.0 if dip.shifts is None else float(np.std(dip.shifts.days)),
            }
        )
    return rows


def truth_sector_rows(scene: Scene) -> list[dict[str, Any]]:
    """Where host and target truly are on each sector's stamp (0-based), and how well the dip is seen there."""
    rows = []
    for sector in scene.sectors:
        pointing, line = scene.pointings[sector], scene.timeline(sector)
        column, row = scene.positions(sector)
        for dip in scene.dips:
            host = dip.host
            rows.append(
                {
                    "toi": dip.toi,
                    "tic": scene.tic,
                    "sector": sector,
                    "camera": pointing.camera,
                    "ccd": pointing.ccd,
                    "ccd_column": pointing.column,
                    "ccd_row": pointing.row,
                    "host_column": np.nan if host is None else float(column[host]),
                    "host_row": np.nan if host is None else float(row[host]),
                    "target_column": float(column[0]),
                    "target_row": float(row[0]),
                    "snr": scene.snr[dip.toi, sector],
                    "n_transits": len(dip.ephemeris.mid_times(line.mid_time[0], line.mid_time[-1])),
                    "mid_epoch": mid_epoch(sector),
                    "prf": pointing.prf if isinstance(pointing.prf, str) else "callable",
                    "cadence_s": pointing.cadence_s,
                    "n_flares": sum(line.mid_time[0] <= flare.time <= line.mid_time[-1] for flare in scene.flares),
                    "n_asteroids": sum(asteroid.sector == sector for asteroid in scene.asteroids),
                }
            )
    return rows
