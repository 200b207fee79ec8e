"""Where on the sky is the dip, in one sector: from a stamp to an offset with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from batchvet.catalog.candidate import Ephemeris, Neighbour, move
from batchvet.pixels.stamp import Stamp
from batchvet.science.attribution import DEEPEST
from batchvet.science.difference_image import DifferenceImage, DifferenceSettings, difference_image
from batchvet.science.evidence import SectorEvidence
from batchvet.science.position import NoisyImage, PointSource, SignificanceMap, fit_point_source
from batchvet.science.prf import Prf
from batchvet.science.scene import Scene
from batchvet.science.sky import LocalSky
from batchvet.science.stars import place_stars
from batchvet.science.unlisted import fit_scene_with_unlisted
from batchvet.science.verdict import LEAST_SNR

FloatArray = NDArray[np.float64]

#: Reduced chi² of the point source above which the PRF is said not to fit.
POOR_CHI2 = 2.0


@dataclass(frozen=True)
class LocalizationSettings:
    """What may be chosen about the localisation; the defaults are what the calibration was made with."""

    difference: DifferenceSettings = field(default_factory=DifferenceSettings)  #: windows, noise
    grid_step: float = 0.5  #: pixels, search for the dip and stored likelihood; around the dip it is finer
    wcs_error_arcsec: float = 0.1  #: 1 sigma per axis, of star positions relative to each other on the stamp
    artefact_spread: float = 5.0  #: an artefact's shapes are this many times those of transit-free epochs
    max_stars: int = 30  #: stars kept as possible hosts


@dataclass(frozen=True)
class TargetPosition:
    """The declared target, where a catalogue says it is; NaN: what the stamp's own header says."""

    tic: int = 0  #: TESS Input Catalog number
    ra: float = math.nan  #: deg, ICRS, epoch 2000.0
    dec: float = math.nan  #: deg, ICRS, epoch 2000.0
    pmra: float = math.nan  #: mas/yr, includes cos(dec)
    pmdec: float = math.nan  #: mas/yr
    tmag: float = math.nan  #: TESS magnitude


@dataclass(frozen=True, eq=False)
class SectorLocalization:
    """The dip of one candidate in one sector; what could not be measured is NaN, with a flag."""

    target_offset_pixels: float  #: dip minus target
    target_offset_arcsec: float  #: dip minus target
    offset_ra_arcsec: float  #: east on the sky: right ascension times cos(dec)
    offset_dec_arcsec: float  #: north
    offset_cov_ra_ra: float  #: arcsec², covariance of the offset
    offset_cov_ra_dec: float  #: arcsec²
    offset_cov_dec_dec: float  #: arcsec²
    significance_sigma: float  #: of the offset: sqrt(offset' covariance^-1 offset)
    difference_snr: float  #: of the dip as a point source in the difference image
    source_ra: float  #: deg, ICRS, of the dip
    source_dec: float  #: deg, ICRS, of the dip
    prf_source: str  #: spoc or empirical
    prf_chi2_reduced: float  #: of the point source fitted to the difference image
    zero_point_col: float  #: pixels, the scene minus the WCS
    zero_point_row: float  #: pixels
    localization_flags: tuple[str, ...]
    n_transits: int
    n_in_transit: int  #: cadences
    source_col: float  #: pixel of the stamp, of the dip
    source_row: float  #: pixel of the stamp, of the dip
    difference_image: NDArray[np.float32]  #: e-/s, [row, col]
    difference_error: NDArray[np.float32]  #: e-/s, [row, col]
    out_of_transit_image: NDArray[np.float32]  #: e-/s, [row, col]
    evidence: SectorEvidence


def localize(
    stamp: Stamp,
    ephemeris: Ephemeris,
    others: Sequence[Ephemeris],
    neighbours: Sequence[Neighbour] | None,
    target: TargetPosition,
    prf: Prf | None,
    bitmask: int,
    settings: LocalizationSettings,
) -> SectorLocalization:
    """Locate one candidate's dip in one sector (SCIENCE 2a to 2d).

    Parameters
    ----------
    stamp : Stamp
        All cadences of one target in one sector.
    ephemeris : Ephemeris
        Of the candidate.
    others : sequence of Ephemeris
        Of the target's other candidates: cadences in their transits are not used.
    neighbours : sequence of Neighbour or None
        Stars of the field; None when there is no table, and then attribution is not possible.
    target : TargetPosition
        The star that the candidate is declared for.
    prf : Prf or None
        Official PRF at this stamp; None: one is fitted to the stamp itself.
    bitmask : int
        Cadences with one of these quality flags are not used.
    settings : LocalizationSettings

    Raises
    ------
    InsufficientData
        No usable transit.
    """
    ra, dec = _at_mid_sector(target, stamp)
    tmag = target.tmag if math.isfinite(target.tmag) else stamp.tmag
    difference = difference_image(stamp, ephemeris, others, bitmask, settings.difference)
    target_id = str(target.tic or stamp.tic)
    stars = place_stars(stamp, neighbours, target_id, ra, dec, tmag)
    scene, unlisted = fit_scene_with_unlisted(difference.out_of_transit, difference.out_of_transit_error, stars, prf)
    variance = np.where(scene.saturated, np.nan, difference.variance)
    image = NoisyImage.build(difference.flux, variance, difference.shapes, difference.shape_cov)
    grid = SignificanceMap.of_stamp(image, scene.prf, settings.grid_step)
    source = fit_point_source(image, grid, scene.prf)
    sky = LocalSky.at(stamp, ra, dec)
    evidence = _evidence(stamp, difference, scene, image, grid, source, sky, settings)
    evidence = replace(
        evidence,
        artefact=_artefact(difference, variance, image, settings.artefact_spread),
        has_neighbours=neighbours is not None,
        flags=_flags(difference, scene, source, neighbours is not None, unlisted),
    )
    return _result(difference, scene, source, sky, evidence)


