"""What there is to see of one sector and of one candidate, taken out of the tables' rows.

The figures and the report's drawings both start here, so that they show the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.results.schema import hosts_of

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]

#: Bit of the SPOC aperture image that marks the optimal aperture.
OPTIMAL_APERTURE = 2


@dataclass(frozen=True)
class Star:
    """A star of the scene on the stamp."""

    source_id: str
    col: float  #: pixel of the stamp
    row: float  #: pixel of the stamp
    tmag: float  #: TESS magnitude; NaN when unknown
    is_target: bool


@dataclass(frozen=True, eq=False)
class Ellipse:
    """A position with its error, in the units of the axes that it is drawn on."""

    x: float
    y: float
    covariance: FloatArray  #: [2, 2], (x, y)

    def axes(self) -> tuple[float, float, float]:
        """Half axes at one sigma, the longer first, and the longer one's angle from x, deg."""
        values, vectors = np.linalg.eigh(self.covariance)
        minor, major = np.sqrt(np.maximum(values, 0.0))
        angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
        return float(major), float(minor), angle

    def outline(self, sigma: float, n: int = 72) -> FloatArray:
        """Points of the ellipse at `sigma`, closed, [n + 1, 2]."""
        turn = np.linspace(0.0, 2.0 * math.pi, n + 1)
        values, vectors = np.linalg.eigh(self.covariance)
        half_axes = vectors * np.sqrt(np.maximum(values, 0.0))
        circle = np.array([np.cos(turn), np.sin(turn)])
        points: FloatArray = (sigma * half_axes @ circle).T + np.array([self.x, self.y])
        return points


@dataclass(frozen=True, eq=False)
class SectorView:
    """One candidate in one sector: the images and what is marked on them."""

    toi: str
    tic: int
    sector: int
    status: str  #: ok, skipped or error
    reason: str  #: why it was skipped or failed; empty when ok
    verdict: str  #: of the candidate; empty when there is none
    images: Mapping[str, FloatArray] = field(default_factory=dict)  #: panel name -> [row, col]
    aperture: BoolArray | None = None  #: the pipeline's optimal aperture, [row, col]
    corner: tuple[int, int] | None = None  #: CCD (column, row) of pixel [0, 0]; None when unknown
    stars: tuple[Star, ...] = ()
    peak: tuple[int, int] | None = None  #: V09's deepest pixel, (column, row) of the stamp
    source: Ellipse | None = None  #: the dip, stamp pixels (column, row)
    sky: FloatArray | None = None  #: arcsec (east, north) for a pixel of (column, row), [2, 2]
    figures: Mapping[str, float] = field(default_factory=dict)  #: what the caption quotes

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns; (0, 0) without images."""
        return next((image.shape for image in self.images.values()), (0, 0))

    def north_and_east(self) -> dict[str, tuple[float, float]]:
        """Unit vectors on the stamp (column, row) towards N and E; empty without a WCS."""
        if self.sky is None:
            return {}
        towards = np.linalg.inv(self.sky)
        east, north = (towards[:, i] / np.hypot(*towards[:, i]) for i in range(2))
        return {"N": (float(north[0]), float(north[1])), "E": (float(east[0]), float(east[1]))}


@dataclass(frozen=True, eq=False)
class SkyView:
    """One candidate on the sky, arcsec east and north of the target."""

    toi: str
    tic: int
    verdict: str
    stars: tuple[Star, ...]  #: `col` and `row` are arcsec east and north here
    sectors: Mapping[int, Ellipse]  #: the dip in each sector
    joint: Ellipse | None  #: the dip in all sectors together
    hosts: Mapping[str, float]  #: source_id -> probability
    figures: Mapping[str, float] = field(default_factory=dict)  #: what the caption quotes
    stamps: Mapping[int, FloatArray] = field(default_factory=dict)  #: sector -> corners of its stamp, [corner, 2]

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a star nor a position to show."""
        return not self.stars and not self.sectors and self.joint is None

    def reach(self) -> float:
        """Half the side of a square about the target that shows what is measured, arcsec.

        That is the joint place with three times its error, the likely hosts, and of the sectors' ellipses what is
        not much farther; a vague sector runs off the frame.
        """
        points = [4.0]
        if self.joint is not None:
            points.append(float(np.abs(self.joint.outline(3.0)).max()))
        points += [math.hypot(s.col, s.row) for s in self.stars if self.hosts.get(s.source_id, 0) > 0.01]
        sectors = [float(np.abs(ellipse.outline(1.0)).max()) for ellipse in self.sectors.values()]
        most = 2.0 * max(points) if self.joint is not None else math.inf
        return min(
            1.15 * max(*points, *(min(reach, most) for reach in sectors)) if sectors else 1.15 * max(points), 240.0
        )


