"""Two questions to real pixels whose answers are known without putting anything into them.

WASP-126 b's own 16 transits, cut into ever more pseudo-sectors: the same light must say the same, however many it is
cut into; and a place 10" or 20" beside the star, declared to be the target, must come out off target. And the
difference images of SPOC's Data Validation: our fit of a position on the same pixels must find DV's centroid.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from real_pixels import SETTINGS, RealTarget

from batchvet.arrays import FloatArray
from batchvet.catalog.candidate import Candidate, Neighbour
from batchvet.pixels.quality import DEFAULT
from batchvet.pixels.stamp import Stamp
from batchvet.science.evidence import SectorEvidence
from batchvet.science.joint import CandidateVerdict, vet_candidate
from batchvet.science.localization import SectorLocalization
from batchvet.science.noisy_image import NoisyImage
from batchvet.science.position import SignificanceMap, fit_point_source
from batchvet.science.prf import Prf
from batchvet.science.stars import Star
from batchvet.science.unlisted import fit_scene_with_unlisted
from batchvet.simulate.sky import at_offset, offsets
from batchvet.vetting.measure import Observation, measure, official_prf, usable
from batchvet.vetting.settings import Surroundings

PIECES = (1, 2, 4, 8, 16)  #: that all transits are cut into; 1 is sector 1 alone
DIRECTIONS = {"north": (0.0, 1.0), "east": (1.0, 0.0), "south": (0.0, -1.0), "west": (-1.0, 0.0)}
_FAINTER = 3.4  # mag: the star that is said to be at the declared place, against WASP-126

# WASP-126 in pseudo-sectors


def pseudo_sectors(target: RealTarget, prf: str) -> list[dict[str, Any]]:
    """The verdict on WASP-126 b from its transits in so many pieces, and from the first 1 to 16 single ones."""
    candidate = Candidate("real", target.tic, target.ephemeris)
    rows = []
    for pieces in PIECES:
        evidence = list(_evidence(target, pieces, candidate, None, prf))
        rows.append(
            {"transits": "all" if pieces > 1 else "sector 1", "pieces": pieces, **_said(vet_candidate(evidence))}
        )
    for count in range(1, len(evidence) + 1):
        rows.append({"transits": str(count), "pieces": count, **_said(vet_candidate(evidence[:count]))})
    return [{"prf": prf, **row} for row in rows]


def displaced(target: RealTarget, prf: str, apart: float) -> list[dict[str, Any]]:
    """A place `apart` arcsec from WASP-126 declared the target, a fainter star there, the true one in the table."""
    first = next(iter(target.stamps.values()))
    rows = []
    for direction, (east, north) in DIRECTIONS.items():
        ra, dec = (float(x) for x in at_offset(apart * east, apart * north, first.ra, first.dec))
        motion = (first.pmra, first.pmdec)
        candidate = Candidate(
            "beside", target.tic, target.ephemeris, math.nan, ra, dec, *motion, tmag=target.tmag + _FAINTER
        )
        table = (
            Neighbour(str(target.tic), ra, dec, target.tmag + _FAINTER, *motion, 2000.0),
            Neighbour("WASP-126", first.ra, first.dec, target.tmag, *motion, 2000.0),
        )
        for pieces in PIECES:
            verdict = vet_candidate(list(_evidence(target, pieces, candidate, table, prf)))
            error = np.hypot(verdict.offset_ra_arcsec + apart * east, verdict.offset_dec_arcsec + apart * north)
            right = verdict.best_host_id == "WASP-126"
            row = {"prf": prf, "apart": apart, "direction": direction, "pieces": pieces, **_said(verdict)}
            rows.append(row | {"error_arcsec": float(error), "host_right": right})
    return rows


def _evidence(
    target: RealTarget, pieces: int, candidate: Candidate, table: tuple[Neighbour, ...] | None, prf: str
) -> Iterator[SectorEvidence]:
    """Evidence of each pseudo-sector, in order of time."""
    number = 0
    for stamp in list(target.stamps.values())[: 1 if pieces == 1 else None]:
        known = official_prf(stamp, str(target.prf_directory)) if prf == "official" else None
        for piece in _cut(stamp, target, max(1, pieces // 2)):
            number += 1
            piece = replace(piece, sector=number)
            observation = Observation(piece, usable(piece, DEFAULT), known)
            measured = measure(observation, candidate, Surroundings((candidate,), table), SETTINGS)
            if isinstance(measured.localization, SectorLocalization):
                yield measured.localization.evidence


def _cut(stamp: Stamp, target: RealTarget, pieces: int) -> list[Stamp]:
    """The stamp in pieces of equally many transits, cut half way between two."""
    time = np.where(np.isfinite(stamp.time), stamp.time, -np.inf)
    good = stamp.time[stamp.good(DEFAULT)]
    mids = target.ephemeris.mid_times(float(good.min()), float(good.max()))
    groups = np.array_split(mids, pieces)
    edges = [-np.inf, *(0.5 * (a[-1] + b[0]) for a, b in pairwise(groups)), np.inf]
    return [stamp.select((time >= low) & (time < high)) for low, high in pairwise(edges)]


def _said(verdict: CandidateVerdict) -> dict[str, Any]:
    return {
        "n_sectors": verdict.n_sectors_used,
        "verdict": str(verdict.verdict),
        "p_target": verdict.p_target,
        "offset_arcsec": verdict.offset_arcsec,
        "sigma": verdict.significance_sigma,
        "consistency_p": verdict.sector_consistency_p,
        "flags": [str(flag) for flag in verdict.flags],
    }


# SPOC's difference images


@dataclass(frozen=True, eq=False)
class DvImage:
    """One difference image of a Data Validation report; places are CCD row and column as DV counts them."""

    name: str
    difference: FloatArray  #: out minus in transit, electrons a cadence, [row, col]
    difference_error: FloatArray
    out_of_transit: FloatArray  #: electrons a cadence, [row, col]
    out_of_transit_error: FloatArray
    origin: tuple[float, float]  #: CCD row and column of pixel [0, 0]
    centroid: tuple[float, float]  #: of the difference image, by DV's PRF fit
    centroid_error: tuple[float, float]
    reference: tuple[float, float]  #: where the TIC position of the target lies
    sky_to_pixel: FloatArray  #: (row, col) per arcsec (east, north), [2, 2]
    position: tuple[float, float]  #: right ascension and declination of the reference, deg


def read_dv(path: Path) -> DvImage:
    """The first planet's first difference image.

    DV gives no WCS, but three places both on the CCD and on the sky: these are the scale and the orientation.
    """
    space = {"dv": "http://www.nasa.gov/2018/TESS/DV"}
    root = ET.parse(path).getroot()
    found = root.find(".//dv:differenceImageResults", space)
    pixels = found.findall("dv:differenceImagePixelData", space)
    rows = np.array([int(pixel.get("ccdRow")) for pixel in pixels])
    cols = np.array([int(pixel.get("ccdColumn")) for pixel in pixels])
    shape = int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1

    def image(name: str, what: str) -> FloatArray:
        values = np.full(shape, np.nan)
        elements = [float(pixel.find(f"dv:{name}", space).get(what)) for pixel in pixels]
        values[rows - rows.min(), cols - cols.min()] = elements
        return values

    def place(name: str) -> dict[str, FloatArray]:
        parts = {part.tag.split("}")[1]: part for part in found.find(f"dv:{name}", space)}
        value = {key: float(part.get("value")) for key, part in parts.items()}
        error = {key: float(part.get("uncertainty")) for key, part in parts.items()}
        return {
            "pixel": np.array([value["row"], value["column"]]),
            "error": np.array([error["row"], error["column"]]),
            "sky": np.array([value["raDegrees"], value["decDegrees"]]),
        }

    reference, control, centroid = map(
        place, ("ticReferenceCentroid", "controlImageCentroid", "differenceImageCentroid")
    )
    sky = np.array([offsets(*one["sky"], *reference["sky"]) for one in (control, centroid)])
    pixel = np.array([one["pixel"] - reference["pixel"] for one in (control, centroid)])
    return DvImage(
        name=f"TIC {root.get('ticId')}",
        difference=image("meanFluxDifference", "value"),
        difference_error=image("meanFluxDifference", "uncertainty"),
        out_of_transit=image("meanFluxOutOfTransit", "value"),
        out_of_transit_error=image("meanFluxOutOfTransit", "uncertainty"),
        origin=(float(rows.min()), float(cols.min())),
        centroid=tuple(centroid["pixel"]),
        centroid_error=tuple(centroid["error"]),
        reference=tuple(reference["pixel"]),
        sky_to_pixel=np.linalg.solve(sky, pixel).T,
        position=tuple(reference["sky"]),
    )


def against_dv(dv: DvImage, table: pd.DataFrame | None, prf: Prf | None, name: str) -> dict[str, Any]:
    """Our position of the dip on DV's pixels, and DV's centroid.

    Parameters
    ----------
    dv : DvImage
    table : DataFrame with ID, ra, dec and Tmag, or None: the target alone
    prf : an official PRF; None: the one that fits the out-of-transit image
    name : what the PRF is called in the report

    Notes
    -----
    A fitted PRF has no centre of its own: its position counts from where it puts the stars (the scene's zero point).
    """
    row0, col0 = dv.reference[0] - dv.origin[0], dv.reference[1] - dv.origin[1]
    stars = [Star(dv.name, row0, col0, math.nan, True)]
    if table is not None:
        east, north = offsets(table["ra"].to_numpy(), table["dec"].to_numpy(), *dv.position)
        rows, cols = dv.sky_to_pixel @ np.stack([east, north]) + np.array([[row0], [col0]])
        nearest = int(np.argmin(np.hypot(east, north)))
        high, wide = dv.difference.shape
        near = (np.abs(rows - (high - 1) / 2) < high / 2 + 3) & (np.abs(cols - (wide - 1) / 2) < wide / 2 + 3)
        tmag = table["Tmag"].to_numpy()
        others = [i for i in np.flatnonzero(near) if i != nearest and tmag[i] < 18.5]
        stars = [Star(dv.name, row0, col0, float(tmag[nearest]), True)]
        stars += [
            Star(str(table["ID"].iloc[i]), rows[i], cols[i], float(tmag[i]), False, east[i], north[i]) for i in others
        ]
    scene, _ = fit_scene_with_unlisted(dv.out_of_transit, dv.out_of_transit_error, tuple(stars), prf)
    high, wide = dv.difference.shape
    rows, cols = np.indices((high, wide))
    plane = np.stack([np.ones(high * wide), rows.ravel() / high - 0.5, cols.ravel() / wide - 0.5], axis=1)
    broad = np.eye(3) * (100 * np.nanmedian(dv.difference_error)) ** 2
    image = NoisyImage.build(dv.difference, dv.difference_error**2, plane, broad)
    source = fit_point_source(image, SignificanceMap.of_stamp(image, scene.prf, 0.5), scene.prf)
    zero = (scene.delta_row, scene.delta_col) if prf is None else (0.0, 0.0)
    ours = source.row + dv.origin[0] - zero[0], source.col + dv.origin[1] - zero[1]
    return {
        "target": dv.name,
        "prf": name,
        "stars": len(stars),
        "snr": source.snr,
        "row": ours[0],
        "row_error": math.sqrt(source.covariance[0, 0]),
        "column": ours[1],
        "column_error": math.sqrt(source.covariance[1, 1]),
        "dv_row": float(dv.centroid[0]),
        "dv_row_error": float(dv.centroid_error[0]),
        "dv_column": float(dv.centroid[1]),
        "dv_column_error": float(dv.centroid_error[1]),
        "difference_px": float(np.hypot(ours[0] - dv.centroid[0], ours[1] - dv.centroid[1])),
        "zero_point_row": scene.delta_row,
        "zero_point_col": scene.delta_col,
    }
