"""A target pixel file's container: bytes to checked FITS, and what its name and headers say it is.

Nothing here looks at pixels: that is :mod:`batchvet.pixels.tpf`.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from batchvet.errors import StampError
from batchvet.pixels.stamp import MOST_BYTES
from batchvet.vocabulary import ErrorKind

if TYPE_CHECKING:
    from astropy.io import fits

gzip_library: ModuleType
try:  # half the time of zlib, and checks the same; there is no wheel of it for every machine
    from isal import isal_zlib as gzip_library
except ImportError:
    gzip_library = zlib

GZIP_MAGIC = b"\x1f\x8b"
BLOCK = 2880  #: bytes in a FITS block
HEAD_BYTES = 64 * BLOCK  #: enough for the primary and the pixel table's header

_GZIP_WBITS = 31  # of zlib's streams: with the header and the checksum of gzip

#: SPOC 120 s and 20 s, TESS-SPOC (HLSP): sector and TIC stand in the name.
_NAMES = (
    re.compile(r"^tess\d{13}-s(?P<sector>\d{4})-(?P<tic>\d{16})-\d{4}-[a-z]_(fast-)?tp\.fits"),
    re.compile(r"^hlsp_tess-spoc_tess_phot_(?P<tic>\d{16})-s(?P<sector>\d{4})_tess_v\d+_tp\.fits"),
    re.compile(r"^tess-s(?P<sector>\d{4})-\d-\d_.*astrocut\.fits"),
)


@dataclass(frozen=True)
class Identity:
    """Whose pixels a file holds, as far as it says."""

    tic: int | None  #: None for a TESScut file, which knows a position only
    sector: int | None


def identity_from_name(path: str | Path) -> Identity:
    """TIC and sector from a file's name; None for what the name does not say."""
    name = Path(path).name
    for pattern in _NAMES:
        found = pattern.match(name)
        if found:
            parts = found.groupdict()
            return Identity(int(parts["tic"]) if parts.get("tic") else None, int(parts["sector"]))
    return Identity(None, None)


def cadence_from_name(path: str | Path, sector: int) -> int:
    """Cadence (s) that a file's name means; 0 when it says none.

    SPOC's fast files are of 20 s, the others of 120 s; TESS-SPOC has the cadence of the full-frame images: 30 min to
    sector 26, 10 min to sector 55, then 200 s.
    """
    name = Path(path).name
    if name.startswith("hlsp_tess-spoc_"):
        return 1800 if sector <= 26 else 600 if sector <= 55 else 200
    if name.startswith("tess") and "_tp.fits" in name:
        return 120
    return 20 if name.startswith("tess") and "_fast-tp.fits" in name else 0


def identity_from_headers(primary: fits.Header) -> Identity:
    """TIC and sector from a primary header: TICID, else OBJECT; SECTOR."""
    tic = _whole(primary.get("TICID"))
    if tic is None:
        found = re.match(r"^\s*TIC[\s_]*(\d+)\s*$", str(primary.get("OBJECT", "")))
        tic = int(found.group(1)) if found else None
    return Identity(tic or None, _whole(primary.get("SECTOR")))


def checked_identity(path: str | Path, primary: fits.Header) -> Identity:
    """Identity from the headers, held against the name.

    Raises
    ------
    StampError
        Kind ``identity``: the header is of another TIC or sector than the name says.
    """
    named, said = identity_from_name(path), identity_from_headers(primary)
    for what, by_name, by_header in (
        ("TIC", named.tic, said.tic),
        ("sector", named.sector, said.sector),
    ):
        if by_name is not None and by_header is not None and by_name != by_header:
            raise StampError(
                f"{path}: the name says {what} {by_name}, the header says {what} {by_header}; "
                "replace the file with the archive's",
                kind=ErrorKind.IDENTITY,
            )
    return Identity(said.tic or named.tic, said.sector or named.sector)


def read_bytes(path: str | Path) -> tuple[bytes, str]:
    """Read a file whole and unpack gzip.

    Returns
    -------
    content : bytes
        Unpacked.
    sha256 : str
        Of the file as it is on disk.

    Raises
    ------
    StampError
        Kinds ``unreadable``, ``empty``, ``truncated``, ``corrupt`` and ``not_fits``.
    """
    try:
        packed = Path(path).read_bytes()
    except OSError as error:
        raise StampError(f"{path}: cannot be read ({error.strerror})", kind=ErrorKind.UNREADABLE) from error
    return unpack(packed, path), hashlib.sha256(packed).hexdigest()


