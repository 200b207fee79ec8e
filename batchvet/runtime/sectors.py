"""Which sectors of a target are looked at: the catalogue's, the sources' and the configuration's say."""

from __future__ import annotations

from collections.abc import Sequence

from batchvet.catalog.candidate import Candidate

NO_SECTOR = 0  #: sector of a row whose target has no pixels anywhere


def wanted_sectors(group: Sequence[Candidate], listed: tuple[int, ...] | None) -> frozenset[int] | None:
    """Sectors asked for of a target; None when that depends on which have pixels.

    Parameters
    ----------
    group : sequence of Candidate
        All of one target.
    listed : tuple of int or None
        The only sectors that the configuration wants; None: all.
    """
    wanted: set[int] = set()
    for candidate in group:
        known = candidate.sectors or listed
        if known is None:
            return None
        wanted.update(sector for sector in known if listed is None or sector in listed)
    return frozenset(wanted)


def sectors_of(candidate: Candidate, with_pixels: tuple[int, ...], listed: tuple[int, ...] | None) -> tuple[int, ...]:
    """The catalogue's sectors, else all that have pixels; of these the ones that the configuration lists.

    Parameters
    ----------
    candidate : Candidate
    with_pixels : tuple of int
        Sectors of its target that the cache or a source has.
    listed : tuple of int or None
        As of :func:`wanted_sectors`. One without a file is a row too when the catalogue names no sectors.
    """
    if listed is None:
        return candidate.sectors or with_pixels or (NO_SECTOR,)
    if candidate.sectors:
        return tuple(sector for sector in candidate.sectors if sector in listed)
    return listed