def sector_view(sector: Row, image: Row | None, candidate: Row | None) -> SectorView:
    """The view of a row of the sectors table, with its images and its candidate's verdict where there are any.

    Parameters
    ----------
    sector, image, candidate
        Rows of the three tables (dict or pandas Series); `image` and `candidate` may be None.
    """
    common: dict[str, Any] = {
        "toi": str(sector["toi"]),
        "tic": int(sector["tic"]),
        "sector": int(sector["sector"]),
        "status": str(sector["status"]),
        "reason": text(sector, "error"),
        "verdict": text(candidate, "verdict") if candidate is not None else "",
    }
    if image is None:
        return SectorView(**common)
    shape = (int(image["n_rows"]), int(image["n_cols"]))
    sky = _sky_from_pixel(image)
    return SectorView(
        **common,
        images=_images(image, shape),
        aperture=_aperture(image, shape),
        corner=(int(image["column"]), int(image["row"])) if image["column"] or image["row"] else None,
        stars=_stars(image),
        peak=_peak(sector),
        source=_source(sector, image, sky),
        sky=sky,
        figures={name: number(sector, name) for name in CAPTION},
    )


#: Columns that a sector's caption quotes.
CAPTION = ("target_offset_arcsec", "significance_sigma", "difference_snr", "v09_max_depth_ppm")


def sky_view(candidate: Row, sectors: Iterable[Row], images: Iterable[Row]) -> SkyView:
    """The view of a candidate on the sky from its rows of the three tables."""
    images = list(images)
    ellipses = {}
    for row in sectors:
        ellipse = _offset(row)
        if ellipse is not None:
            ellipses[int(row["sector"])] = ellipse
    return SkyView(
        toi=str(candidate["toi"]),
        tic=int(candidate["tic"]),
        verdict=text(candidate, "verdict"),
        stars=_stars_on_sky(images),
        sectors=ellipses,
        joint=_offset(candidate),
        hosts={host["source_id"]: float(host["probability"]) for host in hosts_of(candidate)},
        figures={name: number(candidate, name) for name in ("offset_arcsec", "significance_sigma", "p_target")},
        stamps={int(row["sector"]): corners for row in images if (corners := _stamp_corners(row)) is not None},
    )


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of a table, each a value by its column's name."""
    return cast("list[Row]", table.to_dict("records"))


def number(row: Row | None, name: str) -> float:
    """A figure of a row; NaN where it is missing or null."""
    value = None if row is None else row.get(name)
    return math.nan if value is None else float(value)


