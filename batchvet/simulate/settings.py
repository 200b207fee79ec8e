"""What can be asked of the simulator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.errors import ConfigError

#: A callable PRF: CCD row and column (float), stamp shape (rows, cols) → image of a star of unit flux. The
#: star lies at ``((rows - 1) // 2 + row % 1, (cols - 1) // 2 + col % 1)`` of that image, integers being centres.
PrfFunction = Callable[[float, float, tuple[int, int]], FloatArray]

#: What a scene can be: the dip is on the target; on another star of the table; on either, with stars close to
#: the target; on a star that the table lacks; or the catalogue's dip does not exist.
KINDS = ("on_target", "off_target", "crowded", "not_in_table", "no_dip")

#: How often each kind is drawn in the scenario "mixed".
MIXTURE = {"on_target": 0.40, "off_target": 0.30, "crowded": 0.20, "not_in_table": 0.05, "no_dip": 0.05}

POINTING_COLUMNS = ("measured", "zero", "absent")

#: How steady the spacecraft is: "flight" is what SPOC's light curves show, "rough" what this simulator
#: had before: two to three times the motion at 120 s, four times at 30 min, and POS_CORR wrong by 0.002 px.
POINTING = ("flight", "rough")

#: Who can know how the target moves: the neighbour table, the file's header, the catalogue.
MOTION_SOURCES = ("table", "header", "catalog")

FLARE_HOSTS = ("target", "neighbour", "any")


@dataclass(frozen=True)
class SimulationSettings:
    """What scenes are drawn and what the detector does to them."""

    seed: int = 0  #: everything random follows from it, the target's number and the sector
    sectors: tuple[int, ...] = (1, 2, 3)  #: sectors in which every target is observed
    cadence_s: float | tuple[float, ...] = 1800.0  #: s, 20 to 1800; of several, each target and sector draws one
    scenario: str = "mixed"  #: "mixed" or one of KINDS
    shapes: tuple[tuple[int, int], ...] = ((11, 11), (13, 11))  #: stamps, (rows, cols), drawn evenly
    tall_stamps: bool = True  #: stamps of saturated targets get rows until their bleed ends inside, as SPOC's do

    # The stars
    tmag_range: tuple[float, float] = (8.5, 13.5)  #: TESS magnitude of targets
    density_range: tuple[float, float] = (0.5, 5.0)  #: stars per arcmin² with Tmag < 18, log-uniform
    close_neighbour_fraction: float = 0.5  #: scenes that get a star within 50" of the target on purpose
    crowd_range: tuple[int, int] = (
        0,
        0,
    )  #: further stars within 120", 1 mag brighter to 6 fainter than the target
    variable_fraction: float = 0.1  #: stars whose flux varies
    proper_motion: float | None = None  #: arcsec/yr of the target; None: drawn as of the usual targets
    proper_motion_scale: float = 1.0  #: times the usual proper motions

    # The dip
    snr_range: tuple[float, float] = (5.0, 50.0)  #: expected SNR, all sectors together, log-uniform
    period_range: tuple[float, float] = (0.8, 15.0)  #: days, log-uniform
    duration_range: tuple[float, float] | None = None  #: hours, log-uniform; None: what suits a Sun-like host
    single_fraction: float = 0.1  #: candidates with only one transit
    multi_fraction: float = 0.1  #: targets with a second planet
    ttv: float = 0.0  #: 1 sigma of each transit's own shift, in durations
    secondary: float = 0.0  #: depth of a secondary eclipse of the same star, in depths of the dip
    secondary_phase: float = 0.5  #: when it comes, in periods after the dip
    odd_even: float = 0.0  #: even transits are deeper than odd ones by this fraction of the depth

    # What is known of them
    t0_err_range: tuple[float, float] = (3e-4, 3e-3)  #: days, error of the catalogue's t0, log-uniform
    t0_offset: float = 0.0  #: durations by which the catalogue's t0 is early or late beyond its stated error
    drift: float = 0.0  #: durations by which, at most, the catalogue's period is off in the middle of the last sector
    neighbour_table: bool = True  #: whether there is a neighbour table at all
    neighbour_epoch: float = 2016.0  #: epoch of the neighbour table: 2000.0 (TIC) or 2016.0 (Gaia DR3)
    neighbour_limit: float = 18.5  #: Tmag of the faintest star in the neighbour table
    motion_known_by: tuple[str, ...] = MOTION_SOURCES  #: which of these know the target's proper motion

    # What is nobody's dip
    flares: int = 0  #: of a target in a sector, at any time
    flares_in_transit: int = 0  #: transits of the first candidate with a flare in their window
    flare_host: str = "any"  #: "target", "neighbour" or "any": the star that flares
    asteroids: int = 0  #: transits of the first candidate during which an asteroid crosses the stamp
    cosmic_rays: float = 0.0  #: hits per pixel and day that nobody took out; about 1 reach a TESS pixel

    # The detector
    prf: str | PrfFunction = "mixed"  #: "gaussians", "moffats", "mixed" (either), or a callable
    prf_directory: Path | None = None  #: SPOC PRF files in the archive's layout, used instead of `prf`
    pointing: str = "flight"  #: one of POINTING
    jitter: float = 1.0  #: times the motion that `pointing` has
    pos_corr: str = "measured"  #: "measured", "zero", or "absent" (NaN in the file)
    pos_corr_error_px: float | None = None  #: 1 sigma of POS_CORR about the true motion; None: as `pointing` has it
    scattered_light: float = 1.0  #: times the usual ramp at the ends of each orbit
    background_residual: float = 0.02  #: fraction of the scattered light that stays in FLUX
    wcs_error_px: float = 0.02  #: 1 sigma per axis and sector, between WCS and pixels
    saturation: bool = True  #: full pixels bleed along their column
    flags: bool = True  #: flagged cadences, momentum dumps, NaN times; the orbit gap is always there
    noise: bool = True  #: photon and read noise

    def __post_init__(self) -> None:
        self._check_observations()
        self._check_stars()
        self._check_dips()
        self._check_detector()

    @property
    def cadences(self) -> tuple[float, ...]:
        """The cadences (s) that are drawn from."""
        return self.cadence_s if isinstance(self.cadence_s, tuple) else (self.cadence_s,)

    def _check_observations(self) -> None:
        _check(_is_whole(self.seed, 0, math.inf), "seed", self.seed, "a whole number >= 0")
        good = 0 < len(self.sectors) == len(set(self.sectors)) and all(_is_whole(s, 1, 9999) for s in self.sectors)
        _check(good, "sectors", self.sectors, "different whole numbers from 1 to 9999")
        good = len(self.cadences) > 0 and all(20 <= cadence <= 1800 for cadence in self.cadences)
        _check(good, "cadence_s", self.cadence_s, "between 20 and 1800 s")
        _check(self.scenario in ("mixed", *KINDS), "scenario", self.scenario, "mixed, " + ", ".join(KINDS))
        good = len(self.shapes) > 0 and all(_is_shape(shape) for shape in self.shapes)
        _check(good, "shapes", self.shapes, "(rows, cols) from 5 to 51")

    def _check_stars(self) -> None:
        low, high = self.tmag_range
        _check(0 <= low <= high <= 18, "tmag_range", self.tmag_range, "0 <= bright <= faint <= 18")
        fewest, most = self.crowd_range
        _check(0 <= fewest <= most <= 1000, "crowd_range", self.crowd_range, "0 <= fewest <= most <= 1000")
        _check(
            0 <= self.neighbour_limit <= 40, "neighbour_limit", self.neighbour_limit, "a TESS magnitude from 0 to 40"
        )
        good = self.proper_motion is None or 0 <= self.proper_motion <= 20
        _check(good, "proper_motion", self.proper_motion, 'between 0 and 20"/yr')
        _check(self.neighbour_epoch in (2000.0, 2016.0), "neighbour_epoch", self.neighbour_epoch, "2000 or 2016")
        good = set(self.motion_known_by) <= set(MOTION_SOURCES)
        _check(good, "motion_known_by", self.motion_known_by, "some or none of " + ", ".join(MOTION_SOURCES))

    def _check_dips(self) -> None:
        ranges = ["snr_range", "density_range", "period_range", "t0_err_range"]
        for name in ranges if self.duration_range is None else [*ranges, "duration_range"]:
            low, high = getattr(self, name)
            _check(0 < low <= high < math.inf, name, (low, high), "0 < low <= high")
        for name in ("close_neighbour_fraction", "single_fraction", "multi_fraction", "variable_fraction"):
            _check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "between 0 and 1")
        for name in ("secondary", "odd_even"):
            _check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "between 0 and 1")
        _check(0.1 <= self.secondary_phase <= 0.9, "secondary_phase", self.secondary_phase, "between 0.1 and 0.9")
        for name in ("ttv", "t0_offset", "drift"):
            _check(0 <= getattr(self, name) <= 10, name, getattr(self, name), "between 0 and 10 durations")

    def _check_detector(self) -> None:
        for name in ("jitter", "scattered_light", "background_residual", "wcs_error_px", "proper_motion_scale"):
            _check(0 <= getattr(self, name) <= 100, name, getattr(self, name), "between 0 and 100")
        for name in ("flares", "flares_in_transit", "asteroids"):
            number = getattr(self, name)
            _check(_is_whole(number, 0, 1000), name, number, "a whole number from 0 to 1000")
        _check(0 <= self.cosmic_rays <= 1000, "cosmic_rays", self.cosmic_rays, "between 0 and 1000 a day")
        _check(self.flare_host in FLARE_HOSTS, "flare_host", self.flare_host, ", ".join(FLARE_HOSTS))
        known = callable(self.prf) or self.prf in ("mixed", "gaussians", "moffats")
        _check(known, "prf", self.prf, "gaussians, moffats, mixed or a callable")
        _check(self.pointing in POINTING, "pointing", self.pointing, " or ".join(POINTING))
        _check(self.pos_corr in POINTING_COLUMNS, "pos_corr", self.pos_corr, ", ".join(POINTING_COLUMNS))
        good = self.pos_corr_error_px is None or 0 <= self.pos_corr_error_px <= 1
        _check(good, "pos_corr_error_px", self.pos_corr_error_px, "between 0 and 1 px")

    @classmethod
    def of(cls, **options: Any) -> SimulationSettings:
        """Settings from keyword arguments; an unknown one is a ConfigError that names it."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(options) - known)
        if unknown:
            raise ConfigError(f"simulate: unknown option {', '.join(unknown)}; known: {', '.join(sorted(known))}.")
        return cls(**options)


def _check(good: bool, name: str, value: object, wanted: str) -> None:
    if not good:
        raise ConfigError(f"simulate: {name} = {value!r} cannot be used; it must be {wanted}.")


def _is_whole(value: object, low: float, high: float) -> bool:
    return isinstance(value, int) and low <= value <= high


def _is_shape(shape: Sequence[int]) -> bool:
    return len(shape) == 2 and min(shape) >= 5 and max(shape) <= 51


def stream(*keys: int) -> np.random.Generator:
    """Random numbers that depend on the keys alone, so that files can be made in any order."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(keys)))
