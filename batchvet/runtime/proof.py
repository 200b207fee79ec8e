"""What a worker proves before it gets work: the same program, the same cache, a place to write, memory enough."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import batchvet
from batchvet.errors import CacheError
from batchvet.pixels.cache import Cache
from batchvet.pixels.entry import StampKey
from batchvet.runtime.tasks import Cached, Offered, Task

#: What numbers depend on, besides batchvet itself.
_LIBRARIES = ("numpy", "scipy", "astropy", "zarr", "numcodecs", "pyarrow")
_ENTRIES_TRIED = 3  #: the smallest ones, to find one that can be read
_MEMORY_AT_REST = 350_000_000  #: bytes, of a worker with all that it imports
_MEMORY_PER_ENTRY_BYTE, _MEMORY_PER_FILE_BYTE = 8.0, 3.0  #: at the peak; a 20 s file of 290 MB takes 1.1 GB


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Of this process: what must be the same everywhere for tables to be the same to the last bit."""
    python = ".".join(platform.python_version_tuple()[:2])
    return (
        ("python", python),
        ("batchvet", f"{batchvet.__version__}, code {_code_digest()}"),
        *((name, version(name)) for name in _LIBRARIES),
    )


@dataclass(frozen=True)
class Asked:
    """What a worker is asked to show; made by the client."""

    versions: tuple[tuple[str, str], ...] = field(default_factory=versions)
    cache: str = ""  #: as workers see it
    entry: StampKey | None = None  #: of the cache, to be read back
    sha256: str = ""  #: of that entry's bytes
    places: tuple[str, ...] = ()  #: files and directories that it must see
    largest_entry: int = 0  #: bytes, of the largest entry of the plan
    largest_file: int = 0  #: bytes, of the largest file that is to be read

    @property
    def memory(self) -> int:
        """Bytes that the largest stamp needs."""
        most = max(self.largest_entry * _MEMORY_PER_ENTRY_BYTE, self.largest_file * _MEMORY_PER_FILE_BYTE)
        return int(_MEMORY_AT_REST + most)


def fault_of_worker(asked: Asked, dask_worker: Any = None) -> str:
    """Why the process that this runs in is not to be given work, and what to do about it; empty when it is fit.

    Parameters
    ----------
    asked : Asked
    dask_worker : distributed.Worker, optional
        The worker of this process; Dask fills it in.
    """
    for name, wanted in asked.versions:
        if (here := dict(versions()).get(name)) != wanted:
            return f"has {name} {here}, the client {wanted}: install the same there"
    if dask_worker is not None:
        if dask_worker.state.nthreads != 1:
            return f"has {dask_worker.state.nthreads} threads: start it with --nthreads 1, and more of them"
        limit = dask_worker.memory_manager.memory_limit
        if limit and limit < asked.memory:
            return (
                f"has {limit / 1e6:.0f} MB of memory, and the largest stamp needs about {asked.memory / 1e6:.0f} MB: "
                "use fewer workers, or give each more (cluster.memory; --memory-limit of dask worker)"
            )
    for place in asked.places:
        if not Path(place).exists():
            return f"does not see {place}: workers need it under the same name"
    return _fault_of_scratch() or _fault_of_cache(asked)


def asked_of(tasks: Iterable[Task], cache: str, worker_cache: str, places: Iterable[str]) -> Asked:
    """What workers are asked for the sake of these tasks.

    Parameters
    ----------
    tasks : iterable of Task
    cache, worker_cache : str
        As this process sees it, and as workers do.
    places : iterable of str
        Files and directories that workers must see, besides those of the tasks.
    """
    pixels = [task.pixels for task in tasks]
    cached = sorted((one for one in pixels if isinstance(one, Cached)), key=lambda one: (one.size, one.entry))
    files = [one.offer for one in pixels if isinstance(one, Offered) and one.offer.source is None]
    asked = Asked(
        cache=worker_cache,
        places=(*places, *[offer.location for offer in files if Path(offer.location).exists()][:1]),
        largest_entry=max((one.size for one in cached), default=0),
        largest_file=max((one.size for one in pixels if isinstance(one, Offered)), default=0),
    )
    for one in cached[:_ENTRIES_TRIED]:
        with suppress(CacheError):  # what is wrong with it, its own row will say
            return replace(asked, entry=one.entry, sha256=digest_of_entry(cache, one.entry))
    return asked


def digest_of_entry(cache: str, entry: StampKey) -> str:
    """SHA-256 of an entry's bytes. Raises CacheError as reading it."""
    return hashlib.sha256(Cache(cache).storage.read(entry.name)).hexdigest()


def _fault_of_cache(asked: Asked) -> str:
    if asked.entry is None:
        return ""
    try:
        same = digest_of_entry(asked.cache, asked.entry) == asked.sha256
    except CacheError as error:
        return f"does not see the cache {asked.cache} ({error}): mount it there, or name it by cluster.worker_cache"
    return "" if same else f"sees another cache at {asked.cache}: {asked.entry.name} has other bytes than the client's"


def _fault_of_scratch() -> str:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(1_000_000))
    except OSError as error:
        return f"cannot write to its scratch directory ({error.strerror}): make room there, or set TMPDIR"
    return ""


@cache
def _code_digest() -> str:
    """Twelve digits that change when a line of the program does."""
    digest = hashlib.sha256()
    package = Path(batchvet.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
