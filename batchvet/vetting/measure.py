"""Every check on one candidate in one stamp."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from batchvet.arrays import BoolArray, FloatArray
from batchvet.catalog.candidate import Candidate, Ephemeris
from batchvet.errors import InsufficientData, PositionError, Problem, StampError
from batchvet.pixels.prf_files import find_prf
from batchvet.pixels.stamp import Stamp, middle
from batchvet.science.aperture_dependence import aperture_dependence_of
from batchvet.science.centroid_shift import centroid_shift_of
from batchvet.science.depth_map import DepthMap, depth_map_of
from batchvet.science.evidence import Part
from batchvet.science.folded_light_curve import FoldedLightCurve, folded_light_curve
from batchvet.science.frames import Frames
from batchvet.science.localization import SectorLocalization, localize
from batchvet.science.prf import Prf, spoc_prf
from batchvet.science.sector_pixels import SectorPixels
from batchvet.science.stars import StarField
from batchvet.science.timeline import Transits
from batchvet.vetting.companions import others_of
from batchvet.vetting.place import check_place, check_stars, target_position
from batchvet.vetting.settings import Check, Surroundings, VetSettings
from batchvet.vocabulary import ErrorKind, Flag, Status, not_localized

OPTIMAL_APERTURE = 2  #: bit of the SPOC aperture image that marks the optimal aperture


class CheckResult(Protocol):
    """What every check but the localisation gives."""

    @property
    def status(self) -> str: ...
    @property
    def flags(self) -> tuple[str, ...]: ...
    def metrics(self) -> Mapping[str, Any]:
        """Figures by name, NaN or None where one could not be measured; none at all where the check did not run."""
        ...


#: Checks on the cadences alone, in the order of their flags in a row, which begins with V09's.
OTHER_CHECKS: dict[Check, Callable[[Frames, Ephemeris], CheckResult]] = {
    "V08": centroid_shift_of,
    "V10": aperture_dependence_of,
}


@dataclass(frozen=True, eq=False)
class Observation:
    """One target in one sector, made ready for the checks of its candidates."""

    stamp: Stamp  #: all cadences
    good: BoolArray  #: those without an excluded quality flag, [cadence]
    prf: Prf | None  #: the official one in the middle of the stamp; None: it is fitted to the stamp

    @cached_property
    def frames(self) -> Frames:
        """The good cadences as V08, V09 and V10 share them."""
        return Frames(self.stamp.time, self.stamp.series, self.good, self.stamp.shape)

    def pixels(self, bitmask: int) -> SectorPixels:
        """The pixels as the localisation of every candidate takes them. Raises InsufficientData."""
        if bitmask not in self._pixels:
            self._pixels[bitmask] = SectorPixels.of(self.stamp, bitmask)
        return self._pixels[bitmask]

    @cached_property
    def _pixels(self) -> dict[int, SectorPixels]:
        return {}


@dataclass(frozen=True)
class NotLocalized:
    """Why the dip has no position in this sector."""

    flags: tuple[Flag, ...] = ()
    fault: Problem | None = None  #: where the row is an error: the target cannot be where it is said to be, or ours


@dataclass(frozen=True, eq=False)
class Measured:
    """What the checks of one candidate gave on one stamp."""

    candidate: Candidate
    observation: Observation
    depth: DepthMap  #: V09's, asked for or not: it tells whether there is anything in transit
    n_transits: int  #: with a cadence in transit
    checks: Mapping[Check, CheckResult]  #: those that were asked for, but the localisation
    localization: SectorLocalization | NotLocalized | None  #: None: not asked for
    companions: tuple[Ephemeris, ...] = ()  #: of the target's other candidates
    has_twin: bool = False  #: another candidate of the target has the same dips, which are not left out therefore

    @property
    def folded(self) -> FoldedLightCurve:
        """The light in the pipeline's aperture, folded, for people to look at."""
        stamp, good = self.observation.stamp, self.observation.good
        parts = self.localization.evidence.parts if isinstance(self.localization, SectorLocalization) else ()
        phase = next((part.phase for part in parts if part.part == Part.SECONDARY), 0.5)
        aperture = (stamp.aperture & OPTIMAL_APERTURE).astype(bool)
        time = np.where(good, stamp.time, np.nan)
        return folded_light_curve(time, stamp.series, aperture, self.candidate.ephemeris, self.companions, phase)

    @property
    def in_transit(self) -> bool:
        """Whether there is anything to measure: V09 has cadences in transit and out of it, or the dip has a place.

        The localisation has windows of its own: of a short period all of V09's baseline may be missing.
        """
        return self.depth.status == Status.OK or isinstance(self.localization, SectorLocalization)


