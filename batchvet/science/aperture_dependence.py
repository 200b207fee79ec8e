"""V10: is the transit as deep in a small aperture as in a large one?

The definition is tess-vetter's (0.3.20, SCIENCE section 1): circles of 1 to 3 pixels about the stamp's centre, the
median of an annulus as background of every cadence, the depth of each transit against half a day on either side.
A neighbour's eclipse grows with the aperture; so does the error of a background that is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Ephemeris
from batchvet.science.metric import Metric

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Radii of the apertures, pixels.
RADII = (1.0, 1.5, 2.0, 2.5, 3.0)
#: Half the length of the baseline about a transit, days.
LOCAL_BASELINE_DAYS = 0.5
#: In-transit cadences further apart than this many belong to different transits.
_EPOCH_GAP = 10


def _depth_name(radius: float) -> str:
    return f"depth_ppm_aperture_{str(radius).replace('.', 'p')}"


METRICS: dict[str, Metric] = {
    "stability_metric": Metric("float", "", "1 when all apertures see the same depth, 0 when they scatter."),
    "depth_variance_ppm2": Metric("float", "ppm2", "Variance of the depths over the apertures."),
    "recommended_aperture_pixels": Metric("float", "pixel", "Radius of the most typical aperture."),
    "depth_ppm_aperture_min": Metric("float", "ppm", "Depth in the smallest aperture that has one."),
    "depth_ppm_aperture_max": Metric("float", "ppm", "Depth in the largest aperture that has one."),
    "aperture_depth_sign_flip": Metric("bool", "", "Whether these two depths differ in sign."),
    "n_in_transit_cadences": Metric("int", "", "Cadences within half a duration of mid-transit."),
    "n_out_of_transit_cadences": Metric("int", "", "All other cadences."),
    "n_transit_epochs": Metric("int", "", "Transits seen: runs of in-transit cadences."),
    "baseline_mode": Metric("str", "", "What the flux in transit is compared with."),
    "local_baseline_window_days": Metric("float", "d", "Half the length of the baseline about a transit."),
    "background_mode": Metric("str", "", "How the background of a cadence is found."),
    "n_background_pixels": Metric("int", "", "Pixels of the background annulus."),
    "drift_fraction_recommended": Metric(
        "float", "", "Change of the flux from the first to the second half of the sector, recommended aperture."
    ),
} | {_depth_name(radius): Metric("float", "ppm", f"Depth within {radius} pixels.") for radius in RADII}


@dataclass(frozen=True)
class ApertureDependence:
    """V10's figures; the names are those of :data:`METRICS`, which says what each means."""

    status: str  #: "ok", "skipped" (too little data) or "error" (an ephemeris that is none)
    flags: tuple[str, ...] = ()  #: in tess-vetter's words
    stability_metric: float = math.nan
    depth_variance_ppm2: float = math.nan
    recommended_aperture_pixels: float = math.nan
    n_in_transit_cadences: int = 0
    n_out_of_transit_cadences: int = 0
    n_transit_epochs: int = 0
    n_background_pixels: int = 0
    drift_fraction_recommended: float = math.nan
    depth_by_radius: tuple[float, ...] = (math.nan,) * len(RADII)  #: ppm, as :data:`RADII`; NaN where not measured

    @property
    def depth_ppm_aperture_min(self) -> float:
        return self._measured_depths()[0]

    @property
    def depth_ppm_aperture_max(self) -> float:
        return self._measured_depths()[-1]

    @property
    def aperture_depth_sign_flip(self) -> bool:
        return self.depth_ppm_aperture_min * self.depth_ppm_aperture_max < 0

    @property
    def baseline_mode(self) -> str:
        return "local_window_per_epoch"

    @property
    def local_baseline_window_days(self) -> float:
        return LOCAL_BASELINE_DAYS

    @property
    def background_mode(self) -> str:
        return "annulus_median_per_cadence" if self.n_background_pixels >= 3 else "none"

    def _measured_depths(self) -> list[float]:
        return [depth for depth in self.depth_by_radius if not math.isnan(depth)] or [math.nan]

    def metrics(self) -> dict[str, float | int | str | bool | None]:
        """Name and value of every figure of :data:`METRICS`; None where the check did not run."""
        if self.status != "ok":
            return dict.fromkeys(METRICS)
        depths = {_depth_name(r): depth for r, depth in zip(RADII, self.depth_by_radius, strict=True)}
        return {name: depths[name] if name in depths else getattr(self, name) for name in METRICS}