def unpack(packed: bytes, path: str | Path) -> bytes:
    """Unpack gzip when it is, and see that what is left looks like FITS. Raises as :func:`read_bytes`."""
    if not packed:
        raise StampError(f"{path}: the file is empty; fetch it again", kind=ErrorKind.EMPTY)
    content = packed
    if packed.startswith(GZIP_MAGIC):
        try:
            content = _unpacked(packed, path)
        except EOFError as error:
            raise StampError(f"{path}: the gzip stream ends early; fetch it again", kind=ErrorKind.TRUNCATED) from error
        except (OSError, zlib.error, gzip_library.error) as error:
            if isinstance(error, StampError):
                raise
            raise StampError(
                f"{path}: damaged gzip stream ({error}); fetch it again", kind=ErrorKind.CORRUPT
            ) from error
    if not content.startswith(b"SIMPLE"):
        start = content[:200].lstrip().lower()
        what = "an HTML page" if start.startswith((b"<!doctype", b"<html", b"<?xml")) else "something else"
        raise StampError(f"{path}: {what}, not a FITS file; fetch it again", kind=ErrorKind.NOT_FITS)
    return content


def _unpacked(packed: bytes, path: str | Path) -> bytes:
    """All members of a gzip file, one after the other; raises EOFError where the last ends early."""
    members, room, rest = [], MOST_BYTES, packed
    while rest:
        stream = gzip_library.decompressobj(wbits=_GZIP_WBITS)
        member = stream.decompress(rest, room + 1)
        room -= len(member)
        if room < 0:
            raise StampError(
                f"{path}: unpacks to more than {MOST_BYTES / 1e9:g} GB, which no stamp does; fetch it again",
                kind=ErrorKind.CORRUPT,
            )
        if not stream.eof:
            raise EOFError
        members.append(member)
        rest = stream.unused_data.lstrip(b"\0")
    return members[0] if len(members) == 1 else b"".join(members)


@contextmanager
def understood(path: str | Path) -> Iterator[None]:
    """Turns what comes of headers that contradict themselves into a StampError of the kind ``layout``."""
    from astropy.utils.exceptions import AstropyWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # what matters of them is an error, or a flag
            yield
    except StampError:
        raise
    except _not_understood() as error:
        raise StampError(
            f"{path}: its headers or tables contradict themselves ({_first_line(error)[:200]}); fetch it again",
            kind=ErrorKind.LAYOUT,
        ) from error


def _not_understood() -> tuple[type[Exception], ...]:
    """What astropy raises at headers and tables that contradict themselves, at once or when a value is asked for."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    own = (fits.VerifyError, AstropyUserWarning)
    return (*own, OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError)


def read_head(path: str | Path) -> tuple[fits.Header, fits.Header | None]:
    """Primary header and pixel table header, reading no more than the head of the file.

    Raises
    ------
    StampError
        As :func:`read_bytes`; ``truncated`` when the file ends within its headers.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise StampError(f"{path}: cannot be read ({error.strerror})", kind=ErrorKind.UNREADABLE) from error
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
        except zlib.error as error:
            raise StampError(
                f"{path}: damaged gzip stream ({error}); fetch it again", kind=ErrorKind.CORRUPT
            ) from error
    unpack(head, path)
    from astropy.io import fits  # 0.3 s, which commands that open no file do not wait for

    stream = io.BytesIO(head)
    with understood(path):
        try:
            primary = fits.Header.fromfile(stream)
        except (OSError, ValueError, EOFError) as error:
            raise StampError(
                f"{path}: ends within its first header; fetch it again", kind=ErrorKind.TRUNCATED
            ) from error
        try:
            table = fits.Header.fromfile(stream)
        except (OSError, ValueError, EOFError):
            table = None
        return primary, table


def open_fits(content: bytes, path: str | Path) -> tuple[fits.HDUList, bool]:
    """Open unpacked FITS bytes; a short file is an error.

    Returns
    -------
    hdus : HDUList
    checksums_match : bool
        Whether every HDU that carries a CHECKSUM still has it.

    Raises
    ------
    StampError
        Kind ``truncated``.

    Notes
    -----
    SPOC writes CHECKSUM without DATASUM, which astropy 8 reports as a mismatch although the sum is right, so the
    sum is taken here: the 32-bit ones' complement sum of a whole HDU is all ones (FITS 4.0, appendix J).
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    if len(content) % BLOCK:
        raise StampError(f"{path}: ends within a FITS block; fetch it again", kind=ErrorKind.TRUNCATED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", AstropyUserWarning)
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        try:
            hdus = fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False)
        except _not_understood() as error:
            raise StampError(f"{path}: {_first_line(error)}; fetch it again", kind=ErrorKind.TRUNCATED) from error
    checksums_match = True
    with understood(path):
        for hdu in hdus:
            place = hdu.fileinfo()
            start, stop = place["hdrLoc"], place["datLoc"] + place["datSpan"]
            if stop > len(content):
                raise StampError(f"{path}: ends before its data do; fetch it again", kind=ErrorKind.TRUNCATED)
            if "CHECKSUM" in hdu.header:
                checksums_match &= _sum_is_right(memoryview(content)[start:stop])
    return hdus, checksums_match


def _sum_is_right(hdu: memoryview) -> bool:
    total = int(np.frombuffer(hdu, dtype=">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total == 0xFFFFFFFF


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and float(value).is_integer() else None
