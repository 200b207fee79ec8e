"""V08: does the photocentre of the stamp move while the planet is in front?

The definition is tess-vetter's (0.3.20, method: V08, V09, V10): centroids of every cadence, weighted by the positive
flux; cadences that stray by 3 robust sigma are left out; the medians in and out of transit are compared. It says
that light moved, not where the dip is: with a bright neighbour a transit on the target moves it too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchvet.arrays import Float32Array, FloatArray
from batchvet.catalog.candidate import Ephemeris
from batchvet.science.frames import Frames
from batchvet.science.median_bootstrap import median_shift_draws
from batchvet.science.metric import Metric
from batchvet.science.robust import TESS_VETTER_SIGMA, medians
from batchvet.vocabulary import Flag, Status

METRICS: dict[str, Metric] = {
    "centroid_shift_pixels": Metric("float", "pixel", "Distance between the centroids in and out of transit."),
    "centroid_shift_arcsec": Metric("float", "arcsec", "The same at 21 arcsec a pixel."),
    "significance_sigma": Metric("float", "sigma", "Shift over its bootstrap standard error, at most 8."),
    "shift_uncertainty_pixels": Metric("float", "pixel", "Standard deviation of the bootstrapped shift."),
    "shift_ci_lower_pixels": Metric("float", "pixel", "2.5 % point of the bootstrapped shift."),
    "shift_ci_upper_pixels": Metric("float", "pixel", "97.5 % point of the bootstrapped shift."),
    "n_in_transit_cadences": Metric("int", "", "Cadences within half a duration of mid-transit."),
    "n_out_of_transit_cadences": Metric("int", "", "Cadences more than one duration from mid-transit."),
    "n_dropped_cadences": Metric("int", "", "Cadences left out: without a time or without a finite pixel."),
    "centroid_method": Metric("str", "", "How the cadences' centroids are combined."),
    "significance_method": Metric("str", "", "How the shift's error is found."),
    "n_bootstrap": Metric("int", "", "Resamples of the definition; here their exact distribution is used."),
    "saturation_risk": Metric("bool", "", "Whether a pixel is ever above the saturation level."),
    "max_flux_fraction": Metric("float", "", "Largest flux over the saturation level."),
    "n_outliers_rejected": Metric("int", "", "Cadences left out because their centroid strays by 3 sigma."),
    "in_transit_centroid_x": Metric("float", "pixel", "Column of the centroid in transit, from the stamp's corner."),
    "in_transit_centroid_y": Metric("float", "pixel", "Row of the centroid in transit, from the stamp's corner."),
    "out_of_transit_centroid_x": Metric("float", "pixel", "Column of the centroid out of transit."),
    "out_of_transit_centroid_y": Metric("float", "pixel", "Row of the centroid out of transit."),
}


@dataclass(frozen=True)
class CentroidShiftSettings:
    """What the definition leaves to choose; the defaults are tess-vetter's."""

    outlier_sigma: float = 3.0  #: robust sigma beyond which a cadence's centroid is left out
    saturation_flux: float = 150_000.0  #: e-/s a pixel
    pixel_scale_arcsec: float = 21.0  #: arcsec a pixel
    n_bootstrap: int = 1000  #: reported only: the distribution that so many resamples would sample


@dataclass(frozen=True)
class CentroidShift:
    """V08's figures; the names are those of :data:`METRICS`, which says what each means."""

    status: Status  #: ok or error
    flags: tuple[str, ...] = ()  #: in tess-vetter's words, without its numbers
    centroid_shift_pixels: float = math.nan
    centroid_shift_arcsec: float = math.nan
    significance_sigma: float = math.nan
    shift_uncertainty_pixels: float = math.nan
    shift_ci_lower_pixels: float = math.nan
    shift_ci_upper_pixels: float = math.nan
    n_in_transit_cadences: int = 0
    n_out_of_transit_cadences: int = 0
    n_dropped_cadences: int = 0
    centroid_method: str = "mean"  #: tess-vetter's words where there was nothing to combine
    significance_method: str = "analytic"  #: the same
    n_bootstrap: int = 0
    saturation_risk: bool = False
    max_flux_fraction: float = 0.0
    n_outliers_rejected: int = 0
    in_transit_centroid_x: float = math.nan
    in_transit_centroid_y: float = math.nan
    out_of_transit_centroid_x: float = math.nan
    out_of_transit_centroid_y: float = math.nan

    def metrics(self) -> dict[str, float | int | str | bool | None]:
        """Name and value of every figure of :data:`METRICS`; None where the check did not run."""
        return {name: getattr(self, name) if self.status == Status.OK else None for name in METRICS}


def centroid_shift(
    time: FloatArray,
    flux: Float32Array,
    ephemeris: Ephemeris,
    settings: CentroidShiftSettings = CentroidShiftSettings(),
) -> CentroidShift:
    """Compare the flux-weighted centroids in and out of transit.

    Parameters
    ----------
    time : array, BTJD days, [cadence]
    flux : array, e-/s, [cadence, row, col]
        Only cadences that survive the quality bitmask; either memory order; NaN pixels weigh nothing.
    ephemeris
        Which cadences are in transit: within half a duration, the edge included. Out: beyond one duration.

    Returns
    -------
    CentroidShift
        ``error`` for an ephemeris that is none; too few cadences are ``ok`` with flags and NaN, as in tess-vetter.

    Notes
    -----
    method: V08, V09, V10; Bryson et al. 2013, section 3. Coordinates are (x, y) = (column, row).
    """
    return centroid_shift_of(Frames.of(time, flux), ephemeris, settings)


