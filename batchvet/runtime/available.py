"""Which pixels there are for each target: in the cache, on offer, or nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any

from batchvet.catalog.candidate import Candidate
from batchvet.errors import Problem
from batchvet.pixels.cache import CacheEntry
from batchvet.pixels.entry_table import EntryTable
from batchvet.pixels.sources import Offer, Source, best_offers, cadence_rank
from batchvet.runtime.hashes import short_hash
from batchvet.runtime.sectors import wanted_sectors
from batchvet.runtime.tasks import Cached, Missing, Offered, Pixels
from batchvet.vocabulary import ErrorKind, error_kind

#: Tells whether there is something of a target in a sector.
Have = Callable[[int, int], bool]


class AvailablePixels:
    """The cache's entries and the sources' offers for the targets of a catalogue.

    Parameters
    ----------
    entries : EntryTable
    offers : mapping of (TIC, sector) to Offer
    not_asked : set of int
        Targets that an archive would have to be asked for.
    note : str
        What people should know of the answers.
    """

    def __init__(
        self,
        entries: EntryTable,
        offers: Mapping[tuple[int, int], Offer],
        not_asked: Set[int] = frozenset(),
        note: str = "",
    ) -> None:
        self._offers = offers
        self.not_asked = frozenset(not_asked)
        self.note = note
        self._entries = entries
        self._offered: dict[int, set[int]] = {}
        for tic, sector in self._offers:
            self._offered.setdefault(tic, set()).add(sector)

    def sectors(self, tic: int) -> tuple[int, ...]:
        """Sectors with pixels of a target, sorted."""
        return tuple(sorted(self._entries.sectors(tic) | self._offered.get(tic, set())))

    @property
    def entries(self) -> EntryTable:
        """All of the cache."""
        return self._entries

    def certain_entries(self, tic: int) -> dict[int, int]:
        """By sector the row of a target's only entry, where no source has anything: that is what is used."""
        offered = self._offered.get(tic, ())
        return {sector: row for sector, row in self._entries.only_ones(tic).items() if sector not in offered}

    def of(self, tic: int, sector: int) -> Pixels:
        """What to use for a target in a sector: the cached entry unless a source has another version."""
        entries = sorted(self._entries.of(tic, sector), key=lambda e: cadence_rank(e.cadence_s))
        offer = self._offers.get((tic, sector))
        if entries and (offer is None or offer.error):
            return Cached.of(entries[0])
        if offer is None:
            return self._nowhere(tic, sector)
        for entry in entries:
            if _same_file(entry, offer):
                return Cached.of(entry)
        if offer.error:
            return Missing(Problem(error_kind(offer.error_kind), offer.error), short_hash(offer.fingerprint))
        return Offered.of(offer)

    def _nowhere(self, tic: int, sector: int) -> Missing:
        where = f"of TIC {tic}" if not sector else f"of TIC {tic} in sector {sector}"
        if tic in self.not_asked:
            text = f"no pixels {where} yet, and the archive has not been asked"
            return Missing(Problem(ErrorKind.NOT_ASKED, text), "not asked")
        text = f"no pixels {where} in the cache or any source"
        return Missing(Problem(ErrorKind.MISSING_TPF, text), "missing")


def find_pixels(
    entries: EntryTable,
    sources: Sequence[Source],
    targets: Mapping[int, Sequence[Candidate]],
    listed_sectors: tuple[int, ...] | None,
) -> AvailablePixels:
    """Ask every source for what there is; the first source that has a (target, sector) is taken.

    A remote source is asked for nothing that the cache or a source before it has.

    Parameters
    ----------
    entries : EntryTable
        All of the cache.
    sources : sequence of Source
        Asked in this order.
    targets : mapping of TIC number to candidates
    listed_sectors : tuple of int or None
        The only sectors that are wanted; None: all.

    Raises
    ------
    ArchiveError
        An archive did not answer.
    """
    if not sources:
        return AvailablePixels(entries, {})
    wanted = {tic: wanted_sectors(group, listed_sectors) for tic, group in targets.items()}
    offers: dict[tuple[int, int], Offer] = {}
    not_asked: frozenset[int] = frozenset()
    note = ""

    def is_there(tic: int, sector: int) -> bool:
        offer = offers.get((tic, sector))
        return (offer is not None and not offer.error) or entries.has(tic, sector)

    for source in sources:
        have: Have = is_there if source.remote else lambda tic, sector: False
        lacking = _lacking(wanted, have)
        if not lacking:
            continue
        positions = {tic: (targets[tic][0].ra, targets[tic][0].dec) for tic in lacking}
        sectors = {tic: several for tic, several in lacking.items() if several is not None}
        of_use = (offer for offer in source.offers(positions, sectors) if not have(offer.tic, offer.sector))
        for key, offer in best_offers(of_use).items():
            if key not in offers or (offers[key].error and not offer.error):
                offers[key] = offer
        not_asked |= source.not_asked
        note = source.note or note
    return AvailablePixels(entries, offers, not_asked, note)


def is_of_same_pixels(pixels: Pixels, row: Mapping[str, Any]) -> bool:
    """Whether a finished row of the table `sectors` was made from what is there now.

    It was when nothing is there that could be another version, and when the file on offer is the same. A local file
    is read for that.
    """
    match pixels:
        case Cached(stamp_hash=stamp_hash):
            return bool(stamp_hash == row["stamp_hash"])
        case Missing(problem):
            return problem.kind in (ErrorKind.MISSING_TPF, ErrorKind.NOT_ASKED)
        case Offered(offer):
            if row["source_file"] != offer.location:
                return False
            return not offer.mtime_ns or _sha256(offer)[:12] == row["stamp_hash"]


def _lacking(wanted: Mapping[int, frozenset[int] | None], have: Have) -> dict[int, frozenset[int] | None]:
    """Of the wanted sectors those that are not there, by target; a target that lacks nothing is left out."""
    lacking = {}
    for tic, sectors in wanted.items():
        still = None if sectors is None else frozenset(s for s in sectors if not have(tic, s))
        if still is None or still:
            lacking[tic] = still
    return lacking


def _same_file(entry: CacheEntry, offer: Offer) -> bool:
    """Whether an entry was made from what is on offer; a file that was moved or touched is read to find out."""
    if not offer.mtime_ns:
        return entry.source == offer.location
    if entry.source_size != offer.size:
        return False
    if entry.source_mtime_ns == offer.mtime_ns:
        return True
    return _sha256(offer) == entry.source_sha256


@lru_cache(maxsize=4096)
def _sha256(offer: Offer) -> str:
    """Of a local file; empty when it cannot be read."""
    try:
        with open(offer.location, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
