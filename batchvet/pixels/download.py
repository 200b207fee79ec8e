"""Files from an archive: several at a time, resumed where they broke off, each whole and checked or not there."""

from __future__ import annotations

import fcntl
import io
import os
import queue
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests

from batchvet.atomic import sync_directory, write_atomically
from batchvet.errors import ArchiveError, StampError
from batchvet.network.asking import CarefulSession, Host, PassingFault
from batchvet.network.politeness import Politeness
from batchvet.pixels.fits_file import open_fits, unpack
from batchvet.vocabulary import ErrorKind

_CHUNK = 1 << 16
_ZIP_MAGIC = b"PK\x03\x04"
_SILENT_FILES = 10  #: files in a row without an answer before the server is taken to be away


@dataclass(frozen=True)
class Wanted:
    """A file to fetch."""

    url: str
    name: str  #: of the file on disk
    size: int = 0  #: bytes, as the archive lists it; 0 when it does not


@dataclass(frozen=True)
class Fetched:
    """What became of it: a whole file, or why there is none."""

    wanted: Wanted
    path: Path | None = None
    error: ArchiveError | None = None


class Downloader:
    """Fetches FITS files into a directory. A file with its own name there is whole and was read once.

    Parameters
    ----------
    directory : path
        Parts lie there as ``.partial-NAME`` until they are whole.
    quarantine : path
        Where a file goes that came damaged, for people to look at.
    politeness : Politeness, optional
    on_bytes : callable, optional
        Called with the length of each piece that came, from several threads.
    """

    def __init__(
        self,
        directory: Path,
        quarantine: Path,
        politeness: Politeness | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self.directory = directory
        self.quarantine = quarantine
        self._host = Host(politeness)
        self._on_bytes = on_bytes or (lambda n: None)
        self._closed = threading.Event()
        self._own = threading.local()

    def fetch(self, wanted: Iterable[Wanted]) -> Iterator[Fetched]:
        """Files as they arrive, in any order; no more are fetched ahead than are being asked for at once.

        Raises
        ------
        ArchiveError
            File after file stays without an answer: the server is away. Other errors come with their file.
        """
        waiting = iter(wanted)
        to_do: queue.SimpleQueue[Wanted | None] = queue.SimpleQueue()
        done: queue.SimpleQueue[Fetched] = queue.SimpleQueue()
        n_threads = self._host.politeness.connections
        for number in range(n_threads):  # daemons, so that an interrupt need not wait for a slow server
            threading.Thread(target=self._work, args=(to_do, done), name=f"download-{number}", daemon=True).start()
        running = silent = 0
        try:
            while True:
                while running < 2 * n_threads and (next_one := next(waiting, None)) is not None:
                    to_do.put(next_one)
                    running += 1
                if not running:
                    return
                fetched = done.get()
                running -= 1
                silent = silent + 1 if fetched.error is not None and fetched.error.kind == ErrorKind.UNREACHABLE else 0
                yield fetched
                if silent >= _SILENT_FILES:
                    raise ArchiveError(
                        f"the archive did not answer for {silent} files in a row (last: {fetched.error}); what has "
                        "come is kept",
                        kind=ErrorKind.UNREACHABLE,
                    )
        finally:
            self.close()
            for _ in range(n_threads):
                to_do.put(None)

    def fetch_one(self, wanted: Wanted) -> Path:
        """The file, from the directory when it is there already.

        Raises
        ------
        ArchiveError
            ``kind`` is ``unreachable``, ``refused``, or what is wrong with the file that came.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        final = self.directory / wanted.name
        bad = 0

        def attempt() -> None:
            nonlocal bad
            self._transfer(wanted, partial)
            try:
                self._accept(partial, final)
            except StampError as error:
                bad += 1
                kept = self._set_aside(partial, wanted.name)
                fault = f"what came is kept as {kept} ({error})"
                if bad >= max(1, self._host.politeness.attempts // 2):  # whole files for nothing are no politeness
                    raise ArchiveError(f"{wanted.name}: damaged {bad} times; {fault}", kind=error.kind) from error
                raise PassingFault(fault) from error

        with self._alone_with(self.directory / f".partial-{wanted.name}") as partial:
            if not final.exists():
                self._host.ask(attempt, wanted.name)
            _validator(partial).unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
        (self.quarantine / wanted.name).unlink(missing_ok=True)
        return final

    def close(self) -> None:
        """Break off what is being fetched; what has come stays for the next time."""
        self._closed.set()
        self._host.close()
        self._hang_up()

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _work(self, to_do: queue.SimpleQueue[Wanted | None], done: queue.SimpleQueue[Fetched]) -> None:
        while (wanted := to_do.get()) is not None and not self._closed.is_set():
            try:
                done.put(Fetched(wanted, path=self.fetch_one(wanted)))
            except ArchiveError as error:
                done.put(Fetched(wanted, error=error))
            except OSError as error:  # a full disk, a directory that cannot be written
                reason = ArchiveError(f"{wanted.name}: cannot be kept in {self.directory} ({error.strerror})")
                done.put(Fetched(wanted, error=reason))
        self._hang_up()

    def _transfer(self, wanted: Wanted, partial: Path) -> None:
        """Bring `partial` to its full length, from where it broke off if the server still has the same file."""
        there = partial.stat().st_size
        validator = _read_validator(partial) if there else ""
        headers = {"Accept-Encoding": "identity"}
        if validator:
            headers |= {"Range": f"bytes={there}-", "If-Range": validator}
        timeout = self._host.politeness.timeout
        with self._session().get(wanted.url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                if _total_length(response) == there:
                    return
                os.truncate(partial, 0)
                raise PassingFault("the server has another file than the part that is here")
            response.raise_for_status()
            start = there if _starts_at(response) == there else 0
            _write_validator(partial, response)
            with open(partial, "r+b") as file:
                file.truncate(start)
                file.seek(start)
                self._receive(response, file)
                file.flush()
                os.fsync(file.fileno())
                length = file.tell()
        expected = _total_length(response) or wanted.size
        if expected and length != expected:
            raise PassingFault(f"only {length} of {expected} bytes came")

    def _receive(self, response: requests.Response, file: BinaryIO) -> None:
        politeness = self._host.politeness
        since, received = time.monotonic(), 0
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)
            self._on_bytes(len(chunk))
            received += len(chunk)
            if self._closed.is_set():
                raise ArchiveError("interrupted; run again to go on", kind=ErrorKind.INTERRUPTED)
            elapsed = time.monotonic() - since
            if elapsed > politeness.read_timeout_s:
                if received < politeness.slowest_bytes_per_s * elapsed:
                    raise PassingFault(f"only {received / elapsed:.0f} bytes a second come")
                since, received = time.monotonic(), 0

    def _accept(self, partial: Path, final: Path) -> None:
        """Read the whole file once, then give it its name. Raises StampError when it is not what it should be."""
        content = partial.read_bytes()
        if content.startswith(_ZIP_MAGIC):
            content = _only_member(content, final.name)
            check_fits(content, final.name)
            write_atomically(final, content)
        else:
            check_fits(content, final.name)
            os.replace(partial, final)
            sync_directory(final.parent)

    def _set_aside(self, partial: Path, name: str) -> Path:
        self.quarantine.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(partial, self.quarantine / name)
        os.truncate(partial, 0)
        return self.quarantine / name

    def _session(self) -> requests.Session:
        """One for each thread."""
        if not hasattr(self._own, "session"):
            self._own.session = CarefulSession()
        session: requests.Session = self._own.session
        return session

    def _hang_up(self) -> None:
        """Close this thread's connections."""
        if hasattr(self._own, "session"):
            self._own.session.close()

    @contextmanager
    def _alone_with(self, partial: Path) -> Iterator[Path]:
        """Hold `partial`, which then exists, against other processes that fetch the same file."""
        while True:
            with open(partial, "ab") as file:
                while not _locked(file):
                    if self._closed.wait(0.2):
                        raise ArchiveError("interrupted; run again to go on", kind=ErrorKind.INTERRUPTED)
                # whoever held it before may have given it its final name: then this is no longer the partial file
                if partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                    yield partial
                    return


def check_fits(content: bytes, name: str) -> None:
    """See that a file as an archive sends it is whole FITS and that its checksums hold.

    Raises
    ------
    StampError
        Kinds ``empty``, ``truncated``, ``corrupt``, ``not_fits`` and ``checksum``.
    """
    hdus, checksums_match = open_fits(unpack(content, name), name)
    hdus.close()
    if not checksums_match:
        raise StampError(f"{name}: its checksum does not match its content", kind=ErrorKind.CHECKSUM)


def _only_member(content: bytes, name: str) -> bytes:
    """The FITS file in a zip file, as TESScut sends it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.namelist() if member.endswith(".fits")]
            if len(members) != 1:
                raise StampError(f"{name}: a zip file with {len(members)} FITS files, not one", kind=ErrorKind.LAYOUT)
            return archive.read(members[0])
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise StampError(f"{name}: damaged zip file ({error})", kind=ErrorKind.TRUNCATED) from error


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _starts_at(response: requests.Response) -> int:
    """First byte of what the server sends."""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found and response.status_code == requests.codes.partial_content else 0


def _total_length(response: requests.Response) -> int:
    """Bytes of the whole file; 0 when the server does not say."""
    if "Content-Range" in response.headers:
        found = re.search(r"/(\d+)$", response.headers["Content-Range"])
        return int(found[1]) if found else 0
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return 0
    return int(response.headers.get("Content-Length", 0))


def _validator(partial: Path) -> Path:
    return partial.with_name(partial.name + ".validator")


def _read_validator(partial: Path) -> str:
    """What tells the server which version of the file a part is of; empty when nothing does."""
    try:
        return _validator(partial).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _write_validator(partial: Path, response: requests.Response) -> None:
    etag = response.headers.get("ETag", "")
    text = response.headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    if text != _read_validator(partial):
        _validator(partial).write_text(text)
