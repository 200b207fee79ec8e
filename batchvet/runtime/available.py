"""Which pixels there are for each target: in the cache, on offer, or nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchvet.catalog.candidate import Candidate
from batchvet.pixels.cache import Cache, CacheEntry
from batchvet.pixels.directory import DirectorySource
from batchvet.pixels.entry import StampKey
from batchvet.pixels.sources import Offer, Source, best_offers, cadence_rank
from batchvet.runtime.config import RunConfig, short_hash


@dataclass(frozen=True)
class Problem:
    """Why a target has no pixels in a sector."""

    kind: str
    text: str


@dataclass(frozen=True)
class Found:
    """Pixels of one target in one sector: one of the three is set."""

    hash: str  #: changes when the pixels do
    entry: StampKey | None = None  #: in the cache, and no source has another version
    offer: Offer | None = None  #: to be cached first
    problem: Problem | None = None
    size: int = 0  #: bytes


class AvailablePixels:
    """The cache's entries and the sources' offers for the targets of a catalogue."""

    def __init__(self, entries: Mapping[StampKey, CacheEntry], offers: Mapping[tuple[int, int], Offer]) -> None:
        self._offers = offers
        self._entries: dict[tuple[int, int], list[CacheEntry]] = {}
        for entry in entries.values():
            self._entries.setdefault((entry.tic, entry.sector), []).append(entry)
        self._sectors: dict[int, set[int]] = {}
        for tic, sector in (*self._entries, *self._offers):
            self._sectors.setdefault(tic, set()).add(sector)

    @classmethod
    def find(
        cls,
        config: RunConfig,
        targets: Mapping[int, Sequence[Candidate]],
        progress: Callable[[int], None] | None = None,
    ) -> AvailablePixels:
        """Look into the cache and ask every source; the first source that has a (target, sector) is taken."""
        cache = Cache(config.cache)
        positions = {tic: (group[0].ra, group[0].dec) for tic, group in targets.items()}
        offers: dict[tuple[int, int], Offer] = {}
        for source in open_sources(config, cache, progress):
            for key, offer in best_offers(source.offers(positions)).items():
                if key not in offers or (offers[key].error and not offer.error):
                    offers[key] = offer
        return cls(cache.index(), offers)

    def sectors(self, tic: int) -> tuple[int, ...]:
        """Sectors with pixels of a target, sorted."""
        return tuple(sorted(self._sectors.get(tic, ())))

    def of(self, tic: int, sector: int) -> Found:
        """What to use for a target in a sector: the cached entry unless a source has another version."""
        entries = sorted(self._entries.get((tic, sector), ()), key=lambda e: cadence_rank(e.cadence_s))
        offer = self._offers.get((tic, sector))
        if entries and (offer is None or offer.error):
            return _cached(entries[0])
        if offer is None:
            where = f"of TIC {tic}" if not sector else f"of TIC {tic} in sector {sector}"
            return Found("missing", problem=Problem("missing_tpf", f"no pixels {where} in the cache or any source"))
        for entry in entries:
            if _same_file(entry, offer):
                return _cached(entry)
        if offer.error:
            return Found(short_hash(offer.fingerprint), problem=Problem(offer.error_kind, offer.error))
        return Found(short_hash(offer.fingerprint), offer=offer, size=offer.size)


def open_sources(config: RunConfig, cache: Cache, progress: Callable[[int], None] | None = None) -> list[Source]:
    """The configured sources, in order.

    Raises
    ------
    ConfigError
        One of them cannot be used.
    """
    return [DirectorySource(source.directory, cache.storage, progress) for source in config.sources]


def _cached(entry: CacheEntry) -> Found:
    return Found(entry.source_sha256[:12] or short_hash(entry.source), entry=entry.key, size=entry.size)


def _same_file(entry: CacheEntry, offer: Offer) -> bool:
    """Whether an entry was made from what is on offer; a file that was moved or touched is read to find out."""
    if not offer.mtime_ns:
        return entry.source == offer.location
    if entry.source_size != offer.size:
        return False
    if entry.source_mtime_ns == offer.mtime_ns:
        return True
    try:
        return hashlib.sha256(Path(offer.location).read_bytes()).hexdigest() == entry.source_sha256
    except OSError:
        return False
