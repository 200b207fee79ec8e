"""A task: one target in one sector, all its candidates, and where its pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Self

import batchvet
from batchvet.catalog.candidate import Candidate
from batchvet.errors import Problem
from batchvet.pixels.cache import CacheEntry
from batchvet.pixels.entry import StampKey
from batchvet.pixels.sources import Offer
from batchvet.runtime.hashes import short_hash
from batchvet.vetting.settings import Surroundings

RowKey = tuple[str, int]  #: candidate and sector: unique in a run


def version_of(source_sha256: str, source: str) -> str:
    """Short hash of the pixels of a cache entry, by the file that they were read from."""
    return source_sha256[:12] or short_hash(source)


@dataclass(frozen=True)
class Cached:
    """Pixels that are in the cache, of which no source has another version."""

    entry: StampKey
    size: int  #: bytes
    camera: int  #: 0 when the file does not say
    ccd: int  #: likewise
    stamp_hash: str  #: changes when the pixels do

    @classmethod
    def of(cls, entry: CacheEntry) -> Self:
        return cls(entry.key, entry.size, entry.camera, entry.ccd, version_of(entry.source_sha256, entry.source))


@dataclass(frozen=True)
class Offered:
    """Pixels that are to be cached first."""

    offer: Offer
    stamp_hash: str  #: of the file as the source lists it, whatever is learnt of it while it is fetched

    @classmethod
    def of(cls, offer: Offer) -> Self:
        return cls(offer, short_hash(offer.fingerprint))

    @property
    def size(self) -> int:
        """Bytes of the file; 0 when not known."""
        return self.offer.size


@dataclass(frozen=True)
class Missing:
    """Pixels that are nowhere, or cannot be used."""

    problem: Problem
    stamp_hash: str  #: changes when a source has another file


Pixels = Cached | Offered | Missing


@dataclass(frozen=True)
class Task:
    """One target in one sector: all its candidates."""

    tic: int
    sector: int
    pixels: Pixels
    candidates: tuple[Candidate, ...] = ()  #: those whose row is to be made
    surroundings: Surroundings = field(default_factory=Surroundings)  #: with every candidate of the target
    candidate_hash: str = ""  #: of the catalogue's rows of the target
    neighbours_hash: str = ""  #: of the neighbour table's rows of the target
    settings_hash: str = ""  #: of the settings that numbers depend on

    @property
    def keys(self) -> tuple[RowKey, ...]:
        """Keys of the rows that the task makes."""
        return tuple((candidate.toi, self.sector) for candidate in self.candidates)

    def of_candidates(self, chosen: Sequence[bool]) -> Task:
        """The task with the rows of the chosen candidates alone."""
        return replace(self, candidates=tuple(compress(self.candidates, chosen)))

    @property
    def hashes(self) -> dict[str, str]:
        """What the rows stand on, by the table's columns: a row is stale when one of these has changed."""
        return {
            "stamp_hash": self.pixels.stamp_hash,
            "candidate_hash": self.candidate_hash,
            "neighbours_hash": self.neighbours_hash,
            "settings_hash": self.settings_hash,
            "software_version": batchvet.__version__,
        }
