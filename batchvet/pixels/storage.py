"""Where the bytes of a cache lie. One class per kind of place; each gives whole objects, committed at once."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from batchvet.errors import CacheError, ConfigError, StorageError


@dataclass(frozen=True)
class Listed:
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
        yield from _scan(self.directory, "", suffix)

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
        """Write under a hidden name, read back and check, sync, then take the real name at once.

        Without `replace` the first writer wins and a later one leaves what is there.
        """
        final = self.directory / name
        temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{final.parent}: cannot be made ({error.strerror}); choose another cache") from error
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            check(temporary.read_bytes())
            if replace:
                os.replace(temporary, final)
            else:
                _claim(temporary, final)
            sync_directory(final.parent)
        except OSError as error:
            if isinstance(error, CacheError):
                raise
            raise StorageError(f"{final}: cannot be written ({error.strerror})") from error
        finally:
            temporary.unlink(missing_ok=True)


def open_storage(location: str | Path) -> Storage:
    """A directory, or a bucket by its ``s3://`` address.

    Raises
    ------
    ConfigError
        Another kind of address, or one that cannot be used.
    """
    scheme, slashes, _ = str(location).partition("://")
    if scheme.startswith("s3:/"):
        raise ConfigError("cache: an s3:// address is a string; a Path loses one of its slashes")
    if not slashes:
        return LocalStorage(location)
    if scheme != "s3":
        raise ConfigError(f"cache: {scheme}:// is not known; name a directory or s3://bucket/prefix")
    from batchvet.pixels.storage_s3 import S3Storage  # what it stands on is an optional extra

    return S3Storage(str(location))


def sync_directory(directory: Path) -> None:
    """Make a rename within `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: readers see the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _claim(temporary: Path, final: Path) -> None:
    try:
        os.link(temporary, final)  # fails when the name is taken, where a rename would replace
    except FileExistsError:
        return
    except OSError:  # a file system without hard links: replacing by the same content is as good
        os.replace(temporary, final)


def _scan(directory: Path, prefix: str, suffix: str) -> Iterator[Listed]:
    try:
        entries = sorted(os.scandir(directory), key=lambda e: e.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{directory}: cannot be listed ({error.strerror}); choose another cache") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _scan(Path(entry.path), f"{prefix}{entry.name}/", suffix)
        elif entry.name.endswith(suffix):
            status = entry.stat()
            yield Listed(f"{prefix}{entry.name}", status.st_size, status.st_mtime_ns)
