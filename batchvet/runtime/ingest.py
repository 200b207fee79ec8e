"""Filling the cache: a file fetched if need be, read, checked and committed, or the reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchvet.errors import ArchiveError, BatchvetError, Problem
from batchvet.network.politeness import Politeness
from batchvet.pixels.cache import Cache, CacheEntry, FluxErr
from batchvet.pixels.mast import Downloaded, to_download
from batchvet.pixels.mast_search import download_url, file_name
from batchvet.pixels.sources import Offer, read_offered_file
from batchvet.runtime.executors import Executor
from batchvet.runtime.progress import Progress
from batchvet.runtime.tasks import Cached, Missing, Offered, Task
from batchvet.vocabulary import FAULTS_OF_PLACES, ErrorKind

_FILES_PER_BATCH = 4


@dataclass(frozen=True)
class Downloads:
    """Where files of an archive arrive, and how they are fetched."""

    cache: str  #: as this process sees it
    directory: Path
    quarantine: Path  #: for what came but cannot be used
    politeness: Politeness


@dataclass(frozen=True)
class IngestFile:
    """Work of a worker: offered files into a cache."""

    cache: str  #: directory or address, as the worker sees it
    flux_err: FluxErr = "summary"  #: what entries keep of FLUX_ERR

    def __call__(self, offer: Offer) -> CacheEntry | Problem:
        """Read the file and commit its stamp; a bad file gives the reason, nothing half done."""
        try:
            stamp = offer.source.read(offer) if offer.source else read_offered_file(offer)
            return Cache(self.cache, self.flux_err).write(
                stamp, source_size=offer.size, source_mtime_ns=offer.mtime_ns, replace=True
            )
        except BatchvetError as error:
            return self._cached_by_another(offer) or Problem.of(error)
        except Exception as error:  # promise 1: a fault of ours is a row too, with what to report
            return Problem.internal(error)

    def _cached_by_another(self, offer: Offer) -> CacheEntry | None:
        """The entry of a downloaded file that another run with the same cache was first to cache and delete."""
        if not isinstance(offer.source, Downloaded) or Path(offer.source.path).exists():
            return None
        return next((e for e in Cache(self.cache).index().values() if e.source == offer.location), None)


def is_in_doubt(result: CacheEntry | Problem) -> bool:
    """Whether a file failed by what may be the fault of the place where it was read."""
    return isinstance(result, Problem) and result.kind in FAULTS_OF_PLACES


def lost(offer: Offer) -> Problem:
    """A file under which workers died."""
    return Problem(ErrorKind.KILLED, f"{offer.location}: its worker died three times while reading it")


def ingested(
    tasks: Sequence[Task], work: IngestFile, downloads: Downloads, workers: Executor, progress: Progress
) -> Iterator[Task]:
    """Those of the tasks whose pixels are offered, as they get ready: in the cache, or missing with the reason.

    Files on the network are fetched several at a time while workers convert those that have come.

    Raises
    ------
    ArchiveError
        The archive is away; what came is in the cache or waits beside it.
    """
    waiting = {(task.tic, task.sector): task for task in tasks if isinstance(task.pixels, Offered)}
    offers = [task.pixels.offer for task in waiting.values() if isinstance(task.pixels, Offered)]
    if not offers:
        return
    progress.start("Fetching files" if any(map(to_download, offers)) else "Reading files into the cache", len(offers))
    on_disk = _on_disk(offers, downloads, progress)
    for offer, result in workers.map(work, on_disk, lost, _FILES_PER_BATCH, is_in_doubt):
        task = waiting[offer.tic, offer.sector]
        progress.advance(1, failed=int(isinstance(result, Problem)))
        match _put_away(offer, result, downloads.quarantine):
            case CacheEntry() as entry:
                yield replace(task, pixels=Cached.of(entry))
            case Problem() as problem:
                yield replace(task, pixels=Missing(problem, task.pixels.stamp_hash))


def _on_disk(offers: Sequence[Offer], downloads: Downloads, progress: Progress) -> Iterator[Offer]:
    """Offers that can be read; those to be fetched follow with their file on disk, or with the reason why not."""
    yield from (offer for offer in offers if not to_download(offer))
    remote = {file_name(offer.location): offer for offer in offers if to_download(offer)}
    if not remote:
        return
    from batchvet.pixels.download import Downloader, Fetched, Wanted  # and requests, which a plan does without

    _clear_up(downloads)
    wanted = (Wanted(download_url(offer.location), name, offer.size) for name, offer in remote.items())
    with Downloader(downloads.directory, downloads.quarantine, downloads.politeness) as downloader:
        for fetched in downloader.fetch(wanted):
            offer = remote[fetched.wanted.name]
            match fetched:
                case Fetched(path=Path() as path):
                    size = path.stat().st_size
                    progress.advance(0, n_bytes=size)
                    yield replace(offer, source=Downloaded(str(path)), size=size)
                case Fetched(error=ArchiveError() as error):
                    yield replace(offer, error_kind=error.kind, error=str(error))


def _clear_up(downloads: Downloads) -> None:
    """Delete downloaded files whose stamps are in the cache: a run was killed between the two."""
    there = list(downloads.directory.glob("[!.]*"))
    cached = {file_name(entry.source) for entry in Cache(downloads.cache).index().values()} if there else set()
    for path in there:
        if path.name in cached:
            path.unlink(missing_ok=True)


def _put_away(offer: Offer, result: CacheEntry | Problem, quarantine: Path) -> CacheEntry | Problem:
    """Delete a downloaded file that is in the cache; keep apart one that cannot be used, and say where."""
    if not isinstance(offer.source, Downloaded):
        return result
    path = Path(offer.source.path)
    if isinstance(result, CacheEntry):
        path.unlink(missing_ok=True)
        return result
    if not path.exists():
        return result
    kept = quarantine / path.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    path.replace(kept)
    return replace(result, text=f"{result.text} (kept as {kept})")
