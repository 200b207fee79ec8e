"""What may be chosen about the localisation; the defaults are what the calibration was made with."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchvet.science.windows import WindowSettings


@dataclass(frozen=True)
class NoiseSettings:
    """How the noise is measured."""

    most_epochs: int = 100  #: transit-free epochs used
    few_epochs: int = 30  #: fewer of them: the dips are filled in and epochs anywhere are used
    grid_per_duration: float = 6.0  #: candidate epochs per duration
    full_coverage: float = 0.8  #: cadences of a window, over those of an unbroken one
    most_components: int = 5  #: further common shapes found in the epochs themselves


@dataclass(frozen=True)
class DifferenceSettings:
    """What may be chosen about the difference image."""

    windows: WindowSettings = field(default_factory=WindowSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    cadences_per_duration: int = 24  #: of the dip, that are enough: of shorter ones means are taken


@dataclass(frozen=True)
class LocalizationSettings:
    """What may be chosen about the localisation; the defaults are what the calibration was made with."""

    difference: DifferenceSettings = field(default_factory=DifferenceSettings)  #: windows, noise
    grid_step: float = 0.5  #: pixels, search for the dip and stored likelihood; around the dip it is finer
    wcs_error_arcsec: float = 0.1  #: 1 sigma per axis, of star positions relative to each other on the stamp
    artefact_spread: float = 5.0  #: an artefact's shapes are this many times those of transit-free epochs
    max_stars: int = 150  #: stars kept as possible hosts
