"""Where on the sky is the dip, in one sector: from a stamp to an offset with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchvet.arrays import Float32Array, FloatArray
from batchvet.catalog.candidate import Neighbour
from batchvet.pixels.quality import DEFAULT
from batchvet.pixels.stamp import Stamp
from batchvet.science.difference_image import DifferenceImage, difference_image
from batchvet.science.dip_parts import measure_part
from batchvet.science.evidence import EVERY, DipMaps, DipPosition, SectorEvidence, symmetric
from batchvet.science.hosts import host_evidence
from batchvet.science.localization_settings import LocalizationSettings
from batchvet.science.noisy_image import NoisyImage
from batchvet.science.position import PointSource, SignificanceMap, fit_point_source
from batchvet.science.prf import Prf
from batchvet.science.priors import TableDepth, galactic_latitude
from batchvet.science.scene import Scene
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.sky import SkyFrame, from_tangent_plane, tangent_plane
from batchvet.science.stars import StarField, find_target, place_stars
from batchvet.science.timeline import Transits
from batchvet.science.unlisted import fit_scene_with_unlisted
from batchvet.science.verdict import LEAST_SNR
from batchvet.vocabulary import EMPIRICAL, SPOC, Flag

#: Reduced chi² of the point source above which the PRF is said not to fit.
POOR_CHI2 = 2.0
#: Pixels, by kind of PRF: a zero point beyond is not the WCS's error. An empirical PRF has no centre of its own.
LARGE_ZERO_POINT = {SPOC: 0.25, EMPIRICAL: 0.5}
#: Pixels per axis of a place's error, for a misfit as large as the dip itself; and the most that is added.
MISFIT_ERROR, _MOST_MISFIT = 0.5, 1.0
#: Error of a place that the wings and the bleed of a saturated star tell, pixels per axis.
SATURATED_ERROR = 0.1

_BUMP_RADIUS = 2.5  # pixels: a bump farther from the dip does not look like it


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
    timing_offset_minutes: float  #: by how much the dips come late, together; 0 where the ephemeris serves
    timing_error_minutes: float  #: 1 sigma of the time at which they are seen
    transit_times_btjd: FloatArray  #: mid-times at which the transits were measured, BTJD days, [transit]
    transit_oc_minutes: FloatArray  #: of these, observed minus calculated, [transit]
    transit_oc_error_minutes: FloatArray  #: 1 sigma; infinite where no time can be measured, [transit]
    n_outlier_cadences: int  #: in whose windows a flare or an asteroid was left out
    localization_flags: tuple[str, ...]
    n_transits: int
    n_in_transit: int  #: cadences
    source_col: float  #: pixel of the stamp, of the dip
    source_row: float  #: pixel of the stamp, of the dip
    difference_image: Float32Array  #: e-/s, [row, col]
    difference_error: Float32Array  #: e-/s, [row, col]
    out_of_transit_image: Float32Array  #: e-/s, [row, col]
    evidence: SectorEvidence


def localize(  # house: a chain of steps, each of them named
    stamp: Stamp,
    transits: Transits,
    star_field: StarField = StarField(),
    prf: Prf | None = None,
    bitmask: int = DEFAULT,
    settings: LocalizationSettings = LocalizationSettings(),
    pixels: SectorPixels | None = None,
) -> SectorLocalization:
    """Locate one candidate's dip in one sector.

    Parameters
    ----------
    stamp : Stamp
        All cadences of one target in one sector.
    transits : Transits
        Of the candidate, and of the target's other candidates: cadences in theirs are not used.
    star_field : StarField
        The star that the candidate is declared for, by default the stamp's, and its neighbours; without a table
        nobody else can be weighed.
    prf : Prf or None
        Official PRF at this stamp; None: one is fitted to the stamp itself.
    bitmask : int
        Cadences with one of these quality flags are not used.
    settings : LocalizationSettings
    pixels : SectorPixels, optional
        Of the same stamp and bitmask, where they are at hand: candidates of a target share them.

    Raises
    ------
    InsufficientData
        No usable transit.

    Notes
    -----
    The chain of (method: difference images; method: noise; method: scene and PRF; method: position).
    """
    found_target = find_target(stamp, star_field)
    target = found_target.place
    difference = difference_image(stamp, transits, bitmask, settings.difference, pixels)
    stars = place_stars(stamp, found_target, star_field.neighbours)
    scene, unlisted = fit_scene_with_unlisted(difference.out_of_transit, difference.out_of_transit_error, stars, prf)
    variance = np.where(scene.saturated, np.nan, difference.variance)
    image = NoisyImage.build(difference.flux, variance, difference.shapes, difference.shape_cov)
    grid = SignificanceMap.of_stamp(image, scene.prf, settings.grid_step)
    source = fit_point_source(image, grid, scene.prf)
    has_neighbours = star_field.neighbours is not None
    fitted, scene = scene, trusted_zero_point(scene, has_neighbours)
    frame = SkyFrame.at(stamp, target.ra, target.dec).shifted(scene.delta_row, scene.delta_col)
    price = difference.timing.price
    dip = dip_position(source, frame, scene, settings.wcs_error_arcsec, price)
    flags = _flags(difference, fitted, source, unlisted)
    if found_target.disagrees:
        flags = (*flags, Flag.TARGET_POSITION_DISAGREES)
    if not has_neighbours:
        flags = (*flags, Flag.NO_NEIGHBOUR_TABLE)
    evidence = SectorEvidence(
        sector=stamp.sector,
        n_transits=difference.n_transits,
        n_in_transit=difference.n_in_transit,
        cadence_s=stamp.cadence_s,
        duration_hours=transits.ephemeris.duration_hours,
        frame=frame,
        dip=dip,
        maps=dip_maps(grid, source),
        hosts=host_evidence(scene, image, dip, settings.max_stars),
        artefact=_artefact(difference, variance, image, settings.artefact_spread) / source.noise_scale,
        timing_price=price,
        table=_table_depth(stamp, target, star_field.neighbours),
        prf_source=scene.prf.name,
        has_neighbours=has_neighbours,
        flags=flags,
        parts=tuple(
            measure_part(part, scene.saturated, scene.prf, source, settings.grid_step) for part in difference.parts
        ),
        shapes=difference.dip_shapes,
        target_ra=target.ra,
        target_dec=target.dec,
    )
    east, north = evidence.offset
    ra, dec = from_tangent_plane(east, north, target.ra, target.dec)
    return _result(difference, scene, evidence, (float(ra), float(dec)))


def trusted_zero_point(scene: Scene, has_neighbours: bool) -> Scene:
    """The scene with a zero point that cannot hide a star which the table lacks.

    The WCS of a target pixel file is good to a few hundredths of a pixel. Stars that seem to stand farther off than
    `LARGE_ZERO_POINT` stand beside something unlisted: what exceeds it is an error; without a table the WCS is taken.
    """
    length, large = math.hypot(scene.delta_row, scene.delta_col), LARGE_ZERO_POINT[scene.prf.name]
    if length <= large:
        return scene
    if not has_neighbours:
        return replace(scene, delta_row=0.0, delta_col=0.0, delta_cov=large**2 * np.eye(2))
    return replace(scene, delta_cov=scene.delta_cov + (length - large) ** 2 * np.eye(2))


def _table_depth(stamp: Stamp, target: Neighbour, neighbours: Sequence[Neighbour] | None) -> TableDepth:
    """How deep the table of neighbours goes."""
    latitude = galactic_latitude(target.ra, target.dec)
    if neighbours is None:
        return TableDepth(-math.inf, 0.0, latitude)
    epoch = stamp.epoch  # looks at every cadence
    places = np.array([star.at(epoch) for star in neighbours]).reshape(-1, 2)
    east, north = tangent_plane(places[:, 0], places[:, 1], target.ra, target.dec)
    return TableDepth.of(np.array([star.tmag for star in neighbours]), np.hypot(east, north), latitude)


def dip_position(
    source: PointSource, frame: SkyFrame, scene: Scene, wcs_error_arcsec: float, price: float = 0.0
) -> DipPosition:
    """Where the dip is, with what the noise and what the stamp's astrometry leave open."""
    wcs_error = wcs_error_arcsec / math.sqrt(frame.pixel_area)
    independent = scene.prf.position_error_pixels**2 + wcs_error**2
    independent += misfit_error(source) ** 2
    if _is_saturated(scene, source):
        independent += SATURATED_ERROR**2
    return DipPosition(
        place=np.array([source.row, source.col]),
        covariance=symmetric(source.covariance),
        systematic=symmetric(scene.delta_cov + independent * np.eye(2)),
        snr=math.sqrt(max(source.snr**2 - 2.0 * price, 0.0)) if source.snr > 0 else source.snr,
        flux=max(source.flux, source.flux_error),  # the unit of the stars' likelihoods: never zero
        chi2_reduced=source.chi2_reduced,
    )


