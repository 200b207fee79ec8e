"""What is asked of a stamp: which checks, on which cadences, and what else dips and shines around the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from batchvet.catalog.candidate import Candidate, Neighbour
from batchvet.science.localization_settings import LocalizationSettings

Check = Literal["V08", "V09", "V10", "localization"]
ALL_CHECKS: tuple[Check, ...] = get_args(Check)


@dataclass(frozen=True)
class VetSettings:
    """What all stamps of a run have in common."""

    checks: tuple[Check, ...] = ALL_CHECKS
    quality_bitmask: int = 0  #: cadences with one of these flags are not used
    prf_directory: str | None = None  #: of official PRF files; None: the PRF is fitted to each stamp
    localization: LocalizationSettings = field(default_factory=LocalizationSettings)


@dataclass(frozen=True)
class Surroundings:
    """What else there is around a target: it must not be taken for the candidate's dip, or may be its host."""

    companions: tuple[Candidate, ...] = ()  #: candidates of the same target; the one that is vetted may be among them
    neighbours: Sequence[Neighbour] | None = None  #: stars of the field; None without a table
