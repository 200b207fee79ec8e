"""What one sector says about where the dip is: small enough to store, enough to judge the candidate again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def _stored(kind: str, text: str, unit: str = "") -> dict[str, str]:
    """How a field stands in a table: its kind, a sentence and its unit."""
    return {"kind": kind, "unit": unit, "text": text}


@dataclass(frozen=True, eq=False)
class SectorEvidence:
    """One sector's likelihood of the dip's position, and of each star as its host.

    Likelihoods are relative to "there is no dip" and dimensionless, so that flux units cancel. Positions are
    0-based stamp pixels; ``target_row`` and ``target_col`` include the astrometric zero point, so that the
    offset of the dip does not contain it. SCIENCE 2d to 2f.
    """

    sector: int = field(metadata=_stored("int", "TESS sector"))
    n_transits: int = field(metadata=_stored("int", "transits in the difference image"))
    n_in_transit: int = field(metadata=_stored("int", "cadences in transit"))
    rows: int = field(metadata=_stored("int", "rows of the stamp", "pixel"))
    cols: int = field(metadata=_stored("int", "columns of the stamp", "pixel"))
    snr: float = field(metadata=_stored("float", "significance of the best point source in the difference image"))
    dip: float = field(metadata=_stored("float", "flux of the best point source, at least its error", "e-/s"))
    chi2_reduced: float = field(metadata=_stored("float", "reduced chi2 of the best point source"))
    row: float = field(metadata=_stored("float", "row of the dip", "pixel"))
    col: float = field(metadata=_stored("float", "column of the dip", "pixel"))
    cov_row_row: float = field(metadata=_stored("float", "covariance of the dip's position from the noise", "pixel2"))
    cov_row_col: float = field(metadata=_stored("float", "covariance of the dip's position from the noise", "pixel2"))
    cov_col_col: float = field(metadata=_stored("float", "covariance of the dip's position from the noise", "pixel2"))
    target_row: float = field(metadata=_stored("float", "row of the target, zero point included", "pixel"))
    target_col: float = field(metadata=_stored("float", "column of the target, zero point included", "pixel"))
    sys_row_row: float = field(metadata=_stored("float", "covariance of the zero point, PRF and WCS", "pixel2"))
    sys_row_col: float = field(metadata=_stored("float", "covariance of the zero point, PRF and WCS", "pixel2"))
    sys_col_col: float = field(metadata=_stored("float", "covariance of the zero point, PRF and WCS", "pixel2"))
    east_per_row: float = field(metadata=_stored("float", "east on the sky for one row", "arcsec/pixel"))
    east_per_col: float = field(metadata=_stored("float", "east on the sky for one column", "arcsec/pixel"))
    north_per_row: float = field(metadata=_stored("float", "north on the sky for one row", "arcsec/pixel"))
    north_per_col: float = field(metadata=_stored("float", "north on the sky for one column", "arcsec/pixel"))
    artefact: float = field(metadata=_stored("float", "log likelihood of an artefact that has no point source"))
    prf_source: str = field(metadata=_stored("str", "PRF used: spoc or empirical"))
    has_neighbours: bool = field(metadata=_stored("bool", "whether a neighbour table was given"))
    flags: tuple[str, ...] = field(metadata=_stored("strings", "what to know about this sector"))
    map_row: float = field(metadata=_stored("float", "row of the first node of the map of the stamp", "pixel"))
    map_col: float = field(metadata=_stored("float", "column of the first node of the map of the stamp", "pixel"))
    map_step: float = field(metadata=_stored("float", "distance between nodes of the map of the stamp", "pixel"))
    map_rows: int = field(metadata=_stored("int", "rows of the map of the stamp"))
    map_cols: int = field(metadata=_stored("int", "columns of the map of the stamp"))
    significance_map: FloatArray = field(
        metadata=_stored("floats", "signal to noise of a dip at each node, [row, col]")
    )
    near_row: float = field(metadata=_stored("float", "row of the first node of the near map", "pixel"))
    near_col: float = field(metadata=_stored("float", "column of the first node of the near map", "pixel"))
    near_row_step: float = field(metadata=_stored("float", "rows between nodes of the near map", "pixel"))
    near_col_step: float = field(metadata=_stored("float", "columns between nodes of the near map", "pixel"))
    near_rows: int = field(metadata=_stored("int", "rows of the near map"))
    near_cols: int = field(metadata=_stored("int", "columns of the near map"))
    near_map: FloatArray = field(
        metadata=_stored("floats", "signal to noise of a dip at each node of the near map, [row, col]")
    )
    peak_row: float = field(metadata=_stored("float", "row of the first node of the map of the peak", "pixel"))
    peak_col: float = field(metadata=_stored("float", "column of the first node of the map of the peak", "pixel"))
    peak_row_step: float = field(metadata=_stored("float", "rows between nodes of the map of the peak", "pixel"))
    peak_col_step: float = field(metadata=_stored("float", "columns between nodes of the map of the peak", "pixel"))
    peak_rows: int = field(metadata=_stored("int", "rows of the map of the peak"))
    peak_cols: int = field(metadata=_stored("int", "columns of the map of the peak"))
    peak_map: FloatArray = field(
        metadata=_stored("floats", "signal to noise of a dip at each node around the best, [row, col]")
    )
    information_map: FloatArray = field(
        metadata=_stored("floats", "Fisher information of the dip's flux at every second node, [row, col]", "(e-/s)-2")
    )
    star_id: tuple[str, ...] = field(metadata=_stored("strings", "stars of the scene, the target first"))
    star_is_target: NDArray[np.bool_] = field(metadata=_stored("bools", "which of them is the declared target"))
    star_east: FloatArray = field(metadata=_stored("floats", "stars, east of the target", "arcsec"))
    star_north: FloatArray = field(metadata=_stored("floats", "stars, north of the target", "arcsec"))
    star_tmag: FloatArray = field(metadata=_stored("floats", "stars, TESS magnitude", "mag"))
    star_flux: FloatArray = field(metadata=_stored("floats", "stars, flux out of transit", "e-/s"))
    star_score: FloatArray = field(metadata=_stored("floats", "derivatives of the log likelihood at no dip, [star, 3]"))
    star_information: FloatArray = field(
        metadata=_stored("floats", "Fisher information of dip, row, column, [star, 3, 3]")
    )

    @property
    def position_covariance(self) -> FloatArray:
        """Covariance of the dip's position from the noise alone, pixel², (row, col)."""
        return np.array([[self.cov_row_row, self.cov_row_col], [self.cov_row_col, self.cov_col_col]])

    @property
    def systematic_covariance(self) -> FloatArray:
        """Covariance of zero point, PRF and WCS, pixel², (row, col)."""
        return np.array([[self.sys_row_row, self.sys_row_col], [self.sys_row_col, self.sys_col_col]])

    @property
    def sky_from_pixel(self) -> FloatArray:
        """Arcsec (east, north) for one pixel of (row, col), 2 x 2."""
        return np.array([[self.east_per_row, self.east_per_col], [self.north_per_row, self.north_per_col]])

    @property
    def offset(self) -> FloatArray:
        """The dip minus the target, arcsec (east, north)."""
        return self.sky_from_pixel @ np.array([self.row - self.target_row, self.col - self.target_col])

    @property
    def offset_covariance(self) -> FloatArray:
        """Covariance of `offset`, arcsec²: noise, zero point, PRF and WCS."""
        sky = self.sky_from_pixel
        return sky @ (self.position_covariance + self.systematic_covariance) @ sky.T

    @property
    def noise_scale(self) -> float:
        """What chi² is divided by; see `noise_scale`."""
        return noise_scale(self.chi2_reduced, self.rows * self.cols - 3)

    def to_row(self) -> dict[str, Any]:
        """Flat row: scalars, 1-D arrays and lists of strings, as `ROW_FIELDS` says."""
        row: dict[str, Any] = {}
        for name, kind in ROW_FIELDS.items():
            value = getattr(self, name)
            if kind == "floats":
                value = np.asarray(value, dtype=np.float32).ravel()
            elif kind == "bools":
                value = np.asarray(value, dtype=np.bool_).ravel()
            elif kind == "strings":
                value = list(value)
            row[name] = value
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> SectorEvidence:
        """The evidence that `to_row` flattened; unknown keys are ignored.

        Raises
        ------
        KeyError
            A field of `ROW_FIELDS` is missing.
        """
        values = {name: _CONVERT[kind](row[name]) for name, kind in ROW_FIELDS.items()}
        stars, half = len(values["star_id"]), ((values["map_rows"] + 1) // 2, (values["map_cols"] + 1) // 2)
        values["significance_map"] = values["significance_map"].reshape(values["map_rows"], values["map_cols"])
        for name in ("near", "peak"):
            size = values[f"{name}_rows"], values[f"{name}_cols"]
            values[f"{name}_map"] = values[f"{name}_map"].reshape(size)
        values["information_map"] = values["information_map"].reshape(half)
        values["star_score"] = values["star_score"].reshape(stars, 3)
        values["star_information"] = values["star_information"].reshape(stars, 3, 3)
        return cls(**values)


def noise_scale(chi2_reduced: float, freedom: int) -> float:
    """What chi² is divided by where the model fits worse than the noise allows; 1 where it does not.

    Less its own scatter: the larger of 1 and the reduced chi² alone would widen every second good fit.
    """
    return max(1.0, chi2_reduced - math.sqrt(2.0 / max(freedom, 1))) if math.isfinite(chi2_reduced) else 1.0


def _number(value: Any) -> float:
    """A float; a null of a table is NaN."""
    return math.nan if value is None else float(value)


_CONVERT = {
    "int": int,
    "float": _number,
    "str": str,
    "bool": bool,
    "strings": lambda value: tuple(str(item) for item in value),
    "floats": lambda value: np.asarray(value, dtype=np.float64),
    "bools": lambda value: np.asarray(value, dtype=np.bool_),
}

#: Column of a stored row -> kind (int, float, str, bool, strings, floats, bools), in order.
ROW_FIELDS: dict[str, str] = {item.name: item.metadata["kind"] for item in fields(SectorEvidence)}
#: Column of a stored row -> (unit, one sentence).
ROW_TEXT: dict[str, tuple[str, str]] = {
    item.name: (item.metadata["unit"], item.metadata["text"]) for item in fields(SectorEvidence)
}
