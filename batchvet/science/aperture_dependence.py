"""V10: is the transit as deep in a small aperture as in a large one?

The definition is tess-vetter's (0.3.20, method: V08, V09, V10): circles of 1 to 3 pixels about the stamp's centre, the
median of an annulus as background of every cadence, the depth of each transit against half a day on either side.
A neighbour's eclipse grows with the aperture; so does the error of a background that is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from batchvet.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.aperture_photometry import LEAST_BACKGROUND_PIXELS, RADII
from batchvet.science.frames import Frames
from batchvet.science.metric import Metric
from batchvet.science.robust import medians
from batchvet.vocabulary import Flag, Status

#: Half the length of the baseline about a transit, days.
LOCAL_BASELINE_DAYS = 0.5
#: In-transit cadences further apart than this many belong to different transits.
_EPOCH_GAP = 10
_NO_SCATTER = 1e-10  # ppm: depths that are all 0, as tess-vetter has it


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

    status: Status  #: ok, skipped (too little data) or error (an ephemeris that is none)
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
        return "annulus_median_per_cadence" if self.n_background_pixels >= LEAST_BACKGROUND_PIXELS else "none"

    def _measured_depths(self) -> list[float]:
        return [depth for depth in self.depth_by_radius if not math.isnan(depth)] or [math.nan]

    def metrics(self) -> dict[str, float | int | str | bool | None]:
        """Name and value of every figure of :data:`METRICS`; None where the check did not run."""
        if self.status != Status.OK:
            return dict.fromkeys(METRICS)
        depths = {_depth_name(r): depth for r, depth in zip(RADII, self.depth_by_radius, strict=True)}
        return {name: depths[name] if name in depths else getattr(self, name) for name in METRICS}


_INSUFFICIENT = ApertureDependence(Status.SKIPPED, (Flag.INSUFFICIENT_DATA,))


@dataclass(frozen=True)
class _Curves:
    """Light curves of the apertures, and which cadences are in transit."""

    time: FloatArray  #: BTJD days, [cadence]
    in_transit: BoolArray  #: [cadence]
    raw: FloatArray  #: e-/s, [aperture, cadence]
    net: FloatArray  #: e-/s, background subtracted, [aperture, cadence]


def aperture_dependence(time: FloatArray, flux: Float32Array, ephemeris: Ephemeris) -> ApertureDependence:
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
    method: V08, V09, V10; Bryson et al. 2013, section 3.3.
    """
    return aperture_dependence_of(Frames.of(time, flux), ephemeris)


def aperture_dependence_of(frames: Frames, ephemeris: Ephemeris) -> ApertureDependence:
    """As :func:`aperture_dependence`, of frames that the other checks share."""
    error = _ephemeris_error(ephemeris)
    if error is not None:
        return ApertureDependence(Status.ERROR, (f"ERROR:{error}",))
    used = np.isfinite(frames.time) & frames.seen
    dropped = not used.all()
    frames = frames.select(used)
    time = frames.time
    in_transit = _in_transit(time, ephemeris)
    n_in = int(in_transit.sum())
    if time.size < 10 or n_in < 3 or time.size - n_in < 3:
        return _INSUFFICIENT
    light = frames.photometry
    curves = _Curves(time, in_transit, light.raw, light.net)
    epochs = _epochs(in_transit)
    with np.errstate(invalid="ignore", over="ignore"):
        depths, fallback = _depths(curves, epochs)
    if len(depths) < 2:
        return _INSUFFICIENT

    stability = _stability(np.array(list(depths.values())))
    recommended = _recommended(depths, stability)
    found = ApertureDependence(
        Status.OK,
        stability_metric=stability,
        depth_variance_ppm2=float(np.var(list(depths.values()))),
        recommended_aperture_pixels=RADII[recommended],
        n_in_transit_cadences=n_in,
        n_out_of_transit_cadences=time.size - n_in,
        n_transit_epochs=len(epochs),
        n_background_pixels=light.n_background,
        drift_fraction_recommended=_drift(curves, recommended),
        depth_by_radius=tuple(depths.get(index, math.nan) for index in range(len(RADII))),
    )
    return replace(found, flags=_flags(found, dropped=dropped, fallback=fallback))


