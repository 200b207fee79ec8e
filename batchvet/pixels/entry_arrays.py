"""The arrays of a cache entry: zarr v3, one chunk each, coded and decoded by the codecs that zarr has.

zarr's own way to a chunk is an event loop in another thread, which takes longer than the decoding, and a process that
imports it takes 0.4 s more to start. What is written is zarr's format to the letter: any zarr v3 library opens it.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from batchvet.errors import CacheError
from batchvet.pixels.stamp import MOST_BYTES

#: Of FLUX of WASP-126 in sector 1 (``scripts/benchmark.py codecs``): lz4 takes 7.10 MB, an eighth of the time of zstd
#: (level 3, 6.92 MB) to write and a seventh less to read; higher levels of either gain less than 2 % of the size.
CODEC, LEVEL = b"lz4", 3
_ALONG_TIME = [1, 2, 0]  #: along time neighbouring values are alike, so a pixel's series is kept together
_TYPES = ("float64", "float32", "int64", "int32", "int16", "uint8", "bool")
_ZIP_HEADER = struct.Struct("<4s5H3L2H")  #: of a member, before its name


@dataclass(frozen=True)
class Archive:
    """A zip file in memory, of whose members none is packed."""

    content: bytes
    members: dict[str, zipfile.ZipInfo]
    file: zipfile.ZipFile

    @classmethod
    def of(cls, content: bytes, file: zipfile.ZipFile) -> Archive:
        """Raises zipfile.BadZipFile for a packed member."""
        members = {member.filename: member for member in file.infolist()}
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise zipfile.BadZipFile("a member is packed")
        return cls(content, members, file)

    def chunk(self, name: str) -> bytes:
        """A chunk without its checksum, which covers all of it; raises ValueError where it does not match."""
        member = self.members[name]
        start = member.header_offset + _ZIP_HEADER.size
        head = self.content[member.header_offset : start]
        signature, *_, name_length, extra_length = _ZIP_HEADER.unpack(head)
        found = self.content[start : start + name_length]
        if signature != b"PK\x03\x04" or found != name.encode():
            raise zipfile.BadZipFile(f"{name} is not where the directory says")
        start += name_length + extra_length
        chunk = self.content[start : start + member.file_size - 4]
        stored = self.content[start + member.file_size - 4 : start + member.file_size]
        if len(stored) != 4 or google_crc32c.value(chunk) != int.from_bytes(stored, "little"):
            raise ValueError(f"checksum of {name}")
        return chunk


def metadata(values: NDArray[Any]) -> dict[str, Any]:
    """What ``zarr.json`` says of an array that is one chunk."""
    shape = list(values.shape)
    shuffled = {"typesize": values.dtype.itemsize, "cname": CODEC.decode(), "clevel": LEVEL}
    codecs: list[dict[str, Any]] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "blosc", "configuration": {**shuffled, "shuffle": "bitshuffle", "blocksize": 0}},
        {"name": "crc32c"},
    ]
    if values.ndim == 3:
        codecs.insert(0, {"name": "transpose", "configuration": {"order": _ALONG_TIME}})
    return {
        "shape": shape,
        "data_type": values.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(1, n) for n in shape]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0 if np.issubdtype(values.dtype, np.floating) else 0,
        "codecs": codecs,
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def chunk_name(array: str, n_axes: int) -> str:
    """The only chunk of an array."""
    return "/".join([array, "c", *["0"] * n_axes])


def encoded(values: NDArray[Any]) -> bytes:
    """The chunk of an array, with its checksum."""
    if values.dtype.name not in _TYPES:
        raise TypeError(f"no cache entry has {values.dtype}")
    ordered = values.transpose(_ALONG_TIME) if values.ndim == 3 else values
    little = np.ascontiguousarray(ordered, dtype=values.dtype.newbyteorder("<"))
    from numcodecs import blosc  # as in `decoded`: 0.03 s, which a plan does not wait for

    chunk: bytes = blosc.compress(little, CODEC, LEVEL, blosc.BITSHUFFLE, 0)
    checksum: int = google_crc32c.value(chunk)
    return chunk + checksum.to_bytes(4, "little")


def decoded(archive: Archive, array: str, name: str, mend: str) -> NDArray[Any]:
    """The values of an array, images along time in memory; raises CacheError, or ValueError and its like for damage."""
    from numcodecs import blosc

    said = json.loads(archive.file.read(f"{array}/zarr.json"))
    shape, order = said["shape"], list(range(len(said["shape"])))
    names = [codec["name"] for codec in said["codecs"]]
    if names[:1] == ["transpose"]:
        order = said["codecs"][0]["configuration"]["order"]
        names = names[1:]
    if names != ["bytes", "blosc", "crc32c"] or sorted(order) != list(range(len(shape))):
        raise ValueError(f"{array} is coded otherwise")
    if said["data_type"] not in _TYPES or said["chunk_grid"]["configuration"]["chunk_shape"] != shape:
        raise ValueError(f"{array} is laid out otherwise")
    dtype = np.dtype(said["data_type"]).newbyteorder("<")
    if chunk_name(array, len(shape)) not in archive.members:
        raise CacheError(f"{name}: chunk {chunk_name(array, len(shape))} is missing; {mend}")
    chunk = archive.chunk(chunk_name(array, len(shape)))
    size = math.prod(shape) * dtype.itemsize
    if _decoded_size(chunk) != size or size > MOST_BYTES:
        raise ValueError(f"{array} has another size than its shape, or one that no stamp has")
    stored = np.empty([shape[axis] for axis in order], dtype=dtype)
    blosc.decompress(chunk, stored)
    return stored.transpose(np.argsort(order)).astype(np.dtype(said["data_type"]), copy=False)


def _decoded_size(chunk: bytes) -> int:
    """Bytes that a blosc chunk says it holds."""
    size, _, stored = struct.unpack_from("<4x3I", chunk)
    if stored != len(chunk):
        raise ValueError("a chunk is cut short")
    return int(size)
