"""Where the bytes of a cache lie. One class per kind of place; each gives whole objects, committed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from batchvet.atomic import write_atomically
from batchvet.errors import CacheError, StorageError
from batchvet.pixels.listing import files_below


class Listed(NamedTuple):
    """An object found by listing."""

    name: str  #: relative to the storage's root, with forward slashes
    size: int  #: bytes
    version: int  #: changes when the object is replaced (on disk: mtime, ns)


class Storage(Protocol):
    """A place for whole objects."""

    location: str
    parallel: int  #: questions that are worth asking at once

    def list(self, suffix: str) -> Iterator[Listed]: ...

    def read(self, name: str) -> bytes: ...

    def open(self, name: str) -> BinaryIO: ...

    def put(self, name: str, content: bytes, check: Callable[[bytes], None], *, replace: bool) -> None: ...


class LocalStorage:
    """A directory on a file system that renames atomically."""

    parallel = 1

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.location = str(self.directory)

    def list(self, suffix: str) -> Iterator[Listed]:
        """Every file below the directory whose name ends so, hidden ones left out."""
        if not self.directory.exists():
            return
        try:
            for found in files_below(self.directory, suffix):
                if not found.is_lost:
                    yield Listed(found.path, found.size, found.mtime_ns)
        except OSError as error:
            place = error.filename or self.directory
            raise StorageError(f"{place}: cannot be listed ({error.strerror}); choose another cache") from error

    def read(self, name: str) -> bytes:
        """Bytes of an object.

        Raises
        ------
        CacheError
            It does not exist or cannot be read.
        """
        with self.open(name) as file:
            return file.read()

    def open(self, name: str) -> BinaryIO:
        """The object as a seekable file, for those who need a part of it. Raises as :meth:`read`."""
        try:
            return open(self.directory / name, "rb")
        except OSError as error:
            raise CacheError(f"{self.directory / name}: {error.strerror}; run 'batchvet ingest' again") from error

    def put(self, name: str, content: bytes, check: Callable[[bytes], None], *, replace: bool) -> None:
        """Commit an object whole, after it was read back and checked.

        Without `replace` the first writer wins and a later one leaves what is there.
        """
        final = self.directory / name
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{final.parent}: cannot be made ({error.strerror}); choose another cache") from error
        try:
            write_atomically(final, content, check=check, replace=replace)
        except CacheError:  # an OSError too, and `check`'s own
            raise
        except OSError as error:
            raise StorageError(f"{final}: cannot be written ({error.strerror})") from error
