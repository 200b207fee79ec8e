"""From probabilities to a word: the rule (method: verdict)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from batchvet.vocabulary import Flag, Verdict

LEAST_SNR = 5.0
LEAST_CONSISTENCY = 1e-3
FAR_SIGMA = 3.0


@dataclass(frozen=True)
class VerdictInput:
    """What the rule looks at; the defaults are those of no sector at all."""

    n_sectors: int  #: with a valid transit
    snr: float = 0.0  #: joint
    p_artefact: float = 0.0
    consistency_p: float = math.nan  #: of the sectors; NaN for fewer than two
    spoilt: bool = False  #: a flare or an asteroid may be the dip in every sector
    at_edge: bool = False  #: the dip is within a pixel of the stamp's edge in every sector
    p_target: float = 0.0  #: of the target itself
    p_target_group: float = 0.0  #: with the stars that cannot be told from it
    p_best_other: float = 0.0  #: most probable star that is not the target
    offset_sigma: float = math.nan
    has_table: bool = True  #: whether there is a table of neighbours
    confined: bool = True  #: whether the dip lies, to 3 sigma, where no star is told from the target


def decide(given: VerdictInput) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and as flags what makes it inconclusive."""
    obstacles = {
        Flag.NO_VALID_TRANSIT: given.n_sectors == 0,
        Flag.LOW_SNR: given.n_sectors > 0 and not given.snr >= LEAST_SNR,
        Flag.ARTEFACT: given.p_artefact > 0.5,
        Flag.SECTORS_INCONSISTENT: given.consistency_p < LEAST_CONSISTENCY,
        Flag.SPOILT_DIP: given.spoilt,
        Flag.SOURCE_AT_EDGE: given.at_edge,
    }
    flags = tuple(flag for flag, present in obstacles.items() if present)
    if flags:
        return Verdict.INCONCLUSIVE, flags
    # Without a table a place and its error stand. They suffice where no other star could be told from the target
    # anyhow; whose dip it is elsewhere cannot be said in a universe of one star.
    if not given.has_table and not (given.confined and given.p_target_group >= 0.95):
        return Verdict.AMBIGUOUS, ()
    # An offset that the target cannot explain speaks for a star that no table has.
    explained = not given.offset_sigma > FAR_SIGMA
    if given.p_target_group >= 0.95 and given.p_target >= given.p_best_other and explained:
        return Verdict.ON_TARGET, ()
    if given.p_target <= 0.01 and (given.p_best_other >= 0.95 or not explained):
        return Verdict.OFF_TARGET, ()
    return Verdict.AMBIGUOUS, ()
