"""Filling the cache: one file read, checked and committed, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass, replace

from batchvet.errors import BatchvetError
from batchvet.pixels.cache import Cache, CacheEntry
from batchvet.pixels.sources import Offer, read_offered_file
from batchvet.runtime.available import Problem
from batchvet.runtime.config import short_hash
from batchvet.runtime.plan import Task


@dataclass(frozen=True)
class Ingested:
    """What became of an offer."""

    entry: CacheEntry | None
    problem: Problem | None = None


@dataclass(frozen=True)
class IngestFile:
    """Work of a worker: offers of files into a cache."""

    cache: str

    def __call__(self, task: Task) -> Ingested:
        """Read the offered file and commit its stamp; a bad file gives the reason, nothing half done."""
        offer = task.offer
        try:
            stamp = offer.source.read(offer) if offer.source else read_offered_file(offer)
            entry = Cache(self.cache).write(stamp, source_size=offer.size, source_mtime_ns=offer.mtime_ns, replace=True)
        except BatchvetError as error:
            return Ingested(None, Problem(error.kind, str(error)))
        return Ingested(entry)


def with_pixels(task: Task, ingested: Ingested) -> Task:
    """The task with its stamp in the cache, or with the problem of its file."""
    if ingested.entry is None:
        return replace(task, offer=None, problem=ingested.problem)
    entry = ingested.entry
    hashes = task.hashes | {"stamp_hash": entry.source_sha256[:12] or short_hash(entry.source)}
    return replace(task, offer=None, entry=entry.key, size=entry.size, hashes=hashes)


def lost(task: Task) -> Ingested:
    """A file under which workers died."""
    offer: Offer = task.offer
    return Ingested(None, Problem("killed", f"{offer.location}: its worker died three times while reading it"))
