"""One task: every check on every candidate of one target in one sector, and rows whatever happens."""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from batchvet.catalog.candidate import Candidate, Neighbour
from batchvet.errors import BatchvetError, InsufficientData, StampError
from batchvet.pixels.cache import Cache
from batchvet.pixels.prf_files import find_prf
from batchvet.pixels.stamp import Stamp
from batchvet.results.evidence_rows import evidence_row
from batchvet.results.schema import LOCALIZATION_NAMES
from batchvet.results.writer import ResultRow
from batchvet.runtime.available import Problem
from batchvet.runtime.plan import Task
from batchvet.science.aperture_dependence import aperture_dependence
from batchvet.science.centroid_shift import centroid_shift
from batchvet.science.depth_map import DepthMap, depth_map
from batchvet.science.localization import LocalizationSettings, SectorLocalization, localize
from batchvet.science.prf import Prf, spoc_prf
from batchvet.science.stars import StarField, TargetPosition
from batchvet.science.timeline import Transits

SAME_STAR_DEG = 3.0 / 3600.0  #: a catalogue position this close to the stamp's target is the same star


@dataclass(frozen=True)
class VetSettings:
    """What every task of a run has in common."""

    checks: tuple[str, ...]
    quality_bitmask: int
    prf_directory: str | None = None  #: of official PRF files; None: the PRF is fitted
    localization: LocalizationSettings = field(default_factory=LocalizationSettings)


@dataclass(frozen=True)
class Measured:
    """What one candidate's checks gave on one stamp."""

    columns: dict[str, Any]  #: of the table `sectors`, apart from identity and provenance
    depth: DepthMap | None = None
    localization: SectorLocalization | None = None


def vet_task(task: Task, cache_location: Any, settings: VetSettings) -> list[ResultRow]:
    """Rows of all of a task's candidates. Whatever goes wrong becomes rows with the reason.

    Parameters
    ----------
    task : Task
        With its stamp in the cache, or with the problem that there is none.
    cache_location : path or Storage
    settings : VetSettings
    """
    start = time.perf_counter()
    if task.problem is not None:
        return failed_rows(task, task.problem)
    try:
        stamp = Cache(cache_location).read(task.entry, with_errors="localization" in settings.checks)
        cadences = usable(stamp, settings.quality_bitmask)
        prf = official_prf(stamp, settings.prf_directory)
    except BatchvetError as error:
        return failed_rows(task, Problem(error.kind, str(error)))
    except Exception:  # promise 1: a fault of ours is a row too, with what to report
        return failed_rows(task, _internal())
    read_seconds = time.perf_counter() - start
    rows = []
    for candidate in task.candidates:
        start = time.perf_counter()
        try:
            measured = measure(stamp, cadences, candidate, task.companions, task.neighbours, prf, settings)
        except Exception:
            rows += failed_rows(task, _internal(), [candidate])
            continue
        seconds = time.perf_counter() - start + read_seconds / len(task.candidates)
        rows.append(_result_row(task, candidate, stamp, measured, seconds))
    return rows


@dataclass(frozen=True)
class VetTarget:
    """Work of a worker: tasks into rows."""

    cache: str
    settings: VetSettings

    def __call__(self, task: Task) -> list[ResultRow]:
        return vet_task(task, self.cache, self.settings)


def usable(stamp: Stamp, quality_bitmask: int) -> Stamp:
    """The stamp's cadences without an excluded flag.

    Raises
    ------
    StampError
        Kind ``all_flagged``: there is none.
    """
    good = stamp.good(quality_bitmask)
    if not good.any():
        raise StampError(
            f"{stamp.source}: every cadence has an excluded quality flag or no time; "
            "relax quality_bitmask to use it nevertheless",
            kind="all_flagged",
        )
    return stamp.select(good)


def official_prf(stamp: Stamp, directory: str | None) -> Prf | None:
    """The official PRF in the middle of the stamp; None when there are no files for its CCD."""
    nodes = find_prf(directory, stamp.sector, stamp.camera, stamp.ccd) if directory else None
    if nodes is None:
        return None
    rows, cols = stamp.shape
    return spoc_prf(nodes, stamp.row + (rows - 1) / 2, stamp.column + (cols - 1) / 2)