@dataclass(frozen=True)
class _Photometry:
    """Light curves of the apertures, and which cadences are in transit."""

    time: FloatArray  #: BTJD days, [cadence]
    in_transit: BoolArray  #: [cadence]
    raw: FloatArray  #: e-/s, [aperture, cadence]
    net: FloatArray  #: e-/s, background subtracted, [aperture, cadence]


def aperture_dependence(time: FloatArray, flux: NDArray[np.floating], ephemeris: Ephemeris) -> ApertureDependence:
    """Measure the transit depth in circles of five radii about the stamp's centre.

    Parameters
    ----------
    time : array, BTJD days, [cadence]
    flux : array, e-/s, [cadence, row, col]
        Only cadences that survive the quality bitmask; either memory order; NaN pixels count as 0.
    ephemeris
        Which cadences are in transit: within half a duration, the edge included; all others are out.

    Returns
    -------
    ApertureDependence
        ``skipped`` with ``INSUFFICIENT_DATA`` for fewer than 10 cadences, 3 in or 3 out of transit, or where fewer
        than two apertures have a depth.

    Notes
    -----
    SCIENCE section 1; Bryson et al. 2013, section 3.3.
    """
    error = _ephemeris_error(ephemeris)
    if error is not None:
        return ApertureDependence("error", (f"ERROR:{error}",))
    used = np.isfinite(time) & _has_finite_pixel(flux)
    dropped = not used.all()
    if dropped:
        time, flux = time[used], flux[used]
    in_transit = _in_transit(time, ephemeris)
    n_in = int(in_transit.sum())
    if time.size < 10 or n_in < 3 or time.size - n_in < 3:
        return ApertureDependence("skipped", ("INSUFFICIENT_DATA",))

    distance = _distance_from_centre(flux.shape[1:])
    annulus = _annulus(distance, flux.shape[1:])
    n_annulus = int(annulus.sum())
    background = _row_medians_sorted(_pixels(flux, annulus)) if n_annulus >= 3 else np.zeros(time.size)
    light = _photometry(time, flux, in_transit, distance, background)
    epochs = _epochs(in_transit)
    with np.errstate(invalid="ignore", over="ignore"):
        depths, fallback = _depths(light, epochs)
    if len(depths) < 2:
        return ApertureDependence("skipped", ("INSUFFICIENT_DATA",))

    stability = _stability(np.array(list(depths.values())))
    recommended = _recommended(depths, stability)
    drift = _drift(light, recommended)
    reasons = {
        "dropped_invalid_cadences": dropped,
        "low_n_transit_epochs": len(epochs) < 2,
        "low_n_in_transit_cadences": n_in < 20,
        "no_background_subtraction": n_annulus < 3,
        "background_annulus_small": 3 <= n_annulus < 10,
        "negative_depths_present": any(depth < 0 for depth in depths.values()),
        "sector_fallback_used": fallback,
        "high_out_of_transit_drift_recommended_aperture": abs(drift) >= 0.01,
    }
    return ApertureDependence(
        "ok",
        tuple(flag for flag, applies in reasons.items() if applies),
        stability_metric=stability,
        depth_variance_ppm2=float(np.var(list(depths.values()))),
        recommended_aperture_pixels=RADII[recommended],
        n_in_transit_cadences=n_in,
        n_out_of_transit_cadences=time.size - n_in,
        n_transit_epochs=len(epochs),
        n_background_pixels=n_annulus,
        drift_fraction_recommended=drift,
        depth_by_radius=tuple(depths.get(index, math.nan) for index in range(len(RADII))),
    )


