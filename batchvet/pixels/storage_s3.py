"""A cache's bytes in a bucket: whole objects, committed at once, found by listing."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from batchvet.errors import ArchiveError, CacheError, StorageError
from batchvet.pixels.bucket import Bucket, Patience
from batchvet.pixels.storage import Listed
from batchvet.vocabulary import ErrorKind

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Holds the directory and the attributes of an entry, which lie at its end: one request opens it.
_TAIL_BYTES = 128 * 1024


class S3Storage:
    """A bucket or what lies below a prefix of it, ``s3://bucket/prefix``.

    Credentials, endpoint and region are the environment's, as obstore reads them.

    Raises
    ------
    ConfigError
        Not such an address, one with a secret in it, or obstore is not installed.
    """

    parallel = 16

    def __init__(self, location: str, patience: Patience | None = None) -> None:
        self._bucket = Bucket.from_url(location, patience)
        self._bucket.check_installed()
        self.location = self._bucket.url()

    def list(self, suffix: str) -> Iterator[Listed]:
        """Every object whose name ends so, hidden ones left out.

        Raises
        ------
        StorageError
            The bucket is not there, refuses, or cannot be reached.
        """
        try:
            for found in self._bucket.list():
                if found.key.endswith(suffix) and not any(part.startswith(".") for part in found.key.split("/")):
                    yield Listed(found.key, found.size, _version(found.etag, found.modified_ns))
        except ArchiveError as error:
            raise _as_cache_error(error) from error

    def read(self, name: str) -> bytes:
        """Bytes of an object.

        Raises
        ------
        CacheError
            It does not exist.
        StorageError
            As :meth:`list`.
        """
        try:
            return self._bucket.read(name)
        except ArchiveError as error:
            raise _as_cache_error(error) from error

    def open(self, name: str) -> BinaryIO:
        """The object as a seekable file that fetches what is read, the end of it first. Raises as :meth:`read`."""
        try:
            return io.BufferedReader(_ObjectFile(self._bucket, name))
        except ArchiveError as error:
            raise _as_cache_error(error) from error

    def put(self, name: str, content: bytes, check: Callable[[bytes], None], *, replace: bool) -> None:
        """Commit an object whole, then read it back and check.

        Without `replace` the first writer wins and a later one leaves what is there. Raises as :meth:`read`.
        """
        try:
            etag = self._bucket.write(name, content, replace=replace)
            written = self._bucket.read(name, etag)
        except ArchiveError as error:
            # another writer was first, or has replaced it since: what is there now is for that one to check
            if error.kind in (ErrorKind.TAKEN, ErrorKind.CHANGED):
                return
            raise _as_cache_error(error) from error
        try:
            check(written)
        except CacheError:
            self._bucket.delete(name)
            raise


class _ObjectFile(io.RawIOBase):
    """An object read by ranges, its end fetched at once."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        super().__init__()
        self._bucket, self._name, self._at = bucket, name, 0
        self._tail, self._size, self._etag = bucket.read_tail(name, _TAIL_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer)
        stop = min(self._at + len(into), self._size)
        if stop <= self._at:
            return 0
        before_tail = self._size - len(self._tail)
        if self._at >= before_tail:
            part = self._tail[self._at - before_tail : stop - before_tail]
        else:
            try:
                part = self._bucket.read_part(self._name, self._at, stop, self._etag)
            except ArchiveError as error:
                raise _as_cache_error(error) from error
        into[: len(part)] = part
        self._at += len(part)
        return len(part)


def _as_cache_error(error: ArchiveError) -> CacheError:
    if error.kind in (ErrorKind.MISSING, ErrorKind.CHANGED):
        return CacheError(f"{error}; run 'batchvet ingest' again")
    return StorageError(str(error))


def _version(etag: str, modified_ns: int) -> int:
    """A number of 63 bits that changes when the object is replaced."""
    digest = hashlib.sha256(f"{etag}:{modified_ns}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
