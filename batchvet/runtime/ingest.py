"""Filling the cache: a file fetched if need be, read, checked and committed, or the reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchvet.errors import BatchvetError
from batchvet.network.asking import Politeness
from batchvet.pixels.cache import Cache, CacheEntry
from batchvet.pixels.download import Downloader, Wanted
from batchvet.pixels.mast import Downloaded, to_download
from batchvet.pixels.mast_search import download_url, file_name
from batchvet.pixels.sources import Offer, read_offered_file
from batchvet.runtime.available import Problem
from batchvet.runtime.config import MastSourceSettings, RunConfig, short_hash
from batchvet.runtime.executors import Executor
from batchvet.runtime.plan import Task
from batchvet.runtime.progress import Progress

_FILES_PER_BATCH = 4


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
            entry = self._cached_by_another(offer)
            if entry is None:
                return Ingested(None, Problem(error.kind, str(error)))
        return Ingested(entry)

    def _cached_by_another(self, offer: Offer) -> CacheEntry | None:
        """The entry of a downloaded file that another run with the same cache was first to cache and delete."""
        if not isinstance(offer.source, Downloaded) or Path(offer.source.path).exists():
            return None
        return next((e for e in Cache(self.cache).index().values() if e.source == offer.location), None)


def ingested(waiting: Sequence[Task], config: RunConfig, workers: Executor, progress: Progress) -> Iterator[Task]:
    """Each task with its stamp in the cache, or with the problem of its file, as they get ready.

    Files on the network are fetched several at a time while workers convert those that have come.

    Raises
    ------
    ArchiveError
        The archive is away; what came is in the cache or waits beside it.
    """
    if not waiting:
        return
    phase = "Fetching files" if any(to_download(task.offer) for task in waiting) else "Reading files into the cache"
    progress.start(phase, len(waiting))
    files = _on_disk(waiting, config, progress)
    for task, result in workers.map(IngestFile(config.cache), files, lost, _FILES_PER_BATCH):
        progress.advance(1, failed=int(result.problem is not None))
        yield with_pixels(task, _put_away(task, result, config))


def _on_disk(waiting: Sequence[Task], config: RunConfig, progress: Progress) -> Iterator[Task]:
    """The tasks; those whose file has to be fetched follow with it on disk, or with the reason why not."""
    yield from (task for task in waiting if not to_download(task.offer))
    remote = {file_name(task.offer.location): task for task in waiting if to_download(task.offer)}
    if not remote:
        return
    _clear_up(config)
    polite = [source.mast.politeness for source in config.sources if isinstance(source, MastSourceSettings)]
    wanted = (Wanted(download_url(t.offer.location), name, t.offer.size) for name, t in remote.items())
    directories = config.beside_cache("downloads"), config.beside_cache("quarantine")
    with Downloader(*directories, polite[0] if polite else Politeness()) as downloader:
        for fetched in downloader.fetch(wanted):
            task = remote[fetched.wanted.name]
            if fetched.path is None:
                offer = replace(task.offer, error_kind=fetched.error.kind, error=str(fetched.error))
            else:
                offer = replace(task.offer, source=Downloaded(str(fetched.path)), size=fetched.path.stat().st_size)
                progress.advance(0, n_bytes=offer.size)
            yield replace(task, offer=offer)


def _clear_up(config: RunConfig) -> None:
    """Delete downloaded files whose stamps are in the cache: a run was killed between the two."""
    there = list(config.beside_cache("downloads").glob("[!.]*"))
    cached = {file_name(entry.source) for entry in Cache(config.cache).index().values()} if there else set()
    for path in there:
        if path.name in cached:
            path.unlink(missing_ok=True)


def _put_away(task: Task, result: Ingested, config: RunConfig) -> Ingested:
    """Delete a downloaded file that is in the cache; keep apart one that cannot be used, and say where."""
    if not isinstance(task.offer.source, Downloaded):
        return result
    path = Path(task.offer.source.path)
    if result.problem is None:
        path.unlink(missing_ok=True)
        return result
    if not path.exists():
        return result
    kept = config.beside_cache("quarantine") / path.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    path.replace(kept)
    return Ingested(None, replace(result.problem, text=f"{result.problem.text} (kept as {kept})"))


def with_pixels(task: Task, ingested: Ingested) -> Task:
    """The task with its stamp in the cache, or with the problem of its file."""
    if ingested.entry is None:
        return replace(task, offer=None, problem=ingested.problem)
    entry = ingested.entry
    hashes = task.hashes | {"stamp_hash": entry.source_sha256[:12] or short_hash(entry.source)}
    return replace(
        task, offer=None, entry=entry.key, size=entry.size, camera=entry.camera, ccd=entry.ccd, hashes=hashes
    )


def lost(task: Task) -> Ingested:
    """A file under which workers died."""
    offer: Offer = task.offer
    return Ingested(None, Problem("killed", f"{offer.location}: its worker died three times while reading it"))
