"""What can be asked of the simulator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchvet.errors import ConfigError

#: A callable PRF: CCD row and column (float), stamp shape (rows, cols) → image of a star of unit flux. The
#: star lies at ``((rows - 1) // 2 + row % 1, (cols - 1) // 2 + col % 1)`` of that image, integers being centres.
PrfFunction = Callable[[float, float, tuple[int, int]], NDArray[np.float64]]

#: What a scene can be: the dip is on the target; on another star of the table; on either, with stars close to
#: the target; on a star that the table lacks; or the catalogue's dip does not exist.
KINDS = ("on_target", "off_target", "crowded", "not_in_table", "no_dip")

#: How often each kind is drawn in the scenario "mixed".
MIXTURE = {"on_target": 0.40, "off_target": 0.30, "crowded": 0.20, "not_in_table": 0.05, "no_dip": 0.05}

POINTING_COLUMNS = ("measured", "zero", "absent")


@dataclass(frozen=True)
class SimulationSettings:
    """What scenes are drawn and what the detector does to them."""

    seed: int = 0  #: everything random follows from it, the target's number and the sector
    sectors: tuple[int, ...] = (1, 2, 3)  #: sectors in which every target is observed
    cadence_s: float = 1800.0  #: s, 20 to 1800
    scenario: str = "mixed"  #: "mixed" or one of KINDS
    shapes: tuple[tuple[int, int], ...] = ((11, 11), (13, 11))  #: stamps, (rows, cols), drawn evenly
    tmag_range: tuple[float, float] = (8.5, 13.5)  #: TESS magnitude of targets
    snr_range: tuple[float, float] = (5.0, 50.0)  #: expected SNR, all sectors together, log-uniform
    density_range: tuple[float, float] = (0.5, 5.0)  #: stars per arcmin² with Tmag < 18, log-uniform
    close_neighbour_fraction: float = 0.5  #: scenes that get a star within 30" of the target on purpose
    period_range: tuple[float, float] = (0.8, 15.0)  #: days, log-uniform
    single_fraction: float = 0.1  #: candidates with only one transit
    multi_fraction: float = 0.1  #: targets with a second planet
    t0_err_range: tuple[float, float] = (3e-4, 3e-3)  #: days, error of the catalogue's t0, log-uniform
    proper_motion_scale: float = 1.0  #: times the usual proper motions
    prf: str | PrfFunction = "mixed"  #: "gaussians", "moffats", "mixed" (either), or a callable
    prf_directory: Path | None = None  #: SPOC PRF files in the archive's layout, used instead of `prf`
    jitter: float = 1.0  #: times the usual pointing jitter and drift
    pos_corr: str = "measured"  #: "measured", "zero", or "absent" (NaN in the file)
    scattered_light: float = 1.0  #: times the usual ramp at the ends of each orbit
    background_residual: float = 0.02  #: fraction of the scattered light that stays in FLUX
    variable_fraction: float = 0.1  #: stars whose flux varies
    wcs_error_px: float = 0.02  #: 1 sigma per axis and sector, between WCS and pixels
    saturation: bool = True  #: full pixels bleed along their column
    flags: bool = True  #: flagged cadences, momentum dumps, NaN times; the orbit gap is always there
    noise: bool = True  #: photon and read noise
    neighbour_epoch: float = 2016.0  #: epoch of the neighbour table: 2000.0 (TIC) or 2016.0 (Gaia DR3)
    neighbour_limit: float = 18.5  #: Tmag of the faintest star in the neighbour table

    def __post_init__(self) -> None:
        _check(isinstance(self.seed, int) and self.seed >= 0, "seed", self.seed, "a whole number >= 0")
        good = len(self.sectors) > 0 and len(set(self.sectors)) == len(self.sectors)
        good = good and all(isinstance(s, int) and 1 <= s <= 9999 for s in self.sectors)
        _check(good, "sectors", self.sectors, "different whole numbers from 1 to 9999")
        _check(20 <= self.cadence_s <= 1800, "cadence_s", self.cadence_s, "between 20 and 1800 s")
        _check(self.scenario in ("mixed", *KINDS), "scenario", self.scenario, "mixed, " + ", ".join(KINDS))
        good = len(self.shapes) > 0 and all(len(s) == 2 and min(s) >= 5 and max(s) <= 51 for s in self.shapes)
        _check(good, "shapes", self.shapes, "(rows, cols) from 5 to 51")
        for name in ("snr_range", "density_range", "period_range", "t0_err_range"):
            low, high = getattr(self, name)
            _check(0 < low <= high < math.inf, name, (low, high), "0 < low <= high")
        low, high = self.tmag_range
        _check(0 <= low <= high <= 18, "tmag_range", self.tmag_range, "0 <= bright <= faint <= 18")
        for name in ("close_neighbour_fraction", "single_fraction", "multi_fraction", "variable_fraction"):
            _check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "between 0 and 1")
        for name in ("jitter", "scattered_light", "background_residual", "wcs_error_px", "proper_motion_scale"):
            _check(0 <= getattr(self, name) <= 100, name, getattr(self, name), "between 0 and 100")
        known = callable(self.prf) or self.prf in ("mixed", "gaussians", "moffats")
        _check(known, "prf", self.prf, "gaussians, moffats, mixed or a callable")
        _check(self.pos_corr in POINTING_COLUMNS, "pos_corr", self.pos_corr, ", ".join(POINTING_COLUMNS))
        _check(self.neighbour_epoch in (2000.0, 2016.0), "neighbour_epoch", self.neighbour_epoch, "2000 or 2016")

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


def stream(*keys: int) -> np.random.Generator:
    """Random numbers that depend on the keys alone, so that files can be made in any order."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(keys)))