def observe(stamp: Stamp, settings: VetSettings) -> Observation:
    """Make a stamp ready: choose its cadences, find its PRF.

    Raises
    ------
    StampError
        Kind ``all_flagged``: no cadence is left.
    ConfigError
        There are PRF files for the stamp's CCD, but they cannot be used.
    """
    good = usable(stamp, settings.quality_bitmask)
    return Observation(stamp, good, official_prf(stamp, settings.prf_directory))


def usable(stamp: Stamp, quality_bitmask: int) -> BoolArray:
    """The stamp's cadences without an excluded flag, [cadence]. Raises StampError as :func:`observe`."""
    good = stamp.good(quality_bitmask)
    if not good.any():
        raise StampError(
            f"{stamp.source}: every cadence has an excluded quality flag or no time; "
            "relax quality_bitmask to use it nevertheless",
            kind=ErrorKind.ALL_FLAGGED,
        )
    return good


def official_prf(stamp: Stamp, directory: str | None) -> Prf | None:
    """The official PRF in the middle of the stamp; None when there are no files for its CCD."""
    nodes = find_prf(directory, stamp.sector, stamp.camera, stamp.ccd) if directory else None
    if nodes is None:
        return None
    rows, cols = stamp.shape
    return spoc_prf(nodes, stamp.row + (rows - 1) / 2, stamp.column + (cols - 1) / 2)


def measure(
    observation: Observation, candidate: Candidate, surroundings: Surroundings, settings: VetSettings
) -> Measured:
    """Run the checks on one candidate.

    A target that cannot be where it is said to be, or a fault of ours in the localisation, costs that alone: the other
    checks' results stand.
    """
    stamp, ephemeris = observation.stamp, candidate.ephemeris
    depth = depth_map_of(observation.frames, ephemeris)
    checks: dict[Check, CheckResult] = {"V09": depth} if "V09" in settings.checks else {}
    for name, check in OTHER_CHECKS.items():
        if name in settings.checks:
            checks[name] = check(observation.frames, ephemeris)
    time = observation.frames.time
    others, has_twin = others_of(candidate, surroundings.companions, middle(time))
    localization: SectorLocalization | NotLocalized | None = None
    if "localization" in settings.checks:
        try:
            check_place(candidate, stamp)
            localization = _localized(observation, candidate, others, surroundings, settings)
        except PositionError as error:
            localization = NotLocalized(fault=Problem.of(error))
        except Exception as error:
            localization = NotLocalized(fault=Problem.internal(error))
    n_transits = _count_transits(time, candidate)
    return Measured(candidate, observation, depth, n_transits, checks, localization, others, has_twin)


def _localized(
    observation: Observation,
    candidate: Candidate,
    others: tuple[Ephemeris, ...],
    surroundings: Surroundings,
    settings: VetSettings,
) -> SectorLocalization | NotLocalized:
    """The localisation; without a usable transit or WCS the flag that says so."""
    stamp = observation.stamp
    if not stamp.wcs_header:
        return NotLocalized((Flag.NO_WCS,))
    if min(stamp.shape) < 2:  # a single row or column has no position across it
        return NotLocalized((Flag.NOT_LOCALIZED_NO_PIXELS,))
    neighbours = None if surroundings.neighbours is None else tuple(surroundings.neighbours)
    check_stars(neighbours, stamp)
    try:
        return localize(
            stamp,
            Transits(candidate.ephemeris, others),
            StarField(target_position(candidate, stamp), neighbours),
            observation.prf,
            settings.quality_bitmask,
            settings.localization,
            observation.pixels(settings.quality_bitmask),
        )
    except InsufficientData as error:
        return NotLocalized((not_localized(error.kind),))


def _count_transits(time: FloatArray, candidate: Candidate) -> int:
    """Transits with a cadence (BTJD days) within half a duration of their middle."""
    ephemeris = candidate.ephemeris
    distance = ephemeris.time_from_transit(time)
    inside = time[np.abs(distance) < ephemeris.duration_days / 2]
    if ephemeris.is_single:
        return int(inside.size > 0)
    return len(np.unique(np.round((inside - ephemeris.t0_btjd) / ephemeris.period_days)))