def _at_mid_sector(target: TargetPosition, stamp: Stamp) -> tuple[float, float]:
    """Right ascension and declination (deg) of the declared target at the stamp's epoch."""
    if math.isfinite(target.ra) and math.isfinite(target.dec):
        return move(target.ra, target.dec, target.pmra, target.pmdec, stamp.epoch - 2000.0)
    return stamp.target_position()


def _evidence(
    stamp: Stamp,
    difference: DifferenceImage,
    scene: Scene,
    image: NoisyImage,
    grid: SignificanceMap,
    source: PointSource,
    sky: LocalSky,
    settings: LocalizationSettings,
) -> SectorEvidence:
    """What the other sectors need to know of this one."""
    target = next(star for star in scene.stars if star.is_target)
    pixel = math.sqrt(abs(np.linalg.det(sky.to_sky)))
    independent = scene.prf.position_error_pixels**2 + (settings.wcs_error_arcsec / pixel) ** 2
    systematic = scene.delta_cov + independent * np.eye(2)
    dip = max(source.flux, source.flux_error)  # the unit of the stars' likelihoods: never zero
    hosts = _possible_hosts(scene, image, dip, settings.max_stars)
    return SectorEvidence(
        sector=stamp.sector,
        n_transits=difference.n_transits,
        n_in_transit=difference.n_in_transit,
        rows=stamp.shape[0],
        cols=stamp.shape[1],
        snr=source.snr,
        dip=dip,
        chi2_reduced=source.chi2_reduced,
        row=source.row,
        col=source.col,
        cov_row_row=source.covariance[0, 0],
        cov_row_col=source.covariance[0, 1],
        cov_col_col=source.covariance[1, 1],
        target_row=target.row + scene.delta_row,
        target_col=target.col + scene.delta_col,
        sys_row_row=systematic[0, 0],
        sys_row_col=systematic[0, 1],
        sys_col_col=systematic[1, 1],
        east_per_row=sky.to_sky[0, 0],
        east_per_col=sky.to_sky[0, 1],
        north_per_row=sky.to_sky[1, 0],
        north_per_col=sky.to_sky[1, 1],
        artefact=0.0,
        prf_source=scene.prf.name,
        has_neighbours=True,
        flags=(),
        map_row=grid.start[0],
        map_col=grid.start[1],
        map_step=settings.grid_step,
        map_rows=grid.values.shape[0],
        map_cols=grid.values.shape[1],
        significance_map=grid.values,
        information_map=grid.information[::2, ::2],
        **_stored_map("near", source.near),
        **_stored_map("peak", source.peak),
        **hosts,
    )


def _stored_map(name: str, grid: SignificanceMap) -> dict[str, float | int | FloatArray]:
    """One of the maps around the dip, as the evidence has it."""
    rows, cols = grid.values.shape
    return {
        f"{name}_row": grid.start[0],
        f"{name}_col": grid.start[1],
        f"{name}_row_step": grid.step[0],
        f"{name}_col_step": grid.step[1],
        f"{name}_rows": rows,
        f"{name}_cols": cols,
        f"{name}_map": grid.values,
    }


def _possible_hosts(scene: Scene, image: NoisyImage, dip: float, most: int) -> dict[str, FloatArray | tuple[str, ...]]:
    """The stars with what the likelihood needs of each: the target, then those that explain the dip best."""
    flux = _star_fluxes(scene)
    rows = np.array([star.row for star in scene.stars]) + scene.delta_row
    cols = np.array([star.col for star in scene.stars]) + scene.delta_col
    score, information = image.score_and_information(scene.prf, rows, cols)
    deepest = np.clip(score[:, 0] / np.maximum(information[:, 0, 0], 1e-300), 0.0, DEEPEST * flux)
    gain = deepest * score[:, 0] - 0.5 * deepest**2 * information[:, 0, 0]
    is_target = np.array([star.is_target for star in scene.stars])
    kept = np.lexsort([-gain, ~is_target])[: most + 1]
    stars = [scene.stars[i] for i in kept]
    return {
        "star_id": tuple(star.source_id for star in stars),
        "star_is_target": is_target[kept],
        "star_east": np.array([star.east for star in stars]),
        "star_north": np.array([star.north for star in stars]),
        "star_tmag": np.array([star.tmag for star in stars]),
        "star_flux": flux[kept],
        "star_score": score[kept] * dip,
        "star_information": information[kept] * dip**2,
    }