def _ephemeris_error(ephemeris: Ephemeris) -> str | None:
    """The name of the error that tess-vetter meets in this ephemeris, if any."""
    if not ephemeris.duration_hours > 0:
        return "ValidationError"
    if not ephemeris.is_single and ephemeris.duration_hours / 24.0 >= ephemeris.period_days:
        return "ValueError"
    return None


def _has_finite_pixel(flux: NDArray[np.floating]) -> BoolArray:
    """Which frames have a pixel that is a number, [cadence]."""
    with np.errstate(invalid="ignore", over="ignore"):
        finite = np.isfinite(flux.sum(axis=(1, 2)))
    doubtful = np.flatnonzero(~finite)
    finite[doubtful] = np.isfinite(flux[doubtful]).any(axis=(1, 2))
    return finite


def _in_transit(time: FloatArray, ephemeris: Ephemeris) -> BoolArray:
    """Cadences within half a duration of mid-transit, folded as tess-vetter folds here (not as in V08)."""
    since = time - ephemeris.t0_btjd
    if not ephemeris.is_single:
        since = since % ephemeris.period_days
        since = np.where(since > ephemeris.period_days / 2, since - ephemeris.period_days, since)
    return np.abs(since) <= ephemeris.duration_hours / 24.0 / 2


def _distance_from_centre(shape: tuple[int, ...]) -> FloatArray:
    """Squared distance of each pixel from the centre of the stamp, pixels², [row, col]."""
    row, col = np.ogrid[: shape[0], : shape[1]]
    return (row - (shape[0] - 1) / 2.0) ** 2 + (col - (shape[1] - 1) / 2.0) ** 2


def _annulus(distance: FloatArray, shape: tuple[int, ...]) -> BoolArray:
    """Background pixels: beyond the largest aperture, as far as the stamp holds whole circles, [row, col]."""
    inner = max(max(RADII) + 1.0, 4.0)
    outer = inner + 2.0
    largest = (min(shape) - 1) / 2.0
    if outer > largest:
        outer = largest
        inner = max(outer - 2.0, max(RADII) + 0.5)
    return (distance > inner**2) & (distance <= outer**2)


def _pixels(flux: NDArray[np.floating], mask: BoolArray) -> NDArray[np.floating]:
    """The light curves of the pixels of `mask`, contiguous, [pixel, cadence]."""
    return np.ascontiguousarray(flux.transpose(1, 2, 0)[mask])