def misfit_error(source: PointSource) -> float:
    """Error of a place (pixels per axis) where the PRF does not fit: what is left, over the dip, moves it.

    The likelihood's own scale takes what is left for noise, of which little looks like a shift; a wrong PRF does.
    """
    left = source.n_pixels * max(source.chi2_reduced - POOR_CHI2, 0.0)
    return min(MISFIT_ERROR * math.sqrt(left) / max(source.snr, 1.0), _MOST_MISFIT)


def dip_maps(grid: SignificanceMap, source: PointSource) -> DipMaps:
    """The likelihood of the dip's place from the whole stamp to its peak."""
    each = grid, source.near, source.peak
    return DipMaps(*each, *(one.information[::every, ::every] for one, every in zip(each, EVERY, strict=True)))


def _artefact(difference: DifferenceImage, variance: FloatArray, image: NoisyImage, spread: float) -> float:
    """Log likelihood, against no dip, of noise shapes much larger than at transit-free epochs (method: hosts)."""
    wide = NoisyImage.build(difference.flux, variance, difference.shapes, spread**2 * difference.shape_cov)
    return 0.5 * (image.chi2 - wide.chi2) + 0.5 * (image.log_determinant - wide.log_determinant)


def _flags(difference: DifferenceImage, scene: Scene, source: PointSource, unlisted: bool) -> tuple[str, ...]:
    """What a reader should know before trusting the offset."""
    shape = difference.flux.shape
    raised = {
        Flag.ZERO_POINT_LARGE: math.hypot(scene.delta_row, scene.delta_col) > LARGE_ZERO_POINT[scene.prf.name],
        Flag.UNLISTED_BRIGHT_STAR: unlisted,
        Flag.LOW_SNR: source.snr < LEAST_SNR,
        Flag.SOURCE_AT_EDGE: not (0.5 <= source.row <= shape[0] - 1.5 and 0.5 <= source.col <= shape[1] - 1.5),
        Flag.SATURATED_SOURCE: _is_saturated(scene, source),
        Flag.SPOILT_DIP: _is_spoilt(difference, scene, source),
        Flag.POOR_PRF_FIT: source.chi2_reduced > POOR_CHI2,
    }
    return (*difference.flags, *(flag for flag, present in raised.items() if present))