def text(row: Row, name: str) -> str:
    """A word of a row; empty where it is missing or null."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def names(row: Row, name: str) -> tuple[str, ...]:
    """A list of words of a row; empty where it is missing or null."""
    value = row.get(name)
    return () if value is None or isinstance(value, float) else tuple(str(item) for item in value)


def _values(row: Row, name: str) -> FloatArray:
    value = row.get(name)
    if value is None or isinstance(value, float):
        return np.empty(0)
    return np.asarray(value, dtype=np.float64)


def _images(image: Row, shape: tuple[int, int]) -> dict[str, FloatArray]:
    """The panels that this row has pixels for; the signal to noise is made here."""
    size = shape[0] * shape[1]
    found = {}
    for panel in ("difference", "out_of_transit", "depth_ppm"):
        values = _values(image, panel)
        if values.size == size and size:
            found[panel] = values.reshape(shape)
    error = _values(image, "difference_error")
    if "difference" in found and error.size == size:
        error = error.reshape(shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            snr = np.where(error > 0, found["difference"] / error, np.nan)
        found["snr"] = snr
    return {panel: found[panel] for panel in ("difference", "snr", "out_of_transit", "depth_ppm") if panel in found}


def _aperture(image: Row, shape: tuple[int, int]) -> BoolArray | None:
    bits = _values(image, "aperture")
    if bits.size != shape[0] * shape[1]:
        return None
    return (bits.astype(np.int64) & OPTIMAL_APERTURE).astype(bool).reshape(shape)


def _stars(image: Row) -> tuple[Star, ...]:
    """The scene's stars, the target first; without a scene the target alone."""
    ids = names(image, "star_id")
    if not ids:
        col, row = number(image, "target_col"), number(image, "target_row")
        return (Star("", col, row, math.nan, True),) if math.isfinite(col + row) else ()
    places = zip(ids, *(_values(image, f"star_{name}") for name in ("col", "row", "tmag")), strict=True)
    return tuple(
        Star(name, float(col), float(row), float(tmag), index == 0)
        for index, (name, col, row, tmag) in enumerate(places)
    )


def _sky_from_pixel(image: Row) -> FloatArray | None:
    matrix = np.array(
        [
            [number(image, "east_per_col"), number(image, "east_per_row")],
            [number(image, "north_per_col"), number(image, "north_per_row")],
        ]
    )
    usable = np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-6
    return matrix if usable else None


def _peak(sector: Row) -> tuple[int, int] | None:
    col, row = number(sector, "v09_max_depth_pixel_col"), number(sector, "v09_max_depth_pixel_row")
    return (int(col), int(row)) if math.isfinite(col + row) else None


def _source(sector: Row, image: Row, sky: FloatArray | None) -> Ellipse | None:
    """The fitted position on the stamp, its error taken back from the sky."""
    col, row = number(image, "source_col"), number(image, "source_row")
    if not math.isfinite(col + row):
        return None
    offset = _offset(sector)
    if offset is None or sky is None:
        return Ellipse(col, row, np.zeros((2, 2)))
    pixel = np.linalg.inv(sky)
    return Ellipse(col, row, pixel @ offset.covariance @ pixel.T)


def _offset(row: Row) -> Ellipse | None:
    """The offset of a sector's or a candidate's row on the sky, arcsec (east, north)."""
    east, north = number(row, "offset_ra_arcsec"), number(row, "offset_dec_arcsec")
    ee, en, nn = (number(row, f"offset_cov_{axes}") for axes in ("ra_ra", "ra_dec", "dec_dec"))
    if not math.isfinite(east + north + ee + en + nn):
        return None
    return Ellipse(east, north, np.array([[ee, en], [en, nn]]))


def _stamp_corners(image: Row) -> FloatArray | None:
    """The corners of a stamp from its target, arcsec (east, north), [4, 2]; None where its WCS is not known."""
    sky, target = _sky_from_pixel(image), np.array([number(image, "target_col"), number(image, "target_row")])
    if sky is None or not np.isfinite(target).all():
        return None
    right, top = int(image["n_cols"]) - 0.5, int(image["n_rows"]) - 0.5
    corners = np.array([(-0.5, -0.5), (right, -0.5), (right, top), (-0.5, top)])
    return np.asarray((corners - target) @ sky.T)


def _stars_on_sky(images: Iterable[Row]) -> tuple[Star, ...]:
    """Stars about the target in arcsec, from the first sector that has a scene and a WCS."""
    for image in images:
        sky, stars = _sky_from_pixel(image), _stars(image)
        if sky is None or not stars:
            continue
        origin = stars[0]
        placed = []
        for star in stars:
            east, north = sky @ (star.col - origin.col, star.row - origin.row)
            placed.append(Star(star.source_id, float(east), float(north), star.tmag, star.is_target))
        return tuple(placed)
    return ()