def centroid_shift_of(
    frames: Frames, ephemeris: Ephemeris, settings: CentroidShiftSettings = CentroidShiftSettings()
) -> CentroidShift:
    """As :func:`centroid_shift`, of frames that the other checks share."""
    if not ephemeris.duration_hours > 0:
        return CentroidShift(Status.ERROR, ("ERROR:ValidationError",))
    time, centroids = frames.time, frames.centroids.place
    used = frames.seen & np.isfinite(time)
    n_dropped = used.size - int(used.sum())
    flags = [Flag.DROPPED_INVALID_CADENCES] if n_dropped else []
    if used.sum() < 3:
        flags = flags or [Flag.INSUFFICIENT_VALID_CADENCES]
        return CentroidShift(Status.OK, tuple(flags), n_dropped_cadences=n_dropped)

    since = np.abs(ephemeris.time_from_transit(time[used]))
    duration = ephemeris.duration_hours / 24.0
    inside, outside = since <= duration / 2.0, since > duration / 2.0 + 0.5 * duration
    n_in, n_out = int(inside.sum()), int(outside.sum())
    max_fraction = float(frames.centroids.brightest[used].max()) / settings.saturation_flux
    flags += _quality_flags(n_in, n_out, max_fraction > 1.0)

    kept_in, rejected_in = _without_outliers(centroids[:, used][:, inside], settings.outlier_sigma)
    kept_out, rejected_out = _without_outliers(centroids[:, used][:, outside], settings.outlier_sigma)
    return CentroidShift(
        Status.OK,
        tuple(flags),
        **_shift(kept_in, kept_out, settings),
        n_in_transit_cadences=n_in,
        n_out_of_transit_cadences=n_out,
        n_dropped_cadences=n_dropped,
        centroid_method="median",
        significance_method="bootstrap",
        n_bootstrap=settings.n_bootstrap,
        saturation_risk=max_fraction > 1.0,
        max_flux_fraction=max_fraction,
        n_outliers_rejected=rejected_in + rejected_out,
    )


def _quality_flags(n_in: int, n_out: int, saturated: bool) -> list[Flag]:
    """tess-vetter's words about how much data there is, in its order; the numbers are figures of their own."""
    flags: list[Flag] = []
    if n_in < 5:
        flags.append(Flag.LOW_N_IN_TRANSIT)
    elif n_out < 20:
        flags.append(Flag.LOW_N_OUT_TRANSIT)
    elif n_in < 10:
        flags.append(Flag.MARGINAL_N_IN_TRANSIT)
    if n_in >= 5 and 20 <= n_out < 50:
        flags.append(Flag.MARGINAL_N_OUT_TRANSIT)
    if saturated:
        flags += [Flag.SATURATION_RISK_V08, Flag.SATURATION_RISK]
    return flags


def _without_outliers(centroids: FloatArray, sigma: float) -> tuple[FloatArray, int]:
    """The finite centroids [2, n] within `sigma` robust deviations of their median, and how many are not."""
    centroids = centroids[:, np.isfinite(centroids[0])]
    if centroids.shape[1] < 5:
        return centroids, 0
    kept = np.ones(centroids.shape[1], dtype=bool)
    for values in centroids:
        distance = np.abs(values - medians(values))
        spread = TESS_VETTER_SIGMA * float(medians(distance))
        kept &= distance <= sigma * (spread if spread > 0 else np.std(values))
    return centroids[:, kept], int((~kept).sum())


def _shift(inside: FloatArray, outside: FloatArray, settings: CentroidShiftSettings) -> dict[str, float]:
    """Median centroids [2, n], their distance and its bootstrap error, by name."""
    figures: dict[str, float] = {}
    for name, points in (("in_transit", inside), ("out_of_transit", outside)):
        x, y = medians(points) if points.shape[1] >= 3 else (math.nan, math.nan)
        figures |= {f"{name}_centroid_x": float(x), f"{name}_centroid_y": float(y)}
    shift = float(
        np.sqrt(
            (figures["in_transit_centroid_x"] - figures["out_of_transit_centroid_x"]) ** 2
            + (figures["in_transit_centroid_y"] - figures["out_of_transit_centroid_y"]) ** 2
        )
    )
    if math.isnan(shift):
        return figures
    draws = median_shift_draws(inside, outside)
    error = float(np.std(draws, ddof=1))
    lower, upper = np.percentile(draws, [2.5, 97.5])
    return figures | {
        "centroid_shift_pixels": shift,
        "centroid_shift_arcsec": shift * settings.pixel_scale_arcsec,
        "significance_sigma": min(shift / error, 8.0) if error > 0 else 0.0,
        "shift_uncertainty_pixels": error,
        "shift_ci_lower_pixels": float(lower),
        "shift_ci_upper_pixels": float(upper),
    }