def _flags(found: ApertureDependence, *, dropped: bool, fallback: bool) -> tuple[str, ...]:
    """tess-vetter's words about how much the figures may be trusted, in its order."""
    raised = {
        Flag.DROPPED_INVALID_CADENCES: dropped,
        Flag.LOW_N_TRANSIT_EPOCHS: found.n_transit_epochs < 2,
        Flag.LOW_N_IN_TRANSIT_CADENCES: found.n_in_transit_cadences < 20,
        Flag.NO_BACKGROUND_SUBTRACTION: found.n_background_pixels < LEAST_BACKGROUND_PIXELS,
        Flag.BACKGROUND_ANNULUS_SMALL: LEAST_BACKGROUND_PIXELS <= found.n_background_pixels < 10,
        Flag.NEGATIVE_DEPTHS_PRESENT: any(depth < 0 for depth in found.depth_by_radius),
        Flag.SECTOR_FALLBACK_USED: fallback,
        Flag.HIGH_OUT_OF_TRANSIT_DRIFT_RECOMMENDED_APERTURE: abs(found.drift_fraction_recommended) >= 0.01,
    }
    return tuple(flag for flag, applies in raised.items() if applies)


def _ephemeris_error(ephemeris: Ephemeris) -> str | None:
    """The name of the error that tess-vetter meets in this ephemeris, if any."""
    if not ephemeris.duration_hours > 0:
        return "ValidationError"
    if not ephemeris.is_single and ephemeris.duration_hours / 24.0 >= ephemeris.period_days:
        return "ValueError"
    return None


def _in_transit(time: FloatArray, ephemeris: Ephemeris) -> BoolArray:
    """Cadences within half a duration of mid-transit, folded as tess-vetter folds here (not as in V08)."""
    since = time - ephemeris.t0_btjd
    if not ephemeris.is_single:
        since = since % ephemeris.period_days
        since = np.where(since > ephemeris.period_days / 2, since - ephemeris.period_days, since)
    return np.abs(since) <= ephemeris.duration_hours / 24.0 / 2


def _epochs(in_transit: BoolArray) -> list[IndexArray]:
    """The in-transit cadences of each transit."""
    cadences = np.flatnonzero(in_transit)
    return np.split(cadences, np.flatnonzero(np.diff(cadences) > _EPOCH_GAP) + 1)


def _depths(light: _Curves, epochs: list[IndexArray]) -> tuple[dict[int, float], bool]:
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


def _local_depths(light: _Curves, epoch: IndexArray) -> dict[int, float]:
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


def _sector_depth(light: _Curves, index: int) -> float | None:
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
        return 1.0 if scatter < _NO_SCATTER else 0.0
    return float(np.clip(np.exp(-(scatter / abs(mean)) * 1.4), 0.0, 1.0))


def _recommended(depths: dict[int, float], stability: float) -> int:
    """Index of the middle aperture where depths agree, else of the one whose depth is nearest the median."""
    indices = list(depths)
    if stability > 0.7:
        return indices[len(indices) // 2]
    values = np.array(list(depths.values()))
    return indices[int(np.argmin(np.abs(values - np.median(values))))]


def _drift(light: _Curves, index: int) -> float:
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
        return medians(values)
    if values.ndim == 1:
        return _nanmedian(values[~missing])
    return np.array([_nanmedian(row) for row in values])


def _nanmean(values: FloatArray) -> float:
    """Mean without NaN; NaN, silently, where there is nothing else."""
    present = values[~np.isnan(values)]
    return float(np.mean(present)) if present.size else math.nan
