"""One cache entry: a stamp as an immutable zarr v3 group in one zip file, and back again, strictly."""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from numpy.typing import NDArray

from batchvet.errors import CacheError
from batchvet.pixels import entry_arrays
from batchvet.pixels.entry_arrays import Archive
from batchvet.pixels.error_summary import ErrorSummary
from batchvet.pixels.stamp import Stamp

FORMAT = "batchvet-stamp"
FORMAT_VERSION = 2  #: 1 had no summary of FLUX_ERR; it is read too
_VERSIONS_READ = (1, 2)

_SCALARS = (
    "tic",
    "sector",
    "camera",
    "ccd",
    "cadence_s",
    "column",
    "row",
    "ra",
    "dec",
    "pmra",
    "pmdec",
    "tmag",
)
#: What every entry says.
_ATTRIBUTES = {
    *_SCALARS,
    *("arrays", "flags", "n_cadences", "source", "source_mtime_ns", "source_sha256", "source_size", "wcs_header"),
}
_ARRAYS = ("time", "flux", "flux_err", "quality", "cadenceno", "pos_corr", "aperture")
_SUMMARY = "flux_err_mean_square"  #: array of an entry: (e-/s)², [stretch, row, col]
_SEAL, _SEAL_DIGITS = b"sha256 ", 64  #: comment of the zip file: the sum of all bytes before its digits
_EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)  #: fixed, so that the same stamp gives the same bytes


@dataclass(frozen=True, order=True)
class StampKey:
    """Which stamp: the identity of a cache entry."""

    tic: int
    sector: int
    cadence_s: int  #: whole seconds

    @property
    def name(self) -> str:
        """Path of the entry within a cache."""
        return f"s{self.sector:04d}/{self.tic:016d}-{self.cadence_s:04d}s.zarr.zip"

    @classmethod
    def of(cls, stamp: Stamp) -> StampKey:
        return cls(stamp.tic, stamp.sector, max(1, round(stamp.cadence_s)))


def encode(stamp: Stamp, source_size: int = 0, source_mtime_ns: int = 0, *, whole_errors: bool = False) -> bytes:
    """Bytes of the cache entry of `stamp`; the same stamp gives the same bytes.

    Parameters
    ----------
    stamp : Stamp
    source_size, source_mtime_ns : int
        Of the file that it was read from, to see later whether that has changed.
    whole_errors : bool
        Whether FLUX_ERR is kept cadence by cadence, beside its summary, which always is.
    """
    arrays: dict[str, NDArray[Any]] = {
        name: getattr(stamp, name)
        for name in _ARRAYS
        if getattr(stamp, name) is not None and (whole_errors or name != "flux_err")
    }
    if stamp.errors is not None:
        arrays[_SUMMARY] = stamp.errors.mean_square
    attributes = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **{name: _json_number(getattr(stamp, name)) for name in _SCALARS},
        "wcs_header": {key: _json_number(value) for key, value in stamp.wcs_header.items()},
        "flags": list(stamp.flags),
        "source": stamp.source,
        "source_sha256": stamp.sha256,
        "source_size": source_size,
        "source_mtime_ns": source_mtime_ns,
        "n_cadences": int(stamp.time.size),
        "arrays": list(arrays),
    }
    members = {"zarr.json": _json({"attributes": attributes, "zarr_format": 3, "node_type": "group"})}
    for name, values in arrays.items():
        members[f"{name}/zarr.json"] = _json(entry_arrays.metadata(values))
        members[entry_arrays.chunk_name(name, values.ndim)] = entry_arrays.encoded(values)
    return _sealed(members)


