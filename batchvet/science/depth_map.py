"""V09: the depth of the dip in every pixel, from medians in and out of transit.

The definition is tess-vetter's (0.3.20, method: V08, V09, V10), so that its published figures come out to the last bit.
It divides by almost nothing at the edge of a bright star's image: what to decide from is :mod:`.localization`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from batchvet.arrays import BoolArray, Float32Array, FloatArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.frames import Frames
from batchvet.science.metric import Metric
from batchvet.vocabulary import Flag, Status

OUT_OF_TRANSIT = 3.0  #: cadences at least this many half durations from mid-transit are out of transit
EDGE_PIXELS = 1  #: a peak this close to the stamp's edge is not believed

METRICS: dict[str, Metric] = {
    "max_depth_ppm": Metric("float", "ppm", "Largest positive depth of any pixel."),
    "max_depth_ppm_abs": Metric("float", "ppm", "Its absolute value."),
    "target_depth_ppm": Metric("float", "ppm", "Depth of the stamp's central pixel."),
    "target_depth_ppm_abs": Metric("float", "ppm", "Its absolute value."),
    "concentration_ratio": Metric("float", "", "Depth of the central pixel over the largest."),
    "concentration_ratio_abs": Metric("float", "", "The same of absolute values."),
    "distance_to_target_pixels": Metric("float", "pixel", "From the deepest pixel to the central one."),
    "max_depth_pixel_edge_distance": Metric("int", "pixel", "From the deepest pixel to the stamp's edge."),
    "target_pixel_edge_distance": Metric("int", "pixel", "From the central pixel to the stamp's edge."),
    "localization_reliable": Metric("bool", "", "Whether the deepest pixel may be believed."),
    "n_cadences": Metric("int", "", "Cadences without an excluded quality flag."),
    "max_depth_pixel_row": Metric("int", "pixel", "Row of the deepest pixel in the stamp."),
    "max_depth_pixel_col": Metric("int", "pixel", "Column of the deepest pixel in the stamp."),
    "target_pixel_row": Metric("int", "pixel", "Row of the central pixel."),
    "target_pixel_col": Metric("int", "pixel", "Column of the central pixel."),
}


@dataclass(frozen=True, eq=False)
class DepthMap:
    """V09's figures; the names are those of :data:`METRICS`, which says what each means."""

    status: Status  #: ok, or skipped when there is no cadence in or none out of transit
    flags: tuple[str, ...] = ()  #: in tess-vetter's words and order
    max_depth_ppm: float = math.nan
    target_depth_ppm: float = math.nan
    distance_to_target_pixels: float = math.nan
    n_cadences: int = 0
    max_depth_pixel: tuple[int, int] = (0, 0)  #: row, column
    shape: tuple[int, int] = (0, 0)  #: rows, columns
    n_in_transit: int = 0  #: cadences the medians in transit were taken over
    n_out_of_transit: int = 0
    depth_ppm: FloatArray = field(default_factory=lambda: np.empty((0, 0)))  #: NaN where undefined, [row, col]
    out_of_transit: FloatArray = field(default_factory=lambda: np.empty((0, 0)))  #: median, e-/s, [row, col]
    in_transit: FloatArray = field(default_factory=lambda: np.empty((0, 0)))  #: median, e-/s, [row, col]

    @property
    def target_pixel(self) -> tuple[int, int]:
        """Row and column of the stamp's central pixel, which V09 takes for the target's."""
        return self.shape[0] // 2, self.shape[1] // 2

    def metrics(self) -> dict[str, float | int | bool]:
        """The figures by their names in :data:`METRICS`; empty when V09 was skipped."""
        if self.status != Status.OK:
            return {}
        deepest, target = self.max_depth_ppm, self.target_depth_ppm
        return {
            "max_depth_ppm": deepest,
            "max_depth_ppm_abs": abs(deepest),
            "target_depth_ppm": target,
            "target_depth_ppm_abs": abs(target),
            "concentration_ratio": target / deepest if deepest > 0 else 0.0,
            "concentration_ratio_abs": abs(target) / abs(deepest) if deepest != 0 else 0.0,
            "distance_to_target_pixels": self.distance_to_target_pixels,
            "max_depth_pixel_edge_distance": _edge_distance(self.max_depth_pixel, self.shape),
            "target_pixel_edge_distance": _edge_distance(self.target_pixel, self.shape),
            "localization_reliable": Flag.DIFFIMG_UNRELIABLE not in self.flags,
            "n_cadences": self.n_cadences,
            "max_depth_pixel_row": self.max_depth_pixel[0],
            "max_depth_pixel_col": self.max_depth_pixel[1],
            "target_pixel_row": self.target_pixel[0],
            "target_pixel_col": self.target_pixel[1],
        }


def depth_map(time: FloatArray, flux: Float32Array, ephemeris: Ephemeris) -> DepthMap:
    """Depth of every pixel, its peak, and whether the peak may be believed.

    Parameters
    ----------
    time : array, BTJD days, [cadence]
    flux : array, e-/s, [cadence, row, col]
        Cadences without an excluded quality flag.
    ephemeris : Ephemeris

    Returns
    -------
    DepthMap
        Status ``skipped`` with the flag ``INSUFFICIENT_DATA`` without a cadence in or out of transit.
    """
    return depth_map_of(Frames.of(time, flux), ephemeris)


