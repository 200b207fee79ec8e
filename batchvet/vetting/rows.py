"""What was measured, or why not, as rows of the tables `sectors`, `images` and `evidence`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Candidate
from batchvet.errors import Problem
from batchvet.results.evidence_rows import evidence_row
from batchvet.results.schema import LOCALIZATION_NAMES
from batchvet.results.writer import ResultRow
from batchvet.science.folded_light_curve import FoldedLightCurve
from batchvet.science.localization import SectorLocalization
from batchvet.vetting.measure import Measured, NotLocalized
from batchvet.vocabulary import ErrorKind, Flag, Status

#: Reasons to skip a row, and the flag that says so: there was nothing to measure, and no pixels were at fault.
SKIPPED_FOR = {
    ErrorKind.MISSING_TPF: Flag.MISSING_TPF,
    ErrorKind.BAD_CATALOGUE_ROW: Flag.BAD_CATALOGUE_ROW,
}


def result_row(measured: Measured, hashes: Mapping[str, str]) -> ResultRow:
    """The row of one candidate in one sector, with its images and its evidence where there are any.

    Parameters
    ----------
    measured : Measured
    hashes : mapping
        What the row stands on, for its columns of provenance.
    """
    stamp, located = measured.observation.stamp, measured.localization
    identity = {"toi": measured.candidate.toi, "tic": stamp.tic, "sector": stamp.sector}
    provenance = {"source_file": stamp.source, **hashes}
    evidence = evidence_row(located.evidence) if isinstance(located, SectorLocalization) else None
    return ResultRow(
        sector={**identity, **sector_columns(measured), **provenance},
        image={**identity, **image_columns(measured)} if measured.in_transit else None,
        evidence={**identity, **evidence} if evidence else None,
    )


def failed_row(candidate: Candidate, sector: int, problem: Problem, hashes: Mapping[str, str]) -> ResultRow:
    """The row of a candidate that could not be measured in a sector. Parameters as of :func:`result_row`."""
    skipped_for = SKIPPED_FOR.get(problem.kind)
    status = Status.SKIPPED if skipped_for else Status.ERROR
    flags = [skipped_for] if skipped_for else []
    return ResultRow(
        {
            "toi": candidate.toi,
            "tic": candidate.tic,
            "sector": sector,
            "status": status,
            "flag_names": flags,
            "error_kind": problem.kind,
            "error": problem.text,
            "v09_status": status,
            "v09_flags": flags,
            "localization_flags": [],
            "seconds": 0.0,
            **hashes,
        }
    )


def sector_columns(measured: Measured) -> dict[str, Any]:
    """Columns of the table `sectors`, apart from identity and provenance."""
    stamp = measured.observation.stamp
    columns: dict[str, Any] = {
        "camera": stamp.camera,
        "ccd": stamp.ccd,
        "cadence_s": stamp.cadence_s,
        "n_cadences": len(measured.observation.frames),
        "n_in_transit": measured.depth.n_in_transit,
        "n_transits": measured.n_transits,
        "status": Status.OK,
        "error_kind": "",
        "error": "",
    }
    flags: list[str] = list(stamp.flags)
    for name, check in measured.checks.items():
        prefix = name.lower()
        columns |= {f"{prefix}_status": check.status, f"{prefix}_flags": list(check.flags)}
        columns |= {f"{prefix}_{figure}": _plain(value) for figure, value in check.metrics().items()}
    if measured.in_transit:
        found = _localization_columns(measured.localization)
        columns |= found
        flags += found.get("localization_flags", ())
    else:
        columns |= _skipped(_nothing_in_transit(measured)) | {"localization_flags": []}
        flags.append(Flag.INSUFFICIENT_DATA)
    if measured.has_twin:
        flags.append(Flag.SAME_EPHEMERIS)
    columns["flag_names"] = list(dict.fromkeys(flags))
    return columns


def image_columns(measured: Measured) -> dict[str, Any]:
    """Columns of the table `images`: the localisation's images, else V09's medians; only for what is in transit."""
    depth, stamp = measured.depth, measured.observation.stamp
    rows, cols = stamp.shape
    columns: dict[str, Any] = {
        "n_rows": rows,
        "n_cols": cols,
        "column": stamp.column,
        "row": stamp.row,
        "depth_ppm": _flat(depth.depth_ppm),  # empty where V09 has no baseline
        "aperture": stamp.aperture.ravel(),
        "difference": _flat(depth.out_of_transit - depth.in_transit),
        "difference_error": [],
        "out_of_transit": _flat(depth.out_of_transit),
        **_folded_columns(measured.folded),
    }
    if isinstance(measured.localization, SectorLocalization):
        columns |= _located_columns(measured.localization)
    return columns


def _folded_columns(folded: FoldedLightCurve) -> dict[str, Any]:
    return {
        "folded_hours": _flat(folded.hours),
        "folded_odd_ppm": _flat(folded.odd_ppm),
        "folded_odd_error_ppm": _flat(folded.odd_error_ppm),
        "folded_even_ppm": _flat(folded.even_ppm),
        "folded_even_error_ppm": _flat(folded.even_error_ppm),
        "folded_secondary_phase": _plain(float(folded.secondary_phase)),
        "folded_secondary_ppm": _flat(folded.secondary_ppm),
        "folded_secondary_error_ppm": _flat(folded.secondary_error_ppm),
        "folded_phase_ppm": _flat(folded.phase_ppm),
    }


def _localization_columns(localization: SectorLocalization | NotLocalized | None) -> dict[str, Any]:
    match localization:
        case None:
            return {}
        case NotLocalized(flags, fault):
            failed = {} if fault is None else {"status": Status.ERROR, "error_kind": fault.kind, "error": fault.text}
            return failed | {"localization_flags": list(flags)}
        case SectorLocalization() as located:
            columns = {name: _plain(getattr(located, name)) for name in LOCALIZATION_NAMES}
            columns["localization_flags"] = list(located.localization_flags)
            columns["n_transits"] = located.n_transits
            return columns


def _located_columns(located: SectorLocalization) -> dict[str, Any]:
    evidence = located.evidence
    frame, star_places = evidence.frame, evidence.star_places
    return {
        "difference": _flat(located.difference_image),
        "difference_error": _flat(located.difference_error),
        "out_of_transit": _flat(located.out_of_transit_image),
        "source_col": located.source_col,
        "source_row": located.source_row,
        "target_col": frame.target[1],
        "target_row": frame.target[0],
        "east_per_col": frame.sky_from_pixel[0, 1],
        "east_per_row": frame.sky_from_pixel[0, 0],
        "north_per_col": frame.sky_from_pixel[1, 1],
        "north_per_row": frame.sky_from_pixel[1, 0],
        "star_id": list(evidence.hosts.source_id),
        "star_row": _flat(star_places[0]),
        "star_col": _flat(star_places[1]),
        "star_tmag": _flat(evidence.hosts.tmag),
    }


def _nothing_in_transit(measured: Measured) -> Problem:
    depth, candidate, stamp = measured.depth, measured.candidate, measured.observation.stamp
    if depth.n_in_transit == 0:
        kind, where = ErrorKind.NO_CADENCE_IN_TRANSIT, "in"
    else:
        kind, where = ErrorKind.NO_CADENCE_OUT_OF_TRANSIT, "out of"
    return Problem(
        kind,
        f"TOI {candidate.toi}: no usable cadence {where} transit in sector {stamp.sector} "
        f"({depth.n_cadences} cadences, ephemeris P = {candidate.ephemeris.period_days:g} d, "
        f"t0 = {candidate.ephemeris.t0_btjd:.5f})",
    )


def _skipped(problem: Problem) -> dict[str, Any]:
    return {"status": Status.SKIPPED, "error_kind": problem.kind, "error": problem.text}


def _flat(image: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(image, dtype=np.float32).ravel()


def _plain(value: Any) -> Any:
    """A table's null for what could not be measured."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if isinstance(value, float) and math.isnan(value) else value