def _is_spoilt(difference: DifferenceImage, scene: Scene, source: PointSource) -> bool:
    """Whether a flare or an asteroid shone where the dip seems to be, brighter than the dip is deep."""
    rows, cols = np.indices(difference.flux.shape)
    near = np.hypot(rows - source.row, cols - source.col) <= _BUMP_RADIUS
    peak = source.flux * scene.prf.image(source.row, source.col, difference.flux.shape).max()
    return bool(near.any() and difference.bump_height[near].max() > peak)


def _is_saturated(scene: Scene, source: PointSource) -> bool:
    """Whether full pixels, which carry no position, lie within a pixel of the dip."""
    row, col = round(source.row), round(source.col)
    return bool(scene.saturated[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2].any())


def _result(
    difference: DifferenceImage, scene: Scene, evidence: SectorEvidence, source: tuple[float, float]
) -> SectorLocalization:
    """The sector's columns and images; `source` is the right ascension and declination of the dip."""
    dip, (east, north), covariance = evidence.dip, evidence.offset, evidence.offset_covariance
    drow, dcol = dip.place - evidence.frame.target
    deviation = np.einsum("pi,ij,pj->p", difference.shapes, difference.shape_cov, difference.shapes)
    error = np.sqrt(difference.variance + deviation.reshape(difference.variance.shape))
    timing = difference.timing
    minutes = 24.0 * 60.0
    return SectorLocalization(
        timing_offset_minutes=timing.common * minutes if timing.is_measured else math.nan,
        timing_error_minutes=timing.common_error * minutes if timing.is_measured else math.nan,
        transit_times_btjd=timing.mid_times + timing.shift,
        transit_oc_minutes=timing.shift * minutes,
        transit_oc_error_minutes=timing.error * minutes,
        n_outlier_cadences=difference.n_outlier_cadences,
        target_offset_pixels=math.hypot(drow, dcol),
        target_offset_arcsec=math.hypot(east, north),
        offset_ra_arcsec=float(east),
        offset_dec_arcsec=float(north),
        offset_cov_ra_ra=float(covariance[0, 0]),
        offset_cov_ra_dec=float(covariance[0, 1]),
        offset_cov_dec_dec=float(covariance[1, 1]),
        significance_sigma=math.sqrt(evidence.offset @ np.linalg.solve(covariance, evidence.offset)),
        difference_snr=dip.snr,
        source_ra=source[0],
        source_dec=source[1],
        prf_source=evidence.prf_source,
        prf_chi2_reduced=dip.chi2_reduced,
        zero_point_col=scene.delta_col,
        zero_point_row=scene.delta_row,
        localization_flags=evidence.flags,
        n_transits=evidence.n_transits,
        n_in_transit=evidence.n_in_transit,
        source_col=float(dip.place[1]),
        source_row=float(dip.place[0]),
        difference_image=difference.flux.astype(np.float32),
        difference_error=error.astype(np.float32),
        out_of_transit_image=difference.out_of_transit.astype(np.float32),
        evidence=evidence,
    )