def _row_medians_sorted(pixels: NDArray[np.floating]) -> FloatArray:
    """Median over the pixels [pixel, cadence] of each cadence without NaN; NaN where there is nothing else."""
    ordered = np.sort(np.ascontiguousarray(pixels.T), axis=1)  # NaN last; faster than a partition of so few
    n_finite = ordered.shape[1] - np.isnan(ordered).sum(axis=1)
    cadence = np.arange(ordered.shape[0])
    lower = ordered[cadence, np.maximum(n_finite - 1, 0) // 2].astype(np.float64)
    upper = ordered[cadence, np.minimum(n_finite // 2, ordered.shape[1] - 1)].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return (lower + upper) / 2.0


def _photometry(
    time: FloatArray,
    flux: NDArray[np.floating],
    in_transit: BoolArray,
    distance: FloatArray,
    background: FloatArray,
) -> _Photometry:
    """Sum each aperture pixel by pixel, in tess-vetter's order so that the last bit agrees."""
    widest = distance <= max(RADII) ** 2
    light = _pixels(flux, widest).astype(np.float64)
    light[np.isnan(light)] = 0.0
    raw = np.zeros((len(RADII), time.size))
    net = np.empty_like(raw)
    with np.errstate(invalid="ignore"):
        for index, radius in enumerate(RADII):
            members = np.flatnonzero(distance[widest] <= radius**2)
            for pixel in members:
                raw[index] += light[pixel]
            net[index] = raw[index] - background * members.size
    return _Photometry(time, in_transit, raw, net)


def _epochs(in_transit: BoolArray) -> list[NDArray[np.intp]]:
    """The in-transit cadences of each transit."""
    cadences = np.flatnonzero(in_transit)
    return np.split(cadences, np.flatnonzero(np.diff(cadences) > _EPOCH_GAP) + 1)


def _depths(light: _Photometry, epochs: list[NDArray[np.intp]]) -> tuple[dict[int, float], bool]:
    """Depth (ppm) by index of aperture, those without one left out; whether a whole-sector depth had to do."""
    by_epoch = [_local_depths(light, epoch) for epoch in epochs]
    depths: dict[int, float] = {}
    fallback = False
    for index in range(len(RADII)):
        measured = [found[index] for found in by_epoch if index in found]
        if measured:
            depths[index] = float(np.mean(measured))
            continue
        fallback = True
        whole = _sector_depth(light, index)
        if whole is not None:
            depths[index] = whole
    return depths, fallback


def _local_depths(light: _Photometry, epoch: NDArray[np.intp]) -> dict[int, float]:
    """Depth (ppm) of one transit by index of aperture, against the cadences within half a day of it."""
    middle = light.time[epoch[epoch.size // 2]]
    local = np.flatnonzero((np.abs(light.time - middle) <= LOCAL_BASELINE_DAYS) & ~light.in_transit)
    if local.size < 5:
        return {}
    outside = _nanmedian(light.net[:, local])
    inside = _nanmedian(light.net[:, epoch])
    for index in np.flatnonzero(~(outside > 0)):  # the background is more than the flux: do without it
        outside[index] = _nanmedian(light.raw[index, local])
        inside[index] = _nanmedian(light.raw[index, epoch])
    return {
        int(index): float((1.0 - inside[index] / outside[index]) * 1_000_000) for index in np.flatnonzero(outside > 0)
    }


def _sector_depth(light: _Photometry, index: int) -> float | None:
    """Depth (ppm) of all transits against all the rest of the sector; None where the flux is not positive."""
    for flux in (light.net[index], light.raw[index]):
        level = _nanmedian(flux[~light.in_transit])
        if level > 0:
            inside, outside = (_nanmean(flux[at] / level) for at in (light.in_transit, ~light.in_transit))
            return None if outside == 0 else float((1.0 - inside / outside) * 1_000_000)
    return None


def _stability(depths: FloatArray) -> float:
    """exp(-1.4 x coefficient of variation) of the depths."""
    depths = depths[np.isfinite(depths)]
    if depths.size < 2:
        return 1.0
    mean, scatter = np.mean(depths), np.std(depths)
    if mean == 0:
        return 1.0 if scatter < 1e-10 else 0.0
    return float(np.clip(np.exp(-(scatter / abs(mean)) * 1.4), 0.0, 1.0))


def _recommended(depths: dict[int, float], stability: float) -> int:
    """Index of the middle aperture where depths agree, else of the one whose depth is nearest the median."""
    indices = list(depths)
    if stability > 0.7:
        return indices[len(indices) // 2]
    values = np.array(list(depths.values()))
    return indices[int(np.argmin(np.abs(values - np.median(values))))]


def _drift(light: _Photometry, index: int) -> float:
    """Relative change of the out-of-transit flux from the first to the second half of the sector."""
    late_half = light.time >= np.median(light.time)
    early, late = (_nanmedian(light.net[index][~light.in_transit & half]) for half in (~late_half, late_half))
    drift = (late - early) / early if early != 0 else math.nan
    return float(drift) if math.isfinite(drift) else math.nan


def _nanmedian(values: FloatArray) -> FloatArray:
    """Median along the last axis without NaN; NaN, silently, where there is nothing else."""
    if values.shape[-1] == 0:
        return np.full(values.shape[:-1], np.nan)
    missing = np.isnan(values)
    if not missing.any():
        return np.median(values, axis=-1)
    if values.ndim == 1:
        return _nanmedian(values[~missing])
    return np.array([_nanmedian(row) for row in values])


def _nanmean(values: FloatArray) -> float:
    """Mean without NaN; NaN, silently, where there is nothing else."""
    present = values[~np.isnan(values)]
    return float(np.mean(present)) if present.size else math.nan
