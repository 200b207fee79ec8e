"""A sector's evidence as a row of the table `evidence`, and back: judging a candidate again needs no pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from batchvet.arrays import BoolArray, Float32Array, FloatArray
from batchvet.science.dip_shape import DipShapes
from batchvet.science.evidence import EVERY, DipMaps, DipPosition, HostEvidence, Part, PartDip, SectorEvidence
from batchvet.science.likelihood_map import LikelihoodMap
from batchvet.science.priors import TableDepth
from batchvet.science.sky import SkyFrame

_OF_A_PART = ("n_dips", "mid_time", "phase", "phase_error", "flux", "flux_error")

_UPPER = np.triu_indices(3)


def evidence_row(evidence: SectorEvidence) -> dict[str, Any]:
    """Scalars, 1-D arrays of float32 and lists of strings, as `COLUMNS` names them."""
    return {
        "sector": evidence.sector,
        "n_transits": evidence.n_transits,
        "n_in_transit": evidence.n_in_transit,
        "cadence_s": evidence.cadence_s,
        "duration_hours": evidence.duration_hours,
        "rows": evidence.frame.shape[0],
        "cols": evidence.frame.shape[1],
        **_dip_columns(evidence.dip),
        "target_row": float(evidence.frame.target[0]),
        "target_col": float(evidence.frame.target[1]),
        "target_ra": evidence.target_ra,
        "target_dec": evidence.target_dec,
        **_upper("sys", evidence.dip.systematic),
        "east_per_row": float(evidence.frame.sky_from_pixel[0, 0]),
        "east_per_col": float(evidence.frame.sky_from_pixel[0, 1]),
        "north_per_row": float(evidence.frame.sky_from_pixel[1, 0]),
        "north_per_col": float(evidence.frame.sky_from_pixel[1, 1]),
        "artefact": evidence.artefact,
        "timing_price": evidence.timing_price,
        "table_limit_tmag": evidence.table.limit_tmag,
        "table_density": evidence.table.density,
        "galactic_latitude": evidence.table.galactic_latitude,
        "prf_source": evidence.prf_source,
        "has_neighbours": evidence.has_neighbours,
        "flag_names": list(evidence.flags),
        **_map_columns(evidence.maps),
        **_host_columns(evidence.hosts),
        "shape_gain": _flat(evidence.shapes.gain),
        "shape_deepest": _flat(evidence.shapes.deepest),
        **_part_columns(evidence.parts),
    }


def evidence_of_row(row: Mapping[str, Any]) -> SectorEvidence:
    """The evidence that `evidence_row` flattened; unknown keys are ignored, a table's null is NaN.

    Raises
    ------
    KeyError
        A column of `COLUMNS` is missing.
    """
    return SectorEvidence(
        sector=int(row["sector"]),
        n_transits=int(row["n_transits"]),
        n_in_transit=int(row["n_in_transit"]),
        cadence_s=_number(row["cadence_s"]),
        duration_hours=_number(row["duration_hours"]),
        frame=SkyFrame(
            shape=(int(row["rows"]), int(row["cols"])),
            target=_numbers(row, "target_row", "target_col"),
            sky_from_pixel=np.stack(
                [_numbers(row, "east_per_row", "east_per_col"), _numbers(row, "north_per_row", "north_per_col")]
            ),
        ),
        dip=DipPosition(
            place=_numbers(row, "row", "col"),
            covariance=_symmetric(row, "cov"),
            systematic=_symmetric(row, "sys"),
            snr=_number(row["snr"]),
            flux=_number(row["dip"]),
            chi2_reduced=_number(row["chi2_reduced"]),
        ),
        maps=_maps_of(row),
        hosts=_hosts_of(row),
        artefact=_number(row["artefact"]),
        timing_price=_number(row["timing_price"]),
        table=TableDepth(
            _number(row["table_limit_tmag"]), _number(row["table_density"]), _number(row["galactic_latitude"])
        ),
        prf_source=str(row["prf_source"]),
        has_neighbours=bool(row["has_neighbours"]),
        flags=tuple(str(flag) for flag in row["flag_names"]),
        parts=_parts_of(row),
        shapes=DipShapes(_floats(row["shape_gain"]), _floats(row["shape_deepest"])),
        target_ra=_number(row["target_ra"]),
        target_dec=_number(row["target_dec"]),
    )


def _dip_columns(dip: DipPosition) -> dict[str, float]:
    return {
        "snr": dip.snr,
        "dip": dip.flux,
        "chi2_reduced": dip.chi2_reduced,
        "row": float(dip.place[0]),
        "col": float(dip.place[1]),
        **_upper("cov", dip.covariance),
    }


def _map_columns(maps: DipMaps) -> dict[str, Any]:
    """The map of the stamp has one step, those around the dip have one for rows and one for columns."""
    return {
        "map_row": float(maps.stamp.start[0]),
        "map_col": float(maps.stamp.start[1]),
        "map_step": float(maps.stamp.step[0]),
        "map_rows": maps.stamp.values.shape[0],
        "map_cols": maps.stamp.values.shape[1],
        "significance_map": _flat(maps.stamp.values),
        **_fine_map_columns("near", maps.near, maps.near_information),
        **_fine_map_columns("peak", maps.peak, maps.peak_information),
        "information_map": _flat(maps.stamp_information),
    }


def _fine_map_columns(name: str, fine: LikelihoodMap, information: FloatArray) -> dict[str, Any]:
    return {
        f"{name}_row": float(fine.start[0]),
        f"{name}_col": float(fine.start[1]),
        f"{name}_row_step": float(fine.step[0]),
        f"{name}_col_step": float(fine.step[1]),
        f"{name}_rows": fine.values.shape[0],
        f"{name}_cols": fine.values.shape[1],
        f"{name}_map": _flat(fine.values),
        f"{name}_information_map": _flat(information),
    }


def _maps_of(row: Mapping[str, Any]) -> DipMaps:
    n_rows, n_cols = int(row["map_rows"]), int(row["map_cols"])
    stamp = LikelihoodMap(
        start=_numbers(row, "map_row", "map_col"),
        step=_numbers(row, "map_step", "map_step"),
        values=_floats(row["significance_map"]).reshape(n_rows, n_cols),
    )
    near, peak = _fine_map_of(row, "near"), _fine_map_of(row, "peak")
    names = {"information_map": stamp, "near_information_map": near, "peak_information_map": peak}
    informations = (
        _floats(row[name]).reshape(tuple(-(-n // every) for n in each.values.shape))
        for (name, each), every in zip(names.items(), EVERY, strict=True)
    )
    return DipMaps(stamp, near, peak, *informations)


def _fine_map_of(row: Mapping[str, Any], name: str) -> LikelihoodMap:
    return LikelihoodMap(
        start=_numbers(row, f"{name}_row", f"{name}_col"),
        step=_numbers(row, f"{name}_row_step", f"{name}_col_step"),
        values=_floats(row[f"{name}_map"]).reshape(int(row[f"{name}_rows"]), int(row[f"{name}_cols"])),
    )


def _host_columns(hosts: HostEvidence) -> dict[str, Any]:
    return {
        "star_id": list(hosts.source_id),
        "star_is_target": np.asarray(hosts.is_target, dtype=np.bool_).ravel(),
        "star_east": _flat(hosts.east),
        "star_north": _flat(hosts.north),
        "star_tmag": _flat(hosts.tmag),
        "star_flux": _flat(hosts.flux),
        "star_score": _flat(hosts.score),
        "star_information": _flat(hosts.information[:, *_UPPER]),
        "star_shared": _flat(hosts.shared),
    }


def _hosts_of(row: Mapping[str, Any]) -> HostEvidence:
    source_id = tuple(str(name) for name in row["star_id"])
    is_target: BoolArray = np.asarray(row["star_is_target"], dtype=np.bool_)
    return HostEvidence(
        source_id=source_id,
        is_target=is_target,
        east=_floats(row["star_east"]),
        north=_floats(row["star_north"]),
        tmag=_floats(row["star_tmag"]),
        flux=_floats(row["star_flux"]),
        score=_floats(row["star_score"]).reshape(len(source_id), 3),
        information=_full(_floats(row["star_information"]).reshape(len(source_id), 6)),
        shared=_floats(row["star_shared"]).reshape(len(source_id), 3),
    )


def _full(upper: FloatArray) -> FloatArray:
    """Symmetric matrices [n, 3, 3] of their upper triangles [n, 6]."""
    matrices = np.zeros((len(upper), 3, 3))
    matrices[:, *_UPPER] = upper
    matrices[:, *_UPPER[::-1]] = upper
    return matrices


def _part_columns(parts: Sequence[PartDip]) -> dict[str, Any]:
    return {
        "part": [str(part.part) for part in parts],
        **{f"part_{name}": [getattr(part, name) for part in parts] for name in _OF_A_PART},
        "part_place": np.array([part.place for part in parts], dtype=np.float64).ravel(),
        "part_covariance": np.array([part.covariance for part in parts], dtype=np.float64).ravel(),
    }


def _parts_of(row: Mapping[str, Any]) -> tuple[PartDip, ...]:
    kinds = [Part(str(name)) for name in row["part"]]
    places = _floats(row["part_place"]).reshape(len(kinds), 2)
    covariances = _floats(row["part_covariance"]).reshape(len(kinds), 2, 2)
    n_dips = [int(n) for n in row["part_n_dips"]]
    figures = {name: [float(x) for x in row[f"part_{name}"]] for name in _OF_A_PART[1:]}
    return tuple(
        PartDip(
            part=kind,
            n_dips=n_dips[i],
            place=places[i],
            covariance=covariances[i],
            **{name: values[i] for name, values in figures.items()},
        )
        for i, kind in enumerate(kinds)
    )


def _upper(name: str, covariance: FloatArray) -> dict[str, float]:
    """The three numbers of a symmetric matrix of (row, col)."""
    (row_row, row_col), (_, col_col) = covariance.tolist()
    return {f"{name}_row_row": row_row, f"{name}_row_col": row_col, f"{name}_col_col": col_col}


def _symmetric(row: Mapping[str, Any], name: str) -> FloatArray:
    row_row, row_col, col_col = _numbers(row, f"{name}_row_row", f"{name}_row_col", f"{name}_col_col")
    return np.array([[row_row, row_col], [row_col, col_col]])


def _flat(values: FloatArray) -> Float32Array:
    return np.asarray(values, dtype=np.float32).ravel()


def _floats(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _numbers(row: Mapping[str, Any], *names: str) -> FloatArray:
    return np.array([_number(row[name]) for name in names])


def _number(value: Any) -> float:
    """A float; a null of a table is NaN."""
    return math.nan if value is None else float(value)
