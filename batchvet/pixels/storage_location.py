"""Which storage an address means."""

from __future__ import annotations

from pathlib import Path

from batchvet.errors import ConfigError
from batchvet.pixels.storage import LocalStorage, Storage
from batchvet.pixels.storage_s3 import S3Storage


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
    return S3Storage(str(location))
