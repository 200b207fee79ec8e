"""From probabilities to a word: the rule of SCIENCE 2g."""

from __future__ import annotations

from dataclasses import dataclass

ON_TARGET = "ON_TARGET"
OFF_TARGET = "OFF_TARGET"
AMBIGUOUS = "AMBIGUOUS"
INCONCLUSIVE = "INCONCLUSIVE"

LEAST_SNR = 5.0
LEAST_CONSISTENCY = 1e-3
FAR_SIGMA = 3.0


@dataclass(frozen=True)
class VerdictInput:
    """What the rule looks at."""

    n_sectors: int  #: with a valid transit
    snr: float  #: joint
    p_artefact: float
    consistency_p: float  #: of the sectors; NaN for fewer than two
    saturated: bool  #: a saturated star covers the dip in every sector
    at_edge: bool  #: the dip is within a pixel of the stamp's edge in every sector
    p_target: float  #: of the target itself
    p_target_group: float  #: with the stars that cannot be told from it
    p_best_other: float  #: most probable star that is not the target
    offset_sigma: float


def decide(given: VerdictInput) -> tuple[str, tuple[str, ...]]:
    """The verdict, and as flags what makes it inconclusive."""
    obstacles = {
        "NO_VALID_TRANSIT": given.n_sectors == 0,
        "LOW_SNR": given.n_sectors > 0 and not given.snr >= LEAST_SNR,
        "ARTEFACT": given.p_artefact > 0.5,
        "SECTORS_INCONSISTENT": given.consistency_p < LEAST_CONSISTENCY,
        "SATURATED_SOURCE": given.saturated,
        "SOURCE_AT_EDGE": given.at_edge,
    }
    flags = tuple(name for name, present in obstacles.items() if present)
    if flags:
        return INCONCLUSIVE, flags
    # An offset that the target cannot explain speaks for a star that no table has.
    explained = not given.offset_sigma > FAR_SIGMA
    if given.p_target_group >= 0.95 and given.p_target >= given.p_best_other and explained:
        return ON_TARGET, ()
    if given.p_target <= 0.01 and (given.p_best_other >= 0.95 or not explained):
        return OFF_TARGET, ()
    return AMBIGUOUS, ()