def _sealed(members: dict[str, bytes]) -> bytes:
    """A zip file of the members, its comment the sum of all that comes before."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for member in sorted(members):
            archive.writestr(zipfile.ZipInfo(member, _EPOCH_OF_ZIP), members[member])
        archive.comment = _SEAL + b"0" * _SEAL_DIGITS
    with file.getbuffer() as whole:
        digest = hashlib.sha256(whole[:-_SEAL_DIGITS]).hexdigest()
    file.seek(-_SEAL_DIGITS, io.SEEK_END)
    file.write(digest.encode())
    return file.getvalue()


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2, allow_nan=False).encode()


def check_seal(content: bytes, name: str) -> None:
    """See that not a bit of an entry has changed since it was written, be it one that no reader looks at.

    Raises
    ------
    CacheError
    """
    if hashlib.sha256(memoryview(content)[:-_SEAL_DIGITS]).hexdigest().encode() != content[-_SEAL_DIGITS:]:
        raise CacheError(f"{name}: not as it was written; {_MEND}")


def decode(content: bytes, name: str, *, with_errors: bool = True) -> Stamp:
    """The stamp of an entry.

    Parameters
    ----------
    content : bytes
    name : str
        Where it was read from, for messages.
    with_errors : bool
        Whether FLUX_ERR is wanted cadence by cadence, where the entry has it; its summary always comes.

    Raises
    ------
    CacheError
        Not a cache entry, of another format version, a chunk missing, or a checksum that does not match.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            archive = Archive.of(content, file)
            attributes = _attributes(file, name)
            arrays = _read_arrays(archive, attributes, name, with_errors=with_errors)
            scalars = {key: _number(attributes[key]) for key in _SCALARS}
            return Stamp(
                **scalars,
                wcs_header=attributes["wcs_header"],
                flags=tuple(attributes["flags"]),
                source=attributes["source"],
                sha256=attributes["source_sha256"],
                **arrays,
            )
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _read_arrays(archive: Archive, attributes: dict[str, Any], name: str, *, with_errors: bool) -> dict[str, Any]:
    """What a stamp has of arrays; of an entry of version 1 the summary is made now."""
    present: Iterable[str] = attributes["arrays"]
    skipped = "flux_err" if _SUMMARY in present and not with_errors else ""
    arrays: dict[str, Any] = {
        each: entry_arrays.decoded(archive, each, name, _MEND) for each in present if each != skipped
    }
    summary = arrays.pop(_SUMMARY, None)
    if summary is not None:
        arrays["summary"] = ErrorSummary.read(summary, len(arrays["time"]))
    elif "flux_err" in arrays:
        arrays["summary"] = ErrorSummary.of(arrays["flux_err"], arrays["quality"])
        arrays["flux_err"] = arrays["flux_err"] if with_errors else None
    return arrays


def read_attributes(file: BinaryIO, name: str) -> dict[str, Any]:
    """The entry's attributes, without its pixels. Raises as :func:`decode`."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _attributes(archive, name)
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _attributes(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    attributes: dict[str, Any] = json.loads(archive.read("zarr.json"))["attributes"]
    if attributes.get("format") != FORMAT:
        raise CacheError(f"{name}: not a batchvet cache entry; move it out of the cache")
    if attributes["format_version"] not in _VERSIONS_READ:
        raise CacheError(
            f"{name}: format version {attributes['format_version']}, this program reads 1 and {FORMAT_VERSION}; "
            "delete the entry and run 'batchvet ingest' again"
        )
    if lacking := sorted(_ATTRIBUTES - attributes.keys()):
        raise ValueError(f"does not say {', '.join(lacking)}")
    return attributes


#: What reading a damaged entry may raise.
_DAMAGE = (
    zipfile.BadZipFile,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    EOFError,
    NotImplementedError,
    struct.error,
)
_MEND = "delete it and run 'batchvet ingest' again, or 'batchvet cache verify' to see all that are damaged"


def _damaged(name: str, error: Exception) -> CacheError:
    if isinstance(error, CacheError):
        return error
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return CacheError(f"{name}: damaged cache entry ({reason}); {_MEND}")


def _json_number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    return math.nan if value is None else value