def _star_fluxes(scene: Scene) -> FloatArray:
    """Out-of-transit flux of every star, e-/s: the catalogue's magnitudes on the scene's own flux scale.

    Blended and faint stars' fluxes cannot be fitted well, their magnitudes are known to 0.1 mag. The scale is the
    median over the fitted light of the stars on the stamp; a star without a magnitude has its fitted flux.
    """
    expected = 10 ** (-0.4 * (np.array([star.tmag for star in scene.stars]) - 10.0))
    places = np.array([(star.row + scene.delta_row, star.col + scene.delta_col) for star in scene.stars])
    inside = np.all((places > -0.5) & (places < np.array(scene.model.shape) - 0.5), axis=1)
    known = np.isfinite(expected) & (scene.flux > 0)
    if not known.any():
        return np.maximum(scene.flux, 1e-300)
    known = known & inside if np.any(known & inside) else known
    ratio, light = scene.flux[known] / expected[known], scene.flux[known]
    order = np.argsort(ratio)
    half = np.searchsorted(np.cumsum(light[order]), 0.5 * light.sum())
    return np.where(np.isfinite(expected), expected * ratio[order][half], np.maximum(scene.flux, 1e-300))


def _artefact(difference: DifferenceImage, variance: FloatArray, image: NoisyImage, spread: float) -> float:
    """Log likelihood, against no dip, of noise shapes much larger than at transit-free epochs (SCIENCE 2f)."""
    wide = NoisyImage.build(difference.flux, variance, difference.shapes, spread**2 * difference.shape_cov)
    return 0.5 * (image.chi2 - wide.chi2) + 0.5 * (image.log_determinant - wide.log_determinant)


def _flags(
    difference: DifferenceImage, scene: Scene, source: PointSource, has_neighbours: bool, unlisted: bool
) -> tuple[str, ...]:
    """What a reader should know before trusting the offset."""
    shape = difference.flux.shape
    row, col = round(source.row), round(source.col)
    around = scene.saturated[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2]
    raised = {
        "NO_NEIGHBOUR_TABLE": not has_neighbours,
        "UNLISTED_BRIGHT_STAR": unlisted,
        "LOW_SNR": source.snr < LEAST_SNR,
        "SOURCE_AT_EDGE": not (0.5 <= source.row <= shape[0] - 1.5 and 0.5 <= source.col <= shape[1] - 1.5),
        "SATURATED_SOURCE": bool(around.any()),
        "POOR_PRF_FIT": source.chi2_reduced > POOR_CHI2,
    }
    return (*difference.flags, *(flag for flag, present in raised.items() if present))


def _result(
    difference: DifferenceImage, scene: Scene, source: PointSource, sky: LocalSky, evidence: SectorEvidence
) -> SectorLocalization:
    """The sector's columns and images."""
    east, north = evidence.offset
    covariance = evidence.offset_covariance
    drow, dcol = source.row - evidence.target_row, source.col - evidence.target_col
    ra, dec = sky.position(east, north)
    deviation = np.einsum("pi,ij,pj->p", difference.shapes, difference.shape_cov, difference.shapes)
    error = np.sqrt(difference.variance + deviation.reshape(difference.variance.shape))
    return SectorLocalization(
        target_offset_pixels=math.hypot(drow, dcol),
        target_offset_arcsec=math.hypot(east, north),
        offset_ra_arcsec=float(east),
        offset_dec_arcsec=float(north),
        offset_cov_ra_ra=float(covariance[0, 0]),
        offset_cov_ra_dec=float(covariance[0, 1]),
        offset_cov_dec_dec=float(covariance[1, 1]),
        significance_sigma=math.sqrt(evidence.offset @ np.linalg.solve(covariance, evidence.offset)),
        difference_snr=source.snr,
        source_ra=ra,
        source_dec=dec,
        prf_source=scene.prf.name,
        prf_chi2_reduced=source.chi2_reduced,
        zero_point_col=scene.delta_col,
        zero_point_row=scene.delta_row,
        localization_flags=evidence.flags,
        n_transits=difference.n_transits,
        n_in_transit=difference.n_in_transit,
        source_col=source.col,
        source_row=source.row,
        difference_image=difference.flux.astype(np.float32),
        difference_error=error.astype(np.float32),
        out_of_transit_image=difference.out_of_transit.astype(np.float32),
        evidence=evidence,
    )
