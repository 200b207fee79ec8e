"""One cache entry: a stamp as an immutable zarr v3 group in one zip file, and back again, strictly.

Measured on the flux of WASP-126 in sector 1 (20,076 x 11 x 11, one core; ``scripts/benchmark.py codecs``): pixels
stored along time and bit-shuffled before zstd take 6.9 MB and read in 6.5 ms, against 8.0 MB and 5.5 ms by cadence,
8.1 MB and 8.9 ms for plain zstd, 7.1 MB and 5.0 ms for lz4.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.buffer.cpu import Buffer
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec
from zarr.storage import MemoryStore

from batchvet.errors import CacheError
from batchvet.pixels.stamp import MOST_BYTES, Stamp

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer as AnyBuffer

FORMAT = "batchvet-stamp"
FORMAT_VERSION = 1

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


def encode(stamp: Stamp, source_size: int = 0, source_mtime_ns: int = 0) -> bytes:
    """Bytes of the cache entry of `stamp`; the same stamp gives the same bytes.

    Parameters
    ----------
    stamp : Stamp
    source_size, source_mtime_ns : int
        Of the file that it was read from, to see later whether that has changed.
    """
    members: dict[str, AnyBuffer] = {}
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
        "arrays": [name for name in _ARRAYS if getattr(stamp, name) is not None],
    }
    group = zarr.create_group(MemoryStore(members), zarr_format=3, attributes=attributes)
    for name in attributes["arrays"]:
        _write_array(group, name, np.ascontiguousarray(getattr(stamp, name)))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for member in sorted(members):
            archive.writestr(zipfile.ZipInfo(member, _EPOCH_OF_ZIP), members[member].to_bytes())
        archive.comment = _SEAL + b"0" * _SEAL_DIGITS
    sealed = file.getvalue()[:-_SEAL_DIGITS]
    return sealed + hashlib.sha256(sealed).hexdigest().encode()


def check_seal(content: bytes, name: str) -> None:
    """See that not a bit of an entry has changed since it was written, be it one that no reader looks at.

    Raises
    ------
    CacheError
    """
    if hashlib.sha256(content[:-_SEAL_DIGITS]).hexdigest().encode() != content[-_SEAL_DIGITS:]:
        raise CacheError(f"{name}: not as it was written; {_MEND}")


def decode(content: bytes, name: str, *, with_errors: bool = True) -> Stamp:
    """The stamp of an entry.

    Parameters
    ----------
    content : bytes
    name : str
        Where it was read from, for messages.
    with_errors : bool
        Whether FLUX_ERR is needed; half the reading time is saved when not.

    Raises
    ------
    CacheError
        Not a cache entry, of another format version, a chunk missing, or a checksum that does not match.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            attributes = _attributes(archive, name)
            wanted = [a for a in attributes["arrays"] if with_errors or a != "flux_err"]
            arrays: dict[str, Any] = dict(_read_arrays(archive, wanted, name))
    except (
        zipfile.BadZipFile,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        EOFError,
        NotImplementedError,
    ) as error:
        raise _damaged(name, error) from error
    scalars = {key: _number(attributes[key]) for key in _SCALARS}
    return Stamp(
        **scalars,
        wcs_header=attributes["wcs_header"],
        flags=tuple(attributes["flags"]),
        source=attributes["source"],
        sha256=attributes["source_sha256"],
        **arrays,
    )


def read_attributes(file: BinaryIO, name: str) -> dict[str, Any]:
    """The entry's attributes, without its pixels. Raises as :func:`decode`."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _attributes(archive, name)
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, NotImplementedError) as error:
        raise _damaged(name, error) from error


def _write_array(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    image_series = values.ndim == 3
    created = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=tuple(max(1, n) for n in values.shape),
        # along time neighbouring values are alike, so a pixel's series is kept together
        filters=[TransposeCodec(order=(1, 2, 0))] if image_series else None,
        compressors=[
            BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=values.dtype.itemsize),
            Crc32cCodec(),
        ],
        fill_value=0,
        config={"write_empty_chunks": True},
    )
    created[...] = values


def _attributes(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise zipfile.BadZipFile("a member is packed")
    attributes: dict[str, Any] = json.loads(archive.read("zarr.json"))["attributes"]
    if attributes.get("format") != FORMAT:
        raise CacheError(f"{name}: not a batchvet cache entry; move it out of the cache")
    if attributes["format_version"] != FORMAT_VERSION:
        raise CacheError(
            f"{name}: format version {attributes['format_version']}, this program reads {FORMAT_VERSION}; "
            "delete the entry and ingest again"
        )
    if lacking := sorted(_ATTRIBUTES - attributes.keys()):
        raise ValueError(f"does not say {', '.join(lacking)}")
    return attributes


def _read_arrays(archive: zipfile.ZipFile, wanted: list[str], name: str) -> dict[str, NDArray[Any]]:
    present = set(archive.namelist())
    members = {"zarr.json": archive.read("zarr.json")}
    for array in wanted:
        metadata = archive.read(f"{array}/zarr.json")
        shape = json.loads(metadata)["shape"]
        if math.prod(shape) > MOST_BYTES // 8:
            raise ValueError(f"{array} would be of {math.prod(shape)} values")
        chunk = "/".join([array, "c", *["0"] * len(shape)])
        if chunk not in present:
            raise CacheError(f"{name}: chunk {chunk} is missing; {_MEND}")
        members[f"{array}/zarr.json"] = metadata
        members[chunk] = archive.read(chunk)
    buffers: dict[str, AnyBuffer] = {key: Buffer.from_bytes(value) for key, value in members.items()}
    store = MemoryStore(buffers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open_group(store, mode="r", zarr_format=3)
        return {array: _values(group, array) for array in wanted}


def _values(group: zarr.Group, name: str) -> NDArray[Any]:
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{name} is not an array")
    return np.asarray(array[...])


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
