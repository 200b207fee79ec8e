"""Which pixels there are for each target: in the cache, on offer, or nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from batchvet.catalog.candidate import Candidate
from batchvet.pixels.cache import Cache, CacheEntry
from batchvet.pixels.directory import DirectorySource
from batchvet.pixels.entry import StampKey
from batchvet.pixels.mast import MastChoice, MastSource
from batchvet.pixels.s3_source import open_s3_source
from batchvet.pixels.sources import Offer, Source, best_offers, cadence_rank
from batchvet.runtime.config import MastSourceSettings, RunConfig, S3Settings, short_hash


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
    camera: int = 0  #: 0 when not known before the file is read
    ccd: int = 0  #: likewise


class AvailablePixels:
    """The cache's entries and the sources' offers for the targets of a catalogue."""

    def __init__(
        self,
        entries: Mapping[StampKey, CacheEntry],
        offers: Mapping[tuple[int, int], Offer],
        not_asked: Set[int] = frozenset(),
        note: str = "",
    ) -> None:
        self._offers = offers
        self.not_asked = not_asked  #: targets that an archive would have to be asked for
        self.note = note  #: what people should know of the answers
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
        *,
        ask: bool = True,
        refresh: bool = False,
    ) -> AvailablePixels:
        """Look into the cache and ask every source; the first source that has a (target, sector) is taken.

        A remote source is asked for nothing that the cache or a source before it has.

        Parameters
        ----------
        config : RunConfig
        targets : mapping of TIC number to candidates
        progress : callable, optional
            Called with the number of files looked at, or targets asked for, so far.
        ask : bool
            Whether archives are asked for targets of which nothing is remembered; else these are `not_asked`.
        refresh : bool
            Ask archives again for all targets.

        Raises
        ------
        ArchiveError
            An archive did not answer.
        """
        cache = Cache(config.cache)
        entries = cache.index()
        cached = {(entry.tic, entry.sector) for entry in entries.values()}
        wanted = {tic: _wanted_sectors(group, config) for tic, group in targets.items()}
        offers: dict[tuple[int, int], Offer] = {}
        not_asked: set[int] = set()
        note = ""
        for source in open_sources(config, cache, progress, ask=ask, refresh=refresh):
            have = cached | {key for key, offer in offers.items() if not offer.error} if source.remote else set()
            lacking = _lacking(wanted, have)
            if not lacking:
                continue
            positions = {tic: (targets[tic][0].ra, targets[tic][0].dec) for tic in lacking}
            sectors = {tic: several for tic, several in lacking.items() if several is not None}
            for key, offer in best_offers(source.offers(positions, sectors)).items():
                if key not in have and (key not in offers or (offers[key].error and not offer.error)):
                    offers[key] = offer
            if isinstance(source, MastSource):
                not_asked |= source.not_asked
                note = source.note or note
        return cls(entries, offers, not_asked, note)

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
            if tic in self.not_asked:
                text = f"no pixels {where} yet, and the archive has not been asked"
                return Found("not asked", problem=Problem("not_asked", text))
            return Found("missing", problem=Problem("missing_tpf", f"no pixels {where} in the cache or any source"))
        for entry in entries:
            if _same_file(entry, offer):
                return _cached(entry)
        if offer.error:
            return Found(short_hash(offer.fingerprint), problem=Problem(offer.error_kind, offer.error))
        return Found(short_hash(offer.fingerprint), offer=offer, size=offer.size)


def open_sources(
    config: RunConfig,
    cache: Cache,
    progress: Callable[[int], None] | None = None,
    *,
    ask: bool = True,
    refresh: bool = False,
) -> list[Source]:
    """The configured sources, in order; parameters as of :meth:`AvailablePixels.find`.

    Raises
    ------
    ConfigError
        One of them cannot be used.
    """
    sources: list[Source] = []
    for settings in config.sources:
        if isinstance(settings, S3Settings):
            sources.append(open_s3_source(**settings.s3.model_dump()))
        elif isinstance(settings, MastSourceSettings):
            mast = settings.mast
            choice = MastChoice(mast.author, mast.exptime, mast.size if mast.tesscut else 0, mast.remember_days)
            how = {"ask": ask, "refresh": refresh, "politeness": mast.politeness, "progress": progress}
            sources.append(MastSource(choice, cache.storage, **how))
        else:
            sources.append(DirectorySource(settings.directory, cache.storage, progress))
    return sources


def _wanted_sectors(group: Sequence[Candidate], config: RunConfig) -> frozenset[int] | None:
    """Sectors asked for of a target; None when that depends on which have pixels."""
    wanted: set[int] = set()
    for candidate in group:
        if not candidate.sectors and config.sectors == "all":
            return None
        known = candidate.sectors or config.sectors
        wanted.update(s for s in known if config.sectors == "all" or s in config.sectors)
    return frozenset(wanted)


def _lacking(
    wanted: Mapping[int, frozenset[int] | None], have: Set[tuple[int, int]]
) -> dict[int, frozenset[int] | None]:
    """Of the wanted sectors those that are not there, by target; a target that lacks nothing is left out."""
    lacking = {}
    for tic, sectors in wanted.items():
        still = None if sectors is None else frozenset(s for s in sectors if (tic, s) not in have)
        if still is None or still:
            lacking[tic] = still
    return lacking


def _cached(entry: CacheEntry) -> Found:
    version = entry.source_sha256[:12] or short_hash(entry.source)
    return Found(version, entry=entry.key, size=entry.size, camera=entry.camera, ccd=entry.ccd)


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