def measure(
    stamp: Stamp,
    cadences: Stamp,
    candidate: Candidate,
    companions: Sequence[Candidate],
    neighbours: Sequence[Neighbour] | None,
    prf: Prf | None,
    settings: VetSettings,
) -> Measured:
    """Run the checks on one candidate.

    Parameters
    ----------
    stamp : Stamp
        All cadences.
    cadences : Stamp
        Those without an excluded flag.
    candidate : Candidate
    companions : sequence of Candidate
        Of the same target; the candidate itself may be among them.
    neighbours : sequence of Neighbour or None
    prf : Prf or None
    settings : VetSettings
    """
    depth = depth_map(cadences.time, cadences.flux, candidate.ephemeris)
    columns: dict[str, Any] = {
        "camera": stamp.camera,
        "ccd": stamp.ccd,
        "cadence_s": stamp.cadence_s,
        "n_cadences": len(cadences.time),
        "n_in_transit": depth.n_in_transit,
        "n_transits": _count_transits(cadences, candidate),
        "status": "ok",
        "error_kind": "",
        "error": "",
    }
    flags = list(stamp.flags)
    for prefix, run in (
        ("v09", lambda: depth),
        ("v08", lambda: centroid_shift(cadences.time, cadences.flux, candidate.ephemeris)),
        ("v10", lambda: aperture_dependence(cadences.time, cadences.flux, candidate.ephemeris)),
    ):
        if prefix.upper() in settings.checks:
            check = run()
            columns |= {f"{prefix}_status": check.status, f"{prefix}_flags": list(check.flags)}
            columns |= {f"{prefix}_{name}": _plain(value) for name, value in check.metrics().items()}
            flags += check.flags
    located = None
    if depth.status != "ok":
        columns |= _nothing_in_transit(depth, candidate, stamp)
        flags.append("INSUFFICIENT_DATA")
    elif "localization" in settings.checks:
        try:
            located, found = _localized(stamp, candidate, companions, neighbours, prf, settings)
        except Exception:  # a fault of ours here must not cost the row its other checks
            fault = _internal()
            found = {"status": "error", "error_kind": fault.kind, "error": fault.text, "localization_flags": []}
        columns |= found
        flags += found["localization_flags"]
    columns["flags"] = list(dict.fromkeys(flags))
    return Measured(columns, depth if depth.status == "ok" else None, located)


def failed_rows(
    task: Task, problem: Problem, candidates: Sequence[Candidate] | None = None, seconds: float = 0.0
) -> list[ResultRow]:
    """A row for each candidate of a task that could not be done."""
    missing = problem.kind == "missing_tpf"
    status, flags = ("skipped", ["MISSING_TPF"]) if missing else ("error", [])
    return [
        ResultRow(
            {
                **_identity(task, candidate),
                "status": status,
                "flags": flags,
                "error_kind": problem.kind,
                "error": problem.text,
                "v09_status": status,
                "v09_flags": flags,
                "localization_flags": [],
                "seconds": seconds,
                **task.hashes,
            }
        )
        for candidate in (task.candidates if candidates is None else candidates)
    ]


def _localized(
    stamp: Stamp,
    candidate: Candidate,
    companions: Sequence[Candidate],
    neighbours: Sequence[Neighbour] | None,
    prf: Prf | None,
    settings: VetSettings,
) -> tuple[SectorLocalization | None, dict[str, Any]]:
    """The localisation and its columns; without a usable transit or WCS the flag that says so."""
    if not stamp.wcs_header:
        return None, {"localization_flags": ["NO_WCS"]}
    if min(stamp.shape) < 2:  # a single row or column has no position across it
        return None, {"localization_flags": ["NOT_LOCALIZED_NO_PIXELS"]}
    others = tuple(other.ephemeris for other in companions if other.toi != candidate.toi)
    try:
        located = localize(
            stamp,
            Transits(candidate.ephemeris, others),
            StarField(target_position(candidate, stamp), neighbours),
            prf,
            settings.quality_bitmask,
            settings.localization,
        )
    except InsufficientData as error:
        return None, {"localization_flags": [f"NOT_LOCALIZED_{error.kind.upper()}"]}
    columns = {name: _plain(getattr(located, name)) for name in LOCALIZATION_NAMES}
    columns["localization_flags"] = list(located.localization_flags)
    columns["n_transits"] = located.n_transits
    return located, columns


