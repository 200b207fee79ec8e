"""Other public tools on the same scenes: which star do they say has the dip?"""

from __future__ import annotations

import contextlib
import io
import math
import warnings

import numpy as np

from batchvet.pixels.quality import DEFAULT
from batchvet.pixels.stamp import Stamp
from batchvet.simulate import Scene


def rival_hosts(scene: Scene, stamps: dict[int, Stamp]) -> dict[str, str]:
    """The source_id that each tool names for the scene's first candidate; empty when it names none."""
    good = {sector: stamp.select(stamp.good(DEFAULT)) for sector, stamp in stamps.items()}
    return {
        "tess-vetter multi-sector localisation": tess_vetter_host(scene, good),
        "exovetter centroid, nearest star": exovetter_host(scene, good),
    }


def tess_vetter_host(scene: Scene, stamps: dict[int, Stamp]) -> str:
    """`localize_transit_host_multi_sector` with its defaults and the scene's neighbour table."""
    from tess_vetter.api.pixel_localize import localize_transit_host_multi_sector
    from tess_vetter.pixel.tpf_fits import TPFFitsData, TPFFitsRef

    tpfs = [
        TPFFitsData(
            ref=TPFFitsRef(tic_id=stamp.tic, sector=sector, author="spoc"),
            time=stamp.time,
            flux=stamp.flux,
            flux_err=stamp.flux_err,
            wcs=stamp.wcs,
            aperture_mask=stamp.aperture,
            quality=stamp.quality,
            camera=stamp.camera,
            ccd=stamp.ccd,
            meta={},
        )
        for sector, stamp in stamps.items()
    ]
    epoch = next(iter(stamps.values())).epoch
    target, *others = scene.neighbours()
    sources = []
    for star in (target, *others):
        ra, dec = star.at(epoch)
        sources.append(
            {
                "name": "Target" if star is target else star.source_id,
                "source_id": f"tic:{scene.tic}" if star is target else star.source_id,
                "ra": ra,
                "dec": dec,
                "delta_mag": star.tmag - target.tmag,
                "g_mag": star.tmag,
            }
        )
    ephemeris = scene.candidates[0].ephemeris
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = localize_transit_host_multi_sector(
            tpf_fits_list=tpfs,
            period_days=ephemeris.period_days or 1000.0,
            t0_btjd=ephemeris.t0_btjd,
            duration_hours=ephemeris.duration_hours,
            reference_sources=sources,
        )
    best = found["consensus"].get("consensus_best_source_id") or ""
    return str(scene.tic) if best == f"tic:{scene.tic}" else best


def exovetter_host(scene: Scene, stamps: dict[int, Stamp]) -> str:
    """The star nearest to the mean of exovetter's centroids of single transits' difference images."""
    from exovetter.centroid.centroid import compute_diff_image_centroids

    ephemeris = scene.candidates[0].ephemeris
    offsets = []
    for sector, stamp in stamps.items():
        whole = np.isfinite(stamp.flux).all(axis=(1, 2))
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                centroids, *_ = compute_diff_image_centroids(
                    stamp.time[whole],
                    stamp.flux[whole].astype(float),
                    ephemeris.period_days or 1000.0,
                    ephemeris.t0_btjd,
                    ephemeris.duration_hours / 24.0,
                )
            except (ValueError, IndexError, FloatingPointError):
                continue  # no transit that it can use
        for found in centroids[centroids[:, -1] == 0] if len(centroids) else []:
            # Its coordinates put a pixel's corner at an integer, ours the centre.
            ra, dec = stamp.wcs.all_pix2world(found[4] - 0.5, found[5] - 0.5, 0)
            offsets.append((sector, float(ra), float(dec)))
    if not offsets:
        return ""
    epoch = next(iter(stamps.values())).epoch
    ra, dec = np.median(np.array([place[1:] for place in offsets]), axis=0)
    stars = [(star.source_id, *star.at(epoch)) for star in scene.neighbours()]
    cos = math.cos(math.radians(dec))
    return min(stars, key=lambda star: math.hypot((star[1] - ra) * cos, star[2] - dec))[0]