def depth_map_of(frames: Frames, ephemeris: Ephemeris) -> DepthMap:
    """As :func:`depth_map`, of frames that the other checks share."""
    in_transit, out_of_transit = transit_masks(frames.time, ephemeris)
    in_transit &= frames.seen
    out_of_transit &= frames.seen
    counted = DepthMap(
        status=Status.SKIPPED,
        flags=(Flag.INSUFFICIENT_DATA,),
        n_cadences=len(frames),
        shape=frames.shape,
        n_in_transit=int(in_transit.sum()),
        n_out_of_transit=int(out_of_transit.sum()),
    )
    if not (counted.n_in_transit and counted.n_out_of_transit):
        return counted
    out_median = pixel_medians(frames, out_of_transit)
    in_median = pixel_medians(frames, in_transit)
    with np.errstate(invalid="ignore", divide="ignore"):
        depth_ppm = (out_median - in_median) / out_median * 1e6
    depth_ppm[~np.isfinite(depth_ppm)] = np.nan
    peak = _peak(depth_ppm)
    return replace(
        counted,
        status=Status.OK,
        flags=peak.flags,
        max_depth_ppm=peak.depth_ppm,
        target_depth_ppm=peak.target_depth_ppm,
        distance_to_target_pixels=peak.distance,
        max_depth_pixel=peak.pixel,
        depth_ppm=depth_ppm,
        out_of_transit=out_median,
        in_transit=in_median,
    )


def transit_masks(time: FloatArray, ephemeris: Ephemeris) -> tuple[BoolArray, BoolArray]:
    """Cadences within half a duration of mid-transit, and those at least one and a half durations away.

    Returns
    -------
    in_transit, out_of_transit : bool arrays, [cadence]; false where `time` is not finite
    """
    if ephemeris.is_single:
        distance = np.abs(time - ephemeris.t0_btjd)
        half = ephemeris.duration_days / 2.0
    else:
        # in phase, as the definition has it: cadences on the boundary must fall on the same side
        phase = ((time - ephemeris.t0_btjd) / ephemeris.period_days) % 1.0
        distance = np.abs(np.where(phase > 0.5, phase - 1.0, phase))
        half = ephemeris.duration_hours / 24.0 / ephemeris.period_days / 2.0
    return distance < half, distance >= OUT_OF_TRANSIT * half


def pixel_medians(frames: Frames, cadences: BoolArray) -> FloatArray:
    """Median over cadences of every pixel, NaN ignored, in float64; NaN where a pixel has no value.

    Parameters
    ----------
    frames : Frames
    cadences : bool array, [cadence]
        Those that count.

    Returns
    -------
    array, e-/s, [row, col]

    Notes
    -----
    A partition of each pixel's float32 series instead of a sort; the mean of the two middle values is taken in
    float64, as numpy's nanmedian of float64 values does.
    """
    series = frames.light_in(cadences)
    if series is frames.series:
        series = series.copy()
    if frames.all_finite:
        return _medians(series).reshape(frames.shape)
    n_valid = series.shape[1] - np.isnan(series).sum(axis=1)
    medians = np.full(len(series), np.nan)
    for n in np.unique(n_valid[n_valid > 0]):  # NaN are put last, so pixels alike in their count go together
        alike = n_valid == n
        medians[alike] = _medians(np.sort(series[alike], axis=1)[:, :n])
    return medians.reshape(frames.shape)


def _medians(series: Float32Array) -> FloatArray:
    """Medians of series [pixel, n] without NaN, which are left in another order."""
    n = series.shape[1]
    # one partition point is several times as fast as two: the lower of two middle values is the left part's largest
    series.partition(n // 2, axis=1)
    upper = series[:, n // 2].astype(np.float64)
    if n % 2:
        return upper
    lower = series[:, : n // 2].max(axis=1).astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf
        return np.asarray((lower + upper) / 2.0)


@dataclass(frozen=True)
class _Peak:
    """The deepest pixel of a depth map."""

    pixel: tuple[int, int]  #: row, column; (0, 0) when no pixel has a positive depth
    depth_ppm: float
    target_depth_ppm: float  #: of the stamp's central pixel
    distance: float  #: to that, pixels
    flags: tuple[str, ...]  #: whether it may be believed


def _peak(depth_ppm: FloatArray) -> _Peak:
    n_rows, n_cols = depth_ppm.shape
    target = (n_rows // 2, n_cols // 2)
    positive = np.where(depth_ppm > 0, depth_ppm, -np.inf)
    flags: list[str] = []
    if np.any(depth_ppm > 0):
        row, col = np.unravel_index(int(np.argmax(positive)), depth_ppm.shape)
        peak = (int(row), int(col))
        deepest = float(depth_ppm[peak])
        target_depth = float(depth_ppm[target]) if np.isfinite(depth_ppm[target]) else 0.0
        distance = float(np.hypot(peak[0] - target[0], peak[1] - target[1]))
    else:
        peak, deepest, target_depth, distance = (0, 0), 0.0, 0.0, math.nan
        flags.append(Flag.NO_VALID_PIXEL_DEPTHS)
    if _edge_distance(peak, (n_rows, n_cols)) <= EDGE_PIXELS:
        flags.append(Flag.DIFFIMG_MAX_AT_EDGE)
    if not target_depth > 0:
        flags.append(Flag.DIFFIMG_TARGET_DEPTH_NONPOSITIVE)
    if not deepest > 0:
        flags.append(Flag.DIFFIMG_MAX_DEPTH_NONPOSITIVE)
    if flags:
        flags.append(Flag.DIFFIMG_UNRELIABLE)
    return _Peak(peak, deepest, target_depth, distance, tuple(flags))


def _edge_distance(pixel: tuple[int, int], shape: tuple[int, int]) -> int:
    return min(pixel[0], pixel[1], shape[0] - 1 - pixel[0], shape[1] - 1 - pixel[1])