def target_position(candidate: Candidate, stamp: Stamp) -> TargetPosition:
    """Where the catalogue says the target is; what it leaves out is the stamp's, if that is the same star."""
    if not math.isfinite(candidate.ra):
        return TargetPosition(stamp.tic, stamp.ra, stamp.dec, stamp.pmra, stamp.pmdec, stamp.tmag)
    d_ra = (candidate.ra - stamp.ra + 180.0) % 360.0 - 180.0
    same = math.hypot(d_ra * math.cos(math.radians(candidate.dec)), candidate.dec - stamp.dec) < SAME_STAR_DEG

    def known(name: str) -> float:
        value = getattr(candidate, name)
        return getattr(stamp, name) if same and not math.isfinite(value) else value

    return TargetPosition(stamp.tic, candidate.ra, candidate.dec, known("pmra"), known("pmdec"), known("tmag"))


def _nothing_in_transit(depth: DepthMap, candidate: Candidate, stamp: Stamp) -> dict[str, Any]:
    where = "in" if depth.n_in_transit == 0 else "out of"
    return {
        "status": "skipped",
        "error_kind": f"no_cadence_{where.split()[0]}_transit",
        "error": f"TOI {candidate.toi}: no usable cadence {where} transit in sector {stamp.sector} "
        f"({depth.n_cadences} cadences, ephemeris P = {candidate.ephemeris.period_days:g} d, "
        f"t0 = {candidate.ephemeris.t0_btjd:.5f})",
        "localization_flags": [],
    }


def _count_transits(cadences: Stamp, candidate: Candidate) -> int:
    """Transits with a cadence within half a duration of their middle."""
    ephemeris = candidate.ephemeris
    distance = ephemeris.time_from_transit(cadences.time)
    inside = cadences.time[np.abs(distance) < ephemeris.duration_days / 2]
    if ephemeris.is_single:
        return int(inside.size > 0)
    return len(np.unique(np.round((inside - ephemeris.t0_btjd) / ephemeris.period_days)))


def _identity(task: Task, candidate: Candidate) -> dict[str, Any]:
    return {"toi": candidate.toi, "tic": task.tic, "sector": task.sector}


def _result_row(task: Task, candidate: Candidate, stamp: Stamp, measured: Measured, seconds: float) -> ResultRow:
    identity = _identity(task, candidate)
    evidence = evidence_row(measured.localization.evidence) if measured.localization else None
    return ResultRow(
        sector={**identity, **measured.columns, "seconds": seconds, "source_file": stamp.source, **task.hashes},
        image={**identity, **image_columns(stamp, measured)} if measured.depth else None,
        evidence={**identity, **evidence} if evidence else None,
    )


def image_columns(stamp: Stamp, measured: Measured) -> dict[str, Any]:
    """Columns of the table `images`: the localisation's images, else V09's medians."""
    depth, located = measured.depth, measured.localization
    rows, cols = stamp.shape
    columns: dict[str, Any] = {
        "n_rows": rows,
        "n_cols": cols,
        "column": stamp.column,
        "row": stamp.row,
        "depth_ppm": _flat(depth.depth_ppm),
        "aperture": stamp.aperture.ravel(),
        "difference": _flat(depth.out_of_transit - depth.in_transit),
        "difference_error": [],
        "out_of_transit": _flat(depth.out_of_transit),
    }
    return columns if located is None else columns | _located_columns(located)


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


def _flat(image: np.ndarray) -> np.ndarray:
    return np.asarray(image, dtype=np.float32).ravel()


def _plain(value: Any) -> Any:
    """A table's null for what could not be measured."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _internal() -> Problem:
    """The exception that is being handled, as a row tells it."""
    kind, error, trace = sys.exc_info()
    place = traceback.extract_tb(trace)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return Problem("internal", f"a fault in batchvet, please report it: {kind.__name__}: {error} ({where})")
